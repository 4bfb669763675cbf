//! The modules of `rewards/lib`: every function is lowered, agrees with the interpreter, and has its known answer.

use pavlov_env::{Assets, Task};
use pavlov_script::{EntryKind, Program, Script};
use pavlov_tests::root;

fn compile(text: &str) -> Program {
    let task = Task::load(&Assets::from_roots([root()]), "go1_velocity").unwrap();
    let script = Script::parse("reward.rhai", text).unwrap();
    script.compile("reward", EntryKind::Terms, task.scene(), &[]).unwrap_or_else(|e| panic!("{e}"))
}

/// Value of every term in a state of zeros without rotation.
fn values(program: &Program) -> Vec<(String, f32)> {
    let stride = 8;
    let is_unit = |i: &pavlov_script::Input| matches!(i.channel, pavlov_script::Channel::BodyQuat { axis: 0, .. });
    let inputs: Vec<f32> = program.inputs().iter().flat_map(|i| [f32::from(u8::from(is_unit(i))); 8]).collect();
    let mut memory = vec![0.0; program.memory_init().len() * stride];
    for world in 0..stride {
        program.reset_memory(world, stride, &mut memory);
    }
    let mut out = vec![0.0; program.outputs().len() * stride];
    program.run(8, stride, &inputs, &[], &mut memory, &mut program.scratch(), &mut out).unwrap();
    program.outputs().iter().cloned().zip(out.chunks(stride).map(|c| c[0])).collect()
}

/// Calls with numbers, and their results.
const NUMBERS: &[(&str, f64)] = &[
    ("kernel::gaussian(0.5, 0.5)", 0.367_879),
    ("kernel::gaussian2(0.25, 0.5)", 0.367_879),
    ("kernel::laplace(-0.5, 0.25)", 0.135_335),
    ("kernel::cauchy(1.0, 0.5)", 0.2),
    ("kernel::parabola(0.5, 1.0) + kernel::parabola(2.0, 1.0)", 0.75),
    ("kernel::tent(0.25, 1.0) + kernel::tent(2.0, 1.0)", 0.75),
    ("tolerance::gaussian(2.5, 0.0, 1.0, 1.5)", 0.1),
    ("tolerance::hyperbolic(2.5, 0.0, 1.0, 1.5)", 0.1),
    ("tolerance::long_tail(2.5, 0.0, 1.0, 1.5)", 0.1),
    ("tolerance::reciprocal(2.5, 0.0, 1.0, 1.5)", 0.1),
    ("tolerance::cosine(2.5, 0.0, 1.0, 1.5)", 0.1),
    ("tolerance::linear(2.5, 0.0, 1.0, 1.5)", 0.1),
    ("tolerance::quadratic(2.5, 0.0, 1.0, 1.5)", 0.1),
    ("tolerance::tanh_squared(2.5, 0.0, 1.0, 1.5)", 0.1),
    ("tolerance::linear(0.5, 0.0, 1.0, 1.5) + tolerance::cosine(9.0, 0.0, 1.0, 1.5)", 1.0),
    ("gait::phase(1.3, 1.0, 0.5)", 0.8),
    ("gait::stance(0.4, 0.5) + gait::stance(0.6, 0.5)", 1.0),
    ("gait::swing_height(0.75, 0.5, 0.1) + gait::swing_height(0.25, 0.5, 0.1)", 0.1),
    ("stage::reach(0.0, 0.1)", 1.0),
    ("stage::gate(0.4, 3.0) + stage::gate(0.6, 2.0)", 2.0),
    ("stage::within(0.5, 0.0, 1.0) + stage::within(1.5, 0.0, 1.0)", 1.0),
    ("stage::staged([0.9, 0.5, 0.7], [1.0, 0.0, 1.0])", 1.5),
    ("stage::staged([0.9, 0.5, 0.7], [1.0, 1.0, 1.0])", 3.0),
    ("stage::staged([0.3, 1.0, 0.7], [0.0, 1.0, 1.0])", 0.3),
];

