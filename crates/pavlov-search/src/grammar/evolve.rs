//! Making new genomes: at random, and by mutation, crossover, search over weights, and reflection.

use super::draw::Draw;
use super::genome::{Gene, Genome, SHAPES, Shape, rounded};
use super::quantity::Quantity;
use super::reflect::{self, Credit};
use crate::lineage::{At, Point};

/// Candidates that a parent is the fittest of.
const TOURNAMENT: usize = 4;
/// Most terms of a genome.
const MAX_GENES: usize = 8;
/// Chance that a parent comes from another island.
const MIGRATION: f64 = 0.1;

/// A candidate that others can be made from.
#[derive(Debug, Clone)]
pub struct Parent {
    /// Which one.
    pub at: At,
    /// Its genome.
    pub genome: Genome,
    /// How good it is: fitness, or credit from a rater's answers.
    pub merit: f64,
    /// Its learning curve.
    pub curve: Vec<Point>,
    /// Control steps of a whole episode.
    pub episode_steps: usize,
}

/// How new ones are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// Use statistics of terms and of the population?
    pub reflection: bool,
    /// Groups that seldom mix; 1: no groups.
    pub islands: u32,
    /// Can an episode end early? Then living is paid.
    pub mortal: bool,
}

/// A new genome, and how it was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Genome.
    pub genome: Genome,
    /// Parents.
    pub parents: Vec<At>,
    /// `random`, `mutate`, `crossover`, `tune`, `reflect`.
    pub operator: &'static str,
    /// What was done.
    pub detail: String,
}

fn effort(q: &Quantity) -> bool {
    q.module.as_deref().is_some_and(|m| m == "lib/energy" || m == "lib/smooth")
        || q.text.contains("action.norm2")
        || q.text.starts_with("diff2")
}

/// Does it tell how the robot holds itself, by the shared modules?
fn posture(q: &Quantity) -> bool {
    !effort(q) && q.module.is_some()
}

/// Chances of the quantities: higher for those that explain fitness (`sharp` is the power of their evidence), lower
/// for deep ones.
fn chances(catalogue: &[Quantity], sharp: f64, credit: &Credit) -> Vec<f64> {
    let chance = |q: &Quantity| {
        let known = credit.get(&q.text).copied().unwrap_or(0.0);
        q.evidence().powf(sharp) * (3.0 * known).exp() * 0.75f64.powi(q.depth as i32)
    };
    catalogue.iter().map(chance).collect()
}

/// A gene of a quantity: the shape and its numbers from what the quantity is on the audit set.
fn gene(draw: &mut Draw, q: &Quantity, weight: f64) -> Gene {
    let up = weight > 0.0;
    let shape = if effort(q) {
        Shape::Linear
    } else if up {
        SHAPES[draw.weighted(&[5.0, 1.0, 0.0, 1.0, 2.0, 1.0])]
    } else {
        SHAPES[draw.weighted(&[2.0, 0.0, 3.0, 0.0, 0.0, 1.0])]
    };
    let std = q.std.max(1e-6);
    let target = match shape {
        Shape::Linear => 0.0,
        // A penalty about 0, or about what the good behaviour has.
        Shape::Square => {
            if draw.chance(0.5) {
                q.good
            } else {
                0.0
            }
        }
        Shape::Squash => q.mean + draw.between(-0.5, 1.0) * (q.good - q.mean),
        // As the good behaviour, or beyond it.
        Shape::Capped | Shape::Beyond | Shape::Kernel => q.good + draw.between(-0.5, 1.5) * (q.good - q.mean),
    };
    let width = std * 2f64.powf(draw.between(-1.0, 1.5));
    Gene { quantity: q.text.clone(), shape, weight: rounded(weight), target: rounded(target), width: rounded(width) }
}

/// The sign with which a quantity goes with fitness; where that is not known, either.
fn direction(draw: &mut Draw, q: &Quantity) -> f64 {
    match q.with_fitness {
        0.0 => [1.0, -1.0][draw.below(2)],
        known => known.signum(),
    }
}

fn power(draw: &mut Draw, low: f64, high: f64) -> f64 {
    10f64.powf(draw.between(low, high))
}

/// A gene that holds a quantity where the good behaviour has it: towards it, or not away from it.
fn keep(draw: &mut Draw, q: &Quantity, size: f64) -> Gene {
    let up = if q.good < q.mean { -1.0 } else { 1.0 };
    let (shape, weight) =
        [(Shape::Linear, up * size), (Shape::Square, -size), (Shape::Kernel, size)][draw.weighted(&[4.0, 3.0, 2.0])];
    let gene = gene(draw, q, weight);
    let target = if shape == Shape::Linear { 0.0 } else { rounded(q.good) };
    Gene { shape, target, ..gene }
}

