//! What kind of value stands before a dot: read from the words around it and the table of built-ins.
//!
//! A guess that serves completion and hover: without one, everything is offered. The checker knows better and has the
//! last word.

use super::tokens::{Kind, Token};
use pavlov_script::{BUILTINS, Form};

/// Kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// As the table names it: `state`, `body`, `vec3`, `number`.
    Table(&'static str),
    /// An array, with the kind of its elements when that is known.
    Array(Option<&'static str>),
    /// The reward's parameters, `p`.
    Params,
    /// Fields of the command.
    Command,
}

/// Words of a text without spaces and comments.
#[derive(Debug)]
pub(crate) struct Words<'a> {
    pub text: &'a str,
    pub list: Vec<&'a Token>,
}

/// What the elements of an array property are.
fn element(name: &str) -> Option<&'static str> {
    let element = match name {
        "joints" => "joint",
        "actuators" => "actuator",
        "feet" => "foot",
        _ => return Some("number"),
    };
    Some(element)
}

fn ty(name: &'static str, property: &str) -> Type {
    match (name, property) {
        ("array", _) => Type::Array(element(property)),
        ("map", "command") => Type::Command,
        _ => Type::Table(name),
    }
}

impl<'a> Words<'a> {
    pub fn new(text: &'a str, tokens: &'a [Token]) -> Self {
        let list = tokens.iter().filter(|t| !matches!(t.kind, Kind::Space | Kind::Comment)).collect();
        Self { text, list }
    }

