//! Lineages as they are now, read on a separate thread: about each second while the panel is shown, and only those that
//! were written since.

use crate::runs::job::Job;
use egui::Context;
use pavlov_search::lineage::At;
use pavlov_search::{Snapshot, Stamp, search_folders};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Time between the end of a reading and the next.
const EVERY: Duration = Duration::from_secs(1);
/// Clocks of file systems are coarse: what was written this shortly before it was read is read again.
const COARSE: Duration = Duration::from_millis(100);

/// A search in the list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub path: PathBuf,
    pub written: Option<SystemTime>,
    /// What is in it, or why it cannot be read.
    pub brief: Result<Brief, String>,
}

/// A search in a few words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Brief {
    pub task: String,
    pub how: String,
    pub proposed: usize,
    pub ended: bool,
    /// The winner, else the fittest so far.
    pub best: Option<(At, Option<f64>)>,
}

impl Brief {
    fn of(s: &Snapshot) -> Self {
        let winner = s.winner().map(|at| (at, s.fitness(at)));
        let fittest = || s.ranked().first().map(|(f, c)| (c.at, Some(*f)));
        Self {
            task: s.settings.task.clone(),
            how: s.settings.mode.name().into(),
            proposed: s.candidates.len(),
            ended: s.end.is_some(),
            best: winner.or_else(fittest),
        }
    }
}

/// What a reading found.
#[derive(Debug, Default)]
pub(super) struct News {
    /// The one that was written last first.
    pub list: Vec<Entry>,
    /// The search that was asked for, when it was written since.
    pub shown: Option<(PathBuf, Result<Arc<Snapshot>, String>)>,
}

/// The thread's side: what it has read already.
#[derive(Debug, Default)]
struct Reader {
    known: HashMap<PathBuf, (Stamp, Entry)>,
    shown: Option<(PathBuf, Stamp)>,
}

impl Reader {
    fn read(&mut self, runs: &Path, others: &[PathBuf], wanted: Option<&Path>) -> News {
        let mut folders = search_folders(runs);
        folders.extend(others.iter().filter(|o| !folders.contains(o)).cloned().collect::<Vec<_>>());
        self.known.retain(|path, _| folders.contains(path));
        let mut news = News::default();
        for path in folders {
            // The stamp is taken before reading: what is written meanwhile is read the next time.
            let stamp = Stamp::of(&path);
            let settled = stamp.written().and_then(|t| t.elapsed().ok()).is_none_or(|age| age > COARSE);
            let asked = wanted == Some(path.as_path());
            let delivered = self.shown.as_ref().is_some_and(|(p, s)| *p == path && *s == stamp);
            let known = self.known.get(&path).filter(|(s, _)| *s == stamp).map(|(_, entry)| entry.clone());
            let entry = match known {
                Some(entry) if !asked || delivered => entry,
                _ => {
                    let found = Snapshot::open(&path).map(Arc::new).map_err(|e| e.to_string());
                    let brief = found.as_ref().map(|s| Brief::of(s)).map_err(Clone::clone);
                    if asked {
                        self.shown = settled.then(|| (path.clone(), stamp));
                        news.shown = Some((path.clone(), found));
                    }
                    Entry { path: path.clone(), written: stamp.written(), brief }
                }
            };
            if settled {
                self.known.insert(path, (stamp, entry.clone()));
            }
            news.list.push(entry);
        }
        // A stable sort: searches of the same moment stay in the order of their names.
        news.list.sort_by_key(|e| std::cmp::Reverse(e.written));
        news
    }
}

/// Asks for readings and takes them.
#[derive(Debug)]
pub(super) struct Watch {
    runs: PathBuf,
    /// None while the thread has it.
    reader: Option<Reader>,
    job: Option<Job<(News, Reader)>>,
    last: Option<Instant>,
    wanted: Option<PathBuf>,
}

impl Watch {
    pub fn new(runs: &Path) -> Self {
        Self { runs: runs.to_path_buf(), reader: None, job: None, last: None, wanted: None }
    }

    /// News, when there are some; asks again when it is time to, or when another search is wanted.
    pub fn poll(&mut self, ctx: &Context, others: &[PathBuf], wanted: Option<&Path>) -> Option<Result<News, String>> {
        let done = self.job.as_ref().and_then(Job::take);
        let news = done.map(|result| {
            (self.job, self.last) = (None, Some(Instant::now()));
            result.map(|(news, reader)| {
                self.reader = Some(reader);
                news
            })
        });
        let due = self.last.is_none_or(|t| t.elapsed() >= EVERY) || self.wanted.as_deref() != wanted;
        if self.job.is_none() && due {
            self.wanted = wanted.map(Path::to_path_buf);
            let mut reader = self.reader.take().unwrap_or_default();
            let (runs, others, wanted) = (self.runs.clone(), others.to_vec(), self.wanted.clone());
            self.job = Some(Job::start(ctx, "searches", move || {
                let news = reader.read(&runs, &others, wanted.as_deref());
                Ok((news, reader))
            }));
        }
        ctx.request_repaint_after(EVERY);
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_search::lineage::{Candidate, Lineage};

    #[test]
    fn only_what_was_written_since_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("search-a-0"), dir.path().join("search-b-0"));
        let lineage = Lineage::open(&a).unwrap();
        drop(Lineage::open(&b).unwrap());
        let mut reader = Reader::default();
        std::thread::sleep(2 * COARSE);
        let first = reader.read(dir.path(), &[], Some(&a));
        assert_eq!(first.list.len(), 2);
        assert!(first.shown.is_some_and(|(path, found)| path == a && found.is_ok()));
        let again = reader.read(dir.path(), &[], Some(&a));
        assert!(again.shown.is_none() && again.list == first.list);
        lineage.put(&Candidate::default()).unwrap();
        let third = reader.read(dir.path(), std::slice::from_ref(&b), Some(&a));
        assert_eq!(third.shown.unwrap().1.unwrap().candidates.len(), 1);
        assert_eq!(third.list.len(), 2, "a folder that is named twice is listed once");
        assert_eq!(third.list[0].path, a, "what was written last comes first");
        assert!(reader.read(dir.path(), &[], Some(&b)).shown.is_some(), "another one is wanted");
        let gone = reader.read(&dir.path().join("none"), &[], None);
        assert!(gone.list.is_empty() && reader.known.is_empty());
    }
}
