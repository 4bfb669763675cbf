//! From TOML values to blocks with their options; complaints carry the path of keys, which [`place`] turns into line
//! and column.

use crate::blocks::{Block, Otherwise, Takes, find};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// What is wrong, and where: keys from the top of the file, numbers in lists as text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub path: Vec<String>,
    pub message: String,
}

pub(crate) type Res<T> = Result<T, Fault>;

pub(crate) fn fault<T>(path: &[String], message: impl Into<String>) -> Res<T> {
    Err(Fault { path: path.to_vec(), message: message.into() })
}

pub(crate) fn join(path: &[String], key: impl ToString) -> Vec<String> {
    path.iter().cloned().chain([key.to_string()]).collect()
}

/// A number, or the parameter that holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Is(f64),
    /// Index of the parameter.
    Param(usize),
}

/// Value of an option.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Set {
    Number(Number),
    Numbers(Vec<Number>),
    Flag(bool),
    Text(String),
    Names(Vec<String>),
    Table(Table),
}

/// A block with its options, all checked but for the names of terms.
#[derive(Debug, Clone)]
pub(crate) struct BlockInstance {
    pub block: &'static Block,
    pub path: Vec<String>,
    set: BTreeMap<&'static str, Set>,
}

impl BlockInstance {
    pub fn has(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }
    pub fn number(&self, name: &str) -> Option<Number> {
        match self.set.get(name) {
            Some(Set::Number(x)) => Some(*x),
            _ => None,
        }
    }
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.set.get(name), Some(Set::Flag(true)))
    }
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.set.get(name) {
            Some(Set::Text(x)) => Some(x),
            _ => None,
        }
    }
    pub fn names(&self, name: &str) -> Option<&[String]> {
        match self.set.get(name) {
            Some(Set::Names(x)) => Some(x),
            _ => None,
        }
    }
    pub fn table(&self, name: &str) -> Option<&Table> {
        match self.set.get(name) {
            Some(Set::Table(x)) => Some(x),
            _ => None,
        }
    }
    /// One number for each of `n` members.
    pub fn numbers(&self, name: &str, n: usize) -> Res<Option<Vec<Number>>> {
        match self.set.get(name) {
            Some(Set::Number(x)) => Ok(Some(vec![*x; n])),
            Some(Set::Numbers(list)) if list.len() == n => Ok(Some(list.clone())),
            Some(Set::Numbers(list)) => {
                fault(&join(&self.path, name), format!("`{name}` has {} numbers for {n} members", list.len()))
            }
            _ => Ok(None),
        }
    }
}

/// Reads blocks; knows the parameters, which numbers may name.
pub(crate) struct Reader<'a> {
    pub params: &'a [String],
}

