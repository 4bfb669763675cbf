//! Short forms of `reward.toml`, as models write them, to the form that is read: `[params.name]` with `value`, `min`
//! and
//! `max`.
//!
//! | short | long |
//! | --- | --- |
//! | `[params]` with `up = 1.0`, or `up = 1.0` alone | `[params.up]` with `value = 1.0` |
//! | `up = [1.0, 0.0, 2.0]` | value, min and max |
//! | `range = [0.0, 2.0]`, or `bounds` | `min = 0.0`, `max = 2.0` |
//! | `default = 1.0`, or `init`, `initial` | `value = 1.0` |
//! | `description`, `desc` or `comment`; `units` | `about`; `unit` |
//! | `[up]` with `value = 1.0`; `[parameters.up]`; `[[params]]` with `name = "up"` | `[params.up]` |

use toml::{Table, Value};

/// Keys of a manifest that are none of parameters.
const KNOWN: [&str; 10] =
    ["about", "author", "notes", "parent", "tasks", "terms", "groups", "combine", "sources", "params"];
/// Other names for the table of parameters.
const PARAMS: [&str; 3] = ["parameters", "param", "parameter"];
/// Keys of a parameter, with the names that are also written.
const KEYS: [(&str, &[&str]); 3] =
    [("value", &["default", "init", "initial"]), ("about", &["description", "desc", "comment"]), ("unit", &["units"])];

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Float(_) | Value::Integer(_))
}

/// A parameter in its long form; none where it is in it already, or in no form that is known.
fn long(value: &Value) -> Option<Table> {
    let mut out = Table::new();
    match value {
        number if is_number(number) => {
            out.insert("value".into(), number.clone());
        }
        Value::Array(numbers) if numbers.len() == 3 && numbers.iter().all(is_number) => {
            out.extend(["value", "min", "max"].map(String::from).into_iter().zip(numbers.iter().cloned()));
        }
        Value::Table(table) => {
            out = table.clone();
            for (key, others) in KEYS {
                let other = others.iter().find(|other| !table.contains_key(key) && table.contains_key(**other));
                if let Some(value) = other.and_then(|other| out.remove(*other)) {
                    out.insert(key.into(), value);
                }
            }
            for name in ["range", "bounds"] {
                if let Some(Value::Array(ends)) = table.get(name)
                    && let [low, high] = ends.as_slice()
                    && !table.contains_key("min")
                    && !table.contains_key("max")
                {
                    out.remove(name);
                    out.extend([("min".into(), low.clone()), ("max".into(), high.clone())]);
                }
            }
            if out == *table {
                return None;
            }
        }
        _ => return None,
    }
    Some(out)
}

/// Is it a parameter, in a short form or the long one?
fn is_param(value: &Value) -> bool {
    let of = |value: &Value| value.get("value").is_some_and(is_number);
    of(value) || long(value).is_some_and(|table| of(&Value::Table(table)))
}

/// A manifest with its parameters in the long form; as it is when they are, and when it cannot be read, which the
/// checker tells better.
pub fn expanded(text: &str) -> String {
    let Ok(mut manifest) = text.parse::<Table>() else { return text.into() };
    let before = manifest.clone();
    for name in PARAMS {
        if !manifest.contains_key("params")
            && let Some(params) = manifest.remove(name)
        {
            manifest.insert("params".into(), params);
        }
    }
    let mut params = match manifest.remove("params") {
        Some(Value::Table(params)) => params,
        Some(Value::Array(list)) => {
            let named = |item: Value| match item {
                Value::Table(mut item) => match item.remove("name") {
                    Some(Value::String(name)) => Some((name, Value::Table(item))),
                    _ => None,
                },
                _ => None,
            };
            let Some(params) = list.into_iter().map(named).collect::<Option<Table>>() else { return text.into() };
            params
        }
        Some(_) => return text.into(),
        None => Table::new(),
    };
    let is_loose = |(name, value): &(&String, &Value)| !KNOWN.contains(&name.as_str()) && is_param(value);
    let loose: Vec<String> = manifest.iter().filter(is_loose).map(|(name, _)| name.clone()).collect();
    for name in loose {
        if let Some(value) = manifest.remove(&name) {
            params.entry(name).or_insert(value);
        }
    }
    for (_, value) in &mut params {
        if let Some(table) = long(value) {
            *value = Value::Table(table);
        }
    }
    if !params.is_empty() || before.contains_key("params") {
        manifest.insert("params".into(), Value::Table(params));
    }
    if manifest == before {
        return text.into();
    }
    toml::to_string(&manifest).unwrap_or_else(|_| text.into())
}

/// Does a text without a word for what it is read as a manifest?
pub fn looks_like(text: &str) -> bool {
    let Ok(table) = text.parse::<Table>() else { return false };
    let names_params = std::iter::once("params").chain(PARAMS).any(|name| table.contains_key(name));
    !table.is_empty() && (names_params || table.iter().all(|(name, v)| is_param(v) || KNOWN.contains(&name.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_written_out() {
        let long = "[params.up]\nvalue = 1.0\n";
        for short in [
            "[params]\nup = 1.0\n",
            "params = { up = 1.0 }",
            "params.up = 1.0",
            "up = 1.0",
            "[parameters]\nup = 1.0",
            "[param.up]\nvalue = 1.0",
            "[up]\nvalue = 1.0",
            "[[params]]\nname = \"up\"\nvalue = 1.0",
            "[params.up]\ndefault = 1.0",
            "[params]\nup = { init = 1.0 }",
        ] {
            assert_eq!(expanded(short), long, "{short}");
        }
        let bounded = "[params.up]\nmax = 2.0\nmin = 0.0\nvalue = 1.0\n";
        let same = |short: &str| {
            let read = |text: &str| text.parse::<Table>().unwrap();
            assert_eq!(read(&expanded(short)), read(bounded), "{short}");
        };
        same("[params]\nup = [1.0, 0.0, 2.0]");
        same("[params.up]\nvalue = 1.0\nrange = [0.0, 2.0]");
        same("[params.up]\ndefault = 1.0\nbounds = [0.0, 2.0]");
        let whole = expanded("about = \"x\"\nup = 2\n[combine]\nscale = 0.5\n");
        assert!(whole.contains("[params.up]\nvalue = 2\n") && whole.contains("[combine]\nscale = 0.5"), "{whole}");
    }

    #[test]
    fn what_is_long_or_wrong_stays_as_it_is() {
        for text in [
            "# kept\n[params.up]\nvalue = 1.0 # too\n",
            "",
            "[params.up\n",
            "[params]\nup = \"high\"\n",
            "[params]\nup = [1.0, 2.0]\n",
            "[sources.x]\nkind = \"baseline\"\n",
            "params = 3\n",
            "[[params]]\nvalue = 1.0\n",
            "[combine]\nscale = 0.5\n",
        ] {
            assert_eq!(expanded(text), text);
        }
    }

    #[test]
    fn a_manifest_is_known_without_a_word() {
        assert!(looks_like("[params.a]\nvalue = 1.0") && looks_like("a = 1.0\nb = 2") && looks_like("[a]\nvalue = 1"));
        assert!(
            !looks_like("") && !looks_like("fn reward(s) {}") && !looks_like("name = \"x\"") && !looks_like("words")
        );
    }
}
