//! Expressions of the lowering: operators, property chains, calls, closures.

use crate::builtins::{apply, fault, find, properties};
use crate::lower::{Lowerer, Res, Stop};
use crate::path::{Step, V, index, no_key, walk};
use crate::table::{BUILTINS, Form, rows};
use crate::value::{Bin, Builder, Un, Value};
use rhai::{ASTFlags, BinaryExpr, Dynamic, Expr, FnCallExpr, FnPtr, OpAssignment, Position};

/// Between the module and the name of a function that is a value.
const MODULE: char = '\u{1}';

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
                if !v.2.is_empty() {
                    return Err(Stop::Interpret("a qualified name".into(), *pos));
                }
                let name = v.1.as_str();
                self.variable(name).cloned().ok_or_else(|| {
                    let hint = pavlov_model::did_you_mean(name, self.variable_names());
                    Stop::Error(fault("unknown-name", format!("no variable `{name}` here"), hint), *pos)
                })
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
        if matches!(name, "+" | "-" | "*" | "/" | "%" | "**" | "<" | ">" | "<=" | ">=" | "!" | "&" | "|") {
            let message = format!("operator `{name}` cannot take ({types})");
            return Err(Stop::Error(fault("type", message, ""), pos));
        }
        Err(Stop::Interpret(format!("function `{name}` on ({types})"), pos))
    }

    /// rhai's own operators on numbers and booleans.
    fn operator(&mut self, name: &str, args: &[V], pos: Position) -> Res<Option<V>> {
        let value = match args {
            [x] => match (name, x) {
                ("-", Value::Int(n)) => Value::Int(self.g.un(Un::Neg, *n)),
                ("-", Value::Num(n)) => Value::Num(self.g.un(Un::Neg, *n)),
                ("+", Value::Int(_) | Value::Num(_)) => x.clone(),
                ("!", Value::Bool(n)) => Value::Bool(self.g.un(Un::Not, *n)),
                _ => return Ok(None),
            },
            [Value::Bool(x), Value::Bool(y)] => {
                let op = match name {
                    "&" => Bin::And,
                    "|" => Bin::Or,
                    "==" => Bin::Eq,
                    "^" | "!=" => Bin::Ne,
                    _ => return Ok(None),
                };
                Value::Bool(self.g.bin(op, *x, *y))
            }
            [Value::Str(x), Value::Str(y)] if matches!(name, "==" | "!=") => {
                Value::Bool(self.g.lit(f64::from((x == y) == (name == "=="))))
            }
            [a, b] => {
                let (Some(x), Some(y)) = (a.num(), b.num()) else { return Ok(None) };
                let whole = matches!((a, b), (Value::Int(_), Value::Int(_)));
                return self.arithmetic(name, x, y, whole, pos).map(Some).or_else(|stop| match stop {
                    None => Ok(None),
                    Some(stop) => Err(stop),
                });
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    fn arithmetic(&mut self, name: &str, x: u32, y: u32, whole: bool, pos: Position) -> Result<V, Option<Stop>> {
        let bin = |l: &mut Self, op| l.g.bin(op, x, y);
        let number = |n| if whole { Value::Int(n) } else { Value::Num(n) };
        Ok(match name {
            "+" => number(bin(self, Bin::Add)),
            "-" => number(bin(self, Bin::Sub)),
            "*" => number(bin(self, Bin::Mul)),
            "/" | "%" if whole => match self.g.constant(y) {
                Some(0.0) => {
                    return Err(Some(Stop::Error(fault("value", "a whole number divided by 0", "use floats"), pos)));
                }
                Some(_) if name == "%" => Value::Int(bin(self, Bin::Rem)),
                Some(_) => {
                    let ratio = bin(self, Bin::Div);
                    Value::Int(self.g.un(Un::Trunc, ratio))
                }
                None => return Err(Some(Stop::Interpret("a division of whole numbers".into(), pos))),
            },
            "/" => Value::Num(bin(self, Bin::Div)),
            "%" => Value::Num(bin(self, Bin::Rem)),
            "**" => match (whole, self.g.constant(y)) {
                (false, _) => Value::Num(bin(self, Bin::Pow)),
                (true, Some(n)) if n >= 0.0 => Value::Int(bin(self, Bin::Pow)),
                _ => return Err(Some(Stop::Interpret("a power of whole numbers".into(), pos))),
            },
            "<" => Value::Bool(bin(self, Bin::Lt)),
            "<=" => Value::Bool(bin(self, Bin::Le)),
            ">" => Value::Bool(self.g.bin(Bin::Lt, y, x)),
            ">=" => Value::Bool(self.g.bin(Bin::Le, y, x)),
            "==" => Value::Bool(bin(self, Bin::Eq)),
            "!=" => Value::Bool(bin(self, Bin::Ne)),
            ".." | "..=" | "range" => match (self.g.constant(x), self.g.constant(y), whole) {
                (Some(a), Some(b), true) => Value::Range(a as i64, b as i64 + i64::from(name == "..=")),
                _ => return Err(Some(Stop::Interpret("a range that is not known beforehand".into(), pos))),
            },
            _ => return Err(None),
        })
    }

    /// rhai's functions over arrays that take a closure.
    fn over_array(
        &mut self,
        name: &str,
        items: &[V],
        f: &str,
        captured: &[V],
        start: Option<&V>,
        pos: Position,
    ) -> Res<Option<V>> {
        let (module, f) = match f.split_once(MODULE) {
            Some((module, f)) => (module.parse().unwrap_or(self.module), f),
            None => (self.module, f),
        };
        let from = std::mem::replace(&mut self.module, module);
        let lib = self.ast().shared_lib();
        self.module = from;
        let takes = |n: usize| lib.get_script_fn(f, captured.len() + n).is_some();
        let with_index = !takes(1) && takes(2);
        let each = |l: &mut Self, i: usize, item: &V| -> Res<V> {
            let mut args = captured.to_vec();
            args.push(item.clone());
            if with_index {
                args.push(Value::Int(l.g.lit(i as f64)));
            }
            Ok(l.call_in(module, f, args, pos)?.0)
        };
        match (name, start) {
            ("map", None) => {
                let found = items.iter().enumerate().map(|(i, x)| each(self, i, x)).collect::<Res<_>>()?;
                Ok(Some(Value::Array(found)))
            }
            ("all" | "some", None) => {
                let every = name == "all";
                let mut found = self.g.lit(f64::from(every));
                for (i, x) in items.iter().enumerate() {
                    let Value::Bool(c) = each(self, i, x)? else {
                        let message = format!("the closure of `{name}` must give true or false");
                        return Err(Stop::Error(fault("type", message, ""), pos));
                    };
                    found = self.g.bin(if every { Bin::And } else { Bin::Or }, found, c);
                }
                Ok(Some(Value::Bool(found)))
            }
            ("reduce", Some(start)) if takes(2) => {
                let mut sum = start.clone();
                for x in items {
                    let mut args = captured.to_vec();
                    args.extend([sum, x.clone()]);
                    sum = self.call_in(module, f, args, pos)?.0;
                }
                Ok(Some(sum))
            }
            _ => Ok(None),
        }
    }

    /// `a.b[c].d(e)`: rhai nests these to the right.
    fn chain(&mut self, e: &Expr) -> Res<V> {
        let (base, steps) = unchain(e);
        let mut value = self.expr(base)?;
        for (is_dot, operand) in steps {
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
                return Err(Stop::Error(fault("unknown-name", format!("no variable `{name}`"), ""), pos));
            };
            let old = walk(var, &path).map_err(|f| Stop::Error(f, pos))?.clone();
            value = self.apply_named(symbol, vec![old, value], pos)?;
        }
        self.put(&name, &path, value, pos)?;
        Ok(Value::Unit)
    }
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
