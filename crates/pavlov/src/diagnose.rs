//! `diagnose`: what a finished run looks like, and the same reward under another learner.

use crate::find::find;
use crate::out::{Out, Table, grouped, maybe, number, say, spark};
use crate::reward_args::Diagnose;
use anyhow::Result;
use pavlov_run::{Diagnosis, RunFolder, second, write_diagnosis, write_report};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Between two lines of progress.
const EVERY: Duration = Duration::from_secs(5);

/// `pavlov diagnose`.
pub fn diagnose(out: Out, runs: &Path, args: &Diagnose) -> Result<()> {
    let folder = RunFolder::open(&find(runs, &args.run)?)?;
    if args.second {
        let mut last_shown = Instant::now();
        second(&folder, &args.set, args.steps, args.threads, &AtomicBool::new(false), |trainer, update| {
            if last_shown.elapsed() >= EVERY {
                last_shown = Instant::now();
                let m = &update.metrics;
                let (share, fitness) = (100.0 * trainer.progress(), maybe(m.recent_fitness));
                say(&format!("second learner: {share:.0}%, {} steps, fitness {fitness}", grouped(m.env_steps)));
            }
        })?;
    }
    let diagnosis = write_diagnosis(&folder)?;
    write_report(&folder)?;
    if out.json {
        return out.object(&diagnosis);
    }
    let curve = &diagnosis.curve;
    let mut text = format!("return   {}\nfitness  {}\n", spark(&curve.proxy), spark(&curve.fitness));
    if let Some(stop) = &diagnosis.stop {
        let at = grouped(stop.env_steps);
        text += &if stop.over_optimised {
            format!(
                "stop at {at} steps: fitness {} there, {} at the end\n",
                number(stop.fitness),
                number(stop.last_fitness)
            )
        } else {
            format!("best fitness {} at {at} steps, {} at the end\n", number(stop.fitness), number(stop.last_fitness))
        };
    }
    if !diagnosis.motion.is_empty() {
        let mut table = Table::new(&["rollouts after", "fitness", "reward", "jerk", "power W", "still", "new states"]);
        for m in &diagnosis.motion {
            let row = [m.fitness, m.reward, m.jerk, m.power, m.still, m.new].map(number);
            table.row([grouped(m.env_steps)].into_iter().chain(row));
        }
        text += &table.to_string();
    }
    if let Some(s) = &diagnosis.second {
        let [a, b] = [s.first_fitness, s.second_fitness].map(maybe);
        text += &format!("fitness after {} steps: {a}, with {}: {b}\n", grouped(s.env_steps), s.settings.join(" "));
    }
    text += &symptoms(&diagnosis);
    text += &format!("report: {}\n", folder.report().display());
    out.text(&text)
}

/// The symptoms, for people.
pub fn symptoms(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for s in &diagnosis.symptoms {
        let term = if s.term.is_empty() { String::new() } else { format!(" (term `{}`)", s.term) };
        text += &format!("\n{}[{}]{term}: {}\n  = {}\n", s.severity, s.name, s.message, s.fix);
    }
    text
}
