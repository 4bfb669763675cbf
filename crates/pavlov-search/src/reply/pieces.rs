//! Top-level pieces of a script: functions, imports, constants, with the comments above them.
//!
//! Brackets are counted outside of strings and comments. A line that begins with `fn` begins a function whatever stands
//! before it: rhai has none within another, so that something before was not closed.

/// What a piece defines: of two that define the same the later one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defines {
    /// A function, by its name and number of parameters. There is one `reward`, however many it takes.
    Function(String, usize),
    /// A constant, a variable or the name of a module.
    Name(String),
    /// Nothing that has a name.
    Text(String),
}

/// A piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it defines.
    pub defines: Defines,
    /// Its text, with what stands above it.
    pub text: String,
    /// Where in the text it begins itself: behind comments, or prose.
    pub begins: usize,
}

/// Where a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    Code,
    Quote(char),
    Line,
    /// A comment, so many deep.
    Comment(u32),
}

/// Calls `each` with place and character of everything that is neither in a string nor in a comment; it ends the scan
/// by returning false.
fn scan(text: &str, mut each: impl FnMut(usize, char) -> bool) {
    let mut state = In::Code;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let next = characters.peek().map(|(_, c)| *c);
        match (state, c, next) {
            (In::Code, '/', Some('/')) => state = In::Line,
            (In::Code, '/', Some('*')) => {
                characters.next();
                state = In::Comment(1);
            }
            (In::Code, '"' | '`', _) => state = In::Quote(c),
            // A character in quotes; an apostrophe else.
            (In::Code, '\'', Some(_)) => {
                let literal = &text[at + 1..];
                let inside = literal.chars().take(12).position(|c| c == '\'').filter(|n| *n > 0);
                let is_literal = inside.is_some_and(|n| n == 1 || literal.starts_with('\\'));
                for _ in 0..inside.filter(|_| is_literal).map_or(0, |n| n + 1) {
                    characters.next();
                }
            }
            (In::Code, ..) if !each(at, c) => return,
            (In::Quote(_), '\\', _) => {
                characters.next();
            }
            (In::Quote(quote), c, _) if c == quote => state = In::Code,
            // A string in double quotes ends with its line, at the latest.
            (In::Quote('"'), '\n', _) | (In::Line, '\n', _) => {
                state = In::Code;
                if !each(at, c) {
                    return;
                }
            }
            (In::Comment(deep), '/', Some('*')) => {
                characters.next();
                state = In::Comment(deep + 1);
            }
            (In::Comment(deep), '*', Some('/')) => {
                characters.next();
                state = if deep > 1 { In::Comment(deep - 1) } else { In::Code };
            }
            _ => {}
        }
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Name and number of parameters of the function whose `fn` stands here; none where no function does.
fn function(text: &str) -> Option<(String, usize)> {
    let rest = text.strip_prefix("fn")?;
    let name = rest.strip_prefix(char::is_whitespace)?.trim_start();
    let end = name.find(|c| !is_name(c)).unwrap_or(name.len());
    let (name, rest) = name.split_at(end);
    let parameters = rest.trim_start().strip_prefix('(');
    if name.is_empty() {
        return None;
    }
    let (mut count, mut in_name) = (0, false);
    scan(parameters.unwrap_or_default(), |_, c| {
        count += usize::from(is_name(c) && !in_name);
        in_name = is_name(c);
        c != ')'
    });
    Some((name.to_string(), count))
}

/// What a piece that is no function defines: `const NAME`, `let NAME`, `import "path" as NAME`.
fn defined(text: &str) -> Defines {
    let code = text.trim().trim_start_matches("export ").trim_end_matches(';');
    let word = |rest: &str| rest.trim_start().split(|c| !is_name(c)).next().unwrap_or_default().to_string();
    let named = ["const ", "let "].into_iter().find_map(|keyword| code.strip_prefix(keyword)).map(word);
    let module = || code.strip_prefix("import ")?.rsplit_once(" as ").map(|(_, name)| word(name));
    match named.or_else(module).filter(|name| !name.is_empty()) {
        Some(name) => Defines::Name(name),
        None => Defines::Text(text.trim().to_string()),
    }
}

/// The place behind the line that this place is on, when nothing but a comment follows on it; else the place itself.
fn behind_line(text: &str, at: usize) -> usize {
    let line = text[at..].split('\n').next().unwrap_or_default();
    let rest = line.trim_start_matches([' ', '\t', '\r', ';']);
    if rest.is_empty() || rest.starts_with("//") { (at + line.len() + 1).min(text.len()) } else { at }
}

/// The pieces of a text in order; together they are the text.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    // Where the piece under way starts, its function with the place of `fn`, and where its code begins.
    let (mut start, mut under_way, mut begins) = (0, None, None);
    let (mut depth, mut before) = (0u32, '\n');
    let mut end = |start: usize, to: usize, function: Option<(String, usize)>, begins: Option<usize>| {
        let begins = begins.unwrap_or(start) - start;
        let whole = &text[start..to];
        let defines = match function {
            Some((name, _)) if name == "reward" => Defines::Function(name, 0),
            Some((name, count)) => Defines::Function(name, count),
            None => defined(&whole[begins..]),
        };
        out.push(Piece { defines, text: whole.into(), begins });
    };
    scan(text, |at, c| {
        if at < start {
            before = c;
            return true;
        }
        let at_line_start = before == '\n';
        if c == 'f'
            && !is_name(before)
            && (depth == 0 || at_line_start)
            && let Some(found) = function(&text[at..])
        {
            if under_way.is_some() {
                // The one before was not closed.
                end(start, at, under_way.take(), begins.take());
                start = at;
            }
            (under_way, begins, depth) = (Some(found), Some(at), 0);
        } else if begins.is_none() && !c.is_whitespace() {
            begins = Some(at);
        }
        match c {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = c;
        let next = at + c.len_utf8();
        let ends = depth == 0
            && match c {
                '}' => under_way.is_some() || behind_line(text, next) > next,
                ';' => under_way.is_none(),
                _ => false,
            };
        if ends {
            let to = behind_line(text, next);
            end(start, to, under_way.take(), begins.take());
            start = to;
            if to > next {
                before = '\n';
            }
        }
        true
    });
    if !text[start..].trim().is_empty() {
        end(start, text.len(), under_way.take(), begins.take());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defined(text: &str) -> Vec<Defines> {
        let found = pieces(text);
        let joined: String = found.iter().map(|p| p.text.as_str()).collect();
        assert_eq!(joined.trim_end(), text.trim_end(), "nothing is lost");
        found.into_iter().map(|p| p.defines).collect()
    }

    fn function(name: &str, count: usize) -> Defines {
        Defines::Function(name.into(), count)
    }

    #[test]
    fn functions_are_told_apart_by_their_parameters() {
        let text = "fn w(x) { x } fn w(x, y) { x * y }\nfn w(\n  x, // , z\n  y, z\n) { x }\nfn w() {}\n\
                    private fn reward(s, p) { #{ a: w(1.0) } }\n";
        let expected = [function("w", 1), function("w", 2), function("w", 3), function("w", 0), function("reward", 0)];
        assert_eq!(defined(text), expected);
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let text = "// fn no(x) {\nconst A = \"}\"; /* } /* fn b() { */ */\nfn a(x) { let c = '{'; `}` + \"\\\"}\" } // }\n\
                    import \"lib/m\" as m;\nlet d = 1;\nfn b(it) { it /* it's } */ }";
        let names = |name: &str| Defines::Name(name.into());
        assert_eq!(defined(text), [names("A"), function("a", 1), names("m"), names("d"), function("b", 1)]);
    }

    #[test]
    fn a_function_that_was_not_closed_ends_where_the_next_begins() {
        assert_eq!(defined("fn a(x) { (x\nfn b(x) { x }\n"), [function("a", 1), function("b", 1)]);
        assert_eq!(defined("it's (fine:\nfn b(x) { x }"), [function("b", 1)]);
        assert_eq!(defined("fn half(x"), [function("half", 1)]);
        assert_eq!(defined("if a { b }\nfn"), [Defines::Text("if a { b }".into()), Defines::Text("fn".into())]);
    }
}
