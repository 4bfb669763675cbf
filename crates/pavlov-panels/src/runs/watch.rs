//! Run folders as they are now, read on a separate thread: asked for every second or so while the panel is shown,
//! never by itself.

use super::curves::RunCurves;
use egui::Context;
use pavlov_common::{plain, plain_lines};
use pavlov_run::{RunEntry, list_runs};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Time between the end of a listing and the next.
const EVERY: Duration = Duration::from_millis(1500);

/// What a listing found.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// All runs, oldest first.
    pub runs: Vec<RunEntry>,
    /// Curves of the runs that were asked for and have changed.
    pub curves: Vec<(PathBuf, Result<Arc<RunCurves>, String>)>,
}

/// The thread's side: what it has read already, by length of the two files.
struct Reader {
    runs: PathBuf,
    known: HashMap<PathBuf, [u64; 2]>,
}

impl Reader {
    fn read(&mut self, wanted: &[PathBuf]) -> News {
        self.known.retain(|path, _| wanted.contains(path));
        let mut curves = Vec::new();
        for path in wanted {
            let length = |file: &str| std::fs::metadata(path.join(file)).map_or(0, |m| m.len());
            let now = ["metrics.jsonl", "terms.jsonl"].map(length);
            if self.known.insert(path.clone(), now) != Some(now) {
                curves.push((path.clone(), RunCurves::read(path).map(Arc::new)));
            }
        }
        News { runs: list_runs(&self.runs).into_iter().map(shown).collect(), curves }
    }
}

/// A run with what others wrote into its files made fit to be shown; its path stays as it is.
fn shown(run: RunEntry) -> RunEntry {
    RunEntry {
        run: plain(&run.run),
        task: plain(&run.task),
        reward: plain(&run.reward),
        created: plain(&run.created),
        problem: run.problem.as_deref().map(plain_lines),
        ..run
    }
}

/// Asks for listings and takes them.
#[derive(Debug)]
pub(crate) struct Watch {
    ask: Sender<(Vec<PathBuf>, Context)>,
    news: Receiver<News>,
    waiting: bool,
    last: Option<Instant>,
    wanted: Vec<PathBuf>,
}

impl Watch {
    pub fn new(runs: &Path) -> std::io::Result<Self> {
        let (ask, requests) = channel::<(Vec<PathBuf>, Context)>();
        let (sender, news) = channel();
        let mut reader = Reader { runs: runs.to_path_buf(), known: HashMap::new() };
        std::thread::Builder::new().name("run folders".into()).spawn(move || {
            while let Ok((wanted, ctx)) = requests.recv() {
                if sender.send(reader.read(&wanted)).is_err() {
                    break;
                }
                ctx.request_repaint();
            }
        })?;
        Ok(Self { ask, news, waiting: false, last: None, wanted: Vec::new() })
    }

    /// News, when there are some; asks again when it is time to, or when other curves are wanted.
    pub fn poll(&mut self, ctx: &Context, wanted: &[PathBuf]) -> Option<News> {
        let news = self.news.try_recv().ok();
        if news.is_some() {
            (self.waiting, self.last) = (false, Some(Instant::now()));
        }
        let due = self.last.is_none_or(|t| t.elapsed() >= EVERY) || self.wanted != wanted;
        if !self.waiting && due {
            self.wanted = wanted.to_vec();
            self.waiting = self.ask.send((self.wanted.clone(), ctx.clone())).is_ok();
        }
        ctx.request_repaint_after(EVERY);
        news
    }
}
