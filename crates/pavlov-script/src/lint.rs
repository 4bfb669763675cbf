//! What a script says that people mean otherwise, found in its syntax tree: values that nothing reads, names that hide
//! the state or the parameters, whole numbers divided by each other.
//!
//! The lowering finds the rest, as it knows the types of values (`lower_expr.rs`); a minus before a power is found in
//! the tokens (`tokens.rs`).

use crate::diag::place;
use rhai::{AST, ASTNode, Expr, FnCallExpr, FnPtr, Position, ScriptFuncDef, Stmt};
use std::collections::{HashMap, HashSet};

/// Something to say about a place in the text.
#[derive(Clone, Debug)]
pub(crate) struct Lint {
    /// Line and column, from 1.
    pub at: (usize, usize),
    pub rule: &'static str,
    pub message: String,
    pub hint: String,
}

/// What the state and the parameters are called by everyone.
const USUAL: [&str; 2] = ["s", "p"];

/// Everything in the functions of a file, and in what stands above them. `entry` is the function that is compiled.
pub(crate) fn lint(ast: &AST, entry: &str) -> Vec<Lint> {
    let mut out = Vec::new();
    let lib = ast.shared_lib();
    let functions: Vec<&ScriptFuncDef> = lib.iter_script_fn_info().map(|f| &**f.4).collect();
    let closures = closures(ast, &functions);
    let of_entry: Vec<&str> = functions
        .iter()
        .filter(|f| f.name == entry)
        .flat_map(|f| f.params.iter().map(|p| p.as_str()))
        .filter(|p| USUAL.contains(p))
        .collect();
    let mut read_anywhere: HashSet<String> = HashSet::new();
    for f in &functions {
        let uses = Uses::of(f.body.statements());
        read_anywhere.extend(uses.read.keys().cloned());
        unread(f.body.statements(), &uses, &mut out);
        discarded(f.body.statements(), true, &mut out);
        let own: Vec<&str> = f.params.iter().map(|p| p.as_str()).filter(|p| USUAL.contains(p)).collect();
        shadowed(f.body.statements(), &own, &mut out);
        if let Some(closure) = closures.get(f.name.as_str()) {
            for name in f.params.iter().skip(closure.captured).filter(|p| of_entry.contains(&p.as_str())) {
                out.push(shadow(name, "the parameter of this closure", closure.pos));
            }
        }
    }
    let top = Uses::of(ast.statements());
    read_anywhere.extend(top.read.into_keys());
    for stmt in ast.statements() {
        if let Stmt::Var(var, _, pos) = stmt
            && !read_anywhere.contains(var.0.name.as_str())
        {
            out.extend(unused(var.0.name.as_str(), *pos));
        }
    }
    out.extend(literal_divisions(ast));
    // Functions come in no fixed order.
    out.sort_by(|a, b| (a.at, a.rule).cmp(&(b.at, b.rule)));
    out
}

/// A closure of the text.
struct Closure {
    pos: Position,
    /// Names that it takes from around it; they are its first parameters.
    captured: usize,
}

/// Closures by the names that rhai gives them.
fn closures(ast: &AST, functions: &[&ScriptFuncDef]) -> HashMap<String, Closure> {
    let mut out = HashMap::new();
    let mut look = |nodes: &[ASTNode]| {
        match nodes.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, _))) if call.name == "curry" => {
                if let Some(Expr::DynamicConstant(value, pos)) = call.args.first()
                    && let Some(f) = value.read_lock::<FnPtr>()
                {
                    out.insert(f.fn_name().to_string(), Closure { pos: *pos, captured: call.args.len() - 1 });
                }
            }
            Some(ASTNode::Expr(Expr::DynamicConstant(value, pos))) => {
                if let Some(f) = value.read_lock::<FnPtr>() {
                    out.entry(f.fn_name().to_string()).or_insert(Closure { pos: *pos, captured: 0 });
                }
            }
            _ => {}
        }
        true
    };
    for stmt in functions.iter().flat_map(|f| f.body.statements()).chain(ast.statements()) {
        stmt.walk(&mut Vec::new(), &mut look);
    }
    out
}

