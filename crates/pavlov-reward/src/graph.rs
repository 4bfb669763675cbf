//! From a manifest and the terms of its script to the reward graph: sources, transforms, combiner as one [`Tail`] that
//! runs within the script's own program.
//!
//! ```text
//! terms of the script ─┐                    ┌─ groups ─┐
//! sources ─────────────┴─ transforms of each ┴──────────┴─ combine ─ clip ─ scale ─> total
//! ```
//! Every node is an output with a name: `run` (term), `run.clip` (after its first transform), `run.clip.ema` ...,
//! `safe` (group), `total`. What changes between updates is in [`HostNumber`]s.

use crate::blocks::{COMBINERS, SOURCES};
use crate::manifest::Manifest;
use crate::nodes::{Constraint, CriticPart, HostKind, HostNumber, RewardGraph, SourceSpec, TOTAL};
use crate::read::{BlockInstance, Fault, Number, Reader, Res, fault, join};
use pavlov_script::{Bin, Channel, Num, Scene, Tail, Un};
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Table;

/// A value with its place among the nodes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub value: Num,
    pub node: usize,
}

/// One name: what it is at first and after its transforms.
#[derive(Debug, Clone)]
struct Named {
    raw: At,
    done: At,
    /// Discount of a delta: the part of the return that follows in the next step.
    delta: Option<Num>,
}

pub(crate) struct Build<'a> {
    pub tail: Tail,
    pub dt: f64,
    reader: Reader<'a>,
    names: BTreeMap<String, Named>,
    order: Vec<String>,
    pub nodes: Vec<String>,
    pub host: Vec<HostNumber>,
    pub constraints: Vec<Constraint>,
    pub critics: Vec<CriticPart>,
    /// Names that something else is made of, and names that are looked at.
    used: Vec<String>,
    read: Vec<String>,
    built: Vec<String>,
    discount: Option<Num>,
    ensembles: usize,
}

/// The tail for `terms` of a script, and what its outputs are.
pub(crate) fn build(manifest: &Manifest, scene: &Arc<Scene>, terms: &[String]) -> Res<(Tail, RewardGraph)> {
    let params: Vec<String> = manifest.params.keys().cloned().collect();
    let mut b = Build {
        tail: Tail::new(scene, terms.len(), params.len()),
        dt: scene.dt,
        reader: Reader { params: &params },
        names: BTreeMap::new(),
        order: Vec::new(),
        nodes: Vec::new(),
        host: Vec::new(),
        constraints: Vec::new(),
        critics: Vec::new(),
        used: Vec::new(),
        read: Vec::new(),
        built: Vec::new(),
        discount: None,
        ensembles: 0,
    };
    let top = |key: &str| vec![key.to_string()];
    for (i, name) in terms.iter().enumerate() {
        let value = b.tail.term(i);
        b.raw(name, value, false, &top("terms"))?;
    }
    let mut sources = Vec::new();
    for (name, table) in &manifest.sources {
        let path = join(&top("sources"), name);
        let value = b.source(name, table, &path, &mut sources)?;
        b.raw(name, value, true, &path)?;
    }
    let count = b.nodes.len();
    for (name, table) in &manifest.terms {
        let path = join(&top("terms"), name);
        let known = terms.iter().chain(manifest.sources.keys()).map(String::as_str);
        if !b.names.contains_key(name) {
            let hint = pavlov_model::did_you_mean(name, known.collect::<Vec<_>>());
            return fault(&path, format!("the script returns no term `{name}`: {hint}"));
        }
        b.transforms(name, &table.transform, &join(&path, "transform"))?;
    }
    let mut open = Vec::new();
    for name in manifest.groups.keys() {
        b.group(name, manifest, &mut open)?;
    }
    let late = b.total(manifest)?;
    let unused = b.order.iter().filter(|n| !b.used.contains(n) && !b.read.contains(n)).cloned().collect();
    let graph = RewardGraph {
        late: late.map(|_| b.nodes.len()),
        nodes: b.nodes,
        terms: count,
        host: b.host,
        constraints: b.constraints,
        critics: b.critics,
        sources,
        unused,
    };
    if let Some(late) = late {
        b.tail.output("late", late);
    }
    Ok((b.tail, graph))
}

