//! Compiling an entry function of a script: checked against a scene, and lowered where possible.

use crate::above::constant;
use crate::builtins::Fault;
use crate::diag::{Diagnostics, Finding, Severity, Sink, place};
use crate::foreign::foreign;
use crate::graph::{Graph, Node};
use crate::interp::{Interp, all_inputs, flatten, neutral, unflatten};
use crate::library::{Modules, Refused};
use crate::lint::{lint, literal_divisions, refused_calls};
use crate::lower::{Lowerer, Note, Stop};
use crate::path::V;
use crate::program::Lowered;
use crate::run::{Origin, Program, Way};
use crate::scene::Scene;
use crate::script::{Constant, EntryKind, Parts, Script, lint_text};
use crate::value::{Handle, Kind, Value};
use rhai::{AST, Position};
use std::sync::Arc;

impl Script {
    /// Checks `entry` against a scene and lowers it. What cannot be lowered runs by the interpreter, with a warning.
    ///
    /// # Errors
    /// Everything wrong that was found, with places and hints.
    pub fn compile(
        &self,
        entry: &str,
        kind: EntryKind,
        scene: &Arc<Scene>,
        params: &[(String, f64)],
    ) -> Result<Program, Diagnostics> {
        let mut sink = Sink::new(&self.file, &self.text);
        say(&mut sink, &self.text, &self.ast, Some(entry));
        let modules = match Modules::load(&self.file, &self.text, &self.ast, &scene.lib) {
            Ok(modules) => Arc::new(modules),
            Err(Refused { file, text, pos, message, hint }) => {
                let mut of_module = Sink::new(&file, &text);
                of_module.add(Severity::Error, "import", place(pos), message, hint);
                let mut findings = sink.sorted();
                findings.extend(of_module.sorted());
                return Err(Diagnostics { findings });
            }
        };
        for module in &modules.0[1..] {
            sink.enter(&module.file, &module.text);
            say(&mut sink, &module.text, &module.ast, None);
        }
        sink.enter(&self.file, &self.text);
        match self.build(entry, kind, (scene, &modules), params, &mut sink) {
            Some(mut program) if !sink.failed() => {
                program.findings = sink.sorted();
                Ok(program)
            }
            _ => Err(Diagnostics { findings: sink.sorted() }),
        }
    }

    fn build<'m>(
        &'m self,
        entry: &str,
        kind: EntryKind,
        (scene, modules): (&Arc<Scene>, &'m Arc<Modules>),
        params: &[(String, f64)],
        sink: &mut Sink<'m>,
    ) -> Option<Program> {
        let Some(function) = self.ast.iter_functions().find(|f| f.name == entry) else {
            let names = self.functions();
            let hint = pavlov_model::did_you_mean(entry, names.iter().map(String::as_str));
            sink.add(Severity::Error, "unknown-name", (0, 0), format!("no function `{entry}`"), hint);
            return None;
        };
        let args = function.params.len();
        if !(1..=3).contains(&args) {
            let message = format!("`{entry}` takes {args} parameters");
            let hint = format!("write `fn {entry}(s)`, `fn {entry}(s, p)` or `fn {entry}(s, p, m)`");
            sink.add(Severity::Error, "shape", (0, 0), message, hint);
            return None;
        }
        let above = self.above(scene, modules, sink)?;
        let memory = if args == 3 { Some(self.memory(scene, modules, &above, sink)?) } else { None };
        let mut start = Vec::new();
        if let Some(shape) = &memory {
            flatten(shape, shape, &mut start)?;
        }
        let parts = Parts { entry, kind, args, scene, modules, params, memory, start, above };
        let (ended, notes) = self.lower(&parts);
        for Note { module, term, lint } in notes {
            sink.term = term;
            sink.enter(&modules.0[module].file, &modules.0[module].text);
            sink.add(Severity::Warning, lint.rule, lint.at, lint.message, lint.hint);
        }
        sink.term.clear();
        sink.enter(&self.file, &self.text);
        match ended {
            Ok((lowered, origin, outputs)) => Some(self.program(parts, outputs, Some((lowered, origin)))),
            Err(Ended { stop: Stop::Error(Fault { rule, message, hint }, pos), term, module }) => {
                sink.term = term;
                let module = &modules.0[module];
                sink.enter(&module.file, &module.text);
                // What another language has there says more than the name that is not known.
                let at = place(pos);
                let foreign = if rule == "unknown-name" { foreign(&module.text) } else { Vec::new() };
                let (here, elsewhere): (Vec<_>, Vec<_>) = foreign.into_iter().partition(|f| f.at == at);
                let hint = here.into_iter().next().map_or(hint, |f| f.hint);
                sink.add(Severity::Error, rule, at, message, hint);
                sink.term.clear();
                for f in elsewhere {
                    sink.add(Severity::Error, "unknown-name", f.at, f.message, f.hint);
                }
                None
            }
            Err(Ended { stop: Stop::Interpret(construct, pos), term, module }) => {
                sink.term = term;
                sink.enter(&modules.0[module].file, &modules.0[module].text);
                self.interpreted(parts, (&construct, pos, module), modules, sink)
            }
        }
    }

