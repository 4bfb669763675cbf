//! `prefs train`: what labels say of a reward, and the reward they make of it.
//!
//! A reward is written only where the labels determine something and the gate (`pavlov check`) finds no error in it.
//! Exit code 0: written, or nothing was to be; 1: the labels determine nothing, so that the reward before stands; 2:
//! the gate refuses what was learnt. `--force` writes in both cases.

use crate::Told;
use crate::check::admission;
use crate::out::{Out, Table, grouped, number, warn};
use crate::prefs_args::Train;
use crate::prefs_desk::fit_options;
use anyhow::{Context, Result};
use pavlov_env::{Assets, Task};
use pavlov_prefs::{AgainstCoin, Change, Combine, Dataset, Fit, LabelStore, Learnt, Pool, Quality};
use pavlov_reward::Reward;
use pavlov_run::load_reward;
use pavlov_search::GateFinding;
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Serialize)]
struct Trained {
    model: &'static str,
    labels: usize,
    /// On pairs held out.
    quality: Quality,
    /// Linear: the same pairs predicted by the weights as they are.
    before: Option<Quality>,
    /// Nets: what a coin does on the pairs held out.
    coin: Option<AgainstCoin>,
    changes: Vec<Change>,
    /// How much lower the net's loss is than the linear model's, with its standard error.
    advantage: Option<(f64, f64)>,
    /// Why the reward that there is should be kept.
    doubt: Option<String>,
    /// What the gate says of the reward that was learnt; empty where none was to be written.
    findings: Vec<GateFinding>,
    /// The folder that was written.
    out: Option<PathBuf>,
}

/// `pavlov prefs train`.
pub fn train(out: Out, assets: &Assets, runs: &Path, args: &Train) -> Result<()> {
    let task = Task::load(assets, &args.task)?;
    let reward = load_reward(assets, &task, args.reward.as_deref())?;
    let store = LabelStore::open_existing(&LabelStore::path_in(runs))?;
    let data = Dataset::of(&store.labels()?, &task.name, args.rater.as_deref());
    data.check()?;
    let pool = Pool::of_segments(runs, &data.segments)?;
    let fit = Fit::of(&pool, &reward, &data, &fit_options(&args.learning, args.seed)?)?;
    let doubt = fit.doubt();
    let mut findings = Vec::new();
    let mut written = None;
    let mut refused = false;
    let mut code = 0;
    match &args.out {
        Some(_) if doubt.is_some() && !args.force => code = 1,
        Some(folder) => {
            let combine = Combine { kind: &args.learning.combine, lambda: args.learning.lambda };
            findings = admitted(assets, &task, folder, |to| Ok(fit.write(to, &reward, &task.name, combine)?))?;
            refused = findings.iter().any(|f| f.severity == "error");
            if refused && !args.force {
                code = 2;
            } else {
                fit.write(folder, &reward, &task.name, combine)?;
                written = Some(folder.clone());
            }
        }
        None => {}
    }
    let (model, quality, advantage) = (fit.name(), fit.quality, fit.advantage);
    let (before, coin, changes) = match fit.learnt {
        Learnt::Linear(fit, changes) => (Some(fit.before), None, changes),
        Learnt::Nets(_, coin) => (None, Some(coin), Vec::new()),
    };
    let labels = data.pairs.len();
    let done = Trained { model, labels, quality, before, coin, changes, advantage, doubt, findings, out: written };
    if done.out.is_some() && (done.doubt.is_some() || refused) {
        warn("written because of --force");
    }
    if out.json {
        out.object(&done)?
    } else {
        out.text(&summary(&done, args))?
    }
    match code {
        0 => Ok(()),
        code => Err(Told(code).into()),
    }
}

