//! Fenced blocks of a reply in Markdown, as models write them.
//!
//! A fence is three or more backticks or tildes; it is closed by one of the same sign, as long or longer, with nothing
//! behind it. Besides that (CommonMark 0.31, section 4.5): a fence with a word behind it ends a block that was not
//! closed, a block may be quoted (`> `), it may open and close on one line, and one that holds Markdown is opened too.

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The words behind the fence, in small letters.
    pub word: String,
    /// What is in it.
    pub body: String,
    /// Was it closed? Else it may have prose at its end.
    pub closed: bool,
}

/// A line that may open or close a block.
struct Fence<'a> {
    sign: char,
    length: usize,
    rest: &'a str,
}

/// The line without the signs of a quotation.
fn unquoted(line: &str) -> &str {
    let mut rest = line.trim_start();
    while let Some(quoted) = rest.strip_prefix('>') {
        rest = quoted.strip_prefix(' ').unwrap_or(quoted);
    }
    rest
}

fn fence(line: &str) -> Option<Fence<'_>> {
    let bare = unquoted(line).trim_start();
    let bare = bare.strip_prefix("- ").or_else(|| bare.strip_prefix("* ")).unwrap_or(bare);
    let sign = bare.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let rest = bare.trim_start_matches(sign);
    let length = bare.len() - rest.len();
    (length >= 3).then_some(Fence { sign, length, rest: rest.trim() })
}

/// A block that opens and closes on one line: its text, with the word before it where there is one.
fn on_one_line(fence: &Fence<'_>) -> Option<Block> {
    let inner = fence.rest.strip_suffix(&fence.sign.to_string().repeat(fence.length))?;
    let inner = inner.trim_matches(fence.sign).trim();
    let is_code = |word: &str| matches!(word, "fn" | "import" | "const" | "let" | "private");
    let (word, body) = match inner.split_once(char::is_whitespace) {
        Some((word, code)) if word.chars().all(char::is_alphanumeric) && !is_code(word) => (word, code),
        _ => ("", inner),
    };
    (!body.is_empty()).then(|| Block { word: word.to_ascii_lowercase(), body: format!("{body}\n"), closed: true })
}

/// Does a block with these words hold Markdown?
fn is_markdown(word: &str) -> bool {
    matches!(word.split(|c: char| !c.is_alphanumeric()).next(), Some("md" | "markdown" | "mdx"))
}

/// Every block in order, and the text around them.
pub fn blocks(text: &str) -> (Vec<Block>, String) {
    let (mut found, mut around) = (Vec::new(), String::new());
    let mut open: Option<(char, usize, Block)> = None;
    for line in text.lines() {
        let fence = fence(line);
        let Some((sign, length, mut block)) = open.take() else {
            match fence {
                Some(fence) if fence.rest.contains(fence.sign) => match on_one_line(&fence) {
                    Some(block) => found.push(block),
                    None => around = around + line + "\n",
                },
                Some(Fence { sign, length, rest }) => {
                    let word = rest.to_ascii_lowercase();
                    open = Some((sign, length, Block { word, body: String::new(), closed: false }));
                }
                None => around = around + line + "\n",
            }
            continue;
        };
        if let Some(fence) = fence.filter(|f| f.sign == sign && f.length >= length) {
            let names_another = fence.rest.starts_with(|c: char| c.is_alphanumeric() || c == '{');
            if !names_another {
                found.push(Block { closed: true, ..block });
                continue;
            }
            if !is_markdown(&block.word) {
                found.push(block);
                let word = fence.rest.to_ascii_lowercase();
                open = Some((fence.sign, fence.length, Block { word, body: String::new(), closed: false }));
                continue;
            }
        }
        block.body.push_str(if line.trim_start().starts_with('>') { unquoted(line) } else { line });
        block.body.push('\n');
        open = Some((sign, length, block));
    }
    found.extend(open.map(|(_, _, block)| block));
    (found.into_iter().flat_map(opened).collect(), around)
}

/// The blocks within a block, where it holds some; else itself.
fn opened(block: Block) -> Vec<Block> {
    let is_code = block.word.starts_with("rhai") || block.word.starts_with("toml");
    if is_code || !block.body.lines().any(|line| fence(line).is_some()) {
        return vec![block];
    }
    let (inner, _) = blocks(&block.body);
    if inner.is_empty() { vec![block] } else { inner }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_as_models_write_them() {
        let code = "fn reward(s) {\n    1.0\n}";
        let expected = format!("{code}\n");
        for (text, word, closed) in [
            (format!("```rhai\n{code}\n```"), "rhai", true),
            (format!("Words.\n\n  ```Rhai reward.rhai\n{code}\n  ```  \nwords"), "rhai reward.rhai", true),
            (format!("````rhai\n{code}\n````"), "rhai", true),
            (format!("```rhai\n{code}\n`````"), "rhai", true),
            (format!("~~~rhai\n{code}\n~~~"), "rhai", true),
            (format!("~~~~~ rhai\n{code}\n~~~~~"), "rhai", true),
            (format!("```\n{code}\n```"), "", true),
            (format!("```rhai\n{code}"), "rhai", false),
            (format!("````markdown\n```rhai\n{code}\n```\n````"), "rhai", true),
            (format!("~~~md\n```rhai\n{code}\n```\n~~~"), "rhai", true),
            (format!("````\n~~~rhai\n{code}\n~~~\n````"), "rhai", true),
            (format!("```markdown\n```rhai\n{code}\n```\n```"), "rhai", false),
            (format!("`````\n````md\n```rhai\n{code}\n```\n````\n`````"), "rhai", true),
            (format!("```rhai\n{code}\n```toml\n[params.a]\n```"), "rhai", false),
            (format!("> ```rhai\n> {}\n> ```", code.replace('\n', "\n> ")), "rhai", true),
            (format!("- ```rhai\n{code}\n```"), "rhai", true),
            (format!("```{{.rhai}}\n{code}\n```"), "{.rhai}", true),
        ] {
            let (found, _) = blocks(&text);
            let first = found.first().unwrap_or_else(|| panic!("none in {text}"));
            assert_eq!(first, &Block { word: word.into(), body: expected.clone(), closed }, "{text}");
        }
    }

    #[test]
    fn what_is_no_block_stands_around_them() {
        let (found, around) =
            blocks("before\n```rhai fn reward(s) { 1.0 }```\nbetween ``` words\n`` x ``\n```fn a() {}```\n");
        let bodies: Vec<&str> = found.iter().map(|b| b.body.as_str()).collect();
        assert_eq!(bodies, ["fn reward(s) { 1.0 }\n", "fn a() {}\n"]);
        assert_eq!(around, "before\nbetween ``` words\n`` x ``\n");
        // A tilde fence holds backticks, a longer fence shorter ones of code.
        let (found, _) = blocks("~~~rhai\nlet a = `\n```\n`;\n~~~\n");
        assert_eq!(found[0].body, "let a = `\n```\n`;\n");
    }
}