/// One more gene: effort, posture, something that goes with fitness, or anything.
fn extra(draw: &mut Draw, catalogue: &[Quantity], credit: &Credit) -> Gene {
    let kind = draw.weighted(&[0.3, 0.4, 0.15, 0.15]);
    let chances_of_kind = |kind: &dyn Fn(&Quantity) -> bool| -> Vec<f64> {
        catalogue.iter().zip(chances(catalogue, 0.0, credit)).map(|(q, c)| if kind(q) { c } else { 0.0 }).collect()
    };
    let weights = match kind {
        0 => chances_of_kind(&effort),
        1 => chances_of_kind(&posture),
        2 => chances(catalogue, 0.5, credit),
        _ => chances(catalogue, 0.0, credit),
    };
    let weights = if weights.iter().sum::<f64>() > 0.0 { weights } else { vec![1.0; catalogue.len()] };
    let q = &catalogue[draw.weighted(&weights)];
    let size = match kind {
        0 => -power(draw, -2.2, -0.8),
        1 => {
            let size = power(draw, -1.6, -0.3);
            return keep(draw, q, size);
        }
        2 => direction(draw, q) * power(draw, -1.0, 0.2),
        _ => power(draw, -2.0, -0.5) * if draw.chance(0.7) { -1.0 } else { 1.0 },
    };
    gene(draw, q, size)
}

fn random(draw: &mut Draw, catalogue: &[Quantity], ways: Ways, credit: &Credit) -> Genome {
    let core = &catalogue[draw.weighted(&chances(catalogue, 2.0, credit))];
    let sign = direction(draw, core);
    let mut genes = vec![gene(draw, core, sign)];
    // Rewards that work have several small terms beside the one that leads.
    for _ in 0..2 + draw.below(4) {
        let more = extra(draw, catalogue, credit);
        if !genes.iter().any(|g| g.quantity == more.quantity) {
            genes.push(more);
        }
    }
    let alive = if ways.mortal && draw.chance(0.85) { rounded(power(draw, -1.0, 0.5)) } else { 0.0 };
    Genome { genes, alive }
}

/// Changes something about a genome; gives what was changed.
fn mutate(draw: &mut Draw, genome: &mut Genome, catalogue: &[Quantity], ways: Ways, credit: &Credit) -> String {
    let n = genome.genes.len();
    let at = draw.below(n);
    let kind = draw.weighted(&[
        3.0,
        2.0,
        1.0,
        if n < MAX_GENES { 2.0 } else { 0.0 },
        if n > 1 { 1.0 } else { 0.0 },
        1.0,
        if ways.mortal { 1.0 } else { 0.0 },
    ]);
    let known = |text: &str| catalogue.iter().find(|q| q.text == text);
    match kind {
        0 => {
            let factor = (0.8 * draw.normal()).exp();
            let g = &mut genome.genes[at];
            g.weight = rounded(g.weight * factor);
            format!("weight of {} times {factor:.2}", g.quantity)
        }
        1 => {
            let g = &mut genome.genes[at];
            let std = known(&g.quantity).map_or(1.0, |q| q.std);
            g.target = rounded(g.target + 0.7 * std * draw.normal());
            g.width = rounded(g.width * (0.5 * draw.normal()).exp());
            format!("target and width of {}", g.quantity)
        }
        2 => {
            let weight = genome.genes[at].weight;
            if let Some(q) = known(&genome.genes[at].quantity) {
                genome.genes[at] = gene(draw, q, weight);
            }
            format!("{} is now {:?}", genome.genes[at].quantity, genome.genes[at].shape)
        }
        3 => {
            let more = extra(draw, catalogue, credit);
            let text = format!("with {}", more.quantity);
            genome.genes.retain(|g| g.quantity != more.quantity);
            genome.genes.push(more);
            text
        }
        4 => format!("without {}", genome.genes.remove(at).quantity),
        5 => {
            let old = genome.genes[at].clone();
            let q = &catalogue[draw.weighted(&chances(catalogue, 1.0, credit))];
            let sign = direction(draw, q);
            genome.genes[at] = gene(draw, q, sign * old.weight.abs());
            format!("{} in place of {}", q.text, old.quantity)
        }
        _ => {
            genome.alive =
                rounded(if genome.alive > 0.0 { genome.alive * draw.normal().exp() } else { power(draw, -1.0, 0.5) });
            format!("alive {}", genome.alive)
        }
    }
}

