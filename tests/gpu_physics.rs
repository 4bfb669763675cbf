//! The physics on the GPU against the `f64` reference: accelerations and contacts in recorded states of every robot,
//! long motion without contact, scripts of every shipped reward; and how long kernels take to compile. Without an
//! adapter these tests say so and pass.

use pavlov_env::gpu::script_kernel;
use pavlov_env::{Assets, Task};
use pavlov_model::{JointKind, load_mjcf};
use pavlov_physics::gpu::{Access, Gpu};
use pavlov_physics::{Backend, CpuBackend, GpuBackend, Physics};
use pavlov_reward::Reward;
use pavlov_tests::{Arrays, Worst, gpu, relative_error, robot, root};
use std::sync::Arc;
use std::time::Instant;

/// Largest errors of `f32` on the GPU against `f64`: acceleration (relative), 100 steps without contact, scripts.
const ACCELERATION: f64 = 1e-4;
const MOTION: f64 = 1e-3;
const SCRIPT: f64 = 1e-5;

fn physics(name: &str) -> Physics {
    let model = load_mjcf(&robot(name)).unwrap_or_else(|e| panic!("{e}"));
    Physics::new(Arc::new(model)).unwrap_or_else(|e| panic!("{e}"))
}

/// Both in the recorded states: mass matrix, bias, free acceleration, acceleration, contacts.
fn conform(name: &str) {
    let Some(gpu) = gpu() else { return };
    let mut physics = physics(name);
    physics.solver.iterations = 100;
    let recorded = Arrays::read(&format!("conformance_{name}"));
    let n = recorded.len("qpos");
    let mut on_gpu = GpuBackend::new(gpu, physics.clone(), n).unwrap_or_else(|e| panic!("{e}"));
    let mut reference = CpuBackend::<f64>::new(physics.clone(), n);
    for s in 0..n {
        for b in [&mut on_gpu as &mut dyn Backend, &mut reference] {
            b.reset_world(s, recorded.row("qpos", s), recorded.row("qvel", s));
            b.set_ctrl(s, recorded.row("ctrl", s));
        }
    }
    on_gpu.forward().unwrap();
    reference.forward().unwrap();
    let mut table = [
        Worst::new("mass matrix", ACCELERATION),
        Worst::new("bias", ACCELERATION),
        Worst::new("qacc_smooth", ACCELERATION),
        Worst::new("qacc", ACCELERATION),
        Worst::new("contacts", ACCELERATION),
    ];
    for s in 0..n {
        let (g, r) = (on_gpu.evaluation(s).unwrap(), reference.evaluation(s).unwrap());
        let contacts = if g.contacts.len() == r.contacts.len() {
            let error = |(a, b): (&pavlov_physics::ContactPoint, &pavlov_physics::ContactPoint)| {
                assert_eq!((a.geom1, a.geom2), (b.geom1, b.geom2));
                let numbers = |c: &pavlov_physics::ContactPoint| [&[c.dist][..], &c.pos, &c.normal].concat();
                relative_error(&numbers(a), &numbers(b))
            };
            g.contacts.iter().zip(&r.contacts).map(error).fold(0.0, f64::max)
        } else {
            f64::INFINITY
        };
        let errors = [
            relative_error(&g.qm, &r.qm),
            relative_error(&g.qfrc_bias, &r.qfrc_bias),
            relative_error(&g.qacc_smooth, &r.qacc_smooth),
            relative_error(&g.qacc, &r.qacc),
            contacts,
        ];
        table.iter_mut().zip(errors).for_each(|(worst, e)| worst.see(s, e));
    }
    let line: Vec<String> = table.iter().map(|w| format!("{} {:.1e}", w.quantity, w.error)).collect();
    println!("{name}: {} states, {}", n, line.join(", "));
    for w in table {
        assert_eq!(w.above, 0, "{name}: {} in state {}: {}", w.quantity, w.state, w.error);
    }
}

/// 100 steps from 64 states high above the floor.
fn fly(name: &str) {
    let Some(gpu) = gpu() else { return };
    let mut model = load_mjcf(&robot(name)).unwrap_or_else(|e| panic!("{e}"));
    model.opt.contact = false;
    let physics = Physics::new(Arc::new(model)).unwrap_or_else(|e| panic!("{e}"));
    let recorded = Arrays::read(&format!("conformance_{name}"));
    let mut on_gpu = GpuBackend::new(gpu, physics.clone(), 64).unwrap_or_else(|e| panic!("{e}"));
    let mut reference = CpuBackend::<f64>::new(physics.clone(), 64);
    for s in 0..64 {
        // within the limits, so that nothing but the motion is compared
        let mut qpos = recorded.row("qpos", s).to_vec();
        for j in physics.model().joints.iter().filter(|j| j.limited && j.kind != JointKind::Ball) {
            let middle = 0.5 * (j.range[0] + j.range[1]);
            qpos[j.qposadr] = middle + 0.2 * (qpos[j.qposadr].clamp(j.range[0], j.range[1]) - middle);
        }
        let qvel: Vec<f64> = recorded.row("qvel", s).iter().map(|v| v.clamp(-1.0, 1.0)).collect();
        for b in [&mut on_gpu as &mut dyn Backend, &mut reference] {
            b.reset_world(s, &qpos, &qvel);
        }
    }
    on_gpu.step(100).unwrap();
    reference.step(100).unwrap();
    let mut worst = Worst::new("motion", MOTION);
    for s in 0..64 {
        let (g, r) = (on_gpu.state(s).unwrap(), reference.state(s).unwrap());
        worst.see(s, relative_error(&g.qpos, &r.qpos));
    }
    println!("{name}: 100 steps without contact, worst {:.1e}", worst.error);
    assert_eq!(worst.above, 0, "{name}: state {}: {}", worst.state, worst.error);
}