    /// The start value of what is remembered.
    fn memory(
        &self,
        scene: &Arc<Scene>,
        modules: &Modules,
        above: &[Constant],
        sink: &mut Sink<'_>,
    ) -> Option<Value<f64>> {
        if !self.has("memory") {
            let hint = "add `fn memory() { #{ name: 0.0 } }`";
            let message = "the third parameter is the script's memory, but no memory is declared";
            sink.add(Severity::Error, "unknown-name", (0, 0), message.into(), hint.into());
            return None;
        }
        let mut l = Lowerer::new(Graph::new(scene.clone()), modules, above);
        let value = match l.call("memory", Vec::new(), Position::NONE) {
            Ok((value, _)) => value,
            Err(Stop::Error(f, pos)) => {
                sink.add(Severity::Error, f.rule, place(pos), f.message, f.hint);
                return None;
            }
            Err(Stop::Interpret(construct, pos)) => {
                let message = format!("`memory` uses {construct}");
                sink.add(Severity::Error, "type", place(pos), message, "give numbers as they are".into());
                return None;
            }
        };
        let found = constant(&l.g, &value).and_then(numbers).filter(|v| matches!(v, Value::Map(_)));
        if found.is_none() {
            let message = "`memory` must return a map of numbers, booleans and arrays of them";
            sink.add(Severity::Error, "type", (0, 0), message.into(), "for example #{ air: [0.0, 0.0] }".into());
        }
        found
    }

    /// The lowered program, or why there is none, and what there is to say about it.
    fn lower(&self, parts: &Parts<'_>) -> (Result<Made, Ended>, Vec<Note>) {
        let mut g = Graph::new(parts.scene.clone());
        let mut args: Vec<V> = vec![Value::Handle(Handle { kind: Kind::State, index: 0, prev: false })];
        let names = parts.params.iter().enumerate();
        let p = names.map(|(i, (n, _))| (n.clone(), Value::Num(g.node(Node::Param(i as u16))))).collect();
        args.push(Value::Map(p));
        if let Some(shape) = &parts.memory {
            args.push(slots(&mut g, shape, &mut 0));
        }
        args.truncate(parts.args);
        let mut l = Lowerer::new(g, parts.modules, &parts.above);
        l.memory = parts.memory.is_some().then(|| self.parameter(parts.entry, 2)).flatten();
        let done = l.call(parts.entry, args, Position::NONE);
        let notes = std::mem::take(&mut l.notes);
        let made = match done {
            Ok((value, left)) => self.made(parts, l.g, &value, &left),
            Err(stop) => Err(Ended { stop, term: l.term, module: l.ended_in }),
        };
        (made, notes)
    }

    /// Name of a parameter of a function.
    fn parameter(&self, function: &str, i: usize) -> Option<String> {
        self.ast.iter_functions().find(|f| f.name == function)?.params.get(i).map(|p| (*p).to_string())
    }

