//! A search as it stands at a moment, read from its lineage without writing to it: what the report and the studio show.
//!
//! ```text
//! search_folders(runs) ─> folders ─ Snapshot::open ─> candidates, outcomes, exchanges, answers, end
//!                                                     nodes(): the graph, a row an iteration, a column a place
//! ```
//! A search under way is not disturbed: SQLite's WAL lets readers see the last whole state. Fitness is in the task's
//! unit.

use crate::error::SearchError;
use crate::lineage::{Answer, At, Candidate, Exchange, FILE, Lineage, Outcome, Status};
use crate::search::{End, JudgedBy, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Folders with a lineage in a folder of runs, by name. A folder that does not exist has none.
pub fn search_folders(runs: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(runs) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.join(FILE).exists()).collect();
    found.sort();
    found
}

/// Sizes and times of a lineage's files: while they stay, nothing was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp([Option<(u64, SystemTime)>; 2]);

impl Stamp {
    /// Of the search in a folder, now.
    pub fn of(folder: &Path) -> Self {
        let written = |name: String| {
            // A reader makes an empty log where there is none: that is no news.
            let meta = std::fs::metadata(folder.join(name)).ok().filter(|m| m.len() > 0)?;
            Some((meta.len(), meta.modified().ok()?))
        };
        Self([written(FILE.into()), written(format!("{FILE}-wal"))])
    }

    /// When something was written last.
    pub fn written(&self) -> Option<SystemTime> {
        self.0.iter().flatten().map(|(_, time)| *time).max()
    }
}

/// A candidate in the graph: the last attempt at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its number in [`Snapshot::candidates`].
    pub candidate: usize,
    /// Row: its iteration.
    pub row: usize,
    /// Column: its place.
    pub column: usize,
    /// Attempts at the place before it, all refused.
    pub earlier: usize,
}

/// All of a lineage but clock times.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// What was asked for.
    pub settings: Settings,
    /// Its end; none while it runs.
    pub end: Option<End>,
    /// Candidates, in order.
    pub candidates: Vec<Candidate>,
    /// What training gave.
    pub outcomes: Vec<Outcome>,
    /// Exchanges with a model.
    pub exchanges: Vec<Exchange>,
    /// What people said.
    pub answers: Vec<Answer>,
    fitness: BTreeMap<At, f64>,
    nodes: Vec<Node>,
}

impl Snapshot {
    /// Reads the search in a folder.
    ///
    /// # Errors
    /// When there is none, or its lineage cannot be read: with the file, and the row where it is one.
    pub fn open(folder: &Path) -> Result<Self, SearchError> {
        Self::of(&Lineage::read_only(folder)?)
    }

