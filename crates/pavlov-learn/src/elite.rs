//! Elite cloning: which rollouts are worth imitating (RAFT: Dong et al. 2023, *Reward ranked finetuning*).
//!
//! Worlds come in groups that began alike. Of each group the one whose reward sums to the most up to the end of its
//! first episode (or the rollout's) is cloned: its steps up to there weigh `n / chosen` and all others 0, so that the
//! mean of `A log_prob` over the `n` samples is the mean log likelihood of what was chosen. Where a group's best is no
//! better than its worst there is nothing to learn from it.

/// A world whose first episode is cloned, and the steps of that.
pub type Elite = (usize, usize);

/// The best of each group by rewards `[worlds, parts, horizon]` as they were paid, whose parts count as `mix`; `done` is
/// `[worlds, horizon]`.
pub fn choose(reward: &[f32], done: &[bool], (mix, horizon): (&[f64], usize), group: usize) -> Vec<Elite> {
    let parts = mix.len();
    // Length of a world's first episode, and the sum of its rewards.
    let first_episode = |world: usize| -> (usize, f64) {
        let done = &done[world * horizon..(world + 1) * horizon];
        let steps = done.iter().position(|&d| d).map_or(horizon, |t| t + 1);
        let part = |c: usize| &reward[(world * parts + c) * horizon..][..steps];
        let sum = (0..parts).map(|c| mix[c] * part(c).iter().map(|&r| f64::from(r)).sum::<f64>()).sum();
        (steps, sum)
    };
    let episodes: Vec<(usize, f64)> = (0..done.len() / horizon).map(first_episode).collect();
    let best = |g: &[(usize, f64)]| (0..g.len()).max_by(|&a, &b| g[a].1.total_cmp(&g[b].1));
    let differ = |g: &[(usize, f64)]| g.iter().any(|w| w.1 != g[0].1);
    let of_group = |(i, g): (usize, &[(usize, f64)])| {
        let world = best(g).filter(|_| differ(g))?;
        Some((i * group + world, g[world].0))
    };
    episodes.chunks(group).enumerate().filter_map(of_group).collect()
}

/// Writes the weights `[worlds, horizon]` of what was chosen.
pub fn weigh(elite: &[Elite], horizon: usize, weights: &mut [f32]) {
    let cloned: usize = elite.iter().map(|e| e.1).sum();
    let weight = weights.len() as f32 / cloned.max(1) as f32;
    weights.fill(0.0);
    for &(world, steps) in elite {
        weights[world * horizon..][..steps].fill(weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PpoConfig;
    use crate::ppo::Ppo;
    use crate::toy::Mass;

    #[test]
    fn the_best_of_each_group_is_chosen_up_to_its_end() {
        // Two groups of two worlds, three steps. The first world falls, and what comes after counts for another
        // episode.
        let reward = [5.0, 0.0, 9.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0];
        let done = [false, true, false, false, false, false, false, false, false, false, false, false];
        let mut weights = [7.0; 12];
        weigh(&choose(&reward, &done, (&[1.0], 3), 2), 3, &mut weights);
        assert_eq!(weights, [6.0, 6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], "the second group is a draw");
        // With two parts, the second of which counts against: world 1 wins.
        let reward = [5.0, 5.0, 5.0, 9.0, 9.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0];
        let mut weights = [7.0; 6];
        weigh(&choose(&reward, &[false; 6], (&[1.0, -1.0], 3), 2), 3, &mut weights);
        assert_eq!(weights, [0.0, 0.0, 0.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    fn cloning_the_best_makes_a_policy_better() {
        let config = PpoConfig {
            worlds: 64,
            horizon: 60,
            elite_of: 8,
            epochs: 4,
            learning_rate: 3e-3,
            min_std: 0.05,
            ..PpoConfig::default()
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let mut blocks = Mass::blocks(1, 64, 60);
        let mut ppo = Ppo::new(config, 2, 1, 1, 5).unwrap();
        let mean = |ppo: &mut Ppo, blocks: &mut [Mass], n: usize| {
            (0..n).map(|_| ppo.update(blocks, &pool).unwrap().reward_mean).sum::<f64>() / n as f64
        };
        let before = mean(&mut ppo, &mut blocks, 5);
        mean(&mut ppo, &mut blocks, 60);
        let after = mean(&mut ppo, &mut blocks, 5);
        println!("reward a step: {before:.3}, after 65 rounds of cloning {after:.3}");
        assert!(after > before + 0.25, "{before} {after}");
    }
}
