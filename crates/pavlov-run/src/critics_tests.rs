//! Tests of constraints with a critic each: known multipliers, sets that cannot be met, whole runs.

use super::*;
use crate::config::Overrides;
use crate::logs::MetricsLine;
use crate::testing;
use crate::train::{ResumeOptions, Trainer, thread_pool};
use pavlov_learn::{AdvantageNorm, EnvBlock, PpoConfig, StepOut};
use pavlov_reward::Manifest;
use pavlov_script::Scene;

/// Episodes of one step with the parts `-(a - 1)^2` and `a`, where `a` is the action; sums of the parts.
struct Pull {
    rewards: Vec<f32>,
    sums: [f64; 2],
    squares: [f64; 2],
}

impl EnvBlock for Pull {
    fn num_worlds(&self) -> usize {
        64
    }
    fn obs_dim(&self) -> usize {
        1
    }
    fn act_dim(&self) -> usize {
        1
    }
    fn reset(&mut self, obs: &mut [f32]) {
        obs.fill(1.0);
    }
    fn step(&mut self, actions: &[f32], out: StepOut<'_>) {
        out.terminated.fill(true);
        out.truncated.fill(false);
        out.obs.fill(1.0);
        self.rewards = actions.iter().flat_map(|a| [-(a - 1.0) * (a - 1.0), *a]).collect();
        for pair in self.rewards.chunks_exact(2) {
            for (k, x) in pair.iter().enumerate() {
                self.sums[k] += f64::from(*x);
                self.squares[k] += f64::from(x * x);
            }
        }
    }
    fn critics(&self) -> usize {
        2
    }
    fn critic_rewards(&self, out: &mut [f32]) {
        out.copy_from_slice(&self.rewards);
    }
}

/// Means of the multiplier and of `a` over the last third of a training, and how the constraint stands at its end.
fn play(constraint: &str, norm: AdvantageNorm, updates: usize) -> (f64, f64, ConstraintState) {
    let toml = format!(
        "[combine]\nkind = \"lagrangian\"\nlimit = 2.0\nrate = 0.05\npatience = 20\n\
         constraints = {{ b = {constraint} }}"
    );
    let scene = Arc::new(Scene { nq: 2, dt: 0.02, ..Scene::default() });
    let script = "fn reward(s) { #{ a: s.qpos[0], b: s.qpos[1] } }";
    let manifest: Manifest = toml::from_str(&toml).unwrap();
    let reward = Reward::from_text("pull", "reward.rhai", script, manifest, &scene).unwrap();
    let graph = reward.graph().unwrap();
    let config = PpoConfig {
        worlds: 64,
        horizon: 32,
        advantage_norm: norm,
        normalize_reward: false,
        normalize_obs: false,
        init_std: 0.3,
        min_std: 0.3,
        actor_hidden: vec![8],
        critic_hidden: vec![8],
        learning_rate: 3e-3,
        ..PpoConfig::default()
    };
    let mut adaptive = Adaptive::new(graph, config.gamma);
    let mut ppo = Ppo::with_critics(config, 1, 0, 1, reward.critics(), 3).unwrap();
    let pool = thread_pool(2).unwrap();
    let (mut m, mut a, mut state) = (0.0, 0.0, ConstraintState::default());
    let last = updates / 3;
    for update in 0..updates {
        ppo.set_mix(&adaptive.mix(graph)).unwrap();
        let mut blocks = [Pull { rewards: Vec::new(), sums: [0.0; 2], squares: [0.0; 2] }];
        ppo.update(&mut blocks, &pool).unwrap();
        let ([a0, b0], [a1, b1]) = (blocks[0].sums, blocks[0].squares);
        state = adaptive.update(graph, 64 * 32, &[a0, b0, a0, 0.0], &[a1, b1, a1, 0.0]).remove(0);
        if update >= updates - last {
            m += state.multiplier / last as f64;
            a += state.mean / last as f64;
        }
    }
    (m, a, state)
}

