//! `tune`: the search for parameters, trial by trial.

use crate::out::{Out, Table, number, say, warn};
use crate::reward_args::{Tune, TuneMethod};
use crate::{Told, Usage, train};
use anyhow::{Context, Result};
use pavlov_common::own::may_write;
use pavlov_env::{Assets, Task};
use pavlov_run::{Confirmed, Method, Overrides, Trial, TuneOptions, Tuned};
use serde_json::json;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Share of the task's own number of steps that a variant is trained for, unless said otherwise.
const SHARE: u64 = 10;

/// `pavlov tune`.
pub fn tune(out: Out, assets: &Assets, args: &Tune) -> Result<()> {
    let task = Arc::new(Task::load(assets, &args.task)?);
    let reward = pavlov_run::load_reward(assets, &task, args.reward.as_deref())?;
    let task_steps = pavlov_run::own_steps(&task)?;
    let overrides = Overrides {
        seed: args.seed,
        worlds: args.worlds,
        steps: Some(args.steps.or(task_steps.map(|n| n / SHARE)).unwrap_or(200_000).max(1)),
        threads: args.threads,
        profile: args.profile,
        backend: None,
        set: args.set.clone(),
        ..Overrides::default()
    };
    let target = args.write.as_ref().map(|name| target(&reward, name)).transpose()?;
    let method = match args.method {
        TuneMethod::CmaEs => Method::CmaEs,
        TuneMethod::Halving => Method::Halving,
    };
    let options = TuneOptions {
        params: args.params.clone(),
        method,
        variants: args.variants,
        generations: args.generations,
        overrides,
    };
    let mut log = match &args.log {
        Some(path) => {
            may_write(path, "a log of trials", |head| head.starts_with(b"{"))?;
            Some(pavlov_common::file::create(path).with_context(|| format!("cannot write {}", path.display()))?)
        }
        None => None,
    };
    let stop = Arc::new(AtomicBool::new(false));
    train::catch_interrupts(&stop)?;
    let mut broken = None;
    let tuned = pavlov_run::tune(&task, &reward, &options, &stop, |trial| {
        let done = show(out, trial).and_then(|()| match &mut log {
            Some(file) => Ok(writeln!(file, "{}", serde_json::to_string(trial)?)?),
            None => Ok(()),
        });
        if let Err(e) = done {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            broken.get_or_insert(e);
        }
    })?;
    if let Some(e) = broken {
        return Err(e);
    }
    let seeds = args.confirm as usize;
    let confirmed = match seeds {
        0 => None,
        _ => Some(pavlov_run::confirm(&task, &reward, &tuned.best, (&options.overrides, seeds), &stop)?),
    };
    let sure = confirmed.as_ref().is_some_and(Confirmed::is_sure);
    let path = target.filter(|_| sure || args.force);
    if let Some(folder) = &path {
        write(&reward, folder, &tuned)?;
        if !sure {
            warn("written because of --force: it is not sure that these values are better");
        }
    }
    let refused = args.write.is_some() && path.is_none();
    let trials = tuned.trials.len();
    if out.json {
        out.object(&json!({
            "event": "end", "best": tuned.best, "trials": trials, "confirmed": confirmed, "sure": sure, "path": path,
        }))?;
    } else {
        let mut table = Table::new(&["parameter", "was", "best"]);
        for (name, value) in &tuned.best.params {
            let was = reward.params().find(|p| p.0 == name).map_or(f64::NAN, |p| f64::from(p.1));
            table.row([name.clone(), number(was), number(*value)]);
        }
        out.text(&format!("{table}fitness {} with these, of {trials} trials\n", number(tuned.best.fitness)))?;
        out.line(&confidence(confirmed.as_ref()))?;
        let set: Vec<String> = tuned.best.params.iter().map(|(n, v)| format!("--set reward.{n}={v}")).collect();
        out.line(&match &path {
            Some(path) => format!("written to {}", path.display()),
            None if sure => {
                format!("to train with them: pavlov train {} --reward {} {}", task.name, reward.name(), set.join(" "))
            }
            None => "not recommended: the present values stand (more --steps or --confirm seeds tell more)".into(),
        })?;
    }
    if refused { Err(Told(1).into()) } else { Ok(()) }
}

/// How sure it is that the values found are better.
fn confidence(confirmed: Option<&Confirmed>) -> String {
    let Some(confirmed) = confirmed.filter(|c| !c.seeds.is_empty()) else {
        return "not compared with the present values".into();
    };
    let [before, found] = confirmed.means().map(number);
    let seeds = confirmed.seeds.len();
    let interval = confirmed.interval.map_or("no interval of one seed".into(), |[low, high]| {
        format!("95% interval {} to {}", number(low), number(high))
    });
    let verdict = if confirmed.is_sure() { "surely better" } else { "not sure to be better" };
    format!(
        "the same steps with {seeds} other seeds: present values {before}, found {found}; difference {} ({interval}): \
         {verdict}",
        number(confirmed.difference)
    )
}

fn show(out: Out, trial: &Trial) -> Result<()> {
    if out.json {
        let mut line = serde_json::to_value(trial)?;
        if let Some(object) = line.as_object_mut() {
            object.shift_insert(0, "event".into(), "trial".into());
        }
        return out.object(&line);
    }
    let params: Vec<String> = trial.params.iter().map(|(n, v)| format!("{n} {}", number(*v))).collect();
    out.line(&format!(
        "{}.{} fitness {} success {:.0}% after {} steps: {}",
        trial.generation,
        trial.variant,
        number(trial.fitness),
        100.0 * trial.success,
        trial.env_steps,
        params.join(", ")
    ))
}

/// The new folder, which must not be there.
fn target(reward: &pavlov_reward::Reward, name: &str) -> Result<std::path::PathBuf> {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if !plain {
        return Err(Usage(format!("--write {name}: expected a name of letters, digits, _ and -")).into());
    }
    if !reward.path().is_dir() {
        let path = reward.path().display();
        return Err(Usage(format!("--write needs a reward in a folder of its own, {path} is a file")).into());
    }
    let folder = reward.path().with_file_name(name);
    if folder.exists() {
        return Err(Usage(format!("--write {name}: {} exists already", folder.display())).into());
    }
    Ok(folder)
}

/// The reward's files with the values found and the reward as parent.
fn write(reward: &pavlov_reward::Reward, folder: &std::path::Path, tuned: &Tuned) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for path in reward.inputs() {
        let Some(file) = path.file_name() else { continue };
        let mut text = pavlov_common::text::read(path).with_context(|| path.display().to_string())?;
        if file == "reward.toml" {
            text = pavlov_reward::with_values(&text, &tuned.best.params);
            let lines: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with("parent")).collect();
            text = format!("parent = {:?}\n{}\n", reward.name(), lines.join("\n"));
        }
        let to = folder.join(file);
        pavlov_common::atomic::write(&to, text.as_bytes()).with_context(|| format!("cannot write {}", to.display()))?;
    }
    say(&format!("the values found are in {}", folder.display()));
    Ok(())
}