/// Calls on the state, and the same written out in the script.
const OF_STATE: &[(&str, &str)] = &[
    (
        "kernel::planar_velocity(trunk, 0.5, 0.1, 0.5)",
        "exp_kernel(vec2(0.5 - trunk.local_linvel.x, 0.1 - trunk.local_linvel.y).norm2(), 0.5)",
    ),
    ("kernel::turning(trunk, 0.3, 0.5)", "exp_kernel((0.3 - trunk.local_angvel.z) ** 2.0, 0.5)"),
    (
        "gait::follow(s.feet, s.time, 0.5, [0.0, 0.5, 0.5, 0.0], 0.5)",
        "sum(s.feet.map(|f| f.contact)) * 0.0 + gait::follow(s.feet, s.time + 0.5, 0.5, [0.0, 0.5, 0.5, 0.0], 0.5)",
    ),
    ("feet::slip(s.feet)", "sum(s.feet.map(|f| f.contact * f.vel.xy.norm2()))"),
    ("feet::standing(s.feet)", "s.feet[0].contact + s.feet[1].contact + s.feet[2].contact + s.feet[3].contact"),
    ("feet::clearance(s.feet, 0.1)", "sum(s.feet.map(|f| (f.height - 0.1) * (f.height - 0.1) * f.vel.xy.norm()))"),
    ("0.01 * feet::impact(s.feet, 50.0)", "0.01 * sum(s.feet.map(|f| max(f.force.norm() - 50.0, 0.0)))"),
    (
        "feet::stumble(s.feet, 2.0)",
        "sum(s.feet.map(|f| if f.force.xy.norm() > 2.0 * abs(f.force.z) { 1.0 } else { 0.0 }))",
    ),
    ("0.01 * energy::power(s.joints)", "0.01 * sum(s.joints.map(|j| abs(j.torque * j.vel)))"),
    (
        "0.01 * (energy::positive_power(s.joints) * 2.0 - energy::power(s.joints))",
        "0.01 * sum(s.joints.map(|j| j.torque * j.vel))",
    ),
    ("0.001 * energy::torque2(s.joints)", "0.001 * sum(s.joints.map(|j| j.torque * j.torque))"),
    ("energy::speed2(s.joints)", "sum(s.joints.map(|j| j.vel * j.vel))"),
    ("energy::transport(s.joints, 120.0, 0.1, 0.5)", "energy::power(s.joints) / 60.0"),
    ("smooth::action(s)", "diff2(s.action, s.prev_action)"),
    (
        "smooth::action2(s)",
        "sum([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map(|i| (now[i] - 2.0 * last[i] + before[i]) ** 2.0))",
    ),
    ("0.001 * smooth::acceleration(s.joints)", "0.001 * sum(s.joints.map(|j| j.acc * j.acc))"),
    ("posture::lean(trunk)", "1.0 - trunk.up.z * trunk.up.z"),
    ("posture::upright(trunk)", "-trunk.gravity.z"),
    ("posture::height(trunk, 0.27)", "(trunk.height - 0.27) ** 2.0"),
    ("posture::wobble(trunk)", "trunk.local_angvel.norm2() - trunk.local_angvel.z ** 2.0"),
    ("posture::bounce(trunk)", "trunk.local_linvel.z ** 2.0"),
    ("posture::home(s.joints)", "sum(s.joints.map(|j| (j.pos - j.home) * (j.pos - j.home)))"),
    ("posture::near_limits(s.joints, 0.1)", "posture::near_limits(s.joints, 0.05 + 0.05)"),
    ("contact::count([trunk])", "trunk.contact"),
    ("contact::touching([trunk, trunk])", "trunk.contact"),
    ("0.01 * contact::force([trunk], 10.0)", "0.01 * max(trunk.force.norm() - 10.0, 0.0)"),
    (
        "stage::grasped(s.feet[0], s.feet[1], 100.0)",
        "if min(s.feet[0].force.norm(), s.feet[1].force.norm()) > 100.0 { 1.0 } else { 0.0 }",
    ),
];

fn imports() -> String {
    let names = ["kernel", "tolerance", "gait", "feet", "energy", "smooth", "posture", "contact", "stage"];
    names.map(|n| format!("import \"lib/{n}\" as {n};\n")).concat()
}

