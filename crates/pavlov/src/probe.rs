//! `probe`: physical quantities of a robot in given states, for comparison with other simulators.
//!
//! Every state starts with a cold solver under the `accurate` profile. `f64` one at a time, `f32` lanes, eight at a
//! time, or the GPU, 64 at a time; or rapier, which knows neither bias force nor unconstrained acceleration.

use crate::Usage;
use crate::args::Probe;
use crate::out::Out;
use anyhow::{Context, Result};
use pavlov_env::Assets;
use pavlov_physics::gpu::Gpu;
use pavlov_physics::{Backend, GpuBackend, LANES, Lane, Mask, Physics, RapierBackend, Real};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

/// A line of the input.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    qpos: Vec<f64>,
    #[serde(default)]
    qvel: Vec<f64>,
    #[serde(default)]
    ctrl: Vec<f64>,
}

/// A contact; geoms by their number in the file, which is MuJoCo's, and by name.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Contact {
    geom1: usize,
    geom2: usize,
    name1: String,
    name2: String,
    dist: f64,
    pos: [f64; 3],
    normal: [f64; 3],
    /// Is it a constraint (nearer than margin), or only seen (within margin and gap)?
    active: bool,
}

/// A line of the output.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
struct Answer {
    #[serde(rename = "qM")]
    qm: Vec<Vec<f64>>,
    qfrc_bias: Vec<f64>,
    qacc_smooth: Vec<f64>,
    contacts: Vec<Contact>,
    qacc: Vec<f64>,
    qpos_next: Vec<f64>,
    qvel_next: Vec<f64>,
}

/// States that the GPU takes at once.
const GPU_WORLDS: usize = 64;
/// A longer line is refused.
const MAX_LINE: u64 = 1 << 20;

/// `pavlov probe`.
pub fn probe(out: Out, assets: &Assets, args: &Probe) -> Result<()> {
    let model = pavlov_model::load_mjcf(&assets.robot(&args.robot, None)?)?;
    let physics = Physics::new(Arc::new(model)).map_err(|e| Usage(e.to_string()))?;
    let bad = |e: std::io::Error| Usage(format!("{}: cannot be read: {e}", args.states.display()));
    let input: Box<dyn Read> = if args.states.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(pavlov_common::file::open(&args.states).map_err(bad)?)
    };
    let mut reader = BufReader::new(input);
    let mut other: Option<Box<dyn Backend>> = match (args.rapier, args.gpu) {
        (true, _) => Some(Box::new(RapierBackend::new(physics.clone(), 1))),
        (_, true) => Some(Box::new(GpuBackend::new(Gpu::open(0)?, physics.clone(), GPU_WORLDS)?)),
        _ => None,
    };
    let width = if args.lanes { LANES } else { other.as_ref().map_or(1, |b| b.num_worlds()) };
    let (mut group, mut line, mut number) = (Vec::with_capacity(width), Vec::new(), 0);
    loop {
        line.clear();
        let size = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(bad)?;
        number += 1;
        if number == 1 && line.starts_with(pavlov_common::text::MARK_BYTES) {
            line.drain(..pavlov_common::text::MARK_BYTES.len());
        }
        if size > 0 && !line.trim_ascii().is_empty() {
            group.push(parse(&physics, &line).map_err(|e| Usage(format!("{}:{number}: {e}", args.states.display())))?);
        }
        if group.len() == width || (size == 0 && !group.is_empty()) {
            let answers = match &mut other {
                Some(backend) => backend_answer(&mut **backend, &group)?,
                None if args.lanes => answer::<Lane>(&physics, &group),
                None => answer::<f64>(&physics, &group),
            };
            for answer in &answers {
                // People and programs get the same output: numbers.
                out.object(answer).context("probe")?;
            }
            group.clear();
        }
        if size == 0 {
            return Ok(());
        }
    }
}

fn parse(physics: &Physics, line: &[u8]) -> Result<State, String> {
    let mut state: State = serde_json::from_slice(line).map_err(|e| format!("not a state: {e}"))?;
    let model = physics.model();
    for (name, values, expected, may_lack) in [
        ("qpos", &mut state.qpos, model.nq(), false),
        ("qvel", &mut state.qvel, model.nv(), true),
        ("ctrl", &mut state.ctrl, model.nu(), true),
    ] {
        if may_lack && values.is_empty() {
            values.resize(expected, 0.0);
        }
        if values.len() != expected {
            return Err(format!("{name} has {} numbers: expected {expected}", values.len()));
        }
        if values.iter().any(|x| !x.is_finite()) {
            return Err(format!("{name} has a number that is not finite"));
        }
    }
    Ok(state)
}

