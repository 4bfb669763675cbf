//! Terms of the reward while worlds run: plots, shares, table, and colours for the robots.
//!
//! ```text
//! Terms::push(frame) ─> Ring (spread of each node over the worlds, every world while there is room)
//! Terms::ui ─> lines or stack │ shares │ table, and apart from them the task's own measure: fitness, success
//! Terms::heat ─> a colour for each world, by the total or one node
//! ```
//! Per control step, in the units of the reward. Values that are not finite are counted and left out of means, never
//! drawn as numbers. A term keeps its colour and its line when the reward changes, as long as its name is the same; a
//! mark says where that was.

mod draw;
mod heat;
mod plots;
mod ring;
mod shares;

pub use heat::Legend;
pub(crate) use heat::{colour as viridis, scale};
pub use ring::Summary;

use crate::live::Frame;
use crate::theme::Theme;
use egui::Ui;
use ring::Ring;

/// What is plotted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Aggregate {
    /// The selected world alone.
    World,
    /// Mean over the worlds.
    #[default]
    Mean,
    /// Mean over the worlds and one standard deviation to both sides.
    Spread,
}

/// How it is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shown {
    /// A line for each term.
    #[default]
    Lines,
    /// Terms on top of each other: those above zero upwards, those below downwards.
    Stack,
    /// Bars of shares.
    Shares,
    /// Numbers.
    Table,
}

/// State of the panel.
#[derive(Debug)]
pub struct Terms {
    ring: Ring,
    /// Names in the order in which they were first seen: gives colours that stay.
    order: Vec<String>,
    shown: Shown,
    aggregate: Aggregate,
    /// Seconds that are shown.
    window: f64,
    /// The last second that is shown, while the plot stands still.
    paused: Option<f64>,
    /// The term that stands out.
    picked: Option<String>,
    sort: shares::Sort,
    heat: Option<String>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            ring: Ring::default(),
            order: Vec::new(),
            shown: Shown::default(),
            aggregate: Aggregate::default(),
            window: 10.0,
            paused: None,
            picked: None,
            sort: shares::Sort::default(),
            heat: None,
        }
    }
}

impl Terms {
    /// Takes a frame. A frame that is older than the last one begins anew: the worlds were made again.
    pub fn push(&mut self, frame: &Frame) {
        for name in &frame.names.nodes {
            if !self.order.contains(name) {
                self.order.push(name.clone());
            }
        }
        if self.ring.push(frame) {
            self.paused = None;
        }
    }

    /// Forgets everything: another task.
    pub fn clear(&mut self) {
        *self = Self { shown: self.shown, aggregate: self.aggregate, window: self.window, ..Self::default() };
    }

    /// Place of a name, for its colour.
    fn colour(&self, theme: Theme, name: &str) -> egui::Color32 {
        let at = self.order.iter().position(|n| n == name).unwrap_or(0);
        crate::theme::series(theme, at)
    }

    /// First and last second of what is shown.
    fn span(&self) -> (f64, f64) {
        let end = self.paused.unwrap_or(self.ring.last_time());
        (end - self.window, end)
    }

    /// Numbers of each node over the seconds that are shown, in the order of the reward: of a world, or of all.
    pub fn summary(&self, world: Option<usize>) -> Vec<Summary> {
        let (from, to) = self.span();
        self.ring.summary(from, to, world)
    }

    /// Is the plot standing still?
    pub fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Shows it in another way, as the tabs do.
    pub fn show(&mut self, shown: Shown, aggregate: Aggregate) {
        (self.shown, self.aggregate) = (shown, aggregate);
    }

    /// Seconds that are shown and counted.
    pub fn set_window(&mut self, seconds: f64) {
        self.window = seconds.clamp(0.1, ring::KEPT);
    }

    /// Draws the panel, to be given all the room there is.
    pub fn ui(&mut self, ui: &mut Ui, theme: Theme, selected_world: Option<usize>) {
        draw::panel(self, ui, theme, selected_world);
    }
}