impl Reader<'_> {
    /// A transform: `"delta"`, `{ weight = 2.0 }` or `{ clip = { max = 3.0 } }`.
    pub fn transform(&self, value: &Value, path: &[String]) -> Res<BlockInstance> {
        let table = crate::blocks::TRANSFORMS;
        let shape = "a transform is a name (\"delta\"), or a name with a value ({ weight = 2.0 }) \
                     or options ({ clip = { max = 3.0 } })";
        match value {
            Value::String(name) => self.options(self.block(table, "transform", name, path)?, &Table::new(), path),
            Value::Table(t) if t.len() == 1 => {
                let (name, inner) = t.iter().next().expect("there is one");
                let block = self.block(table, "transform", name, path)?;
                let path = join(path, name);
                match (inner, block.short) {
                    (Value::Table(options), _) => self.options(block, options, &path),
                    (other, Some(short)) => {
                        self.options(block, &Table::from_iter([(short.to_string(), other.clone())]), &path)
                    }
                    (other, None) => fault(&path, format!("`{name}` takes options, this is a {}", other.type_str())),
                }
            }
            Value::Table(t) => fault(path, format!("{} keys in one transform: {shape}", t.len())),
            other => fault(path, format!("a {}: {shape}", other.type_str())),
        }
    }

    /// The block of that name.
    pub fn block(&self, table: &'static [Block], kind: &str, name: &str, path: &[String]) -> Res<&'static Block> {
        match find(table, name) {
            Some(block) => Ok(block),
            None => {
                let known = table.iter().map(|b| b.name).chain(table.iter().flat_map(|b| b.aliases.iter().copied()));
                let hint = pavlov_model::did_you_mean(name, known);
                fault(path, format!("no {kind} `{name}`: {hint}"))
            }
        }
    }

    /// Options of a block.
    pub fn options(&self, block: &'static Block, given: &Table, path: &[String]) -> Res<BlockInstance> {
        let mut set = BTreeMap::new();
        for (key, value) in given {
            let here = join(path, key);
            let Some(option) = block.options.iter().find(|o| o.name == key) else {
                let hint = pavlov_model::did_you_mean(key, block.options.iter().map(|o| o.name));
                return fault(&here, format!("`{}` has no option `{key}`: {hint}", block.name));
            };
            set.insert(option.name, self.value(key, option.takes, value, &here)?);
        }
        for option in block.options.iter().filter(|o| !given.contains_key(o.name)) {
            match (option.default, option.takes) {
                (Otherwise::Required, _) => {
                    return fault(path, format!("`{}` needs `{}`: {}", block.name, option.name, option.doc));
                }
                (Otherwise::Number(x), Takes::Flag) => {
                    set.insert(option.name, Set::Flag(x != 0.0));
                }
                (Otherwise::Number(x), _) => {
                    set.insert(option.name, Set::Number(Number::Is(x)));
                }
                (Otherwise::None | Otherwise::Discount, _) => {}
            }
        }
        Ok(BlockInstance { block, path: path.to_vec(), set })
    }

    fn value(&self, key: &str, takes: Takes, value: &Value, path: &[String]) -> Res<Set> {
        let wrong = |expected: &str| fault(path, format!("`{key}` is {value}: expected {expected}"));
        match (takes, value) {
            (Takes::Number(low, high), _) => Ok(Set::Number(self.number(key, value, low, high, path)?)),
            (Takes::Flag, Value::Boolean(b)) => Ok(Set::Flag(*b)),
            (Takes::Flag, _) => wrong("true or false"),
            (Takes::Name | Takes::Text | Takes::File, Value::String(s)) => Ok(Set::Text(s.clone())),
            (Takes::Name, _) => wrong("the name of a term in quotes"),
            (Takes::Text, _) => wrong("text in quotes"),
            (Takes::File, _) => wrong("a file's name in quotes"),
            (Takes::Names, Value::Array(list)) if !list.is_empty() => {
                let name = |v: &Value| v.as_str().map(str::to_string);
                list.iter()
                    .map(name)
                    .collect::<Option<_>>()
                    .map_or_else(|| wrong("a list of names"), |n| Ok(Set::Names(n)))
            }
            (Takes::Names, _) => wrong("a list of names, at least one"),
            (Takes::Numbers, Value::Array(list)) => {
                let each = list.iter().enumerate();
                let number = |(i, v)| self.number(key, v, f64::NEG_INFINITY, f64::INFINITY, &join(path, i));
                Ok(Set::Numbers(each.map(number).collect::<Res<_>>()?))
            }
            (Takes::Numbers, _) => Ok(Set::Number(self.number(key, value, f64::NEG_INFINITY, f64::INFINITY, path)?)),
            (Takes::Table, Value::Table(t)) => Ok(Set::Table(t.clone())),
            (Takes::Table, _) => wrong("a table"),
        }
    }

    /// A number, or the name of a parameter.
    pub fn number(&self, key: &str, value: &Value, low: f64, high: f64, path: &[String]) -> Res<Number> {
        let x = match value {
            Value::Float(x) => *x,
            Value::Integer(i) => *i as f64,
            Value::String(name) => {
                return match self.params.iter().position(|p| p == name) {
                    Some(i) => Ok(Number::Param(i)),
                    None => {
                        let hint = pavlov_model::did_you_mean(name, self.params.iter().map(String::as_str));
                        fault(path, format!("`{key}`: no parameter `{name}`: {hint}"))
                    }
                };
            }
            other => return fault(path, format!("`{key}` is {other}: expected a number or the name of a parameter")),
        };
        if x.is_finite() && (low..=high).contains(&x) {
            return Ok(Number::Is(x));
        }
        let range = match (low.is_finite(), high.is_finite()) {
            (true, true) => format!("a number from {low} to {high}"),
            (true, false) if low > 0.0 => "a number above 0".into(),
            (true, false) => format!("a number of at least {low}"),
            _ => "a finite number".into(),
        };
        fault(path, format!("`{key}` is {x}: expected {range}"))
    }
}

