//! Searches for rewards, from their lineages: a list, the graph of candidates, and everything that is known about one;
//! a candidate can be opened in the reward editor, where it runs.
//!
//! ```text
//! runs/search-*/lineage.sqlite ──(own thread, each second)──> Searches: list ─> graph ─> a candidate
//!                                        "Open in the editor" ─> Editor::bring, an edit that can be undone
//! ```
//! Nothing here writes to a search folder.

mod details;
mod graph;
mod head;
mod list;
mod watch;

use crate::theme::{self, Theme};
use details::Details;
use egui::{Context, Ui};
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
    pub title: String,
    /// Proposal for a name of its own.
    pub name: String,
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
    /// The searches of the folder of runs, where `pavlov search` puts them; it need not exist.
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
        // The search that was written last comes first.
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
        // The gate refuses scripts that read files; a lineage from elsewhere may hold any.
        search::trusted(&c.manifest).map_err(|e| format!("Candidate {} is not opened. {e}", c.at))?;
        let name = self.selected.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        Ok(OpenCandidate {
            task: snapshot.settings.task.clone(),
            reward: snapshot.settings.human.clone(),
            title: format!("Candidate {} of {name}", c.at),
            name: format!("{name}-{}", c.at),
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
            Some(Err(problem)) => return head::damaged(ui, theme, problem),
            Some(Ok(snapshot)) => snapshot.clone(),
        };
        head::ui(ui, theme, &snapshot);
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

    /// Draws what is known of the selected candidate. Returns it when it is to be opened in the editor.
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

fn status_colour(ui: &Ui, theme: Theme, status: Status) -> egui::Color32 {
    match status {
        Status::Refused => theme::error(theme),
        Status::Failed => theme::warning(theme),
        Status::Trained => theme::good(theme),
        Status::Admitted | Status::Halved => ui.visuals().text_color(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::accesskit::Role;
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;
    use pavlov_search::lineage::{Candidate, FILE, Lineage, Outcome, Point, Rejection, Verdict, diff};
    use pavlov_search::search::{End, Settings};
    use std::time::{Duration, Instant};

    const SCRIPT: &str = "fn reward(s, p) {\n    #{ upright: p.w * cos(s.joint(\"hinge\").pos) }\n}\n";
    const MANIFEST: &str = "[params.w]\nvalue = 1.0\n";

    fn candidate(at: At, parents: &[At], script: &str) -> Candidate {
        let verdict = Verdict {
            ok: true,
            good_rank: Some(1),
            fitness_kendall: Some(0.75),
            distances: serde_json::from_str("[[\"human\", 0.25]]").unwrap(),
            ..Verdict::default()
        };
        let (script, manifest, operator) = (script.into(), MANIFEST.into(), "mutate".into());
        let parents = parents.to_vec();
        Candidate { at, parents, operator, script, manifest, verdict, status: Status::Trained, ..Candidate::default() }
    }

    fn trained(at: At, seed: u64, fitness: f64) -> Outcome {
        let point = |k: u64| Point { env_steps: 1000 * k, fitness: Some(fitness * k as f64), ..Point::default() };
        let curve = (1..=10).map(point).collect();
        Outcome { at: Some(at), stage: "search".into(), seed, env_steps: 10_000, fitness, curve, ..Outcome::default() }
    }

    /// A lineage as a search leaves it: two iterations of two, one refused, the last one has won.
    fn lineage(folder: &Path) -> Lineage {
        let mut lineage = Lineage::open(folder).unwrap();
        let settings =
            Settings { task: "cartpole_balance".into(), candidates: 2, iterations: 2, ..Settings::default() };
        lineage.set("settings", &settings).unwrap();
        let changed = SCRIPT.replace("p.w *", "2.0 * p.w *");
        let error =
            Rejection { rule: "constant".into(), message: "it is the same everywhere".into(), hint: String::new() };
        let refused = Candidate {
            status: Status::Refused,
            verdict: Verdict { errors: vec![error], ..Verdict::default() },
            ..candidate(At::new(0, 1), &[], "fn reward(s) { 1.0 }")
        };
        let child = Candidate {
            diff: diff(("0.0", SCRIPT), ("1.0", &changed)),
            ..candidate(At::new(1, 0), &[At::new(0, 0)], &changed)
        };
        let last = candidate(At::new(1, 1), &[At::new(0, 0)], SCRIPT);
        let candidates = [candidate(At::new(0, 0), &[], SCRIPT), refused, child, last];
        let outcomes =
            [trained(candidates[0].at, 0, 1.0), trained(candidates[2].at, 0, 2.5), trained(candidates[3].at, 0, 0.5)];
        lineage.put_outcomes(&outcomes, &candidates).unwrap();
        lineage
    }

    struct Seen {
        searches: Searches,
        opened: Option<OpenCandidate>,
    }

    fn show(runs: &Path) -> Harness<'static, Seen> {
        let seen = Seen { searches: Searches::new(runs), opened: None };
        let draw = |ui: &mut Ui, seen: &mut Seen| {
            let s = &mut seen.searches;
            s.poll(ui.ctx());
            egui::Panel::left("left").exact_size(280.0).show(ui, |ui| s.list_ui(ui, Theme::Dark));
            let right = egui::Panel::right("right").exact_size(420.0);
            seen.opened = right.show(ui, |ui| s.details_ui(ui, Theme::Dark)).inner.or(seen.opened.take());
            egui::CentralPanel::default().show(ui, |ui| s.graph_ui(ui, Theme::Dark));
        };
        Harness::builder().with_size([1280.0, 720.0]).build_ui_state(draw, seen)
    }

    #[track_caller]
    fn wait(harness: &mut Harness<'static, Seen>, label: &str, done: impl Fn(&Harness<'static, Seen>) -> bool) {
        let began = Instant::now();
        while !done(harness) {
            assert!(began.elapsed() < Duration::from_secs(20), "waited in vain for: {label}");
            std::thread::sleep(Duration::from_millis(5));
            harness.step();
        }
        harness.run_steps(2);
    }

    fn has(text: &'static str) -> impl Fn(&Harness<'static, Seen>) -> bool {
        move |h| h.query_all_by_label_contains(text).next().is_some()
    }

    #[test]
    fn without_searches_it_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let mut harness = show(&dir.path().join("runs"));
        wait(&mut harness, "the empty list", has("No searches yet"));
        assert!(has("pavlov search <task>")(&harness) && harness.state().searches.is_empty());
        // One that is elsewhere is opened by its path.
        lineage(&dir.path().join("elsewhere"));
        let folder = dir.path().join("elsewhere");
        harness.get_by_role_and_label(Role::TextInput, "Another search folder").focus();
        harness.step();
        harness.event(egui::Event::Text(folder.display().to_string()));
        harness.key_press(egui::Key::Enter);
        wait(&mut harness, "the graph", has("Candidate 1.0 mutate trained"));
    }

    #[test]
    fn searches_are_listed_and_candidates_are_gone_to_by_arrow_keys() {
        let dir = tempfile::tempdir().unwrap();
        drop(lineage(&dir.path().join("search-cartpole_balance-1")));
        drop(lineage(&dir.path().join("search-cartpole_balance-0")));
        let mut harness = show(dir.path());
        wait(&mut harness, "the graph", has("Candidate 1.0 mutate trained"));
        assert!(
            has("search-cartpole_balance-0 not ended")(&harness)
                && has("search-cartpole_balance-1 not ended")(&harness)
        );
        assert!(has("fittest so far 1.0: 2.500")(&harness));
        // The fittest is shown first, and the graph has the keyboard.
        let at = |h: &Harness<'static, Seen>| h.state().searches.candidate().unwrap().to_string();
        assert_eq!(at(&harness), "1.0");
        for (key, to) in [
            (egui::Key::ArrowUp, "0.0"),
            (egui::Key::ArrowRight, "0.1"),
            (egui::Key::ArrowDown, "1.1"),
            (egui::Key::ArrowLeft, "1.0"),
            (egui::Key::ArrowLeft, "1.0"),
        ] {
            harness.key_press(key);
            harness.run_steps(2);
            assert_eq!(at(&harness), to, "{key:?}");
        }
        harness.get_by_label_contains("Candidate 0.1 mutate refused").click();
        harness.run_steps(2);
        assert!(has("Refused: it cost no training.")(&harness));
        assert!(has("error: constant: it is the same everywhere")(&harness));
        harness.get_by_label_contains("search-cartpole_balance-1 ").click();
        harness.run_steps(2);
        let folder = dir.path().join("search-cartpole_balance-1");
        wait(&mut harness, "the other search", |h| h.state().searches.snapshot().is_some());
        assert_eq!(harness.state().searches.selected.as_deref(), Some(folder.as_path()));
    }

    #[test]
    fn result_script_difference_and_prompt_are_shown_and_the_candidate_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        drop(lineage(&dir.path().join("search-cartpole_balance-0")));
        let mut harness = show(dir.path());
        wait(&mut harness, "the graph", has("Candidate 1.0 mutate trained"));
        for text in ["the good one is number 1", "rank correlation with fitness 0.75", "to human", "Learning curve"] {
            assert!(has(text)(&harness), "{text}");
        }
        let sheet = |h: &mut Harness<'static, Seen>, name: &'static str| {
            h.get_by_role_and_label(Role::Button, name).click();
            h.run_steps(2);
        };
        sheet(&mut harness, "Difference");
        assert!(has("-     #{ upright: p.w * cos")(&harness) && has("+     #{ upright: 2.0 * p.w * cos")(&harness));
        sheet(&mut harness, "Script");
        assert!(has("#{ upright: 2.0 * p.w * cos(s.joint(\"hinge\").pos) }")(&harness) && has("[params.w]")(&harness));
        sheet(&mut harness, "Prompt");
        assert!(has("No model was asked. It was made by: mutate.")(&harness));
        harness.get_by_role_and_label(Role::Button, "Open in the editor").click();
        harness.run_steps(2);
        let opened = harness.state().opened.clone().unwrap();
        assert_eq!((opened.task.as_str(), opened.reward.as_str()), ("cartpole_balance", "default"));
        assert!(opened.script.contains("2.0 * p.w") && opened.manifest == MANIFEST, "{opened:?}");
        assert_eq!(opened.title, "Candidate 1.0 of search-cartpole_balance-0");
    }

    #[test]
    fn a_search_that_goes_on_grows_on_the_screen() {
        let dir = tempfile::tempdir().unwrap();
        let lineage = lineage(&dir.path().join("search-cartpole_balance-0"));
        let mut harness = show(dir.path());
        wait(&mut harness, "the graph", has("Candidate 1.0 mutate trained"));
        assert!(!has("Candidate 2.0")(&harness));
        let new = Candidate { status: Status::Admitted, ..candidate(At::new(2, 0), &[At::new(1, 0)], SCRIPT) };
        lineage.put(&new).unwrap();
        wait(&mut harness, "the new one", has("Candidate 2.0 mutate admitted"));
        assert_eq!(harness.state().searches.candidate(), Some(At::new(1, 0)), "what was selected stays selected");
        lineage.set("end", &End { winner: Some(At::new(1, 0)), ..End::default() }).unwrap();
        wait(&mut harness, "the end", has("Winner 1.0"));
        assert!(has("fitness 2.500, winner")(&harness));
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_file_and_stands_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let damaged = dir.path().join("search-damaged-0");
        std::fs::create_dir_all(&damaged).unwrap();
        std::fs::write(damaged.join(FILE), "no data base at all, whatever its name says").unwrap();
        drop(lineage(&dir.path().join("search-cartpole_balance-0")));
        let mut harness = show(dir.path());
        wait(&mut harness, "the list", has("search-damaged-0 cannot be read"));
        harness.get_by_label_contains("search-damaged-0 cannot be read").click();
        wait(&mut harness, "what is wrong", has("This search cannot be read"));
        assert!(has("lineage.sqlite: file is not a database")(&harness) && has("What to do:")(&harness));
        harness.get_by_label_contains("search-cartpole_balance-0 not ended").click();
        wait(&mut harness, "the good one", has("Candidate 1.0 mutate trained"));
    }

    #[test]
    fn what_a_gate_must_not_let_in_is_not_opened_either() {
        let dir = tempfile::tempdir().unwrap();
        let lineage = lineage(&dir.path().join("search-cartpole_balance-0"));
        let manifest = "[sources.x]\nkind = \"vision\"\n".to_string();
        let sly = Candidate { manifest, ..candidate(At::new(2, 0), &[], SCRIPT) };
        lineage.put(&sly).unwrap();
        lineage.put(&Candidate { script: String::new(), ..candidate(At::new(2, 1), &[], "") }).unwrap();
        let mut harness = show(dir.path());
        wait(&mut harness, "the graph", has("Candidate 2.0"));
        for (at, why) in [(sly.at, "manifest-source"), (At::new(2, 1), "has no script")] {
            harness.state_mut().searches.select_candidate(at);
            harness.run_steps(2);
            let message = harness.state().searches.to_open().unwrap_err();
            assert!(message.contains(why), "{message}");
            harness.get_by_role_and_label(Role::Button, "Open in the editor").click();
            harness.run_steps(2);
            assert_eq!(harness.state().opened, None);
        }
    }
}
