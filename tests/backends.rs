//! One suite for everything that implements `Backend`: states, snapshots, repetition, energy, rest, limits, motors,
//! free motion.
//!
//! The judge of free motion is the `f64` engine with RK4 at 1 ms; rapier shares no line with it but the reader of robot
//! files.

use pavlov_model::{Integrator, JointKind, Model, load_mjcf, parse_mjcf};
use pavlov_physics::{Backend, CpuBackend, GpuBackend, Lane, Physics, RapierBackend, WorldState};
use pavlov_tests::{gpu, root};
use std::sync::Arc;

/// Every backend, with how far it may be from `f64` for its number type alone.
fn backends(physics: &Physics, worlds: usize) -> Vec<(Box<dyn Backend>, f64)> {
    let mut backends: Vec<(Box<dyn Backend>, f64)> = vec![
        (Box::new(CpuBackend::<f64>::new(physics.clone(), worlds)), 1e-12),
        (Box::new(CpuBackend::<Lane>::new(physics.clone(), worlds)), 1e-4),
        (Box::new(RapierBackend::new(physics.clone(), worlds)), 1e-12),
    ];
    if let Some(gpu) = gpu() {
        let on_gpu = GpuBackend::new(gpu, physics.clone(), worlds).unwrap_or_else(|e| panic!("{e}"));
        backends.push((Box::new(on_gpu), 1e-4));
    }
    backends
}

fn physics(model: Model) -> Physics {
    Physics::new(Arc::new(model)).unwrap_or_else(|e| panic!("{e}"))
}

fn scene(option: &str, inside: &str) -> Physics {
    let text = format!("<mujoco><compiler angle='radian'/><option {option}/>{inside}</mujoco>");
    physics(parse_mjcf(&text, "scene.xml").unwrap_or_else(|e| panic!("{e}")))
}

/// Uniform numbers that are the same on every machine.
struct Stream(u64);

impl Stream {
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        low + (high - low) * ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What rapier's joints must bear: several joints on a body, all kinds of them, anchors and centres of mass off the
/// origin, `ref`, turned frames, a welded body, armature, damping, springs, gear, motors and servos.
const FEATURES: &str = "<default><geom contype='0' conaffinity='0'/></default><worldbody>
    <body name='base' pos='0 0 3' euler='0.3 0.2 0.1'><freejoint/>
      <geom type='box' size='0.2 0.15 0.1' pos='0.05 -0.02 0.03' euler='0.1 0.4 0.2'/>
      <body pos='0.3 0.1 0' euler='0 0.5 0.3'>
        <joint name='s' type='slide' axis='1 2 0.5' pos='0.02 0 0.1' stiffness='40' damping='2' ref='0.1' \
        springref='0.05'/>
        <joint name='h' axis='0 1 0.3' pos='0.05 0.02 -0.04' damping='0.3' armature='0.02'/>
        <joint name='g' axis='1 0 0.2' pos='-0.03 0.05 0.02' damping='0.2' armature='0.01' ref='0.2'/>
        <geom type='capsule' size='0.05 0.15' pos='0.02 0.1 0'/>
        <body pos='0.1 0.2 0' euler='0.4 0 0'><geom size='0.06' pos='0 0.03 0'/>
          <body pos='0 0.1 0.05'><joint type='ball' pos='0.01 -0.03 0.02' damping='0.05' stiffness='1' \
          armature='0.004'/>
            <geom type='box' size='0.04 0.12 0.06' pos='0.02 0.1 0'/></body></body>
      </body></body>
    <body pos='3 0 3'><joint name='p' axis='0 1 0' pos='0 0 0.3' ref='-0.4'/>\
    <geom type='box' size='0.1 0.1 0.3' pos='0 0.05 -0.2'/></body>
  </worldbody>
  <actuator><motor joint='h' gear='3'/><position joint='g' kp='8' kv='0.4'/><velocity joint='p' kv='0.5' gear='2'/>
    <general joint='s' gainprm='5' biastype='affine' biasprm='1 -20 -1' gear='0.5'/></actuator>";

/// A state within the joints' limits, moving.
fn moving(model: &Model, stream: &mut Stream) -> WorldState {
    let mut qpos = model.qpos0.clone();
    for joint in &model.joints {
        let q = joint.qposadr;
        match joint.kind {
            JointKind::Hinge | JointKind::Slide if joint.limited => qpos[q] = 0.5 * (joint.range[0] + joint.range[1]),
            JointKind::Hinge => qpos[q] += stream.uniform(-0.5, 0.5),
            JointKind::Slide => qpos[q] += stream.uniform(-0.1, 0.1),
            JointKind::Ball | JointKind::Free => {
                let at = if joint.kind == JointKind::Free { q + 3 } else { q };
                let turn: Vec<f64> = (0..4).map(|_| stream.uniform(-1.0, 1.0)).collect();
                let norm = turn.iter().map(|x| x * x).sum::<f64>().sqrt();
                (0..4).for_each(|k| qpos[at + k] = turn[k] / norm);
            }
        }
    }
    let qvel = (0..model.nv()).map(|_| stream.uniform(-1.0, 1.0)).collect();
    WorldState { qpos, qvel, qacc_warmstart: vec![0.0; model.nv()], time: 0.25 }
}

fn largest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| if (x - y).abs() >= 0.0 { (x - y).abs() } else { f64::INFINITY }).fold(0.0, f64::max)
}

