//! `vision`: pictures scored by a vision-language model, prompts audited, models listed and measured.

use crate::Usage;
use crate::find::find;
use crate::out::{Out, Table, number};
use crate::vision_args::{Sighted, Vision, VisionAudit, VisionBench, VisionCommand, VisionScore};
use anyhow::Result;
use pavlov_env::{Assets, Task};
use pavlov_render::{Picture, Stage};
use pavlov_run::{Clip, RunConfig, RunFolder, load_inputs};
use pavlov_vision::{
    AuditOptions, Eyes, Goal, Manifest, Sight, VisionModel, audit, choose_runtime, model_folder, read_pictures,
    runtime, write_audit,
};
use serde_json::json;
use std::path::Path;
use std::time::Instant;

/// `pavlov vision`.
pub fn vision(out: Out, assets: &Assets, runs: &Path, args: &Vision) -> Result<()> {
    match &args.command {
        VisionCommand::Score(args) => score(out, assets, runs, args),
        VisionCommand::Audit(args) => audited(out, assets, runs, args),
        VisionCommand::Models => models(out, assets),
        VisionCommand::Bench(args) => bench(out, assets, args),
    }
}

/// The model that was asked for.
pub fn load(assets: &Assets, args: &Sighted) -> Result<VisionModel> {
    choose_runtime(args.onnxruntime.parse()?)?;
    Ok(VisionModel::load(&model_folder(&args.model, assets.roots())?)?)
}

/// How it sees.
pub fn sight(args: &Sighted) -> Result<Sight> {
    Ok(Sight::named(&args.camera, &args.ground, &args.light)?)
}

/// Is it a picture, or a folder with some, rather than a run or a clip?
fn has_pictures(path: &Path) -> bool {
    if path.is_dir() {
        return !path.join("config.toml").is_file();
    }
    path.is_file() && path.extension().is_none_or(|e| e != "jsonl")
}

fn score(out: Out, assets: &Assets, runs: &Path, args: &VisionScore) -> Result<()> {
    let mut model = load(assets, &args.sighted)?;
    let goal = model.text(&args.goal)?;
    let baseline = args.baseline.as_ref().map(|b| model.text(b)).transpose()?;
    let goal = Goal::new(&goal, baseline.as_deref(), args.alpha);
    let name = model.manifest().name.clone();
    let (names, vectors) = if has_pictures(&args.input) {
        let (names, pictures): (Vec<String>, Vec<Picture>) = read_pictures(&args.input)?.into_iter().unzip();
        (names, model.images(&pictures)?)
    } else {
        let (clip, task) = clip(assets, runs, &args.input)?;
        let states: Vec<(u32, &[f32])> =
            clip.frames.iter().map(|f| (f.step, f.qpos.as_slice())).filter(|f| !f.1.is_empty()).collect();
        let step = states.len().div_ceil(args.frames as usize).max(1);
        let chosen: Vec<(u32, &[f32])> = states.into_iter().step_by(step).collect();
        let mut eyes = Eyes::new(task.model(), model, args.sighted.adapter)?;
        let qpos: Vec<&[f32]> = chosen.iter().map(|f| f.1).collect();
        let (vectors, _) = eyes.look(&qpos, &sight(&args.sighted)?)?;
        let at = |step: u32| format!("{:.2} s", f64::from(step) * clip.header.dt);
        (chosen.iter().map(|f| at(f.0)).collect(), vectors)
    };
    let scores: Vec<(f64, f64)> = vectors.iter().map(|v| (goal.score(v), goal.cosine(v))).collect();
    let mean = pavlov_common::stats::mean(scores.iter().map(|s| s.0)).unwrap_or_default();
    if out.json {
        for (name, (score, cosine)) in names.iter().zip(&scores) {
            out.object(&json!({ "what": name, "score": score, "cosine": cosine }))?;
        }
        return out.object(&json!({
            "goal": args.goal, "baseline": args.baseline, "alpha": args.alpha, "model": name, "mean": mean,
            "count": scores.len(), "runtime": runtime()?.to_string(),
        }));
    }
    let mut table = Table::new(&["picture", "score", "cosine"]);
    for (name, (score, cosine)) in names.iter().zip(&scores) {
        table.row([name.clone(), format!("{score:.4}"), format!("{cosine:.4}")]);
    }
    table.row(["mean".into(), format!("{mean:.4}"), String::new()]);
    out.text(&format!("{table}model {name} by {}\n", runtime()?))
}

/// The clip of a run (its `final`), or a clip's file, and its task.
fn clip(assets: &Assets, runs: &Path, input: &Path) -> Result<(Clip, Task)> {
    if input.extension().is_some_and(|e| e == "jsonl") && input.is_file() {
        let clip = Clip::read(input)?;
        let task = Task::load(assets, &clip.header.task)?;
        return Ok((clip, task));
    }
    let folder = RunFolder::open(&find(runs, input)?)?;
    let (task, _) = load_inputs(&folder, &RunConfig::read(&folder.config())?)?;
    let path = folder.clips().join("final.jsonl");
    if !path.is_file() {
        let message = format!(
            "run {} has no clip `final`, which is recorded when training ends; name a clip's file",
            folder.name()
        );
        return Err(Usage(message).into());
    }
    Ok((Clip::read(&path)?, task))
}