#[test]
fn functions_of_numbers_have_their_known_answers() {
    let terms: Vec<String> =
        NUMBERS.iter().enumerate().map(|(i, (call, _))| format!("t{i}: 0.0 * s.time + {call}")).collect();
    let program = compile(&format!("{}fn reward(s) {{ #{{ {} }} }}", imports(), terms.join(",\n")));
    assert!(program.is_lowered());
    for ((name, found), (call, expected)) in values(&program).iter().zip(NUMBERS) {
        assert!((f64::from(*found) - expected).abs() < 1e-5, "{name} {call}: {found}, expected {expected}");
    }
}

#[test]
fn functions_of_the_state_are_what_they_say_lowered_and_interpreted() {
    let terms: Vec<String> = OF_STATE
        .iter()
        .enumerate()
        .map(|(i, (call, expanded))| format!("t{i}: {call},\nd{i}: ({call}) - ({expanded})"))
        .collect();
    let text = format!(
        "{}fn reward(s) {{ let trunk = s.body(\"trunk\"); let now = s.action; let last = s.prev_action; \
         let before = s.prev.prev_action; #{{ {} }} }}",
        imports(),
        terms.join(",\n")
    );
    let program = compile(&text);
    assert!(program.is_lowered(), "{:?}", program.findings());
    let parity = program.parity(500, 4).unwrap();
    println!("{} operations, parity {:.1e}", program.operations(), parity.max_error);
    assert!(parity.max_error < 2e-5, "{parity:?}");
    // The differences are 0 in random states too: run both ways, they are.
    let stride = 64;
    let mut inputs: Vec<f32> = Vec::new();
    for (k, input) in program.inputs().iter().enumerate() {
        let quat = matches!(input.channel, pavlov_script::Channel::BodyQuat { .. });
        inputs.extend((0..stride).map(|w| {
            let x = (((k * 131 + w * 71) % 199) as f32 - 99.0) / 99.0;
            match input.channel {
                pavlov_script::Channel::FootContact(_) | pavlov_script::Channel::BodyContact(_) => {
                    f32::from(u8::from(x > 0.0))
                }
                pavlov_script::Channel::BodyQuat { axis: 0, .. } => 0.8,
                pavlov_script::Channel::BodyQuat { axis: 1, .. } => 0.6,
                _ if quat => 0.0,
                _ => x,
            }
        }));
    }
    let mut out = vec![0.0; program.outputs().len() * stride];
    program.run(stride, stride, &inputs, &[], &mut [], &mut program.scratch(), &mut out).unwrap();
    for (name, column) in program.outputs().iter().zip(out.chunks(stride)).filter(|(n, _)| n.starts_with('d')) {
        let i: usize = name[1..].parse().unwrap();
        let worst = column.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        assert!(worst < 1e-4, "{}: off by {worst}", OF_STATE[i].0);
    }
}

#[test]
fn air_time_is_paid_when_a_foot_lands() {
    let text = format!(
        "{}fn memory() {{ #{{ air: [0.0, 0.0, 0.0, 0.0] }} }}\nfn reward(s, p, m) {{\n  \
         let paid = feet::air_time(s.feet, m.air, 0.2, 0.4);\n  m.air = feet::airborne(s.feet, m.air, s.dt);\n  \
         #{{ paid: paid, flight: m.air[0] }} }}",
        imports()
    );
    let program = compile(&text);
    assert!(program.is_lowered(), "{:?}", program.findings());
    assert!(program.parity(100, 1).unwrap().max_error < 1e-5);
    let dt = program.scene().dt;
    let n = program.inputs().len();
    let mut memory = vec![0.0; 4 * 8];
    let mut step = |contact: f32| {
        let mut out = vec![0.0; 2 * 8];
        program.run(8, 8, &vec![contact; n * 8], &[], &mut memory, &mut program.scratch(), &mut out).unwrap();
        (f64::from(out[0]), f64::from(out[8]))
    };
    for i in 1..=15 {
        let (paid, air) = step(0.0);
        assert!(paid == 0.0 && (air - f64::from(i) * dt).abs() < 1e-5);
    }
    let (paid, air) = step(1.0);
    assert!((paid - 4.0 * (15.0 * dt - 0.2)).abs() < 1e-5 && air == 0.0, "{paid} {air}");
    assert_eq!(step(1.0), (0.0, 0.0));
}

