//! What training shows while it runs: a live bar with the reward's terms on a terminal, else a plain line now and then.

use crate::out::{Out, duration, grouped, maybe, number, say};
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pavlov_run::{Trainer, Update};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Time between plain lines.
const EVERY: Duration = Duration::from_secs(1);
/// Steps of the bar.
pub const LENGTH: u64 = 1000;
/// Characters of a term's bar to either side.
const HALF: usize = 12;

/// A bar of [`LENGTH`] steps on standard error, with a message beside it.
pub fn new_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(LENGTH), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:32.cyan/dim} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─"));
    bar
}

/// Shows updates as they come.
pub struct Progress {
    out: Out,
    bar: Option<ProgressBar>,
    last: Option<Instant>,
    began: Instant,
    /// Share of the run that was done before this process began.
    before: Option<f64>,
    /// The last line that was held back.
    pending: Option<String>,
}

impl Progress {
    /// Chooses how to show.
    pub fn new(out: Out) -> Self {
        let live = !out.json && std::io::stderr().is_terminal();
        let bar = live.then(new_bar);
        Self { out, bar, last: None, began: Instant::now(), before: None, pending: None }
    }

    /// Shows an update.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn update(&mut self, trainer: &Trainer, update: &Update) -> Result<()> {
        for warning in &update.warnings {
            let text = format!("warning: {warning}");
            match &self.bar {
                Some(bar) => bar.suspend(|| say(&text)),
                None => say(&text),
            }
        }
        if self.out.json {
            let mut line = serde_json::to_value(&update.metrics)?;
            if let Some(object) = line.as_object_mut() {
                object.shift_insert(0, "event".into(), "update".into());
            }
            return self.out.object(&line);
        }
        let share = trainer.progress();
        // The first update's share stands for what was done before: it is small beside what is left.
        let before = *self.before.get_or_insert(share);
        let eta = self.began.elapsed().as_secs_f64() * (1.0 - share) / (share - before).max(1e-9);
        let eta = if share > before { duration(eta) } else { "-".into() };
        match &self.bar {
            Some(bar) => {
                bar.set_position((share * LENGTH as f64) as u64);
                bar.set_message(format!("{:3.0}%  eta {eta}\n{}", 100.0 * share, live(update)));
            }
            None => {
                let text = plain(share, &eta, update);
                if self.last.is_none_or(|l| l.elapsed() >= EVERY) {
                    self.pending = None;
                    self.last = Some(Instant::now());
                    return self.out.line(&text);
                }
                self.pending = Some(text);
            }
        }
        Ok(())
    }

    /// Leaves the last state on the screen.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn finish(&mut self) -> Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
        match self.pending.take() {
            Some(text) => self.out.line(&text),
            None => Ok(()),
        }
    }
}

fn plain(share: f64, eta: &str, update: &Update) -> String {
    let m = &update.metrics;
    let terms: Vec<String> =
        m.terms.0.iter().map(|(name, x)| format!("{name} {}", signed(x.unwrap_or(f64::NAN)))).collect();
    format!(
        "update {:>5}  {:3.0}%  eta {eta}  {} steps  {}/s  return {}  fitness {}  success {} | {}",
        m.update,
        100.0 * share,
        grouped(m.env_steps),
        number(m.timing.env_steps_per_s),
        maybe(m.ended.episode_return),
        maybe(m.recent_fitness),
        maybe(m.success),
        terms.join("  ")
    )
}

fn signed(x: f64) -> String {
    if x >= 0.0 { format!("+{}", number(x)) } else { number(x) }
}

/// The lines under the bar.
fn live(update: &Update) -> String {
    let m = &update.metrics;
    let mut text = format!(
        "update {}  {} steps  {} steps/s\nreturn {}  fitness {}  success {}  length {}  kl {}",
        m.update,
        grouped(m.env_steps),
        number(m.timing.env_steps_per_s),
        maybe(m.ended.episode_return),
        maybe(m.recent_fitness),
        maybe(m.success),
        maybe(m.ended.episode_length),
        number(m.learner.kl),
    );
    let width = m.terms.0.iter().map(|(n, _)| n.chars().count()).max().unwrap_or(0);
    let largest = m.terms.0.iter().filter_map(|(_, x)| *x).fold(0.0f64, |a, x| a.max(x.abs()));
    for (name, value) in &m.terms.0 {
        let x = value.unwrap_or(f64::NAN);
        let share = update.terms.terms.get(name).map_or(0.0, |t| t.share);
        let percent = 100.0 * share;
        text += &format!("\n  {name:width$}  {:>9}  {}  {percent:3.0}%", signed(x), bar(x, largest));
    }
    text
}

/// A bar to the right of the middle for positive values, to the left for negative ones.
fn bar(value: f64, largest: f64) -> String {
    let share = if largest > 0.0 && value.is_finite() { value / largest } else { 0.0 };
    let eighths = (share.abs() * (HALF * 8) as f64).round() as usize;
    let (full, rest) = (eighths / 8, eighths % 8);
    if share < 0.0 {
        // There are no right-aligned eighths, but a right half block.
        let half = usize::from(rest >= 4 && full < HALF);
        let blocks = format!("{}{}", if half == 1 { "▐" } else { "" }, "█".repeat(full));
        format!("{}{blocks}│{}", " ".repeat(HALF - full - half), " ".repeat(HALF))
    } else {
        let tip = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][rest];
        let used = full + usize::from(rest > 0);
        format!("{}│{}{tip}{}", " ".repeat(HALF), "█".repeat(full), " ".repeat(HALF - used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_one_width_and_a_sign() {
        for value in [-1.0, -0.99, -0.3, 0.0, 0.001, 0.5, 1.0, f64::NAN] {
            assert_eq!(bar(value, 1.0).chars().count(), 2 * HALF + 1, "{value}");
        }
        assert!(bar(1.0, 1.0).ends_with('█') && bar(-1.0, 1.0).starts_with('█'));
        assert_eq!(bar(0.5, 0.0).trim(), "│");
    }

    #[test]
    fn a_plain_line_has_the_terms() {
        let mut update = Update::default();
        update.metrics.terms = pavlov_run::Named(vec![("upright".into(), Some(0.5)), ("effort".into(), Some(-0.25))]);
        let line = plain(0.5, "1:00", &update);
        assert!(line.contains("upright +0.5000  effort -0.2500") && line.contains("50%"), "{line}");
        assert!(live(&update).lines().count() == 4);
    }
}
