//! What a search is asked to do. Kept in its lineage: a resumed search does the same.

use super::mode::{self, Eureka, Mode};
use crate::error::SearchError;
use pavlov_env::Task;
use serde::{Deserialize, Serialize};

/// Who writes rewards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generator {
    /// The typed grammar: no model, no network.
    #[default]
    Embedded,
    /// A language model, or a cassette of its replies.
    Llm,
}

impl Generator {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Llm => "llm",
        }
    }
}

/// Whose fitness is 0 in the human-normalised score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Floor {
    /// The behaviour of the audit set that does nothing; the least fit one where none does.
    #[default]
    Idle,
    /// A policy trained on the task's fitness itself, as long as the human reward: Eureka's "sparse".
    Sparse,
}

/// A reward to start from, or that a person brings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Name.
    pub name: String,
    /// Script, or a reply with blocks.
    pub script: String,
    /// Manifest.
    pub manifest: String,
}

/// Settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Task: a name, or the path of its file.
    pub task: String,
    /// How rewards are asked for and judged. Kept by its name.
    #[serde(serialize_with = "mode::serialize", deserialize_with = "mode::deserialize")]
    pub mode: &'static dyn Mode,
    /// Who.
    pub generator: Generator,
    /// Candidates an iteration.
    pub candidates: u32,
    /// Iterations.
    pub iterations: u32,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Environment steps a candidate is trained for.
    pub steps: u64,
    /// Seeds of each candidate.
    pub seeds: u32,
    /// Give up the less fit on the way?
    pub halving: bool,
    /// Minutes a candidate, in place of steps. Such a search does not repeat.
    pub minutes: Option<f64>,
    /// Candidates trained again before the best is named.
    pub finalists: u32,
    /// Seeds of that.
    pub finalist_seeds: u32,
    /// Environment steps of finalists and of the last training.
    pub final_steps: u64,
    /// Seeds of the last training, of the best and of the human reward.
    pub final_seeds: u32,
    /// Environment steps of the human reward in the last training, with the learner's settings of its task file; 0: the
    /// steps and settings of the candidates.
    pub human_steps: u64,
    /// Floor of the human-normalised score.
    pub floor: Floor,
    /// Iterations without a better candidate after which the search ends; 0: never before all are done.
    pub patience: u32,
    /// Groups of candidates that seldom mix.
    pub islands: u32,
    /// Use statistics of training?
    pub reflection: bool,
    /// The human reward to compare with.
    pub human: String,
    /// Rewards given: to start from, or all there is in mode `drop-in`.
    pub given: Vec<Given>,
    /// What is wanted, in words, besides what the task says.
    pub wish: String,
    /// What a person says after each iteration, known beforehand.
    pub words: Vec<String>,
    /// Model.
    pub model: String,
    /// How free the model is.
    pub temperature: f32,
    /// Tokens of a reply.
    pub max_tokens: u32,
    /// How often a refused reply goes back with its errors.
    pub repairs: u32,
    /// Worlds a candidate; the task's own number when none.
    pub worlds: Option<usize>,
    /// Solver profile.
    pub profile: Option<String>,
    /// Settings of the learner, `key=value`.
    pub set: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            task: String::new(),
            mode: &Eureka,
            generator: Generator::Embedded,
            candidates: 16,
            iterations: 5,
            seed: 0,
            steps: 200_000,
            seeds: 1,
            halving: true,
            minutes: None,
            finalists: 4,
            finalist_seeds: 3,
            final_steps: 800_000,
            final_seeds: 5,
            human_steps: 0,
            floor: Floor::default(),
            patience: 0,
            islands: 1,
            reflection: true,
            human: "default".into(),
            given: Vec::new(),
            wish: String::new(),
            words: Vec::new(),
            model: String::new(),
            temperature: 1.0,
            max_tokens: 8192,
            repairs: 1,
            worlds: None,
            profile: None,
            set: Vec::new(),
        }
    }
}

/// Steps that tell one reward from another on the shipped tasks, where a task's own number does not say less or much
/// more.
const TELLING: u64 = 1_000_000;

impl Settings {
    /// What a search does unless told otherwise, as it is measured against the human rewards: three seeds a candidate
    /// (one lucky seed names no parent), and few worlds (more updates for as many steps). A task adds its number of
    /// steps ([`Self::of_task`]).
    pub fn usual() -> Self {
        Self {
            seeds: 3,
            finalists: 8,
            finalist_seeds: 5,
            worlds: Some(32),
            set: vec!["eval_episodes=10".into()],
            ..Self::default()
        }
    }

    /// [`Self::usual`] for a task that is found by its name. Candidates train as long as the last training, as what
    /// leads early need not lead late: two fifths of the task's own number of steps and at most a million, but no
    /// less than a tenth of it. The human reward is trained in the end as its task file says: all steps, its settings.
    ///
    /// # Errors
    /// When the task's number of steps cannot be read.
    pub fn of_task(task: &Task) -> Result<Self, SearchError> {
        let own = pavlov_run::own_steps(task)?;
        let steps = own.map_or(TELLING, |n| (2 * n / 5).min(TELLING).max(n / 10).max(1));
        let human_steps = own.unwrap_or_default().max(steps);
        Ok(Self { task: task.name.clone(), steps, final_steps: steps, human_steps, ..Self::usual() })
    }

