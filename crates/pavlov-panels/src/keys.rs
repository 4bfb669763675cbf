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
    /// The reward's files are written.
    Save,
    /// The bar that finds text in the script.
    Find,
    /// What can be written at the cursor.
    Complete,
    /// Lines become comments, or text again.
    Comment,
    /// The cursor goes to the next error.
    NextProblem,
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

const fn command(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

const fn plain(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::NONE, key)
}

/// A key that is no text: heard while a text field has the keyboard, too.
const FUNCTION_8: KeyboardShortcut = KeyboardShortcut::new(Modifiers::NONE, Key::F8);

/// All shortcuts. Plain letters are heard only while no text field has the keyboard.
pub const TABLE: &[Row] = &[
    Row { action: Action::PlayPause, shortcut: plain(Key::Space), label: "Play or pause" },
    Row { action: Action::Step, shortcut: plain(Key::Period), label: "One step" },
    Row { action: Action::Reset, shortcut: plain(Key::R), label: "Reset all worlds" },
    Row { action: Action::Save, shortcut: command(Key::S), label: "Save the reward" },
    Row { action: Action::Find, shortcut: command(Key::F), label: "Find in the script" },
    Row {
        action: Action::Complete,
        shortcut: KeyboardShortcut::new(Modifiers::CTRL, Key::Space),
        label: "Complete a name in the script",
    },
    Row { action: Action::Comment, shortcut: command(Key::Slash), label: "Comment lines of the script, or text again" },
    Row { action: Action::NextProblem, shortcut: FUNCTION_8, label: "Go to the next error of the reward" },
];

/// Was it pressed in this frame? Takes the key, so that nothing else hears it.
pub fn pressed(ctx: &Context, action: Action) -> bool {
    TABLE.iter().filter(|row| row.action == action).any(|row| {
        let text = row.shortcut.modifiers == Modifiers::NONE && row.shortcut != FUNCTION_8;
        let typing = text && ctx.egui_wants_keyboard_input();
        !typing && ctx.input_mut(|i| i.consume_shortcut(&row.shortcut))
    })
}

/// The keys of an action as text, for menus and tooltips.
pub fn text(ctx: &Context, action: Action) -> String {
    let row = TABLE.iter().find(|row| row.action == action);
    row.map(|row| ctx.format_shortcut(&row.shortcut)).unwrap_or_default()
}
