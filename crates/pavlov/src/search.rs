//! `search`: reward search, what it prints while it runs, and what can be done with an existing one.

use crate::out::{Out, Table, number, say};
use crate::search_args::{
    Search, SearchAction, SearchExecutor, SearchFloor, SearchGenerator, SearchRater, SearchResume,
};
use crate::search_progress::Teller;
use crate::{Usage, train};
use anyhow::{Context, Result};
use pavlov_env::{Assets, Task};
use pavlov_search::client::{Budget, Cassette, Endpoint, Key, Model};
use pavlov_search::lineage::{Answer, Candidate, Lineage, Status};
use pavlov_search::prompt::Prompts;
use pavlov_search::search::{
    End, Event, Floor, Generator, Given, JudgedBy, Means, Nobody, Person, Scripted, Settings, Shown, Slurm,
    comparisons, run_job,
};
use pavlov_search::{AuditSet, SearchError, Snapshot, promote, write_report};
use serde_json::json;
use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// `pavlov search`.
pub fn search(out: Out, assets: &Assets, runs: &Path, args: &Search) -> Result<()> {
    match &args.action {
        Some(SearchAction::Show { search, lineage }) => show(out, assets, search, *lineage),
        Some(SearchAction::Resume(resume)) => go_on(out, assets, resume),
        Some(SearchAction::Promote { search, name, candidate, to }) => {
            let at = candidate.as_deref().map(str::parse).transpose().map_err(Usage)?;
            let first = assets.roots().first().map_or_else(|| PathBuf::from("."), Clone::clone);
            let to = to.clone().unwrap_or_else(|| first.join("rewards"));
            let folder = promote(&Lineage::existing(search)?, at, &to, name)?;
            if out.json {
                return out.object(&json!({"path": folder}));
            }
            out.line(&format!("written to {}", folder.display()))
        }
        Some(SearchAction::Job { file, threads }) => {
            let stop = Arc::new(AtomicBool::new(false));
            train::catch_interrupts(&stop)?;
            Ok(run_job(file, threads.unwrap_or_else(cores), &stop)?)
        }
        None => begin(out, assets, runs, args),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Rewards that a person brings: files, folders, standard input.
fn given(paths: &[PathBuf]) -> Result<Vec<Given>> {
    let read = |path: &Path| {
        pavlov_common::text::read(path).map_err(|source| SearchError::File {
            action: "read",
            path: path.into(),
            source,
        })
    };
    let read_reward = |path: &PathBuf| {
        let name = path.display().to_string();
        if name == "-" {
            let mut script = String::new();
            std::io::stdin().read_to_string(&mut script).context("cannot read standard input")?;
            return Ok(Given { name: "standard input".into(), script, manifest: String::new() });
        }
        if path.is_dir() {
            let manifest = path.join("reward.toml");
            let manifest = if manifest.is_file() { read(&manifest)? } else { String::new() };
            return Ok(Given { name, script: read(&path.join("reward.rhai"))?, manifest });
        }
        Ok(Given { name, script: read(path)?, manifest: String::new() })
    };
    paths.iter().map(read_reward).collect()
}

/// A task as a search keeps it, which goes on elsewhere too: by its name where it is found by that, else by the whole
/// path of its file.
fn kept_task(assets: &Assets, task: &Task) -> String {
    let file = |path: &Path| path.canonicalize().ok();
    let by_name = assets.task(&task.name).ok().and_then(|entry| file(&entry.path));
    match file(&task.path) {
        Some(path) if by_name.as_ref() != Some(&path) => path.display().to_string(),
        _ => task.name.clone(),
    }
}

/// The human reward as a search keeps it: by its name, or by the whole path of its file or folder.
fn kept_reward(assets: &Assets, task: &Task, asked: &str) -> String {
    let named = assets.rewards();
    match pavlov_run::find_reward(assets, task, Some(asked)) {
        Ok((path, _)) if !named.iter().any(|reward| reward.path == path) => {
            path.canonicalize().map_or_else(|_| asked.to_string(), |path| path.display().to_string())
        }
        _ => asked.to_string(),
    }
}

fn settings(assets: &Assets, args: &Search) -> Result<Settings> {
    // The grammar asks for one of the two.
    let name = args.task.as_ref().or(args.task_option.as_ref()).cloned().unwrap_or_default();
    let task = Task::load(assets, &name)?;
    let mode = args.mode;
    let usual = mode.usual(Settings::of_task(&task)?);
    let steps = args.steps.unwrap_or(usual.steps);
    let model = args.base_url.is_some() || args.replay.is_some();
    let generator = match args.generator {
        Some(SearchGenerator::Llm) => Generator::Llm,
        Some(SearchGenerator::Embedded) => Generator::Embedded,
        None if model => Generator::Llm,
        None => Generator::Embedded,
    };
    let mut rewards = given(&args.scripts)?;
    if let Some(from) = &args.from {
        let (path, _) = pavlov_run::find_reward(assets, &task, Some(from))?;
        rewards.insert(0, given(&[path])?.remove(0));
    }
    Ok(Settings {
        task: kept_task(assets, &task),
        mode,
        generator,
        candidates: args.candidates.unwrap_or(usual.candidates),
        iterations: args.iterations,
        seed: args.seed,
        steps,
        seeds: args.seeds.unwrap_or(usual.seeds),
        halving: !args.no_halving,
        minutes: args.minutes_per_candidate,
        finalists: args.finalists.unwrap_or(usual.finalists),
        finalist_seeds: args.finalist_seeds.unwrap_or(usual.finalist_seeds),
        final_steps: args.final_steps.unwrap_or(steps),
        final_seeds: args.final_seeds,
        human_steps: args.human_steps.unwrap_or(if args.steps.or(args.final_steps).is_some() {
            0
        } else {
            usual.human_steps
        }),
        floor: match args.floor {
            SearchFloor::Idle => Floor::Idle,
            SearchFloor::Sparse => Floor::Sparse,
        },
        patience: args.patience,
        islands: args.islands,
        reflection: !args.no_reflection,
        human: kept_reward(assets, &task, &args.human),
        given: rewards,
        wish: args.wish.clone(),
        words: args.feedback.clone(),
        model: args.model.clone(),
        temperature: args.temperature,
        max_tokens: args.max_tokens,
        repairs: args.repairs.unwrap_or(usual.repairs),
        worlds: args.worlds.or(usual.worlds),
        profile: args.profile.map(|p| p.name().to_string()),
        set: usual.set.iter().chain(&args.set).cloned().collect(),
    })
}

/// What a resumed search needs to know again, kept beside the lineage. No key is in it.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
struct Kept {
    base_url: Option<String>,
    replay: Option<PathBuf>,
    record: Option<PathBuf>,
    prompts: Option<PathBuf>,
    budget: Budget,
    timeout: f64,
    tries: u32,
    scripted: bool,
    ask: bool,
    slurm: bool,
    sbatch: Vec<String>,
    threads: Option<usize>,
}

fn begin(out: Out, assets: &Assets, runs: &Path, args: &Search) -> Result<()> {
    let settings = settings(assets, args)?;
    let name = format!("search-{}-{}", settings.task_name().replace('/', "-"), settings.seed);
    let folder = args.out.clone().unwrap_or_else(|| runs.join(name));
    let kept = Kept {
        base_url: args.base_url.clone(),
        replay: args.replay.clone(),
        record: args.record.clone(),
        prompts: args.prompts.clone(),
        budget: Budget {
            tokens: args.budget_tokens,
            money: args.budget_money,
            price_in: args.price_in,
            price_out: args.price_out,
            ..Budget::default()
        },
        timeout: args.timeout,
        tries: args.tries,
        scripted: args.rater == SearchRater::Scripted,
        ask: args.ask,
        slurm: args.executor == SearchExecutor::Slurm,
        sbatch: args.sbatch.clone(),
        threads: args.threads,
    };
    run(out, assets, &settings, &folder, &kept)
}

fn go_on(out: Out, assets: &Assets, args: &SearchResume) -> Result<()> {
    let lineage = Lineage::read_only(&args.search)?;
    let settings: Option<Settings> = lineage.get("settings")?;
    let settings = settings.ok_or_else(|| Usage(format!("{}: the search was not begun", args.search.display())))?;
    // A search that was killed before it had begun has nothing kept.
    let unkept = || Kept { timeout: 600.0, tries: 5, ..Kept::default() };
    let mut kept: Kept = lineage.get("kept")?.unwrap_or_else(unkept);
    drop(lineage);
    let asks = settings.generator == Generator::Llm && settings.mode.generates();
    let of_a_model = [
        ("--base-url", args.base_url.is_some()),
        ("--replay", args.replay.is_some()),
        ("--budget-tokens", args.budget_tokens.is_some()),
        ("--budget-money", args.budget_money.is_some()),
    ];
    if let Some((option, _)) = of_a_model.into_iter().find(|(_, given)| *given && !asks) {
        return Err(Usage(format!("{option}: this search asks no language model")).into());
    }
    if args.base_url.is_some() || args.replay.is_some() {
        (kept.base_url, kept.replay) = (args.base_url.clone(), args.replay.clone());
    }
    kept.budget.tokens = args.budget_tokens.or(kept.budget.tokens);
    kept.budget.money = args.budget_money.or(kept.budget.money);
    kept.threads = args.threads.or(kept.threads);
    run(out, assets, &settings, &args.search, &kept)
}

fn run(out: Out, assets: &Assets, settings: &Settings, folder: &Path, kept: &Kept) -> Result<()> {
    let model = match (&kept.base_url, &kept.replay) {
        _ if settings.generator == Generator::Embedded => None,
        (Some(url), _) => {
            let timeout = Duration::from_secs_f64(kept.timeout.clamp(0.1, 7.0 * 86_400.0));
            let endpoint = Endpoint::new(url, Key::find(), timeout, kept.tries)?;
            kept.record.as_deref().map(Cassette::prepare).transpose()?;
            Some(Model::http(endpoint, kept.budget, kept.record.clone()))
        }
        (None, Some(path)) => Some(Model::replay(Cassette::read(path)?, kept.budget)),
        (None, None) => None,
    };
    let person: Box<dyn Person> = match (kept.scripted, settings.mode.judged_by(), kept.ask) {
        (true, ..) => Box::new(Scripted),
        (_, JudgedBy::Rater, _) | (_, _, true) => Box::new(Terminal),
        _ => Box::new(Nobody),
    };
    let threads = kept.threads.unwrap_or_else(cores);
    let slurm = kept.slurm.then(|| -> Result<Slurm> {
        let program = std::env::current_exe().context("cannot find this program")?;
        Ok(Slurm { program, options: kept.sbatch.clone(), threads })
    });
    let stop = Arc::new(AtomicBool::new(false));
    train::catch_interrupts(&stop)?;
    let mut broken = None;
    let mut teller = Teller::new(out);
    let tell = |event: &Event<'_>| {
        if let Err(e) = teller.tell(event) {
            stop.store(true, Ordering::Relaxed);
            broken.get_or_insert(e);
        }
    };
    let means = Means {
        assets,
        model,
        prompts: Prompts::load(assets, kept.prompts.as_deref())?,
        person,
        threads,
        slurm: slurm.transpose()?,
        stop: &stop,
        on_event: Box::new(tell),
    };
    let mut search = pavlov_search::search::Search::open(settings, folder, means)?;
    search.lineage().set("kept", kept)?;
    if out.json {
        out.object(&json!({"event": "start", "search": folder, "task": settings.task_name(), "settings": settings}))?;
    } else {
        out.line(&format!("search in {}", folder.display()))?;
    }
    let end = search.run();
    drop(search);
    if let Some(e) = broken {
        return Err(e);
    }
    let end = match end {
        Ok(end) => end,
        Err(e @ SearchError::Stopped) => {
            say(&format!("{e}: pavlov search resume {}", folder.display()));
            return Ok(());
        }
        Err(e) => return Err(e.into()),
    };
    let report = report(assets, folder)?;
    ended(out, settings, &end, folder, &report)
}

fn report(assets: &Assets, folder: &Path) -> Result<PathBuf> {
    let lineage = Lineage::existing(folder)?;
    let settings: Settings = lineage.get("settings")?.unwrap_or_default();
    let task = Task::load(assets, &settings.task)?;
    let pool = pavlov_run::thread_pool(cores())?;
    let audit = AuditSet::load(assets, &task)?.play(&task, &pool)?;
    Ok(write_report(folder, &lineage, Some((&task, &audit, &pool)))?)
}

fn ended(out: Out, settings: &Settings, end: &End, folder: &Path, report: &Path) -> Result<()> {
    if out.json {
        return out.object(&json!({"event": "end", "search": folder, "end": end, "report": report}));
    }
    let Some(winner) = end.winner else {
        return out.line(&format!("no candidate could be trained; why is in {}", report.display()));
    };
    let mut table = Table::new(&["reward", "fitness, IQM", "from", "to", "success", "seeds"]);
    for (name, i, success) in
        [(winner.to_string(), &end.found, end.success[0]), (settings.human.clone(), &end.human, end.success[1])]
    {
        table.row([
            name,
            number(i.iqm),
            number(i.low),
            number(i.high),
            format!("{:.0}%", 100.0 * success),
            i.n.to_string(),
        ]);
    }
    out.text(&table.to_string())?;
    let guarded = if end.guarded { " (denominator guarded)" } else { "" };
    out.line(&format!("human-normalised score {:.2}{guarded}; 0 is {}", end.human_normalised, end.floor_text()))?;
    out.line(&format!("report: {}", report.display()))?;
    out.line(&format!("to keep it: pavlov search promote {} --name NAME", folder.display()))
}

fn show(out: Out, assets: &Assets, folder: &Path, whole: bool) -> Result<()> {
    let lineage = Lineage::existing(folder)?;
    if whole {
        return out.json(&lineage.export()?);
    }
    let report = report(assets, folder)?;
    let (candidates, end) = (lineage.candidates()?, lineage.get::<End>("end")?);
    let settings: Settings = lineage.get("settings")?.unwrap_or_default();
    let snapshot = Snapshot::of(&lineage)?;
    let fitness = |c: &Candidate| snapshot.fitness(c.at);
    if out.json {
        for c in &candidates {
            let parents: Vec<String> = c.parents.iter().map(ToString::to_string).collect();
            out.object(&json!({
                "event": "candidate", "at": c.at.to_string(), "operator": c.operator, "status": c.status,
                "fitness": fitness(c), "parents": parents, "errors": c.verdict.errors,
            }))?;
        }
        return out.object(
            &json!({"event": "end", "search": folder, "end": end, "report": report, "times": lineage.times()?}),
        );
    }
    let mut table = Table::new(&["candidate", "fitness", "status", "made by", "from", "why"]);
    for c in candidates.iter().filter(|c| c.status != Status::Refused || c.at.attempt == 0) {
        let parents: Vec<String> = c.parents.iter().map(ToString::to_string).collect();
        let why = c.verdict.errors.first().map_or(c.detail.clone(), ToString::to_string);
        let f = fitness(c).map_or("-".into(), number);
        table.row([c.at.to_string(), f, c.status.name().into(), c.operator.clone(), parents.join(" "), why]);
    }
    out.text(&table.to_string())?;
    match end {
        Some(end) => ended(out, &settings, &end, folder, &report),
        None => {
            out.line(&format!("not ended: pavlov search resume {}; report: {}", folder.display(), report.display()))
        }
    }
}

/// A person at this terminal.
#[derive(Debug, Clone, Copy)]
struct Terminal;

impl Terminal {
    fn line(prompt: &str) -> Result<String, SearchError> {
        let gone = |e: std::io::Error| SearchError::Usage(format!("nobody can be asked: {e}"));
        let mut err = std::io::stderr().lock();
        err.write_all(prompt.as_bytes()).and_then(|()| err.flush()).map_err(gone)?;
        let mut line = String::new();
        let n = std::io::stdin().lock().read_line(&mut line).map_err(gone)?;
        if n == 0 {
            return Err(SearchError::Usage(
                "standard input has ended: nobody can be asked; `pavlov search resume` asks again".into(),
            ));
        }
        Ok(line.trim().to_string())
    }
}

impl Person for Terminal {
    fn choose(&mut self, iteration: u32, shown: &[Shown]) -> Result<Option<Answer>, SearchError> {
        for s in shown {
            let clip = s.clip.as_ref().map_or("no clip".into(), |c| c.display().to_string());
            say(&format!("{}: candidate {}, clip {clip}", s.place, s.at));
        }
        loop {
            let text = Self::line("best and worst, as two numbers, then words if you like: ")?;
            let mut words = text.splitn(3, char::is_whitespace);
            let mut number =
                || words.next().and_then(|w| w.parse::<u32>().ok()).filter(|n| (*n as usize) < shown.len());
            if let (Some(best), Some(worst)) = (number(), number())
                && best != worst
            {
                let text = words.next().unwrap_or_default().trim().to_string();
                let comparisons = comparisons(shown.len());
                let rater = "person".into();
                return Ok(Some(Answer { iteration, rater, best: Some(best), worst: Some(worst), comparisons, text }));
            }
            say(&format!("expected two different numbers from 0 to {}", shown.len() - 1));
        }
    }

    fn words(&mut self, _: u32, best: &Shown) -> Result<Option<String>, SearchError> {
        let clip = best.clip.as_ref().map_or(String::new(), |c| format!(", clip {}", c.display()));
        let text = Self::line(&format!(
            "candidate {}{clip}: what do you see, what should be better? (empty: nothing) ",
            best.at
        ))?;
        Ok((!text.is_empty()).then_some(text))
    }
}