    fn made(&self, parts: &Parts<'_>, g: Graph, value: &V, left: &[V]) -> Result<Made, Ended> {
        let outputs = self.outputs(parts, value).map_err(|f| Ended::in_script(Stop::Error(f, Position::NONE)))?;
        let mut memory = Vec::new();
        if let Some(shape) = &parts.memory
            && flatten(shape, &left[2], &mut memory).is_none()
        {
            let message = "the memory does not have the shape at the end that `memory` gives it";
            let stop = Stop::Error(crate::builtins::fault("shape", message, "only change its values"), Position::NONE);
            return Err(Ended::in_script(stop));
        }
        let ids: Vec<u32> = outputs.iter().map(|(_, n)| *n).collect();
        let lowered = Lowered::new(&g, &ids, &memory);
        let names = outputs.into_iter().map(|(name, _)| name).collect();
        Ok((lowered, Origin { graph: g, outputs: ids, memory }, names))
    }

    /// A program for the interpreter, after a trial on a robot at rest that shows which terms there are.
    fn interpreted<'m>(
        &self,
        parts: Parts<'_>,
        (construct, pos, module): (&str, Position, usize),
        modules: &'m Modules,
        sink: &mut Sink<'m>,
    ) -> Option<Program> {
        let errors = sink.errors();
        for module in &modules.0 {
            sink.enter(&module.file, &module.text);
            for lint in refused_calls(&module.ast) {
                sink.add(Severity::Error, lint.rule, lint.at, lint.message, lint.hint);
            }
        }
        if sink.errors() > errors {
            return None;
        }
        sink.enter(&modules.0[module].file, &modules.0[module].text);
        let mut program = self.program(parts.clone(), Vec::new(), None);
        let values = neutral(&program.inputs).iter().map(|&x| f64::from(x)).collect();
        let params: Vec<f32> = parts.params.iter().map(|(_, x)| *x as f32).collect();
        let mut memory = parts.start.clone();
        match program.interp.call(values, &params, &mut memory) {
            Ok(value) => match self.outputs(&parts, &value) {
                Ok(outputs) => program.outputs = outputs.into_iter().map(|(n, _)| n).collect(),
                Err(f) => {
                    sink.add(Severity::Error, f.rule, (0, 0), f.message, f.hint);
                    return None;
                }
            },
            Err((message, at)) => {
                let at = if at.is_none() { pos } else { at };
                let mut hint = String::new();
                if let Some(name) = message.strip_prefix("Function not found: ").and_then(|m| m.split(' ').next()) {
                    let mut names: Vec<&str> = crate::table::BUILTINS.iter().map(|b| b.name).collect();
                    let functions = self.functions();
                    names.extend(functions.iter().map(String::as_str));
                    hint = crate::words::other_function(name)
                        .or_else(|| pavlov_model::nearest(name, names).map(|n| format!("did you mean `{n}`?")))
                        .unwrap_or_default();
                }
                let rule = if message.contains("Too many operations") || message.contains("too large") {
                    "limit"
                } else {
                    "run"
                };
                sink.add(Severity::Error, rule, place(at), message, hint);
                return None;
            }
        }
        let message = format!("{construct} cannot be lowered: the whole function runs by the interpreter");
        let hint =
            "this is some hundred times slower; use what is known beforehand: constant loops, arrays, `map`, `if`";
        sink.add(Severity::Warning, "interpreted", place(pos), message, hint.into());
        Some(program)
    }

    fn program(&self, parts: Parts<'_>, outputs: Vec<String>, lowered: Option<(Lowered, Origin)>) -> Program {
        let inputs = match &lowered {
            Some((l, _)) => l.inputs.clone(),
            None => all_inputs(parts.scene),
        };
        let interp = Interp::new(
            self.ast.clone(),
            parts.scene,
            parts.entry,
            parts.args,
            &inputs,
            parts.params,
            parts.memory.clone().zip(self.parameter(parts.entry, 2)),
            &parts.above,
            lowered.is_some(),
            parts.modules,
        );
        Program {
            script: self.clone(),
            entry: parts.entry.to_string(),
            kind: parts.kind,
            scene: parts.scene.clone(),
            inputs,
            outputs,
            params: parts.params.to_vec(),
            memory_init: parts.start.iter().map(|&x| x as f32).collect(),
            findings: Vec::<Finding>::new(),
            way: lowered.map_or(Way::Interpreted, |(l, origin)| Way::Lowered(Box::new(l), Box::new(origin))),
            interp,
            tail: None,
            modules: parts.modules.clone(),
        }
    }
}

