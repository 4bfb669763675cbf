//! Searches for rewards, as their lineages tell: a list, the graph of candidates, and everything that is known of one; a candidate
//! can be opened in the reward editor, where it runs.
//!
//! ```text
//! runs/search-*/lineage.sqlite ──(own thread, each second)──> Searches: list ─> graph ─> a candidate: result, script, difference, prompt
//!                                                             "Open in the editor" ─> Editor::bring, an edit that can be undone
//! ```
//! Nothing here writes to a search folder.

mod details;
mod graph;
mod list;
mod watch;

use crate::runs::text::number;
use crate::theme::{self, Theme};
use details::Details;
use egui::{Context, RichText, Ui};
use pavlov_search::lineage::{At, Status};
use pavlov_search::{Snapshot, search};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use watch::{Entry, News, Watch};

/// A candidate that is to be edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCandidate {
    /// Task of the search.
    pub task: String,
    /// The human reward of the search: what the candidate is an edit of when another task is open.
    pub reward: String,
    /// Names it for the person.
    pub what: String,
    /// Its script.
    pub script: String,
    /// Its manifest.
    pub manifest: String,
}

/// The searches of a folder.
#[derive(Debug)]
pub struct Searches {
    folder: PathBuf,
    watch: Watch,
    list: Vec<Entry>,
    listed: bool,
    /// Why nothing can be listed.
    problem: Option<String>,
    /// Folders opened by hand, which are not in the folder of runs.
    others: Vec<PathBuf>,
    /// Text of the field that opens them.
    other: String,
    selected: Option<PathBuf>,
    shown: Option<Result<Arc<Snapshot>, String>>,
    candidate: Option<At>,
    /// The graph is to have the keyboard.
    focus: bool,
    /// The selected candidate is to be seen.
    follow: bool,
    details: Details,
}

impl Searches {
    /// Of the folder of runs, where `pavlov search` puts them; it need not exist.
    pub fn new(runs_dir: &Path) -> Self {
        Self {
            folder: runs_dir.to_path_buf(),
            watch: Watch::new(runs_dir),
            list: Vec::new(),
            listed: false,
            problem: None,
            others: Vec::new(),
            other: String::new(),
            selected: None,
            shown: None,
            candidate: None,
            focus: false,
            follow: false,
            details: Details::default(),
        }
    }

    /// Takes what was read meanwhile and asks for more. Call once a frame while the panel is shown.
    pub fn poll(&mut self, ctx: &Context) {
        let Some(news) = self.watch.poll(ctx, &self.others, self.selected.as_deref()) else { return };
        let News { list, shown } = match news {
            Ok(news) => news,
            Err(problem) => return self.problem = Some(problem),
        };
        (self.list, self.listed, self.problem) = (list, true, None);
        if let Some((path, found)) = shown
            && self.selected.as_ref() == Some(&path)
        {
            self.shown = Some(found);
            let known = |at: At| self.snapshot().is_some_and(|s| s.candidate(at).is_some());
            if !self.candidate.is_some_and(known) {
                self.candidate = self.snapshot().and_then(first);
                self.follow = true;
            }
        }
        // What was written last is what one wants to see first.
        if self.selected.is_none()
            && let Some(newest) = self.list.first()
        {
            let path = newest.path.clone();
            self.select(&path);
        }
    }