fn bits(states: &[WorldState]) -> Vec<u64> {
    states.iter().flat_map(|s| s.qpos.iter().chain(&s.qvel).chain([&s.time])).map(|x| x.to_bits()).collect()
}

#[test]
fn a_state_comes_out_as_it_went_in() {
    let physics = scene("", FEATURES);
    for (mut b, tolerance) in backends(&physics, 11) {
        let mut stream = Stream(1);
        let states: Vec<_> = (0..11).map(|_| moving(physics.model(), &mut stream)).collect();
        for (world, state) in states.iter().enumerate() {
            b.set_state(world, state);
        }
        for (world, state) in states.iter().enumerate() {
            let found = b.state(world).unwrap();
            let off = largest(&found.qpos, &state.qpos).max(largest(&found.qvel, &state.qvel));
            assert!(off <= tolerance && found.time == 0.25, "{}: {off}", b.name());
        }
        b.reset_world(3, &states[4].qpos, &states[5].qvel);
        let found = b.state(3).unwrap();
        assert!(largest(&found.qpos, &states[4].qpos) <= tolerance && found.time == 0.0, "{}", b.name());
        assert!(largest(&b.state(2).unwrap().qpos, &states[2].qpos) <= tolerance, "{}", b.name());
    }
}

/// Steps after a snapshot, after its restoration, in another instance, and in other company are the same bits.
#[test]
fn snapshots_instances_and_neighbours_repeat_the_same_bits() {
    let floor = "<worldbody><geom type='plane' size='9 9 1'/>
      <body pos='0 0 0.4'><freejoint/><geom type='box' size='0.1 0.2 0.05'/>
        <body pos='0.1 0 0'><joint axis='0 1 0' range='-1 1' limited='true'/>\
        <geom type='capsule' size='0.03' fromto='0 0 0 0.2 0 -0.3'/>
      </body></body></worldbody>";
    let physics = scene("timestep='0.004'", floor);
    let start = |stream: &mut Stream| {
        let mut state = moving(physics.model(), stream);
        state.time = 0.0;
        state
    };
    for (((mut a, _), (mut b, _)), (mut alone, _)) in
        backends(&physics, 5).into_iter().zip(backends(&physics, 5)).zip(backends(&physics, 1))
    {
        let mut stream = Stream(2);
        let states: Vec<_> = (0..5).map(|_| start(&mut stream)).collect();
        a.restore(&states);
        b.restore(&states);
        alone.restore(&states[3..4]);
        a.step(60).unwrap();
        (0..60).for_each(|_| b.step(1).unwrap());
        alone.step(60).unwrap();
        let middle = a.snapshot().unwrap();
        assert_eq!(bits(&middle), bits(&b.snapshot().unwrap()), "{}: another instance", a.name());
        assert_eq!(bits(&middle[3..4]), bits(&alone.snapshot().unwrap()), "{}: alone", a.name());
        a.step(60).unwrap();
        let end = a.snapshot().unwrap();
        assert!(largest(&end[0].qpos, &middle[0].qpos) > 1e-6, "{}: it moves", a.name());
        a.restore(&middle);
        a.step(60).unwrap();
        assert_eq!(bits(&a.snapshot().unwrap()), bits(&end), "{}: restored", a.name());
    }
}

