//! What the admission gate says of a reward before it is trained: the same judgement as `pavlov check`, on a thread of
//! its own. What it refuses is shown and not trained; what it warns of stands beside the curves.

use crate::app::Studio;
use crate::runs::job::Job;
use egui::{Align2, Button, Context, RichText, Ui, Window};
use pavlov_common::{plain, plain_lines};
use pavlov_search::{AuditSet, GateFinding, GateReport, gate, other_rewards};

/// The reward that is to be trained, at the gate.
#[derive(Default)]
pub(super) enum Admission {
    /// None is.
    #[default]
    None,
    /// It is looked at.
    Asked(Job<GateReport>),
    /// It is refused.
    Refused(Vec<GateFinding>),
}

impl Studio {
    /// Asks the gate about the reward that is open, as it is on the disk.
    pub(super) fn ask_gate(&mut self, ctx: &Context) {
        let Some(session) = &self.session else { return };
        let (assets, task) = (self.options.assets.clone(), session.task.clone());
        let reward = self.reward_to_train();
        let threads = self.train.settings.threads.max(1);
        let judge = move || {
            let words = |e: &dyn std::fmt::Display| e.to_string();
            let pool = pavlov_run::thread_pool(threads).map_err(|e| words(&e))?;
            let (path, name) = pavlov_run::find_reward(&assets, &task, Some(&reward)).map_err(|e| words(&e))?;
            let loaded = pavlov_reward::Reward::load(&path, &name, task.scene()).map_err(|e| words(&e))?;
            let audit = AuditSet::load(&assets, &task).and_then(|set| set.play(&task, &pool)).map_err(|e| words(&e))?;
            let others = other_rewards(&assets, &task, &path);
            gate(&loaded, &task, &audit, &others.iter().collect::<Vec<_>>(), &pool).map_err(|e| words(&e))
        };
        self.notes.push("the gate is asked".into());
        self.admission = Admission::Asked(Job::start(ctx, "gate", judge));
    }

    /// The reward of the editor by name or path.
    pub(super) fn reward_to_train(&self) -> String {
        let own = self.session.as_ref().map_or("default", |s| s.task.default_reward());
        self.remembered.reward.clone().unwrap_or_else(|| own.to_string())
    }

    /// Takes the gate's answer: trains, or keeps what it refuses to be shown.
    pub(super) fn poll_gate(&mut self) {
        let Admission::Asked(job) = &self.admission else { return };
        let Some(answer) = job.take() else { return };
        self.admission = Admission::None;
        match answer {
            Err(why) => self.dialogs.say(format!("The gate cannot judge the reward: {}", plain_lines(&why))),
            Ok(report) if report.ok => {
                self.train_now();
                self.train.warn(report.findings.iter().map(text));
            }
            Ok(mut report) => {
                self.notes.push("the gate refuses the reward".into());
                let script = self.session.as_ref().map_or("", |s| s.editor.script());
                // What is said of a term is shown where the script gives it.
                for f in report.findings.iter_mut().filter(|f| f.line == 0 && !f.term.is_empty()) {
                    (f.line, f.column) = place_of(script, &f.term).unwrap_or_default();
                }
                self.admission = Admission::Refused(report.findings);
            }
        }
    }

    /// Is the gate looking at a reward?
    pub(super) fn is_at_gate(&self) -> bool {
        matches!(self.admission, Admission::Asked(_))
    }

    pub(super) fn refused_ui(&mut self, ctx: &Context) {
        let Admission::Refused(findings) = &self.admission else { return };
        let (mut line, mut close) = (None, false);
        let shown = |ui: &mut Ui| {
            ui.set_max_width(600.0);
            let errors = findings.iter().filter(|f| f.severity == "error").count();
            let plural = if errors == 1 { "" } else { "s" };
            ui.label(format!("The gate finds {errors} error{plural}: nothing is trained."));
            egui::ScrollArea::vertical().max_height(320.0).show(ui, |ui| {
                for finding in findings {
                    let colour = match finding.severity {
                        "error" => crate::theme::error(self.remembered.theme),
                        _ => crate::theme::warning(self.remembered.theme),
                    };
                    let words = RichText::new(text(finding)).color(colour);
                    if ui.add(Button::new(words).frame_when_inactive(false).wrap()).clicked() && finding.line > 0 {
                        line = Some((finding.line, finding.column));
                    }
                }
            });
            ui.weak(
                "`pavlov check` says the same, with the audit; `pavlov check --explain RULE` says why a rule is there.",
            );
            close = ui.button("Back to the script").clicked() || ui.input(|i| i.key_pressed(egui::Key::Escape));
        };
        Window::new("The reward is refused")
            .anchor(Align2::CENTER_CENTER, [0.0, 0.0])
            .collapsible(false)
            .show(ctx, shown);
        if let (Some((line, column)), Some(session)) = (line, &mut self.session) {
            session.editor.go_to_line(line, column);
        }
        if close || line.is_some() {
            self.admission = Admission::None;
        }
    }
}

/// Line and column where a script gives a term, `name: ...` or `"name": ...`, from 1.
fn place_of(script: &str, term: &str) -> Option<(usize, usize)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let gives = |line: &str, at: usize| {
        let (before, after) = (&line[..at], &line[at + term.len()..]);
        let after = after.strip_prefix('"').unwrap_or(after).trim_start();
        !before.ends_with(is_word) && after.starts_with(':') && !after.starts_with("::") && !before.contains("//")
    };
    script.lines().enumerate().find_map(|(i, line)| {
        let at = line.match_indices(term).map(|(at, _)| at).find(|&at| gives(line, at))?;
        Some((i + 1, line[..at].chars().count() + 1))
    })
}

/// A finding with its line and what to do, in one piece.
fn text(f: &GateFinding) -> String {
    let place = if f.line > 0 { format!("line {}: ", f.line) } else { String::new() };
    let hint = if f.hint.is_empty() { String::new() } else { format!(" ({})", plain(&f.hint)) };
    format!("{place}{}[{}]: {}{hint}", f.severity, plain(&f.rule), plain(&f.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_found_where_the_script_gives_it() {
        let script = "// same: no\nfn reward(s, p) {\n    let same = same::x;\n    #{ not_same: 1.0, same : 2.0,\n \
                      \"ä b\": 3.0 }\n}";
        assert_eq!(place_of(script, "same"), Some((4, 23)));
        assert_eq!(place_of(script, "not_same"), Some((4, 8)));
        assert_eq!(place_of(script, "ä b"), Some((5, 3)));
        assert_eq!(place_of(script, "other"), None);
    }
}
