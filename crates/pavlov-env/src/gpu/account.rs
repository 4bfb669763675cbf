//! From the numbers of a rollout to the log of episodes and the sums of steps, as a block on the processor keeps them.

use super::env::{GpuEnv, GpuRollout};
use super::layout::EPISODE;
use crate::schema::Reduce;
use crate::stats::{BadValue, Episode};

impl GpuEnv {
    /// Takes a rollout into the log and the sums.
    pub(super) fn account(&mut self, rollout: &GpuRollout, results: &[f32], tail: &[f32], episode: &[f32]) {
        let (w, l, task) = (self.worlds, &self.layout, &self.shared.task);
        let rc = l.result_columns();
        // episodes that a world began since the rollout's start, to count back from
        let mut ended_of: Vec<u32> =
            (0..w).map(|i| (0..self.horizon).filter(|t| rollout.ended[t * w + i] > 0.0).count() as u32).collect();
        let limit = f64::from(task.episode_steps);
        for t in 0..self.horizon {
            for world in 0..w {
                let how = rollout.ended[t * w + world];
                if how == 0.0 {
                    continue;
                }
                let number = |k: usize| f64::from(results[(t * rc + 2 + k) * w + world]);
                let index = (episode[world] as u32).saturating_sub(ended_of[world]);
                ended_of[world] -= 1;
                let (length, head, terminated) = (number(3) as u32, number(4), how < 1.5);
                if !terminated && head > 0.0 {
                    continue;
                }
                let lived = f64::from(length.max(1));
                let fitness = match task.file.fitness.reduce {
                    Reduce::MeanOverLimit => number(1) / limit,
                    Reduce::Mean => number(1) / lived,
                    Reduce::Sum | Reduce::Last | Reduce::Max => number(1),
                };
                self.log.episodes.push(Episode {
                    world,
                    index,
                    length,
                    reward: number(0),
                    fitness,
                    success: number(2) >= *task.file.success.hold.get_ref() * limit,
                    terminated,
                    nonfinite: number(5) > 0.5,
                });
                self.log.term_sums.extend((0..l.num_nodes).map(|n| number(EPISODE + n)));
                self.log.metrics.extend((0..l.num_metrics).map(|m| number(EPISODE + l.num_nodes + m) / lived));
            }
        }
        let sum = |column: usize| tail[column * w..(column + 1) * w].iter().map(|&x| f64::from(x)).sum::<f64>();
        self.stats.world_steps += (w * self.horizon) as u64;
        self.stats.reward += sum(0);
        self.stats.bad_terms += sum(1) as u64;
        self.stats.nonfinite += sum(2) as u64;
        for n in 0..l.num_nodes {
            self.stats.terms[n] += sum(3 + n);
            self.stats.terms_squared[n] += sum(3 + l.num_nodes + n);
        }
        for m in 0..l.num_metrics {
            self.stats.metrics[m] += sum(3 + 2 * l.num_nodes + m);
        }
        let bad = l.stats_len + 1;
        if self.bad.is_none()
            && let Some(world) = (0..w).find(|i| tail[bad * w + i] > 0.0)
        {
            let at = |k: usize| tail[(bad + k) * w + world];
            let term = self.reward.node_names()[at(0) as usize - 1].clone();
            self.bad = Some(BadValue { term, world, step: at(1) as u32, value: at(2) });
        }
    }
}