impl Build<'_> {
    /// A term as its source gives it. Those of the script are outputs already.
    fn raw(&mut self, name: &str, value: Num, output: bool, path: &[String]) -> Res<()> {
        if name == TOTAL || self.names.contains_key(name) {
            return fault(path, format!("`{name}` is the name of another node: choose another"));
        }
        if output {
            self.tail.output(name, value);
        }
        let at = At { value, node: self.nodes.len() };
        self.nodes.push(name.into());
        self.order.push(name.into());
        self.names.insert(name.into(), Named { raw: at, done: at, delta: None });
        Ok(())
    }

    /// Names a value as the next node.
    pub fn node(&mut self, name: String, value: Num) -> At {
        self.tail.output(name.clone(), value);
        self.nodes.push(name);
        At { value, node: self.nodes.len() - 1 }
    }

    /// A new number that the host sets.
    pub fn host_number(&mut self, name: String, kind: HostKind, start: f64) -> Num {
        let (_, value) = self.tail.host(name.clone(), start);
        self.host.push(HostNumber { name, kind, start });
        value
    }

    pub fn number(&mut self, x: Number) -> Num {
        match x {
            Number::Is(x) => self.tail.lit(x),
            Number::Param(i) => self.tail.param(i),
        }
    }

    /// An option's number.
    pub fn option(&mut self, instance: &BlockInstance, name: &str) -> Option<Num> {
        instance.number(name).map(|x| self.number(x))
    }

    /// A discount: as given, else the learner's.
    pub fn discount(&mut self, instance: &BlockInstance) -> Num {
        if let Some(x) = self.option(instance, "gamma") {
            return x;
        }
        match self.discount {
            Some(x) => x,
            None => {
                let x = self.host_number("discount".into(), HostKind::Discount, 0.99);
                *self.discount.insert(x)
            }
        }
    }

    /// Is this the first step of an episode?
    pub fn first_step(&mut self) -> Num {
        let step = self.tail.column(Channel::EpisodeStep);
        let limit = self.tail.lit(1.5);
        self.tail.bin(Bin::Lt, step, limit)
    }

    /// A term before its transforms, by name. What is consumed is no longer summed by itself.
    pub fn named_raw(&mut self, name: &str, path: &[String], consume: bool) -> Res<At> {
        self.lookup(name, path, consume).map(|n| n.raw)
    }

    fn lookup(&mut self, name: &str, path: &[String], consume: bool) -> Res<Named> {
        match self.names.get(name) {
            Some(named) => {
                if consume { &mut self.used } else { &mut self.read }.push(name.into());
                Ok(named.clone())
            }
            None => {
                let hint = pavlov_model::did_you_mean(name, self.order.iter().map(String::as_str));
                fault(path, format!("no term, source or group `{name}`: {hint}"))
            }
        }
    }

    fn source(&mut self, name: &str, table: &Table, path: &[String], outside: &mut Vec<SourceSpec>) -> Res<Num> {
        let mut options = table.clone();
        let Some(kind) = options.remove("kind").and_then(|k| k.as_str().map(str::to_string)) else {
            let known: Vec<String> = SOURCES.iter().map(|s| format!("\"{}\"", s.name)).collect();
            return fault(path, format!("source `{name}` needs `kind`: one of {}", known.join(", ")));
        };
        let block = self.reader.block(SOURCES, "kind of source", &kind, &join(path, "kind"))?;
        let instance = self.reader.options(block, &options, path)?;
        match block.name {
            "success" => Ok(self.tail.column(Channel::Success)),
            "subgoals" => self.subgoals(&instance),
            _ => {
                let (plugin, options) = match block.name {
                    "native" => (
                        instance.text("plugin").unwrap_or_default().to_string(),
                        instance.table("options").cloned().unwrap_or_default(),
                    ),
                    kind => (kind.to_string(), options),
                };
                let k = outside.len() as u16;
                outside.push(SourceSpec { name: name.into(), plugin, options });
                Ok(self.tail.column(Channel::Source(k)))
            }
        }
    }

    fn subgoals(&mut self, instance: &BlockInstance) -> Res<Num> {
        let names: Vec<String> = instance.names("of").unwrap_or_default().to_vec();
        let bonus = instance.numbers("bonus", names.len())?.unwrap_or_default();
        let in_order = instance.flag("in_order");
        let mut sum = self.tail.lit(0.0);
        let mut open = self.tail.lit(1.0);
        for (i, (name, bonus)) in names.iter().zip(bonus).enumerate() {
            let x = self.named_raw(name, &join(&join(&instance.path, "of"), i), true)?.value;
            let at = self.option(instance, "at").expect("has a default");
            let bonus = self.number(bonus);
            let (paid, reached_so_far) = self.pay_once(x, at, bonus, in_order.then_some(open));
            sum = self.tail.add(sum, paid);
            open = reached_so_far;
        }
        Ok(sum)
    }

    /// `bonus` in the first step of an episode in which `x` is above `at` (and `open` is true), and whether `x` has
    /// been above so far.
    pub fn pay_once(&mut self, x: Num, at: Num, bonus: Num, open: Option<Num>) -> (Num, Num) {
        let t = &mut self.tail;
        let mut reached = t.bin(Bin::Lt, at, x);
        if let Some(open) = open {
            reached = t.bin(Bin::And, reached, open);
        }
        let (slot, before) = t.slot(0.0);
        let reached_so_far = t.bin(Bin::Or, before, reached);
        t.remember(slot, reached_so_far);
        let zero = t.lit(0.0);
        let fresh = t.un(Un::Not, before);
        let pays = t.bin(Bin::And, reached, fresh);
        (t.select(pays, bonus, zero), reached_so_far)
    }

    fn transforms(&mut self, name: &str, list: &[toml::Value], path: &[String]) -> Res<()> {
        let mut x = self.names[name].done;
        // Transforms so far that can be repeated on the value before the step, for a potential.
        let mut again: Option<Vec<BlockInstance>> = Some(Vec::new());
        let script_term = self.nodes.iter().position(|n| n == name).filter(|_| self.is_script_term(name));
        let mut delta = None;
        for (i, value) in list.iter().enumerate() {
            let here = join(path, i);
            let instance = self.reader.transform(value, &here)?;
            if delta.is_some() {
                return fault(
                    &here,
                    "`delta` must be the last transform: what would follow it is not known before the next step",
                );
            }
            let label = format!("{}.{}", self.nodes[x.node], instance.block.name);
            let value = match instance.block.name {
                "delta" => {
                    let gamma = self.discount(&instance);
                    delta = Some((gamma, x.value));
                    // What arrives in this step: its own part, and what it takes from the step before.
                    let first = self.first_step();
                    let taken = self.tail.mul(gamma, x.value);
                    let rest = self.tail.sub(x.value, taken);
                    self.tail.select(first, x.value, rest)
                }
                "potential" => {
                    let Some((term, again)) = script_term.zip(again.take()) else {
                        return fault(
                            &here,
                            "`potential` must come before transforms that look at more than one value, \
                             and on a term of the script",
                        );
                    };
                    let mut before = self.tail.term_before(term);
                    for earlier in &again {
                        before = self.stateless(earlier, before, x.node, &label)?.expect("only such are kept");
                    }
                    let gamma = self.discount(&instance);
                    let ended = self.tail.column(Channel::Terminated);
                    let zero = self.tail.lit(0.0);
                    let after = self.tail.select(ended, zero, x.value);
                    let after = self.tail.mul(gamma, after);
                    self.tail.sub(after, before)
                }
                _ => match self.stateless(&instance, x.value, x.node, &label)? {
                    Some(value) => {
                        // A number of the host belongs to one node: such transforms are not repeated.
                        match &mut again {
                            Some(list) if !matches!(instance.block.name, "normalize") && !instance.has("quantile") => {
                                list.push(instance)
                            }
                            other => *other = None,
                        }
                        value
                    }
                    None => {
                        again = None;
                        self.stateful(&instance, x.value)?
                    }
                },
            };
            x = self.node(label, value);
        }
        let named = self.names.get_mut(name).expect("checked by the caller");
        named.done = x;
        if let Some((gamma, base)) = delta {
            named.done.value = base;
            named.delta = Some(gamma);
        }
        Ok(())
    }

    fn is_script_term(&self, name: &str) -> bool {
        self.names[name].raw.node < self.tail.terms()
    }

    fn group(&mut self, name: &str, manifest: &Manifest, open: &mut Vec<String>) -> Res<()> {
        let path = join(&["groups".to_string()], name);
        if open.iter().any(|n| n == name) {
            return fault(&path, format!("group `{name}` is made of itself: {} -> {name}", open.join(" -> ")));
        }
        if self.built.iter().any(|n| n == name) {
            return Ok(());
        }
        if name == TOTAL || self.names.contains_key(name) {
            return fault(&path, format!("`{name}` is the name of another node: choose another"));
        }
        open.push(name.into());
        let mut options = manifest.groups[name].clone();
        let list = match options.remove("transform") {
            None => Vec::new(),
            Some(toml::Value::Array(list)) => list,
            Some(_) => return fault(&join(&path, "transform"), "`transform` must be a list"),
        };
        let kind = match options.remove("kind") {
            None => return fault(&path, format!("group `{name}` needs `kind`: one of {}", kinds())),
            Some(toml::Value::String(kind)) => kind,
            Some(other) => {
                return fault(&join(&path, "kind"), format!("`kind` is {other}: expected one of {}", kinds()));
            }
        };
        let block = self.reader.block(COMBINERS, "combiner", &kind, &join(&path, "kind"))?;
        let instance = self.reader.options(block, &options, &path)?;
        let Some(names) = instance.names("of").map(<[String]>::to_vec) else {
            return fault(&path, format!("group `{name}` needs `of`: the names of its members"));
        };
        for member in names.iter().filter(|m| manifest.groups.contains_key(*m)) {
            self.group(member, manifest, open)?;
        }
        let members = self.members(&names, &join(&path, "of"), false)?;
        let value = self.combine(&instance, name, &members)?;
        let at = self.node(name.to_string(), value);
        self.order.push(name.into());
        self.names.insert(name.into(), Named { raw: at, done: at, delta: None });
        open.pop();
        self.built.push(name.into());
        self.transforms(name, &list, &join(&path, "transform"))
    }

    /// The values of names; those with a delta only where they are summed.
    fn members(&mut self, names: &[String], path: &[String], sum: bool) -> Res<Vec<Member>> {
        let mut out = Vec::new();
        for (i, name) in names.iter().enumerate() {
            let here = join(path, i);
            let named = self.lookup(name, &here, true)?;
            if named.delta.is_some() && !sum {
                return fault(
                    &here,
                    format!("`{name}` ends with `delta`, which can only be summed by [combine], without min and max"),
                );
            }
            out.push(Member { name: name.clone(), at: named.done, delta: named.delta });
        }
        Ok(out)
    }

    /// The total, and what it adds to the step before.
    fn total(&mut self, manifest: &Manifest) -> Res<Option<Num>> {
        let path = vec!["combine".to_string()];
        let combine = &manifest.combine;
        let kind = combine.kind.as_deref().unwrap_or("sum");
        let block = self.reader.block(COMBINERS, "combiner", kind, &join(&path, "kind"))?;
        let mut options = combine.options.clone();
        if let Some(names) = &combine.of {
            options.insert("of".into(), names.iter().cloned().map(toml::Value::String).collect::<Vec<_>>().into());
        }
        let instance = self.reader.options(block, &options, &path)?;
        let names: Vec<String> = match instance.names("of") {
            Some(names) => names.to_vec(),
            None => self.order.iter().filter(|n| !self.used.contains(n)).cloned().collect(),
        };
        if names.is_empty() {
            return fault(
                &path,
                "nothing is left to combine: every term is used by something else; name the members in `of`",
            );
        }
        let plain = block.name == "sum" && combine.min.is_none() && combine.max.is_none();
        let members = self.members(&names, &join(&path, "of"), plain)?;
        let mut value = self.combine(&instance, TOTAL, &members)?;
        if let Some(bound) = combine.min.map(|_| "min").or(combine.max.map(|_| "max"))
            && !self.critics.is_empty()
        {
            let message = "a clipped total is not a sum of parts with a critic each: leave the bound out, \
                           or set `single_critic = true`";
            return fault(&join(&path, bound), message);
        }
        for (bound, low) in [(combine.min, true), (combine.max, false)] {
            let Some(bound) = bound else { continue };
            let bound = self.tail.lit(bound);
            let beyond = if low { self.tail.bin(Bin::Lt, value, bound) } else { self.tail.bin(Bin::Lt, bound, value) };
            value = self.tail.select(beyond, bound, value);
        }
        let scale = self.tail.lit(combine.scale);
        value = self.tail.mul(value, scale);
        self.node(TOTAL.into(), value);
        let mut late = None;
        for member in &members {
            let Some(gamma) = member.delta else { continue };
            let taken = self.tail.mul(gamma, member.at.value);
            let taken = self.tail.un(Un::Neg, taken);
            let taken = self.tail.mul(taken, scale);
            late = Some(match late {
                None => taken,
                Some(sum) => self.tail.add(sum, taken),
            });
        }
        Ok(late)
    }

    /// A number for one more ensemble.
    pub fn ensemble(&mut self) -> usize {
        self.ensembles += 1;
        self.ensembles - 1
    }
}

/// A value that is combined with others.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub name: String,
    pub at: At,
    delta: Option<Num>,
}

fn kinds() -> String {
    COMBINERS.iter().map(|c| c.name).collect::<Vec<_>>().join(", ")
}

/// What is wrong with the keys of a manifest's graph whatever its script is: all but the names of terms.
pub(crate) fn problem_of_combine(manifest: &Manifest) -> Option<Fault> {
    let c = &manifest.combine;
    if manifest.has_graph() || c.options.is_empty() {
        return None;
    }
    let key = c.options.keys().next()?;
    let known = ["scale", "min", "max", "kind", "of"];
    let hint = pavlov_model::did_you_mean(key, known);
    Some(Fault { path: vec!["combine".into(), key.clone()], message: format!("[combine] has no key `{key}`: {hint}") })
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