#[test]
fn multipliers_reach_the_known_one_and_sets_that_cannot_be_met_are_reported() {
    // Maximise -(a - 1)^2 with mean a at most 1/2: the multiplier is the slope there, 2 (1 - 1/2).
    let (m, a, state) = play("{ at_most = 0.5 }", AdvantageNorm::None, 900);
    assert!((m - 1.0).abs() < 0.1 && (a - 0.5).abs() < 0.02 && !state.infeasible, "{m} {a} {state:?}");
    // Of advantages in their own deviations sqrt(4 d^2 s^2 + 2 s^4) and s, with d = 1/2 and s = 0.3: d / sqrt(d^2 + s^2
    // / 2).
    let known = 0.5 / (0.25f64 + 0.045).sqrt();
    let (m, a, state) = play("{ at_most = 0.5 }", AdvantageNorm::Rollout, 900);
    assert!((m - known).abs() < 0.1 && (a - 0.5).abs() < 0.02 && !state.infeasible, "{m} {known} {a} {state:?}");
    // Even with the multiplier at its limit of 2 the mean is 1 + 2 / 2, not 5.
    let (m, a, state) = play("{ at_least = 5.0 }", AdvantageNorm::None, 300);
    assert!(m > 1.9 && (a - 2.0).abs() < 0.1 && !state.met && state.infeasible, "{m} {a} {state:?}");
}

const LEARNER: &str = "worlds = 80\nhorizon = 16\nminibatches = 2\nepochs = 2\nactor_hidden = [16]\n\
    critic_hidden = [16]\n\
                       total_steps = 10240\neval_episodes = 4";
const CONSTRAINED: &str = "[combine]\nkind = \"lagrangian\"\nrate = 1.0\nscale = 0.5\n\
    constraints = { upright = { at_least = 2.0 }, effort = { at_least = -0.001 } }\n";

#[test]
fn a_run_with_constraints_has_a_critic_for_each_and_resumes_to_the_same_bits() {
    let (dir, assets) = testing::assets(LEARNER);
    let manifest = dir.path().join("rewards/cartpole_balance/default/reward.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, format!("{text}\n{CONSTRAINED}")).unwrap();
    let create = |name: &str, threads: usize| {
        let asked = Overrides { threads: Some(threads), seed: Some(3), ..Overrides::default() };
        Trainer::create(&assets, "cartpole_balance", None, &asked, dir.path(), Some(&dir.path().join(name))).unwrap()
    };
    let trained = |mut run: Trainer| {
        while run.limit().is_none() {
            run.update().unwrap();
        }
        run.checkpoint(true, true).unwrap();
        let learner = run.folder().checkpoints().join("000000008/learner.safetensors");
        (std::fs::read(learner).unwrap(), std::fs::read(run.folder().terms()).unwrap(), run)
    };
    let (learner, terms, run) = trained(create("whole", 1));
    assert_eq!((run.arm.ppo.critics(), run.reward().critics()), (3, 3));
    let mut cut = create("cut", 3);
    (0..3).for_each(|_| drop(cut.update().unwrap()));
    drop(cut);
    let resumed = Trainer::resume(&dir.path().join("cut"), &ResumeOptions::default()).unwrap();
    let (again, terms_again, resumed) = trained(resumed);
    assert!(learner == again && terms == terms_again, "a kill changes the run");
    assert_eq!(run.state().adaptive, resumed.state().adaptive);

    // The parts are what the total is made of.
    let lines: Vec<MetricsLine> = crate::read_lines(&run.folder().metrics()).unwrap();
    let (before, line) = (&lines[6], &lines[7]);
    let part = |name: &str| line.terms.get(name).or(line.nodes.get(name)).copied().flatten().unwrap();
    let [u, e] = [0, 1].map(|i| before.constraints[i].multiplier);
    let total = 0.5 * (part("total.objective") + u * part("upright") + e * part("effort")) / (1.0 + u + e);
    assert!((total - part("total")).abs() < 1e-4 && u > 0.5, "{total} {line:?}");
    // The mean of a cosine cannot be 2.
    assert!(line.constraints[0].multiplier > lines[0].constraints[0].multiplier && !line.constraints[0].met);

    // Not on a GPU, before any is looked for.
    let (task, reward) = (run.task.clone(), run.arm.reward.clone());
    let config = RunConfig { device: "gpu:0".into(), ..run.config().clone() };
    let error = Worlds::new(&config, &task, &reward, &run.arm.ppo).unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains("`single_critic = true`"), "{error}");
}
