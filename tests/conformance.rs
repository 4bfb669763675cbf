//! The physics against MuJoCo 4.0.0 in 200 random states of each robot and of a scene of rarer features; contact points
//! alone in 1000 poses of shapes that meet in all ways.
//!
//! The states and MuJoCo's numbers are in `tests/data`, written by `tests/mujoco/generate.py`.
//! `cargo test -p pavlov-tests --test conformance -- --nocapture` prints the worst errors.

use pavlov_model::{Model, load_mjcf};
use pavlov_physics::{Data, LANES, Lane, Mask, Params, Physics, Real};
use pavlov_tests::{Arrays, Worst, relative_error, robot, root};
use std::path::Path;
use std::sync::Arc;

/// Largest errors allowed: forces and inertia, contacts, accelerations, one step, and `f32` lanes against `f64`.
const SMOOTH: f64 = 1e-9;
const CONTACT: f64 = 1e-9;
const ACCELERATION: f64 = 1e-6;
const STEP: f64 = 1e-8;
const LANE: f64 = 1e-4;
/// In this share of the states lanes may be further off, but not further than that: the normal of a segment that grazes
/// a box's surface is the direction of a vector as short as the rounding of its ends.
const GRAZING: f64 = 0.01;
const LANE_GRAZING: f64 = 1e-2;

#[test]
fn hopper() {
    ours("hopper");
}

#[test]
fn half_cheetah() {
    ours("half_cheetah");
}

#[test]
fn walker2d() {
    ours("walker2d");
}

#[test]
fn ant() {
    ours("ant");
}

#[test]
fn humanoid() {
    ours("humanoid");
}

#[test]
fn go1() {
    ours("go1");
}

/// Elliptic cones, boxes, ball joints, springs, actuators of all kinds: what the robots do not have.
#[test]
fn features() {
    conform("features", &root().join("tests/mujoco/features.xml"));
}

/// Spheres, capsules and boxes at random and at right angles, mostly deep in each other: contact points alone.
#[test]
fn shapes() {
    let file = root().join("tests/mujoco/shapes.xml");
    let physics = Physics::new(Arc::new(load_mjcf(&file).unwrap_or_else(|e| panic!("{e}")))).expect("shapes move");
    let recorded = Arrays::read("conformance_shapes");
    let (params, mut d) = (physics.params::<f64>(), physics.data::<f64>());
    let mut contacts = Worst::new("contacts", CONTACT);
    let mut first_contact = 0;
    for s in 0..recorded.len("qpos") {
        d.state.qpos.copy_from_slice(recorded.row("qpos", s));
        physics.forward(&params, &mut d);
        let count = recorded.row("contact_count", s)[0] as usize;
        contacts.see(s, contact_error(physics.model(), &d, &recorded, first_contact..first_contact + count));
        first_contact += count;
    }
    println!("shapes: {first_contact} contacts, worst {:.1e}, bar {CONTACT:.0e}", contacts.error);
    assert_eq!(contacts.above, 0, "state {}: {}", contacts.state, contacts.error);
}

/// Gymnasium's own files instead of ours; fetches the package with `pip`.
#[test]
#[ignore = "downloads Gymnasium's package with pip"]
fn gymnasium_files_download() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gymnasium");
    let status = std::process::Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"])
        .arg(&folder)
        .arg("gymnasium==1.4.0")
        .status()
        .expect("python3 starts");
    assert!(status.success(), "pip could not fetch gymnasium==1.4.0");
    let assets = folder.join("gymnasium/envs/mujoco/assets");
    for (name, file) in [
        ("hopper", "hopper.xml"),
        ("half_cheetah", "half_cheetah.xml"),
        ("walker2d", "walker2d_v5.xml"),
        ("ant", "ant.xml"),
        ("humanoid", "humanoid.xml"),
    ] {
        conform(name, &assets.join(file));
    }
}

fn ours(name: &str) {
    conform(name, &robot(name));
}

/// Compares everything and prints one line per quantity; fails at the end, so that the table is complete.
fn conform(name: &str, file: &Path) {
    let model = Arc::new(load_mjcf(file).unwrap_or_else(|e| panic!("{e}")));
    let mut physics = Physics::new(model).expect("the model can be simulated");
    physics.solver.iterations = 500;
    physics.solver.ls_iterations = 200;
    physics.solver.tolerance = 1e-15;
    physics.solver.ls_tolerance = 1e-8;
    let recorded = Arrays::read(&format!("conformance_{name}"));
    let mut table = vec![weights(&physics, &recorded)];
    table.extend(against_mujoco(&physics, &recorded));
    let lanes = lanes_against_scalar(&physics, &recorded);
    table.push(lanes);
    println!("{name:14} {:>12} {:>9} {:>7} {:>7}  condition", "worst", "bar", "state", "above");
    for w in &table {
        let condition = recorded.row("condition", w.state)[0];
        println!("  {:12} {:12.1e} {:9.0e} {:7} {:7}  {condition:.0e}", w.quantity, w.error, w.bar, w.state, w.above);
    }
    assert!(lanes.error < LANE_GRAZING && lanes.above as f64 <= GRAZING * recorded.len("qpos") as f64, "{name}: lanes");
    let missed: Vec<&str> = table[..table.len() - 1].iter().filter(|w| w.above > 0).map(|w| w.quantity).collect();
    assert!(missed.is_empty(), "{name}: above the bar: {}", missed.join(", "));
}

