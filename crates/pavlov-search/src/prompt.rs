//! The prompt pack: texts with places to fill, the card of an environment, and examples.
//!
//! The texts are files (`assets/prompts`, or a folder of the user's); the program brings a copy for where there are
//! none. The card is made from the task's scene, the names from the one table, the examples are rewards of the tasks
//! most like this one.

use crate::error::SearchError;
use crate::lineage::{Outcome, Verdict};
use pavlov_env::{Assets, Task};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Rewards shown as examples.
const EXAMPLES: usize = 2;

/// Texts by name, as shipped.
const SHIPPED: [(&str, &str); 5] = [
    ("system", include_str!("../../../assets/prompts/system.md")),
    ("task", include_str!("../../../assets/prompts/task.md")),
    ("reflect", include_str!("../../../assets/prompts/reflect.md")),
    ("repair", include_str!("../../../assets/prompts/repair.md")),
    ("choose", include_str!("../../../assets/prompts/choose.md")),
];

/// The texts.
#[derive(Debug, Clone)]
pub struct Prompts {
    texts: Vec<(String, String)>,
}

impl Prompts {
    /// From this folder, else from `assets/prompts` of the roots, else as shipped; text by text.
    ///
    /// # Errors
    /// When a file that is there cannot be read, or the folder given is not there.
    pub fn load(assets: &Assets, folder: Option<&Path>) -> Result<Self, SearchError> {
        if let Some(folder) = folder.filter(|f| !f.is_dir()) {
            return Err(SearchError::Usage(format!("--prompts {}: there is no such folder", folder.display())));
        }
        let roots = assets.roots().iter().map(|r| r.join("assets/prompts"));
        let folders: Vec<PathBuf> = folder.map(Path::to_path_buf).into_iter().chain(roots).collect();
        let text = |(name, own): &(&str, &str)| {
            let file = folders.iter().map(|f| f.join(format!("{name}.md"))).find(|p| p.is_file());
            let text = match file {
                Some(path) => pavlov_common::text::read(&path).map_err(|e| SearchError::file("read", &path, e))?,
                None => (*own).to_string(),
            };
            Ok(((*name).to_string(), text))
        };
        Ok(Self { texts: SHIPPED.iter().map(text).collect::<Result<_, SearchError>>()? })
    }

    /// A text with its places filled.
    pub fn fill(&self, name: &str, values: &[(&str, &str)]) -> String {
        let text = self.texts.iter().find(|(n, _)| n == name).map_or("", |(_, t)| t);
        // One pass, so that what is filled in is not filled again.
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            out += before;
            let Some((key, behind)) = after.split_once("}}") else {
                out += "{{";
                rest = after;
                continue;
            };
            match values.iter().find(|(k, _)| *k == key.trim()) {
                Some((_, value)) => out += value,
                None => out += &format!("{{{{{key}}}}}"),
            }
            rest = behind;
        }
        out += rest;
        while out.contains("\n\n\n") {
            out = out.replace("\n\n\n", "\n\n");
        }
        out.trim_end().to_string() + "\n"
    }
}

fn list(out: &mut String, title: &str, items: impl IntoIterator<Item = String>) {
    let items: Vec<String> = items.into_iter().filter(|i| !i.is_empty()).collect();
    if !items.is_empty() {
        let _ = writeln!(out, "- {title}: {}", items.join(", "));
    }
}

/// The card: bodies, joints, sensors, what there is of the task, with units. `measured` adds the task's own script, with
/// what it measures as fitness.
pub fn card(task: &Task, measured: bool) -> String {
    let scene = task.scene();
    let mut out = String::new();
    let quoted = |names: &[String]| names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>();
    list(&mut out, "bodies, for `s.body(name)`", quoted(&scene.bodies));
    list(
        &mut out,
        "joints, for `s.joint(name)`, in the order of `s.joints` (hinges in rad, slides in m)",
        scene.joints.iter().filter(|j| j.scalar).map(|j| match j.range {
            Some([a, b]) => format!("`{}` from {a:.3} to {b:.3}", j.name),
            None => format!("`{}`", j.name),
        }),
    );
    list(&mut out, "actuators", quoted(&scene.actuators));
    list(&mut out, "feet, for `s.foot(name)`, in the order of `s.feet`", quoted(&scene.feet));
    list(&mut out, "sites", quoted(&scene.sites));
    list(&mut out, "sensors", scene.sensors.iter().map(|s| format!("`{}` ({} numbers)", s.name, s.dim)));
    list(&mut out, "commands, for `s.command.name`", quoted(&scene.commands));
    let _ = writeln!(
        out,
        "- `s.qpos` has {} numbers, `s.qvel` {}, `s.action` and `s.prev_action` {}",
        scene.nq, scene.nv, scene.action_dim
    );
    let _ = writeln!(out, "- a control step is {:.4} s, an episode {} steps at most", scene.dt, task.episode_steps());
    let script = pavlov_common::text::read(&task.path.with_extension("rhai")).unwrap_or_default();
    if measured && !script.trim().is_empty() {
        let _ = write!(
            out,
            "\nWhat the task measures (it cannot be called from a reward):\n\n```rhai\n{}\n```\n",
            script.trim()
        );
    }
    out
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 2).map(str::to_lowercase).collect()
}

