//! Work that takes longer than a frame: on a separate thread, which wakes the window when it is done.

use egui::Context;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

/// One piece of work under way.
#[derive(Debug)]
pub(crate) struct Job<T> {
    result: Receiver<Result<T, String>>,
}

impl<T: Send + 'static> Job<T> {
    /// Starts it. `name` is what debuggers call the thread.
    pub fn start(ctx: &Context, name: &str, work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Self {
        let (send, result) = channel();
        let ctx = ctx.clone();
        let failed = send.clone();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            // The receiver may be gone.
            let _ = send.send(work());
            ctx.request_repaint();
        });
        if let Err(e) = thread {
            let _ = failed.send(Err(format!("cannot start a thread: {e}")));
        }
        Self { result }
    }

    /// The result, once.
    pub fn take(&self) -> Option<Result<T, String>> {
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err("the work ended without a result; please report this".into())),
        }
    }
}
