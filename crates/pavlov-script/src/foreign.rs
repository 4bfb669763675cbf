//! Words of other languages in a script: where they stand, and how rhai says it.
//!
//! Rewards are written by people and by language models whose hands know Python, Rust, C or JavaScript. What is looked
//! for here is only looked for in a script that is refused anyway, so a rule may be generous; a name that the script
//! itself declares is left alone.

use crate::table::{BUILTINS, Form};
use crate::tokens::{Tok, tokens};
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

/// Libraries whose functions are called by a prefix.
const PREFIXES: [&str; 21] = [
    "np", "numpy", "jnp", "jax", "math", "Math", "torch", "tf", "F", "nn", "cmath", "std", "f64", "f32", "scipy", "mjx",
    "cp", "nalgebra", "keras", "glm", "ops",
];

/// Functions of these libraries by their own names, and how rhai says them. What has the name of a built-in needs no
/// row.
const FUNCTIONS: &[(&[&str], &str)] = &[
    (&["fabs", "absolute"], "`abs(x)`"),
    (&["power", "float_power", "powi", "powf"], "`x ** y`"),
    (&["square"], "`x * x`, or `v.norm2()` of a vector or an array"),
    (&["maximum", "fmax", "amax"], "`max(x, y)`, or `a.max()` of an array"),
    (&["minimum", "fmin", "amin"], "`min(x, y)`, or `a.min()` of an array"),
    (&["clip"], "`clamp(x, low, high)`"),
    (&["where", "cond", "select"], "`if c { a } else { b }`"),
    (&["linalg", "hypot"], "`v.norm()` of a vector or an array, or `v.norm2()` of its square"),
    (&["arcsin"], "`asin(x)`"),
    (&["arccos"], "`acos(x)`"),
    (&["arctan"], "`atan(x)`"),
    (&["arctan2"], "`atan2(y, x)`"),
    (&["pi", "PI", "consts"], "`PI()`"),
    (&["array", "asarray", "tensor", "stack", "concatenate"], "an array: `[a, b]`, or `vec3(x, y, z)`"),
    (&["log10"], "`ln(x) / ln(10.0)`"),
    (&["log2"], "`ln(x) / ln(2.0)`"),
    (&["deg2rad", "radians"], "`x * PI() / 180.0`"),
    (&["rad2deg", "degrees"], "`x * 180.0 / PI()`"),
    (&["sigmoid", "expit"], "`1.0 / (1.0 + exp(-x))`"),
    (&["relu"], "`max(x, 0.0)`"),
    (&["logical_and"], "`a && b`"),
    (&["logical_or"], "`a || b`"),
    (&["logical_not"], "`!a`"),
    (&["signum"], "`sign(x)`"),
    (&["inf", "INFINITY", "nan", "NAN"], "a finite number: a term must be finite in every state"),
];

/// Single words, and what rhai has instead.
const WORDS: &[(&str, &str)] = &[
    ("True", "write `true`"),
    ("False", "write `false`"),
    ("None", "there is no such value: a term is a number, so write `0.0`"),
    ("null", "there is no such value: a term is a number, so write `0.0`"),
    ("nil", "there is no such value: a term is a number, so write `0.0`"),
    ("undefined", "there is no such value: a term is a number, so write `0.0`"),
    ("elif", "write `else if c { ... }`"),
    ("elsif", "write `else if c { ... }`"),
    ("elseif", "write `else if c { ... }`"),
    ("lambda", "a closure is `|x| x * x`"),
    ("self", "the state is `s`, as in `s.qpos`; parameters are `p.name`"),
    ("this", "the state is `s`, as in `s.qpos`; parameters are `p.name`"),
    ("M_PI", "write `PI()`"),
    ("pi", "write `PI()`"),
    ("PI", "write `PI()`"),
    ("inf", "write a finite number: a term must be finite in every state"),
    ("nan", "write a finite number: a term must be finite in every state"),
    ("yield", "a function gives its last expression: a map of named numbers"),
    ("await", "everything is computed at once: leave it out"),
    ("async", "everything is computed at once: leave it out"),
    ("match", "write `if ... { ... } else if ... { ... } else { ... }`"),
    ("case", "write `if ... { ... } else if ... { ... } else { ... }`"),
    ("new", "write `vec3(x, y, z)`, `[a, b]` or `#{ name: 1.0 }`"),
];

/// Words that begin a declaration elsewhere.
const DECLARES: [&str; 16] = [
    "var", "val", "local", "auto", "float", "double", "int", "bool", "f64", "f32", "real", "number", "string", "global",
    "static", "final",
];

/// Words that begin a function elsewhere.
const DEFINES: [&str; 12] =
    ["def", "function", "func", "fun", "sub", "proc", "pub", "void", "public", "class", "struct", "impl"];

/// Words that begin a block with a colon in Python.
const OPENS: [&str; 9] = ["if", "elif", "else", "for", "while", "with", "try", "except", "def"];

