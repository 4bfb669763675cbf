//! Text that was not written by us, made fit to be shown: replies of models, errors of servers, names in files.
//!
//! A terminal obeys control characters, and some characters turn the order of what stands beside them around. Both are
//! shown as escapes (`\u{1b}`), never sent. What is long is cut in the middle, and the cut says how much it left out.
//!
//! | function | for | line breaks | length |
//! | --- | --- | --- | --- |
//! | [`plain`] | a piece within a line of ours | escaped | bounded |
//! | [`plain_lines`] | a message of several lines | kept | each line bounded |
//! | [`visible`] | a whole document | kept | as it is |
//! | [`visible_json`] | JSON that a program reads | kept | as it is |
//!
//! Source: Unicode Standard Annex 9 (bidirectional formatting characters), ECMA-48 (control functions).

use std::borrow::Cow;
use std::fmt::Write;

/// Characters of a line that are shown.
pub const LONGEST: usize = 2_000;
/// Lines of a message that are shown.
const MOST_LINES: usize = 1_000;

/// May a terminal do anything else with it than show it?
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'
                | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// A piece of text for a line of ours: nothing in it is obeyed by a terminal, no line ends in it, and of more than
/// [`LONGEST`] characters the beginning and the end are left.
pub fn plain(text: &str) -> String {
    bounded(text).chars().fold(String::with_capacity(text.len().min(2 * LONGEST)), |mut out, c| {
        escape_into(&mut out, c);
        out
    })
}

/// A message of one or more lines: as [`plain`], with its line breaks and tabs. A long line with a mark under it (`^`,
/// as compilers and TOML's reader put it) is cut on both sides of the mark, and not in the middle.
pub fn plain_lines(text: &str) -> String {
    let count = text.split('\n').count();
    let tail = MOST_LINES / 4;
    let (head, rest) = if count > MOST_LINES { (MOST_LINES - tail, count - tail) } else { (count, count) };
    let mut out = Vec::with_capacity(count.min(MOST_LINES + 1));
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate().peekable();
    while let Some((i, line)) = lines.next() {
        if i == head {
            out.push(format!("[... {} lines left out ...]", rest - head));
        }
        if (head..rest).contains(&i) {
            continue;
        }
        match lines.peek().and_then(|(_, next)| marked(line, next)) {
            Some(pair) => {
                lines.next();
                out.extend(pair.map(|line| visible(&line).into_owned()));
            }
            None => out.push(visible(&bounded(line)).into_owned()),
        }
    }
    out.join("\n")
}

/// What is around a mark of a line that is too long, and the line with the mark.
fn marked(line: &str, under: &str) -> Option<[String; 2]> {
    // Bytes are never fewer than characters.
    if line.len() <= LONGEST {
        return None;
    }
    let before: usize = under.chars().take_while(|c| matches!(c, ' ' | '\t' | '|')).count();
    if under.chars().nth(before) != Some('^') {
        return None;
    }
    let from = before.saturating_sub(LONGEST / 2);
    let mut around = line.chars().skip(from);
    let shown: String = around.by_ref().take(LONGEST).collect();
    let left = if from > 0 { format!("[... {from} characters left out ...] ") } else { String::new() };
    let right = match around.count() {
        0 => String::new(),
        n => format!(" [... {n} characters left out ...]"),
    };
    let pad: String = under.chars().skip(from).take(before - from).collect();
    let mark: String = under.chars().skip(before).collect();
    let lead = " ".repeat(left.len());
    Some([format!("{left}{shown}{right}"), format!("{lead}{pad}{}", bounded(&mark))])
}

/// Text of any length with its line breaks and tabs, in which nothing is obeyed by a terminal.
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| matches!(c, '\n' | '\t') || !is_active(c);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            // The line break of Windows is one too.
            '\r' if characters.peek() == Some(&'\n') => {}
            c if is_plain(c) => out.push(c),
            c => escape_into(&mut out, c),
        }
    }
    Cow::Owned(out)
}