/// Kinetic and potential energy by the `f64` engine's mass matrix.
fn energy(physics: &Physics, state: &WorldState) -> f64 {
    let (model, params, mut d) = (physics.model(), physics.params::<f64>(), physics.data::<f64>());
    d.state.reset_world(0, &state.qpos, &state.qvel);
    physics.forward(&params, &mut d);
    let nv = model.nv();
    let m = |i: usize, j: usize| if j <= i { d.qm[i * nv + j] } else { d.qm[j * nv + i] };
    let kinetic: f64 = (0..nv)
        .flat_map(|i| (0..nv).map(move |j| (i, j)))
        .map(|(i, j)| 0.5 * state.qvel[i] * m(i, j) * state.qvel[j])
        .sum();
    let potential: f64 = (1..model.bodies.len()).map(|b| model.bodies[b].mass * 9.81 * d.xipos[b][2]).sum();
    kinetic + potential
}

/// One link, and two fast ones whose Coriolis forces must be on time.
#[test]
fn passive_pendulums_keep_their_energy() {
    let open = "<default><geom contype='0' conaffinity='0'/></default><worldbody><body><joint axis='0 1 0'/>
      <geom type='capsule' size='0.04 0.2' pos='0 0 -0.25'/>";
    let second = "<body pos='0.05 0 -0.5'><joint axis='0.3 1 0' pos='0 0 0.02'/>
      <geom type='box' size='0.05 0.1 0.2' pos='0 0.05 -0.2'/></body>";
    for links in [1, 2] {
        let inside = format!("{open}{}</body></worldbody>", if links == 2 { second } else { "" });
        let physics = scene("timestep='0.001' integrator='RK4'", &inside);
        for (mut b, _) in backends(&physics, 1) {
            b.reset_world(0, &[1.5, 0.7][..links], &[0.0, 0.5][..links]);
            let start = energy(&physics, &b.state(0).unwrap());
            let lowest = energy(
                &physics,
                &WorldState { qpos: vec![0.0; links], qvel: vec![0.0; links], ..WorldState::default() },
            );
            let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
            for _ in 0..50 {
                b.step(100).unwrap();
                let share = (energy(&physics, &b.state(0).unwrap()) - start) / (start - lowest);
                (least, most) = (least.min(share), most.max(share));
            }
            println!("{}, {links} links: energy {least:+.1e} to {most:+.1e} of what it swings with, in 5 s", b.name());
            assert!(least > -0.001 && most < 0.001, "{}: {least} to {most}", b.name());
        }
    }
}

#[test]
fn a_box_comes_to_rest_and_the_floor_carries_its_weight() {
    let drop = "<worldbody><geom type='plane' size='9 9 1'/>
      <body pos='0 0 0.12'><freejoint/><geom type='box' size='0.2 0.15 0.1' mass='3'/></body></worldbody>";
    let physics = scene("timestep='0.002'", drop);
    for (mut b, _) in backends(&physics, 1) {
        b.step(1000).unwrap();
        b.forward().unwrap();
        let (state, found) = (b.state(0).unwrap(), b.evaluation(0).unwrap());
        let force: Vec<f64> = (0..3).map(|k| found.contacts.iter().map(|c| c.force[k]).sum()).collect();
        println!("{}: {} contacts, force {force:.4?} N of {:.4}", b.name(), found.contacts.len(), 3.0 * 9.81);
        assert_eq!(found.contacts.len(), 4, "{}", b.name());
        for c in &found.contacts {
            assert!(c.normal[2] > 0.999 && c.pos[2].abs() < 2e-3 && c.dist.abs() < 2e-3, "{}: {c:?}", b.name());
            assert!((c.pos[0].abs() - 0.2).abs() < 2e-3 && (c.pos[1].abs() - 0.15).abs() < 2e-3, "{}: {c:?}", b.name());
        }
        assert!((force[2] - 3.0 * 9.81).abs() < 0.1 && force[0].abs() < 0.1 && force[1].abs() < 0.1, "{}", b.name());
        assert!(
            (state.qpos[2] - 0.1).abs() < 1e-3 && state.qvel.iter().all(|v| v.abs() < 1e-2),
            "{}: {state:?}",
            b.name()
        );
    }
}

