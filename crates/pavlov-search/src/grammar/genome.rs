//! Genomes: rewards of the embedded generator, as a list of shaped and weighted quantities, and their text.
//!
//! Weights are kept relative to the spread of what they weigh, so that equal weights matter about equally; the script
//! has them in the units of the quantity, as a parameter with a range, so that a found reward can be tuned and edited
//! like any other.

use super::quantity::{Quantity, imports};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// What a term makes of its quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// As it is.
    Linear,
    /// Not above `target`.
    Capped,
    /// Squared distance from `target`.
    Square,
    /// 1 at `target`, falling over `width`.
    Kernel,
    /// 1 beyond `target` (on which side the sign says), falling over `width` on the other.
    Beyond,
    /// `tanh` of the distance from `target` over `width`.
    Squash,
}

/// Every shape.
pub const SHAPES: [Shape; 6] =
    [Shape::Linear, Shape::Capped, Shape::Square, Shape::Kernel, Shape::Beyond, Shape::Squash];

/// One term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gene {
    /// The quantity, as it is written.
    pub quantity: String,
    /// Shape.
    pub shape: Shape,
    /// Relative weight; below 0 it is a penalty.
    pub weight: f64,
    /// Target, in the unit of the quantity.
    pub target: f64,
    /// Width, in the unit of the quantity.
    pub width: f64,
}

/// A reward of the generator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Genome {
    /// Terms.
    pub genes: Vec<Gene>,
    /// Reward of every step that the episode goes on; 0: none.
    pub alive: f64,
}

/// Three significant digits.
pub(crate) fn rounded(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return 0.0;
    }
    format!("{x:.2e}").parse().unwrap_or(x)
}

impl Gene {
    /// Spread of what is weighed, given the quantity.
    fn spread(&self, q: &Quantity) -> f64 {
        let std = q.std.max(1e-6);
        match self.shape {
            Shape::Linear => std.max(0.3 * q.size),
            Shape::Capped => std,
            Shape::Square => (std * std + (q.mean - self.target).powi(2)).max(1e-9),
            Shape::Kernel | Shape::Beyond | Shape::Squash => 0.5,
        }
    }

    /// Weight in the units of the quantity, without its sign.
    fn raw(&self, q: &Quantity) -> f64 {
        rounded(self.weight.abs() / self.spread(q))
    }
}

/// A term: its name, its expression, its parameters with what they are about.
struct Term {
    name: String,
    text: String,
    params: Vec<(String, f64, f64, f64, String)>,
}

fn term(gene: &Gene, q: &Quantity, taken: &[Term]) -> Term {
    let mut name = q.name.clone();
    while taken.iter().any(|t| t.name == name) {
        name.push('b');
    }
    let raw = gene.raw(q);
    let (target, width) = (rounded(gene.target), rounded(gene.width.abs().max(1e-3 * q.std.max(1e-3))));
    let (pt, pw) = (format!("p.{name}_target"), format!("p.{name}_width"));
    let x = if q.text.contains(' ') && !q.text.contains('(') { format!("({})", q.text) } else { q.text.clone() };
    let value = match gene.shape {
        Shape::Linear => x,
        Shape::Capped => format!("min({x}, {pt})"),
        Shape::Square => format!("pow({x} - {pt}, 2.0)"),
        Shape::Kernel => format!("exp_kernel(pow({x} - {pt}, 2.0), {pw})"),
        Shape::Beyond => format!("tolerance({x} - {pt}, 0.0, 1e6, {pw})"),
        Shape::Squash => format!("tanh(({x} - {pt}) / {pw})"),
    };
    let sign = if gene.weight < 0.0 { "-" } else { "" };
    let text = format!("{sign}p.{name} * {value}");
    let mut params = vec![(name.clone(), raw, 0.0, rounded(5.0 * raw.max(1e-6)), format!("weight of {}", q.text))];
    let has_target = gene.shape != Shape::Linear;
    if has_target {
        let room = 5.0 * q.std.max(1e-3);
        params.push((
            format!("{name}_target"),
            target,
            target - room,
            target + room,
            "where it is best, or ends".into(),
        ));
    }
    if matches!(gene.shape, Shape::Kernel | Shape::Beyond | Shape::Squash) {
        params.push((
            format!("{name}_width"),
            width,
            width / 20.0,
            width * 20.0,
            "distance over which it falls".into(),
        ));
    }
    Term { name, text, params }
}

impl Genome {
    /// Script and manifest. Quantities that the catalogue does not have are left out.
    pub fn render(&self, catalogue: &[Quantity]) -> (String, String) {
        let known: Vec<(&Gene, &Quantity)> =
            self.genes.iter().filter_map(|g| Some((g, catalogue.iter().find(|q| q.text == g.quantity)?))).collect();
        let mut terms: Vec<Term> = Vec::new();
        for (gene, q) in &known {
            terms.push(term(gene, q, &terms));
        }
        let mut script = imports(known.iter().map(|(_, q)| *q));
        if !script.is_empty() {
            script.push('\n');
        }
        let mut lines: Vec<String> = terms.iter().map(|t| format!("{}: {}", t.name, t.text)).collect();
        let mut manifest = String::from("about = \"Found by search\"\nauthor = \"Pavlov's generator\"\n");
        if self.alive > 0.0 {
            lines.push("alive: p.alive".into());
            let alive = rounded(self.alive);
            terms.push(Term {
                name: "alive".into(),
                text: String::new(),
                params: vec![(
                    "alive".into(),
                    alive,
                    0.0,
                    rounded(5.0 * alive),
                    "reward of every step that is lived".into(),
                )],
            });
        }
        // Writing to a string cannot fail.
        let _ = writeln!(script, "fn reward(s, p) {{\n    #{{ {} }}\n}}", lines.join(",\n       "));
        for (name, value, min, max, about) in terms.iter().flat_map(|t| &t.params) {
            let about = about.replace('\\', "").replace('"', "'");
            let _ = write!(
                manifest,
                "\n[params.{name}]\nvalue = {value:?}\nmin = {min:?}\nmax = {max:?}\nabout = \"{about}\"\n"
            );
        }
        (script, manifest)
    }

