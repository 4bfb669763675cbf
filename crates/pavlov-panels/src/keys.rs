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
    /// The camera follows, or not.
    Follow,
    /// Save the reward and train it.
    Train,
    /// The chooser of tasks.
    Open,
    /// Light or dark.
    Theme,
    /// Everything larger.
    Larger,
    /// Everything smaller.
    Smaller,
    /// This list.
    Help,
    /// Leave.
    Quit,
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

const fn with(modifiers: Modifiers, key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(modifiers, key)
}

const fn plain(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::NONE, key)
}

/// All shortcuts. Keys without a modifier, but for the function keys, are heard only while no text field has the keyboard.
pub const TABLE: &[Row] = &[
    Row { action: Action::PlayPause, shortcut: plain(Key::Space), label: "Play or pause" },
    Row { action: Action::Step, shortcut: plain(Key::Period), label: "One step" },
    Row { action: Action::Reset, shortcut: plain(Key::R), label: "Reset all worlds" },
    Row { action: Action::Follow, shortcut: plain(Key::F), label: "Follow the robot, or not" },
    Row { action: Action::Train, shortcut: plain(Key::F5), label: "Save the reward and train it" },
    Row { action: Action::Open, shortcut: with(Modifiers::COMMAND, Key::O), label: "Open a task" },
    Row { action: Action::Theme, shortcut: plain(Key::F2), label: "Light or dark" },
    Row { action: Action::Larger, shortcut: with(Modifiers::COMMAND, Key::Plus), label: "Larger" },
    Row { action: Action::Larger, shortcut: with(Modifiers::COMMAND, Key::Equals), label: "Larger" },
    Row { action: Action::Smaller, shortcut: with(Modifiers::COMMAND, Key::Minus), label: "Smaller" },
    Row { action: Action::Help, shortcut: plain(Key::F1), label: "This list" },
    Row { action: Action::Quit, shortcut: with(Modifiers::COMMAND, Key::Q), label: "Leave" },
];

/// Was it pressed in this frame? Takes the key, so that nothing else hears it.
pub fn pressed(ctx: &Context, action: Action) -> bool {
    TABLE.iter().filter(|row| row.action == action).any(|row| {
        let function = matches!(row.shortcut.logical_key, Key::F1 | Key::F2 | Key::F3 | Key::F4 | Key::F5);
        let typing = row.shortcut.modifiers == Modifiers::NONE && !function && ctx.text_edit_focused();
        !typing && ctx.input_mut(|i| i.consume_shortcut(&row.shortcut))
    })
}

/// The keys of an action as text, for menus and tooltips.
pub fn text(ctx: &Context, action: Action) -> String {
    let row = TABLE.iter().find(|row| row.action == action);
    row.map(|row| ctx.format_shortcut(&row.shortcut)).unwrap_or_default()
}