#[test]
fn friction_holds_and_slides_by_coulombs_law() {
    for (slope, law) in [(0.3f64, 0.0), (0.45, 0.0), (0.8, 2.298)] {
        let (s, c) = slope.atan().sin_cos();
        let box_on = "<worldbody><geom type='plane' size='9 9 1' friction='0.5 0 0'/>
          <body pos='0 0 0.05'><freejoint/><geom type='box' size='0.2 0.2 0.05' friction='0.5 0 0'/></body>\
          </worldbody>";
        let option = format!("timestep='0.002' cone='elliptic' impratio='10' gravity='{} 0 {}'", 9.81 * s, -9.81 * c);
        let physics = scene(&option, box_on);
        for (mut b, _) in backends(&physics, 1) {
            b.step(500).unwrap();
            let speed = b.state(0).unwrap().qvel[0];
            assert!((speed - law).abs() < 0.1, "{} on {slope}: {speed} m/s, expected {law}", b.name());
        }
    }
}

#[test]
fn limits_hold() {
    let arms = "<worldbody>
      <body pos='0 0 1'><joint axis='0 1 0' range='-0.5 0.4' limited='true' damping='0.05'/>\
      <geom type='capsule' size='0.04' fromto='0 0 0 0.6 0 0'/></body>
      <body pos='0 2 1'><joint type='slide' axis='0 0 1' range='-0.2 0.3' limited='true'/><geom size='0.1'/></body>
      <body pos='0 4 1'><joint type='ball' range='0 0.5' limited='true' damping='0.05'/>\
      <geom type='capsule' size='0.04' fromto='0 0 0 0.6 0 0'/></body></worldbody>";
    let physics = scene("timestep='0.002'", arms);
    for (mut b, _) in backends(&physics, 1) {
        b.step(1500).unwrap();
        let state = b.state(0).unwrap();
        let angle = 2.0 * state.qpos[2].abs().min(1.0).acos();
        println!(
            "{}: {:.4} rad of 0.4, {:.4} m of -0.2, {angle:.4} rad of 0.5",
            b.name(),
            state.qpos[0],
            state.qpos[1]
        );
        assert!((state.qpos[0] - 0.4).abs() < 0.02, "{}: hinge at {}", b.name(), state.qpos[0]);
        assert!((state.qpos[1] + 0.2).abs() < 0.01, "{}: slide at {}", b.name(), state.qpos[1]);
        assert!((angle - 0.5).abs() < 0.05, "{}: ball at {angle}", b.name());
        assert!(state.qvel.iter().all(|v| v.abs() < 0.05), "{}: {:?}", b.name(), state.qvel);
    }
}

