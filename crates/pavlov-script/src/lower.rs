//! From rhai's syntax tree to the graph: statements, masks and calls. Expressions are in `lower_expr.rs`.
//!
//! The tree is executed once with graph nodes for numbers. Loops over what is known beforehand are unrolled, functions
//! are inlined. Where a condition is not known, both branches are executed under a mask (the worlds that take the
//! branch), and assignments select. Whatever cannot be expressed in this way is left to the interpreter
//! ([`Stop::Interpret`]).

use crate::builtins::{Fault, fault};
use crate::graph::{Graph, Id};
use crate::library::Modules;
use crate::lint::{Lint, settled_divisions};
use crate::path::{Step, V, literal, walk, walk_mut};
use crate::script::Constant;
use crate::value::{Bin, Builder, Un, Value};
use rhai::{AST, ASTFlags, Expr, FlowControl, Position, Stmt, StmtBlock};
use std::collections::{BTreeMap, HashSet};

/// Why lowering ended.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The script is wrong.
    Error(Fault, Position),
    /// The script may be right, but only the interpreter can run it.
    Interpret(String, Position),
}

pub(crate) type Res<T> = Result<T, Stop>;

/// Which worlds execute the present statement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mask {
    All,
    Some(Id),
    Dead,
}

struct Var {
    name: String,
    value: V,
    /// Mask under which it was declared: an assignment under the same mask needs no selection.
    declared: Mask,
    /// Captured by a closure.
    shared: bool,
    constant: bool,
}

/// A function being executed.
#[derive(Default)]
struct Frame {
    vars: Vec<Var>,
    result: Option<V>,
    returns: usize,
    loops: Vec<Loop>,
}

struct Loop {
    broken: Mask,
    continued: Mask,
    breaks: usize,
}

/// Something to say about a place of a module that is no error.
pub(crate) struct Note {
    pub module: usize,
    /// Term in whose expression it was found.
    pub term: String,
    pub lint: Lint,
}

/// Executes the tree.
pub(crate) struct Lowerer<'a> {
    pub g: Graph,
    modules: &'a Modules,
    /// Module whose function is being executed; 0 is the script itself.
    pub module: usize,
    /// Module in which lowering ended.
    pub ended_in: usize,
    /// Term whose expression is being lowered.
    pub term: String,
    /// Warnings, one a place and rule.
    pub notes: Vec<Note>,
    /// Name of the entry's third parameter, what is remembered.
    pub memory: Option<String>,
    /// What stands above the functions of the script, and whether it is declared by `const`.
    above: BTreeMap<String, (V, bool)>,
    /// Of each module: divisions of whole numbers that are meant, or of which something is said already.
    pub settled: Vec<HashSet<(usize, usize)>>,
    frames: Vec<Frame>,
    pub mask: Mask,
    steps: usize,
    /// Depth at which lowering ended.
    deepest: usize,
}

/// Calls within calls.
const MAX_DEPTH: usize = 32;
/// Statements and expressions executed while lowering: stops endless loops over known values.
const MAX_STEPS: usize = 2_000_000;

impl<'a> Lowerer<'a> {
    pub fn new(g: Graph, modules: &'a Modules, above: &[Constant]) -> Self {
        let settled = modules.0.iter().map(|m| settled_divisions(&m.ast)).collect();
        let mut new = Self {
            g,
            modules,
            module: 0,
            ended_in: 0,
            term: String::new(),
            notes: Vec::new(),
            memory: None,
            above: BTreeMap::new(),
            settled,
            frames: Vec::new(),
            mask: Mask::All,
            steps: 0,
            deepest: 0,
        };
        for Constant { name, value, constant } in above {
            let value = literal(&mut new.g, value);
            new.above.insert(name.clone(), (value, *constant));
        }
        new
    }

    /// Executes what stands above the functions.
    pub fn execute_above(&mut self, e: &Expr) -> Res<V> {
        self.frames.push(Frame::default());
        let value = self.expr(e);
        self.frames.pop();
        self.term.clear();
        value
    }

    /// Makes a value known to all functions of the script.
    pub fn declare_above(&mut self, name: &str, value: V, constant: bool) {
        self.above.insert(name.into(), (value, constant));
    }

    /// What stands above the functions of the script under that name, and whether it is declared by `const`.
    pub fn above(&self, name: &str) -> Option<&(V, bool)> {
        self.above.get(name).filter(|_| self.module == 0)
    }