macro_rules! robots {
    ($($test:ident $name:literal),*) => { $(
        #[test]
        fn $test() {
            conform($name);
            fly($name);
        }
    )* };
}

robots!(hopper "hopper", half_cheetah "half_cheetah", walker2d "walker2d", ant "ant", go1 "go1");

#[test]
fn humanoid() {
    conform("humanoid");
}

#[test]
#[ignore = "compiles a second large kernel"]
fn humanoid_flies_slow() {
    fly("humanoid");
}

/// Every shipped reward on random columns, against the processor's program.
#[test]
fn scripts_give_what_the_processor_gives() {
    let Some(gpu) = gpu() else { return };
    let assets = Assets::from_roots([root()]);
    let mut worst = (0.0f64, String::new());
    for entry in assets.tasks() {
        let task = Task::load(&assets, &entry.name).unwrap_or_else(|e| panic!("{e}"));
        let path = assets.reward(&task.name, task.default_reward()).unwrap_or_else(|e| panic!("{e}"));
        let reward = Reward::load(&path, "own", task.scene()).unwrap_or_else(|e| panic!("{e}"));
        let error = script_error(&gpu, &reward);
        println!("{}: {error:.1e}", task.name);
        if error > worst.0 {
            worst = (error, task.name.clone());
        }
    }
    assert!(worst.0 <= SCRIPT, "{}: {}", worst.1, worst.0);
}

fn script_error(gpu: &Gpu, reward: &Reward) -> f64 {
    const N: usize = 256;
    let program = reward.program();
    let text = script_kernel(program).expect("shipped rewards are lowered");
    let access = [Access::Uniform, Access::Read, Access::Read, Access::Write, Access::Write];
    let kernel = gpu.pipeline(reward.name(), &text, "run_script", &access).unwrap_or_else(|e| panic!("{e}"));
    let (inputs, memory, outputs) = (program.inputs().len(), program.memory_init().len(), program.outputs().len());
    let columns: Vec<f32> = (0..inputs * N).map(|i| 2.0 * ((i as f32 * 0.734_1).sin() * 43.7).sin()).collect();
    let mut remembered = vec![0.0f32; memory * N];
    (0..N).for_each(|w| program.reset_memory(w, N, &mut remembered));
    let buffer = |n: usize| gpu.buffer("columns", n.max(1), "").unwrap();
    let (a, b, c, d) = (buffer(inputs * N), buffer(reward.values().len()), buffer(memory * N), buffer(outputs * N));
    gpu.write(&a, 0, &columns);
    gpu.write(&b, 0, reward.values());
    gpu.write(&c, 0, &remembered);
    let run = gpu.uniform(&[N as u32, 0, 0, 0]);
    let group = gpu.bind(&kernel, &[&run, &a, &b, &c, &d]);
    gpu.launch(&kernel, &group, N.div_ceil(32) as u32).unwrap();
    let found = gpu.read(&[(&d, outputs * N)]).unwrap().remove(0);
    let mut expected = vec![0.0f32; outputs * N];
    let mut scratch = program.scratch();
    program.run(N, N, &columns, reward.values(), &mut remembered, &mut scratch, &mut expected).unwrap();
    let error =
        |(f, e): (&f32, &f32)| if f == e { 0.0 } else { f64::from((f - e).abs()) / f64::from(e.abs()).max(1.0) };
    found.iter().zip(&expected).map(error).fold(0.0, f64::max)
}

/// Cold, from an empty cache of the driver's and of ours, and warm. Set `PAVLOV_CACHE` and `MESA_SHADER_CACHE_DIR` to
/// an empty folder first.
#[test]
#[ignore = "compiles the largest kernel, twice"]
fn compile_time_of_the_humanoid_slow() {
    let Some(gpu) = gpu() else { return };
    let physics = physics("humanoid");
    let mut seconds = [0.0; 2];
    for s in &mut seconds {
        let begin = Instant::now();
        let mut on_gpu = GpuBackend::new(gpu.clone(), physics.clone(), 8).unwrap_or_else(|e| panic!("{e}"));
        // software drivers compile at the first launch
        on_gpu.forward().unwrap();
        *s = begin.elapsed().as_secs_f64();
    }
    println!("humanoid: {:.1} s, then {:.2} s", seconds[0], seconds[1]);
    assert!(seconds[0] < 60.0 && seconds[1] < 3.0, "{seconds:?}");
}