/// Signs that look like those of the keyboard.
const SIGNS: &[(char, &str)] = &[
    ('\u{2212}', "-"),
    ('\u{2013}', "-"),
    ('\u{2014}', "-"),
    ('\u{d7}', "*"),
    ('\u{b7}', "*"),
    ('\u{22c5}', "*"),
    ('\u{f7}', "/"),
    ('\u{2264}', "<="),
    ('\u{2265}', ">="),
    ('\u{2260}', "!="),
    ('\u{b2}', "** 2"),
    ('\u{221a}', "sqrt(x)"),
    ('\u{3c0}', "PI()"),
    ('\u{201c}', "\""),
    ('\u{201d}', "\""),
    ('\u{2018}', "\""),
    ('\u{2019}', "\""),
    ('\u{a0}', "an ordinary space"),
    ('\u{200b}', "nothing: it cannot be seen"),
    ('\u{feff}', "nothing: it cannot be seen"),
];

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
        Token::IntegerConstant(_) | Token::FloatConstant(_) => (Kind::Number, String::new()),
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
    found.extend(divided_by_a_comment(text, &words));
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
                "{" if before != ")" && self.words.get(i + 1).is_some_and(|w| matches!(w.kind, Kind::Text | Kind::Word))
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
                    return say(format!("`{before}=`: arguments have no names"), "write the values alone, in their order");
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
            "mut" if before == "let" => say(named("mut"), "every `let` can be changed: write `let x = ...`"),
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
            _ => WORDS.iter().find(|w| w.0 == text).and_then(|(_, hint)| say(named(text), hint)),
        }
    }

    fn number(&self, i: usize) -> Option<(String, String)> {
        let (w, next) = (&self.words[i], self.words.get(i + 1)?);
        let suffix = next.kind == Kind::Word && next.at.0 == w.at.0 && next.text.starts_with(['f', 'F', 'd', '_']);
        if suffix && matches!(next.text.trim_start_matches('_'), "f" | "F" | "f64" | "f32" | "d") {
            return Some((format!("`{}` behind a number is not rhai", next.text), "write the number alone: `1.0`".into()));
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

const DEFINITION: &str =
    "a function is `fn reward(s, p) { #{ name: 1.0 } }`: blocks in braces, statements end with `;`, the last expression is the result";

/// Is it a function of ours, or one with a row?
fn known(name: &str) -> bool {
    BUILTINS.iter().any(|b| b.form == Form::Function && b.name == name)
        || FUNCTIONS.iter().any(|f| f.0.contains(&name) && !matches!(name, "consts" | "linalg"))
}

/// How a function of another library is written here.
fn function(name: &str) -> String {
    if let Some((_, ours)) = FUNCTIONS.iter().find(|f| f.0.contains(&name)) {
        return format!("write {ours}");
    }
    match BUILTINS.iter().find(|b| b.form == Form::Function && b.name == name) {
        Some(b) => format!("write `{}`", b.usage()),
        None => "write the function alone, as in `exp(x)`; `pavlov rewards doc` lists all there are".into(),
    }
}

/// What a name that is not there may have been meant for: a word of another language, or a property of the state.
pub(crate) fn variable(name: &str) -> Option<String> {
    if let Some((_, hint)) = WORDS.iter().find(|w| w.0 == name) {
        return Some((*hint).to_string());
    }
    let of_state = |b: &&crate::table::Builtin| {
        b.form == Form::Property && b.name == name && b.args.first().is_some_and(|t| t.name() == "state")
    };
    if BUILTINS.iter().any(|b| of_state(&b)) {
        return Some(format!("it belongs to the state: `s.{name}`"));
    }
    matches!(name, "state" | "obs" | "observation" | "env" | "robot" | "data" | "sim" | "physics" | "model")
        .then(|| "the state is `s`, the first parameter of the function: `s.qpos`, `s.body(\"name\")`".into())
}

/// A function that scripts do not have on purpose, and what is there instead.
pub(crate) fn refused_function(name: &str) -> Option<&'static str> {
    Some(match name {
        "timestamp" | "elapsed" | "now" | "clock" | "time" | "perf_counter" | "monotonic" => {
            "scripts cannot read the clock, so that they give the same whenever they run: `s.time` is the time of the \
             episode (s), `s.step` its control steps, `s.dt` the time between two of them (s)"
        }
        "sleep" => "scripts cannot wait: leave it out",
        "rand" | "random" | "uniform" | "randn" | "normal" | "randint" => {
            "scripts have no random numbers, so that they give the same whenever they run; a task file can randomise"
        }
        "exit" | "eval" | "open" | "read" | "write" | "parse_json" => "scripts only compute: leave it out",
        _ => return None,
    })
}

/// A function of another language, and how rhai says it.
pub(crate) fn other_function(name: &str) -> Option<String> {
    if name == "range" {
        return Some("write `0..n`".into());
    }
    // These two are rhai's own.
    let of_rhai = matches!(name, "hypot" | "log10");
    (!of_rhai && FUNCTIONS.iter().any(|f| f.0.contains(&name))).then(|| function(name))
}

/// `x // 2` is `x` and a comment: a comment that reads like the rest of a division.
pub(crate) fn division_by_a_comment(text: &str) -> Vec<Foreign> {
    let words: Vec<Word> = tokens(text).into_iter().map(word).collect();
    divided_by_a_comment(text, &words)
}

fn divided_by_a_comment(text: &str, words: &[Word]) -> Vec<Foreign> {
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
