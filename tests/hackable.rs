//! Rewards with a planted hackable term: which transforms and combiners keep the task's fitness where a plain sum loses it.
//!
//! In each of three tasks a second estimate of what is wanted agrees with the first one while the robot does what is meant, and is
//! fooled by an exploit: a pole's energy by spinning, a speed by tumbling or by turning on the spot. All rewards of a task are
//! trained side by side, with the same worlds, seeds and steps.

use pavlov_env::{Assets, Profile, Task};
use pavlov_reward::{Manifest, Reward};
use pavlov_run::{Overrides, RunConfig, Variants, thread_pool};
use pavlov_tests::root;
use std::sync::Arc;

struct Study {
    task: &'static str,
    script: &'static str,
    /// What a very good policy gets of the honest term in a step.
    good: f64,
    steps: u64,
    worlds: usize,
}

const STUDIES: [Study; 3] = [
    Study {
        task: "cartpole_swingup",
        script: "fn reward(s) {
            let x = s.joint(\"slider\").pos;
            let hinge = s.joint(\"hinge\");
            let up = 0.5 + 0.5 * cos(hinge.pos);
            #{ honest: up * up * (0.5 + 0.5 * tolerance(hinge.vel, -0.2, 0.2, 4.0)) - 0.1 * x * x,
               estimate: 0.9 * up * up - 0.1 * x * x + 0.015 * hinge.vel * hinge.vel } }",
        good: 1.0,
        steps: 1_500_000,
        worlds: 128,
    },
    Study {
        task: "half_cheetah_run",
        script: "fn reward(s) {
            let up = cos(s.qpos[2]);
            let speed = if up > 0.0 { (s.qpos[0] - s.prev.qpos[0]) / s.dt } else { 0.0 };
            #{ honest: speed + 2.0 * min(up - 1.0, 0.0) - 0.05 * s.action.norm2(),
               estimate: 0.9 * speed + 3.0 * abs(s.qvel[2]) } }",
        good: 6.0,
        steps: 1_500_000,
        worlds: 128,
    },
    Study {
        task: "ant_run",
        script: "fn reward(s) {
            let torso = s.body(\"torso\");
            let v = torso.linvel;
            #{ honest: v.x + 0.5 + 0.2 * torso.up.z - 0.05 * s.action.norm2(),
               estimate: 0.9 * v.x + 0.5 + 3.0 * abs(torso.angvel.z) } }",
        good: 3.0,
        steps: 2_000_000,
        worlds: 128,
    },
];

/// Name and manifest of every reward.
fn rewards(good: f64) -> Vec<(&'static str, String)> {
    let estimate = |transform: &str| format!("[terms.estimate]\ntransform = [{transform}]\n");
    // Half of what a very good policy gets is good enough of an estimate.
    let enough = 0.5 * good;
    let slope = 2.0 / enough;
    // Divided by its slope: where the estimate is far below the reference, it pulls as the plain one does.
    let sigmoid = format!(
        "{{ log_sigmoid = {{ reference = {enough:?}, slope = {slope:?} }} }}, {{ weight = {:?} }}",
        1.0 / slope
    );
    vec![
        ("honest term alone", "[combine]\nof = [\"honest\"]\n".into()),
        ("plain sum", String::new()),
        ("clip", estimate(&format!("{{ clip = {{ max = {enough:?} }} }}"))),
        ("delta", estimate("\"delta\"")),
        ("log-sigmoid", estimate(&sigmoid)),
        ("WCO", "[combine]\nkind = \"wco\"\nof = [\"honest\", \"estimate\"]\n".into()),
    ]
}

#[test]
#[ignore = "trains 18 policies, some minutes; run by name with -- --ignored --nocapture"]
fn transforms_keep_the_fitness_that_a_plain_sum_loses() {
    let assets = Assets::from_roots([root()]);
    let mut rows = Vec::new();
    for study in STUDIES {
        let task = Arc::new(Task::load(&assets, study.task).unwrap());
        let all = rewards(study.good);
        let made: Vec<Arc<Reward>> = all
            .iter()
            .map(|(name, toml)| {
                let manifest: Manifest = toml::from_str(toml).unwrap();
                let reward = Reward::from_text(name, "reward.rhai", study.script, manifest, task.scene());
                Arc::new(reward.unwrap_or_else(|e| panic!("{name}: {e}")))
            })
            .collect();
        let asked = Overrides {
            worlds: Some(study.worlds),
            steps: Some(study.steps),
            seed: Some(1),
            profile: Some(Profile::Fast),
            ..Overrides::default()
        };
        let config = RunConfig::resolve(&task, &mut (*made[0]).clone(), &asked).unwrap();
        let pool = Arc::new(thread_pool(config.machine.threads).unwrap());
        let mut variants = Variants::new(&task, &made, &config, pool).unwrap();
        while variants.env_steps() < study.steps {
            for update in variants.update() {
                update.unwrap();
            }
        }
        let fitness: Vec<f64> = variants.evaluate().unwrap().iter().map(|e| e.fitness.mean).collect();
        println!("{}: {fitness:.3?}", study.task);
        rows.push((study.task, fitness));
    }
    println!("| task | {} |", rewards(1.0).iter().map(|r| r.0).collect::<Vec<_>>().join(" | "));
    for (task, fitness) in &rows {
        println!("| {task} | {} |", fitness.iter().map(|f| format!("{f:.2}")).collect::<Vec<_>>().join(" | "));
    }
    for (task, fitness) in &rows {
        let honest = fitness[0];
        assert!(fitness[1] < 0.5 * honest, "{task}: the plain sum keeps {} of {honest}", fitness[1]);
        for (i, (name, _)) in rewards(1.0).iter().enumerate().skip(2) {
            assert!(fitness[i] > 0.75 * honest, "{task}, {name}: {} of {honest}", fitness[i]);
        }
    }
}
