//! A compiled entry function: running it over columns of worlds, and comparing the two ways of running it.

use crate::diag::Finding;
use crate::graph::{Graph, Id};
use crate::interp::Interp;
use crate::library::Modules;
use crate::program::{Lowered, Machine, Registers};
use crate::scene::{Input, Scene};
use crate::script::{EntryKind, Parts, Script};
use crate::tail::{Tail, TailError};
use std::path::Path;
use std::sync::Arc;

/// How a program runs.
#[derive(Debug)]
pub(crate) enum Way {
    Lowered(Box<Lowered>, Box<Origin>),
    Interpreted,
}

/// The graph a lowered program was made from, with the numbers that come out and those that are remembered.
#[derive(Debug)]
pub(crate) struct Origin {
    pub graph: Graph,
    pub outputs: Vec<Id>,
    pub memory: Vec<Id>,
}

/// A failure while running; only interpreted scripts can fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: `{entry}` failed in world {world} of its block: {message}")]
pub struct ScriptError {
    /// Script.
    pub file: String,
    /// Line, from 1; 0 when unknown.
    pub line: usize,
    /// Function.
    pub entry: String,
    /// World within the columns given.
    pub world: usize,
    /// What went wrong.
    pub message: String,
}

/// Working memory of one runner.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    registers: Registers,
    operations: u64,
}

impl Scratch {
    /// Most operations that a call of an interpreted script took in the last run, as rhai counts them; 0 where the
    /// script is lowered.
    pub fn operations(&self) -> u64 {
        self.operations
    }
}

/// An entry function of a script, checked against a scene.
#[derive(Debug)]
pub struct Program {
    pub(crate) script: Script,
    pub(crate) entry: String,
    pub(crate) kind: EntryKind,
    pub(crate) scene: Arc<Scene>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<String>,
    pub(crate) params: Vec<(String, f64)>,
    pub(crate) memory_init: Vec<f32>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) way: Way,
    pub(crate) interp: Interp,
    /// What follows the script.
    pub(crate) tail: Option<Tail>,
    /// The script and what it imports.
    pub(crate) modules: Arc<Modules>,
}

impl Program {
    /// The function.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// The script it was compiled from.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// The scene it was checked against.
    pub fn scene(&self) -> &Arc<Scene> {
        &self.scene
    }

    /// The columns to fill, in this order.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Names of the output columns: terms, or `name[0]`, ... of a vector.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// Parameters with their default values; those of the script first, then the numbers that the host of a tail sets.
    pub fn params(&self) -> &[(String, f64)] {
        &self.params
    }

    /// Name and file of every module that the script imports, or that these import.
    pub fn modules(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.modules.0.iter().skip(1).map(|m| (m.name.as_str(), m.path.as_path()))
    }

    /// Start value of each memory column; empty when nothing is remembered.
    pub fn memory_init(&self) -> &[f32] {
        &self.memory_init
    }

    /// False when the interpreter runs it.
    pub fn is_lowered(&self) -> bool {
        matches!(self.way, Way::Lowered(..))
    }

    /// Replays the lowered program on another kind of number and returns the outputs; `memory` is taken from before the
    /// step to after it. None when interpreted.
    ///
    /// # Panics
    /// When inputs, parameters or memory are not as many as the program's.
    pub fn replay<M: Machine>(
        &self,
        m: &mut M,
        inputs: &[M::N],
        params: &[M::N],
        memory: &mut [M::N],
    ) -> Option<Vec<M::N>> {
        assert!(inputs.len() == self.inputs.len() && memory.len() == self.memory_init.len(), "columns of a program");
        match &self.way {
            Way::Lowered(l, _) => Some(l.replay(m, inputs, params, memory)),
            Way::Interpreted => None,
        }
    }

    /// Operations of the lowered program; 0 when interpreted.
    pub fn operations(&self) -> usize {
        match &self.way {
            Way::Lowered(l, _) => l.len(),
            Way::Interpreted => 0,
        }
    }

    /// Warnings.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Working memory for one runner.
    pub fn scratch(&self) -> Scratch {
        match &self.way {
            Way::Lowered(l, _) => Scratch { registers: l.registers(), operations: 0 },
            Way::Interpreted => Scratch::default(),
        }
    }

