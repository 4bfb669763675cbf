//! The list of runs as rows: columns, search, order.

use pavlov_run::RunEntry;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// What runs are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// Running, done, failed, ...
    State,
    /// Task.
    Task,
    /// Reward.
    Reward,
    /// When it was started.
    #[default]
    Started,
    /// Seed.
    Seed,
    /// Mean fitness.
    Fitness,
    /// Share of successes.
    Success,
    /// Mean return.
    Return,
    /// Environment steps done.
    Steps,
}

impl Column {
    /// All columns, in their order.
    pub const ALL: [Self; 9] = [
        Self::Started,
        Self::Task,
        Self::Reward,
        Self::State,
        Self::Fitness,
        Self::Success,
        Self::Return,
        Self::Steps,
        Self::Seed,
    ];

    /// Its heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::State => "State",
            Self::Task => "Task",
            Self::Reward => "Reward",
            Self::Started => "Started",
            Self::Seed => "Seed",
            Self::Fitness => "Fitness",
            Self::Success => "Success",
            Self::Return => "Return",
            Self::Steps => "Steps",
        }
    }

    /// Is the first click on it largest first?
    pub(crate) fn descends(self) -> bool {
        !matches!(self, Self::State | Self::Task | Self::Reward | Self::Seed)
    }
}

/// Numbers in order; runs without one last, whichever way round.
fn by_number(a: Option<f64>, b: Option<f64>, descending: bool) -> Ordering {
    match (a.filter(|x| x.is_finite()), b.filter(|x| x.is_finite())) {
        (Some(a), Some(b)) if descending => b.total_cmp(&a),
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

fn compare(a: &RunEntry, b: &RunEntry, column: Column, descending: bool) -> Ordering {
    let turned = |o: Ordering| if descending { o.reverse() } else { o };
    match column {
        Column::State => turned(a.state.name().cmp(b.state.name())),
        Column::Task => turned(a.task.cmp(&b.task)),
        Column::Reward => turned(a.reward.cmp(&b.reward)),
        Column::Started => turned(a.created.cmp(&b.created)),
        Column::Seed => turned(a.seed.cmp(&b.seed)),
        Column::Steps => turned(a.env_steps.cmp(&b.env_steps)),
        Column::Fitness => by_number(a.fitness, b.fitness, descending),
        Column::Success => by_number(a.success, b.success, descending),
        Column::Return => by_number(a.episode_return, b.episode_return, descending),
    }
}

/// Indices of the runs in which every word of `search` is found (in task, reward, state, seed or name), in order. Equal
/// ones stand newest first.
pub(crate) fn rows(runs: &[RunEntry], search: &str, column: Column, descending: bool) -> Vec<usize> {
    let words: Vec<String> = search.split_whitespace().map(str::to_lowercase).collect();
    let found = |run: &RunEntry| {
        let RunEntry { task, reward, seed, run: name, .. } = run;
        let text = format!("{task} {reward} {} seed {seed} seed={seed} {name}", run.state.name()).to_lowercase();
        words.iter().all(|w| text.contains(w))
    };
    let mut rows: Vec<usize> = (0..runs.len()).filter(|&i| found(&runs[i])).collect();
    rows.sort_by(|&i, &j| {
        let (a, b) = (&runs[i], &runs[j]);
        compare(a, b, column, descending).then_with(|| (&b.created, &b.run).cmp(&(&a.created, &a.run)))
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_run::RunState;

    fn run(name: &str, state: RunState, fitness: Option<f64>, seed: u64) -> RunEntry {
        RunEntry {
            run: name.into(),
            path: name.into(),
            state,
            problem: None,
            task: "gym/ant".into(),
            reward: "gym/ant/default".into(),
            seed,
            created: format!("2026-01-0{}", seed + 1),
            updates: 1,
            env_steps: 100 * seed,
            steps: None,
            elapsed_s: 1.0,
            episode_return: None,
            fitness,
            success: None,
        }
    }

    #[test]
    fn every_word_must_be_found_and_runs_without_a_number_come_last() {
        let runs = [
            run("a", RunState::Done, Some(1.0), 0),
            run("b", RunState::Failed, None, 1),
            run("c", RunState::Done, Some(3.0), 2),
        ];
        let names = |search: &str, column, descending| {
            rows(&runs, search, column, descending).into_iter().map(|i| runs[i].run.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(names("", Column::Fitness, true), ["c", "a", "b"]);
        assert_eq!(names("", Column::Fitness, false), ["a", "c", "b"]);
        assert_eq!(names("", Column::Started, true), ["c", "b", "a"]);
        assert_eq!(names("", Column::State, false), ["c", "a", "b"]);
        assert_eq!(names("DONE seed=2", Column::Started, true), ["c"]);
        assert_eq!(names("walker", Column::Started, true), Vec::<&str>::new());
    }
}
