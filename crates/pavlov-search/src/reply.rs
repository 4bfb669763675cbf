//! From a model's reply (or a pasted text) to the script and the manifest of a reward.
//!
//! A reply may have prose around several fenced blocks. The script is made of all rhai blocks that define functions:
//! where one function is defined more than once the last definition counts, helpers are kept. A `toml` block is the
//! manifest. A reply without a fence is taken as a script from its first `fn` or `import` on. Replies are untrusted:
//! what cannot be used ends in a named rejection, and nothing of it is ever run outside of the checker's sandbox.

use crate::lineage::Rejection;

/// Bytes of a reply that are looked at.
pub const MAX_REPLY: usize = 256 * 1024;

/// Script and manifest found in a reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// `reward.rhai`.
    pub script: String,
    /// `reward.toml`; empty when there was none.
    pub manifest: String,
}

fn refuse<T>(rule: &str, message: impl Into<String>, hint: &str) -> Result<T, Rejection> {
    Err(Rejection { rule: rule.into(), message: message.into(), hint: hint.into() })
}

/// A fenced block: the word behind the fence, and the text.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    let mut open: Option<(&str, String, String)> = None;
    for line in text.lines() {
        let bare = line.trim_start();
        let fence = ["```", "~~~"].into_iter().find(|f| bare.starts_with(f));
        match (&mut open, fence) {
            (None, Some(fence)) => {
                let word = bare.trim_start_matches(['`', '~']).trim().to_ascii_lowercase();
                open = Some((fence, word, String::new()));
            }
            (Some((mark, word, body)), Some(fence)) if *mark == fence => {
                out.push((std::mem::take(word), std::mem::take(body)));
                open = None;
            }
            (Some((_, _, body)), _) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    // A reply that was cut in the middle of a block.
    out.extend(open.map(|(_, word, body)| (word, body)));
    out
}

/// Top-level pieces of a script: the name of a function and its text with the comment above it, or another statement
/// without a name.
fn pieces(text: &str) -> Vec<(Option<String>, String)> {
    let mut out: Vec<(Option<String>, String)> = Vec::new();
    let (mut depth, mut piece, mut name) = (0i64, String::new(), None);
    for line in text.lines() {
        let code = strip(line);
        if depth == 0
            && let Some(rest) = code.trim_start().trim_start_matches("private ").strip_prefix("fn ")
        {
            let word = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            name = Some(word.to_string());
        }
        piece.push_str(line);
        piece.push('\n');
        depth += code.chars().map(|c| i64::from("{[(".contains(c)) - i64::from("}])".contains(c))).sum::<i64>();
        depth = depth.max(0);
        let ends = depth == 0 && (code.trim_end().ends_with('}') || code.trim_end().ends_with(';'));
        if ends {
            out.push((name.take(), std::mem::take(&mut piece)));
        }
    }
    if !piece.trim().is_empty() {
        out.push((name, piece));
    }
    out
}

/// A line without strings and line comments, so that its brackets can be counted.
fn strip(line: &str) -> String {
    let (mut out, mut quote, mut chars) = (String::new(), None, line.chars().peekable());
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(chars.next()),
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`') => quote = Some(c),
            (None, '/') if chars.peek() == Some(&'/') => break,
            (None, c) => out.push(c),
        }
    }
    out
}

/// Finds script and manifest.
///
/// # Errors
/// A named rejection: `reply-empty`, `reply-size`, `reply-no-code`, `reply-no-reward`, `reply-two-manifests`.
pub fn parse(reply: &str) -> Result<Found, Rejection> {
    if reply.trim().is_empty() {
        return refuse("reply-empty", "the reply has no text", "answer with one ```rhai block");
    }
    if reply.len() > MAX_REPLY {
        let message = format!("the reply has {} bytes, more than the limit of {MAX_REPLY}", reply.len());
        return refuse("reply-size", message, "answer with one ```rhai block and few words");
    }
    let reply = reply.replace("\r\n", "\n");
    let reply = without_thoughts(&reply);
    let blocks = blocks(reply);
    let is_toml = |(word, body): &(String, String)| {
        word.starts_with("toml") || (word.is_empty() && body.contains("[params") && !body.contains("fn "))
    };
    let mut scripts: Vec<String> =
        blocks.iter().filter(|b| !is_toml(b) && b.1.contains("fn ")).map(|b| b.1.clone()).collect();
    if blocks.is_empty() {
        // Code without a fence.
        let start = reply.lines().position(|l| l.starts_with("fn ") || l.starts_with("import "));
        scripts.extend(start.map(|n| reply.lines().skip(n).collect::<Vec<_>>().join("\n") + "\n"));
    }
    if scripts.is_empty() {
        return refuse(
            "reply-no-code",
            "there is no block with a function in the reply",
            "answer with one ```rhai block that has `fn reward(s, p)`",
        );
    }
    let all: Vec<(Option<String>, String)> = scripts.iter().flat_map(|s| pieces(s)).collect();
    let mut script = String::new();
    for (i, (name, text)) in all.iter().enumerate() {
        let again = |other: &(Option<String>, String)| match name {
            Some(_) => other.0 == *name,
            None => other.1.trim() == text.trim(),
        };
        if !all[i + 1..].iter().any(again) {
            script += text;
        }
    }
    if !all.iter().any(|(name, _)| name.as_deref() == Some("reward")) {
        let names: Vec<&str> = all.iter().filter_map(|(n, _)| n.as_deref()).collect();
        let message = format!("no function `reward` among {}", names.join(", "));
        return refuse("reply-no-reward", message, "define `fn reward(s, p)` that returns named terms");
    }
    let manifests: Vec<&String> = blocks.iter().filter(|b| is_toml(b)).map(|b| &b.1).collect();
    match manifests.as_slice() {
        [] => Ok(Found { script, manifest: String::new() }),
        [only] => Ok(Found { script, manifest: (*only).clone() }),
        [first, .., last] if first == last => Ok(Found { script, manifest: (*last).clone() }),
        many => {
            let message = format!("{} different ```toml blocks", many.len());
            refuse("reply-two-manifests", message, "answer with one ```toml block at most")
        }
    }
}

