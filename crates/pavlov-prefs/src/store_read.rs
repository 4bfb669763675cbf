//! Reading the label store: records with what they speak of, each looked at against its checksum.

use crate::label::{Answer, Choice, Entry, Label, Segment, Versions};
use crate::sums::checksum;
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, Transaction};
use std::collections::HashMap;
use std::sync::Arc;

/// Numbers of missing records that are named at a gap.
const MOST_MISSING: usize = 1_000;

/// What was found in a store.
#[derive(Default)]
pub(crate) struct Found {
    /// Those that are as they were stored.
    pub sound: Vec<Label>,
    /// Numbers of records that are not as they were stored, or not there.
    pub damaged: Vec<u64>,
}

/// Records after the one with this number. In a store of version 1 there are no checksums to look at.
pub(crate) fn read(view: &Transaction<'_>, after: u64) -> rusqlite::Result<Found> {
    // Rows of which nothing can be made are left out here: the labels that speak of them are found to be damaged.
    let names: HashMap<i64, Arc<str>> =
        rows(view, "SELECT id, name FROM names", |r| Ok((r.get(0)?, Arc::from(r.get_ref(1)?.as_str()?))))?;
    let versions: HashMap<i64, Arc<Versions>> = rows(view, "SELECT id, reward, script, app FROM versions", |r| {
        Ok((r.get(0)?, Arc::new(Versions { reward: r.get(1)?, script: r.get(2)?, app: r.get(3)? })))
    })?;
    let text = |id: i64| names.get(&id).map_or_else(String::new, |n| n.to_string());
    let sql = "SELECT id, run, rollout, episode, first, length, reset_seed FROM segments";
    let segments: HashMap<i64, Arc<Segment>> = rows(view, sql, |r| {
        let segment = Segment {
            run: text(r.get(1)?),
            rollout: text(r.get(2)?),
            episode: r.get(3)?,
            first: r.get(4)?,
            length: r.get(5)?,
            reset_seed: r.get::<_, i64>(6)? as u64,
        };
        Ok((r.get(0)?, Arc::new(segment)))
    })?;
    let summed = view.pragma_query_value(None, "user_version", |r| r.get::<_, i32>(0))? > 1;
    let sums: HashMap<i64, u32> = match summed {
        true => rows(view, "SELECT label, crc FROM sums", |r| Ok((r.get(0)?, r.get(1)?)))?,
        false => HashMap::new(),
    };
    let mut out = Found::default();
    let mut next = after + 1;
    let sql = "SELECT id, at_ms, task, rater, took_ms, versions, segments, kind, a, b, text FROM labels WHERE id > ?1 \
               ORDER BY id";
    let mut statement = view.prepare(sql)?;
    let mut found = statement.query([after as i64])?;
    while let Some(row) = found.next()? {
        let id = row.get::<_, i64>(0)? as u64;
        // Numbers are given one after another.
        out.damaged.extend((next..id).take(MOST_MISSING));
        next = id + 1;
        let label = record(row, &names, &versions, &segments).ok().flatten();
        let is_sound = |l: &Label| !summed || sums.get(&(id as i64)) == Some(&checksum(id, l.at_ms, &l.entry));
        match label.filter(is_sound) {
            Some(label) => out.sound.push(label),
            None => out.damaged.push(id),
        }
    }
    let last: Option<i64> =
        view.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'labels'", [], |r| r.get(0)).optional()?;
    out.damaged.extend((next..last.unwrap_or(0).max(0) as u64 + 1).take(MOST_MISSING));
    Ok(out)
}

/// A row as a record; none when it is none of ours.
fn record(
    row: &Row<'_>,
    names: &HashMap<i64, Arc<str>>,
    versions: &HashMap<i64, Arc<Versions>>,
    segments: &HashMap<i64, Arc<Segment>>,
) -> rusqlite::Result<Option<Label>> {
    let number = |i: usize| row.get::<_, i64>(i);
    let mut shown = Vec::with_capacity(2);
    for part in row.get_ref(6)?.as_str()?.split(',').filter(|p| !p.is_empty()) {
        let Some(segment) = part.parse().ok().and_then(|id: i64| segments.get(&id)) else { return Ok(None) };
        shown.push(segment.clone());
    }
    let (Some(task), Some(rater), Some(versions), Some(answer)) =
        (names.get(&number(2)?), names.get(&number(3)?), versions.get(&number(5)?), answer(row)?)
    else {
        return Ok(None);
    };
    let entry = Entry {
        task: task.clone(),
        rater: rater.clone(),
        segments: shown,
        answer,
        took_ms: row.get(4)?,
        versions: versions.clone(),
    };
    Ok(Some(Label { id: row.get::<_, i64>(0)? as u64, at_ms: number(1)? as u64, entry }))
}

fn rows<T>(
    view: &Transaction<'_>,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<(i64, T)>,
) -> rusqlite::Result<HashMap<i64, T>> {
    let mut statement = view.prepare(sql)?;
    Ok(statement.query_map([], read)?.filter_map(Result::ok).collect())
}

/// `kind, a, b, text` of a row; none when the row is none of ours.
fn answer(row: &Row<'_>) -> rusqlite::Result<Option<Answer>> {
    let (kind, a, b): (i64, i64, i64) = (row.get(7)?, row.get(8)?, row.get(9)?);
    let text = || match row.get_ref(10)? {
        ValueRef::Null => Ok(String::new()),
        other => Ok::<_, rusqlite::Error>(other.as_str()?.to_string()),
    };
    Ok(Some(match kind {
        0 => {
            let choice = match a {
                0 => Choice::Left,
                1 => Choice::Right,
                2 => Choice::Equal,
                _ => return Ok(None),
            };
            Answer::Comparison { choice, strength: (b != 0).then_some(b as u8) }
        }
        1 => Answer::BestWorst { best: a as u16, worst: b as u16 },
        2 => Answer::Rating { value: a as u8, of: b as u8 },
        3 => Answer::Skip,
        4 => Answer::Mark { first: a as u32, length: b as u32, mark: text()? },
        5 => Answer::Attribute { name: text()?, value: a as u8, of: b as u8 },
        6 => Answer::Text { text: text()? },
        7 => Answer::Retract { label: a as u64 },
        _ => return Ok(None),
    }))
}