#[test]
fn every_module_is_imported_here_and_documented() {
    let lib = Assets::from_roots([root()]).lib();
    for (name, _) in pavlov_script::available_modules(&lib) {
        assert!(imports().contains(&format!("\"{name}\"")), "{name} is not tested");
    }
    let page = pavlov_script::module_documentation(&lib);
    assert!(page.contains("- `air_time(feet, air, target, longest)`: Sum over landing feet"), "{page}");
    assert!(!page.contains("`: \n"), "a function without a comment:\n{page}");
}

/// The shipped reward of go1_velocity without modules.
const WRITTEN_OUT: &str = r#"
// Seconds each foot has been in the air.
fn memory() { #{ air: [0.0, 0.0, 0.0, 0.0] } }

fn reward(s, p, m) {
    let trunk = s.body("trunk");
    let v = trunk.local_linvel;
    let w = trunk.local_angvel;
    let error = vec2(s.command.vx - v.x, s.command.vy - v.y).norm2();
    let moving = vec3(s.command.vx, s.command.vy, s.command.yaw).norm() > 0.1;
    let steps = 0.0;
    for (foot, i) in s.feet {
        let down = foot.contact > 0.5;
        if down {
            if m.air[i] > 0.0 && moving { steps += min(m.air[i], 0.4) - 0.2; }
            m.air[i] = 0.0;
        } else {
            m.air[i] += s.dt;
        }
    }
    let turn = s.command.yaw - w.z;
    let tall = trunk.height - p.target_height;
    #{ track: p.track * exp_kernel(error, p.sigma),
       track_yaw: p.track_yaw * exp_kernel(turn * turn, p.sigma),
       alive: p.alive,
       air: p.air * steps,
       bounce: -p.bounce * v.z * v.z,
       roll_pitch: -p.roll_pitch * w.xy.norm2(),
       level: -p.level * trunk.gravity.xy.norm2(),
       height: -p.height * tall * tall,
       torque: -p.torque * s.joints.map(|j| j.torque).norm2(),
       smooth: -p.smooth * diff2(s.action, s.prev_action),
       pose: -p.pose * s.joints.map(|j| j.pos - j.home).norm2(),
       slip: -p.slip * sum(s.feet.map(|f| f.contact * f.vel.xy.norm2())) }
}
"#;

#[test]
fn the_shipped_reward_gives_what_it_gives_written_out() {
    let assets = Assets::from_roots([root()]);
    let task = Task::load(&assets, "go1_velocity").unwrap();
    let path = assets.reward("go1_velocity", "default").unwrap();
    let reward = pavlov_reward::Reward::load(&path, "default", task.scene()).unwrap();
    let modular = reward.program();
    let script = Script::parse("long.rhai", WRITTEN_OUT).unwrap();
    let long = script.compile("reward", EntryKind::Terms, task.scene(), modular.params()).unwrap();
    assert_eq!(modular.outputs(), long.outputs());
    let stride = 64;
    let column = |input: &pavlov_script::Input, step: usize| -> Vec<f32> {
        let text = input.describe(task.scene());
        let seed: usize = text.bytes().fold(7, |a, b| (a * 31 + usize::from(b)) % 100_003);
        let x = (0..stride).map(|w| (((seed + w * 71 + step * 37) % 199) as f32 - 99.0) / 99.0);
        let contact = text.contains("contact");
        x.map(|x| if contact { f32::from(u8::from(x > 0.0)) } else { x }).collect()
    };
    let (mut ma, mut mb) = (vec![0.0; 4 * stride], vec![0.0; 4 * stride]);
    let mut worst = 0.0f32;
    for step in 0..40 {
        let run = |p: &Program, memory: &mut [f32]| {
            let inputs: Vec<f32> = p.inputs().iter().flat_map(|i| column(i, step)).collect();
            let mut out = vec![0.0; p.outputs().len() * stride];
            p.run(stride, stride, &inputs, reward.values(), memory, &mut p.scratch(), &mut out).unwrap();
            out
        };
        let (a, b) = (run(modular, &mut ma), run(&long, &mut mb));
        worst = a.iter().zip(&b).fold(worst, |w, (x, y)| w.max((x - y).abs() / y.abs().max(1.0)));
    }
    assert!(worst < 1e-6 && ma == mb, "{worst}");
}