/// Which names are read, and how often as nothing but an index.
#[derive(Default)]
struct Uses {
    /// How often each name is read.
    read: HashMap<String, usize>,
    /// How often each name is an index by itself.
    index: HashMap<String, usize>,
}

impl Uses {
    fn of(statements: &[Stmt]) -> Self {
        let mut uses = Self::default();
        // What is assigned to is written, not read; so is a variable that is only added to.
        let mut written: HashSet<*const Expr> = HashSet::new();
        let mut look = |nodes: &[ASTNode]| {
            match nodes.last() {
                Some(ASTNode::Stmt(Stmt::Assignment(a))) => {
                    let mut target = &a.1.lhs;
                    while let Expr::Dot(x, ..) | Expr::Index(x, ..) = target {
                        target = &x.lhs;
                    }
                    written.insert(std::ptr::from_ref(target));
                }
                Some(ASTNode::Expr(Expr::Index(x, ..))) => {
                    // `a[i].b`: what follows an index is nested in it.
                    let mut operand = &x.rhs;
                    if let Expr::Dot(y, ..) | Expr::Index(y, ..) = operand
                        && matches!(y.lhs, Expr::Variable(..))
                    {
                        operand = &y.lhs;
                    }
                    if let Expr::Variable(v, ..) = operand {
                        *uses.index.entry(v.1.to_string()).or_default() += 1;
                    }
                }
                Some(ASTNode::Expr(e @ Expr::Variable(v, ..))) if !written.contains(&std::ptr::from_ref(*e)) => {
                    *uses.read.entry(v.1.to_string()).or_default() += 1;
                }
                _ => {}
            }
            true
        };
        for stmt in statements {
            stmt.walk(&mut Vec::new(), &mut look);
        }
        uses
    }

    /// Is the name read as an index and nowhere else?
    fn only_index(&self, name: &str) -> bool {
        self.index.get(name).is_some_and(|n| self.read.get(name) == Some(n))
    }
}

fn unused(name: &str, pos: Position) -> Option<Lint> {
    (!name.starts_with('_')).then(|| Lint {
        at: place(pos),
        rule: "unused",
        message: format!("`{name}` is computed, but nothing reads it"),
        hint: format!("put it into the map that is returned, or leave it out; call it `_{name}` to keep it"),
    })
}

fn unread(statements: &[Stmt], uses: &Uses, out: &mut Vec<Lint>) {
    let mut look = |nodes: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Var(var, _, pos))) = nodes.last()
            && !uses.read.contains_key(var.0.name.as_str())
        {
            out.extend(unused(var.0.name.as_str(), *pos));
        }
        true
    };
    for stmt in statements {
        stmt.walk(&mut Vec::new(), &mut look);
    }
}

/// Statements that compute a value and drop it. The last of a list is its value, which is dropped where `kept` is
/// false.
fn discarded(statements: &[Stmt], kept: bool, out: &mut Vec<Lint>) {
    let last = statements.iter().rposition(|s| !matches!(s, Stmt::Noop(_)));
    for (i, stmt) in statements.iter().enumerate() {
        let kept = kept && Some(i) == last;
        match stmt {
            Stmt::Expr(e) if !kept && only_a_value(e) => out.push(dropped(e.start_position())),
            Stmt::FnCall(call, pos) if !kept && only_computes(call) => out.push(dropped(*pos)),
            Stmt::If(flow, _) => {
                discarded(flow.body.statements(), kept, out);
                discarded(flow.branch.statements(), kept, out);
            }
            Stmt::Block(block) => discarded(block.statements(), kept, out),
            Stmt::For(f, _) => discarded(f.2.body.statements(), false, out),
            Stmt::While(flow, _) | Stmt::Do(flow, ..) => discarded(flow.body.statements(), false, out),
            _ => {}
        }
    }
}