    /// Has the folder been read at least once?
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// Is there nothing to show, not even a search that cannot be read?
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Folders of the searches, the one that was written last first.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.list.iter().map(|e| e.path.as_path())
    }

    /// Selects a search, as a click does.
    pub fn select(&mut self, search: &Path) {
        if self.selected.as_deref() != Some(search) {
            self.selected = Some(search.to_path_buf());
            (self.shown, self.candidate) = (None, None);
            self.details = Details::default();
        }
        self.focus();
    }

    /// Opens a search folder that is elsewhere.
    pub fn open_folder(&mut self, search: &Path) {
        if !self.list.iter().any(|e| e.path == search) && !self.others.iter().any(|p| p == search) {
            self.others.push(search.to_path_buf());
        }
        self.select(search);
    }

    /// The keyboard goes to the graph.
    pub fn focus(&mut self) {
        self.focus = true;
        self.follow = true;
    }

    /// The search that is shown, as it was last read.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.shown.as_ref()?.as_ref().ok().map(Arc::as_ref)
    }

    /// The candidate that is selected.
    pub fn candidate(&self) -> Option<At> {
        self.candidate
    }

    /// Selects a candidate, as a click does.
    pub fn select_candidate(&mut self, at: At) {
        self.candidate = Some(at);
        self.follow = true;
        self.details.parent = 0;
    }

    /// The selected candidate for the editor.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub fn to_open(&self) -> Result<OpenCandidate, String> {
        let snapshot = self.snapshot().ok_or("No search is shown.")?;
        let c = self.candidate.and_then(|at| snapshot.candidate(at)).ok_or("No candidate is selected.")?;
        if c.script.trim().is_empty() {
            return Err(format!("Candidate {} has no script: the reply had none.", c.at));
        }
        // The gate refuses what would read files; a lineage from elsewhere may say what it likes.
        search::trusted(&c.manifest).map_err(|e| format!("Candidate {} is not opened. {e}", c.at))?;
        let name = self.selected.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        Ok(OpenCandidate {
            task: snapshot.settings.task.clone(),
            reward: snapshot.settings.human.clone(),
            what: format!("Candidate {} of {name}", c.at),
            script: c.script.clone(),
            manifest: c.manifest.clone(),
        })
    }

    /// Draws what the search was asked for and has found, and the graph. `poll` before.
    pub fn graph_ui(&mut self, ui: &mut Ui, theme: Theme) {
        let snapshot = match &self.shown {
            None => {
                ui.horizontal(|ui| {
                    ui.spinner();
                    ui.label("Reading the lineage ...");
                });
                return;
            }
            Some(Err(problem)) => return damaged(ui, theme, problem),
            Some(Ok(snapshot)) => snapshot.clone(),
        };
        head(ui, theme, &snapshot);
        if snapshot.candidates.is_empty() {
            ui.add_space(12.0);
            ui.label("No candidate yet: the first ones are being written. They appear here by themselves.");
            return;
        }
        graph::legend(ui, &snapshot);
        ui.separator();
        let (follow, focus) = (std::mem::take(&mut self.follow), std::mem::take(&mut self.focus));
        if let Some(at) = graph::ui(ui, theme, &snapshot, self.candidate, follow, focus) {
            self.select_candidate(at);
        }
    }

    /// Draws what is known of the selected candidate. Gives it when it is to be opened in the editor.
    pub fn details_ui(&mut self, ui: &mut Ui, theme: Theme) -> Option<OpenCandidate> {
        let Some(Ok(snapshot)) = &self.shown else {
            ui.weak("Select a search to see its candidates.");
            return None;
        };
        let snapshot = snapshot.clone();
        let Some(c) = self.candidate.and_then(|at| snapshot.candidate(at)) else {
            ui.weak("Select a candidate to see where it comes from and what came of it.");
            return None;
        };
        let can_open = self.to_open();
        let folder = self.selected.clone().unwrap_or_default();
        match self.details.ui(ui, theme, &snapshot, c, &folder, can_open.as_ref().err())? {
            details::Asked::Candidate(at) => {
                self.select_candidate(at);
                None
            }
            details::Asked::Open => can_open.ok(),
        }
    }
}

/// The candidate that is shown first: the winner, else the fittest, else the first.
fn first(snapshot: &Snapshot) -> Option<At> {
    let fittest = || snapshot.ranked().first().map(|(_, c)| c.at);
    snapshot.winner().or_else(fittest).or_else(|| snapshot.candidates.first().map(|c| c.at))
}

/// What was asked for, and how far it is.
fn head(ui: &mut Ui, theme: Theme, s: &Snapshot) {
    let set = &s.settings;
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(format!("Search for a reward: {}", set.task)).strong());
        ui.weak(format!(
            "{}, {} generator, {} iterations of {}, {} steps each, seed {}",
            set.mode.name(),
            set.generator.name(),
            set.rounds(),
            set.places(0),
            crate::runs::short_axis(set.steps as f64),
            set.seed
        ));
    });
    let [proposed, admitted, trained] = s.counts();
    let done = format!("{proposed} proposed, {admitted} admitted, {trained} trained");
    match &s.end {
        Some(e) => {
            let interval = |i: &pavlov_search::stats::Interval| {
                format!("{} ({} to {})", number(Some(i.iqm)), number(Some(i.low)), number(Some(i.high)))
            };
            let words = match e.winner {
                Some(at) => format!(
                    "Ended. {done}. Winner {at}: fitness {} under {} fresh seeds; human reward {}; human-normalised {:.2}{}",
                    interval(&e.found),
                    e.found.n,
                    interval(&e.human),
                    e.human_normalised,
                    if e.guarded { " (denominator guarded)" } else { "" },
                ),
                None => format!("Ended. {done}. No candidate could be trained."),
            };
            let colour = if e.at_least_human { theme::good(theme) } else { ui.visuals().text_color() };
            ui.colored_label(colour, words);
        }
        None => {
            let best = s
                .ranked()
                .first()
                .map_or(String::new(), |(f, c)| format!("; fittest so far {}: {}", c.at, number(Some(*f))));
            let iteration = s.candidates.last().map_or(0, |c| c.at.iteration.saturating_add(1));
            ui.label(format!("Iteration {iteration} of {}. {done}{best}", set.rounds()));
        }
    }
}

/// What cannot be read, and what to do.
fn damaged(ui: &mut Ui, theme: Theme, problem: &str) {
    ui.heading("This search cannot be read");
    ui.colored_label(theme::error(theme), problem);
    ui.add_space(6.0);
    ui.label(
        "What to do: if the search is just beginning, wait. If it was copied, copy lineage.sqlite and lineage.sqlite-wal together, \
         while no search runs. Else move the folder away and search again; report.html beside it, where there is one, still says what was found.",
    );
}

fn status_colour(ui: &Ui, theme: Theme, status: Status) -> egui::Color32 {
    match status {
        Status::Refused => theme::error(theme),
        Status::Failed => theme::warning(theme),
        Status::Trained => theme::good(theme),
        Status::Admitted | Status::Halved => ui.visuals().text_color(),
    }
}