fn audited(out: Out, assets: &Assets, runs: &Path, args: &VisionAudit) -> Result<()> {
    let s = &args.sighted;
    choose_runtime(s.onnxruntime.parse()?)?;
    let options = AuditOptions {
        runs: args.audited.iter().map(|r| find(runs, r)).collect::<Result<_>>()?,
        prompts: args.prompts.clone(),
        baseline: args.baseline.clone(),
        alpha: args.alpha,
        model: model_folder(&s.model, assets.roots())?,
        sight: [s.camera.clone(), s.ground.clone(), s.light.clone()],
        frames: args.frames as usize,
        adapter: s.adapter,
    };
    pavlov_common::own::take(&args.out, "an audit of prompts", &["audit.json"])?;
    let result = audit(&options)?;
    let report = args.out.join("report.html");
    write_audit(&result, &report)?;
    pavlov_common::atomic::write(&args.out.join("audit.json"), serde_json::to_string_pretty(&result)?.as_bytes())?;
    if out.json {
        return out.object(&result);
    }
    let cell = |x: Option<f64>| x.map_or("-".into(), |x| format!("{x:.3}"));
    let mut table = Table::new(&["run", "prompt", "frames", "labelled", "EPIC", "AUROC", "episodes", "own above"]);
    for r in &result.runs {
        table.row([
            r.run.clone(),
            r.prompt.clone(),
            r.frames.to_string(),
            r.labelled.to_string(),
            cell(r.epic),
            cell(r.auroc),
            cell(r.episode_auroc),
            format!("{:.0}%", 100.0 * r.own_above),
        ]);
    }
    let mut titles = vec!["prompt by rollout, mean score"];
    titles.extend(result.runs.iter().map(|r| r.run.as_str()));
    let mut matrix = Table::new(&titles);
    for (row, r) in result.matrix.iter().zip(&result.runs) {
        matrix.row([r.prompt.clone()].into_iter().chain(row.iter().map(|x| format!("{x:.3}"))));
    }
    out.text(&format!(
        "{table}\n{matrix}\n{:.0}% of comparisons are right; model {} by {}\nreport: {}\n",
        100.0 * result.diagonal,
        result.model,
        result.runtime,
        report.display()
    ))
}

fn models(out: Out, assets: &Assets) -> Result<()> {
    let mut table = Table::new(&["name", "size", "width", "folder", "about"]);
    let mut seen = Vec::new();
    for root in assets.roots() {
        let entries = std::fs::read_dir(root.join("assets/vision")).into_iter().flatten().flatten();
        let mut folders: Vec<_> = entries.map(|e| e.path()).filter(|p| p.join("vision.toml").is_file()).collect();
        folders.sort();
        for folder in folders {
            let name = folder.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            if seen.contains(&name) {
                continue;
            }
            let m = Manifest::read(&folder)?;
            let [h, w] = m.image.size;
            if out.json {
                out.object(&json!({
                    "name": name, "folder": folder, "about": m.about, "size": [h, w], "width": m.embedding.width,
                }))?;
            }
            table.row([
                name.clone(),
                format!("{h}x{w}"),
                m.embedding.width.to_string(),
                folder.display().to_string(),
                m.about,
            ]);
            seen.push(name);
        }
    }
    let by = runtime()?.to_string();
    if out.json {
        return out.object(&json!({ "runtime": by }));
    }
    out.text(&format!("{table}ONNX files run by {by}\n"))
}

fn bench(out: Out, assets: &Assets, args: &VisionBench) -> Result<()> {
    let task = Task::load(assets, &args.task)?;
    let model = load(assets, &args.sighted)?;
    let name = model.manifest().name.clone();
    let sight = sight(&args.sighted)?;
    let states = Stage::new(task.model()).map_err(anyhow::Error::from)?.varied(256);
    let mut eyes = Eyes::new(task.model(), model, args.sighted.adapter)?;
    let (mut images, mut drawing) = (0usize, 0.0);
    let mut begin = Instant::now();
    for round in 0.. {
        if round == 1 {
            (begin, images, drawing) = (Instant::now(), 0, 0.0);
        }
        let part: Vec<&[f32]> =
            (0..args.batch as usize).map(|k| states[(images + k) % states.len()].as_slice()).collect();
        let start = Instant::now();
        let pictures = eyes.draw(&part, &sight)?;
        drawing += start.elapsed().as_secs_f64();
        images += eyes.model().images(&pictures)?.len();
        if round > 0 && begin.elapsed().as_secs_f64() > args.seconds {
            break;
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let rate = images as f64 / seconds;
    if out.json {
        return out.object(&json!({
            "bench": "vision", "task": task.name, "model": name, "images_per_s": rate, "batch": args.batch,
            "images": images,
            "seconds": seconds, "drawing_share": drawing / seconds, "runtime": runtime()?.to_string(),
        }));
    }
    out.text(&format!(
        "{}: {} pictures/s drawn and embedded ({} together; {:.0}% of the time drawing)\nmodel {name} by {}\n",
        task.name,
        number(rate),
        args.batch,
        100.0 * drawing / seconds,
        runtime()?
    ))
}
