//! Expressions of the lowering: operators, property chains, calls, closures.

use crate::builtins::{apply, fault, find, properties};
use crate::lower::{Lowerer, Res, Stop};
use crate::path::{Step, V, index, no_key, walk};
use crate::table::{BUILTINS, Form, rows};
use crate::value::{Bin, Builder, Value};
use rhai::{ASTFlags, ASTNode, BinaryExpr, Dynamic, Expr, FnCallExpr, FnPtr, OpAssignment, Position};

/// Between the module and the name of a function that is a value.
pub(crate) const MODULE: char = '\u{1}';

impl Lowerer<'_> {
    pub fn expr(&mut self, e: &Expr) -> Res<V> {
        self.tick(e.position())?;
        match e {
            Expr::Unit(_) => Ok(Value::Unit),
            Expr::BoolConstant(b, _) => Ok(Value::Bool(self.g.lit(f64::from(*b)))),
            Expr::IntegerConstant(i, pos) => self.int(*i, *pos),
            Expr::FloatConstant(x, _) => Ok(Value::Num(self.g.lit(**x))),
            Expr::StringConstant(s, _) => Ok(Value::Str(s.to_string())),
            Expr::DynamicConstant(d, pos) => self.dynamic(d, *pos),
            Expr::Array(items, pos) => {
                if items.len() > 10_000 {
                    return Err(Stop::Error(fault("limit", "an array of more than 10,000 elements", ""), *pos));
                }
                Ok(Value::Array(items.iter().map(|i| self.expr(i)).collect::<Res<_>>()?))
            }
            Expr::Map(map, _) => {
                let top = self.depth() == 1 && self.term.is_empty();
                let mut out = std::collections::BTreeMap::new();
                for (ident, value) in &map.0 {
                    if top {
                        self.term = ident.name.to_string();
                    }
                    out.insert(ident.name.to_string(), self.expr(value)?);
                }
                if top {
                    self.term.clear();
                }
                Ok(Value::Map(out))
            }
            Expr::Variable(v, _, pos) => {
                let name = v.1.as_str();
                if !v.2.is_empty() {
                    return self.qualified_variable(v.2.root(), name, *pos);
                }
                self.known(name).cloned().ok_or_else(|| self.unknown(name, *pos))
            }
            Expr::Stmt(block) => self.block(block),
            Expr::FnCall(call, pos) => self.function(call, *pos),
            Expr::Dot(..) | Expr::Index(..) => self.chain(e),
            Expr::And(list, _) | Expr::Or(list, _) => {
                let and = matches!(e, Expr::And(..));
                let mut result = self.g.lit(f64::from(and));
                for item in list.iter() {
                    let c = self.condition(item)?;
                    result = self.g.bin(if and { Bin::And } else { Bin::Or }, result, c);
                    if self.g.constant(result).is_some_and(|v| (v == 0.0) == and) {
                        break;
                    }
                }
                Ok(Value::Bool(result))
            }
            other => Err(Stop::Interpret("this expression".into(), other.position())),
        }
    }

    /// A variable of the function, or what stands above the functions.
    fn known(&self, name: &str) -> Option<&V> {
        self.variable(name).or_else(|| self.above(name).map(|(value, _)| value))
    }

    fn unknown(&self, name: &str, pos: Position) -> Stop {
        let parameter = matches!(self.variable("p"), Some(Value::Map(p)) if p.contains_key(name));
        let hint = if parameter {
            format!("it is a parameter: `p.{name}`")
        } else {
            crate::words::variable(name).unwrap_or_else(|| pavlov_model::did_you_mean(name, self.variable_names()))
        };
        Stop::Error(fault("unknown-name", format!("no variable `{name}` here"), hint), pos)
    }

    /// `global::W`
    fn qualified_variable(&self, root: &str, name: &str, pos: Position) -> Res<V> {
        let wrong = |message: String, hint: &str| Err(Stop::Error(fault("unknown-name", message, hint), pos));
        match self.above(name) {
            Some((value, true)) if root == "global" => Ok(value.clone()),
            Some(_) if root == "global" => {
                wrong(format!("`global::{name}` is no constant"), "declare it by `const`, or write the name alone")
            }
            _ if self.alias(root).is_ok() => {
                wrong(format!("module `{root}` has no variable `{name}`"), "a module is functions only: `name::f()`")
            }
            _ => wrong(format!("no variable `{root}::{name}`"), "write the name alone, or the number"),
        }
    }

    fn int(&mut self, i: i64, pos: Position) -> Res<V> {
        if i.unsigned_abs() > 1 << 53 {
            return Err(Stop::Interpret(format!("the whole number {i}, which has no exact float"), pos));
        }
        Ok(Value::Int(self.g.lit(i as f64)))
    }

    fn dynamic(&mut self, d: &Dynamic, pos: Position) -> Res<V> {
        if let Ok(i) = d.as_int() {
            return self.int(i, pos);
        }
        if let Ok(x) = d.as_float() {
            return Ok(Value::Num(self.g.lit(x)));
        }
        if let Ok(b) = d.as_bool() {
            return Ok(Value::Bool(self.g.lit(f64::from(b))));
        }
        if let Some(f) = d.read_lock::<FnPtr>() {
            let captured = f.curry().iter().map(|c| self.dynamic(c, pos)).collect::<Res<_>>()?;
            // A closure is a function of the file it stands in.
            return Ok(Value::Fn(format!("{}{MODULE}{}", self.module, f.fn_name()), captured));
        }
        if let Ok(a) = d.as_array_ref() {
            return Ok(Value::Array(a.iter().map(|x| self.dynamic(x, pos)).collect::<Res<_>>()?));
        }
        if let Ok(m) = d.as_map_ref() {
            let each = m.iter().map(|(k, x)| Ok((k.to_string(), self.dynamic(x, pos)?)));
            return Ok(Value::Map(each.collect::<Res<_>>()?));
        }
        match d.as_immutable_string_ref() {
            Ok(s) => Ok(Value::Str(s.to_string())),
            Err(_) => Err(Stop::Interpret(format!("a constant of type {}", d.type_name()), pos)),
        }
    }

    /// A call written as a function, operators included.
    pub fn function(&mut self, call: &FnCallExpr, pos: Position) -> Res<V> {
        let name = call.name.as_str();
        if call.capture_parent_scope {
            return Err(Stop::Interpret(format!("the call of `{name}`"), pos));
        }
        let args: Vec<V> = call.args.iter().map(|a| self.expr(a)).collect::<Res<_>>()?;
        if call.is_qualified() {
            return self.qualified(call, args, pos);
        }
        if name == "curry" {
            let mut args = args.into_iter();
            let Some(Value::Fn(target, mut captured)) = args.next() else {
                return Err(Stop::Interpret("`curry`".into(), pos));
            };
            captured.extend(args);
            return Ok(Value::Fn(target, captured));
        }
        if matches!(name, "print" | "debug") {
            return Ok(Value::Unit);
        }
        self.apply_named(name, args, pos)
    }

    /// `module::name(...)`.
    fn qualified(&mut self, call: &FnCallExpr, args: Vec<V>, pos: Position) -> Res<V> {
        let name = call.name.as_str();
        let [alias] = call.namespace.path.as_slice() else {
            return Err(Stop::Interpret(format!("the call of `{name}`"), pos));
        };
        let alias = alias.name.as_str();
        let module = self.alias(alias).map_err(|hint| {
            Stop::Error(fault("unknown-name", format!("no module is imported as `{alias}`: {hint}"), ""), pos)
        })?;
        let from = std::mem::replace(&mut self.module, module);
        let lib = self.ast().shared_lib();
        self.module = from;
        if lib.get_script_fn(name, args.len()).is_none() {
            let takes: Vec<String> =
                lib.iter_script_fn_info().filter(|f| f.2 == name).map(|f| f.3.to_string()).collect();
            let (message, hint) = if takes.is_empty() {
                let known: Vec<&str> =
                    lib.iter_script_fn_info().map(|f| f.2).filter(|n| !n.starts_with("anon$")).collect();
                (format!("module `{alias}` has no function `{name}`"), pavlov_model::did_you_mean(name, known))
            } else {
                let message = format!("`{alias}::{name}` cannot take {} arguments", args.len());
                (message, format!("it takes {}", takes.join(" or ")))
            };
            return Err(Stop::Error(fault("unknown-name", message, hint), pos));
        }
        Ok(self.call_in(module, name, args, pos)?.0)
    }

    /// Operators, script functions, built-ins: in the order in which the interpreter looks for them.
    fn apply_named(&mut self, name: &str, args: Vec<V>, pos: Position) -> Res<V> {
        if let Some(value) = self.operator(name, &args, pos)? {
            return Ok(value);
        }
        if self.ast().shared_lib().get_script_fn(name, args.len()).is_some() {
            return Ok(self.call(name, args, pos)?.0);
        }
        if let (Some(Value::Array(items)), Some(Value::Fn(f, captured)), n @ 2..=3) =
            (args.first(), args.get(1), args.len())
            && let Some(value) =
                self.over_array(name, items, f, captured, if n == 3 { args.get(2) } else { None }, pos)?
        {
            return Ok(value);
        }
        let form =
            if name.starts_with(|c: char| c.is_alphabetic() || c == '_') { Form::Function } else { Form::Operator };
        if let Some(row) = find(name, form, &args) {
            return apply(&mut self.g, row, &args).map_err(|f| Stop::Error(f, pos));
        }
        let types = args.iter().map(Value::type_name).collect::<Vec<_>>().join(", ");
        if rows(name, form).next().is_some() {
            let known: Vec<String> = rows(name, form)
                .map(|b| format!("({})", b.args.iter().map(|t| t.name()).collect::<Vec<_>>().join(", ")))
                .collect();
            let message = format!("`{name}` cannot take ({types})");
            return Err(Stop::Error(fault("type", message, format!("it takes {}", known.join(" or "))), pos));
        }
        if name == "^" {
            let hint = "a power is `x ** 2`; for whole numbers `^` is an exclusive or of bits";
            return Err(Stop::Error(fault("type", format!("`^` cannot take ({types})"), hint), pos));
        }
        if let Some(hint) = crate::words::refused_function(name) {
            return Err(Stop::Error(fault("unknown-name", format!("scripts have no function `{name}`"), hint), pos));
        }
        if let Some(hint) = crate::words::other_function(name) {
            return Err(Stop::Error(fault("unknown-name", format!("no function `{name}` on ({types})"), hint), pos));
        }
        if matches!(name, "+" | "-" | "*" | "/" | "%" | "**" | "<" | ">" | "<=" | ">=" | "!" | "&" | "|") {
            let message = format!("operator `{name}` cannot take ({types})");
            return Err(Stop::Error(fault("type", message, ""), pos));
        }
        Err(Stop::Interpret(format!("function `{name}` on ({types})"), pos))
    }

    /// `a.b[c].d(e)`: rhai nests these to the right.
    fn chain(&mut self, e: &Expr) -> Res<V> {
        let (base, steps) = unchain(e);
        self.own_closure(base, &steps)?;
        let mut steps = steps.as_slice();
        let variable = match base {
            Expr::Variable(v, ..) if v.2.is_empty() => self.known(&v.1),
            _ => None,
        };
        let mut value = match variable {
            Some(mut part) => {
                // A part of a variable is taken without a copy of the whole.
                loop {
                    let inner = match (part, steps.first()) {
                        (Value::Map(map), Some((true, Expr::Property(p, _)))) => map.get(p.2.as_str()),
                        (Value::Array(a), Some((false, Expr::IntegerConstant(i, _)))) => {
                            usize::try_from(*i).ok().and_then(|i| a.get(i))
                        }
                        _ => None,
                    };
                    let Some(inner) = inner else { break };
                    (part, steps) = (inner, &steps[1..]);
                }
                part.clone()
            }
            None => self.expr(base)?,
        };
        for &(is_dot, operand) in steps {
            let pos = operand.position();
            value = match (is_dot, operand) {
                (true, Expr::Property(p, pos)) => self.property(value, p.2.as_str(), *pos)?,
                (true, Expr::MethodCall(call, pos)) => self.method(value, call, *pos)?,
                (false, operand) => {
                    let i = self.expr(operand)?;
                    self.at(value, &i, pos)?
                }
                _ => return Err(Stop::Interpret("this expression".into(), pos)),
            };
        }
        Ok(value)
    }

    /// A closure that reads what is remembered cannot run on a part of it: rhai holds that part while it runs.
    fn own_closure(&self, base: &Expr, steps: &[(bool, &Expr)]) -> Res<()> {
        let Expr::Variable(v, ..) = base else { return Ok(()) };
        let name = v.1.as_str();
        if self.memory.as_deref() != Some(name) {
            return Ok(());
        }
        for (_, step) in steps {
            let Expr::MethodCall(call, pos) = step else { continue };
            if call.args.iter().any(|a| captures(a, name)) {
                let message = format!("`{name}` is read by a closure that runs on a part of `{name}`");
                let hint = format!("copy the part first: `let part = {name}.part;`, then `part.map(...)`");
                return Err(Stop::Error(fault("type", message, hint), *pos));
            }
        }
        Ok(())
    }

    fn property(&mut self, value: V, name: &str, pos: Position) -> Res<V> {
        if let Value::Map(map) = &value {
            return map.get(name).cloned().ok_or_else(|| Stop::Error(no_key(name, map.keys()), pos));
        }
        let args = [value];
        if let Some(row) = find(name, Form::Property, &args) {
            return apply(&mut self.g, row, &args).map_err(|f| Stop::Error(f, pos));
        }
        let mut hint = pavlov_model::did_you_mean(name, properties(&args[0]));
        if rows(name, Form::Function).any(|b| b.args.first().is_some_and(|t| crate::builtins::fits(&args[0], *t))) {
            hint = format!("it is a function: `.{name}()`");
        }
        let message = format!("a {} has no property `{name}`", args[0].type_name());
        Err(Stop::Error(fault("unknown-name", message, hint), pos))
    }

    fn method(&mut self, value: V, call: &FnCallExpr, pos: Position) -> Res<V> {
        let name = call.name.as_str();
        let mut args = vec![value];
        for a in &call.args {
            args.push(self.expr(a)?);
        }
        if self.ast().shared_lib().get_script_fn(name, call.args.len()).is_some() {
            return Err(Stop::Interpret(format!("`{name}` called on a value (as `this`)"), pos));
        }
        let known = BUILTINS.iter().any(|b| b.name == name);
        match self.apply_named(name, args, pos) {
            // A script function with one more parameter is not found by the interpreter in this form.
            Err(Stop::Interpret(..))
                if !known && self.ast().shared_lib().get_script_fn(name, call.args.len() + 1).is_some() =>
            {
                let hint = format!("write `{name}(x, ...)`");
                Err(Stop::Error(fault("unknown-name", format!("`{name}` is no method"), hint), pos))
            }
            other => other,
        }
    }

    fn at(&mut self, value: V, i: &V, pos: Position) -> Res<V> {
        let known = match i {
            Value::Int(n) => self.g.constant(*n),
            _ => None,
        };
        match (value, i, known) {
            (Value::Array(a), _, Some(k)) => {
                let k = index(k as i64, a.len()).map_err(|f| Stop::Error(f, pos))?;
                Ok(a[k].clone())
            }
            (Value::Map(map), Value::Str(key), _) => {
                map.get(key).cloned().ok_or_else(|| Stop::Error(no_key(key, map.keys()), pos))
            }
            (Value::Array(_), Value::Int(_), None) => {
                Err(Stop::Interpret("an index that differs between worlds".into(), pos))
            }
            (value, i, _) => {
                let message = format!("a {} cannot be indexed by a {}", value.type_name(), i.type_name());
                Err(Stop::Error(fault("type", message, ""), pos))
            }
        }
    }

    /// `lhs = rhs` and `lhs op= rhs`.
    pub fn assignment(&mut self, op: &OpAssignment, lhs: &Expr, rhs: &Expr) -> Res<V> {
        let pos = lhs.position();
        let mut value = self.expr(rhs)?;
        let (base, steps) = match lhs {
            Expr::Dot(..) | Expr::Index(..) => unchain(lhs),
            _ => (lhs, Vec::new()),
        };
        let Expr::Variable(v, ..) = base else {
            return Err(Stop::Interpret("an assignment to this".into(), pos));
        };
        let name = v.1.to_string();
        let mut path = Vec::new();
        for (is_dot, operand) in steps {
            path.push(match (is_dot, operand) {
                (true, Expr::Property(p, _)) => Step::Key(p.2.to_string()),
                (false, operand) => match self.expr(operand)? {
                    Value::Str(key) => Step::Key(key),
                    Value::Int(n) => match self.g.constant(n) {
                        Some(k) => Step::Index(k as i64),
                        None => return Err(Stop::Interpret("an index that differs between worlds".into(), pos)),
                    },
                    other => return Err(Stop::Interpret(format!("an index of type {}", other.type_name()), pos)),
                },
                _ => return Err(Stop::Interpret("an assignment to this".into(), pos)),
            });
        }
        if let Some((.., symbol)) = op.get_op_assignment_info() {
            let Some(var) = self.variable(&name) else {
                return Err(self.cannot_change(&name, pos));
            };
            let old = walk(var, &path).map_err(|f| Stop::Error(f, pos))?.clone();
            value = self.apply_named(symbol, vec![old, value], pos)?;
        }
        self.put(&name, &path, value, pos)?;
        Ok(Value::Unit)
    }
}

