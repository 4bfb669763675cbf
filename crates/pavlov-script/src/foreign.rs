//! Words of other languages in a script: where they stand, and how rhai says it.
//!
//! Rewards are written by people and by language models whose hands know Python, Rust, C or JavaScript. What is looked
//! for here is only looked for in a script that is refused anyway, so a rule may be generous; a name that the script
//! itself declares is left alone.

use crate::tokens::{Tok, tokens};
use crate::words::{DECLARES, DEFINES, OPENS, PREFIXES, SIGNS, WORDS, function, known};
use rhai::{LexError, Token};
use std::collections::HashSet;

/// A word of another language.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Foreign {
    /// Line and column, from 1.
    pub at: (usize, usize),
    /// What is wrong with it.
    pub message: String,
    /// How rhai says it.
    pub hint: String,
}

/// More than these say nothing new.
const MAX_FOUND: usize = 12;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Word,
    Number,
    Text,
    Sign,
    /// Not of rhai.
    Bad,
    End,
}

struct Word {
    kind: Kind,
    text: String,
    at: (usize, usize),
}

fn word(tok: Tok) -> Word {
    let (kind, text) = match tok.token {
        Token::Identifier(s) => (Kind::Word, s.to_string()),
        Token::Reserved(s) if s.starts_with(char::is_alphabetic) => (Kind::Word, s.to_string()),
        Token::Reserved(s) => (Kind::Bad, s.to_string()),
        number @ (Token::IntegerConstant(_) | Token::FloatConstant(_)) => (Kind::Number, number.to_string()),
        Token::StringConstant(_) | Token::InterpolatedString(_) | Token::CharConstant(_) => (Kind::Text, String::new()),
        Token::EOF => (Kind::End, String::new()),
        Token::LexError(e) => match *e {
            LexError::ImproperSymbol(s, _)
            | LexError::UnexpectedInput(s)
            | LexError::MalformedNumber(s)
            | LexError::MalformedChar(s)
            | LexError::MalformedIdentifier(s) => (Kind::Bad, s),
            _ => (Kind::Bad, String::new()),
        },
        other => {
            let text = other.to_string();
            (if text.starts_with(char::is_alphabetic) { Kind::Word } else { Kind::Sign }, text)
        }
    };
    Word { kind, text, at: tok.at }
}

/// The text without Python's comments and docstrings, its lines as they were, and where they begin.
fn without_comments(text: &str) -> (String, Vec<Foreign>) {
    let mut found = Vec::new();
    let mut out = String::new();
    let mut docstring = false;
    for (number, line) in text.lines().enumerate() {
        let at = |column: usize| (number + 1, line[..column].chars().count() + 1);
        let mut rest = line;
        if let Some(column) = rest.find("\"\"\"") {
            if !docstring {
                let (message, hint) = ("`\"\"\"` is Python's docstring", "a comment begins with `//`");
                found.push(Foreign { at: at(column), message: message.into(), hint: hint.into() });
            }
            // One that ends on its line leaves the state as it was.
            docstring ^= rest.matches("\"\"\"").count() % 2 == 1;
            rest = &line[..column];
        } else if docstring {
            rest = "";
        }
        let mut quoted = false;
        for (column, c) in rest.char_indices() {
            let next = rest[column + c.len_utf8()..].chars().next();
            if c == '"' {
                quoted = !quoted;
            } else if c == '/' && next == Some('/') && !quoted {
                break;
            } else if c == '#' && !quoted && !matches!(next, Some('{' | '"' | '#')) {
                let (message, hint) = ("`#` is no comment in rhai", "a comment begins with `//`");
                if !found.iter().any(|f: &Foreign| f.message == message) {
                    found.push(Foreign { at: at(column), message: message.into(), hint: hint.into() });
                }
                rest = &rest[..column];
                break;
            }
        }
        out += rest;
        out.push('\n');
    }
    (out, found)
}