    pub fn word(&self, i: usize) -> &'a str {
        self.list.get(i).map_or("", |t| &self.text[t.at.clone()])
    }

    fn before(&self, i: usize) -> &'a str {
        i.checked_sub(1).map_or("", |i| self.word(i))
    }

    /// Index of the bracket that the one at `i` closes.
    fn opening(&self, i: usize) -> Option<usize> {
        let mut depth = 0;
        for k in (0..=i).rev() {
            match self.word(k) {
                ")" | "]" | "}" => depth += 1,
                "(" | "[" | "{" => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(k);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The call whose argument is at `i`: index of its name.
    pub fn call_around(&self, i: usize) -> Option<usize> {
        let mut depth = 0;
        for k in (0..i).rev() {
            match self.word(k) {
                ")" | "]" | "}" => depth += 1,
                "(" if depth == 0 => return k.checked_sub(1).filter(|&n| self.list[n].kind == Kind::Word),
                "[" | "{" if depth == 0 => return None,
                "(" | "[" | "{" => depth -= 1,
                ";" if depth == 0 => return None,
                _ => {}
            }
        }
        None
    }

    /// Kind of the value that ends with word `i`; `depth` bounds how far names are followed.
    pub fn type_ending(&self, i: usize, depth: usize) -> Option<Type> {
        let depth = depth.checked_sub(1)?;
        let on = |k: usize| (self.before(k) == ".").then(|| k.checked_sub(2).and_then(|k| self.type_ending(k, depth)));
        match self.word(i) {
            ")" => {
                let open = self.opening(i)?;
                let name = open.checked_sub(1)?;
                if self.list[name].kind != Kind::Word {
                    // Parentheses around a value.
                    return (open + 1 < i).then(|| self.type_ending(i - 1, depth)).flatten().filter(|_| {
                        (open + 1..i)
                            .all(|k| !matches!(self.word(k), "*" | "/" | "+" | "-" | "<" | ">" | "=" | "&" | "|"))
                    });
                }
                match (self.word(name), on(name)) {
                    (_, None) if self.before(name) == ":" => None,
                    ("map", Some(_)) => Some(Type::Array(None)),
                    (function, receiver) => self.result(function, receiver.flatten(), receiver.is_some()),
                }
            }
            "]" => {
                let open = self.opening(i)?;
                match self.type_ending(open.checked_sub(1)?, depth)? {
                    Type::Array(element) => element.map(Type::Table),
                    _ => None,
                }
            }
            name if self.list.get(i)?.kind == Kind::Word => match on(i) {
                Some(receiver) => property(receiver?, name),
                None => self.variable(i, name, depth),
            },
            _ => None,
        }
    }

    /// Kind of a function's result, from the table.
    fn result(&self, name: &str, receiver: Option<Type>, method: bool) -> Option<Type> {
        let mut rows = BUILTINS.iter().filter(|b| b.form == Form::Function && b.name == name);
        let fits = |on: &str| match receiver {
            Some(Type::Table(t)) => t == on,
            Some(Type::Array(_)) => on == "array",
            _ => true,
        };
        let row = if method { rows.find(|b| b.args.first().is_some_and(|t| fits(t.name())))? } else { rows.next()? };
        Some(ty(row.ret.name(), ""))
    }

    /// Kind of a variable, by the nearest binding before word `i`.
    fn variable(&self, i: usize, name: &str, depth: usize) -> Option<Type> {
        for k in (0..i).rev() {
            if self.word(k) != name {
                continue;
            }
            match self.before(k) {
                "let" | "const" if self.word(k + 1) == "=" => {
                    let mut level = 0;
                    let mut end = k + 2;
                    while end < self.list.len() && !(level == 0 && self.word(end) == ";") {
                        match self.word(end) {
                            "(" | "[" | "{" => level += 1,
                            ")" | "]" | "}" => level -= 1,
                            // Arithmetic, a condition: not followed.
                            "+" | "-" | "*" | "/" | "<" | ">" | "&" | "if" if level == 0 => return None,
                            _ => {}
                        }
                        end += 1;
                    }
                    return self.type_ending(end.checked_sub(1).filter(|&e| e > k + 1)?, depth);
                }
                // The first of a closure's arguments: an element of what it is called on.
                "|" if self.before(k - 1) == "(" => {
                    let call = self.call_around(k - 1)?;
                    let receiver = (self.before(call) == ".").then(|| call.checked_sub(2)).flatten()?;
                    return match self.type_ending(receiver, depth)? {
                        Type::Array(element) => element.map(Type::Table),
                        _ => None,
                    };
                }
                "in" | "for" => return None,
                _ => {}
            }
            // The arguments of an entry function: state, parameters, memory.
            if let Some(function) = self.call_around(k)
                && self.before(function) == "fn"
            {
                let place = (function + 2..k).filter(|&n| self.word(n) == ",").count();
                return match (self.word(function), place) {
                    ("reward", 0) => Some(Type::Table("state")),
                    ("reward", 1) => Some(Type::Params),
                    _ => None,
                };
            }
        }
        None
    }
}

/// Kind of a property.
fn property(owner: Type, name: &str) -> Option<Type> {
    match owner {
        Type::Params | Type::Command => Some(Type::Table("number")),
        Type::Array(_) => None,
        Type::Table(on) => {
            let fits = |b: &&pavlov_script::Builtin| {
                b.form == Form::Property && b.name == name && b.args.first().is_some_and(|t| t.name() == on)
            };
            BUILTINS.iter().find(fits).map(|b| ty(b.ret.name(), name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::{Language, tokens};
    use super::*;

    fn kind_of_dot(text: &str) -> Option<Type> {
        let list = tokens(Language::Rhai, text);
        let words = Words::new(text, &list);
        words.type_ending(words.list.len() - 1, 32)
    }

    #[test]
    fn what_stands_before_a_dot_is_known_through_calls_names_and_closures() {
        let head =
            "fn reward(s, p) {\n let torso = s.body(\"torso\"); // s\n let v = torso.linvel;\n let goal = s.command;\n";
        for (tail, expected) in [
            ("s", Some(Type::Table("state"))),
            ("p", Some(Type::Params)),
            ("torso", Some(Type::Table("body"))),
            ("s.prev.body(\"torso\").linvel", Some(Type::Table("vec3"))),
            ("v.xy", Some(Type::Table("vec2"))),
            ("goal", Some(Type::Command)),
            ("s.joints", Some(Type::Array(Some("joint")))),
            ("s.feet[0]", Some(Type::Table("foot"))),
            ("s.joints.map(|j| j", Some(Type::Table("joint"))),
            ("s.feet.map(|f, i| f", Some(Type::Table("foot"))),
            ("s.qpos", Some(Type::Array(Some("number")))),
            ("(torso.up)", Some(Type::Table("vec3"))),
            ("unit(v)", Some(Type::Table("vec2"))),
            ("nothing", None),
            ("lib::thing(s)", None),
        ] {
            assert_eq!(kind_of_dot(&format!("{head} {tail}")), expected, "{tail}");
        }
    }

    #[test]
    fn arrays_with_elements_that_have_members_are_in_the_table() {
        for (name, element) in [("joints", "joint"), ("actuators", "actuator"), ("feet", "foot")] {
            assert!(BUILTINS.iter().any(|b| b.name == name && b.ret.name() == "array"));
            assert!(BUILTINS.iter().any(|b| b.args.first().is_some_and(|t| t.name() == element)));
        }
    }
}
