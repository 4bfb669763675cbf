//! What each transform does. Formulas and their sources are in the table of `blocks.rs`.

use crate::graph::Build;
use crate::nodes::HostKind;
use crate::read::{BlockInstance, Res, fault};
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
    /// Transforms that look at one value only; `None` for the others. `node` is where `x` is logged, `label`
    /// the new name.
    pub fn stateless(&mut self, instance: &BlockInstance, x: Num, node: usize, label: &str) -> Res<Option<Num>> {
        Ok(Some(match instance.block.name {
            "weight" => {
                let by = self.option(instance, "by").expect("required");
                self.tail.mul(by, x)
            }
            "clip" => {
                if !(instance.has("min") || instance.has("max") || instance.has("eta")) {
                    return fault(&instance.path, "`clip` needs `min`, `max` or `eta`");
                }
                if let (Some(crate::read::Number::Is(low)), Some(crate::read::Number::Is(high))) =
                    (instance.number("min"), instance.number("max"))
                    && low > high
                {
                    return fault(&instance.path, format!("`min` {low} is above `max` {high}"));
                }
                let mut y = x;
                if let Some(eta) = self.option(instance, "eta") {
                    let zero = self.tail.lit(0.0);
                    y = self.tail.sub(y, eta);
                    y = self.tail.bin(Bin::Min, y, zero);
                }
                if let Some(low) = self.option(instance, "min") {
                    y = self.tail.bin(Bin::Max, y, low);
                }
                if let Some(high) = self.option(instance, "max") {
                    y = self.tail.bin(Bin::Min, y, high);
                }
                y
            }
            "log_sigmoid" => {
                let reference = self.reference(instance, node, label)?;
                let slope = self.option(instance, "slope").expect("has a default");
                let off = self.tail.sub(x, reference);
                let z = self.tail.mul(slope, off);
                log_sigmoid(&mut self.tail, z)
            }
            "normalize" => {
                let inverse = self.host_number(format!("{label}.inverse_std"), HostKind::InverseStd { node }, 1.0);
                let mut y = x;
                if instance.flag("center") {
                    let mean = self.host_number(format!("{label}.mean"), HostKind::Mean { node }, 0.0);
                    y = self.tail.sub(y, mean);
                }
                y = self.tail.mul(y, inverse);
                let high = self.option(instance, "clip").expect("has a default");
                let low = self.tail.un(Un::Neg, high);
                y = self.tail.bin(Bin::Max, y, low);
                self.tail.bin(Bin::Min, y, high)
            }
            "exp_kernel" => {
                let sigma = self.option(instance, "sigma").expect("required");
                let r = self.tail.div(x, sigma);
                let r2 = self.tail.mul(r, r);
                let power = self.tail.un(Un::Neg, r2);
                self.tail.un(Un::Exp, power)
            }
            _ => return Ok(None),
        }))
    }

    /// Where log-sigmoid has its knee: a number, or a quantile that the trainer finds.
    fn reference(&mut self, instance: &BlockInstance, node: usize, label: &str) -> Res<Num> {
        match (self.option(instance, "reference"), instance.number("quantile")) {
            (Some(x), None) => Ok(x),
            (None, Some(crate::read::Number::Is(quantile))) => {
                Ok(self.host_number(format!("{label}.reference"), HostKind::Reference { node, quantile }, 0.0))
            }
            _ => fault(&instance.path, "`log_sigmoid` needs either `reference` or `quantile` (a number)"),
        }
    }

    /// Transforms that remember, or that look at other terms.
    pub fn stateful(&mut self, instance: &BlockInstance, x: Num) -> Res<Num> {
        Ok(match instance.block.name {
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
                let time = self.option(instance, "time").expect("required");
                let dt = self.dt;
                let t = &mut self.tail;
                // 1 - exp(-dt / time)
                let down = t.lit(-dt);
                let ratio = t.div(down, time);
                let decay = t.un(Un::Exp, ratio);
                let one = t.lit(1.0);
                let share = t.sub(one, decay);
                let (slot, old) = t.slot(0.0);
                let off = t.sub(x, old);
                let step = t.mul(share, off);
                let moved = t.add(old, step);
                let y = t.select(first, x, moved);
                t.remember(slot, y);
                y
            }
            "gate" => {
                let by = instance.text("by").unwrap_or_default().to_string();
                let by = self.named_raw(&by, &crate::read::join(&instance.path, "by"), false)?.value;
                if !(instance.has("above") || instance.has("below")) {
                    return fault(&instance.path, "`gate` needs `above` or `below`");
                }
                let soft = instance.number("width") != Some(crate::read::Number::Is(0.0));
                let width = self.option(instance, "width").expect("has a default");
                let mut y = x;
                for (name, up) in [("above", true), ("below", false)] {
                    let Some(limit) = self.option(instance, name) else { continue };
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
                let at = self.option(instance, "at").expect("has a default");
                let bonus = self.option(instance, "bonus").expect("has a default");
                self.pay_once(x, at, bonus, None).0
            }
            other => unreachable!("transform `{other}` has no meaning"),
        })
    }
}