/// Words of other languages in a text that rhai refuses, in the order of the text.
pub(crate) fn foreign(text: &str) -> Vec<Foreign> {
    let (code, mut found) = without_comments(text);
    let words: Vec<Word> = tokens(&code).into_iter().map(word).collect();
    let scan = Scan { words: &words, declared: declared(&words) };
    let mut brackets: Vec<(&str, bool)> = Vec::new();
    for i in 0..words.len() {
        let w = &words[i];
        match w.text.as_str() {
            "(" | "[" | "{" | "#{" => brackets.push((&w.text, i > 0 && scan.operand(i - 1))),
            ")" | "]" | "}" => drop(brackets.pop()),
            _ => {}
        }
        let call = matches!(brackets.last(), Some(("(", true)));
        if let Some((message, hint)) = scan.at(i, call) {
            found.push(Foreign { at: w.at, message, hint });
        }
    }
    found.sort_by_key(|f| f.at);
    found.dedup_by(|b, a| a.at == b.at || (a.at.0 == b.at.0 && a.hint == b.hint));
    found.truncate(MAX_FOUND);
    found
}

/// Names that the script itself declares.
fn declared(words: &[Word]) -> HashSet<&str> {
    let mut out = HashSet::new();
    let text = |i: usize| words.get(i).map_or("", |w| w.text.as_str());
    for i in 0..words.len() {
        match text(i) {
            "let" | "const" | "for" if words.get(i + 1).is_some_and(|w| w.kind == Kind::Word) => {
                out.insert(text(i + 1));
            }
            "fn" => {
                let end = (i..words.len()).find(|&k| matches!(text(k), ")" | "{" | "()")).unwrap_or(i);
                out.extend((i + 1..end).filter(|&k| words[k].kind == Kind::Word).map(text));
            }
            "|" => {
                let parameters = (i + 1..words.len()).take_while(|&k| words[k].kind == Kind::Word || text(k) == ",");
                out.extend(parameters.filter(|&k| words[k].kind == Kind::Word).map(text));
            }
            _ => {}
        }
    }
    out
}

struct Scan<'a> {
    words: &'a [Word],
    declared: HashSet<&'a str>,
}

