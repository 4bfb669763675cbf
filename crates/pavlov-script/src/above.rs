//! What stands above the functions of a script: constants, computed before the functions run.
//!
//! rhai's functions do not see them, and people expect that they do. They are folded into the lowered program, and the
//! interpreter finds them where a function has no variable of the name (`interp.rs`).

use crate::builtins::Fault;
use crate::diag::{Severity, Sink, place};
use crate::graph::Graph;
use crate::library::Modules;
use crate::lower::{Lowerer, Stop};
use crate::path::V;
use crate::scene::Scene;
use crate::script::{Constant, Script};
use crate::value::Value;
use rhai::{ASTFlags, Position, Stmt};
use std::sync::Arc;

impl Script {
    /// The constants above the functions. Nothing else may stand there, as it would not run.
    pub(crate) fn above(&self, scene: &Arc<Scene>, modules: &Modules, sink: &mut Sink<'_>) -> Option<Vec<Constant>> {
        let mut l = Lowerer::new(Graph::new(scene.clone()), modules, &[]);
        let mut out = Vec::new();
        let errors = sink.errors();
        for stmt in self.ast.statements() {
            let (var, flags, pos) = match stmt {
                Stmt::Noop(_) | Stmt::Import(..) => continue,
                Stmt::Var(var, flags, pos) => (var, flags, *pos),
                other => {
                    let message = "this stands outside of the functions and would never run";
                    let hint = "write it within a function; above the functions stand constants only: `const W = 2.0;`";
                    sink.add(Severity::Error, "syntax", place(other.position()), message.into(), hint.into());
                    continue;
                }
            };
            let name = var.0.name.as_str();
            let mut refuse = |pos: Position, rule: &str, message: String, hint: &str| {
                sink.add(Severity::Error, rule, place(pos), message, hint.into());
            };
            match l.execute_above(&var.1) {
                Ok(value) => match constant(&l.g, &value) {
                    Some(known) => {
                        let constant = flags.intersects(ASTFlags::CONSTANT);
                        l.declare_above(name, value, constant);
                        out.push(Constant { name: name.into(), value: known, constant });
                    }
                    None => {
                        let message =
                            format!("`{name}` is a {} and cannot stand above the functions", value.type_name());
                        refuse(
                            pos,
                            "type",
                            message,
                            "write it within the function, or as a function: `fn name(x) { ... }`",
                        );
                    }
                },
                Err(Stop::Interpret(construct, at)) => {
                    let message = format!("{construct} cannot be computed before the functions run (for `{name}`)");
                    refuse(at, "type", message, "write it within the function");
                }
                Err(Stop::Error(f, at)) if is_argument(&f) => {
                    let hint = "what depends on the state or on parameters stands within the function: `let x = ...;`";
                    refuse(at, f.rule, format!("{}, above the functions", f.message.trim_end_matches(" here")), hint);
                }
                Err(Stop::Error(f, at)) => refuse(at, f.rule, f.message, &f.hint),
            }
        }
        (sink.errors() == errors).then_some(out)
    }
}

/// Is the name that is not known that of the state or the parameters?
fn is_argument(f: &Fault) -> bool {
    f.rule == "unknown-name"
        && ["s", "p", "m"].iter().any(|name| f.message.starts_with(&format!("no variable `{name}`")))
}