/// JSON with the same values, in which nothing is obeyed by a terminal.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    // Whatever is not ASCII, and DEL, can only stand in a string of it.
    let is_plain = |c: char| c == '\n' || !is_active(c);
    if json.chars().all(is_plain) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    let mut units = [0; 2];
    for c in json.chars() {
        if is_plain(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(out)
}

fn escape_into(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_active(c) => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
        c => out.push(c),
    }
}

/// Beginning and end of a text that is too long, with what was left out between them.
fn bounded(text: &str) -> Cow<'_, str> {
    // Bytes are never fewer than characters.
    if text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    let count = text.chars().count();
    if count <= LONGEST {
        return Cow::Borrowed(text);
    }
    let tail = LONGEST / 4;
    let head = LONGEST - tail;
    let place = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
    let (left, right) = (&text[..place(head)], &text[place(count - tail)..]);
    Cow::Owned(format!("{left} [... {} characters left out ...] {right}", count - LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_obeyed_by_a_terminal() {
        let text = "a\u{1b}[2Jb\u{9b}31m\r\nc\td\u{7f}\u{202e}e\u{0}ü🤖";
        assert_eq!(plain(text), "a\\u{1b}[2Jb\\u{9b}31m\\r\\nc\\td\\u{7f}\\u{202e}e\\u{0}ü🤖");
        assert_eq!(visible(text), "a\\u{1b}[2Jb\\u{9b}31m\nc\td\\u{7f}\\u{202e}e\\u{0}ü🤖");
        assert_eq!(visible("over\rwritten"), "over\\rwritten");
        assert!(matches!(visible("two\nlines"), Cow::Borrowed(_)));
        assert_eq!(plain_lines("one\u{8}\r\ntwo"), "one\\u{8}\ntwo");
    }

    #[test]
    fn json_keeps_its_values() {
        let json = "{\"a\":\"\u{9b}x\u{7f}\u{e0041}ü\"}\n";
        assert_eq!(visible_json(json), "{\"a\":\"\\u009bx\\u007f\\udb40\\udc41ü\"}\n");
        assert!(matches!(visible_json("{\"a\":\"ü\"}"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_long_is_cut_and_says_so() {
        let long = format!("begin{}end", "ä".repeat(1 << 20));
        let shown = plain(&long);
        assert!(shown.starts_with("beginä") && shown.ends_with("äend"), "{shown}");
        assert!(shown.contains(&format!("[... {} characters left out ...]", (1 << 20) + 8 - LONGEST)), "{shown}");
        assert!(shown.chars().count() < LONGEST + 60);
        let lines = plain_lines(&format!("short\n{long}\nshort"));
        assert_eq!(lines.lines().count(), 3);
        assert!(lines.len() < 3 * LONGEST);
        assert_eq!(plain(&"x".repeat(LONGEST)), "x".repeat(LONGEST));
        let many = plain_lines(&"line\n".repeat(1 << 20));
        assert!(
            many.contains("[... 1047577 lines left out ...]") && many.lines().count() < MOST_LINES + 2,
            "{}",
            many.len()
        );
    }

    #[test]
    fn the_place_of_an_error_in_a_long_line_is_kept() {
        let line = format!("1 | {}WRONG{}", "a".repeat(1 << 20), "b".repeat(1 << 20));
        let at = 4 + (1 << 20);
        let text = format!("error at 1\n  |\n{line}\n  |{}^^^^^ here\nwhy", " ".repeat(at - 3));
        let shown = plain_lines(&text);
        assert!(shown.len() < 3 * LONGEST, "{}", shown.len());
        let lines: Vec<&str> = shown.lines().collect();
        let [source, mark] = [lines[2], lines[3]];
        let place = mark.find('^').unwrap();
        assert_eq!(&source[place..place + 5], "WRONG");
        assert!(mark.ends_with("^^^^^ here") && lines[4] == "why", "{mark}");
        // At the front nothing is cut before the mark.
        let shown = plain_lines(&format!("1 | WRONG{}\n  | ^", "b".repeat(1 << 20)));
        assert!(shown.starts_with("1 | WRONGb") && shown.ends_with("\n  | ^"), "{shown}");
    }
}
