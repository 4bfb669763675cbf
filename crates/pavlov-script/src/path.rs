//! Values of the lowering, and paths into them, such as `.b[2].c`: where property chains and assignments lead.

use crate::builtins::{Fault, fault};
use crate::graph::{Graph, Id};
use crate::value::{Builder, Value};

pub(crate) type V = Value<Id>;

/// One step of a path into a value.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Key(String),
    Index(i64),
}

/// The value a path leads to.
pub(crate) fn walk<'v>(mut value: &'v V, path: &[Step]) -> Result<&'v V, Fault> {
    for step in path {
        value = match (value, step) {
            (Value::Map(map), Step::Key(key)) => map.get(key).ok_or_else(|| no_key(key, map.keys()))?,
            (Value::Array(a), Step::Index(i)) => &a[index(*i, a.len())?],
            (other, Step::Key(key)) => return Err(cannot(other, format!("set `.{key}` of"))),
            (other, Step::Index(_)) => return Err(cannot(other, "index".into())),
        };
    }
    Ok(value)
}

/// The same, to be changed.
pub(crate) fn walk_mut<'v>(mut value: &'v mut V, path: &[Step]) -> Result<&'v mut V, Fault> {
    for step in path {
        value = match (value, step) {
            (Value::Map(map), Step::Key(key)) => {
                map.get_mut(key).ok_or_else(|| fault("unknown-name", format!("no field `{key}`"), ""))?
            }
            (Value::Array(a), Step::Index(i)) => {
                let i = index(*i, a.len())?;
                &mut a[i]
            }
            (other, _) => return Err(cannot(other, "change a part of".into())),
        };
    }
    Ok(value)
}

fn cannot(value: &V, action: String) -> Fault {
    fault("type", format!("cannot {action} a {}", value.type_name()), "")
}

pub(crate) fn no_key<'k>(key: &str, keys: impl Iterator<Item = &'k String> + Clone) -> Fault {
    let hint = pavlov_model::did_you_mean(key, keys.map(String::as_str));
    fault("unknown-name", format!("no field `{key}`"), hint)
}

/// Index as rhai counts: negative from the end.
pub(crate) fn index(i: i64, len: usize) -> Result<usize, Fault> {
    let at = if i < 0 { i + len as i64 } else { i };
    if (0..len as i64).contains(&at) {
        Ok(at as usize)
    } else {
        Err(fault("shape", format!("index {i} of an array of {len}"), "indices count from 0"))
    }
}

/// A value that is known, as nodes.
pub(crate) fn literal(g: &mut Graph, value: &Value<f64>) -> V {
    fn each<const K: usize>(g: &mut Graph, x: &[f64; K]) -> [Id; K] {
        x.map(|x| g.lit(x))
    }
    match value {
        Value::Unit => Value::Unit,
        Value::Bool(x) => Value::Bool(g.lit(*x)),
        Value::Int(x) => Value::Int(g.lit(*x)),
        Value::Num(x) => Value::Num(g.lit(*x)),
        Value::Str(s) => Value::Str(s.clone()),
        Value::Vec2(x) => Value::Vec2(each(g, x)),
        Value::Vec3(x) => Value::Vec3(each(g, x)),
        Value::Quat(x) => Value::Quat(each(g, x)),
        Value::Array(a) => Value::Array(a.iter().map(|x| literal(g, x)).collect()),
        Value::Map(m) => Value::Map(m.iter().map(|(k, x)| (k.clone(), literal(g, x))).collect()),
        Value::Handle(h) => Value::Handle(*h),
        Value::Fn(name, captured) => Value::Fn(name.clone(), captured.iter().map(|x| literal(g, x)).collect()),
        Value::Range(a, b) => Value::Range(*a, *b),
    }
}