impl Scan<'_> {
    fn text(&self, i: usize) -> &str {
        self.words.get(i).map_or("", |w| w.text.as_str())
    }

    fn is_word(&self, i: usize) -> bool {
        self.words.get(i).is_some_and(|w| w.kind == Kind::Word)
    }

    fn line(&self, i: usize) -> usize {
        self.words.get(i).map_or(0, |w| w.at.0)
    }

    fn first_on_line(&self, i: usize) -> bool {
        i == 0 || self.line(i - 1) < self.line(i)
    }

    /// Can a value end here?
    fn operand(&self, i: usize) -> bool {
        let keyword = matches!(
            self.text(i),
            "if" | "else" | "return" | "in" | "while" | "for" | "let" | "const" | "fn" | "and" | "or" | "not" | "elif"
        );
        let w = &self.words[i];
        match w.kind {
            Kind::Word => !keyword,
            Kind::Number | Kind::Text => true,
            _ => matches!(w.text.as_str(), ")" | "]" | "()"),
        }
    }

    /// Is there a value before this one, on its line?
    fn follows_operand(&self, i: usize) -> bool {
        i > 0 && !self.first_on_line(i) && self.operand(i - 1)
    }

    fn at(&self, i: usize, call: bool) -> Option<(String, String)> {
        let say = |message: String, hint: &str| Some((message, hint.to_string()));
        let named = |text: &str| format!("`{text}` is not rhai");
        let w = &self.words[i];
        let (text, next) = (w.text.as_str(), self.text(i + 1));
        let before = if i > 0 { self.text(i - 1) } else { "" };
        match w.kind {
            Kind::Bad => return self.bad(i),
            Kind::Number => return self.number(i),
            Kind::Sign => match text {
                "{" if before != ")"
                    && self.words.get(i + 1).is_some_and(|w| matches!(w.kind, Kind::Text | Kind::Word))
                    && self.text(i + 2) == ":" =>
                {
                    return say("`{` begins a block, not a map".into(), "a map is `#{ name: 1.0 }`");
                }
                ":" if self.line(i + 1) > w.at.0 || self.words[i + 1].kind == Kind::End => {
                    let start = (0..=i).rev().find(|&k| self.first_on_line(k)).unwrap_or(i);
                    if OPENS.contains(&self.text(start)) {
                        let hint = "a block stands in braces: `if c { ... } else { ... }`";
                        return say("a block after `:` is Python".into(), hint);
                    }
                }
                "=" if call && self.is_word(i.wrapping_sub(1)) && matches!(self.text(i.wrapping_sub(2)), "(" | ",") => {
                    return say(
                        format!("`{before}=`: arguments have no names"),
                        "write the values alone, in their order",
                    );
                }
                _ => return None,
            },
            Kind::Word => {}
            Kind::Text | Kind::End => return None,
        }
        // A property, or a key of a map.
        if matches!(before, "." | "?.") || (next == ":" && matches!(before, "{" | "#{" | ",")) {
            return None;
        }
        match text {
            "if" if self.follows_operand(i) && before != "()" => {
                return say("`x if c else y` is Python".into(), "write `if c { x } else { y }`");
            }
            "for" if self.follows_operand(i) => {
                let hint = "write `list.map(|x| ...)`, and `.sum()` of it for a sum";
                return say("`... for x in list` is Python".into(), hint);
            }
            "mut" if before == "let" => {
                return say(named("mut"), "every `let` can be changed: write `let x = ...`");
            }
            "let" | "const" if self.text(i + 2) == ":" => {
                return say("types are not written in rhai".into(), &format!("write `{text} {next} = ...`"));
            }
            "let" if matches!(next, "(" | "[") => {
                return say("rhai takes nothing apart".into(), "write a `let` for each: `let a = x[0]; let b = x[1];`");
            }
            "fn" => {
                let end = (i..self.words.len()).find(|&k| matches!(self.text(k), ")" | "{" | "()")).unwrap_or(i);
                if (i..end).any(|k| self.text(k) == ":") {
                    return say("types are not written in rhai".into(), "write `fn reward(s, p) { ... }`");
                }
                return None;
            }
            "import" if self.is_word(i + 1) => {
                let hint = "functions are built in: write `exp(x)`; modules are `import \"lib/gait\" as gait;`";
                return say("there are no Python modules here".into(), hint);
            }
            "from" | "use" | "using" if self.first_on_line(i) && self.is_word(i + 1) => {
                let hint = "functions are built in: write `exp(x)`; modules are `import \"lib/gait\" as gait;`";
                return say(named(text), hint);
            }
            _ => {}
        }
        if self.declared.contains(text) {
            return None;
        }
        match text {
            "and" if self.follows_operand(i) || self.first_on_line(i) => say(named("and"), "write `&&`"),
            "or" if self.follows_operand(i) || self.first_on_line(i) => say(named("or"), "write `||`"),
            "not" if next == "in" => say(named("not in"), "write `!(x in list)`"),
            "not" => say(named("not"), "write `!x`"),
            "is" if self.follows_operand(i) => say(named("is"), "write `==`"),
            "then" | "end" | "endif" | "begin" if !matches!(next, "=" | "." | "(") => {
                say(named(text), "a block stands in braces: `if c { ... } else { ... }`")
            }
            "pass" if self.first_on_line(i) => say(named("pass"), "leave it out: a block may be empty, `{ }`"),
            "def" => say("`def` is Python: a script is rhai".into(), DEFINITION),
            _ if DEFINES.contains(&text) && self.first_on_line(i) => say(named(text), DEFINITION),
            _ if DECLARES.contains(&text) && self.is_word(i + 1) && self.text(i + 2) == "=" => {
                say(named(text), &format!("write `let {next} = ...`"))
            }
            _ if DECLARES.contains(&text) && self.is_word(i + 1) && self.text(i + 2) == "(" => {
                say(named(text), DEFINITION)
            }
            _ if PREFIXES.contains(&text) && matches!(next, "." | "::") => {
                let prefix = format!("{text}{next}");
                // The name is behind the last prefix: `np.linalg.norm`, `std::f64::consts::PI`.
                let mut name = i + 2;
                while matches!(self.text(name + 1), "." | "::") && self.is_word(name + 2) && !known(self.text(name)) {
                    name += 2;
                }
                let called = format!("{prefix}{}", self.text(i + 2));
                say(format!("`{called}`: functions have no prefix in rhai"), &function(self.text(name)))
            }
            "PI" if matches!(next, "()" | "(") => None,
            _ => WORDS.iter().find(|w| w.0 == text).and_then(|(_, hint)| say(named(text), hint)),
        }
    }

    fn number(&self, i: usize) -> Option<(String, String)> {
        let (w, next) = (&self.words[i], self.words.get(i + 1)?);
        let suffix = next.kind == Kind::Word && next.at.0 == w.at.0 && next.text.starts_with(['f', 'F', 'd', '_']);
        if suffix && matches!(next.text.trim_start_matches('_'), "f" | "F" | "f64" | "f32" | "d") {
            let message = format!("`{}` behind a number is not rhai", next.text);
            return Some((message, format!("write the number alone: `{}`", w.text)));
        }
        if i > 0 && self.text(i - 1) == "." && !(i > 1 && self.operand(i - 2)) {
            return Some(("a number needs a digit before its point".into(), "write `0.5` for `.5`".into()));
        }
        None
    }

    fn bad(&self, i: usize) -> Option<(String, String)> {
        let text = self.text(i);
        let named = format!("`{text}` is not rhai");
        let hint = match text {
            "?" => "write `if c { a } else { b }` for `c ? a : b`",
            "++" => "write `x += 1`",
            "--" => "write `x -= 1`, or `x - (-y)`",
            "->" if (0..i).rev().take_while(|&k| self.line(k) == self.line(i)).any(|k| self.text(k) == "fn") => {
                "types are not written: `fn reward(s, p) { ... }`"
            }
            "->" => "write `.`: `s.qpos`",
            "===" => "write `==`",
            "!==" => "write `!=`",
            ":=" => "write `let x = ...`",
            "@" => "a script has no decorators, and a product of matrices is written out",
            "~" => "write `!x`",
            _ => {
                let mut chars = text.chars();
                let (first, more) = (chars.next()?, chars.next().is_some());
                if let Some((_, ours)) = SIGNS.iter().find(|s| s.0 == first && !more) {
                    return Some((format!("the sign U+{:04X} is not rhai", first as u32), format!("write {ours}")));
                }
                if first.is_ascii_digit() {
                    let digits: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
                    return Some((format!("`{text}` is not a number"), format!("write `{digits}`")));
                }
                if more && !first.is_ascii_punctuation() {
                    // A text in single quotes.
                    return Some((format!("`'{text}'` is not a text"), format!("write `\"{text}\"`")));
                }
                return None;
            }
        };
        Some((named, hint.into()))
    }
}

