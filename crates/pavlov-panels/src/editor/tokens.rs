//! Words of rhai and TOML, for colours and for finding what a name is. Offsets are bytes of the text.
//!
//! A light reading that never fails: what it does not know is [`Kind::Other`]. The checker judges a script.

use crate::theme::Theme;
use egui::text::{LayoutJob, TextFormat};
use egui::{Color32, FontId};
use std::ops::Range;

/// Which language a file is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Language {
    Rhai,
    Toml,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Space,
    Comment,
    Text,
    Number,
    Keyword,
    Word,
    Other,
}

/// A piece of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub at: Range<usize>,
}

/// Keywords of rhai that rewards use.
pub(crate) const KEYWORDS: &[&str] = &[
    "let", "const", "fn", "if", "else", "for", "in", "while", "loop", "break", "continue", "return", "import", "as",
    "true", "false", "switch", "private",
];

/// The text in pieces, without gaps.
pub(crate) fn tokens(language: Language, text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let first = rest.chars().next().unwrap_or(' ');
        let span = |good: fn(char) -> bool| rest.find(|c| !good(c)).unwrap_or(rest.len());
        let (kind, len) = match first {
            c if c.is_whitespace() => (Kind::Space, span(char::is_whitespace)),
            '/' if language == Language::Rhai && rest.starts_with("//") => (Kind::Comment, line(rest)),
            '/' if language == Language::Rhai && rest.starts_with("/*") => {
                (Kind::Comment, rest.find("*/").map_or(rest.len(), |n| n + 2))
            }
            '#' if language == Language::Toml => (Kind::Comment, line(rest)),
            '"' | '`' | '\'' => (Kind::Text, quoted(rest, first)),
            c if c.is_ascii_digit() => (Kind::Number, number(rest)),
            c if c.is_alphabetic() || c == '_' => {
                let len = span(|c| c.is_alphanumeric() || c == '_');
                let word = &rest[..len];
                let keyword = match language {
                    Language::Rhai => KEYWORDS.contains(&word),
                    Language::Toml => matches!(word, "true" | "false"),
                };
                (if keyword { Kind::Keyword } else { Kind::Word }, len)
            }
            c => (Kind::Other, c.len_utf8()),
        };
        out.push(Token { kind, at: at..at + len });
        at += len;
    }
    out
}

fn line(rest: &str) -> usize {
    rest.find('\n').unwrap_or(rest.len())
}

/// Length of text in quotes; an unclosed one ends with its line.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (i, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '\'' => escaped = true,
            '\n' if quote != '`' => return i,
            c if c == quote => return i + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Length of a number: digits, one point that a digit follows, an exponent.
fn number(rest: &str) -> usize {
    let b = rest.as_bytes();
    let digit = |i: usize| b.get(i).is_some_and(|c| c.is_ascii_digit() || *c == b'_');
    let mut i = 0;
    while digit(i) {
        i += 1;
    }
    if b.get(i) == Some(&b'.') && b.get(i + 1).is_none_or(|c| !c.is_ascii_alphabetic() && *c != b'.' && *c != b'_') {
        i += 1;
        while digit(i) {
            i += 1;
        }
    }
    if matches!(b.get(i), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(b.get(i + 1), Some(b'+' | b'-')));
        if digit(i + 1 + sign) {
            i += 1 + sign;
            while digit(i) {
                i += 1;
            }
        }
    }
    i.max(1)
}

/// Colours of code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Colours {
    pub plain: Color32,
    comment: Color32,
    text: Color32,
    number: Color32,
    keyword: Color32,
    call: Color32,
    member: Color32,
    mark: Color32,
}

