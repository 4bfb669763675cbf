//! `compare`: how far apart rewards are, without training.

use crate::check::task_of;
use crate::find::find;
use crate::out::{Out, Table, number};
use crate::reward_args::Compare;
use anyhow::Result;
use pavlov_env::{Assets, Task};
use pavlov_reward::Reward;
use pavlov_run::{RolloutEpisode, RunConfig, RunFolder, load_inputs, load_reward, rollout_files, thread_pool};
use pavlov_search::{AuditSet, Sample, versus, written};
use std::path::Path;

/// `pavlov compare`.
pub fn compare(out: Out, assets: &Assets, runs: &Path, args: &Compare) -> Result<()> {
    let pool =
        thread_pool(args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)))?;
    let (result, labels) = match &args.on {
        Some(run) => {
            let folder = RunFolder::open(&find(runs, run)?)?;
            let (task, _) = load_inputs(&folder, &RunConfig::read(&folder.config())?)?;
            let rewards = load(assets, &task, &args.rewards)?;
            let refs: Vec<&Reward> = rewards.iter().collect();
            let mut rollouts = None;
            for (name, file) in rollout_files(&folder)? {
                let mut part = file.read(task.scene(), task.scene().recorded())?;
                part.info.episodes.iter_mut().enumerate().for_each(|(i, e): (usize, &mut RolloutEpisode)| {
                    e.name = format!("{name}#{i}");
                });
                match &mut rollouts {
                    None => rollouts = Some(part),
                    Some(rollouts) => rollouts.append(part),
                }
            }
            // There is at least one file, as none would have been an error.
            let rollouts = rollouts.unwrap_or_default();
            (versus(&refs, &task, &Sample::of_rollouts(&rollouts), true, &pool)?, args.rewards.clone())
        }
        None => {
            let task = task_of(assets, &args.rewards[0], args.task.as_deref())?;
            let task = Task::load(assets, &task)?;
            let rewards = load(assets, &task, &args.rewards)?;
            let refs: Vec<&Reward> = rewards.iter().collect();
            let audit = AuditSet::load(assets, &task)?.play(&task, &pool)?;
            (versus(&refs, &task, &Sample::of_audit(&audit), true, &pool)?, args.rewards.clone())
        }
    };
    if out.json {
        return out.object(&result);
    }
    let mut text = format!("task {}, discount {}; {}\n", result.task, result.gamma, result.distribution);
    for (i, name) in labels.iter().enumerate() {
        let fitness = result.fitness_kendall[i].map_or("-".into(), |k| format!("{k:+.3}"));
        text += &format!("{}: {name} (rank correlation of returns with fitness {fitness})\n", i + 1);
    }
    type Cell<'a> = Box<dyn Fn(usize, usize) -> String + 'a>;
    let cell = |x: Option<f64>| x.map_or("-".into(), |x| format!("{x:.4}"));
    let r = &result;
    let matrices: [(&str, Cell<'_>); 5] = [
        ("STARC VAL", Box::new(|i, j| written(&r.starc(i, j)))),
        ("STARC minimal", Box::new(|i, j| format!("{:.4}", r.minimal.0[i][j]))),
        ("EPIC", Box::new(|i, j| cell(r.epic.0[i][j]))),
        ("Kendall", Box::new(|i, j| cell(r.kendall.0[i][j]))),
        ("Spearman", Box::new(|i, j| cell(r.spearman.0[i][j]))),
    ];
    for (title, cell) in matrices {
        let numbers: Vec<String> = (1..=labels.len()).map(|i| i.to_string()).collect();
        let mut heads = vec![title];
        heads.extend(numbers.iter().map(String::as_str));
        let mut table = Table::new(&heads);
        for i in 0..labels.len() {
            let row = (0..labels.len()).map(|j| cell(i, j));
            table.row([format!("{}:", i + 1)].into_iter().chain(row));
        }
        text += &format!("\n{table}");
    }
    text += "\ndistances: 0 alike up to scale and potential shaping, 1 opposite; VAL with its standard error, and minimal \
             where the states tell too little of values\n";
    if !result.disagreements.is_empty() {
        let mut table = Table::new(&["behaviour", "fitness", "liked by", "disliked by", "score", "score"]);
        for d in &result.disagreements {
            let [high, low] = [d.high, d.low].map(|x| format!("{x:+.2}"));
            table.row([d.behaviour.clone(), number(d.fitness), d.likes.clone(), d.dislikes.clone(), high, low]);
        }
        text += &format!("\nwhat they disagree about (returns in deviations from each reward's mean)\n{table}");
    }
    out.text(&text)
}

fn load(assets: &Assets, task: &Task, names: &[String]) -> Result<Vec<Reward>> {
    names.iter().map(|n| Ok(load_reward(assets, task, Some(n))?)).collect()
}
