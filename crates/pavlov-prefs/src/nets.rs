//! Nets that learn from comparisons: Bradley-Terry on steps, ensembles of it, and the General Preference Model.
//!
//! ```text
//! Bradley-Terry: R(segment) = sum_t f(x_t),          P(left better) = sigmoid(R(left) - R(right))
//! GPM:           v(segment) = mean_t f(x_t) in R^2k,  P(left better) = sigmoid(<J v(left), v(right)>)
//! ```
//! `J` turns each pair of numbers by 90 degrees.
//! Bradley-Terry is Christiano et al. 2017; GPM is Zhang et al. 2024, whose skew-symmetric score can hold cycles (A
//! beats B beats C beats A). Its reward of a step is linear in the step's embedding: `<J f(x_t), v>` with v the mean
//! embedding of the segments learnt from, the lead over what is usual. Members of an ensemble differ in start and order
//! of pairs. How many epochs are trained is found on some pairs held out, which then are trained on too; what is said of
//! the nets is of others. Rewards are scaled to unit deviation over the steps learnt from.

use crate::dataset::{Dataset, Loss, Pair, Quality, Split};
use crate::error::PrefsError;
use crate::features::Features;
use crate::math::sigmoid;
use crate::member::{Kind, Member, lead, raw, summary};
use crate::rng::Rng;
use crate::uncertainty::predictive_deviation;
use pavlov_learn::{Activation, Mlp};

/// How nets are trained.
#[derive(Debug, Clone, PartialEq)]
pub struct NetOptions {
    /// What is learnt.
    pub kind: Kind,
    /// Widths of hidden layers.
    pub hidden: Vec<usize>,
    /// Nets of the ensemble.
    pub members: usize,
    /// Passes over the pairs at most.
    pub epochs: usize,
    /// Pairs a step of Adam.
    pub batch: usize,
    /// Learning rate.
    pub lr: f64,
    /// Decoupled weight decay.
    pub decay: f64,
    /// Share of pairs that are held out to judge the nets by; three quarters of it more end the training.
    pub held_out: f64,
    /// Hold out as many again, by which nets and another model can be chosen between.
    pub choosing: bool,
    /// Loss.
    pub loss: Loss,
    /// Seed.
    pub seed: u64,
}

impl Default for NetOptions {
    fn default() -> Self {
        Self {
            kind: Kind::BradleyTerry,
            hidden: vec![64, 64],
            members: 3,
            epochs: 60,
            batch: 32,
            lr: 1e-3,
            decay: 0.01,
            held_out: 0.2,
            choosing: false,
            loss: Loss::Plain,
            seed: 0,
        }
    }
}

impl NetOptions {
    /// Which pairs are trained on, and which are held out for what.
    pub fn split(&self, data: &Dataset) -> Split {
        Split::of(data, self.held_out, self.choosing, self.seed)
    }
}

/// Nets that were trained.
#[derive(Debug, Clone)]
pub struct Nets {
    /// What an output means.
    pub kind: Kind,
    /// What they see.
    pub features: Features,
    /// Each member.
    pub members: Vec<Member>,
    /// How unsure each member is of its rewards (`uncertainty.rs`); empty when they were read from a file.
    pub uncertainty: Vec<f64>,
}

impl Nets {
    /// Trains on rows (`[segment]`, each `[steps, columns]`, normalised). Also gives how well each member does on what
    /// was held out from it.
    ///
    /// # Errors
    /// When there is nothing to learn from, or an option makes no sense.
    pub fn fit(
        features: &Features,
        data: &Dataset,
        rows: &[Vec<f32>],
        options: &NetOptions,
    ) -> Result<(Self, Vec<Quality>), PrefsError> {
        data.check()?;
        let NetOptions { members, batch, held_out, .. } = *options;
        if members == 0 || batch == 0 || !(0.0..=0.3).contains(&held_out) || options.kind.outputs() == 0 {
            return Err(PrefsError::Usage(format!(
                "{members} members, {batch} pairs a step, {held_out} held out: expected 1 or more, 1 or more, 0 to 0.3"
            )));
        }
        let mut out =
            Self { kind: options.kind, features: features.clone(), members: Vec::new(), uncertainty: Vec::new() };
        let mut quality = Vec::new();
        // All members hold out the same pairs, so that the ensemble can be judged by them too.
        let split = options.split(data);
        for m in 0..members {
            let (mut member, q) = train_one(features.channels.len(), data, rows, options, m as u64, &split);
            out.uncertainty.push(predictive_deviation(options.kind, &mut member, data, rows, &split));
            out.members.push(member);
            quality.push(q);
        }
        Ok((out, quality))
    }

