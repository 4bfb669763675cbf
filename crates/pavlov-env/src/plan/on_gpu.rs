//! What of a plan cannot run on a GPU, with what to do.

use super::whole::Plan;
use crate::error::EnvError;
use crate::options::BackendKind;
use pavlov_model::SensorKind;

pub(crate) fn refuse(plan: &Plan) -> Result<(), EnvError> {
    let (task, reward, options) = (plan.task(), &plan.reward, &plan.shared.options);
    let refused = |message: String| Err(EnvError::Gpu { message });
    if options.backend == BackendKind::Rapier {
        return refused("rapier's worlds are on the processor: leave out `--backend rapier` or `--device gpu`".into());
    }
    if options.siblings > 1 {
        return refused("worlds that begin alike (`elite_of`) are on the processor: leave out `--device gpu`".into());
    }
    let mut programs = task.script.all().chain([reward.program()]);
    if let Some(program) = programs.find(|p| !p.is_lowered()) {
        let place = program.findings().iter().find(|f| f.rule == "interpreted");
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
    let touch = task.model.sensors.iter().find(|s| s.kind == SensorKind::Touch);
    if let Some(sensor) = touch.filter(|_| plan.needs.sensors) {
        let name = &sensor.name;
        return refused(format!("sensor `{name}` is a touch sensor, which the GPU does not read: use `--device cpu`"));
    }
    Ok(())
}