/// What is derived from the mass matrix at the reference pose.
fn weights(physics: &Physics, recorded: &Arrays) -> Worst {
    let params = physics.params::<f64>();
    let mut worst = Worst::new("weights", SMOOTH);
    for (b, weight) in params.body_invweight0.iter().enumerate() {
        worst.see(0, relative_error(weight, recorded.row("body_invweight0", b)));
    }
    for (i, &weight) in params.dof_invweight0.iter().enumerate() {
        worst.see(0, relative_error(&[weight], recorded.row("dof_invweight0", i)));
    }
    worst.see(0, relative_error(&[params.meaninertia], recorded.row("meaninertia", 0)));
    worst
}

/// The scalar pipeline against the recorded numbers.
fn against_mujoco(physics: &Physics, recorded: &Arrays) -> Vec<Worst> {
    let (params, mut d) = (physics.params::<f64>(), physics.data::<f64>());
    let (nq, nv) = (physics.model().nq(), physics.model().nv());
    let mut mass = Worst::new("mass matrix", SMOOTH);
    let mut bias = Worst::new("bias", SMOOTH);
    let mut smooth = Worst::new("qacc_smooth", SMOOTH);
    let mut contacts = Worst::new("contacts", CONTACT);
    let mut qacc = Worst::new("qacc", ACCELERATION);
    let mut sensors = Worst::new("sensors", ACCELERATION);
    let mut step = Worst::new("step", STEP);
    let mut first_contact = 0;
    for s in 0..recorded.len("qpos") {
        place(&mut d, 0, recorded, s);
        physics.forward(&params, &mut d);
        mass.see(s, relative_error(&full_mass_matrix(physics.model(), &d), recorded.row("qm", s)));
        bias.see(s, relative_error(&d.qfrc_bias, recorded.row("qfrc_bias", s)));
        smooth.see(s, relative_error(&d.qacc_smooth, recorded.row("qacc_smooth", s)));
        let count = recorded.row("contact_count", s)[0] as usize;
        contacts.see(s, contact_error(physics.model(), &d, recorded, first_contact..first_contact + count));
        first_contact += count;
        qacc.see(s, relative_error(&d.qacc, recorded.row("qacc", s)));
        if recorded.has("sensordata") {
            physics.sensors(&params, &mut d);
            sensors.see(s, relative_error(&d.sensordata, recorded.row("sensordata", s)));
        }

        place(&mut d, 0, recorded, s);
        physics.step(&params, &mut d);
        let found: Vec<f64> = d.state.qpos.iter().chain(&d.state.qvel).copied().collect();
        let expected = [recorded.row("qpos_next", s), recorded.row("qvel_next", s)].concat();
        step.see(s, relative_error(&found[..nq], &expected[..nq]).max(relative_error(&found[nq..], &expected[nq..])));
        assert_eq!(found.len(), nq + nv);
    }
    vec![mass, bias, smooth, contacts, qacc, sensors, step]
}

/// `f32` lanes of eight worlds against the scalar pipeline.
fn lanes_against_scalar(physics: &Physics, recorded: &Arrays) -> Worst {
    let (params, mut d) = (physics.params::<f64>(), physics.data::<f64>());
    let (lane_params, mut lanes): (Params<Lane>, Data<Lane>) = (physics.params(), physics.data());
    let mut worst = Worst::new("lanes qacc", LANE);
    let states = recorded.len("qpos");
    for first in (0..states).step_by(LANES) {
        let count = LANES.min(states - first);
        for lane in 0..LANES {
            place(&mut lanes, lane, recorded, first + lane.min(count - 1));
        }
        physics.forward(&lane_params, &mut lanes);
        for lane in 0..count {
            place(&mut d, 0, recorded, first + lane);
            physics.forward(&params, &mut d);
            let found: Vec<f64> = lanes.qacc.iter().map(|v| v.get(lane)).collect();
            worst.see(first + lane, relative_error(&found, &d.qacc));
        }
    }
    worst
}

/// Puts world `lane` into state `s`, with a cold solver.
fn place<R: Real>(d: &mut Data<R>, lane: usize, recorded: &Arrays, s: usize) {
    d.state.reset_world(lane, recorded.row("qpos", s), recorded.row("qvel", s));
    for (column, &v) in d.ctrl.iter_mut().zip(recorded.row("ctrl", s)) {
        column.set(lane, v);
    }
}

/// Both triangles; entries of dofs on different branches are zero.
fn full_mass_matrix(model: &Model, d: &Data<f64>) -> Vec<f64> {
    let nv = model.nv();
    let mut full = vec![0.0; nv * nv];
    for i in 0..nv {
        let mut next = Some(i);
        while let Some(j) = next {
            full[i * nv + j] = d.qm[i * nv + j];
            full[j * nv + i] = d.qm[i * nv + j];
            next = model.dofs[j].parent;
        }
    }
    full
}

/// Largest difference in distance, position and normal; infinite when the lists differ. The order of pairs is left free
/// (MuJoCo's depends on which of its collision trees it walks), that of the points of a pair is not.
fn contact_error(model: &Model, d: &Data<f64>, recorded: &Arrays, expected: std::ops::Range<usize>) -> f64 {
    let mut found: Vec<_> = d.contacts.iter().filter(|c| c.detected.any()).collect();
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let mut worst: f64 = 0.0;
    for e in expected {
        let geoms = recorded.row("contact_geom", e);
        let same = |pair: usize| {
            let pair = &model.pairs[pair];
            (pair.geom1, pair.geom2) == (geoms[0] as usize, geoms[1] as usize)
        };
        let Some(c) = found.iter().position(|c| same(c.pair)).map(|i| found.remove(i)) else { return f64::INFINITY };
        worst = worst
            .max((c.dist - recorded.row("contact_dist", e)[0]).abs())
            .max(relative_error(&c.pos, recorded.row("contact_pos", e)))
            .max(relative_error(&c.frame[0], recorded.row("contact_normal", e)));
    }
    worst
}