/// What the gate says of a reward that `write` writes to a folder that is not kept; `target` is where it is to be.
pub fn admitted(
    assets: &Assets,
    task: &Task,
    target: &Path,
    write: impl Fn(&Path) -> Result<()>,
) -> Result<Vec<GateFinding>> {
    let staging = tempfile::tempdir().context("cannot create a folder for the reward to be checked")?;
    let name = target.file_name().map_or_else(|| "learnt".into(), |n| n.to_string_lossy().into_owned());
    let staged = staging.path().join(&name);
    write(&staged)?;
    let reward = Reward::load(&staged, &name, task.scene())?;
    Ok(admission(assets, task, &reward, target)?.findings)
}

fn summary(done: &Trained, args: &Train) -> String {
    let q = &done.quality;
    let mut text = format!(
        "{} from {} pairs\nheld out: {} pairs, accuracy {:.1}%, log loss {:.3} (a coin: 0.693), \
         calibration error {:.3}\n",
        done.model,
        grouped(done.labels as u64),
        q.pairs,
        100.0 * q.accuracy,
        q.log_loss,
        q.calibration_error
    );
    if let Some(before) = &done.before {
        text += &format!(
            "the weights as they are, on all pairs: accuracy {:.1}%, log loss {:.3}\n",
            100.0 * before.accuracy,
            before.log_loss
        );
    }
    if let Some(coin) = &done.coin {
        text += &format!(
            "{} of {} told right: 95% interval {:.0}% to {:.0}%; a coin does as well with a chance of {}\n",
            coin.right,
            coin.pairs,
            100.0 * coin.interval[0],
            100.0 * coin.interval[1],
            number(coin.chance)
        );
    }
    if let Some((gain, error)) = done.advantage {
        text += &format!(
            "net against linear on other pairs held out: loss less by {gain:.3} ± {error:.3}; \
             a net is taken above two errors\n"
        );
    }
    if !q.bins.is_empty() {
        let mut table = Table::new(&["predicted", "found", "pairs"]);
        q.bins.iter().for_each(|b| table.row([format!("{:.2}", b.0), format!("{:.2}", b.1), b.2.to_string()]));
        text += &table.to_string();
    }
    text += &weights(&done.changes);
    for finding in &done.findings {
        text += &format!("{finding}\n");
    }
    let errors = done.findings.iter().filter(|f| f.severity == "error").count();
    if let Some(doubt) = &done.doubt {
        text += &format!("{doubt}\n");
    }
    text += &match (&done.out, &args.out) {
        (Some(folder), _) => format!("written to {}\n", folder.display()),
        (None, None) => "nothing written: give --out DIR\n".into(),
        (None, Some(_)) if done.doubt.is_some() => {
            "nothing written: the reward before stands; --force writes all the same\n".into()
        }
        (None, Some(_)) => format!(
            "nothing written: the gate finds {errors} error{} in what was learnt; --force writes all the same\n",
            if errors == 1 { "" } else { "s" }
        ),
    };
    text
}

/// Term by term, in the numbers of its parameter.
fn weights(changes: &[Change]) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["term", "before", "after", "95% interval", "determined", "parameter"]);
    for change in changes {
        let verdict = &change.verdict;
        // A term without a parameter of its own has a factor.
        let [before, after] = change.values.unwrap_or([1.0, verdict.factor]);
        let interval = verdict.interval.map_or("-".into(), |ends| {
            let [a, b] = ends.map(|f| f * before);
            format!("{} to {}", number(a.min(b)), number(a.max(b)))
        });
        let determined = match (verdict.determined, verdict.changes()) {
            (true, true) => "yes",
            (true, false) => "yes: it stays",
            (false, _) => "no",
        };
        table.row([
            change.term.clone(),
            number(before),
            number(after),
            interval,
            determined.into(),
            change.param.clone().unwrap_or_else(|| "- (a weight transform)".into()),
        ]);
    }
    let mut text = table.to_string();
    for change in changes.iter().filter(|c| c.refused.is_some()) {
        text += &format!("{}: outside the range of its parameter, which is widened\n", change.term);
    }
    text
}