fn dropped(pos: Position) -> Lint {
    Lint {
        at: place(pos),
        rule: "unused",
        message: "this value is computed and dropped".into(),
        hint: "a function gives its last expression, without `;` behind it; `x += ...` adds to a variable".into(),
    }
}

/// Does the call only compute a value?
fn only_computes(call: &FnCallExpr) -> bool {
    call.is_operator_call() || crate::table::BUILTINS.iter().any(|b| b.name == call.name)
}

/// Does the expression only compute a value?
fn only_a_value(e: &Expr) -> bool {
    match e {
        Expr::Variable(..)
        | Expr::Map(..)
        | Expr::Array(..)
        | Expr::FloatConstant(..)
        | Expr::IntegerConstant(..)
        | Expr::BoolConstant(..)
        | Expr::StringConstant(..)
        | Expr::And(..)
        | Expr::Or(..) => true,
        Expr::FnCall(call, _) => only_computes(call),
        Expr::Dot(..) | Expr::Index(..) => {
            // A method may change what it is called on, unless it is one of ours.
            let mut pure = true;
            e.walk(&mut Vec::new(), &mut |nodes| {
                if let Some(ASTNode::Expr(Expr::MethodCall(call, _))) = nodes.last() {
                    pure &= only_computes(call);
                }
                pure
            });
            pure
        }
        _ => false,
    }
}

fn shadow(name: &str, what: &str, pos: Position) -> Lint {
    let is = if name == "s" { "the state" } else { "the parameters of the reward" };
    Lint {
        at: place(pos),
        rule: "shadow",
        message: format!("{what} `{name}` hides `{name}`, which is {is}"),
        hint: "give it another name".into(),
    }
}

/// Variables of a function that hide its parameters of these names.
fn shadowed(statements: &[Stmt], names: &[&str], out: &mut Vec<Lint>) {
    let mut look = |nodes: &[ASTNode]| {
        match nodes.last() {
            Some(ASTNode::Stmt(Stmt::Var(var, _, pos))) if names.contains(&var.0.name.as_str()) => {
                out.push(shadow(var.0.name.as_str(), "the variable", *pos));
            }
            Some(ASTNode::Stmt(Stmt::For(f, pos))) => {
                for ident in [Some(&f.0), f.1.as_ref()].into_iter().flatten() {
                    if names.contains(&ident.name.as_str()) {
                        let pos = if ident.pos.is_none() { *pos } else { ident.pos };
                        out.push(shadow(ident.name.as_str(), "the variable of this loop", pos));
                    }
                }
            }
            _ => {}
        }
        true
    };
    for stmt in statements {
        stmt.walk(&mut Vec::new(), &mut look);
    }
}

/// The value of an expression of whole numbers as they are written.
fn whole(e: &Expr) -> Option<i64> {
    match e {
        Expr::IntegerConstant(n, _) => Some(*n),
        Expr::Stmt(block) => match block.statements() {
            [Stmt::Expr(e)] => whole(e),
            _ => None,
        },
        Expr::FnCall(call, _) if call.is_operator_call() => match call.args.as_slice() {
            [x] if call.name == "-" => whole(x)?.checked_neg(),
            [x, y] => {
                let (x, y) = (whole(x)?, whole(y)?);
                match call.name.as_str() {
                    "+" => x.checked_add(y),
                    "-" => x.checked_sub(y),
                    "*" => x.checked_mul(y),
                    "/" => x.checked_div(y),
                    "%" => x.checked_rem(y),
                    _ => None,
                }
            }
            _ => None,
        },
        _ => None,
    }
}

/// What is said of a division of whole numbers; `values` where they are known.
pub(crate) fn whole_division(at: (usize, usize), values: Option<(i64, i64)>) -> Lint {
    let (message, hint) = match values {
        Some((x, y)) => (
            format!("`{x} / {y}` of whole numbers is {}: the fraction is lost", x.checked_div(y).unwrap_or(0)),
            format!("write a float on one side: `{x}.0 / {y}.0`"),
        ),
        None => (
            "a division of whole numbers loses its fraction: 1 / 2 is 0".into(),
            "write a float on one side: `2.0` for `2`, `n.to_float()` for a whole number `n`".to_string(),
        ),
    };
    Lint { at, rule: "whole-division", message, hint }
}

