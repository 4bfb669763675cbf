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

impl Remembered {
    /// Reads it; the defaults, with a sentence for the person, when it cannot be read.
    pub fn load(folder: &Path) -> (Self, Option<String>) {
        let path = path(folder);
        let text = match pavlov_common::text::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return (Self::default(), None),
            Err(e) => return (Self::default(), Some(format!("{}: {e}; starting with defaults", path.display()))),
        };
        match toml::from_str::<Self>(&text) {
            Ok(mut found) => {
                found.worlds = found.worlds.clamp(1, crate::app::MAX_WORLDS);
                found.zoom = if found.zoom.is_finite() { found.zoom.clamp(0.5, 3.0) } else { 1.0 };
                found.speed = if found.speed.is_finite() { found.speed.clamp(0.05, 8.0) } else { 1.0 };
                (found, None)
            }
            Err(e) => (Self::default(), Some(format!("{}: {}; starting with defaults", path.display(), e.message()))),
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
    fn a_damaged_file_is_named_and_does_not_stop_the_start() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(path(folder.path()), "zoom = \"large\"").unwrap();
        let (state, messages) = Remembered::load(folder.path());
        assert_eq!(state, Remembered::default());
        assert!(messages.is_some_and(|s| s.contains("studio.toml")));
    }
}