/// The text of a manifest with other values of parameters; all else stays as it is. Parameters that it lacks are
/// left out.
pub fn with_values(text: &str, values: &[(String, f64)]) -> String {
    use toml::de::{DeTable, DeValue};
    let mut changes: Vec<(std::ops::Range<usize>, f64)> = Vec::new();
    if let Ok(table) = DeTable::parse(text)
        && let Some(DeValue::Table(params)) = table.get_ref().get("params").map(|p| p.get_ref())
    {
        for (name, x) in values {
            if let Some(DeValue::Table(param)) = params.get(name.as_str()).map(|p| p.get_ref())
                && let Some(value) = param.get("value")
            {
                changes.push((value.span(), *x));
            }
        }
    }
    // From the end backwards, so that the places still to be replaced do not move.
    changes.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut out = text.to_string();
    for (span, x) in changes {
        // The shortest decimal that is the same f32: a parameter is one.
        out.replace_range(span, &format!("{:?}", x as f32));
    }
    out
}

/// Line and column (from 1) of a path of keys in the text: of the deepest part of it that is there.
pub(crate) fn place(text: &str, path: &[String]) -> (usize, usize) {
    use toml::de::{DeTable, DeValue};
    let Ok(table) = DeTable::parse(text) else { return (1, 1) };
    let mut at = 0;
    let mut keys = path.iter();
    let Some(first) = keys.next() else { return (1, 1) };
    let entry = |table: &DeTable<'_>, key: &str| -> Option<usize> {
        table.iter().find(|(k, _)| k.get_ref().as_ref() == key).map(|(k, _)| k.span().start)
    };
    if let Some(start) = entry(table.get_ref(), first) {
        at = start;
    }
    let mut value = table.get_ref().get(first.as_str());
    for key in keys {
        value = match value.map(|v| v.get_ref()) {
            Some(DeValue::Table(t)) => {
                if let Some(start) = entry(t, key) {
                    at = start;
                }
                t.get(key.as_str())
            }
            Some(DeValue::Array(a)) => {
                let next = key.parse::<usize>().ok().and_then(|i| a.get(i));
                if let Some(next) = next {
                    at = next.span().start;
                }
                next
            }
            _ => break,
        };
    }
    line_column(text, at)
}

