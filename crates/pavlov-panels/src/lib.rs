//! What the studio shows and does, without a window: live worlds, reward editor, term plots, runs, searches and
//! labelling, as egui panels over plain state. The studio (Bevy) gives them a window and the scene; tests drive them
//! without one.
//!
//! ```text
//! Editor ── reward ──> Live worlds (own thread) ── frames ──> scene, Terms
//!                      Training (own thread) ──── policy ──> Live worlds
//! Runs, Preferences: read run folders; labels go to the label store
//! Searches: read lineages; a candidate goes to the editor
//! ```
//! A panel is a struct with a `ui(&mut self, ui, ...)` that draws it and says in its return value what the person asked
//! for; work that takes longer than a frame is done on a separate thread, which wakes the window at the end.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

pub mod app;
pub mod editor;
pub mod keys;
pub mod live;
pub mod prefs;
pub mod runs;
pub mod scene;
pub mod searches;
pub mod terms;
pub mod theme;
pub mod train;
