//! Running a whole search in a test.

use pavlov_env::Assets;
use pavlov_search::SearchError;
use pavlov_search::client::Model;
use pavlov_search::prompt::Prompts;
use pavlov_search::search::{End, Event, Means, Person, Search, Settings};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs a search and takes what is wanted of it at its end; with `stop_after` it is asked to stop after so many events.
pub fn run<T>(
    settings: &Settings,
    folder: &Path,
    model: Option<Model>,
    person: Box<dyn Person>,
    stop_after: Option<usize>,
    take: impl FnOnce(&Search<'_>) -> Result<T, SearchError>,
) -> Result<(End, T), SearchError> {
    let assets = Assets::find(None);
    let stop = AtomicBool::new(false);
    let mut seen = 0;
    let on_event = |event: &Event<'_>| {
        // How often training tells of itself depends on its settings; what is decided does not.
        seen += usize::from(!matches!(event, Event::Training(_)));
        stop.store(stop_after.is_some_and(|n| seen >= n), Ordering::Relaxed);
    };
    let prompts = Prompts::load(&assets, None)?;
    let means = Means {
        assets: &assets,
        model,
        prompts,
        person,
        threads: 2,
        slurm: None,
        stop: &stop,
        on_event: Box::new(on_event),
    };
    let mut search = Search::open(settings, folder, means)?;
    let end = search.run()?;
    Ok((end, take(&search)?))
}
