//! What the studio remembers from start to start: `studio.toml` in its state folder. Written beside and renamed into
//! place.

use crate::scene::{Orbit, Overlays};
use crate::theme::Theme;
use crate::train::Settings;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The activities of a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Edit a reward, watch, train.
    #[default]
    Design,
    /// Look at what runs have left.
    Runs,
    /// Say which of two behaviours is better.
    Label,
    /// Look at searches for rewards.
    Searches,
}

/// Which panel stands at the right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Plots of the terms.
    #[default]
    Terms,
    /// Training.
    Training,
}

/// Which panel stands at the left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sheet {
    /// The script.
    #[default]
    Script,
    /// Its parameters.
    Parameters,
    /// Its versions.
    History,
}

/// `studio.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// The task that was open.
    pub task: Option<String>,
    /// The reward that was open, by name or path.
    pub reward: Option<String>,
    /// What was done.
    pub mode: Mode,
    /// Panel at the right.
    pub side: Side,
    /// Panel at the left.
    pub sheet: Sheet,
    /// Light or dark.
    pub theme: Theme,
    /// Scale of text and everything else.
    pub zoom: f32,
    /// Live worlds.
    pub worlds: usize,
    /// Simulated seconds per second.
    pub speed: f64,
    /// Node of the reward that colours the robots.
    pub heat: Option<String>,
    /// Name under labels.
    pub rater: String,
    /// Size of the window, points.
    pub window: [f32; 2],
    /// Drawn over the picture.
    pub overlays: Overlays,
    /// Camera.
    pub camera: Orbit,
    /// Training.
    pub training: Settings,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            task: None,
            reward: None,
            mode: Mode::default(),
            side: Side::default(),
            sheet: Sheet::default(),
            theme: Theme::default(),
            zoom: 1.0,
            worlds: 16,
            speed: 1.0,
            heat: None,
            rater: String::new(),
            window: [1280.0, 720.0],
            overlays: Overlays::default(),
            camera: Orbit::default(),
            training: Settings::default(),
        }
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("studio.toml")
}

/// Gives a file that cannot be read another name; says so.
fn put_aside(path: &Path, why: &dyn std::fmt::Display) -> String {
    let shown = path.display();
    let names = (1..=99).map(|n| path.with_extension(format!("unreadable-{n}.toml")));
    let free = names.filter(|n| n.symlink_metadata().is_err()).find(|n| std::fs::rename(path, n).is_ok());
    let kept = free.map_or_else(String::new, |n| format!("; it is kept as {}", n.display()));
    format!("{shown}: {why}; starting with defaults{kept}")
}

impl Remembered {
    /// Reads it; the defaults, with a sentence for the person, when it cannot be read. What cannot be read is put
    /// aside, so that it is not written over.
    pub fn load(folder: &Path) -> (Self, Option<String>) {
        let path = path(folder);
        let text = match pavlov_common::text::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return (Self::default(), None),
            Err(e) => return (Self::default(), Some(put_aside(&path, &e))),
        };
        match toml::from_str::<Self>(&text) {
            Ok(mut found) => {
                found.worlds = found.worlds.clamp(1, crate::app::MAX_WORLDS);
                found.zoom = if found.zoom.is_finite() { found.zoom.clamp(0.5, 3.0) } else { 1.0 };
                found.speed = if found.speed.is_finite() { found.speed.clamp(0.05, 8.0) } else { 1.0 };
                // A window of no size cannot be opened.
                let is_size = |x: f32| (320.0..=16_384.0).contains(&x);
                if !found.window.into_iter().all(is_size) {
                    found.window = Self::default().window;
                }
                if !found.camera.is_finite() {
                    found.camera = Orbit::default();
                }
                (found, None)
            }
            Err(e) => (Self::default(), Some(put_aside(&path, &e.message()))),
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the folder cannot be written; the message names the file.
    pub fn save(&self, folder: &Path) -> Result<(), String> {
        let path = path(folder);
        let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = toml::to_string_pretty(self).map_err(|e| wrong(&e))?;
        std::fs::create_dir_all(folder).map_err(|e| wrong(&e))?;
        pavlov_common::atomic::write(&path, text.as_bytes()).map_err(|e| wrong(&e.source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Remembered::load(folder.path()), (Remembered::default(), None));
        let state = Remembered {
            task: Some("ant_run".into()),
            heat: Some("forward".into()),
            mode: Mode::Label,
            ..Remembered::default()
        };
        state.save(folder.path()).unwrap();
        assert_eq!(Remembered::load(folder.path()), (state, None));
    }

    #[test]
    fn sizes_and_places_that_cannot_be_are_the_usual_ones() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(path(folder.path()), "zoom = nan\nworlds = 0\nwindow = [nan, 1e9]\n[camera]\ndistance = inf\n")
            .unwrap();
        let (state, message) = Remembered::load(folder.path());
        assert_eq!((message, state.worlds), (None, 1));
        assert_eq!(state, Remembered { worlds: 1, ..Remembered::default() });
    }

    #[test]
    fn a_damaged_file_is_named_and_does_not_stop_the_start() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(path(folder.path()), "zoom = \"large\"").unwrap();
        let (state, messages) = Remembered::load(folder.path());
        assert_eq!(state, Remembered::default());
        assert!(messages.is_some_and(|s| s.contains("studio.toml") && s.contains("unreadable-1")));
        let kept = std::fs::read_to_string(folder.path().join("studio.unreadable-1.toml")).unwrap();
        assert_eq!(kept, "zoom = \"large\"", "what cannot be read is not written over");
        // Not text at all, and then not even a file.
        std::fs::write(path(folder.path()), [0xff, 0xfe]).unwrap();
        assert!(Remembered::load(folder.path()).1.is_some_and(|s| s.contains("unreadable-2")));
        std::fs::create_dir(path(folder.path())).unwrap();
        assert!(Remembered::load(folder.path()).1.is_some());
    }
}
