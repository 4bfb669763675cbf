//! `tasks`, `robots`, `runs`, `devices`: tables of what there is. What cannot be read is listed with its error.

use crate::out::{Out, Table, duration, grouped, maybe, say};
use anyhow::Result;
use pavlov_env::{Assets, Task};
use serde_json::json;
use std::path::Path;

/// First line of an error, for a cell.
pub fn first_line(error: impl ToString) -> String {
    error.to_string().lines().next().unwrap_or("").to_string()
}

/// `pavlov tasks`.
pub fn tasks(out: Out, assets: &Assets) -> Result<()> {
    let mut table = Table::new(&["task", "robot", "obs", "act", "dt", "steps", "about"]);
    for entry in assets.tasks() {
        match Task::load(assets, &entry.name) {
            Ok(task) if out.json => out.object(&json!({
                "task": task.name, "robot": task.model().name, "about": task.file.about, "path": entry.path,
                "obs_dim": task.policy_obs_dim(), "critic_obs_dim": task.obs_dim() - task.policy_obs_dim(),
                "act_dim": task.act_dim(), "control_dt": task.control_dt(), "episode_steps": task.episode_steps(),
                "reward": task.default_reward(), "fitness": task.file.fitness.about, "success": task.file.success.about,
            }))?,
            Ok(task) => table.row([
                task.name.clone(),
                task.model().name.clone(),
                task.policy_obs_dim().to_string(),
                task.act_dim().to_string(),
                format!("{:.4}", task.control_dt()),
                task.episode_steps().to_string(),
                task.file.about.clone(),
            ]),
            Err(e) if out.json => {
                out.object(&json!({"task": entry.name, "path": entry.path, "error": e.to_string()}))?
            }
            Err(e) => {
                let dash = || "-".to_string();
                table.row([
                    entry.name,
                    dash(),
                    dash(),
                    dash(),
                    dash(),
                    dash(),
                    format!("cannot be used: {}", first_line(e)),
                ]);
            }
        }
    }
    finish(out, &table, "no tasks found (pavlov looks for a folder `tasks`; see --root)")
}

/// `pavlov robots`.
pub fn robots(out: Out, assets: &Assets) -> Result<()> {
    let mut table = Table::new(&["robot", "nq", "nv", "nu", "bodies", "kg", "file"]);
    for (name, path) in assets.robots() {
        match pavlov_model::load_mjcf(&path) {
            Ok(model) => {
                let d = pavlov_model::describe(&model);
                if out.json {
                    out.object(&json!({
                        "robot": name, "model": d.name, "nq": d.nq, "nv": d.nv, "nu": d.nu,
                        "bodies": d.bodies.len() - 1,
                        "total_mass": d.total_mass, "timestep": d.timestep, "path": path,
                    }))?;
                } else {
                    let [nq, nv, nu, bodies] = [d.nq, d.nv, d.nu, d.bodies.len() - 1].map(|n| n.to_string());
                    table.row([name, nq, nv, nu, bodies, format!("{:.3}", d.total_mass), path.display().to_string()]);
                }
            }
            Err(e) if out.json => out.object(&json!({"robot": name, "path": path, "error": e.to_string()}))?,
            Err(e) => {
                let dash = || "-".to_string();
                table.row([name, dash(), dash(), dash(), dash(), dash(), format!("cannot be used: {}", first_line(e))]);
            }
        }
    }
    finish(out, &table, "no robots found")
}

/// `pavlov runs`.
pub fn runs(out: Out, folder: &Path) -> Result<()> {
    let mut table = Table::new(&["run", "state", "steps", "time", "return", "fitness", "success", "reward"]);
    for run in pavlov_run::list_runs(folder) {
        if out.json {
            out.object(&run)?;
            continue;
        }
        let state = match &run.problem {
            Some(problem) => format!("{}: {}", run.state.name(), first_line(problem)),
            None => run.state.name().to_string(),
        };
        table.row([
            run.run,
            state,
            grouped(run.env_steps),
            duration(run.elapsed_s),
            maybe(run.episode_return),
            maybe(run.fitness),
            maybe(run.success),
            run.reward,
        ]);
    }
    finish(out, &table, &format!("no runs in {} (see --runs)", folder.display()))
}

/// `pavlov devices`.
pub fn devices(out: Out) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let info = pavlov_common::text::read("/proc/cpuinfo".as_ref()).unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name")).map(|l| l.trim_start_matches([' ', '\t', ':']));
    let name = name.unwrap_or(std::env::consts::ARCH);
    let simd = simd();
    let adapters = pavlov_physics::gpu::adapters();
    if out.json {
        out.object(&json!({
            "device": "cpu", "name": name, "threads": threads, "simd": simd, "backends": ["batch", "rapier"],
        }))?;
        for (i, a) in adapters.iter().enumerate() {
            out.object(&json!({
                "device": format!("gpu:{i}"), "name": a.name, "kind": a.kind, "api": a.api, "driver": a.driver,
                "max_buffer": a.max_buffer, "max_binding": a.max_binding, "timestamps": a.timestamps,
                "backends": ["batch"],
            }))?;
        }
        return Ok(());
    }
    let mut table = Table::new(&["device", "name", "what", "largest buffer", "timestamps", "backends"]);
    let description = format!("{threads} threads, {simd}");
    table.row(["cpu".into(), name.to_string(), description, "-".into(), "-".into(), "batch, rapier".into()]);
    for (i, a) in adapters.iter().enumerate() {
        table.row([
            format!("gpu:{i}"),
            a.name.clone(),
            format!("{}, {}, {}", a.kind, a.api, a.driver),
            format!("{:.1} GiB", a.max_binding.min(a.max_buffer) as f64 / f64::from(1 << 30)),
            if a.timestamps { "yes" } else { "no" }.into(),
            "batch".into(),
        ]);
    }
    if adapters.is_empty() {
        say("no GPU adapter was found; \
             a Vulkan driver brings one (on Debian `mesa-vulkan-drivers` has one in software)");
    }
    out.text(&table.to_string())
}

/// The widest vector instructions of this processor that this program was built for.
fn simd() -> &'static str {
    if cfg!(target_feature = "avx512f") {
        "AVX-512"
    } else if cfg!(target_feature = "avx2") {
        "AVX2"
    } else if cfg!(target_arch = "x86_64") {
        "SSE2"
    } else if cfg!(target_arch = "aarch64") {
        "NEON"
    } else {
        "none"
    }
}

/// The table, or that there is nothing.
pub fn finish(out: Out, table: &Table, if_empty: &str) -> Result<()> {
    match (out.json, table.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => out.line(if_empty),
        (false, false) => out.text(&table.to_string()),
    }
}
