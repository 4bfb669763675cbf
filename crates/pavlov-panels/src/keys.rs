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
    /// The frame before, in a replay.
    StepBack,
    /// First frame of a replay.
    ToStart,
    /// Last frame of a replay.
    ToEnd,
    /// The frame where two rewards disagree most.
    WorstDisagreement,
    /// The next peak of their disagreement.
    NextDisagreement,
    /// The peak before.
    PreviousDisagreement,
    /// The left one is better.
    Left,
    /// The right one is better.
    Right,
    /// Neither is.
    Equal,
    /// No judgement is possible.
    CannotTell,
    /// Another pair, without an answer.
    Skip,
    /// The last label is taken back.
    Undo,
    /// A mark begins at this frame.
    MarkIn,
    /// A mark ends at this frame, and is stored.
    MarkOut,
    /// The camera follows, or not.
    Follow,
    /// Save the reward and train it, when the gate lets it pass.
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
    /// Edit a reward, watch, train.
    Design,
    /// Look at runs.
    Runs,
    /// Compare behaviours.
    Label,
    /// Look at searches for rewards.
    Searches,
    /// The selected candidate of a search goes into the editor.
    OpenCandidate,
    /// The keyboard goes to the script.
    Script,
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

/// All shortcuts. Keys without a modifier, but for the function keys, count only while no text field has the keyboard.
pub const TABLE: &[Row] = &[
    Row { action: Action::PlayPause, shortcut: plain(Key::Space), label: "Play or pause" },
    Row { action: Action::Step, shortcut: plain(Key::Period), label: "One step" },
    Row { action: Action::Reset, shortcut: plain(Key::R), label: "Reset all worlds" },
    Row { action: Action::StepBack, shortcut: plain(Key::Comma), label: "One frame back (replay)" },
    Row { action: Action::ToStart, shortcut: plain(Key::Home), label: "First frame (replay)" },
    Row { action: Action::ToEnd, shortcut: plain(Key::End), label: "Last frame (replay)" },
    Row {
        action: Action::WorstDisagreement,
        shortcut: plain(Key::M),
        label: "Where two rewards disagree most (replay)",
    },
    Row { action: Action::NextDisagreement, shortcut: plain(Key::N), label: "Next disagreement (replay)" },
    Row { action: Action::PreviousDisagreement, shortcut: plain(Key::B), label: "Disagreement before (replay)" },
    Row { action: Action::Left, shortcut: plain(Key::ArrowLeft), label: "The left one is better (label)" },
    Row { action: Action::Right, shortcut: plain(Key::ArrowRight), label: "The right one is better (label)" },
    Row { action: Action::Equal, shortcut: plain(Key::E), label: "Equally good (label)" },
    Row {
        action: Action::CannotTell,
        shortcut: plain(Key::C),
        label: "Cannot tell: stored, and not learnt from (label)",
    },
    Row { action: Action::Skip, shortcut: plain(Key::S), label: "Another pair; this one comes again later (label)" },
    Row { action: Action::Undo, shortcut: plain(Key::Backspace), label: "Take the last label back, and show it again" },
    Row { action: Action::MarkIn, shortcut: plain(Key::I), label: "A mark begins here (label)" },
    Row { action: Action::MarkOut, shortcut: plain(Key::O), label: "A mark ends here (label)" },
    Row { action: Action::Follow, shortcut: plain(Key::F), label: "Follow the robot, or not" },
    Row { action: Action::Train, shortcut: plain(Key::F5), label: "Save the reward and train it" },
    Row { action: Action::Open, shortcut: command(Key::O), label: "Open a task" },
    Row { action: Action::Theme, shortcut: plain(Key::F2), label: "Light or dark" },
    Row { action: Action::Larger, shortcut: command(Key::Plus), label: "Larger" },
    Row { action: Action::Larger, shortcut: command(Key::Equals), label: "Larger" },
    Row { action: Action::Smaller, shortcut: command(Key::Minus), label: "Smaller" },
    Row { action: Action::Help, shortcut: plain(Key::F1), label: "This list" },
    Row { action: Action::Quit, shortcut: command(Key::Q), label: "Leave" },
    Row { action: Action::Design, shortcut: command(Key::Num1), label: "Design a reward" },
    Row { action: Action::Runs, shortcut: command(Key::Num2), label: "Look at runs" },
    Row { action: Action::Label, shortcut: command(Key::Num3), label: "Compare behaviours" },
    Row {
        action: Action::Searches,
        shortcut: command(Key::Num4),
        label: "Look at searches; arrow keys go from candidate to candidate",
    },
    Row {
        action: Action::OpenCandidate,
        shortcut: command(Key::Enter),
        label: "Open the candidate in the editor (searches)",
    },
    Row { action: Action::Script, shortcut: plain(Key::F4), label: "Go to the script" },
    Row { action: Action::Save, shortcut: command(Key::S), label: "Save the reward" },
    Row { action: Action::Find, shortcut: command(Key::F), label: "Find in the script" },
    Row {
        action: Action::Complete,
        shortcut: KeyboardShortcut::new(Modifiers::CTRL, Key::Space),
        label: "Complete a name in the script",
    },
    Row { action: Action::Comment, shortcut: command(Key::Slash), label: "Comment lines of the script, or text again" },
    Row { action: Action::NextProblem, shortcut: plain(Key::F8), label: "Go to the next error of the reward" },
];

/// Keys that type no text: they count while a text field has the keyboard, too.
fn is_function(key: Key) -> bool {
    matches!(key, Key::F1 | Key::F2 | Key::F4 | Key::F5 | Key::F8)
}

/// Was it pressed in this frame? Consumes the key, so that nothing else reacts to it.
pub fn pressed(ctx: &Context, action: Action) -> bool {
    TABLE.iter().filter(|row| row.action == action).any(|row| {
        let types = row.shortcut.modifiers == Modifiers::NONE && !is_function(row.shortcut.logical_key);
        let typing = types && ctx.text_edit_focused();
        !typing && ctx.input_mut(|i| i.consume_shortcut(&row.shortcut))
    })
}

/// The keys of an action as text, for menus and tooltips.
pub fn text(ctx: &Context, action: Action) -> String {
    let row = TABLE.iter().find(|row| row.action == action);
    row.map(|row| ctx.format_shortcut(&row.shortcut)).unwrap_or_default()
}