/// Each number below follows from Newton's law by hand.
#[test]
fn armature_gear_clamps_dry_friction_and_gravity_compensation_do_what_they_say() {
    let rotor = "<worldbody>
      <body><joint name='a' axis='0 0 1' armature='0.5'/>\
      <inertial mass='1' pos='0 0 0' diaginertia='0.25 0.25 0.25'/></body>
      <body pos='1 0 0'><joint name='b' axis='0 0 1' frictionloss='1'/>\
      <inertial mass='1' pos='0 0 0' diaginertia='0.25 0.25 0.25'/></body>
      <body pos='2 0 0'><joint name='c' type='slide' axis='1 0 0' frictionloss='1'/>\
      <inertial mass='2' pos='0 0 0' diaginertia='1 1 1'/></body>
      <body pos='3 0 0' gravcomp='1'><joint name='d' type='slide' axis='0 0 1'/>\
      <inertial mass='2' pos='0.1 0 0' diaginertia='1 1 1'/></body>
      <body pos='4 0 0'><joint name='e' type='slide' axis='1 0 0' actuatorfrcrange='-1 1'/>\
      <inertial mass='2' pos='0 0 0' diaginertia='1 1 1'/></body>
      <body pos='5 0 0'><joint name='f' type='slide' axis='1 0 0'/>\
      <inertial mass='2' pos='0 0 0' diaginertia='1 1 1'/></body>
    </worldbody><actuator>
      <motor joint='a' gear='3'/><motor joint='b'/><motor joint='c'/>
      <motor joint='e' ctrlrange='-5 5' ctrllimited='true'/>\
      <motor joint='f' gear='2' forcerange='-3 3' forcelimited='true'/></actuator>";
    let physics = scene("timestep='0.001'", rotor);
    for (mut b, _) in backends(&physics, 1) {
        b.reset_world(0, &physics.model().qpos0, &[0.0; 6]);
        b.set_ctrl(0, &[0.5, 0.8, 3.0, 9.0, 4.0]);
        b.step(1000).unwrap();
        let v = b.state(0).unwrap().qvel;
        // torque 3 * 0.5 on 0.25 + 0.5; held; 3 N less 1 N on 2 kg; afloat; 1 N on 2 kg; 2 * 3 N on 2 kg; for a second
        for (i, (expected, tolerance)) in
            [(2.0, 1e-3), (0.0, 0.02), (1.0, 0.02), (0.0, 1e-3), (0.5, 1e-3), (3.0, 1e-3)].into_iter().enumerate()
        {
            assert!((v[i] - expected).abs() < tolerance, "{} dof {i}: {} expected {expected}", b.name(), v[i]);
        }
    }
}

/// A robot as it ships (but for dry friction, which is a constraint), in the air at 1 ms steps, in a state whose joints
/// stay within their limits for a second under constant random controls (halved until they do).
fn in_flight(mut model: Model, seed: u64) -> (Physics, WorldState, Vec<f64>) {
    model.opt.timestep = 1e-3;
    model.opt.integrator = Integrator::Rk4;
    model.opt.frictionloss = false;
    let mut stream = Stream(seed);
    let mut state = moving(&model, &mut stream);
    state.time = 0.0;
    for joint in model.joints.iter().filter(|j| j.kind == JointKind::Free) {
        state.qpos[joint.qposadr + 2] += 10.0;
    }
    // a torso on slides has its height in the first of them that points up
    for joint in model.joints.iter().filter(|j| j.kind == JointKind::Slide && !j.limited && j.axis[2] > 0.9) {
        state.qpos[joint.qposadr] += 10.0;
    }
    let mut ctrl: Vec<f64> = model
        .actuators
        .iter()
        .map(|a| {
            let [low, high] = a.ctrlrange.unwrap_or([-1.0, 1.0]);
            0.5 * (low + high) + 0.3 * stream.uniform(low - high, high - low) * 0.5
        })
        .collect();
    let physics = physics(model);
    let model = physics.model();
    'scale: for _ in 0..16 {
        let mut trial = CpuBackend::<f64>::new(physics.clone(), 1);
        trial.set_state(0, &state);
        trial.set_ctrl(0, &ctrl);
        for _ in 0..1000 {
            trial.step(1).unwrap();
            let q = trial.state(0).unwrap().qpos;
            let inside = |j: &pavlov_model::Joint| j.range[0] < q[j.qposadr] && q[j.qposadr] < j.range[1];
            if model.joints.iter().any(|j| j.limited && j.kind != JointKind::Ball && !inside(j)) {
                ctrl.iter_mut().chain(&mut state.qvel).for_each(|x| *x *= 0.5);
                continue 'scale;
            }
        }
        trial.forward().unwrap();
        assert!(trial.evaluation(0).unwrap().contacts.is_empty(), "{} touches something", model.name);
        return (physics.clone(), state, ctrl);
    }
    panic!("{}: no state found that stays within the limits", model.name);
}

