//! From a model's reply (or a pasted text) to the script and the manifest of a reward.
//!
//! A reply may have prose around several fenced blocks ([`blocks`]). The script is made of all rhai blocks that define
//! functions ([`pieces`]): where one function (name and number of parameters) is defined more than once the last
//! definition counts, helpers are kept. A `toml` block is the manifest, in short forms too ([`manifest`]). Without a
//! fence, or where one was not closed, prose is told from code by how its lines begin. Replies are untrusted: what
//! cannot be used ends in a named rejection, and nothing of it is ever run outside of the checker's sandbox.

mod blocks;
mod manifest;
mod pieces;

use crate::client::Ending;
use crate::lineage::Rejection;
use blocks::{Block, blocks};
use pieces::{Defines, Piece, pieces};

/// Bytes of a reply that are looked at.
pub const MAX_REPLY: usize = 256 * 1024;

/// Languages that are not rhai: such blocks count only where no other block has a function.
const OTHERS: [&str; 16] = [
    "python",
    "py",
    "rust",
    "rs",
    "javascript",
    "js",
    "typescript",
    "ts",
    "c",
    "cpp",
    "c++",
    "java",
    "json",
    "diff",
    "bash",
    "yaml",
];
/// With what the lines of a manifest without a fence begin.
const TABLES: [&str; 5] = ["[params", "[[params", "[parameters", "[terms", "[combine"];
/// With what thoughts end where they are shown, and begin where that is marked.
const THOUGHTS: [(&str, &str); 6] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
];

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

/// What of a reply is to be read that did not end by itself, and the name of that. `limit` is the limit of tokens.
pub fn broken_off(reply: &str, ending: Ending, limit: Option<u64>) -> (&str, Rejection) {
    let all = limit.map_or_else(String::new, |limit| format!(" {limit}"));
    // Drafts among thoughts that never ended are no answer.
    let unended = |(begin, end): &(&str, &str)| reply.find(begin).filter(|_| !reply.contains(end));
    let text = &reply[..THOUGHTS.iter().filter_map(unended).min().unwrap_or(reply.len())];
    let (rule, message, hint) = match ending {
        Ending::Tokens if text.trim().is_empty() => (
            "reply-cut",
            format!(
                "the model's thoughts took all{all} tokens before it wrote a word (finish_reason length, --max-tokens)"
            ),
            "raise --max-tokens; think less, answer with one ```rhai block",
        ),
        Ending::Tokens => (
            "reply-cut",
            format!("the reply was cut at the limit of{all} tokens (finish_reason length, --max-tokens)"),
            "raise --max-tokens; answer with one ```rhai block and few words",
        ),
        Ending::Filter => (
            "reply-filtered",
            "a filter of the endpoint cut the reply (finish_reason content_filter)".into(),
            "answer with one ```rhai block and few words",
        ),
        Ending::Thoughts => {
            ("reply-thoughts", "the model thought and wrote no answer".into(), "answer with one ```rhai block")
        }
        Ending::Tools => (
            "reply-tools",
            "the model called a tool in place of an answer: it has none".into(),
            "answer with one ```rhai block",
        ),
    };
    (text, Rejection { rule: rule.into(), message, hint: hint.into() })
}

/// Does a text define a function, outside of comments and strings?
fn has_function(text: &str) -> bool {
    pieces(text).iter().any(|piece| matches!(piece.defines, Defines::Function(..)))
}

/// The first word behind a fence, as a language.
fn language(block: &Block) -> &str {
    block.word.trim_start_matches(['{', '.', ' ']).split([' ', '}', ',', ':']).next().unwrap_or_default()
}

fn is_manifest(block: &Block) -> bool {
    match language(block) {
        "toml" => true,
        "" | "ini" | "text" | "txt" | "conf" => {
            (block.body.contains("[params") && !block.body.contains("fn ")) || manifest::looks_like(&block.body)
        }
        word => word == "reward.toml",
    }
}

