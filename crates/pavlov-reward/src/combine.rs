//! What each combiner does. Formulas and their sources are in the table of `blocks.rs`.

use crate::graph::{Build, Member};
use crate::nodes::{Constraint, CriticPart, HostKind, Side, TOTAL};
use crate::read::{BlockInstance, Number, Res, fault, join};
use crate::transform::log_sigmoid;
use pavlov_script::{Bin, Num, Un};
use toml::Value;

impl Build<'_> {
    /// The members combined into one number; `name` is the node's name.
    pub fn combine(&mut self, instance: &BlockInstance, name: &str, members: &[Member]) -> Res<Num> {
        let x: Vec<Num> = members.iter().map(|m| m.at.value).collect();
        let n = members.len();
        Ok(match instance.block.name {
            "sum" => self.sum(&x),
            "mean" => self.mean(&x),
            "min" => self.smallest(&x),
            "uwo" => {
                let mean = self.mean(&x);
                let squares: Vec<Num> = x
                    .iter()
                    .map(|&x| {
                        let off = self.tail.sub(x, mean);
                        self.tail.mul(off, off)
                    })
                    .collect();
                let variance = self.mean(&squares);
                let lambda = self.option(instance, "lambda").expect("required");
                let cost = self.tail.mul(lambda, variance);
                self.tail.sub(mean, cost)
            }
            "brme" => {
                let nominal = match instance.text("nominal") {
                    Some(nominal_name) => {
                        let Some(at) = members.iter().position(|m| m.name == nominal_name) else {
                            let hint =
                                pavlov_model::did_you_mean(nominal_name, members.iter().map(|m| m.name.as_str()));
                            return fault(
                                &join(&instance.path, "nominal"),
                                format!("`{nominal_name}` is no member: {hint}"),
                            );
                        };
                        x[at]
                    }
                    None => {
                        let ensemble = self.ensemble();
                        let mut parts = Vec::new();
                        for (i, m) in members.iter().enumerate() {
                            let kind = HostKind::Nominal { node: m.at.node, ensemble };
                            let label = format!("{name}.nominal.{}", m.name);
                            let share = self.host_number(label, kind, if i == 0 { 1.0 } else { 0.0 });
                            parts.push(self.tail.mul(share, x[i]));
                        }
                        self.sum(&parts)
                    }
                };
                let lambda = self.option(instance, "lambda").expect("required");
                let low = self.smallest(&x);
                let one = self.tail.lit(1.0);
                let rest = self.tail.sub(one, lambda);
                let a = self.tail.mul(lambda, nominal);
                let b = self.tail.mul(rest, low);
                self.tail.add(a, b)
            }
            "harmonic" | "geometric" => {
                let weights = instance.numbers("weights", n)?.unwrap_or_default();
                if let Some(w) = weights.iter().find(|w| matches!(w, Number::Is(w) if *w <= 0.0)) {
                    return fault(
                        &join(&instance.path, "weights"),
                        format!("a weight is {w:?}: expected numbers above 0"),
                    );
                }
                let weights: Vec<Num> = weights.into_iter().map(|w| self.number(w)).collect();
                let floor = self.option(instance, "floor").expect("has a default");
                let harmonic = instance.block.name == "harmonic";
                let parts: Vec<Num> = x
                    .iter()
                    .zip(&weights)
                    .map(|(&x, &w)| {
                        let x = self.tail.bin(Bin::Max, x, floor);
                        if harmonic {
                            self.tail.div(w, x)
                        } else {
                            let ln = self.tail.un(Un::Ln, x);
                            self.tail.mul(w, ln)
                        }
                    })
                    .collect();
                let (parts, total_weight) = (self.sum(&parts), self.sum(&weights));
                if harmonic {
                    self.tail.div(total_weight, parts)
                } else {
                    let ln = self.tail.div(parts, total_weight);
                    self.tail.un(Un::Exp, ln)
                }
            }
            "log_sigmoid_and" => {
                let references = instance.numbers("references", n)?;
                let quantile = instance.number("quantile");
                let mut parts = Vec::new();
                for (i, m) in members.iter().enumerate() {
                    let reference = match (&references, quantile) {
                        (Some(list), None) => self.number(list[i]),
                        (None, Some(Number::Is(quantile))) => {
                            let kind = HostKind::Reference { node: m.at.node, quantile };
                            self.host_number(format!("{name}.{}.reference", m.name), kind, 0.0)
                        }
                        _ => {
                            return fault(&instance.path, "`log_sigmoid_and` needs either `references` or `quantile`");
                        }
                    };
                    let slope = self.option(instance, "slope").expect("has a default");
                    let off = self.tail.sub(m.at.value, reference);
                    let z = self.tail.mul(slope, off);
                    parts.push(log_sigmoid(&mut self.tail, z));
                }
                self.sum(&parts)
            }
            "lagrangian" => self.lagrangian(instance, name, members)?,
            other => unreachable!("combiner `{other}` has no meaning"),
        })
    }

    fn sum(&mut self, x: &[Num]) -> Num {
        let zero = self.tail.lit(0.0);
        let first = x.first().copied().unwrap_or(zero);
        x.iter().skip(1).fold(first, |a, &b| self.tail.add(a, b))
    }

    fn mean(&mut self, x: &[Num]) -> Num {
        let sum = self.sum(x);
        let n = self.tail.lit(x.len().max(1) as f64);
        self.tail.div(sum, n)
    }

    fn smallest(&mut self, x: &[Num]) -> Num {
        let zero = self.tail.lit(0.0);
        let first = x.first().copied().unwrap_or(zero);
        // A NaN among the members makes the result NaN: `min` alone would pass it over.
        x.iter().skip(1).fold(first, |a, &b| {
            let less = self.tail.bin(Bin::Lt, a, b);
            let proper = self.tail.bin(Bin::Eq, a, a);
            let nan = self.tail.un(Un::Not, proper);
            let keep = self.tail.bin(Bin::Or, less, nan);
            self.tail.select(keep, a, b)
        })
    }

    /// Objectives, and constraints by their multipliers; the whole is divided by the sum of the weights, so that the
    /// reward keeps its size while multipliers grow. As the total, objectives and constraints get a critic each.
    fn lagrangian(&mut self, instance: &BlockInstance, name: &str, members: &[Member]) -> Res<Num> {
        let table = instance.table("constraints").cloned().unwrap_or_default();
        let path = join(&instance.path, "constraints");
        let literal = |name: &str| match instance.number(name) {
            Some(Number::Is(x)) => Ok(x),
            _ => fault(&join(&instance.path, name), format!("`{name}` must be a number")),
        };
        let (rate, limit, patience) = (literal("rate")?, literal("limit")?, literal("patience")?);
        if table.is_empty() {
            return fault(&path, "no constraint: expected name = { at_least = 0.5 }");
        }
        if let Some(name) = table.keys().find(|n| !members.iter().any(|m| m.name == **n)) {
            let hint = pavlov_model::did_you_mean(name, members.iter().map(|m| m.name.as_str()));
            return fault(&join(&path, name), format!("`{name}` is not among what is combined: {hint}"));
        }
        let (mut parts, mut objectives, mut critics) = (Vec::new(), Vec::new(), Vec::new());
        let mut weight = self.tail.lit(1.0);
        for m in members {
            let Some(spec) = table.get(&m.name) else {
                parts.push(m.at.value);
                objectives.push(m.at.value);
                continue;
            };
            let path = join(&path, &m.name);
            let (side, threshold) = match spec.as_table().filter(|t| t.len() == 1).and_then(|t| t.iter().next()) {
                Some((key, value)) => {
                    let side = match key.as_str() {
                        "at_least" => Side::AtLeast,
                        "at_most" => Side::AtMost,
                        "equal" => Side::Equal,
                        _ => {
                            let hint = pavlov_model::did_you_mean(key, ["at_least", "at_most", "equal"]);
                            return fault(&join(&path, key), format!("no kind of constraint `{key}`: {hint}"));
                        }
                    };
                    let x = match value {
                        Value::Float(x) if x.is_finite() => *x,
                        Value::Integer(i) => *i as f64,
                        other => {
                            return fault(&join(&path, key), format!("`{key}` is {other}: expected a finite number"));
                        }
                    };
                    (side, x)
                }
                None => return fault(&path, "expected { at_least = x }, { at_most = x } or { equal = x }"),
            };
            let constraint = self.constraints.len();
            let start = crate::adapt::multiplier(side, limit, crate::adapt::start(side));
            let label = format!("{}.multiplier", m.name);
            let mu = self.host_number(label, HostKind::Multiplier { constraint }, start);
            critics.push(CriticPart { node: m.at.node, constraint: Some(constraint) });
            self.constraints.push(Constraint {
                name: m.name.clone(),
                node: m.at.node,
                side,
                threshold,
                rate,
                limit,
                patience,
            });
            let size = self.tail.un(Un::Abs, mu);
            weight = self.tail.add(weight, size);
            let mu = if side == Side::AtMost { self.tail.un(Un::Neg, mu) } else { mu };
            parts.push(self.tail.mul(mu, m.at.value));
        }
        if name == TOTAL && !instance.flag("single_critic") {
            let objective = self.sum(&objectives);
            let node = self.node(format!("{TOTAL}.objective"), objective).node;
            self.critics = [CriticPart { node, constraint: None }].into_iter().chain(critics).collect();
        }
        let sum = self.sum(&parts);
        Ok(self.tail.div(sum, weight))
    }
}
