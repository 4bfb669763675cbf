//! What a search shows while it runs: a line for each decision, and how far training is, as a bar on a terminal,
//! else now and then.

use crate::out::{Out, duration, number};
use crate::progress::{LENGTH, new_bar};
use anyhow::Result;
use indicatif::ProgressBar;
use pavlov_common::plain;
use pavlov_search::lineage::Outcome;
use pavlov_search::search::{Event, Progress};
use serde_json::json;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Time between lines where there is no bar.
const EVERY: Duration = Duration::from_secs(30);

/// Tells what happens.
pub struct Teller {
    out: Out,
    live: bool,
    /// There while something is trained.
    bar: Option<ProgressBar>,
    /// Since when the present training runs, and how far it is.
    began: Instant,
    share: f64,
    last: Instant,
}

impl Teller {
    /// Chooses how to show.
    pub fn new(out: Out) -> Self {
        let live = !out.json && std::io::stderr().is_terminal();
        Self { out, live, bar: None, began: Instant::now(), share: 1.0, last: Instant::now() }
    }

    /// Shows an event.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn tell(&mut self, event: &Event<'_>) -> Result<()> {
        let Event::Training(p) = event else {
            self.clear();
            return write_event(self.out, event);
        };
        if p.share < self.share {
            (self.began, self.last) = (Instant::now(), Instant::now());
        }
        self.share = p.share;
        if self.live {
            let left = self.began.elapsed().as_secs_f64() * (1.0 - p.share) / p.share.max(1e-9);
            let bar = self.bar.get_or_insert_with(new_bar);
            bar.set_position((p.share * LENGTH as f64) as u64);
            bar.set_message(format!("{:3.0}% of {}  eta {}", 100.0 * p.share, stage_text(p), duration(left)));
        } else if self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            return write_event(self.out, event);
        }
        Ok(())
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What is trained, in words.
fn stage_text(p: &Progress) -> String {
    let stage = match p.stage {
        "again" => "training finalists again",
        "final" => "the last training",
        "sparse" => "the floor of the score, on the task's fitness itself",
        _ => "training",
    };
    let many = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    format!("{stage} ({}, {})", many(p.candidates, "reward"), many(p.seeds, "seed"))
}

/// What was trained in the end.
fn trained(o: &Outcome) -> String {
    let reward = if o.stage == "sparse" { "the fitness itself" } else { "human" };
    o.at.map_or_else(|| reward.into(), |at| at.to_string())
}

/// A line, or an object, for what happens.
fn write_event(out: Out, event: &Event<'_>) -> Result<()> {
    if out.json {
        return out.object(&match event {
            Event::Judged(c) => {
                let parents: Vec<String> = c.parents.iter().map(ToString::to_string).collect();
                json!({
                    "event": "candidate", "at": c.at.to_string(), "operator": c.operator, "status": c.status,
                    "parents": parents, "errors": c.verdict.errors,
                })
            }
            Event::Trained(c, fitness) => {
                json!({"event": "trained", "at": c.at.to_string(), "status": c.status, "fitness": fitness})
            }
            Event::Answered(a) => json!({
                "event": "answer", "iteration": a.iteration, "best": a.best, "worst": a.worst, "text": a.text,
            }),
            Event::Final(o) => {
                let name = trained(o);
                json!({"event": "final", "of": name, "seed": o.seed, "fitness": o.fitness})
            }
            Event::Note(text) => json!({"event": "note", "text": text}),
            Event::Training(p) => json!({
                "event": "training", "stage": p.stage, "candidates": p.candidates, "seeds": p.seeds, "share": p.share,
            }),
        });
    }
    match event {
        Event::Judged(c) => {
            let why = c.verdict.errors.first().map_or(String::new(), |e| format!(": {}", plain(&e.to_string())));
            let detail = if c.detail.is_empty() { String::new() } else { format!(" ({})", plain(&c.detail)) };
            out.line(&format!("{} {}{detail} {}{why}", c.at, c.operator, c.status.name()))
        }
        Event::Trained(c, fitness) => {
            let fitness = fitness.map_or(String::new(), |f| format!(" fitness {}", number(f)));
            out.line(&format!("{} {}{fitness}", c.at, c.status.name()))
        }
        Event::Answered(a) => {
            let place = |p: Option<u32>| p.map_or("-".into(), |p| p.to_string());
            out.line(&format!(
                "iteration {}: best {}, worst {} {}",
                a.iteration,
                place(a.best),
                place(a.worst),
                plain(&a.text)
            ))
        }
        Event::Final(o) => {
            let name = trained(o);
            out.line(&format!("last training, seed {}: {name} fitness {}", o.seed, number(o.fitness)))
        }
        Event::Note(text) => out.line(&plain(text)),
        Event::Training(p) => out.line(&format!("{:3.0}% of {}", 100.0 * p.share, stage_text(p))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_what_is_trained() {
        let p = Progress { stage: "search", candidates: 8, seeds: 1, share: 0.5 };
        assert_eq!(stage_text(&p), "training (8 rewards, 1 seed)");
        assert_eq!(stage_text(&Progress { stage: "again", ..p }), "training finalists again (8 rewards, 1 seed)");
    }
}