/// A value whose numbers are all known.
pub(crate) fn constant(g: &Graph, v: &V) -> Option<Value<f64>> {
    fn all<const K: usize>(g: &Graph, ids: &[u32; K]) -> Option<[f64; K]> {
        let mut out = [0.0; K];
        for (x, id) in out.iter_mut().zip(ids) {
            *x = g.constant(*id)?;
        }
        Some(out)
    }
    Some(match v {
        Value::Num(n) => Value::Num(g.constant(*n)?),
        Value::Int(n) => Value::Int(g.constant(*n)?),
        Value::Bool(n) => Value::Bool(g.constant(*n)?),
        Value::Str(s) => Value::Str(s.clone()),
        Value::Vec2(n) => Value::Vec2(all(g, n)?),
        Value::Vec3(n) => Value::Vec3(all(g, n)?),
        Value::Quat(n) => Value::Quat(all(g, n)?),
        Value::Array(a) => Value::Array(a.iter().map(|x| constant(g, x)).collect::<Option<_>>()?),
        Value::Map(m) => Value::Map(m.iter().map(|(k, x)| Some((k.clone(), constant(g, x)?))).collect::<Option<_>>()?),
        Value::Unit | Value::Handle(_) | Value::Fn(..) | Value::Range(..) => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::scene::example;
    use crate::{EntryKind, Program, Script};
    use std::sync::Arc;

    fn compile(text: &str) -> Result<Program, String> {
        let params = [("w".to_string(), 0.7)];
        let script = Script::parse("reward.rhai", text).map_err(|e| e.to_string())?;
        script.compile("reward", EntryKind::Terms, &Arc::new(example()), &params).map_err(|e| e.to_string())
    }

    #[test]
    fn constants_above_the_functions_are_lowered_and_agree_with_the_interpreter() {
        for text in [
            "const W = 2.0;\nfn reward(s) { #{ a: W * s.qpos[0] } }",
            "let W = 2.0;\nfn reward(s) { #{ a: W * s.qpos[0] } }",
            "const W = 2.0;\nfn reward(s) { #{ a: global::W * s.qpos[0] } }",
            "fn reward(s) { #{ a: W * s.qpos[0] } }\nconst W = 2.0;",
            "const A = 0.5; const B = 2.0 * A + sqrt(4.0) - PI();\nfn reward(s) { #{ a: B * s.qpos[0] } }",
            "const W = [1.0, 2.0];\nfn reward(s) { #{ a: W[1] * s.qpos[0], b: W.sum(), n: W.len() } }",
            "const W = #{ up: 1.0, n: 3 };\nfn reward(s) { #{ a: W.up * s.qpos[0], b: W.n * s.qpos[1] } }",
            "const UP = vec3(0.0, 0.0, 1.0);\nfn reward(s) { #{ a: UP.dot(s.body(\"torso\").up) } }",
            "const NAME = \"torso\"; const FIRST = 0;\n\
             fn reward(s) { #{ a: s.body(NAME).height, b: s.qpos[FIRST] } }",
            "const ON = true;\nfn reward(s) { #{ a: if ON { s.qpos[0] } else { 0.0 } } }",
            "const K = 3.0;\nfn f(x) { K * x }\nfn reward(s) { #{ a: f(s.qpos[0]), b: sum(s.qvel.map(|v| v * K)) } }",
            "const K = f(2.0);\nfn f(x) { x + 1.0 }\nfn reward(s) { #{ a: K * s.qpos[0] } }",
            "const K = 3.0;\nfn reward(s) { let K = s.qpos[0]; #{ a: K } }",
            "const K = 3.0;\nfn f(K) { 2.0 * K }\nfn reward(s) { #{ a: f(s.qpos[0]), b: K * s.time } }",
            "const K = 3.0;\nfn memory() { #{ n: K } }\nfn reward(s, p, m) { m.n += K; #{ a: m.n + p.w } }",
            "const K = 3.0;\nfn reward(s) { #{ a: sum(s.qvel.map(|v| s.qpos.map(|q| K * q * v).sum())) } }",
        ] {
            let program = compile(text).unwrap_or_else(|e| panic!("{text}\n{e}"));
            assert!(program.is_lowered(), "{text}: {:?}", program.findings());
            let parity = program.parity(100, 3).unwrap_or_else(|e| panic!("{text}\n{e}"));
            assert!(parity.max_error < 1e-5, "{text}: {parity:?}");
        }
        // A constant costs nothing: the program is the same as with the number in its place.
        let (above, within) = (
            compile("const W = 2.0;\nfn reward(s) { #{ a: W * s.qpos[0] } }").unwrap(),
            compile("fn reward(s) { #{ a: 2.0 * s.qpos[0] } }").unwrap(),
        );
        assert_eq!(above.operations(), within.operations());
        assert!(above.findings().is_empty(), "{:?}", above.findings());
    }

    #[test]
    fn constants_are_seen_by_scripts_that_are_interpreted() {
        let text = "const W = 2.0;\nfn reward(s) { let n = 0.0; while n < s.time { n += W; } #{ a: n } }";
        let program = compile(text).unwrap();
        assert!(!program.is_lowered());
        assert_eq!(program.parity(50, 1).unwrap().max_error, 0.0);
    }

    #[test]
    fn what_cannot_stand_above_the_functions_is_refused_with_what_to_write() {
        for (text, words) in [
            ("let t = s.body(\"torso\");\nfn reward(s) { #{ a: t.height } }", "within the function"),
            ("const W = p.w;\nfn reward(s, p) { #{ a: W } }", "within the function"),
            ("const W = 2.0;\nfn reward(s) { W = 3.0; #{ a: W } }", "cannot be changed"),
            ("let n = 0.0;\nfn reward(s) { n += 1.0; #{ a: n } }", "fn memory()"),
            ("let W = 2.0;\nfn reward(s) { #{ a: global::W } }", "write the name alone"),
            ("const W = 2.0;\nfn reward(s) { #{ a: global::V } }", "global::V"),
            ("if true { 1.0 }\nfn reward(s) { #{ a: 1.0 } }", "would never run"),
            ("fn reward(s) { #{ a: 1.0 } }\nreward(1.0)", "would never run"),
            ("let f = |x| x * x;\nfn reward(s) { #{ a: 1.0 } }", "as a function"),
            ("const W = V;\nfn reward(s) { #{ a: W } }", "no variable `V`"),
            ("const W = timestamp();\nfn reward(s) { #{ a: W } }", "clock"),
        ] {
            let error = compile(text).expect_err(text);
            assert!(error.contains(words), "{text}\n{error}");
        }
    }
}