/// How much two tasks are alike: shared words of their texts and names of their bodies and joints.
fn alike(a: &Task, b: &Task) -> f64 {
    let names = |t: &Task| {
        let scene = t.scene();
        let joints = scene.joints.iter().map(|j| j.name.clone());
        let mut all = words(&format!("{} {}", t.name, t.about()));
        all.extend(scene.bodies.iter().chain(&scene.feet).chain(&scene.commands).cloned().chain(joints));
        all
    };
    let (a, b) = (names(a), names(b));
    a.intersection(&b).count() as f64 / a.union(&b).count().max(1) as f64
}

/// Rewards of the tasks most like this one; never of the task itself.
pub fn examples(assets: &Assets, task: &Task) -> String {
    let mut found: Vec<(f64, String, String)> = Vec::new();
    for entry in assets.rewards().into_iter().filter(|r| r.task != task.name && r.name.ends_with("/default")) {
        let Ok(other) = Task::load(assets, &entry.task) else { continue };
        // A reward of the same robot, perhaps of the same task under another name, would give too much away.
        if other.scene().bodies == task.scene().bodies {
            continue;
        }
        let read = |file: &str| pavlov_common::text::read(&entry.path.join(file)).unwrap_or_default();
        let text = format!(
            "Task {}: {}\n\n```rhai\n{}\n```\n\n```toml\n{}\n```\n",
            other.name,
            other.about(),
            read("reward.rhai").trim(),
            read("reward.toml").trim()
        );
        found.push((alike(task, &other), entry.name, text));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    found.into_iter().take(EXAMPLES).map(|(_, _, t)| t).collect::<Vec<_>>().join("\n")
}

fn short(x: f64) -> String {
    if x == 0.0 || (0.01..10_000.0).contains(&x.abs()) { format!("{x:.3}") } else { format!("{x:.2e}") }
}

/// Statistics of training at the points of its curve, a line each. Fitness and success are left out where a person judges.
pub fn statistics(outcome: &Outcome, with_fitness: bool) -> String {
    let mut out = String::new();
    let mut line = |name: &str, values: Vec<Option<f64>>| {
        let known: Vec<f64> = values.iter().flatten().copied().collect();
        if known.is_empty() {
            return;
        }
        let all: Vec<String> = values.iter().map(|v| v.map_or("-".into(), short)).collect();
        let (low, high) = known.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
        let _ = writeln!(out, "{name}: {}; from {} to {}", all.join(", "), short(low), short(high));
    };
    let curve = &outcome.curve;
    let names: Vec<String> =
        curve.last().map(|p| p.terms.0.iter().map(|(n, _)| n.clone()).collect()).unwrap_or_default();
    for name in &names {
        line(&format!("term {name}"), curve.iter().map(|p| p.terms.get(name).map(|t| t[0])).collect());
    }
    if with_fitness {
        line("fitness", curve.iter().map(|p| p.fitness).collect());
        line("success", curve.iter().map(|p| p.success).collect());
    }
    line("episode length", curve.iter().map(|p| p.length).collect());
    out
}

/// What the gate says, for the model: the findings and nothing else.
pub fn errors(verdict: &Verdict) -> String {
    verdict.errors.iter().map(|e| format!("- {e}\n")).collect()
}

/// A reward as it stands in a reply.
pub fn reward(script: &str, manifest: &str) -> String {
    let toml =
        if manifest.trim().is_empty() { String::new() } else { format!("\n```toml\n{}\n```\n", manifest.trim()) };
    format!("```rhai\n{}\n```\n{toml}", script.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_and_examples_are_of_the_right_tasks() {
        let assets = Assets::find(None);
        let task = Task::load(&assets, "ant_run").unwrap();
        let blind = card(&task, false);
        let card = card(&task, true);
        assert!(card.contains("`torso`") && card.contains("fn fitness") && card.contains("0.05"), "{card}");
        assert!(blind.contains("`torso`") && !blind.contains("fitness") && !blind.contains("success"), "{blind}");
        let examples = examples(&assets, &task);
        assert_eq!(examples.matches("```rhai").count(), 2);
        assert!(!examples.contains("ant"), "{examples}");
    }

    #[test]
    fn places_are_filled_once_and_a_folder_of_ones_own_counts() {
        let assets = Assets::find(None);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("repair.md"), "No: {{errors}} {{other}} {{").unwrap();
        let prompts = Prompts::load(&assets, Some(dir.path())).unwrap();
        assert_eq!(prompts.fill("repair", &[("errors", "{{errors}}")]), "No: {{errors}} {{other}} {{\n");
        assert!(prompts.fill("system", &[]).contains("```rhai"));
        assert!(Prompts::load(&assets, Some(Path::new("/no"))).is_err());
    }
}