    /// The task's name, also where it is given by its file.
    pub fn task_name(&self) -> &str {
        let file = std::path::Path::new(&self.task).file_stem().and_then(|stem| stem.to_str());
        file.filter(|_| self.task.ends_with(".toml")).unwrap_or(&self.task)
    }

    /// What is impossible about them.
    ///
    /// # Errors
    /// With the setting and what was expected.
    pub fn check(&self) -> Result<(), SearchError> {
        let wrong = |m: String| Err(SearchError::Usage(m));
        if !(1..=1024).contains(&self.candidates) || !(1..=1000).contains(&self.iterations) {
            let (k, n) = (self.candidates, self.iterations);
            return wrong(format!("{k} candidates, {n} iterations: expected 1 to 1024 and 1 to 1000"));
        }
        if !(1..=100).contains(&self.seeds)
            || !(1..=100).contains(&self.final_seeds)
            || self.finalists == 0
            || self.finalist_seeds == 0
        {
            return wrong("seeds, final seeds and finalists: expected 1 or more, seeds at most 100".into());
        }
        if self.steps == 0 || self.final_steps == 0 {
            return wrong("steps: expected 1 or more".into());
        }
        if self.minutes.is_some_and(|m| !(m > 0.0 && m <= 1e6)) {
            return wrong("--minutes-per-candidate: expected a number above 0, at most 1000000".into());
        }
        if !(self.temperature.is_finite() && self.temperature >= 0.0) || self.max_tokens == 0 {
            let (temperature, tokens) = (self.temperature, self.max_tokens);
            return wrong(format!("temperature {temperature}, {tokens} tokens: expected 0 or more, and 1 or more"));
        }
        if self.seed > i64::MAX as u64 {
            return wrong(format!("seed {}: expected at most {}", self.seed, i64::MAX));
        }
        if self.islands == 0 || self.islands > self.candidates {
            return wrong(format!(
                "{} islands for {} candidates: expected 1 to as many",
                self.islands, self.candidates
            ));
        }
        self.mode.check(self)
    }

    /// Iterations there can be.
    pub fn rounds(&self) -> u32 {
        self.mode.rounds(self)
    }

    /// Places of an iteration.
    pub fn places(&self, iteration: u32) -> u32 {
        self.mode.places(self, iteration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_settings_are_named() {
        let usual = || Settings { task: "t".into(), ..Settings::usual() };
        usual().check().unwrap();
        for (settings, word) in [
            (Settings { candidates: 0, ..usual() }, "0 candidates"),
            (Settings { iterations: 0, ..usual() }, "0 iterations"),
            (Settings { seeds: 0, ..usual() }, "seeds, final seeds and finalists"),
            (Settings { final_seeds: 101, ..usual() }, "seeds, final seeds and finalists"),
            (Settings { finalists: 0, ..usual() }, "seeds, final seeds and finalists"),
            (Settings { finalist_seeds: 0, ..usual() }, "seeds, final seeds and finalists"),
            (Settings { steps: 0, ..usual() }, "steps: expected 1 or more"),
            (Settings { final_steps: 0, ..usual() }, "steps: expected 1 or more"),
            (Settings { islands: 0, ..usual() }, "0 islands"),
            (Settings { minutes: Some(f64::NAN), ..usual() }, "--minutes-per-candidate"),
            (Settings { minutes: Some(1e300), ..usual() }, "--minutes-per-candidate"),
            (Settings { temperature: f32::NAN, ..usual() }, "temperature NaN"),
            (Settings { temperature: -1.0, ..usual() }, "temperature -1"),
            (Settings { max_tokens: 0, ..usual() }, "0 tokens"),
            (Settings { seed: u64::MAX, ..usual() }, "seed"),
            (Settings { islands: 17, ..usual() }, "17 islands"),
        ] {
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn the_human_reward_is_trained_as_its_task_file_says() {
        let task = Task::load(&pavlov_env::Assets::find(None), "half_cheetah_run").unwrap();
        let (settings, own) = (Settings::of_task(&task).unwrap(), pavlov_run::own_steps(&task).unwrap().unwrap());
        assert!(settings.final_steps < own && settings.human_steps == own, "{settings:?}, {own}");
        assert_eq!(Settings::default().human_steps, 0);
        // Two fifths of 2 and of 4 million, of which a million is the most; a tenth of 15 million.
        for (name, steps) in
            [("cartpole_swingup", 800_000), ("half_cheetah_run", 1_000_000), ("go1_velocity", 1_500_000)]
        {
            let task = Task::load(&pavlov_env::Assets::find(None), name).unwrap();
            let settings = Settings::of_task(&task).unwrap();
            assert_eq!((settings.steps, settings.final_steps), (steps, steps), "{name}");
        }
    }

    #[test]
    fn generators_are_written_by_their_names() {
        for generator in [Generator::Embedded, Generator::Llm] {
            assert_eq!(serde_json::to_value(generator).unwrap(), generator.name());
        }
    }

    #[test]
    fn a_task_is_called_by_its_name() {
        let name = |task: &str| Settings { task: task.into(), ..Settings::default() }.task_name().to_string();
        assert_eq!([name("gym/ant"), name("/a/swing.toml"), name("x.toml")], ["gym/ant", "swing", "x"]);
    }
}
