//! Reflection without a model: what the statistics of training say about a genome, and about quantities over the whole
//! population.

use super::evolve::{Parent, Ways};
use super::genome::{Genome, rounded};
use super::quantity::Quantity;
use pavlov_reward::compare::pearson;
use std::collections::BTreeMap;

/// A term with more than this share of the reward drowns the others.
const DOMINATES: f64 = 0.8;
/// A term with less than this share does nothing.
const NOTHING: f64 = 0.005;
/// A term whose mean correlates with fitness this much over training is worth more; with the opposite sign, less.
const AGREES: f64 = 0.7;
/// A term with more than this share leads already.
const LEADS: f64 = 0.5;
/// Episodes that end before this share of the limit are short.
const SHORT: f64 = 0.6;

/// How much better candidates with a quantity were than the middle: from -0.5 to 0.5.
pub type Credit = BTreeMap<String, f64>;

/// Credit of every quantity in the population: mean rank of the candidates that have it, shrunk where they are few.
pub fn credit(parents: &[&Parent]) -> Credit {
    let n = parents.len();
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for p in parents {
        let below = parents.iter().filter(|o| o.merit < p.merit).count() as f64;
        let equal = parents.iter().filter(|o| o.merit == p.merit).count() as f64;
        let rank = (below + 0.5 * equal) / n.max(1) as f64;
        for g in &p.genome.genes {
            let entry = sums.entry(g.quantity.clone()).or_default();
            *entry = (entry.0 + rank - 0.5, entry.1 + 1.0);
        }
    }
    sums.into_iter().map(|(text, (sum, count))| (text, sum / (count + 2.0))).collect()
}