/// A lowered program, what it was made from, and its outputs' names.
type Made = (Lowered, Origin, Vec<String>);

/// What there is to say about the text of a script (with its entry function) or of a module.
fn say(sink: &mut Sink<'_>, text: &str, ast: &AST, entry: Option<&str>) {
    let (errors, mut warnings) = lint_text(text);
    warnings.extend(entry.map_or_else(|| literal_divisions(ast), |entry| lint(ast, entry)));
    for (severity, lints) in [(Severity::Error, errors), (Severity::Warning, warnings)] {
        for lint in lints {
            sink.add(severity, lint.rule, lint.at, lint.message, lint.hint);
        }
    }
}

/// The value, if it is made of numbers and truth values, its whole numbers as floats: what can be remembered.
fn numbers(v: Value<f64>) -> Option<Value<f64>> {
    Some(match v {
        Value::Num(x) | Value::Int(x) => Value::Num(x),
        Value::Bool(x) => Value::Bool(x),
        Value::Array(a) => Value::Array(a.into_iter().map(numbers).collect::<Option<_>>()?),
        Value::Map(m) => Value::Map(m.into_iter().map(|(k, x)| Some((k, numbers(x)?))).collect::<Option<_>>()?),
        _ => return None,
    })
}

/// Why lowering ended, in which term and module.
struct Ended {
    stop: Stop,
    term: String,
    module: usize,
}

impl Ended {
    /// In the script itself, outside of terms.
    fn in_script(stop: Stop) -> Self {
        Self { stop, term: String::new(), module: 0 }
    }
}