    /// The file whose function is being executed.
    pub fn ast(&self) -> &'a AST {
        &self.modules.0[self.module].ast
    }

    /// The module that is imported under that name in the file whose function is being executed.
    pub fn alias(&self, name: &str) -> Result<usize, String> {
        let aliases = &self.modules.0[self.module].aliases;
        aliases.get(name).copied().ok_or_else(|| pavlov_model::did_you_mean(name, aliases.keys().map(String::as_str)))
    }

    /// Calls a function of a module.
    pub fn call_in(&mut self, module: usize, name: &str, args: Vec<V>, pos: Position) -> Res<(V, Vec<V>)> {
        let from = std::mem::replace(&mut self.module, module);
        let done = self.call(name, args, pos);
        self.module = from;
        done
    }

    /// Depth of calls: 1 in the entry function.
    pub fn depth(&self) -> usize {
        self.frames.len()
    }

    pub fn tick(&mut self, pos: Position) -> Res<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS || self.g.full {
            let message = "the script unrolls to more operations than allowed (200,000 numbers, 2,000,000 steps)";
            return Err(Stop::Error(fault("limit", message, "shorten its loops, or check that they end"), pos));
        }
        Ok(())
    }

    fn frame(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("a function is being executed")
    }

    /// Calls a closure of a module, whose first arguments are what it has captured.
    pub fn call_closure(&mut self, module: usize, name: &str, captured: &[V], args: Vec<V>, pos: Position) -> Res<V> {
        let from = std::mem::replace(&mut self.module, module);
        let all = captured.iter().cloned().chain(args).collect();
        let done = self.call_with(name, all, captured.len(), pos);
        self.module = from;
        Ok(done?.0)
    }

    /// Calls a script function. Returns its result and the values its parameters have at the end.
    pub fn call(&mut self, name: &str, args: Vec<V>, pos: Position) -> Res<(V, Vec<V>)> {
        self.call_with(name, args, 0, pos)
    }

    /// The first `captured` parameters are variables of the function around a closure.
    fn call_with(&mut self, name: &str, args: Vec<V>, captured: usize, pos: Position) -> Res<(V, Vec<V>)> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(Stop::Interpret(format!("calls nest deeper than {MAX_DEPTH} (in `{name}`)"), pos));
        }
        let def = self.ast().shared_lib().get_script_fn(name, args.len()).cloned();
        let def =
            def.ok_or_else(|| Stop::Interpret(format!("function `{name}` with {} arguments", args.len()), pos))?;
        let entry = self.mask;
        let count = args.len();
        if captured == 0 {
            self.usual_names(&def, &args);
        }
        let var = |(i, (name, value)): (usize, (&rhai::ImmutableString, V))| Var {
            name: name.to_string(),
            value,
            declared: entry,
            shared: i < captured,
            constant: false,
        };
        let vars = def.params.iter().zip(args).enumerate().map(var).collect();
        self.frames.push(Frame { vars, ..Frame::default() });
        let last = self.statements(def.body.as_ref());
        let last = match last {
            Ok(v) => v,
            Err(stop) => {
                // The innermost function sees it first.
                if self.depth() >= self.deepest {
                    (self.ended_in, self.deepest) = (self.module, self.depth());
                }
                self.frames.pop();
                return Err(stop);
            }
        };
        if self.mask != Mask::Dead {
            self.give_result(last, pos)?;
        }
        self.mask = entry;
        let frame = self.frames.pop().expect("pushed above");
        let left = frame.vars.into_iter().take(count).map(|v| v.value).collect();
        Ok((frame.result.unwrap_or(Value::Unit), left))
    }

    fn give_result(&mut self, value: V, pos: Position) -> Res<()> {
        let old = self.frame().result.take();
        let new = match (old, self.mask) {
            (Some(old), Mask::Some(m)) => self.merge(m, &value, &old, pos)?,
            _ => value,
        };
        self.frame().result = Some(new);
        Ok(())
    }

    /// `a` in the worlds of `c`, else `b`.
    fn merge(&mut self, c: Id, a: &V, b: &V, pos: Position) -> Res<V> {
        let mixed = || {
            let mixture =
                format!("a value that is a {} in some worlds and a {} in others", a.type_name(), b.type_name());
            Stop::Interpret(mixture, pos)
        };
        fn arrays<const K: usize>(g: &mut Graph, c: Id, a: &[Id; K], b: &[Id; K]) -> [Id; K] {
            std::array::from_fn(|i| g.sel(c, a[i], b[i]))
        }
        Ok(match (a, b) {
            _ if a == b => a.clone(),
            (Value::Unit, _) | (_, Value::Unit) => Value::Unit,
            (Value::Int(x), Value::Int(y)) => Value::Int(self.g.sel(c, *x, *y)),
            (Value::Int(x) | Value::Num(x), Value::Int(y) | Value::Num(y)) => Value::Num(self.g.sel(c, *x, *y)),
            (Value::Bool(x), Value::Bool(y)) => Value::Bool(self.g.sel(c, *x, *y)),
            (Value::Vec2(x), Value::Vec2(y)) => Value::Vec2(arrays(&mut self.g, c, x, y)),
            (Value::Vec3(x), Value::Vec3(y)) => Value::Vec3(arrays(&mut self.g, c, x, y)),
            (Value::Quat(x), Value::Quat(y)) => Value::Quat(arrays(&mut self.g, c, x, y)),
            (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
                let each = x.iter().zip(y).map(|(x, y)| self.merge(c, x, y, pos));
                Value::Array(each.collect::<Res<_>>()?)
            }
            (Value::Map(x), Value::Map(y)) if x.keys().eq(y.keys()) => {
                let each = x.iter().zip(y.values()).map(|((k, x), y)| Ok((k.clone(), self.merge(c, x, y, pos)?)));
                Value::Map(each.collect::<Res<_>>()?)
            }
            _ => return Err(mixed()),
        })
    }

    fn narrowed(&mut self, mask: Mask, c: Id) -> Mask {
        let id = match mask {
            Mask::Dead => return Mask::Dead,
            Mask::All => c,
            Mask::Some(m) => self.g.bin(Bin::And, m, c),
        };
        match self.g.constant(id) {
            Some(0.0) => Mask::Dead,
            Some(_) => Mask::All,
            None => Mask::Some(id),
        }
    }

    fn either(&mut self, a: Mask, b: Mask) -> Mask {
        match (a, b) {
            (Mask::All, _) | (_, Mask::All) => Mask::All,
            (Mask::Dead, m) | (m, Mask::Dead) => m,
            (Mask::Some(a), Mask::Some(b)) => Mask::Some(self.g.bin(Bin::Or, a, b)),
        }
    }

    /// A block: what it declares ends with it.
    pub fn block(&mut self, block: &StmtBlock) -> Res<V> {
        let depth = self.frame().vars.len();
        let value = self.statements(block.as_ref());
        self.frame().vars.truncate(depth);
        value
    }

    fn statements(&mut self, list: &[Stmt]) -> Res<V> {
        let mut value = Value::Unit;
        for stmt in list {
            if self.mask == Mask::Dead {
                break;
            }
            value = self.statement(stmt)?;
        }
        Ok(value)
    }

    fn statement(&mut self, stmt: &Stmt) -> Res<V> {
        self.tick(stmt.position())?;
        match stmt {
            Stmt::Noop(_) => Ok(Value::Unit),
            Stmt::Expr(e) => self.expr(e),
            Stmt::FnCall(call, pos) => self.function(call, *pos),
            Stmt::Block(block) => self.block(block),
            Stmt::If(flow, pos) => self.branch(flow, *pos),
            Stmt::Var(var, flags, _) => {
                let value = self.expr(&var.1)?;
                let declared = self.mask;
                let constant = flags.intersects(ASTFlags::CONSTANT);
                self.frame().vars.push(Var { name: var.0.name.to_string(), value, declared, shared: false, constant });
                Ok(Value::Unit)
            }
            Stmt::Assignment(a) => self.assignment(&a.0, &a.1.lhs, &a.1.rhs),
            Stmt::For(f, pos) => self.for_loop(f, *pos),
            Stmt::While(flow, pos) => self.while_loop(flow, *pos),
            Stmt::BreakLoop(_, flags, pos) => {
                let mask = self.mask;
                let out = flags.intersects(ASTFlags::BREAK);
                let Some(inner) = self.frame().loops.last_mut() else {
                    return Err(Stop::Error(fault("syntax", "break or continue outside of a loop", ""), *pos));
                };
                inner.breaks += 1;
                let old = if out { inner.broken } else { inner.continued };
                let new = self.either(old, mask);
                let inner = self.frame().loops.last_mut().expect("there was one");
                *(if out { &mut inner.broken } else { &mut inner.continued }) = new;
                self.mask = Mask::Dead;
                Ok(Value::Unit)
            }
            Stmt::Return(value, flags, pos) if !flags.intersects(ASTFlags::BREAK) => {
                let value = value.as_ref().map_or(Ok(Value::Unit), |e| self.expr(e))?;
                self.give_result(value, *pos)?;
                self.frame().returns += 1;
                self.mask = Mask::Dead;
                Ok(Value::Unit)
            }
            Stmt::Share(names) => {
                for (ident, _) in names.iter() {
                    if let Some(var) = self.frame().vars.iter_mut().rev().find(|v| v.name == ident.name.as_str()) {
                        var.shared = true;
                    }
                }
                Ok(Value::Unit)
            }
            Stmt::Import(_, pos) => {
                let hint = "move it to the beginning, before the functions";
                Err(Stop::Error(fault("syntax", "an import stands at the top of the file", hint), *pos))
            }
            Stmt::Switch(_, pos) => Err(Stop::Interpret("`switch`".into(), *pos)),
            Stmt::Do(_, _, pos) => Err(Stop::Interpret("`do`".into(), *pos)),
            Stmt::TryCatch(_, pos) => Err(Stop::Interpret("`try`".into(), *pos)),
            other => Err(Stop::Interpret("this statement".into(), other.position())),
        }
    }

    /// The node of a condition.
    pub fn condition(&mut self, e: &Expr) -> Res<Id> {
        match self.expr(e)? {
            Value::Bool(c) => Ok(c),
            other => {
                let message = format!("a condition must be true or false, this is a {}", other.type_name());
                Err(Stop::Error(fault("type", message, "compare it: `x > 0.5`"), e.position()))
            }
        }
    }

    fn branch(&mut self, flow: &FlowControl, pos: Position) -> Res<V> {
        let c = self.condition(&flow.expr)?;
        if let Some(known) = self.g.constant(c) {
            return self.block(if known != 0.0 { &flow.body } else { &flow.branch });
        }
        let before = self.mask;
        let nc = self.g.un(Un::Not, c);
        let (then_mask, else_mask) = (self.narrowed(before, c), self.narrowed(before, nc));
        let run = |lowerer: &mut Self, mask: Mask, block: &StmtBlock| -> Res<V> {
            lowerer.mask = mask;
            if mask == Mask::Dead { Ok(Value::Unit) } else { lowerer.block(block) }
        };
        let a = run(self, then_mask, &flow.body)?;
        let then_end = self.mask;
        let b = run(self, else_mask, &flow.branch)?;
        let else_end = self.mask;
        self.mask =
            if (then_end, else_end) == (then_mask, else_mask) { before } else { self.either(then_end, else_end) };
        match (then_end, else_end) {
            (Mask::Dead, _) => Ok(b),
            (_, Mask::Dead) => Ok(a),
            _ => self.merge(c, &a, &b, pos),
        }
    }

    /// One pass of a loop's body. False when no world goes on.
    fn pass(&mut self, body: &StmtBlock) -> Res<bool> {
        let (before, returns) = (self.mask, self.frame().returns);
        let breaks = self.frame().loops.last().map_or(0, |l| l.breaks);
        self.block(body)?;
        let frame = self.frame();
        let inner = frame.loops.last_mut().expect("in a loop");
        let continued = std::mem::replace(&mut inner.continued, Mask::Dead);
        let same = frame.returns == returns && frame.loops.last().map_or(0, |l| l.breaks) == breaks;
        self.mask = if same { before } else { self.either(self.mask, continued) };
        Ok(self.mask != Mask::Dead)
    }

    fn in_loop(&mut self, run: impl FnOnce(&mut Self) -> Res<()>) -> Res<V> {
        let (before, returns) = (self.mask, self.frame().returns);
        self.frame().loops.push(Loop { broken: Mask::Dead, continued: Mask::Dead, breaks: 0 });
        let done = run(self);
        let ended = self.frame().loops.pop().expect("pushed above");
        done?;
        let came_back = self.either(self.mask, ended.broken);
        self.mask = if self.frame().returns == returns { before } else { came_back };
        Ok(Value::Unit)
    }

    fn for_loop(&mut self, f: &(rhai::Ident, Option<rhai::Ident>, FlowControl), pos: Position) -> Res<V> {
        let items: Vec<V> = match self.expr(&f.2.expr)? {
            Value::Array(items) => items,
            Value::Range(from, to) => {
                if to.saturating_sub(from) > 100_000 {
                    let message = format!("a loop of {} passes", to.saturating_sub(from));
                    return Err(Stop::Error(fault("limit", message, "at most 100,000 are allowed"), pos));
                }
                (from..to).map(|i| Value::Int(self.g.lit(i as f64))).collect()
            }
            other => {
                return Err(Stop::Interpret(format!("a loop over a {}", other.type_name()), pos));
            }
        };
        self.in_loop(|l| {
            for (i, item) in items.into_iter().enumerate() {
                l.tick(pos)?;
                let depth = l.frame().vars.len();
                l.declare(f.0.name.as_str(), item);
                if let Some(counter) = &f.1 {
                    let value = Value::Int(l.g.lit(i as f64));
                    l.declare(counter.name.as_str(), value);
                }
                let on = l.pass(&f.2.body);
                l.frame().vars.truncate(depth);
                if !on? {
                    break;
                }
            }
            Ok(())
        })
    }

    fn while_loop(&mut self, flow: &FlowControl, pos: Position) -> Res<V> {
        self.in_loop(|l| {
            loop {
                l.tick(pos)?;
                if !matches!(flow.expr, Expr::Unit(_)) {
                    let c = l.condition(&flow.expr)?;
                    match l.g.constant(c) {
                        Some(0.0) => return Ok(()),
                        Some(_) => {}
                        None => {
                            let construct = "a loop that ends at different times in different worlds";
                            return Err(Stop::Interpret(construct.into(), pos));
                        }
                    }
                }
                if !l.pass(&flow.body)? {
                    return Ok(());
                }
            }
        })
    }

    /// Declares a variable in the present block.
    pub fn declare(&mut self, name: &str, value: V) {
        let declared = self.mask;
        self.frame().vars.push(Var { name: name.into(), value, declared, shared: false, constant: false });
    }

    pub fn variable(&self, name: &str) -> Option<&V> {
        self.frames.last()?.vars.iter().rev().find(|v| v.name == name).map(|v| &v.value)
    }

    pub fn variable_names(&self) -> Vec<&str> {
        self.frames.last().map_or(Vec::new(), |f| f.vars.iter().map(|v| v.name.as_str()).collect())
    }

    /// Why what is no variable of the function cannot be changed.
    pub fn cannot_change(&self, name: &str, pos: Position) -> Stop {
        if self.above(name).is_some() {
            let message = format!("`{name}` stands above the functions and cannot be changed");
            let hint = "copy it: `let x = ...;`; what lasts from step to step is declared in `fn memory()`";
            return Stop::Error(fault("type", message, hint), pos);
        }
        let hint = pavlov_model::did_you_mean(name, self.variable_names());
        Stop::Error(fault("unknown-name", format!("no variable `{name}`: declare it by `let`"), hint), pos)
    }

    /// Puts a value where `path` leads inside the variable, in the worlds of the present mask.
    pub fn put(&mut self, name: &str, path: &[Step], value: V, pos: Position) -> Res<()> {
        let mask = self.mask;
        let Some(at) = self.frame().vars.iter().rposition(|v| v.name == name) else {
            return Err(self.cannot_change(name, pos));
        };
        let var = &self.frame().vars[at];
        if var.constant {
            let message = format!("`{name}` is a constant");
            return Err(Stop::Error(fault("type", message, "declare it with `let` to change it"), pos));
        }
        if var.shared {
            return Err(Stop::Interpret(format!("`{name}`, which a closure has taken and which is changed,"), pos));
        }
        let old = walk(&var.value, path).map_err(|f| Stop::Error(f, pos))?.clone();
        let new = match mask {
            Mask::Some(m) if var.declared != mask => self.merge(m, &value, &old, pos)?,
            _ => value,
        };
        let slot = walk_mut(&mut self.frame().vars[at].value, path);
        *slot.map_err(|f| Stop::Error(f, pos))? = new;
        Ok(())
    }
}