    /// Puts the start values into the memory columns `[slot][stride]` of one world.
    pub fn reset_memory(&self, world: usize, stride: usize, memory: &mut [f32]) {
        for (slot, &x) in self.memory_init.iter().enumerate() {
            memory[slot * stride + world] = x;
        }
    }

    /// The program with `tail` after it: its outputs, memory and host's numbers stand after those of the script.
    ///
    /// # Errors
    /// When the tail needs a term in the state before the step, and the term is not of one state.
    ///
    /// # Panics
    /// When the program has a tail already.
    pub fn extend(mut self, tail: Tail) -> Result<Self, TailError> {
        assert!(self.tail.is_none(), "a program takes one tail");
        let slots = self.memory_init.len();
        match &mut self.way {
            Way::Lowered(lowered, origin) => {
                let (outputs, memory) = tail.attach(&mut origin.graph, &origin.outputs, slots)?;
                origin.outputs.extend(outputs);
                origin.memory.extend(memory);
                **lowered = Lowered::new(&origin.graph, &origin.outputs, &origin.memory);
                self.inputs = lowered.inputs.clone();
            }
            Way::Interpreted => {
                if tail.needs_before() && slots > 0 {
                    let reason = "may read what the script remembers, which runs by the interpreter".into();
                    return Err(TailError { term: tail.first_before(), reason });
                }
                for input in tail.inputs() {
                    if !self.inputs.contains(&input) {
                        self.inputs.push(input);
                    }
                }
            }
        }
        self.interp.place(&self.inputs);
        self.outputs.extend(tail.output_names().map(str::to_string));
        self.params.extend(tail.host_params().iter().cloned());
        self.memory_init.extend(tail.memory_init().map(|x| x as f32));
        self.tail = Some(tail);
        Ok(self)
    }

