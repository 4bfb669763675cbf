//! What a task asks of the kernels, and what they have not.

use crate::block::{Needs, Shared};
use crate::error::EnvError;
use crate::observe::Source;
use crate::scripts::columns_of;
use crate::spec::{BackendKind, EnvOptions};
use crate::task::Task;
use pavlov_physics::Field;
use pavlov_reward::Reward;
use pavlov_script::Channel;

/// What must be evaluated besides poses and velocities.
pub(super) fn needs(task: &Task, reward: &Reward) -> Needs {
    let columns = columns_of(task, reward);
    Needs {
        cfrc_ext: task.obs.needs_cfrc_ext || columns.iter().any(|i| matches!(i.channel, Channel::CfrcExt(_))),
        sensors: columns.iter().any(|i| matches!(i.channel, Channel::Sensor { .. }))
            || task.obs.columns.iter().any(|c| matches!(c.source, Source::Sensor(_))),
    }
}

/// Parameters that differ between worlds, with what follows from them.
pub(super) fn varied(shared: &Shared) -> Vec<Field> {
    if !shared.randomised() {
        return Vec::new();
    }
    let random = &shared.task.random;
    let mut fields: Vec<Field> = random.draws.iter().flat_map(|d| d.fields().iter().copied()).collect();
    if random.set0_start || random.set0_episode {
        fields.extend([Field::BodyInvweight0, Field::DofInvweight0, Field::Meaninertia]);
    }
    if fields.contains(&Field::GeomFriction) {
        fields.push(Field::PairFriction);
    }
    fields.sort();
    fields.dedup();
    fields
}

/// What cannot run on a GPU, told with what to do.
pub(super) fn refuse(task: &Task, reward: &Reward, options: &EnvOptions) -> Result<(), EnvError> {
    let refused = |message: String| Err(EnvError::Gpu { message });
    if options.backend == BackendKind::Rapier {
        return refused("rapier's worlds are on the processor: leave out `--backend rapier` or `--device gpu`".into());
    }
    if options.siblings > 1 {
        return refused("worlds that begin alike (`elite_of`) are on the processor: leave out `--device gpu`".into());
    }
    let mut programs = task.script.all().chain([reward.program()]);
    if let Some(program) = programs.find(|p| !p.is_lowered()) {
        let place = program.findings().iter().find(|f| f.rule == "not-lowered").or(program.findings().first());
        let place = place.map_or_else(String::new, |f| format!(" ({}:{}: {})", f.file, f.line, f.message));
        let message = format!(
            "`{}` runs by the interpreter, which the GPU has not{place}: change that line, or use `--device cpu`",
            program.entry()
        );
        return refused(message);
    }
    if let Some(source) = reward.graph().and_then(|g| g.sources.first()) {
        let message = format!(
            "source `{}` of the reward is outside of its script, which the GPU does not run: use `--device cpu`",
            source.name
        );
        return refused(message);
    }
    if reward.late().is_some() {
        let message = "a `delta` of the reward is paid a step late, which the GPU does not do yet: use `--device cpu`";
        return refused(message.into());
    }
    Ok(())
}