/// Answers for up to as many states as `R` has worlds.
fn answer<R: Real>(physics: &Physics, states: &[State]) -> Vec<Answer> {
    let model = physics.model();
    let (params, mut d) = (physics.params::<R>(), physics.data::<R>());
    let place = |d: &mut pavlov_physics::Data<R>| {
        for lane in 0..R::LANES {
            let state = &states[lane.min(states.len() - 1)];
            d.state.reset_world(lane, &state.qpos, &state.qvel);
            for (column, &v) in d.ctrl.iter_mut().zip(&state.ctrl) {
                column.set(lane, v);
            }
        }
    };
    place(&mut d);
    physics.forward(&params, &mut d);
    let in_lane = |columns: &[R], lane: usize| columns.iter().map(|v| v.get(lane)).collect::<Vec<f64>>();
    let mut answers = Vec::with_capacity(states.len());
    for lane in 0..states.len() {
        let nv = model.nv();
        // Only entries of a dof and its ancestors are kept up to date; the others are zero.
        let mut qm = vec![vec![0.0; nv]; nv];
        for i in 0..nv {
            let mut next = Some(i);
            while let Some(j) = next {
                let value = d.qm[i * nv + j].get(lane);
                (qm[i][j], qm[j][i]) = (value, value);
                next = model.dofs[j].parent;
            }
        }
        let contacts = d.contacts.iter().filter(|c| c.detected.get(lane)).map(|c| {
            let pair = &model.pairs[c.pair];
            Contact {
                geom1: pair.geom1,
                geom2: pair.geom2,
                name1: model.geoms[pair.geom1].name.clone(),
                name2: model.geoms[pair.geom2].name.clone(),
                dist: c.dist.get(lane),
                pos: c.pos.map(|x| x.get(lane)),
                normal: c.frame[0].map(|x| x.get(lane)),
                active: c.active.get(lane),
            }
        });
        answers.push(Answer {
            qm,
            qfrc_bias: in_lane(&d.qfrc_bias, lane),
            qacc_smooth: in_lane(&d.qacc_smooth, lane),
            contacts: contacts.collect(),
            qacc: in_lane(&d.qacc, lane),
            ..Answer::default()
        });
    }
    place(&mut d);
    physics.step(&params, &mut d);
    for (lane, answer) in answers.iter_mut().enumerate() {
        (answer.qpos_next, answer.qvel_next) = (in_lane(&d.state.qpos, lane), in_lane(&d.state.qvel, lane));
    }
    answers
}

/// Answers by rapier.
fn backend_answer(backend: &mut dyn Backend, states: &[State]) -> Result<Vec<Answer>> {
    let model = backend.physics().model().clone();
    let mut answers = Vec::with_capacity(states.len());
    for (world, state) in states.iter().enumerate() {
        backend.reset_world(world, &state.qpos, &state.qvel);
        backend.set_ctrl(world, &state.ctrl);
    }
    backend.forward()?;
    let found: Vec<_> = (0..states.len()).map(|w| backend.evaluation(w)).collect::<Result<_, _>>()?;
    backend.step(1)?;
    for (world, found) in found.into_iter().enumerate() {
        let next = backend.state(world)?;
        let contact = |c: &pavlov_physics::ContactPoint| Contact {
            geom1: c.geom1,
            geom2: c.geom2,
            name1: model.geoms[c.geom1].name.clone(),
            name2: model.geoms[c.geom2].name.clone(),
            dist: c.dist,
            pos: c.pos,
            normal: c.normal,
            active: true,
        };
        answers.push(Answer {
            qm: found.qm.chunks(model.nv()).map(<[f64]>::to_vec).collect(),
            contacts: found.contacts.iter().map(contact).collect(),
            qfrc_bias: found.qfrc_bias,
            qacc_smooth: found.qacc_smooth,
            qacc: found.qacc,
            qpos_next: next.qpos,
            qvel_next: next.qvel,
        });
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn physics() -> Physics {
        let assets = Assets::find(None);
        let model = pavlov_model::load_mjcf(&assets.robot("ant", None).unwrap()).unwrap();
        Physics::new(Arc::new(model)).unwrap()
    }

    #[test]
    fn lanes_agree_with_scalars() {
        let physics = physics();
        let mut qpos = physics.model().qpos0.clone();
        qpos[2] = 0.2;
        let line = serde_json::json!({"qpos": qpos, "ctrl": vec![0.3; physics.model().nu()]}).to_string();
        let state = parse(&physics, line.as_bytes()).unwrap();
        let scalar = &answer::<f64>(&physics, std::slice::from_ref(&state))[0];
        let lanes = answer::<Lane>(&physics, &vec![state; 3]);
        assert_eq!(lanes.len(), 3);
        assert!(!scalar.contacts.is_empty() && scalar.contacts.len() == lanes[2].contacts.len());
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-3 * y.abs().max(1.0));
        assert!(near(&lanes[2].qfrc_bias, &scalar.qfrc_bias) && near(&lanes[2].qpos_next, &scalar.qpos_next));
        assert_eq!(scalar.qm.len(), physics.model().nv());
        assert!(scalar.qm[0][0] > 0.0 && scalar.qm[0][1] == scalar.qm[1][0]);
    }

    #[test]
    fn rapier_agrees_on_inertia_and_free_motion() {
        let physics = physics();
        let mut qpos = physics.model().qpos0.clone();
        qpos[2] = 3.0;
        // within the ankles' limits
        for (q, angle) in [(8, 1.0), (10, -1.0), (12, -1.0), (14, 1.0)] {
            qpos[q] = angle;
        }
        let line = serde_json::json!({"qpos": qpos, "ctrl": vec![0.3; physics.model().nu()]}).to_string();
        let states = [parse(&physics, line.as_bytes()).unwrap()];
        let batch = &answer::<f64>(&physics, &states)[0];
        let judge = &backend_answer(&mut RapierBackend::new(physics, 1), &states).unwrap()[0];
        assert_eq!(judge.qm.len(), batch.qm.len());
        for (a, b) in judge.qm.iter().flatten().zip(batch.qm.iter().flatten()) {
            assert!((a - b).abs() < 1e-9, "{a} {b}");
        }
        for (a, b) in judge.qpos_next.iter().zip(&batch.qpos_next) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }

    #[test]
    fn wrong_lines_are_told() {
        let physics = physics();
        for (line, word) in [
            ("", "not a state"),
            ("{\"qpos\":[1]}", "expected 15"),
            ("{\"qpo\":[]}", "qpo"),
            ("{\"qpos\":[1e999]}", "not a state"),
            ("[[[", "not a state"),
        ] {
            let error = parse(&physics, line.as_bytes()).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