/// Divisions of whole numbers as they are written, where a fraction is lost.
pub(crate) fn literal_divisions(ast: &AST) -> Vec<Lint> {
    let mut out = Vec::new();
    ast.walk(&mut |nodes| {
        if let Some((call, pos)) = division(nodes)
            && let [x, y] = call.args.as_slice()
            && let Some((x, y)) = whole(x).zip(whole(y))
            && x.checked_rem(y).is_some_and(|rest| rest != 0)
        {
            out.push(whole_division(place(pos), Some((x, y))));
        }
        true
    });
    out
}

fn division<'a>(nodes: &[ASTNode<'a>]) -> Option<(&'a FnCallExpr, Position)> {
    match nodes.last()? {
        ASTNode::Expr(Expr::FnCall(call, pos)) | ASTNode::Stmt(Stmt::FnCall(call, pos)) if call.name == "/" => {
            Some((call, *pos))
        }
        _ => None,
    }
}

/// Places of divisions of which the lowering need not speak: those of numbers as they are written, of which
/// [`literal_divisions`] speaks, and those whose result is an index: `legs[i / 2]`, or `let leg = i / 2;` for it.
pub(crate) fn settled_divisions(ast: &AST) -> HashSet<(usize, usize)> {
    let mut out: HashSet<(usize, usize)> = literal_divisions(ast).into_iter().map(|l| l.at).collect();
    let mut of_index = |e: &Expr| {
        e.walk(&mut Vec::new(), &mut |nodes| {
            out.extend(division(nodes).map(|(_, pos)| place(pos)));
            true
        });
    };
    let lib = ast.shared_lib();
    for f in lib.iter_script_fn_info().map(|f| f.4) {
        let uses = Uses::of(f.body.statements());
        for stmt in f.body.statements() {
            stmt.walk(&mut Vec::new(), &mut |nodes| {
                match nodes.last() {
                    Some(ASTNode::Expr(Expr::Index(x, ..))) => of_index(&x.rhs),
                    Some(ASTNode::Stmt(Stmt::Var(var, ..))) if uses.only_index(var.0.name.as_str()) => {
                        of_index(&var.1);
                    }
                    _ => {}
                }
                true
            });
        }
    }
    out
}

/// Are there closures that take variables of the functions around them?
pub(crate) fn takes_closures(ast: &AST) -> bool {
    let mut found = false;
    ast.walk(&mut |nodes| {
        found |= matches!(nodes.last(), Some(ASTNode::Stmt(Stmt::Share(_))));
        !found
    });
    found
}

/// Calls of functions that scripts do not have on purpose: the clock, random numbers.
pub(crate) fn refused_calls(ast: &AST) -> Vec<Lint> {
    let mut out = Vec::new();
    let own = |name: &str| ast.iter_functions().any(|f| f.name == name);
    ast.walk(&mut |nodes| {
        if let Some(ASTNode::Expr(Expr::FnCall(call, pos)) | ASTNode::Stmt(Stmt::FnCall(call, pos))) = nodes.last()
            && !call.is_qualified()
            && let Some(hint) = crate::words::refused_function(&call.name)
            && !own(&call.name)
        {
            let message = format!("scripts have no function `{}`", call.name);
            out.push(Lint { at: place(*pos), rule: "unknown-name", message, hint: hint.into() });
        }
        true
    });
    out
}

