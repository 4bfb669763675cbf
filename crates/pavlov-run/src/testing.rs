//! Help for this crate's tests: a small copy of the cart-pole task.

use pavlov_env::{Assets, Task};
use pavlov_reward::Reward;
use std::path::Path;

/// The cart-pole task in a folder of its own, with these lines under `[learner]`.
pub(crate) fn assets(learner: &str) -> (tempfile::TempDir, Assets) {
    let dir = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let copy = |file: &str| {
        let to = dir.path().join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(source.join(file), to).unwrap();
    };
    for file in [
        "assets/robots/cartpole.xml",
        "tasks/cartpole_balance.rhai",
        "rewards/cartpole_balance/default/reward.toml",
        "rewards/cartpole_balance/default/reward.rhai",
    ] {
        copy(file);
    }
    let text = std::fs::read_to_string(source.join("tasks/cartpole_balance.toml")).unwrap();
    let without_learner = text.split("[learner]").next().unwrap();
    std::fs::write(
        dir.path().join("tasks/cartpole_balance.toml"),
        format!("{without_learner}\n[learner]\n{learner}\n"),
    )
    .unwrap();
    let assets = Assets::from_roots([dir.path().to_path_buf()]);
    (dir, assets)
}

/// Task and default reward.
pub(crate) fn load(assets: &Assets) -> (Task, Reward) {
    let task = Task::load(assets, "cartpole_balance").unwrap();
    let path = assets.reward(&task.name, "default").unwrap();
    let reward = Reward::load(&path, "cartpole_balance/default", task.scene()).unwrap();
    (task, reward)
}