/// What stands behind a model's thoughts, where it shows them.
fn without_thoughts(reply: &str) -> &str {
    match reply.rsplit_once("</think>") {
        Some((_, rest)) if rest.contains("fn ") => rest,
        _ => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(reply: &str) -> String {
        parse(reply).unwrap_err().rule
    }

    #[test]
    fn helpers_are_kept_and_later_definitions_count() {
        let reply = "Sure!\n```rhai\n// How far.\nfn far(s) { s.qpos[0] }\nfn reward(s) { 0.0 }\n```\nBetter:\n~~~rhai\nimport \"lib/smooth\" as smooth;\nfn reward(s, p) {\n    #{ a: far(s) /* } */ }\n}\n~~~\nwith\n```toml\n[params.w]\nvalue = 1.0\n```\n";
        let found = parse(reply).unwrap();
        assert_eq!(
            found.script,
            "// How far.\nfn far(s) { s.qpos[0] }\nimport \"lib/smooth\" as smooth;\nfn reward(s, p) {\n    #{ a: far(s) /* } */ }\n}\n"
        );
        assert_eq!(found.manifest, "[params.w]\nvalue = 1.0\n");
    }

    #[test]
    fn code_without_a_fence_and_cut_blocks_are_read() {
        assert_eq!(parse("Here:\nfn reward(s) {\n 1.0 }").unwrap().script, "fn reward(s) {\n 1.0 }\n");
        assert_eq!(parse("```\nfn reward(s) {\n 1.0").unwrap().script, "fn reward(s) {\n 1.0\n");
        assert_eq!(
            parse("<think>fn reward(x)</think>fn y() {}\nfn reward(s) { 1.0 }").unwrap().script.lines().count(),
            2
        );
    }

    #[test]
    fn useless_replies_are_named() {
        assert_eq!(rule(" \n"), "reply-empty");
        assert_eq!(rule("I cannot help with that."), "reply-no-code");
        assert_eq!(rule("```python\nprint(1)\n```"), "reply-no-code");
        assert_eq!(rule("```rhai\nfn help(s) { 1.0 }\n```"), "reply-no-reward");
        assert_eq!(rule(&"x".repeat(1 << 20)), "reply-size");
        let twice = "```rhai\nfn reward(s) { 1.0 }\n```\n```toml\na = 1\n```\n```toml\na = 2\n```";
        assert_eq!(rule(twice), "reply-two-manifests");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "(```|rhai|toml|fn reward\\(s\\)|\\{|\\}|\"|//|\n|[a-z ]|\\PC){0,60}") {
            if let Ok(found) = parse(&text) {
                prop_assert!(found.script.contains("reward"));
            }
        }
    }
}