    /// What is in a lineage now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(lineage: &Lineage) -> Result<Self, SearchError> {
        lineage.at_once(|lineage| {
            let mut read = Self {
                settings: lineage.get("settings")?.unwrap_or_default(),
                end: lineage.get("end")?,
                candidates: lineage.candidates()?,
                outcomes: lineage.outcomes()?,
                exchanges: lineage.exchanges()?,
                answers: lineage.answers()?,
                ..Self::default()
            };
            if !read.is_blind() {
                read.fitness = means(&read.outcomes);
            }
            read.nodes = nodes(&read.candidates);
            Ok(read)
        })
    }

    /// Is someone choosing by what they see, who is not to be shown fitness? No more once the search has ended.
    pub fn is_blind(&self) -> bool {
        self.settings.mode.judged_by() == JudgedBy::Rater && self.end.is_none()
    }

    /// Mean fitness of a candidate over the seeds of the search; none while it is not to be shown.
    pub fn fitness(&self, at: At) -> Option<f64> {
        self.fitness.get(&at).copied()
    }

    /// A candidate.
    pub fn candidate(&self, at: At) -> Option<&Candidate> {
        self.candidates.iter().find(|c| c.at == at)
    }

    /// What was said to a model for a candidate, and what it said.
    pub fn exchange(&self, at: At) -> Option<&Exchange> {
        self.exchanges.iter().find(|e| e.at == at)
    }

    /// Trainings of a candidate; of the human reward when none.
    pub fn trainings(&self, at: Option<At>) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(move |o| o.at == at)
    }

    /// Candidates with a fitness, fittest first.
    pub fn ranked(&self) -> Vec<(f64, &Candidate)> {
        let scored = |c: &'_ Candidate| self.fitness(c.at);
        let mut ranked: Vec<(f64, &Candidate)> = self.candidates.iter().filter_map(|c| Some((scored(c)?, c))).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.at.cmp(&b.1.at)));
        ranked
    }

    /// The winner, where the search has ended with one.
    pub fn winner(&self) -> Option<At> {
        self.end.as_ref().and_then(|e| e.winner)
    }

    /// How many were proposed, admitted by the gate, trained (to the end or in part).
    pub fn counts(&self) -> [usize; 3] {
        let count = |wanted: &[Status]| self.candidates.iter().filter(|c| wanted.contains(&c.status)).count();
        let refused = count(&[Status::Refused]);
        [self.candidates.len(), self.candidates.len() - refused, count(&[Status::Trained, Status::Halved])]
    }

    /// The graph of candidates: the last attempt at each place. Rows and columns count what there is, so that they are
    /// never more than there are candidates.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Least and largest fitness of the graph's candidates.
    pub fn range(&self) -> Option<[f64; 2]> {
        let fitness = self.nodes.iter().filter_map(|n| self.fitness(self.candidates[n.candidate].at));
        fitness.filter(|f| f.is_finite()).fold(None, |range, f| match range {
            None => Some([f, f]),
            Some([low, high]) => Some([f.min(low), f.max(high)]),
        })
    }
}

/// Mean fitness of each candidate over what the search itself trained.
fn means(outcomes: &[Outcome]) -> BTreeMap<At, f64> {
    let mut sums: BTreeMap<At, (f64, f64)> = BTreeMap::new();
    for o in outcomes.iter().filter(|o| o.stage == "search" && o.error.is_none()) {
        if let Some(at) = o.at {
            let (sum, n) = sums.entry(at).or_default();
            *sum += o.fitness;
            *n += 1.0;
        }
    }
    sums.into_iter().map(|(at, (sum, n))| (at, sum / n)).collect()
}