    /// Names of the terms, gene by gene.
    pub fn term_names(&self, catalogue: &[Quantity]) -> Vec<String> {
        let mut terms: Vec<Term> = Vec::new();
        let known = self.genes.iter().filter_map(|g| Some((g, catalogue.iter().find(|q| q.text == g.quantity)?)));
        for (gene, q) in known {
            terms.push(term(gene, q, &terms));
        }
        terms.into_iter().map(|t| t.name).collect()
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From JSON.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_written_and_weighed_by_its_spread() {
        // Mean 3, deviation 2, root of the mean square 10.
        let q = Quantity {
            text: "s.x + s.y".into(),
            name: "x".into(),
            mean: 3.0,
            std: 2.0,
            size: 10.0,
            ..Quantity::default()
        };
        let gene = |shape| Gene { quantity: q.text.clone(), shape, weight: -6.0, target: 1.0, width: 0.5 };
        let known = [
            (Shape::Linear, "-p.x * (s.x + s.y)", 2.0, 1),
            (Shape::Capped, "-p.x * min((s.x + s.y), p.x_target)", 3.0, 2),
            (Shape::Square, "-p.x * pow((s.x + s.y) - p.x_target, 2.0)", 0.75, 2),
            (Shape::Kernel, "-p.x * exp_kernel(pow((s.x + s.y) - p.x_target, 2.0), p.x_width)", 12.0, 3),
            (Shape::Beyond, "-p.x * tolerance((s.x + s.y) - p.x_target, 0.0, 1e6, p.x_width)", 12.0, 3),
            (Shape::Squash, "-p.x * tanh(((s.x + s.y) - p.x_target) / p.x_width)", 12.0, 3),
        ];
        for (shape, text, raw, params) in known {
            let term = term(&gene(shape), &q, &[]);
            assert_eq!((term.text.as_str(), term.params.len()), (text, params));
            let numbers: Vec<(f64, f64, f64)> = term.params.iter().map(|p| (p.1, p.2, p.3)).collect();
            let all = [(raw, 0.0, rounded(5.0 * raw)), (1.0, -9.0, 11.0), (0.5, 0.025, 10.0)];
            assert_eq!(numbers, all[..params], "{shape:?}");
        }
        // A name that is taken gets another, and a width is never nothing.
        let narrow = Gene { width: 0.0, ..gene(Shape::Kernel) };
        let first = term(&narrow, &q, &[]);
        assert_eq!(first.params[2].1, 0.002);
        assert_eq!(term(&narrow, &q, &[first]).name, "xb");
        let call = Quantity { text: "abs(s.x + s.y)".into(), name: "x".into(), ..Quantity::default() };
        let up = Gene { weight: 1.0, ..gene(Shape::Linear) };
        assert_eq!(term(&up, &call, &[]).text, "p.x * abs(s.x + s.y)");
    }

    #[test]
    fn a_genome_is_written_with_parameters_in_units() {
        let q = |text: &str, name: &str, std: f64| Quantity {
            text: text.into(),
            name: name.into(),
            std,
            size: std,
            ..Quantity::default()
        };
        let catalogue = [q("s.qvel[0]", "speed", 2.0), q("s.action.norm2()", "effort", 0.5)];
        let gene =
            |quantity: &str, shape, weight| Gene { quantity: quantity.into(), shape, weight, target: 1.0, width: 0.5 };
        let genome = Genome {
            genes: vec![gene("s.qvel[0]", Shape::Beyond, 1.0), gene("s.action.norm2()", Shape::Linear, -0.1)],
            alive: 0.5,
        };
        let (script, manifest) = genome.render(&catalogue);
        assert_eq!(
            script,
            "fn reward(s, p) {\n    #{ speed: p.speed * tolerance(s.qvel[0] - p.speed_target, 0.0, 1e6, p.speed_width),\n       effort: -p.effort * s.action.norm2(),\n       alive: p.alive }\n}\n"
        );
        assert!(
            manifest.contains("[params.speed_width]\nvalue = 0.5\n")
                && manifest.contains("[params.effort]\nvalue = 0.2\n"),
            "{manifest}"
        );
        assert_eq!(genome.term_names(&catalogue), ["speed", "effort"]);
        assert_eq!(Genome::from_json(&genome.to_json()), Some(genome));
        assert_eq!([rounded(0.0), rounded(1234.5), rounded(-0.001_236)], [0.0, 1230.0, -0.00124]);
    }
}