/// Line and column (from 1) of a byte of the text.
pub(crate) fn line_column(text: &str, at: usize) -> (usize, usize) {
    let at = (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    let before = &text[..at];
    (before.matches('\n').count() + 1, before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transform(text: &str) -> Res<BlockInstance> {
        let table: Table = toml::from_str(&format!("t = {text}")).unwrap();
        Reader { params: &["w".to_string()] }.transform(&table["t"], &["t".to_string()])
    }

    #[test]
    fn transforms_are_read_in_three_ways_with_defaults() {
        assert_eq!(transform("\"delta\"").unwrap().block.name, "delta");
        assert_eq!(transform("{ weight = 2 }").unwrap().number("by"), Some(Number::Is(2.0)));
        assert_eq!(transform("{ weight = \"w\" }").unwrap().number("by"), Some(Number::Param(0)));
        let clip = transform("{ clip = { max = 3.0 } }").unwrap();
        assert!(clip.number("max") == Some(Number::Is(3.0)) && !clip.has("min"));
        assert!(transform("\"normalise\"").unwrap().flag("center"));
    }

    #[test]
    fn slips_are_told_with_what_was_meant() {
        for (text, words) in [
            ("\"detla\"", "did you mean `delta`"),
            ("{ clip = { mix = 3.0 } }", "`min`"),
            ("{ exp_kernel = -1 }", "above 0"),
            ("{ weight = \"v\" }", "no parameter `v`"),
            ("{ weight = true }", "expected a number"),
            ("\"weight\"", "needs `by`"),
            ("3", "a transform is a name"),
            ("{ weight = 1, clip = {} }", "2 keys"),
            ("{ rate = 2 }", "takes options"),
            ("{ clip = { min = inf } }", "`min` is inf: expected a finite number"),
            ("{ potential = 1.5 }", "a number from 0 to 1"),
            ("{ gate = { by = \"b\", above = 0, width = -1 } }", "a number of at least 0"),
            ("{ normalize = { center = 1 } }", "true or false"),
            ("{ gate = { by = 1 } }", "the name of a term in quotes"),
        ] {
            let fault = transform(text).unwrap_err();
            assert!(fault.message.contains(words), "{text}: {fault:?}");
        }
    }

    #[test]
    fn options_are_of_the_kind_that_their_block_takes() {
        let read = |table: &'static [Block], kind: &str, text: &str| {
            let reader = Reader { params: &["w".to_string()] };
            let block = reader.block(table, "block", kind, &[]).unwrap();
            reader.options(block, &text.parse().unwrap(), &["t".to_string()])
        };
        use crate::blocks::{COMBINERS, SOURCES};
        let goals = read(SOURCES, "subgoals", "of = [\"a\", \"b\"]\nbonus = [1, \"w\"]").unwrap();
        assert_eq!(goals.set["of"], Set::Names(vec!["a".into(), "b".into()]));
        assert_eq!(goals.set["bonus"], Set::Numbers(vec![Number::Is(1.0), Number::Param(0)]));
        for (table, kind, text, words) in [
            (SOURCES, "subgoals", "of = []", "a list of names, at least one"),
            (SOURCES, "subgoals", "of = [1]", "a list of names"),
            (SOURCES, "subgoals", "of = [\"a\"]\nbonus = [1, true]", "expected a number"),
            (SOURCES, "preference", "model = 1", "a file's name in quotes"),
            (SOURCES, "baseline", "run = 1", "text in quotes"),
            (COMBINERS, "lagrangian", "constraints = 1", "a table"),
        ] {
            let fault = read(table, kind, text).unwrap_err();
            assert!(fault.message.contains(words), "{text}: {fault:?}");
        }
    }

    #[test]
    fn values_are_changed_where_they_stand() {
        let text = "# mine\n[params.a]\nvalue = 1.0 # one\nmax = 1.0\n[params.b]\nmin = 0\nvalue = 2\n";
        let changed = with_values(text, &[("b".into(), 0.25), ("a".into(), f64::from(0.1f32)), ("c".into(), 9.0)]);
        assert_eq!(changed, text.replace("value = 1.0", "value = 0.1").replace("value = 2", "value = 0.25"));
    }

    #[test]
    fn places_are_those_of_the_keys() {
        let text = "about = \"é\"\n[terms.run]\ntransform = [\n  \"rate\",\n  { clip = { mx = 1.0 } },\n]\n[combine]\n\
                    kind = \"uwo\"\n";
        let at = |path: &[&str]| place(text, &path.iter().map(|s| s.to_string()).collect::<Vec<_>>());
        assert_eq!(at(&["terms", "run", "transform", "1", "clip", "mx"]), (5, 14));
        assert_eq!(at(&["terms", "run", "transform", "0"]), (4, 3));
        assert_eq!(at(&["combine", "kind"]), (8, 1));
        assert_eq!(at(&["combine", "lambda"]).0, 7);
        assert_eq!(at(&["nothing"]), (1, 1));
    }
}