fn tune(draw: &mut Draw, genome: &mut Genome) {
    for g in &mut genome.genes {
        g.weight = rounded(g.weight * (0.35 * draw.normal()).exp());
        g.width = rounded(g.width * (0.2 * draw.normal()).exp());
    }
    genome.alive = rounded(genome.alive * (0.35 * draw.normal()).exp());
}

fn crossover(draw: &mut Draw, a: &Genome, b: &Genome) -> Genome {
    let mut genes: Vec<Gene> = Vec::new();
    for g in a.genes.iter().chain(&b.genes) {
        let both = a.genes.iter().chain(&b.genes).filter(|o| o.quantity == g.quantity).count() > 1;
        let known = genes.iter().any(|o| o.quantity == g.quantity);
        if !known && genes.len() < MAX_GENES && (both || draw.chance(0.6)) {
            genes.push(g.clone());
        }
    }
    if genes.is_empty() {
        genes.extend(a.genes.first().cloned());
    }
    let alive = if draw.chance(0.5) { a.alive } else { b.alive };
    Genome { genes, alive }
}

/// The fittest of a few.
fn choose<'a>(draw: &mut Draw, parents: &[&'a Parent]) -> &'a Parent {
    let mut best = parents[draw.below(parents.len())];
    for _ in 1..TOURNAMENT {
        let other = parents[draw.below(parents.len())];
        if other.merit > best.merit {
            best = other;
        }
    }
    best
}

/// A new genome for a place. Without parents it is random.
///
/// # Panics
/// When the catalogue is empty; [`super::measure`] gives none that is.
pub fn propose(seed: u64, at: At, catalogue: &[Quantity], parents: &[Parent], ways: Ways) -> Proposal {
    let mut draw = Draw::new(seed, at);
    let draw = &mut draw;
    let islands = ways.islands.max(1);
    let island = at.place % islands;
    let stay = !draw.chance(MIGRATION);
    let usable = parents.iter().filter(|p| !p.genome.genes.is_empty() && p.merit.is_finite());
    let all: Vec<&Parent> = usable.clone().collect();
    let home: Vec<&Parent> = usable.filter(|p| p.at.place % islands == island).collect();
    let pool = if stay && !home.is_empty() { home } else { all.clone() };
    let credit = if ways.reflection { reflect::credit(&all) } else { Credit::new() };
    let fresh = |draw: &mut Draw| {
        let genome = random(draw, catalogue, ways, &credit);
        Proposal { genome, parents: Vec::new(), operator: "random", detail: String::new() }
    };
    if pool.is_empty() {
        return fresh(draw);
    }
    let kinds = if ways.reflection { [0.3, 0.2, 0.3, 0.15, 0.05] } else { [0.0, 0.4, 0.35, 0.2, 0.05] };
    let kind = draw.weighted(&kinds);
    let parent = choose(draw, &pool);
    let mut genome = parent.genome.clone();
    match kind {
        0 => {
            let detail = reflect::reflect(&mut genome, parent, catalogue, ways);
            // The statistics say the same for every child of a parent: a small step of its own tells them apart.
            let more = mutate(draw, &mut genome, catalogue, ways, &credit);
            let said = if detail.is_empty() { more } else { format!("{detail}; {more}") };
            Proposal { genome, parents: vec![parent.at], operator: "reflect", detail: said }
        }
        1 => {
            let mut detail = mutate(draw, &mut genome, catalogue, ways, &credit);
            if draw.chance(0.5) {
                detail = format!("{detail}; {}", mutate(draw, &mut genome, catalogue, ways, &credit));
            }
            Proposal { genome, parents: vec![parent.at], operator: "mutate", detail }
        }
        2 => {
            let other = choose(draw, &all);
            if other.at == parent.at {
                let detail = mutate(draw, &mut genome, catalogue, ways, &credit);
                return Proposal { genome, parents: vec![parent.at], operator: "mutate", detail };
            }
            let genome = crossover(draw, &parent.genome, &other.genome);
            let detail = format!("terms of {} and {}", parent.at, other.at);
            Proposal { genome, parents: vec![parent.at, other.at], operator: "crossover", detail }
        }
        3 => {
            tune(draw, &mut genome);
            Proposal { genome, parents: vec![parent.at], operator: "tune", detail: "all weights".into() }
        }
        _ => fresh(draw),
    }
}

#[cfg(test)]
#[path = "evolve_tests.rs"]
mod tests;