    /// Reward of each step of rows `[steps, columns]`, normalised, by a member.
    pub fn rewards(&mut self, member: usize, rows: &[f32], out: &mut Vec<f32>) {
        let Member { net, center, scale, usual } = &mut self.members[member];
        let width = net.outputs();
        let y = net.forward(rows);
        out.clear();
        out.extend(y.chunks_exact(width).map(|f| (raw(self.kind, f, usual) - *center) * *scale));
    }

    /// How much a member thinks of the left segment over the right one: the logit of its probability to be better.
    pub fn lead(&mut self, member: usize, left: &[f32], right: &[f32]) -> f64 {
        let kind = self.kind;
        let net = &mut self.members[member].net;
        let (a, b) = (summary(kind, net, left), summary(kind, net, right));
        lead(kind, &a, &b)
    }
}

/// One member: how many epochs are best is found on the pairs for stopping; then those are trained on as well.
fn train_one(
    inputs: usize,
    data: &Dataset,
    rows: &[Vec<f32>],
    options: &NetOptions,
    member: u64,
    split: &Split,
) -> (Member, Quality) {
    let kind = options.kind;
    let (mut net, epochs) = epochs_on(inputs, data, rows, options, member, (&split.train, &split.stop));
    if !split.stop.is_empty() {
        let both = [&split.train[..], &split.stop].concat();
        let options = NetOptions { epochs, ..options.clone() };
        net = epochs_on(inputs, data, rows, &options, member, (&both, &[])).0;
    }
    let quality = judge(kind, &mut net, data, rows, &split.judge);
    (finish(kind, net, data, rows), quality)
}

fn judge(kind: Kind, net: &mut Mlp, data: &Dataset, rows: &[Vec<f32>], pairs: &[usize]) -> Quality {
    let predicted = |&i: &usize| {
        let Pair { left, right, target, .. } = data.pairs[i];
        (lead(kind, &summary(kind, net, &rows[left]), &summary(kind, net, &rows[right])), target)
    };
    Quality::of(&pairs.iter().map(predicted).collect::<Vec<_>>())
}

/// Trains for the options' epochs on some pairs; with others to stop by, gives the number of epochs after which their
/// loss was least.
fn epochs_on(
    inputs: usize,
    data: &Dataset,
    rows: &[Vec<f32>],
    options: &NetOptions,
    member: u64,
    (train, stop): (&[usize], &[usize]),
) -> (Mlp, usize) {
    let kind = options.kind;
    let head = if kind == Kind::BradleyTerry { 0.1 } else { 1.0 };
    let mut net = Mlp::new(inputs, &options.hidden, kind.outputs(), Activation::Tanh, (options.seed, member), head);
    let parts = data.terms_of(options.loss);
    let mut order = train.to_vec();
    let mut rng = Rng::new(options.seed ^ (member + 1).wrapping_mul(0x9E37_79B9));
    // Loss and number of the best epoch so far.
    let mut best = (f64::INFINITY, if stop.is_empty() { options.epochs } else { 1 });
    let (mut x, mut dy) = (Vec::new(), Vec::new());
    for epoch in 1..=options.epochs {
        rng.shuffle(&mut order);
        for batch in order.chunks(options.batch) {
            x.clear();
            dy.clear();
            for &i in batch {
                let Pair { left, right, target, .. } = data.pairs[i];
                let (a, b) = (summary(kind, &mut net, &rows[left]), summary(kind, &mut net, &rows[right]));
                let (weight, shift) = parts[i];
                let slope = weight * (sigmoid(lead(kind, &a, &b) - shift) - target);
                for (rows, of_left) in [(&rows[left], true), (&rows[right], false)] {
                    let steps = rows.len() / inputs;
                    x.extend_from_slice(rows);
                    let g = slopes_of_step(kind, slope, steps, if of_left { &b } else { &a }, of_left);
                    (0..steps).for_each(|_| dy.extend_from_slice(&g));
                }
            }
            net.backward(&x, &dy);
            net.step(options.lr, 1.0 / batch.len() as f64, options.decay);
        }
        if stop.is_empty() {
            continue;
        }
        let loss = judge(kind, &mut net, data, rows, stop).log_loss;
        if loss < best.0 {
            best = (loss, epoch);
        }
        if epoch > best.1 + 15 {
            break;
        }
    }
    (net, best.1)
}

/// Slopes of the loss by the outputs of one of a segment's `steps` steps: `slope` is that by the lead, `other` the
/// summary of the other segment.
fn slopes_of_step(kind: Kind, slope: f64, steps: usize, other: &[f64], of_left: bool) -> Vec<f32> {
    match kind {
        Kind::BradleyTerry => vec![(if of_left { slope } else { -slope }) as f32],
        Kind::Gpm(_) => {
            let per = slope / steps.max(1) as f64;
            // Derivatives of a0 b1 - a1 b0.
            let sign = if of_left { 1.0 } else { -1.0 };
            let turn = |o: &[f64]| [(sign * per * o[1]) as f32, (-sign * per * o[0]) as f32];
            other.chunks_exact(2).flat_map(turn).collect()
        }
    }
}

