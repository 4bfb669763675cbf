//! Every keyboard shortcut, once: what the menus show, the help lists and the panels ask.

use egui::{Context, Key, KeyboardShortcut, Modifiers};

/// What a shortcut does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Live worlds run or stand.
    PlayPause,
    /// One control step.
    Step,
    /// New episodes everywhere.
    Reset,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What it does.
    pub action: Action,
    /// The keys.
    pub shortcut: KeyboardShortcut,
    /// In words, for menus and help.
    pub label: &'static str,
}

const fn plain(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::NONE, key)
}

/// All shortcuts. Plain letters are heard only while no text field has the keyboard.
pub const TABLE: &[Row] = &[
    Row { action: Action::PlayPause, shortcut: plain(Key::Space), label: "Play or pause" },
    Row { action: Action::Step, shortcut: plain(Key::Period), label: "One step" },
    Row { action: Action::Reset, shortcut: plain(Key::R), label: "Reset all worlds" },
];

/// Was it pressed in this frame? Takes the key, so that nothing else hears it.
pub fn pressed(ctx: &Context, action: Action) -> bool {
    TABLE.iter().filter(|row| row.action == action).any(|row| {
        let typing = row.shortcut.modifiers == Modifiers::NONE && ctx.egui_wants_keyboard_input();
        !typing && ctx.input_mut(|i| i.consume_shortcut(&row.shortcut))
    })
}

/// The keys of an action as text, for menus and tooltips.
pub fn text(ctx: &Context, action: Action) -> String {
    let row = TABLE.iter().find(|row| row.action == action);
    row.map(|row| ctx.format_shortcut(&row.shortcut)).unwrap_or_default()
}