/// Robots of `assets/robots`, and the scene of all features.
fn robots() -> Vec<(String, Model)> {
    let folder = root().join("assets/robots");
    let mut models: Vec<(String, Model)> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|e| {
            let path = e.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (path.extension().is_some_and(|x| x == "xml"))
                .then(|| (name, load_mjcf(&path).unwrap_or_else(|e| panic!("{e}"))))
        })
        .collect();
    models.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(models.len() >= 7);
    models.push(("features".into(), (**scene("", FEATURES).model()).clone()));
    models
}

/// The bar: free motion agrees to 1e-3 over a second of 1 ms steps.
#[test]
fn free_motion_agrees_with_the_reference_to_a_thousandth() {
    for (name, model) in robots() {
        let mut worst: Vec<f64> = Vec::new();
        let mut travelled = 0.0f64;
        let mut label = Vec::new();
        for seed in 0..4 {
            let (physics, state, ctrl) = in_flight(model.clone(), 10 + seed);
            let mut judge = CpuBackend::<f64>::new(physics.clone(), 1);
            judge.set_state(0, &state);
            judge.set_ctrl(0, &ctrl);
            judge.step(1000).unwrap();
            let expected = judge.state(0).unwrap();
            travelled = travelled.max(largest(&expected.qpos, &state.qpos));
            label.clear();
            for (i, (mut b, _)) in backends(&physics, 1).into_iter().enumerate() {
                b.set_state(0, &state);
                b.set_ctrl(0, &ctrl);
                b.step(1000).unwrap();
                let off = largest(&b.state(0).unwrap().qpos, &expected.qpos);
                worst.resize(worst.len().max(i + 1), 0.0);
                worst[i] = worst[i].max(off);
                label.push(b.name());
            }
        }
        let figures: Vec<String> = label.iter().zip(&worst).map(|(l, w)| format!("{l} {w:.1e}")).collect();
        println!("{name}: {} (moved {travelled:.1})", figures.join(", "));
        assert!(worst.iter().all(|w| *w < 1e-3), "{name}: {figures:?}");
        assert!(travelled > 0.3, "{name}: it moves");
    }
}

#[test]
fn mass_matrices_agree() {
    for (name, model) in robots() {
        let (physics, state, _) = in_flight(model, 3);
        let mut reference: Option<Vec<f64>> = None;
        for (mut b, tolerance) in backends(&physics, 1) {
            b.set_state(0, &state);
            b.forward().unwrap();
            let qm = b.evaluation(0).unwrap().qm;
            let expected = reference.get_or_insert_with(|| qm.clone());
            let scale = expected.iter().fold(1.0f64, |m, x| m.max(x.abs()));
            let tolerance = if tolerance > 1e-9 { 1e-5 } else { 1e-9 };
            let off = largest(&qm, expected) / scale;
            assert!(off < tolerance, "{name} on {}: {off}", b.name());
        }
    }
}

/// A world that is given nonsense stays alone with it.
#[test]
fn a_world_that_is_not_finite_does_not_touch_the_others() {
    let physics = scene("", FEATURES);
    for ((mut b, _), (mut clean, _)) in backends(&physics, 3).into_iter().zip(backends(&physics, 3)) {
        let mut stream = Stream(4);
        for world in 0..3 {
            let mut state = moving(physics.model(), &mut stream);
            clean.set_state(world, &state);
            if world == 1 {
                state.qvel[0] = f64::NAN;
            }
            b.set_state(world, &state);
        }
        b.step(20).unwrap();
        clean.step(20).unwrap();
        assert!(b.state(1).unwrap().qvel.iter().any(|v| v.is_nan()), "{}: it shows", b.name());
        for world in [0, 2] {
            let (found, expected) = (b.state(world).unwrap(), clean.state(world).unwrap());
            assert_eq!(bits(&[found]), bits(&[expected]), "{} world {world}", b.name());
        }
    }
}