impl Colours {
    /// The colours of a theme; each keeps a contrast of 4.5 to its background.
    pub fn of(theme: Theme) -> Self {
        let c = Color32::from_rgb;
        match theme {
            Theme::Dark => Self {
                plain: c(220, 223, 228),
                comment: c(140, 150, 160),
                text: c(152, 195, 121),
                number: c(229, 170, 112),
                keyword: c(198, 140, 232),
                call: c(102, 178, 255),
                member: c(120, 205, 205),
                mark: c(170, 178, 190),
            },
            Theme::Light => Self {
                plain: c(30, 34, 42),
                comment: c(100, 108, 116),
                text: c(24, 110, 44),
                number: c(152, 74, 0),
                keyword: c(120, 36, 160),
                call: c(0, 82, 170),
                member: c(0, 104, 112),
                mark: c(84, 92, 104),
            },
        }
    }
}

/// The text with colours, unwrapped.
pub(crate) fn coloured(language: Language, text: &str, theme: Theme, font: &FontId) -> LayoutJob {
    let colours = Colours::of(theme);
    let list = tokens(language, text);
    let mut job = LayoutJob { text: text.into(), keep_trailing_whitespace: true, ..LayoutJob::default() };
    job.wrap.max_width = f32::INFINITY;
    let mut line_start = true;
    for (i, token) in list.iter().enumerate() {
        let piece = &text[token.at.clone()];
        let next = list.get(i + 1).map_or("", |t| &text[t.at.clone()]);
        let after_dot = i > 0 && &text[list[i - 1].at.clone()] == ".";
        let colour = match token.kind {
            Kind::Comment => colours.comment,
            Kind::Text => colours.text,
            Kind::Number => colours.number,
            Kind::Keyword => colours.keyword,
            Kind::Word if language == Language::Toml && line_start => colours.member,
            Kind::Word if language == Language::Toml => colours.call,
            Kind::Word if next.starts_with('(') => colours.call,
            Kind::Word if after_dot => colours.member,
            Kind::Word | Kind::Space => colours.plain,
            Kind::Other => colours.mark,
        };
        line_start = piece.contains('\n') || (line_start && token.kind == Kind::Space);
        let format = TextFormat { font_id: font.clone(), color: colour, ..TextFormat::default() };
        job.sections.push(egui::text::LayoutSection {
            leading_space: 0.0,
            byte_range: egui::text::ByteIndex(token.at.start)..egui::text::ByteIndex(token.at.end),
            format,
        });
    }
    if text.is_empty() {
        let format = TextFormat { font_id: font.clone(), color: colours.plain, ..TextFormat::default() };
        job.append("", 0.0, format);
    }
    job
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        let list = tokens(Language::Rhai, text);
        list.into_iter().filter(|t| t.kind != Kind::Space).map(|t| (t.kind, &text[t.at])).collect()
    }

    #[test]
    fn rhai_is_read_as_it_is_written() {
        use Kind::{Comment, Keyword, Number, Other, Text, Word};
        assert_eq!(
            kinds("let v = s.body(\"a\\\"b\"); // ü")[..4],
            [(Keyword, "let"), (Word, "v"), (Other, "="), (Word, "s")]
        );
        assert!(kinds("s.body(\"a\\\"b\") // ü").ends_with(&[(Text, "\"a\\\"b\""), (Other, ")"), (Comment, "// ü")]));
        assert_eq!(
            kinds("1.5e-3 2. 3.abs"),
            [(Number, "1.5e-3"), (Number, "2."), (Number, "3"), (Other, "."), (Word, "abs")]
        );
        assert_eq!(kinds("\"open\nlet"), [(Text, "\"open"), (Keyword, "let")]);
    }

    proptest! {
        #[test]
        fn any_text_is_covered_without_gaps(text in "\\PC*|[\"'`/*#a-z0-9.\n ]*") {
            for language in [Language::Rhai, Language::Toml] {
                let mut end = 0;
                for t in tokens(language, &text) {
                    prop_assert!(t.at.start == end && t.at.end > end && text.is_char_boundary(t.at.end));
                    end = t.at.end;
                }
                prop_assert_eq!(end, text.len());
                let job = coloured(language, &text, Theme::Dark, &FontId::monospace(12.0));
                prop_assert_eq!(&job.text, &text);
            }
        }
    }
}
