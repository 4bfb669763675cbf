//! What a reward is compared with at the gate: the other rewards of its task.

use pavlov_env::{Assets, Task};
use pavlov_reward::Reward;
use std::path::Path;

/// The other rewards of a task that can be loaded.
pub fn other_rewards(assets: &Assets, task: &Task, than: &Path) -> Vec<Reward> {
    let same =
        |p: &Path| matches!((p.canonicalize(), than.canonicalize()), (Ok(a), Ok(b)) if a == b || b.starts_with(&a));
    let others = assets.rewards().into_iter().filter(|r| r.task == task.name && !same(&r.path));
    others.filter_map(|r| Reward::load(&r.path, &r.name, task.scene()).ok()).collect()
}
