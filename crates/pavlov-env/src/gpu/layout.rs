//! What the device keeps of each world besides its physical state, as columns of one buffer; and what a rollout leaves.

use crate::block::Shared;
use crate::scripts::columns_of;
use pavlov_reward::Reward;
use pavlov_script::Input;

/// Numbers of an episode that ended, before its nodes and metrics: reward, fitness, steps of success, length, head start, non-finite.
pub(crate) const EPISODE: usize = 6;

/// First column of everything in the `env` buffer.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub episode: usize,
    pub step: usize,
    pub head_start: usize,
    pub next_command: usize,
    pub next_push: usize,
    pub command: usize,
    pub push: usize,
    pub action: usize,
    pub prev_action: usize,
    /// `[delay][actuator]`, and where its ring begins.
    pub queue: usize,
    pub queue_head: usize,
    /// Values before the step, in the order of `inputs`.
    pub previous: usize,
    /// Inputs of scripts that are of the state before the step.
    pub inputs: Vec<Input>,
    /// Memories of reward, fitness, success, terminated, metrics, observation.
    pub memory: [usize; 6],
    /// Sums over the episode.
    pub reward: usize,
    pub fitness: usize,
    pub success: usize,
    pub nodes: usize,
    pub metrics: usize,
    /// Sums over the rollout: reward, bad terms, non-finite, nodes, their squares, metrics.
    pub stats: usize,
    pub stats_len: usize,
    /// Truncations in this rollout.
    pub cuts: usize,
    /// The first node that was not finite (from 1), the step, the value.
    pub bad: usize,
    pub columns: usize,
    /// How many nodes and metrics there are.
    pub num_nodes: usize,
    pub num_metrics: usize,
}

impl Layout {
    pub fn new(shared: &Shared, reward: &Reward) -> Self {
        let task = &*shared.task;
        let script = &task.script;
        let inputs: Vec<Input> = columns_of(task, reward).into_iter().filter(|i| i.prev).collect();
        let (num_nodes, num_metrics) = (reward.node_names().len(), task.metric_names().len());
        let mut at = 0;
        let mut next = |n: usize| {
            at += n;
            at - n
        };
        let memory_of = |p: Option<&pavlov_script::Program>| p.map_or(0, |p| p.memory_init().len());
        let (episode, step, head_start) = (next(1), next(1), next(1));
        let (next_command, next_push) = (next(1), next(1));
        let (command, push) = (next(task.command.len()), next(2));
        let nu = task.act_dim();
        let (action, prev_action) = (next(nu), next(nu));
        let (queue, queue_head) = (next(nu * task.action.delay), next(1));
        let previous = next(inputs.len());
        let memory = [
            Some(reward.program()),
            Some(&script.fitness),
            Some(&script.success),
            script.terminated.as_ref(),
            script.metrics.as_ref(),
            script.observation.as_ref(),
        ]
        .map(|p| next(memory_of(p)));
        let (sum_reward, fitness, success) = (next(1), next(1), next(1));
        let (nodes, metrics) = (next(num_nodes), next(num_metrics));
        let stats_len = 3 + 2 * num_nodes + num_metrics;
        let stats = next(stats_len);
        let (cuts, bad) = (next(1), next(3));
        Self {
            episode,
            step,
            head_start,
            next_command,
            next_push,
            command,
            push,
            action,
            prev_action,
            queue,
            queue_head,
            previous,
            inputs,
            memory,
            reward: sum_reward,
            fitness,
            success,
            nodes,
            metrics,
            stats,
            stats_len,
            cuts,
            bad,
            columns: next(0),
            num_nodes,
            num_metrics,
        }
    }

    /// Columns of a step in the `results` buffer: reward, how it ended (0, 1 terminated, 2 truncated), then the episode that ended.
    pub fn result_columns(&self) -> usize {
        2 + EPISODE + self.num_nodes + self.num_metrics
    }
}
