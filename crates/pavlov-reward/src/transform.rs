//! What each transform does. Formulas and their sources are in the table of `blocks.rs`.

use crate::graph::Build;
use crate::nodes::HostKind;
use crate::read::{Made, Res, fault};
use pavlov_script::{Bin, Num, Tail, Un};

/// `log sigmoid(z)`, without overflow: `min(z, 0) - ln(1 + exp(-|z|))`.
pub(crate) fn log_sigmoid(t: &mut Tail, z: Num) -> Num {
    let (zero, one) = (t.lit(0.0), t.lit(1.0));
    let low = t.bin(Bin::Min, z, zero);
    let size = t.un(Un::Abs, z);
    let down = t.un(Un::Neg, size);
    let e = t.un(Un::Exp, down);
    let sum = t.add(one, e);
    let ln = t.un(Un::Ln, sum);
    t.sub(low, ln)
}

/// `1 / (1 + exp(-z))`.
fn sigmoid(t: &mut Tail, z: Num) -> Num {
    let one = t.lit(1.0);
    let down = t.un(Un::Neg, z);
    let e = t.un(Un::Exp, down);
    let sum = t.add(one, e);
    t.div(one, sum)
}

impl Build<'_> {
    /// Transforms that look at one value only; `None` when it is none of them. `node` is where `x` is logged, `label` the new name.
    pub fn stateless(&mut self, made: &Made, x: Num, node: usize, label: &str) -> Res<Option<Num>> {
        Ok(Some(match made.block.name {
            "weight" => {
                let by = self.option(made, "by").expect("required");
                self.tail.mul(by, x)
            }
            "clip" => {
                if !(made.has("min") || made.has("max") || made.has("eta")) {
                    return fault(&made.path, "`clip` needs `min`, `max` or `eta`");
                }
                if let (Some(crate::read::Number::Is(low)), Some(crate::read::Number::Is(high))) =
                    (made.number("min"), made.number("max"))
                    && low > high
                {
                    return fault(&made.path, format!("`min` {low} is above `max` {high}"));
                }
                let mut y = x;
                if let Some(eta) = self.option(made, "eta") {
                    let zero = self.tail.lit(0.0);
                    y = self.tail.sub(y, eta);
                    y = self.tail.bin(Bin::Min, y, zero);
                }
                if let Some(low) = self.option(made, "min") {
                    y = self.tail.bin(Bin::Max, y, low);
                }
                if let Some(high) = self.option(made, "max") {
                    y = self.tail.bin(Bin::Min, y, high);
                }
                y
            }
            "log_sigmoid" => {
                let reference = self.reference(made, node, label)?;
                let slope = self.option(made, "slope").expect("has a default");
                let off = self.tail.sub(x, reference);
                let z = self.tail.mul(slope, off);
                log_sigmoid(&mut self.tail, z)
            }
            "normalize" => {
                let inverse = self.host_number(format!("{label}.inverse_std"), HostKind::InverseStd { node }, 1.0);
                let mut y = x;
                if made.flag("center") {
                    let mean = self.host_number(format!("{label}.mean"), HostKind::Mean { node }, 0.0);
                    y = self.tail.sub(y, mean);
                }
                y = self.tail.mul(y, inverse);
                let high = self.option(made, "clip").expect("has a default");
                let low = self.tail.un(Un::Neg, high);
                y = self.tail.bin(Bin::Max, y, low);
                self.tail.bin(Bin::Min, y, high)
            }
            "exp_kernel" => {
                let sigma = self.option(made, "sigma").expect("required");
                let r = self.tail.div(x, sigma);
                let r2 = self.tail.mul(r, r);
                let power = self.tail.un(Un::Neg, r2);
                self.tail.un(Un::Exp, power)
            }
            _ => return Ok(None),
        }))
    }

    /// Where log-sigmoid has its knee: a number, or a quantile that the trainer finds.
    fn reference(&mut self, made: &Made, node: usize, label: &str) -> Res<Num> {
        match (self.option(made, "reference"), made.number("quantile")) {
            (Some(x), None) => Ok(x),
            (None, Some(crate::read::Number::Is(quantile))) => {
                Ok(self.host_number(format!("{label}.reference"), HostKind::Reference { node, quantile }, 0.0))
            }
            _ => fault(&made.path, "`log_sigmoid` needs either `reference` or `quantile` (a number)"),
        }
    }

    /// Transforms that remember, or that look at other terms.
    pub fn stateful(&mut self, made: &Made, x: Num) -> Res<Num> {
        Ok(match made.block.name {
            "rate" => {
                let first = self.first_step();
                let dt = self.dt;
                let t = &mut self.tail;
                let (slot, old) = t.slot(0.0);
                t.remember(slot, x);
                let change = t.sub(x, old);
                let dt = t.lit(dt);
                let rate = t.div(change, dt);
                let zero = t.lit(0.0);
                t.select(first, zero, rate)
            }
            "ema" => {
                let first = self.first_step();
                let time = self.option(made, "time").expect("required");
                let dt = self.dt;
                let t = &mut self.tail;
                // 1 - exp(-dt / time)
                let down = t.lit(-dt);
                let ratio = t.div(down, time);
                let kept = t.un(Un::Exp, ratio);
                let one = t.lit(1.0);
                let share = t.sub(one, kept);
                let (slot, old) = t.slot(0.0);
                let off = t.sub(x, old);
                let step = t.mul(share, off);
                let moved = t.add(old, step);
                let y = t.select(first, x, moved);
                t.remember(slot, y);
                y
            }
            "gate" => {
                let by = made.text("by").unwrap_or_default().to_string();
                let by = self.named_raw(&by, &crate::read::join(&made.path, "by"), false)?.value;
                if !(made.has("above") || made.has("below")) {
                    return fault(&made.path, "`gate` needs `above` or `below`");
                }
                let soft = made.number("width") != Some(crate::read::Number::Is(0.0));
                let width = self.option(made, "width").expect("has a default");
                let mut y = x;
                for (name, up) in [("above", true), ("below", false)] {
                    let Some(limit) = self.option(made, name) else { continue };
                    let t = &mut self.tail;
                    let over = if up { t.sub(by, limit) } else { t.sub(limit, by) };
                    y = if soft {
                        let z = t.div(over, width);
                        let open = sigmoid(t, z);
                        t.mul(y, open)
                    } else {
                        let zero = t.lit(0.0);
                        let open = t.bin(Bin::Lt, zero, over);
                        t.select(open, y, zero)
                    };
                }
                y
            }
            "once" => {
                let at = self.option(made, "at").expect("has a default");
                let bonus = self.option(made, "bonus").expect("has a default");
                self.pay_once(x, at, bonus, None).0
            }
            other => unreachable!("transform `{other}` has no meaning"),
        })
    }
}