fn nodes(candidates: &[Candidate]) -> Vec<Node> {
    let mut last: BTreeMap<(u32, u32), (usize, usize)> = BTreeMap::new();
    for (i, c) in candidates.iter().enumerate() {
        let (known, n) = last.entry((c.at.iteration, c.at.place)).or_insert((i, 0));
        *n += 1;
        if c.at.attempt >= candidates[*known].at.attempt {
            *known = i;
        }
    }
    let numbered = |all: BTreeSet<u32>| -> BTreeMap<u32, usize> { all.into_iter().zip(0..).collect() };
    let rows = numbered(last.keys().map(|k| k.0).collect());
    let columns = numbered(last.keys().map(|k| k.1).collect());
    let node = |((iteration, place), (candidate, n)): (&(u32, u32), &(usize, usize))| Node {
        candidate: *candidate,
        row: rows[iteration],
        column: columns[place],
        earlier: n - 1,
    };
    last.iter().map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(iteration: u32, place: u32, attempt: u32, status: Status) -> Candidate {
        Candidate { at: At { attempt, ..At::new(iteration, place) }, status, ..Candidate::default() }
    }

    fn trained(at: At, seed: u64, fitness: f64) -> Outcome {
        Outcome { at: Some(at), stage: "search".into(), seed, fitness, ..Outcome::default() }
    }

    #[test]
    fn a_running_search_is_read_and_nothing_is_written_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("search-t-0");
        assert!(search_folders(dir.path()).is_empty() && search_folders(&folder).is_empty());
        let mut lineage = Lineage::open(&folder).unwrap();
        assert_eq!(search_folders(dir.path()), std::slice::from_ref(&folder));
        lineage.set("settings", &Settings { task: "t".into(), ..Settings::default() }).unwrap();
        let all = [
            candidate(0, 0, 0, Status::Refused),
            candidate(0, 0, 1, Status::Trained),
            candidate(0, 2, 0, Status::Halved),
            candidate(7, 2, 0, Status::Admitted),
        ];
        all.iter().for_each(|c| lineage.put(c).unwrap());
        let outcomes = [trained(all[1].at, 0, 1.0), trained(all[1].at, 1, 2.0), trained(all[2].at, 0, 0.5)];
        lineage.put_outcomes(&outcomes, &[]).unwrap();
        let before = Stamp::of(&folder);
        let read = Snapshot::open(&folder).unwrap();
        assert_eq!(Stamp::of(&folder), before);
        assert_eq!(read, Snapshot::of(&lineage).unwrap());
        assert_eq!((read.settings.task.as_str(), read.counts(), read.winner()), ("t", [4, 3, 2], None));
        assert_eq!(read.ranked().iter().map(|r| r.0).collect::<Vec<_>>(), [1.5, 0.5]);
        assert_eq!(read.range(), Some([0.5, 1.5]));
        let node = |candidate, row, column, earlier| Node { candidate, row, column, earlier };
        assert_eq!(read.nodes(), [node(1, 0, 0, 1), node(2, 0, 1, 0), node(3, 1, 1, 0)]);
        lineage.put(&candidate(8, 0, 0, Status::Refused)).unwrap();
        assert_ne!(Stamp::of(&folder), before);
        assert_eq!(Snapshot::open(&folder).unwrap().candidates.len(), 5, "what was written since is read");
    }

    #[test]
    fn fitness_is_not_shown_while_someone_chooses() {
        let dir = tempfile::tempdir().unwrap();
        let mut lineage = Lineage::open(dir.path()).unwrap();
        let settings = Settings { task: "t".into(), mode: &crate::search::Icpl, ..Settings::default() };
        lineage.set("settings", &settings).unwrap();
        let at = At::new(0, 0);
        lineage.put(&candidate(0, 0, 0, Status::Trained)).unwrap();
        lineage.put_outcomes(&[trained(at, 0, 1.0)], &[]).unwrap();
        let during = Snapshot::of(&lineage).unwrap();
        assert_eq!(
            (during.is_blind(), during.fitness(at), during.range(), during.ranked().len()),
            (true, None, None, 0)
        );
        lineage.set("end", &End::default()).unwrap();
        let after = Snapshot::of(&lineage).unwrap();
        assert_eq!((after.is_blind(), after.fitness(at)), (false, Some(1.0)));
    }

    #[test]
    fn places_far_apart_make_no_wide_graph() {
        let far = [candidate(u32::MAX, u32::MAX, u32::MAX, Status::Refused), candidate(0, 5, 0, Status::Refused)];
        let all = nodes(&far);
        assert_eq!(all.iter().map(|n| (n.row, n.column)).collect::<Vec<_>>(), [(0, 0), (1, 1)]);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_file_and_row() {
        let dir = tempfile::tempdir().unwrap();
        let said = |folder: &Path| Snapshot::open(folder).unwrap_err().to_string();
        assert!(said(dir.path()).contains("no search"), "{}", said(dir.path()));
        std::fs::write(dir.path().join(FILE), "this is no data base, but long enough to look like one").unwrap();
        assert!(said(dir.path()).contains(FILE) && said(dir.path()).contains("not a database"), "{}", said(dir.path()));
        std::fs::write(dir.path().join(FILE), "").unwrap();
        assert!(said(dir.path()).contains("nothing is in it yet"), "{}", said(dir.path()));
        assert_eq!(std::fs::metadata(dir.path().join(FILE)).unwrap().len(), 0);

        let folder = dir.path().join("row");
        let lineage = Lineage::open(&folder).unwrap();
        lineage.put(&candidate(0, 0, 0, Status::Refused)).unwrap();
        lineage.put(&candidate(0, 1, 0, Status::Refused)).unwrap();
        drop(lineage);
        let db = rusqlite::Connection::open(folder.join(FILE)).unwrap();
        db.execute("UPDATE candidates SET json = '{\"at\": 3}' WHERE place = 1", []).unwrap();
        drop(db);
        assert!(
            said(&folder).contains(FILE) && said(&folder).contains("row `candidates 0 1 0` was changed"),
            "{}",
            said(&folder)
        );
    }
}
