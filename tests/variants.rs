//! What it costs to train several variants of a reward side by side, against one on the same number of worlds.

use pavlov_env::{Assets, Profile, Task};
use pavlov_reward::Reward;
use pavlov_run::{Overrides, RunConfig, Variants, load_reward, thread_pool};
use pavlov_tests::root;
use std::sync::Arc;
use std::time::Instant;

const VARIANTS: usize = 8;
const WORLDS: usize = 64;
const UPDATES: usize = 12;
const ROUNDS: usize = 5;

fn make(task: &Arc<Task>, reward: &Reward, variants: usize, worlds: usize) -> Variants {
    let overrides = Overrides { worlds: Some(worlds), profile: Some(Profile::Fast), ..Overrides::default() };
    let rewards: Vec<Arc<Reward>> = (0..variants)
        .map(|k| {
            let mut reward = reward.clone();
            reward.set_param("forward", 1.0 + 0.1 * k as f64).unwrap();
            Arc::new(reward)
        })
        .collect();
    let config = RunConfig::resolve(task, &mut reward.clone(), &overrides).unwrap();
    let pool = Arc::new(thread_pool(config.machine.threads).unwrap());
    Variants::new(task, &rewards, &config, pool).unwrap()
}

fn seconds(variants: &mut Variants) -> f64 {
    let start = Instant::now();
    for _ in 0..UPDATES {
        variants.update().into_iter().for_each(|u| drop(u.unwrap()));
    }
    start.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a measurement of about a minute; run by name with -- --ignored --nocapture"]
fn eight_variants_cost_under_one_and_a_half_times_one_of_the_same_worlds() {
    let assets = Assets::from_roots([root()]);
    for name in ["half_cheetah_run", "ant_run"] {
        let task = Arc::new(Task::load(&assets, name).unwrap());
        let reward = load_reward(&assets, &task, None).unwrap();
        let mut many = make(&task, &reward, VARIANTS, WORLDS);
        let mut single = make(&task, &reward, 1, VARIANTS * WORLDS);
        // A round to warm up.
        seconds(&mut many);
        seconds(&mut single);
        // In turns, so that other work on the machine slows both.
        let mut ratios: Vec<f64> = (0..ROUNDS).map(|_| seconds(&mut many) / seconds(&mut single)).collect();
        ratios.sort_by(f64::total_cmp);
        println!(
            "{name}: {VARIANTS} variants of {WORLDS} worlds cost {:.2} times one of {} ({ratios:.2?})",
            ratios[ROUNDS / 2],
            VARIANTS * WORLDS
        );
        assert!(ratios[ROUNDS / 2] < 1.5, "{name}: {ratios:.2?}");
    }
}
