//! Operators of the lowering, and functions over arrays that take a closure.

use crate::builtins::fault;
use crate::lower::{Lowerer, Res, Stop};
use crate::lower_expr::MODULE;
use crate::path::V;
use crate::value::{Bin, Builder, Un, Value};
use rhai::Position;

impl Lowerer<'_> {
    /// rhai's own operators on numbers and booleans.
    pub fn operator(&mut self, name: &str, args: &[V], pos: Position) -> Res<Option<V>> {
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
            "/" | "%" if whole => match self.whole_divisor(name, x, y, pos) {
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
            "==" | "!=" => {
                if !whole {
                    self.compared(name, x, y, pos);
                }
                Value::Bool(bin(self, if name == "==" { Bin::Eq } else { Bin::Ne }))
            }
            ".." | "..=" | "range" => match (self.g.constant(x), self.g.constant(y), whole) {
                (Some(a), Some(b), true) => Value::Range(a as i64, b as i64 + i64::from(name == "..=")),
                _ => return Err(Some(Stop::Interpret("a range that is not known beforehand".into(), pos))),
            },
            _ => return Err(None),
        })
    }

    /// rhai's functions over arrays that take a closure.
    pub fn over_array(
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
            let mut args = vec![item.clone()];
            if with_index {
                args.push(Value::Int(l.g.lit(i as f64)));
            }
            l.call_closure(module, f, captured, args, pos)
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
                    sum = self.call_closure(module, f, captured, vec![sum, x.clone()], pos)?;
                }
                Ok(Some(sum))
            }
            _ => Ok(None),
        }
    }
}