/// The memory's shape with a slot of the memory at every number.
fn slots(g: &mut Graph, shape: &Value<f64>, next: &mut u16) -> V {
    let mut count = *next;
    let numbered = unflatten(shape, &mut || {
        count += 1;
        f64::from(count - 1)
    });
    *next = count;
    fn nodes(g: &mut Graph, v: &Value<f64>) -> V {
        match v {
            Value::Bool(n) => Value::Bool(g.node(Node::Memory(*n as u16))),
            Value::Array(a) => Value::Array(a.iter().map(|x| nodes(g, x)).collect()),
            Value::Map(m) => Value::Map(m.iter().map(|(k, x)| (k.clone(), nodes(g, x))).collect()),
            Value::Num(n) => Value::Num(g.node(Node::Memory(*n as u16))),
            _ => Value::Unit,
        }
    }
    nodes(g, &numbered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::example;
    use proptest::prelude::*;

    fn errors(text: &str) -> Vec<Finding> {
        let params = [("forward".to_string(), 1.0)];
        let compiled = Script::parse("reward.rhai", text)
            .and_then(|s| s.compile("reward", EntryKind::Terms, &Arc::new(example()), &params));
        compiled.err().map(|d| d.findings).unwrap_or_default()
    }

    #[test]
    fn errors_name_the_line_and_what_was_meant() {
        for (text, line, words) in [
            ("fn reward(s, p) {\n let v = s.body(\"torsp\").linvel;\n #{ a: v.x } }", 2, "did you mean `torso`"),
            ("fn reward(s, p) {\n #{ a: p.forwrad } }", 2, "did you mean `forward`"),
            ("fn reward(s, p) {\n #{ a: s.body(\"torso\").linvl.x } }", 2, "did you mean `linvel`"),
            ("fn reward(s) {\n #{ a: s.action.norm2 } }", 2, "it is a function"),
            ("fn reward(s) {\n\n let v = vell; #{ a: v } }", 3, "no variable `vell`"),
            ("fn reward(s) {\n #{ a: squirt(s.time) } }", 2, "did you mean `sqrt`"),
            ("fn reward(s) { #{ a: s.time > 1.0 } }", 0, "if c { 1.0 } else { 0.0 }"),
            ("fn reward(s) {\n if s.time { 1.0 } else { 2.0 } }", 2, "must be true or false"),
            ("fn reward(s) {\n s.qpos + \"a\" }", 2, "cannot take"),
            ("fn reward(s) {\n #{ a: s.qpos[40] } }", 2, "index 40 of an array of 9"),
            ("fn reward(s, p, m) { #{ a: m.x } }", 0, "fn memory()"),
            ("fn reward(s) {\n #{ a: 1.0 }", 2, ""),
            ("fn rewrd(s) { 1.0 }", 0, "did you mean `rewrd`"),
            ("fn reward(s) {\n #{ a: 1 / 0 } }", 2, "divided by 0"),
        ] {
            let found = errors(text);
            let first = found.first().unwrap_or_else(|| panic!("no error: {text}"));
            let shown = first.to_string();
            assert!(shown.contains(words), "{text}\n{shown}");
            assert!(line == 0 || first.line == line, "{text}\n{shown}");
        }
        let in_term = &errors("fn reward(s) { #{ good: 1.0, bad: s.body(\"x\").pos.z } }")[0];
        assert_eq!(in_term.term, "bad");
    }

    #[test]
    fn hostile_scripts_stop_within_their_limits() {
        let clock = std::time::Instant::now();
        for text in [
            "fn reward(s) { let i = 0; while true { i += 1; } i }",
            "fn reward(s) { loop { } 1.0 }",
            "fn reward(s) { let x = s.time; while x < 1.0 { x *= 0.5; } x }",
            "fn f(n) { f(n + 1) } fn reward(s) { f(0) }",
            "fn f(n) { f(n) + f(n) } fn reward(s) { f(s.time) }",
            "fn reward(s) { let a = []; loop { a.push(1.0); } 1.0 }",
            "fn reward(s) { let a = \"x\"; loop { a += a; } 1.0 }",
            "fn reward(s) { for i in 0..1000000000 { } 1.0 }",
            "fn reward(s) { let t = 0.0; for i in 0..1000 { for j in 0..1000 { t += sin(s.time * i + j); } } t }",
            "fn reward(s) { sleep(1000); 1.0 }",
            "fn reward(s) { eval(\"1\") }",
            "import \"x\" as y; fn reward(s) { 1.0 }",
        ] {
            assert!(!errors(text).is_empty(), "{text}");
        }
        let deep = format!("fn reward(s) {{ {}1.0{} }}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(!errors(&deep).is_empty());
        assert!(clock.elapsed().as_secs() < 20, "{:?}", clock.elapsed());
    }

    fn warnings(text: &str) -> Vec<(String, usize)> {
        let script = Script::parse("reward.rhai", text).unwrap();
        let params = [("forward".to_string(), 1.0), ("on".to_string(), 1.0)];
        let program = script.compile("reward", EntryKind::Terms, &Arc::new(example()), &params);
        let program = program.unwrap_or_else(|e| panic!("{text}\n{e}"));
        program.findings().iter().map(|f| (f.rule.clone(), f.line)).collect()
    }

    #[test]
    fn measured_numbers_are_not_compared_for_equality() {
        for (expr, found) in [
            ("s.qpos[0] == 0.0", true),
            ("s.qpos[0] != s.qvel[0]", true),
            ("sin(s.time) == 1.0", true),
            ("p.forward == s.qpos[0]", true),
            ("s.feet[0].contact == 1.0", false),
            ("s.feet[0].contact == s.feet[1].contact", false),
            ("s.step == 1", false),
            ("s.command.vx == 0.0", false),
            ("p.on == 1.0", false),
            ("round(s.qpos[0]) == 1.0", false),
            ("(if s.qpos[0] > 0.5 { 1.0 } else { 0.0 }) == s.feet[0].contact", false),
            ("(s.qpos[0] > 0.5) == (s.qpos[1] > 0.5)", false),
        ] {
            let text = format!("fn reward(s, p) {{\n #{{ a: if {expr} {{ 1.0 }} else {{ p.forward }} }} }}");
            let expected = if found { vec![("float-equal".to_string(), 2)] } else { Vec::new() };
            assert_eq!(warnings(&text), expected, "{expr}");
        }
    }

    #[test]
    fn whole_numbers_divided_are_spoken_of_once() {
        for (body, n) in [
            ("let n = s.feet.len(); #{ a: s.time * (1 / n) }", 1),
            ("let x = 0.0; for i in 0..4 { x += i / 4; } #{ a: x }", 1),
            ("let x = 0.0; for i in 0..4 { x += s.qpos[i / 2]; } #{ a: x }", 0),
            ("let x = 0.0; for i in 0..4 { let leg = i / 2; x += s.qpos[leg]; } #{ a: x }", 0),
            ("let x = 0.0; for i in 0..4 { x += i / 4.0; } #{ a: x }", 0),
            ("let c = if s.time > 1.0 { 1 } else { 3 }; #{ a: c / 2 }", 1),
            ("#{ a: (1 / 2) * s.time }", 1),
            ("#{ a: s.feet.len() / 2 }", 0),
        ] {
            let found = warnings(&format!("fn reward(s) {{\n {body} }}"));
            assert_eq!(found, vec![("whole-division".to_string(), 2); n], "{body}");
        }
    }

    #[test]
    fn helpers_whose_s_is_no_state_are_spoken_of() {
        let text = "fn kernel(x, s) {\n exp(-x * x / s) }\nfn reward(s) { #{ a: kernel(s.time, 0.5) } }";
        assert_eq!(warnings(text), [("shadow".to_string(), 1)]);
        let text = "fn f(s, p) { p.forward * s.time }\nfn reward(s, p) { #{ a: f(s.prev, p) } }";
        assert_eq!(warnings(text), []);
    }

    #[test]
    fn a_minus_before_a_power_is_refused_whatever_else_is_wrong() {
        for text in [
            "fn reward(s) {\n #{ a: -s.qpos[0] ** 2 } }",
            "fn reward(s) {\n #{ a: -s.qpos[0] ** 2, b: vell } }",
            "fn reward(s) {\n #{ a: -s.qpos[0] ** 2, b: 1.0 and 2.0 } }",
            "import \"lib/none\" as g;\nfn reward(s) { #{ a: -s.qpos[0] ** 2 } }",
            "fn other(x) {\n -x ** 2 }\nfn reward(s) { #{ a: s.time } }",
        ] {
            let found = errors(text);
            assert!(found.iter().any(|f| f.rule == "minus-power" && f.line == 2), "{text}\n{found:#?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_script() {
        assert!(errors("\u{feff}fn reward(s) { s.time }").is_empty());
        let found = errors("\u{feff}fn reward(s) { vell }");
        assert_eq!((found[0].line, found[0].column), (1, 16));
    }

    #[test]
    fn errors_are_told_however_many_warnings_there_are() {
        let unread: String = (0..100).map(|i| format!("let a{i} = 1.0;\n")).collect();
        let found = errors(&format!("fn reward(s) {{ {unread} #{{ b: vell }} }}"));
        assert!(found[0].message.contains("vell"), "{}", found[0]);
    }

    const GOOD: &str = "fn memory() { #{ n: 0.0 } }\nfn reward(s, p, m) {\n  let v = s.body(\"torso\").linvel;\n  \
                        for j in s.joints { if j.pos > 0.5 { m.n += 1.0; } }\n  \
                        #{ forward: p.forward * v.x, n: m.n, sum: s.feet.map(|f| f.contact).sum() }\n}";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn damaged_scripts_are_findings_not_panics(at in 0usize..GOOD.len(), cut in 0usize..30, junk in "[ -~]{0,6}") {
            let text: String = GOOD.chars().take(at).chain(junk.chars()).chain(GOOD.chars().skip(at + cut)).collect();
            let _ = errors(&text);
        }

        #[test]
        fn any_text_is_a_finding_not_a_panic(text in "\\PC{0,200}") {
            let _ = errors(&text);
        }
    }

    #[test]
    fn the_undamaged_script_is_good() {
        assert!(errors(GOOD).is_empty());
    }
}