    /// Runs over `width` worlds of columns `[column][stride]`; `stride` is a multiple of 8. Booleans come out as 0 or
    /// 1.
    ///
    /// # Errors
    /// When an interpreted script fails.
    ///
    /// # Panics
    /// When a slice is too short or `stride` is no multiple of 8.
    pub fn run(
        &self,
        width: usize,
        stride: usize,
        inputs: &[f32],
        params: &[f32],
        memory: &mut [f32],
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<(), ScriptError> {
        assert!(width <= stride && stride.is_multiple_of(8), "width {width}, stride {stride}");
        match &self.way {
            Way::Lowered(l, _) => {
                l.run(width, stride, inputs, params, memory, &mut scratch.registers, out);
                Ok(())
            }
            Way::Interpreted => {
                scratch.operations = self.interpret(width, stride, inputs, params, memory, out)?;
                Ok(())
            }
        }
    }

    /// As [`Program::run`], by the interpreter whether or not the program is lowered.
    ///
    /// # Errors
    /// When the script fails.
    pub fn run_interpreted(
        &self,
        width: usize,
        stride: usize,
        inputs: &[f32],
        params: &[f32],
        memory: &mut [f32],
        out: &mut [f32],
    ) -> Result<(), ScriptError> {
        self.interpret(width, stride, inputs, params, memory, out).map(|_| ())
    }

    /// Runs by the interpreter; the most operations that a world took.
    fn interpret(
        &self,
        width: usize,
        stride: usize,
        inputs: &[f32],
        params: &[f32],
        memory: &mut [f32],
        out: &mut [f32],
    ) -> Result<u64, ScriptError> {
        let parts = Parts {
            entry: &self.entry,
            kind: self.kind,
            args: 0,
            scene: &self.scene,
            modules: &self.modules,
            params: &self.params,
            memory: None,
            start: Vec::new(),
            above: Vec::new(),
        };
        let terms = self.outputs.len() - self.tail.as_ref().map_or(0, |t| t.output_names().count());
        let slots = self.memory_init.len();
        let script_slots = slots - self.tail.as_ref().map_or(0, |t| t.memory_init().count());
        let place = |input: Input| self.inputs.iter().position(|i| *i == input);
        let mut most = 0;
        for world in 0..width {
            let failed = |message: String, line: usize| ScriptError {
                file: self.script.file().into(),
                line,
                entry: self.entry.clone(),
                world,
                message,
            };
            let values: Vec<f64> = (0..self.inputs.len()).map(|i| f64::from(inputs[i * stride + world])).collect();
            let mut remembered: Vec<f64> = (0..slots).map(|i| f64::from(memory[i * stride + world])).collect();
            let call = |values: Vec<f64>, memory: &mut [f64]| -> Result<Vec<f64>, ScriptError> {
                let value = self.interp.call(values, params, memory);
                let value = value.map_err(|(message, pos)| failed(message, pos.line().unwrap_or(0)))?;
                let found = self.script.outputs(&parts, &value).map_err(|f| failed(f.message, 0))?;
                if found.len() != terms || found.iter().zip(&self.outputs).any(|((n, _), o)| n != o) {
                    return Err(failed("the terms differ from those of a robot at rest".into(), 0));
                }
                Ok(found.into_iter().map(|(_, x)| x).collect())
            };
            let mut found = call(values.clone(), &mut remembered[..script_slots])?;
            most = most.max(self.interp.operations());
            if let Some(tail) = &self.tail {
                let mut before = Vec::new();
                if tail.needs_before() {
                    let earlier = |(i, input): (usize, &Input)| {
                        let from = if input.prev { None } else { place(Input::prev(input.channel)) };
                        values[from.unwrap_or(i)]
                    };
                    // A script that remembers nothing may be asked twice.
                    before = call(self.inputs.iter().enumerate().map(earlier).collect(), &mut [])?;
                }
                let column = |input: Input| place(input).map_or(f64::NAN, |i| values[i]);
                let (outputs, memory) = tail.eval(&found, &before, column, params, &remembered[script_slots..]);
                found.extend(outputs);
                remembered[script_slots..].copy_from_slice(&memory);
            }
            for (i, x) in found.iter().enumerate() {
                out[i * stride + world] = *x as f32;
            }
            for (i, x) in remembered.iter().enumerate() {
                memory[i * stride + world] = *x as f32;
            }
        }
        Ok(most)
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::example;
    use crate::script::{EntryKind, Script};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn compile(text: &str) -> crate::Program {
        let params = [("w".to_string(), 0.7), ("sigma".to_string(), 0.25)];
        let script = Script::parse("reward.rhai", text).unwrap();
        script
            .compile("reward", EntryKind::Terms, &Arc::new(example()), &params)
            .unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    /// Scripts that must be lowered and give what the interpreter gives.
    const SCRIPTS: &[&str] = &[
        "fn reward(s, p) { let v = s.body(\"torso\").linvel; #{ forward: p.w * v.x, up: s.body(\"torso\").up.z, \
         cost: -s.action.norm2() } }",
        "fn reward(s) { #{ slip: sum(s.feet.map(|f| f.contact * f.vel.xy.norm2())), n: s.feet.len() / 2, \
         half: 7 / 2 + 7 % 4 } }",
        "fn reward(s) { let x = 0.0; for j in s.joints { if j.pos > j.upper { x += j.pos - j.upper; } \
         else if j.pos < j.lower { x += j.lower - j.pos } } #{ limits: -x } }",
        "fn reward(s) { if s.body(\"torso\").height < 0.3 { return #{ fall: -1.0, alive: 0.0 }; } \
         #{ alive: 1.0, fall: 0 } }",
        "fn reward(s) { let best = -100.0; for (a, i) in s.action { if a > 0.5 { continue; } if a < -1.0 { break; } \
         best = max(best, a * (i + 1)); } #{ best: best } }",
        "fn kernel(e, sigma) { exp_kernel(e, sigma) } \
         fn reward(s, p) { let e = s.command.vx - s.body(\"torso\").local_linvel.x; #{ track: kernel(e * e, p.sigma), \
         t: kernel(0.1, 1) } }",
        "fn reward(s) { #{ rate: -diff2(s.action, s.prev_action), \
         dv: s.body(\"leg\").linvel.z - s.prev.body(\"leg\").linvel.z } }",
        "fn reward(s) { let k = 3.0; let f = s.qvel.map(|v| v * k); #{ a: f[0], b: f[-1], c: f.max(), \
         d: min(f) + mean(f) } }",
        "fn reward(s) { let b = s.body(\"torso\"); #{ yaw: wrap_pi(b.yaw + 3.0), roll: b.roll, pitch: b.pitch, \
         g: b.gravity.z, r: b.quat.rotate(vec3(1, 2.0, 0)).y, i: (b.quat.inv() * b.quat).w } }",
        "fn reward(s) { let t = tolerance(s.qpos[2], 0.5, 1, 0.4); let u = smoothstep(0, 1.0, s.qpos[2]); \
         let up = if s.qpos[2] > 1 { 1 } else { 0 }; #{ t: t, u: u, up: up * 2, x: up * 0.5 } }",
        "fn reward(s) { let n = 0; let i = 0; while i < 4 { i += 1; if i == 2 { continue; } n += i; } \
         let m = #{ a: [1.0, 2.0] }; m.a[1] += s.time; #{ n: n, m: m.a[1], s: m.a.sum() } }",
        "fn sq(x) { if x < 0.0 { return -x * x; } x * x } fn reward(s) { let a = sq(s.qvel[0]); \
         let b = sq(s.qvel[1]) ; #{ a: a, b: b, c: if a > b && !(a > 1.0) || b > 2.0 { a } else { b } } }",
        "fn reward(s) { let all = s.feet.all(|f| f.contact > 0.5); let some = s.feet.some(|f| f.contact > 0.5); \
         #{ a: if all { 1.0 } else { 0.0 }, b: if some { 1.0 } else { 0.0 }, \
         r: s.qvel.reduce(|t, v| t + v * v, 0.0) } }",
        "fn reward(s) { s.body(\"torso\").linvel.norm() + s.sensor(\"gyro\")[1] ** 2 + abs(-3) + PI() }",
        "fn reward(s) { let v = s.com.linvel - s.site(\"imu\").linvel * 2.0; let u = v.unit(); #{ d: u.dot(v), \
         c: u.cross(vec3(0.0, 0.0, 1.0)).x, n: (-u).norm(), j: s.joint(\"hip\").torque * s.joint(\"hip\").vel } }",
    ];

    #[test]
    fn lowered_scripts_give_what_the_interpreter_gives() {
        for text in SCRIPTS {
            let program = compile(text);
            assert!(program.is_lowered(), "{text}: {:?}", program.findings());
            let parity = program.parity(500, 7).unwrap();
            assert!(parity.max_error < 1e-5, "{text}: {parity:?}");
        }
    }

    /// Closures that read what they run on, or what is around them: rhai by itself fails in most of these.
    const CLOSURES: &[&str] = &[
        "fn reward(s) { let q = s.qpos; #{ a: q.map(|x| x - q[0]).norm2() } }",
        "fn reward(s) { #{ a: sum(s.feet.map(|f| f.pos.x - s.com.pos.x)) } }",
        "fn reward(s) { #{ a: s.feet.map(|f| s.joints.map(|j| j.pos * f.contact).sum()).sum() } }",
        "fn reward(s) { let v = s.qvel; #{ a: v.map(|x| v.map(|y| x * y - v[0]).sum()).sum() } }",
        "fn reward(s, p) { #{ a: s.qvel.reduce(|t, v| t + v * v * p.w + s.time, 0.0) } }",
        "fn reward(s) { let q = s.qpos; let m = q.mean(); \
         #{ a: if q.all(|x| x < q[0] + 10.0) { m } else { q.map(|x| q.map(|y| y * x).max()).min() } } }",
        "fn reward(s) { let q = s.qpos; q[0] = 1.0; #{ a: q.map(|x| x * q[0]).sum() } }",
        "fn f(list, k) { list.map(|x| list.map(|y| x * y * k).sum()).sum() } fn reward(s) { #{ a: f(s.qvel, s.time) } }",
        "fn memory() { #{ air: [0.0, 0.0], n: 0.0 } } \
         fn reward(s, p, m) { m.n += 1.0; let air = m.air; m.air = s.feet.map(|f, i| air[i] + f.contact); \
         #{ a: air.map(|x| x + air[0]).sum() } }",
    ];

    #[test]
    fn closures_are_lowered_and_run_by_the_interpreter_alike() {
        for text in CLOSURES {
            let program = compile(text);
            assert!(program.is_lowered(), "{text}: {:?}", program.findings());
            let parity = program.parity(50, 7).unwrap_or_else(|e| panic!("{text}\n{e}"));
            assert!(parity.max_error < 1e-4, "{text}: {parity:?}");
        }
    }

    #[test]
    fn closures_that_change_variables_are_interpreted_or_refused() {
        let text = "fn reward(s) { let t = 0.0; s.feet.map(|f| { t += f.contact * s.dt; t }); #{ a: t } }";
        let program = compile(text);
        assert!(!program.is_lowered(), "a closure that changes what it takes");
        let (mut out, mut memory) = (vec![0.0; 8], Vec::new());
        let inputs = vec![1.0; program.inputs().len() * 8];
        program.run_interpreted(1, 8, &inputs, &[0.7, 0.25], &mut memory, &mut out).unwrap();
        assert!((out[0] - 0.04).abs() < 1e-6, "{out:?}");
        for (text, words) in [
            ("fn reward(s) { let q = s.qpos; q.map(|x| { q[0] = x; x }); #{ a: q[0] } }", "copy it first"),
            (
                "fn memory() { #{ air: [0.0], n: 0.0 } } \
                 fn reward(s, p, m) { #{ a: m.air.map(|x| x + m.n).sum() } }",
                "copy the part first",
            ),
        ] {
            let script = Script::parse("reward.rhai", text).unwrap();
            let error = script.compile("reward", EntryKind::Terms, &Arc::new(example()), &[]).unwrap_err().to_string();
            assert!(error.contains(words), "{text}\n{error}");
        }
    }

    #[test]
    fn the_work_of_the_interpreter_is_counted() {
        let text =
            |n: usize| format!("fn reward(s) {{ let n = 0.0; while n < s.time + {n}.0 {{ n += 1.0; }} #{{ n: n }} }}");
        let count = |n: usize| {
            let program = compile(&text(n));
            let mut scratch = program.scratch();
            let inputs = vec![0.0; program.inputs().len() * 8];
            let mut out = vec![0.0; 8];
            program.run(2, 8, &inputs, &[0.7, 0.25], &mut [], &mut scratch, &mut out).unwrap();
            scratch.operations()
        };
        let (few, many) = (count(10), count(1000));
        assert!(few > 10 && many > 50 * few, "{few} {many}");
        assert_eq!(many, count(1000), "it repeats");
    }

    #[test]
    fn a_thousand_terms_are_compiled_and_compared_in_no_time() {
        let params: Vec<(String, f64)> = (0..1000).map(|i| (format!("w{i}"), 0.5)).collect();
        let terms: String = (0..1000).map(|i| format!("t{i}: p.w{i} * s.qpos[{}] * {i}.0,\n", i % 9)).collect();
        let text = format!("fn reward(s, p) {{ #{{ {terms} }} }}");
        let clock = std::time::Instant::now();
        let script = Script::parse("reward.rhai", &text).unwrap();
        let program = script.compile("reward", EntryKind::Terms, &Arc::new(example()), &params).unwrap();
        assert!(program.is_lowered() && program.outputs()[999] == "t999");
        let states = program.parity_states(1000);
        program.parity(states, 1).unwrap();
        let seconds = clock.elapsed().as_secs_f64();
        println!("1,000 terms, {} operations, {states} states: {seconds:.2} s", program.operations());
        assert!(seconds < 10.0, "{seconds} s");
    }

    #[test]
    fn terms_stand_in_the_order_of_the_text() {
        assert_eq!(compile(SCRIPTS[0]).outputs(), ["forward", "up", "cost"]);
    }

    #[test]
    fn memory_lasts_from_step_to_step_both_ways() {
        let text = "fn memory() { #{ air: [0.0, 0.0], n: 0, up: false } }
            fn reward(s, p, m) {
                let total = 0.0;
                for (f, i) in s.feet {
                    if f.contact > 0.5 { total += m.air[i]; m.air[i] = 0.0; } else { m.air[i] += s.dt; }
                }
                m.n += 1; m.up = s.qpos[2] > 0.0;
                #{ air: total, n: m.n }
            }";
        let program = compile(text);
        assert!(program.is_lowered());
        assert_eq!(program.memory_init(), [0.0; 4]);
        assert!(program.parity(200, 3).unwrap().max_error < 1e-5);
        let n = program.inputs().len();
        let mut scratch = program.scratch();
        let (mut memory, mut out) = (vec![0.0; 4 * 8], vec![0.0; 2 * 8]);
        for step in 1..=3 {
            // No contact in any foot: the time in the air grows.
            program.run(8, 8, &vec![0.0; n * 8], &[0.7, 0.25], &mut memory, &mut scratch, &mut out).unwrap();
            assert_eq!(out[8], step as f32);
        }
        assert!((memory[0] - 0.06).abs() < 1e-6, "{memory:?}");
    }

    #[test]
    fn what_cannot_be_lowered_runs_by_the_interpreter_with_a_warning() {
        let text = "fn reward(s) {\n let n = 0;\n while n < s.time { n += 1; }\n #{ n: n }\n}";
        let program = compile(text);
        assert!(!program.is_lowered());
        let warning = &program.findings()[0];
        assert_eq!((warning.rule.as_str(), warning.line), ("interpreted", 3), "{warning}");
        assert!(program.parity(50, 1).unwrap().max_error == 0.0);
    }

    #[test]
    #[ignore = "a measurement; run by name with --release -- --nocapture"]
    fn bench_lowered_against_interpreter() {
        let parity = compile(SCRIPTS[0]).parity(4096, 1).unwrap();
        println!("lowered {:.1} ns, interpreted {:.1} ns a state", parity.lowered_s * 1e9, parity.interpreted_s * 1e9);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        /// Random arithmetic, conditions and loops: both ways agree. The two sides of a condition meet where it turns,
        /// and the loop ends on a value both ways hold exactly: where sides jump, one way in 32 bits and one in 64 may
        /// rightly take different ones at a near tie. The tolerance is wider than that of a reward's terms, as sums
        /// that cancel and are then multiplied lose more: 4e-5 once in 36,000 scripts.
        #[test]
        fn random_expressions_agree(seed in any::<u64>()) {
            let mut state = crate::parity::Random(seed);
            let mut pick = |n: u64| (state.next() % n) as usize;
            fn number(pick: &mut impl FnMut(u64) -> usize, depth: usize) -> String {
                let leaves = ["s.qpos[3]", "s.qvel[2]", "x", "1.5", "2", "p.w", "s.feet[1].vel.y", "s.action[0]"];
                if depth == 0 { return leaves[pick(8)].to_string(); }
                let a = number(pick, depth - 1);
                let b = number(pick, depth - 1);
                match pick(8) {
                    0 => format!("({a} + {b})"),
                    1 => format!("({a} - {b})"),
                    2 => format!("({a} * {b})"),
                    3 => format!("clamp({a}, -2, {b})"),
                    4 => format!("(if {a} < {b} {{ {a} }} else {{ {b} * 1.5 - {a} * 0.5 }})"),
                    5 => format!("tanh({a})"),
                    6 => format!("max({a}, {b})"),
                    _ => format!("vec3({a}, {b}, 1).dot(vec3({b}, 0.5, {a}))"),
                }
            }
            let start = number(&mut pick, 1);
            let update = number(&mut pick, 2);
            let out = number(&mut pick, 3);
            let text = format!("fn reward(s, p) {{ let x = 0.5; x = 1.0 * ({start}); \
                                for i in 0..3 {{ if s.qpos[3] > 0.75 {{ break; }} x = 0.3 * x + tanh({update}); }} \
                                #{{ a: {out}, x: x }} }}");
            let program = compile(&text);
            prop_assert!(program.is_lowered());
            let parity = program.parity(64, seed).unwrap();
            prop_assert!(parity.max_error < 2e-4, "{}: {:?}", text, parity);
        }
    }
}