/// Does a closure in this expression take the variable?
fn captures(e: &Expr, name: &str) -> bool {
    let mut found = false;
    e.walk(&mut Vec::new(), &mut |nodes| {
        if let Some(ASTNode::Expr(Expr::FnCall(call, _))) = nodes.last()
            && call.name == "curry"
        {
            found |= call.args.iter().skip(1).any(|a| matches!(a, Expr::Variable(v, ..) if v.1 == name));
        }
        true
    });
    found
}

/// The start of a chain and its steps: (is it a dot?, operand).
fn unchain(e: &Expr) -> (&Expr, Vec<(bool, &Expr)>) {
    fn parts(e: &Expr) -> Option<(bool, &BinaryExpr, ASTFlags)> {
        match e {
            Expr::Dot(x, flags, _) => Some((true, x, *flags)),
            Expr::Index(x, flags, _) => Some((false, x, *flags)),
            _ => None,
        }
    }
    let Some((mut is_dot, x, mut flags)) = parts(e) else { return (e, Vec::new()) };
    let mut steps = Vec::new();
    let mut rest = &x.rhs;
    loop {
        match parts(rest) {
            Some((next, y, next_flags)) if !flags.intersects(ASTFlags::BREAK) => {
                steps.push((is_dot, &y.lhs));
                (is_dot, flags, rest) = (next, next_flags, &y.rhs);
            }
            _ => {
                steps.push((is_dot, rest));
                return (&x.lhs, steps);
            }
        }
    }
}
