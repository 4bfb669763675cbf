//! `rescore`: another reward on what a run has kept.

use crate::find::find;
use crate::out::{Out, Table, maybe, number};
use crate::reward_args::Rescore;
use anyhow::Result;
use pavlov_env::Assets;
use pavlov_run::{RunConfig, RunFolder, load_inputs, load_reward, rescore as score, rollout_files, thread_pool};
use std::path::Path;

/// `pavlov rescore`.
pub fn rescore(out: Out, assets: &Assets, runs: &Path, args: &Rescore) -> Result<()> {
    let folder = RunFolder::open(&find(runs, &args.run)?)?;
    let config = RunConfig::read(&folder.config())?;
    let (task, before) = load_inputs(&folder, &config)?;
    let after = load_reward(assets, &task, Some(&args.reward))?;
    let files = rollout_files(&folder)?;
    let pool =
        thread_pool(args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)))?;
    let mut result = score(&files, task.scene(), &before, &after, &pool)?;
    if out.json {
        if !args.list {
            result.episodes.clear();
        }
        return out.object(&result);
    }
    let mut table = Table::new(&["term, mean per step", "before", "after", "change"]);
    let names: Vec<&String> = result.terms_before.0.iter().map(|(n, _)| n).collect();
    let new = result.terms_after.0.iter().map(|(n, _)| n).filter(|n| !names.contains(n));
    for name in names.iter().copied().chain(new) {
        let (a, b) = (result.terms_before.get(name).copied(), result.terms_after.get(name).copied());
        table.row([name.clone(), maybe(a), maybe(b), maybe(a.zip(b).map(|(a, b)| b - a))]);
    }
    let [a, b] = result.mean;
    table.row(["total".into(), number(a), number(b), number(b - a)]);
    let fixed = |x: Option<f64>| x.map_or("-".into(), |x| format!("{x:.3}"));
    let mut text = format!("{} against {}\n{table}", result.after, result.before);
    text += &format!(
        "returns of {} episodes: Kendall {}, Spearman {}; with fitness {} before, {} after\n",
        result.episodes.len(),
        fixed(result.kendall),
        fixed(result.spearman),
        fixed(result.fitness_kendall[0]),
        fixed(result.fitness_kendall[1])
    );
    if let Some((term, episode, step, value)) = &result.bad {
        text += &format!("term `{term}` is {value} in step {step} of {episode}; it counts as 0\n");
    }
    text += &format!("{} of {} pairs of episodes change places", result.swapped, result.pairs);
    text += if result.swaps.is_empty() { "\n" } else { "; the widest (returns in deviations):\n" };
    if !result.swaps.is_empty() {
        let mut table =
            Table::new(&["falls behind", "fitness", "gets ahead", "fitness", "apart before", "apart after"]);
        for s in &result.swaps {
            let [d, u] = s.fitness.map(number);
            table.row([s.down.clone(), d, s.up.clone(), u, format!("{:+.2}", s.before), format!("{:+.2}", s.after)]);
        }
        text += &table.to_string();
    }
    if args.list {
        let mut table = Table::new(&["episode", "steps", "fitness", "before", "after", "rank before", "rank after"]);
        for e in &result.episodes {
            let ranks = e.ranks.map(|r| r.to_string());
            let [x, y] = ranks;
            table.row([
                e.episode.clone(),
                e.steps.to_string(),
                number(e.fitness),
                number(e.before),
                number(e.after),
                x,
                y,
            ]);
        }
        text += &format!("\n{table}");
    }
    text += &format!(
        "{} steps read and scored twice in {:.2} s\n",
        crate::out::grouped(result.steps as u64),
        result.seconds
    );
    out.text(&text)
}