/// Names of variables that the text changes: assigned to, or called by a method that may change them.
pub(crate) fn changed(ast: &AST) -> HashSet<String> {
    fn base(e: &Expr) -> Option<String> {
        match e {
            Expr::Dot(x, ..) | Expr::Index(x, ..) => base(&x.lhs),
            Expr::Variable(v, ..) => Some(v.1.to_string()),
            _ => None,
        }
    }
    let mut out = HashSet::new();
    ast.walk(&mut |nodes| {
        match nodes.last() {
            Some(ASTNode::Stmt(Stmt::Assignment(a))) => out.extend(base(&a.1.lhs)),
            Some(ASTNode::Expr(e @ Expr::Dot(..))) => {
                let known = |name: &str| crate::table::CLOSURES.iter().any(|c| c.0 == name);
                let mut calls = false;
                e.walk(&mut Vec::new(), &mut |nodes| {
                    if let Some(ASTNode::Expr(Expr::MethodCall(call, _))) = nodes.last() {
                        calls |= !only_computes(call) && !known(&call.name);
                    }
                    true
                });
                if calls {
                    out.extend(base(e));
                }
            }
            _ => {}
        }
        true
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, usize)> {
        let ast = crate::engine::engine().compile(text).unwrap();
        lint(&ast, "reward").into_iter().map(|l| (l.rule, l.at.0)).collect()
    }

    #[test]
    fn what_nothing_reads_is_found() {
        for (text, lines) in [
            ("fn reward(s) {\n let a = 1.0;\n #{ b: 2.0 } }", vec![2]),
            ("fn reward(s) {\n let a = 1.0;\n a = 2.0;\n a += 1.0;\n #{ b: 2.0 } }", vec![2]),
            ("fn reward(s) {\n let a = [0.0];\n a[0] = s.time;\n #{ b: 2.0 } }", vec![2]),
            ("fn reward(s) {\n const A = 1.0;\n #{ b: 2.0 } }", vec![2]),
            ("const A = 1.0;\nfn reward(s) { #{ b: 2.0 } }", vec![1]),
            ("const A = 1.0;\nconst B = A;\nfn reward(s) { #{ b: B } }", vec![]),
            ("fn reward(s) {\n let _a = 1.0;\n #{ b: 2.0 } }", vec![]),
            ("fn reward(s) { let a = 1.0; #{ b: s.qpos.map(|x| x + a).sum() } }", vec![]),
            ("fn reward(s) { let i = 0; #{ b: s.qpos[i] } }", vec![]),
            ("fn reward(s) { let i = 0; let a = [0.0]; a[i] = 1.0; #{ b: a.sum() } }", vec![]),
            ("fn reward(s) {\n s.qpos.map(|x| { let y = x;\n 1.0 }).sum() }", vec![2]),
            ("fn reward(s) { let a = `${s.time}`; let b = a; #{ c: b.len() } }", vec![]),
            ("fn f(x) {\n let y = x;\n x }\nfn reward(s) { f(s.time) }", vec![2]),
        ] {
            let lines: Vec<_> = lines.into_iter().map(|l| ("unused", l)).collect();
            assert_eq!(found(text), lines, "{text}");
        }
    }

    #[test]
    fn values_that_are_dropped_are_found() {
        for (text, lines) in [
            ("fn reward(s) {\n s.time * 2.0;\n 1.0 }", vec![2]),
            ("fn reward(s) {\n #{ a: 1.0 };\n #{ b: 1.0 } }", vec![2]),
            ("fn reward(s) {\n let r = 0.0;\n if s.time > 1.0 {\n r + 1.0 }\n r }", vec![4]),
            ("fn reward(s) {\n for j in s.joints {\n abs(j.pos);\n }\n 1.0 }", vec![3]),
            ("fn reward(s) { if s.time > 1.0 { 1.0 } else { 2.0 } }", vec![]),
            ("fn reward(s) { let a = []; a.push(1.0); a.sum() }", vec![]),
            ("fn memory() { #{ n: 0.0 } } fn f(m) { m.n += 1.0; } fn reward(s, p, m) { f(m); #{ a: m.n } }", vec![]),
            ("fn reward(s) { let x = if s.time > 1.0 { 1.0 } else { 2.0 }; x }", vec![]),
        ] {
            let lines: Vec<_> = lines.into_iter().map(|l| ("unused", l)).collect();
            assert_eq!(found(text), lines, "{text}");
        }
    }

    #[test]
    fn names_that_hide_the_state_or_the_parameters_are_found() {
        for (text, lines) in [
            ("fn reward(s, p) {\n let s = s.qpos;\n s[0] }", vec![2]),
            ("fn reward(s, p) {\n for p in s.qpos {\n print(p); }\n 1.0 }", vec![2]),
            ("fn reward(s, p) {\n for (x, s) in s.qpos {\n print(x + s); }\n 1.0 }", vec![2]),
            ("fn reward(s, p) { sum(\n s.joints.map(|s| s.pos)) }", vec![2]),
            ("fn reward(s, p) { sum(\n s.joints.map(|j, p| j.pos)) }", vec![2]),
            ("fn reward(s) { let p = s.qpos; p[0] }", vec![]),
            ("fn reward(s) { sum(s.joints.map(|p| p.pos)) }", vec![]),
            ("fn reward(s, p) { sum(s.joints.map(|j| j.pos * p.w * s.time)) }", vec![]),
            ("fn f(s, p) { s.time } fn reward(s, p) { f(s, p) }", vec![]),
        ] {
            let lines: Vec<_> = lines.into_iter().map(|l| ("shadow", l)).collect();
            assert_eq!(found(text), lines, "{text}");
        }
    }

    #[test]
    fn whole_numbers_that_lose_a_fraction_are_found() {
        for (text, n) in [
            ("fn reward(s) { (1 / 2) * s.time }", 1),
            ("fn reward(s) { -(1 / 20) * s.time + 3 / 2 }", 2),
            ("fn reward(s) { s.time * 2 * 3 }", 0),
            ("fn reward(s) { (2 * 3) / 4 * s.time }", 1),
            ("fn reward(s) { 4 / 2 * s.time }", 0),
            ("fn reward(s) { 1.0 / 2 * s.time }", 0),
            ("fn reward(s) { s.time / 2 }", 0),
            ("fn reward(s) { s.time ** (1 / 2) }", 1),
            ("const W = 1 / 2;\nfn reward(s) { W }", 1),
            ("fn reward(s) { 1 / 0 }", 0),
        ] {
            let found = found(text);
            assert_eq!(found.iter().filter(|f| f.0 == "whole-division").count(), n, "{text}: {found:?}");
        }
        let ast = crate::engine::engine()
            .compile("fn f(a) { for i in 0..4 { let leg = i / 2; print(a[leg] + a[i / 3] + i / 4); } }")
            .unwrap();
        assert_eq!(settled_divisions(&ast).len(), 2);
    }

    #[test]
    fn nothing_is_said_of_what_is_shipped() {
        fn scripts(folder: &std::path::Path, out: &mut Vec<std::path::PathBuf>) {
            for path in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
                if path.is_dir() {
                    scripts(&path, out);
                } else if path.extension().is_some_and(|e| e == "rhai") {
                    out.push(path);
                }
            }
        }
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut all = Vec::new();
        for folder in ["rewards", "tasks", "assets/audit/rewards", "tests/faulty"] {
            scripts(&root.join(folder), &mut all);
        }
        assert!(all.len() > 80, "{}", all.len());
        for path in all {
            let text = pavlov_common::text::read(&path).unwrap();
            let (errors, warnings) = crate::script::lint_text(&text);
            let ast = crate::engine::engine().compile(&text).unwrap();
            let found = lint(&ast, "reward");
            assert!(errors.is_empty() && warnings.is_empty() && found.is_empty(), "{path:?}: {found:?}");
        }
    }

    #[test]
    fn what_is_changed_is_known() {
        let ast = crate::engine::engine()
            .compile("fn f(m, a, b, c) { m.x[0] = 1.0; a += 1; b.push(2); c.map(|x| x + m.y).sum() + c.len() }")
            .unwrap();
        let mut names: Vec<String> = changed(&ast).into_iter().collect();
        names.sort();
        assert_eq!(names, ["a", "b", "m"]);
    }
}