/// Code among prose: functions with the comments above them, imports and constants. What begins as a table of a
/// manifest goes to `tables`.
fn loose(text: &str, tables: &mut String) -> String {
    let mut out = String::new();
    for piece in pieces(text) {
        let (above, code) = piece.text.split_at(piece.begins);
        take_tables(above, tables);
        let is_code = match &piece.defines {
            Defines::Function(..) => true,
            Defines::Name(_) => {
                ["import ", "const ", "let ", "export "].into_iter().any(|word| code.trim_start().starts_with(word))
            }
            Defines::Text(_) => false,
        };
        if !is_code {
            take_tables(code, tables);
            continue;
        }
        let is_comment = |line: &&str| {
            let line = line.trim_start();
            ["//", "/*", "* ", "*/", "private"].into_iter().any(|start| line.starts_with(start))
        };
        let lines: Vec<&str> = above.lines().collect();
        let comments = lines.iter().rev().take_while(|line| is_comment(line)).count();
        for line in &lines[lines.len() - comments..] {
            // `private` stands on the line of its function.
            out = out + *line + if line.trim() == "private" { " " } else { "\n" };
        }
        out += code.trim_start_matches('\n');
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    out
}

/// Adds the tables of a manifest that stand in a text: from their first line on, as long as lines look like TOML.
fn take_tables(text: &str, tables: &mut String) {
    let begins = |line: &&str| TABLES.iter().any(|table| line.trim_start().starts_with(table));
    let goes_on = |line: &&str| {
        let line = line.trim();
        line.is_empty() || line.starts_with(['[', '#']) || line.contains('=')
    };
    for line in text.lines().skip_while(|line| !begins(line)).take_while(goes_on) {
        *tables = std::mem::take(tables) + line + "\n";
    }
}

/// The script of these texts: of pieces that define the same the last one.
fn joined(scripts: &[String], tables: &mut String) -> Result<String, Rejection> {
    let all: Vec<Piece> = scripts.iter().flat_map(|script| pieces(script)).collect();
    let is_function =
        |piece: &Piece, wanted: &str| matches!(&piece.defines, Defines::Function(name, _) if name == wanted);
    if !all.iter().any(|piece| is_function(piece, "reward")) {
        let name = |piece: &Piece| match &piece.defines {
            Defines::Function(name, _) => Some(name.clone()),
            _ => None,
        };
        let names: Vec<String> = all.iter().filter_map(name).collect();
        let message = format!("no function `reward` among {}", names.join(", "));
        return refuse("reply-no-reward", message, "define `fn reward(s, p)` that returns named terms");
    }
    let mut script = String::new();
    for (i, piece) in all.iter().enumerate() {
        let is_table = |text: &str| TABLES.iter().any(|table| text.trim_start().starts_with(table));
        if matches!(&piece.defines, Defines::Text(text) if is_table(text)) {
            take_tables(&piece.text, tables);
        } else if !all[i + 1..].iter().any(|later| later.defines == piece.defines) {
            script += &piece.text;
        }
    }
    Ok(script)
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
    let reply = reply.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let reply = without_thoughts(&reply);
    let (blocks, around) = blocks(reply);
    let mut tables = String::new();
    let code: Vec<&Block> = blocks.iter().filter(|b| !is_manifest(b) && has_function(&b.body)).collect();
    let is_other = |block: &&&Block| OTHERS.contains(&language(block));
    let chosen: Vec<&Block> =
        if code.iter().all(|b| is_other(&b)) { code } else { code.into_iter().filter(|b| !is_other(&b)).collect() };
    let text = |block: &&Block| if block.closed { block.body.clone() } else { loose(&block.body, &mut tables) };
    let mut scripts: Vec<String> = chosen.iter().map(text).collect();
    if scripts.is_empty() {
        scripts.extend(Some(loose(&around, &mut tables)).filter(|script| has_function(script)));
    }
    if scripts.is_empty() {
        return refuse(
            "reply-no-code",
            "there is no block with a function in the reply",
            "answer with one ```rhai block that has `fn reward(s, p)`",
        );
    }
    let script = joined(&scripts, &mut tables)?;
    let mut manifests: Vec<&str> =
        blocks.iter().filter(|b| is_manifest(b)).map(|b| b.body.as_str()).filter(|m| !m.trim().is_empty()).collect();
    if manifests.is_empty() && !tables.is_empty() {
        manifests.push(&tables);
    }
    match manifests.as_slice() {
        [] => Ok(Found { script, manifest: String::new() }),
        [first, others @ ..] if others.iter().all(|other| other == first) => {
            Ok(Found { script, manifest: manifest::expanded(first) })
        }
        many => {
            let message = format!("{} different ```toml blocks", many.len());
            refuse("reply-two-manifests", message, "answer with one ```toml block at most")
        }
    }
}

/// What stands behind a model's thoughts, where it shows them.
fn without_thoughts(reply: &str) -> &str {
    let behind = |(_, end): &(&str, &str)| reply.rsplit_once(end).map(|(_, rest)| rest);
    THOUGHTS
        .iter()
        .filter_map(behind)
        .filter(|rest| rest.contains("fn "))
        .min_by_key(|rest| rest.len())
        .unwrap_or(reply)
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

    #[test]
    fn overloaded_helpers_are_kept_and_rewritten_ones_are_not() {
        let overloaded =
            "fn w(x) { x }\nfn w(x, y) { x * y }\nfn reward(s, p) {\n    #{ up: w(w(s.qpos[0]), 2.0) }\n}\n";
        assert_eq!(parse(&format!("```rhai\n{overloaded}```")).unwrap().script, overloaded);
        let twice =
            format!("```rhai\n{overloaded}```\nOr rather:\n```rhai\nfn w(a) {{ a + a }}\nconst K = 1.0;\n```\n");
        let script = parse(&twice).unwrap().script;
        assert!(!script.contains("{ x }") && script.contains("{ a + a }") && script.contains("x * y"), "{script}");
        let on_one_line = "```\nfn up(s) { s.qpos[0] } fn reward(s) { #{ up: up(s) } }\n```";
        assert!(parse(on_one_line).unwrap().script.contains("fn up"));
    }

    #[test]
    fn prose_around_code_is_left_out() {
        let code = "// How high.\nfn up(s) {\n    s.qpos[0]\n}\nfn reward(s) {\n    #{ up: up(s) }\n}\n";
        for text in [
            format!("```rhai\n{code}\nThis pays height; it's (mostly) that."),
            format!("Sure, here's the code:\n\n{code}\nThis pays `up`.\n- up: it's height.\n"),
            format!("````markdown\n```rhai\n{code}```\n````\nDone."),
            format!("```rhai\n{code}```python\nprint(1)\n```"),
            format!("```rhai\n{code}```\n```text\nheight goes up\n```"),
            format!("```rust\nfn old(x: f64) {{ x }}\n```\nin rhai:\n```rhai\n{code}```"),
            format!("<think>\n```rhai\nfn reward(s) {{ 0.0 }}\n```\n</think>\n```rhai\n{code}```"),
            format!("<|channel|>analysis<|message|>fn reward?<|end|><|channel|>final<|message|>```\n{code}```"),
            format!("\u{feff}```rhai\r\n{}```", code.replace('\n', "\r\n")),
        ] {
            let found = parse(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
            assert_eq!(found, Found { script: code.into(), manifest: String::new() }, "{text}");
        }
    }

    #[test]
    fn parameters_are_found_wherever_they_stand() {
        let code = "fn reward(s, p) {\n    #{ up: p.up * s.qpos[0] }\n}\n";
        let long = "[params.up]\nvalue = 1.0\n";
        for text in [
            format!("```rhai\n{code}```\n```toml\n{long}```"),
            format!("```rhai\n{code}```\n```\n{long}```"),
            format!("```rhai\n{code}```\n```toml\nup = 1.0\n```"),
            format!("```rhai\n{code}```\n```ini\n[params]\nup = 1.0\n```\n```toml\n```"),
            format!("```rhai\n{code}```\n```toml\n{long}```\n```toml\n{long}```"),
            format!("```rhai\n{code}\n{long}```"),
            format!("```rhai\n{code}```toml\n{long}"),
            format!("{code}\n{long}\nThat is all."),
            format!("Here:\n{code}```toml\n{long}```\n"),
        ] {
            let found = parse(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
            assert_eq!((found.script.trim(), found.manifest.trim()), (code.trim(), long.trim()), "{text}");
        }
    }

    #[test]
    fn what_broke_off_is_named() {
        let (text, why) = broken_off("<think>fn reward(s) { 1.0 }", Ending::Tokens, Some(2048));
        assert!(text.is_empty() && why.rule == "reply-cut", "{why}");
        assert!(why.message.contains("all 2048 tokens") && why.hint.contains("--max-tokens"), "{why}");
        let reply = "<think>x</think>```rhai\nfn rew";
        let (text, why) = broken_off(reply, Ending::Tokens, None);
        assert!(text == reply && why.message.contains("cut at the limit of tokens"), "{why}");
        for (ending, rule) in
            [(Ending::Filter, "reply-filtered"), (Ending::Thoughts, "reply-thoughts"), (Ending::Tools, "reply-tools")]
        {
            assert_eq!(broken_off("", ending, None).1.rule, rule);
        }
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