/// The usual embedding, and the scale of rewards over all steps.
fn finish(kind: Kind, mut net: Mlp, data: &Dataset, rows: &[Vec<f32>]) -> Member {
    let mut seen: Vec<usize> = data.pairs.iter().flat_map(|p| [p.left, p.right]).collect();
    seen.sort_unstable();
    seen.dedup();
    let width = net.outputs();
    let mut usual = vec![0.0f64; width];
    for &s in &seen {
        let v = summary(kind, &mut net, &rows[s]);
        usual.iter_mut().zip(v).for_each(|(u, v)| *u += v / seen.len() as f64);
    }
    let usual: Vec<f32> =
        if kind == Kind::BradleyTerry { Vec::new() } else { usual.iter().map(|&u| u as f32).collect() };
    let (mut n, mut sum, mut square) = (0.0f64, 0.0f64, 0.0f64);
    for &s in &seen {
        for f in net.forward(&rows[s]).chunks_exact(width) {
            let r = f64::from(raw(kind, f, &usual));
            (n, sum, square) = (n + 1.0, sum + r, square + r * r);
        }
    }
    let mean = sum / n.max(1.0);
    let deviation = (square / n.max(1.0) - mean * mean).max(0.0).sqrt();
    Member { net, center: mean as f32, scale: if deviation > 1e-9 { (1.0 / deviation) as f32 } else { 1.0 }, usual }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::tests::segment;

    fn features(columns: usize) -> Features {
        let channels = (0..columns as u16).map(pavlov_script::Channel::Qpos).collect();
        Features { robot: Vec::new(), channels, mean: vec![0.0; columns], inv_std: vec![1.0; columns] }
    }

    fn world(n: usize, steps: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut rng = Rng::new(seed);
        (0..n)
            .map(|_| {
                // Segments differ as wholes, not only step by step.
                let middle = [rng.normal(), rng.normal()];
                (0..steps).flat_map(|_| middle.map(|m| (m + 0.3 * rng.normal()) as f32)).collect()
            })
            .collect()
    }

    fn pairs(n: usize, better: impl Fn(usize, usize) -> bool) -> Dataset {
        let pair = |i: usize| {
            let (left, right) = (2 * i, 2 * i + 1);
            Pair { left, right, target: f64::from(u8::from(better(left, right))), strength: 0 }
        };
        Dataset { segments: (0..2 * n as u32).map(segment).collect(), pairs: (0..n).map(pair).collect() }
    }

    #[test]
    fn a_reward_that_is_not_linear_is_learnt() {
        let rows = world(1200, 5, 1);
        // Near a circle of radius 1: nothing linear tells.
        let value = |s: usize| -> f64 { rows[s].chunks(2).map(|x| -f64::from((x[0].hypot(x[1]) - 1.0).powi(2))).sum() };
        let data = pairs(600, |a, b| value(a) > value(b));
        let options = NetOptions { members: 1, lr: 3e-3, ..NetOptions::default() };
        let (mut nets, quality) = Nets::fit(&features(2), &data, &rows, &options).unwrap();
        assert!(quality[0].accuracy > 0.85, "{}", quality[0].accuracy);
        let (mut at, mut far) = (Vec::new(), Vec::new());
        nets.rewards(0, &[1.0, 0.0], &mut at);
        nets.rewards(0, &[2.5, 0.0], &mut far);
        assert!(at[0] > far[0] + 1.0, "{at:?} {far:?}");
        let again = Nets::fit(&features(2), &data, &rows, &options).unwrap().0;
        assert_eq!(again.members[0].net.weights(), nets.members[0].net.weights(), "the same seed, the same net");
        let sum: f32 = (0..1200)
            .map(|s| {
                nets.rewards(0, &rows[s], &mut at);
                at.iter().sum::<f32>() / 5.0
            })
            .sum();
        assert!(sum.abs() / 1200.0 < 0.01, "rewards have mean 0 and deviation 1 over what was seen");
    }

    #[test]
    fn slopes_are_those_of_the_lead() {
        let (a, b) = ([0.3, -0.2, 0.5, 0.1], [-0.7, 0.4, 0.2, 0.9]);
        let moved = |x: [f64; 4], k: usize, by: f64| {
            let mut x = x;
            x[k] += by;
            x
        };
        // A summary is the mean over 5 steps, or the sum of one output.
        let (gpm, bt) = (Kind::Gpm(2), Kind::BradleyTerry);
        let (of_a, of_b) = (slopes_of_step(gpm, 2.0, 5, &b, true), slopes_of_step(gpm, 2.0, 5, &a, false));
        for k in 0..4 {
            let by_a = (lead(gpm, &moved(a, k, 0.5), &b) - lead(gpm, &moved(a, k, -0.5), &b)) * 2.0 / 5.0;
            let by_b = (lead(gpm, &a, &moved(b, k, 0.5)) - lead(gpm, &a, &moved(b, k, -0.5))) * 2.0 / 5.0;
            assert!((f64::from(of_a[k]) - by_a).abs() < 1e-6 && (f64::from(of_b[k]) - by_b).abs() < 1e-6, "{k}");
        }
        assert_eq!([true, false].map(|left| slopes_of_step(bt, 2.0, 5, &[0.0], left)), [[2.0], [-2.0]]);
    }

    #[test]
    fn a_member_is_trained_on_all_for_as_long_as_was_best_without_the_held_out() {
        // Answers by chance: the loss of what is held out is least early.
        let rows = world(120, 2, 1);
        let mut rng = Rng::new(2);
        let coins: Vec<bool> = (0..120).map(|_| rng.unit() < 0.5).collect();
        let data = pairs(60, |left, _| coins[left]);
        let options = NetOptions { members: 1, epochs: 30, lr: 1e-2, ..NetOptions::default() };
        let split = options.split(&data);
        let (_, epochs) = epochs_on(2, &data, &rows, &options, 0, (&split.train, &split.stop));
        assert!(epochs < 30, "{epochs}");
        let both = [&split.train[..], &split.stop].concat();
        let known = epochs_on(2, &data, &rows, &NetOptions { epochs, ..options.clone() }, 0, (&both, &[])).0;
        let (member, quality) = train_one(2, &data, &rows, &options, 0, &split);
        assert_eq!((member.net.weights(), quality.pairs), (known.weights(), split.judge.len()));
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        let (rows, data) = (world(8, 2, 1), pairs(4, |_, _| true));
        let plain = NetOptions { members: 1, epochs: 1, ..NetOptions::default() };
        let fits = |options: NetOptions| Nets::fit(&features(2), &data, &rows, &options).is_ok();
        assert!(fits(NetOptions { held_out: 0.3, ..plain.clone() }));
        assert!(!fits(NetOptions { members: 0, ..plain.clone() }) && !fits(NetOptions { batch: 0, ..plain.clone() }));
        assert!(!fits(NetOptions { held_out: 0.31, ..plain.clone() }));
        assert!(!fits(NetOptions { kind: Kind::Gpm(0), ..plain }));
    }

    /// Stone, scissors, paper: three kinds of segments in a cycle.
    #[test]
    fn a_cycle_is_learnt_by_gpm_and_not_by_bradley_terry() {
        let mut rng = Rng::new(4);
        let kinds: Vec<usize> = (0..900).map(|_| rng.below(3)).collect();
        let place = [[1.0, 0.0], [-0.5, 0.87], [-0.5, -0.87]];
        let rows: Vec<Vec<f32>> = kinds
            .iter()
            .map(|&k| (0..4).flat_map(|_| place[k].map(|p| (p + 0.1 * rng.normal()) as f32)).collect())
            .collect();
        let mut data = pairs(450, |a, b| (kinds[a] + 1) % 3 == kinds[b]);
        data.pairs.retain(|p| kinds[p.left] != kinds[p.right]);
        let fit = |kind| {
            let options = NetOptions { kind, members: 1, lr: 3e-3, ..NetOptions::default() };
            Nets::fit(&features(2), &data, &rows, &options).unwrap().1[0].accuracy
        };
        let (gpm, bt) = (fit(Kind::Gpm(1)), fit(Kind::BradleyTerry));
        println!("3-cycle, held out: GPM {gpm:.3}, Bradley-Terry {bt:.3}");
        // Of three pairs a ranking can have two right; by chance over which one it gives up.
        assert!(gpm > 0.95 && bt < 0.75, "{gpm} {bt}");
    }

    #[test]
    fn the_score_of_gpm_is_skew_symmetric() {
        let rows = world(20, 3, 9);
        let data = pairs(10, |_, _| true);
        let options = NetOptions { kind: Kind::Gpm(3), members: 2, epochs: 2, held_out: 0.0, ..NetOptions::default() };
        let (mut nets, _) = Nets::fit(&features(2), &data, &rows, &options).unwrap();
        let (a, b) = (nets.lead(1, &rows[0], &rows[7]), nets.lead(1, &rows[7], &rows[0]));
        assert!((a + b).abs() < 1e-9 && a != 0.0 && nets.lead(0, &rows[3], &rows[3]).abs() < 1e-9);
    }
}