const DEFINITION: &str = "a function is `fn reward(s, p) { #{ name: 1.0 } }`: blocks in braces, statements end \
                          with `;`, the last expression is the result";

/// `x // 2` is `x` and a comment: a comment that reads like the rest of a division.
pub(crate) fn division_by_a_comment(text: &str) -> Vec<Foreign> {
    let words: Vec<Word> = tokens(text).into_iter().map(word).collect();
    let mut out = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some((code, comment)) = line.split_once("//") else { continue };
        let operand = words.iter().rfind(|w| w.at.0 == number + 1).is_some_and(|w| match w.kind {
            Kind::Word | Kind::Number => true,
            _ => matches!(w.text.as_str(), ")" | "]" | "()"),
        });
        // What follows is a number or a name, and then only what ends an expression.
        let comment = comment.trim();
        let value = comment.trim_end_matches([';', ',', ')', '}', ']', ' ']);
        let number_alone = value.parse::<f64>().is_ok();
        let name = value.starts_with(char::is_alphabetic)
            && value.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
            && value.len() < comment.len();
        if operand && !code.trim().is_empty() && (number_alone || name) {
            out.push(Foreign {
                at: (number + 1, code.chars().count() + 1),
                message: format!("`//` begins a comment: nothing is divided by `{value}`"),
                hint: format!("write `/ {value}`, or `floor(x / {value})` for a whole number"),
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::scene::example;
    use crate::{EntryKind, Finding, Script};
    use std::sync::Arc;

    fn findings(text: &str) -> Vec<Finding> {
        let params = [("w".to_string(), 1.0)];
        let compiled = Script::parse("reward.rhai", text)
            .and_then(|s| s.compile("reward", EntryKind::Terms, &Arc::new(example()), &params));
        match compiled {
            Ok(program) => program.findings().to_vec(),
            Err(e) => e.findings,
        }
    }

    #[test]
    fn words_of_other_languages_get_rhais_form_at_their_line() {
        for (body, hint) in [
            ("if s.time > 0.9 and s.time < 1.1 { 1.0 } else { 0.0 }", "`&&`"),
            ("if s.time > 0.9\n or s.time < 0.1 { 1.0 } else { 0.0 }", "`||`"),
            ("if not s.time > 0.9 { 1.0 } else { 0.0 }", "`!x`"),
            ("s.time > 0.5 ? 0.5 : 0.0", "`if c { a } else { b }`"),
            ("1.0 if s.time > 0.5 else 0.0", "`if c { x } else { y }`"),
            ("if s.time > 0.5:\n 1.0", "in braces"),
            ("if s.time > 0.5 { 1.0 } elif s.time > 0.2 { 0.5 } else { 0.0 }", "else if"),
            ("let up = True; 1.0", "`true`"),
            ("let a = None; 1.0", "`0.0`"),
            ("let a = null; 1.0", "`0.0`"),
            ("np.exp(-s.time)", "`exp(number)`"),
            ("1.0 - math.exp(-s.time)", "`exp(number)`"),
            ("np.linalg.norm(s.qvel)", "norm"),
            ("np.clip(s.time, 0.0, 1.0)", "clamp(x, low, high)"),
            ("np.square(s.time)", "x * x"),
            ("torch.abs(s.time)", "`abs(number)`"),
            ("s.time * math.pi", "`PI()`"),
            ("s.time * Math.PI", "`PI()`"),
            ("s.time * std::f64::consts::PI", "`PI()`"),
            ("s.time * PI", "`PI()`"),
            ("self.time", "the state is `s`"),
            ("let f = lambda x: x * x; f(1.0)", "|x|"),
            ("s.time ^ 2", "x ** 2"),
            ("2 ^ 3", "x ** 2"),
            ("s.time.powi(2)", "x ** y"),
            ("let x = 1.0f64; x", "`1.0`"),
            ("let x = 1.0_f64; x", "`1.0`"),
            ("let x = 0.5f; x", "`0.5`"),
            ("let x: f64 = 1.0; x", "`let x = ...`"),
            ("let mut x = 1.0; x", "`let x = ...`"),
            ("var x = 1.0; x", "`let x = ...`"),
            ("float x = 1.0; x", "`let x = ...`"),
            ("s.body('torso').height", "`\"torso\"`"),
            ("let x = 1.0; x++; x", "`x += 1`"),
            ("return { \"up\": 1.0 };", "#{ name: 1.0 }"),
            ("{ up: 1.0 }", "#{ name: 1.0 }"),
            ("1.0 # the rest", "`//`"),
            ("sum(v * v for v in s.qvel)", ".map(|x| ...)"),
            ("[v * v for v in s.qvel].sum()", ".map(|x| ...)"),
            ("for i in range(3) { } 1.0", "`0..n`"),
            ("import numpy as np\n 1.0", "functions are built in"),
            ("s->time", "`s.qpos`"),
            ("s.time === 1.0", "`==`"),
            ("s.time \u{2212} 1.0", "write -"),
            ("clamp(s.time, low=0.0, high=1.0)", "values alone"),
            ("qvel[0] + 1.0", "`s.qvel`"),
            ("obs[0] + 1.0", "the state is `s`"),
            ("w * s.time", "`p.w`"),
            ("timestamp().elapsed", "`s.time`"),
            ("sleep(1); 1.0", "leave it out"),
            ("rand()", "no random numbers"),
            ("if s.time > 100.0 { sleep(1); } let n = 0; while n < s.time { n += 1; } 1.0", "leave it out"),
            ("let n = 0; while n < s.time { n += 1; } if s.time > 100.0 { sleep(1); } 1.0", "leave it out"),
            ("let x = s.time // 2;\n x", "floor"),
            ("let x = s.time // 2.0\n; x", "floor"),
            ("s.time // 2", "floor"),
        ] {
            let text = format!("fn reward(s, p) {{\n\n {body}\n}}");
            let found = findings(&text);
            let named = found.iter().find(|f| f.hint.contains(hint));
            let named = named.unwrap_or_else(|| panic!("{body}\n{found:#?}"));
            let line = 3 + usize::from(body.contains("\n or"));
            assert_eq!(named.line, line, "{body}\n{found:#?}");
        }
    }

    #[test]
    fn whole_files_of_other_languages_are_named() {
        let python = "import numpy as np\n\ndef reward(s):\n    \"\"\"Stand, don't fall.\"\"\"\n    \
                      # it's up\n    up = np.cos(s.qpos[2])\n    return {\"up\": up if up > 0 else 0.0}\n";
        let found = findings(python);
        let lines: Vec<usize> = found.iter().map(|f| f.line).collect();
        for line in [1, 3, 4, 5, 6, 7] {
            assert!(lines.contains(&line), "{line}: {found:#?}");
        }
        assert!(found.iter().any(|f| f.message.contains("Python") && f.line == 3), "{found:#?}");
        let rust = "pub fn reward(s: &State) -> f64 {\n    let x: f64 = 1.0;\n    x\n}\n";
        assert!(findings(rust).iter().any(|f| f.line == 1 && f.hint.contains("fn reward(s, p)")));
        let javascript = "function reward(s) {\n  return { up: Math.cos(s.qpos[2]) };\n}\n";
        let found = findings(javascript);
        assert!(found.iter().any(|f| f.line == 1) && found.iter().any(|f| f.line == 2), "{found:#?}");
    }

    #[test]
    fn names_that_a_script_declares_are_its_own() {
        for body in [
            "let and = 1.0; #{ a: and }",
            "let end = s.time; let begin = 0.0; #{ pass: end - begin }",
            "#{ or: 1.0, not: 0.5, def: s.time }",
            "let m = #{ math: 1.0 }; m.math",
            "let pi = PI(); pi * s.time // half a turn, in rad",
        ] {
            let text = format!("fn reward(s) {{\n {body}\n}}");
            let found = findings(&text);
            assert!(found.is_empty(), "{body}\n{found:#?}");
            // Nor are they named where something else is wrong.
            let found = findings(&text.replace("fn reward(s) {", "fn reward(s) { let x = vell;"));
            assert!(found.iter().all(|f| f.message.contains("vell") || f.rule == "unused"), "{body}\n{found:#?}");
        }
    }
}