/// Changes a genome as the statistics of its training say; gives what was done, empty when nothing.
pub fn reflect(genome: &mut Genome, parent: &Parent, catalogue: &[Quantity], ways: Ways) -> String {
    let names = parent.genome.term_names(catalogue);
    let Some(last) = parent.curve.last() else { return String::new() };
    let fitness: Vec<f64> = parent.curve.iter().map(|p| p.fitness.unwrap_or(f64::NAN)).collect();
    let mut done = Vec::new();
    let mut dropped = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let Some(&[_, std, share]) = last.terms.get(name) else { continue };
        let gene = &mut genome.genes[i];
        let course: (Vec<f64>, Vec<f64>) = parent
            .curve
            .iter()
            .zip(&fitness)
            .filter_map(|(p, f)| Some((p.terms.get(name)?[0], *f)))
            .filter(|(m, f)| m.is_finite() && f.is_finite())
            .unzip();
        let agreement = if course.0.len() >= 4 { pearson(&course.0, &course.1) } else { None };
        let paid = gene.weight > 0.0;
        let mut scale = |factor: f64, why: &str| {
            gene.weight = rounded(gene.weight * factor);
            done.push(format!("`{name}` {why}: times {factor}"));
        };
        if share > DOMINATES && agreement.is_none_or(|a| a < AGREES) && names.len() > 1 {
            scale(0.5, "dominates");
        } else if (share < NOTHING || std < 1e-9) && names.len() > 1 {
            if share < 0.1 * NOTHING {
                dropped.push(i);
                done.push(format!("`{name}` does nothing: left out"));
            } else {
                scale(4.0, "does next to nothing");
            }
        } else if let Some(a) = agreement.filter(|a| a.abs() > AGREES) {
            // What leads already needs no more; that a penalty grows as the robot comes to move is no fault of it.
            if a > 0.0 && share < LEADS {
                scale(1.4, "rises with fitness");
            } else if a < 0.0 && paid {
                scale(0.6, "falls while fitness rises");
            }
        }
    }
    for i in dropped.into_iter().rev().take(genome.genes.len().saturating_sub(1)) {
        genome.genes.remove(i);
    }
    if ways.mortal && last.length.is_some_and(|l| l < SHORT * parent.episode_steps as f64) {
        genome.alive = rounded((2.0 * genome.alive).max(0.2));
        done.push(format!("episodes end early: alive {}", genome.alive));
    }
    done.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Gene, Shape};
    use crate::lineage::{At, Point};
    use pavlov_run::Named;

    #[test]
    fn statistics_change_what_they_speak_of() {
        let q =
            |name: &str| Quantity { text: name.into(), name: name.into(), std: 1.0, size: 1.0, ..Quantity::default() };
        let catalogue = ["good", "bad", "idle", "rest"].map(q);
        let gene =
            |name: &str| Gene { quantity: name.into(), shape: Shape::Linear, weight: 1.0, target: 0.0, width: 1.0 };
        let genome = Genome { genes: vec![gene("good"), gene("bad"), gene("idle"), gene("rest")], alive: 0.0 };
        let point = |k: usize| {
            let x = k as f64;
            let terms = [
                ("good", [x, 1.0, 0.4]),
                ("bad", [-x, 1.0, 0.3]),
                ("idle", [0.0, 0.0, 0.0]),
                ("rest", [x % 2.0, 1.0, 0.3]),
            ];
            let terms = Named(terms.map(|(n, v)| (n.to_string(), v)).to_vec());
            Point { fitness: Some(x), length: Some(10.0), terms, ..Point::default() }
        };
        let parent = Parent {
            at: At::default(),
            genome: genome.clone(),
            merit: 1.0,
            curve: (0..10).map(point).collect(),
            episode_steps: 100,
        };
        let mut child = genome;
        let said = reflect(&mut child, &parent, &catalogue, Ways { reflection: true, islands: 1, mortal: true });
        let weights: Vec<f64> = child.genes.iter().map(|g| g.weight).collect();
        assert_eq!((weights, child.alive), (vec![1.4, 0.6, 1.0], 0.2), "{said}");
        // `idle` did nothing and was left out; what is said names each.
        assert_eq!(child.genes.iter().map(|g| &*g.quantity).collect::<Vec<_>>(), ["good", "bad", "rest"]);
        assert_eq!(
            said,
            "`good` rises with fitness: times 1.4; `bad` falls while fitness rises: times 0.6; `idle` does nothing: left \
             out; episodes end early: alive 0.2"
        );
        let other = Parent { merit: 0.0, genome: Genome { genes: vec![gene("bad")], alive: 0.0 }, ..parent.clone() };
        let credit = credit(&[&parent, &other]);
        // Ranks 3/4 and 1/4, less the middle, over the candidates that have it and two more.
        assert!((credit["good"] - 0.25 / 3.0).abs() < 1e-12 && credit["bad"].abs() < 1e-12, "{credit:?}");
    }

    /// One update of a term with this mean, deviation and share beside one that says nothing.
    fn told(course: [f64; 6], std: f64, share: f64, weight: f64, ways: Ways) -> (Genome, String) {
        let q =
            |name: &str| Quantity { text: name.into(), name: name.into(), std: 1.0, size: 1.0, ..Quantity::default() };
        let gene =
            |name: &str, weight| Gene { quantity: name.into(), shape: Shape::Linear, weight, target: 0.0, width: 1.0 };
        let genome = Genome { genes: vec![gene("it", weight), gene("rest", 1.0)], alive: 0.3 };
        let point = |(k, mean): (usize, &f64)| {
            let rest = ("rest".to_string(), [0.0, 1.0, (1.0 - share).min(0.8)]);
            let terms = Named(vec![("it".to_string(), [*mean, std, share]), rest]);
            Point { fitness: Some(k as f64), length: Some(60.0), terms, ..Point::default() }
        };
        let curve = course.iter().enumerate().map(point).collect();
        let parent = Parent { at: At::default(), genome: genome.clone(), merit: 1.0, curve, episode_steps: 100 };
        let mut child = genome;
        let said = reflect(&mut child, &parent, &["it", "rest"].map(q), ways);
        (child, said)
    }

    #[test]
    fn bounds_of_reflection_are_where_they_say() {
        let ways = Ways { reflection: true, islands: 1, mortal: false };
        let (rises, falls, flat) =
            ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 4.0, 3.0, 2.0, 1.0, 0.0], [1.0, 2.0, 1.0, 1.0, 2.0, 1.0]);
        let weight = |course, std, share, weight| told(course, std, share, weight, ways).0.genes[0].weight;
        // Dominating, unless fitness goes with it; next to nothing; rising, but for what leads.
        assert_eq!(
            (weight(flat, 1.0, 0.81, 1.0), weight(flat, 1.0, 0.8, 1.0), weight(rises, 1.0, 0.9, 1.0)),
            (0.5, 1.0, 1.0)
        );
        assert_eq!(
            (weight(flat, 1.0, 0.004, 1.0), weight(flat, 1.0, 0.005, 1.0), weight(flat, 1e-10, 0.3, 1.0)),
            (4.0, 1.0, 4.0)
        );
        assert_eq!((weight(rises, 1.0, 0.49, 1.0), weight(rises, 1.0, 0.5, 1.0)), (1.4, 1.0));
        // A penalty that grows as the robot comes to move is no fault of it.
        assert_eq!((weight(falls, 1.0, 0.3, 1.0), weight(falls, 1.0, 0.3, -1.0)), (0.6, -1.0));
        // What is left out, and not: a tenth of next to nothing.
        let (child, said) = told(flat, 1.0, 0.0004, 1.0, ways);
        assert!(child.genes.len() == 1 && said == "`it` does nothing: left out", "{said}");
        assert_eq!(told(flat, 1.0, 0.0006, 1.0, ways).0.genes.len(), 2);
        // Lives of 60 of 100 steps are not short, of 59 they are.
        let mortal = Ways { mortal: true, ..ways };
        assert_eq!(told(flat, 1.0, 0.3, 1.0, mortal), told(flat, 1.0, 0.3, 1.0, ways));
    }
}
