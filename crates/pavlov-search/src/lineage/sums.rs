//! Checksums of the lineage's rows, so that a changed bit is seen: CRC-32C of a row's name (`outcomes search 0 1 0 7`)
//! and its JSON. A name without a row tells that one is missing.

use rusqlite::{Connection, OptionalExtension, params};

/// Why rows cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsound {
    /// SQLite cannot read them.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// One is not what was written.
    #[error(
        "row `{0}` {1}: bring the file back from a copy, or begin another search with --out; the other rows are as \
         they were written, and sqlite3 reads them"
    )]
    Row(String, &'static str),
}

/// A table of JSON.
pub(super) struct Table {
    name: &'static str,
    /// The columns that name a row.
    key: &'static str,
    order: &'static str,
}

impl Table {
    pub const META: Self = Self { name: "meta", key: "key", order: "key" };
    pub const CANDIDATES: Self = Self::at_place("candidates");
    pub const EXCHANGES: Self = Self::at_place("exchanges");
    pub const ANSWERS: Self = Self { name: "answers", key: "iteration", order: "iteration" };
    pub const OUTCOMES: Self = Self {
        name: "outcomes",
        key: "stage || ' ' || iteration || ' ' || place || ' ' || attempt || ' ' || seed",
        order: "stage DESC, iteration, place, attempt, seed",
    };

    const fn at_place(name: &'static str) -> Self {
        Self { name, key: "iteration || ' ' || place || ' ' || attempt", order: "iteration, place, attempt" }
    }

    /// Names and JSON of the rows, all of them as they were written. A file of version 1 has no checksums.
    pub fn rows(&self, db: &Connection) -> Result<Vec<(String, String)>, Unsound> {
        let Self { name, key, order } = self;
        let sql = format!("SELECT '{name} ' || {key}, json FROM {name} ORDER BY {order}");
        let mut statement = db.prepare(&sql)?;
        let rows: Vec<(String, String)> =
            statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<Result<_, _>>()?;
        if db.pragma_query_value(None, "user_version", |r| r.get::<_, i32>(0))? < 2 {
            return Ok(rows);
        }
        let mut statement = db.prepare("SELECT crc FROM sums WHERE row = ?1")?;
        for (row, json) in &rows {
            if statement.query_row([row], |r| r.get::<_, u32>(0)).optional()? != Some(checksum(row, json)) {
                return Err(Unsound::Row(row.clone(), "was changed on the disk: its checksum is wrong"));
            }
        }
        let mut statement = db.prepare("SELECT row FROM sums WHERE row >= ?1 || ' ' AND row < ?1 || '!'")?;
        let known: Vec<String> = statement.query_map([name], |r| r.get(0))?.collect::<Result<_, _>>()?;
        let there: std::collections::HashSet<&str> = rows.iter().map(|(row, _)| row.as_str()).collect();
        match known.into_iter().find(|row| !there.contains(row.as_str())) {
            Some(missing) => Err(Unsound::Row(missing, "is missing")),
            None => Ok(rows),
        }
    }
}

/// Writes a row's checksum.
pub(super) fn put(db: &Connection, row: &str, json: &str) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("INSERT OR REPLACE INTO sums VALUES (?1, ?2)")?;
    statement.execute(params![row, checksum(row, json)]).map(drop)
}

/// Gives the rows of a file of version 1 their checksums.
pub(super) fn add_missing(db: &Connection) -> rusqlite::Result<()> {
    let change = db.unchecked_transaction()?;
    for Table { name, key, .. } in [Table::META, Table::CANDIDATES, Table::EXCHANGES, Table::ANSWERS, Table::OUTCOMES] {
        let mut statement = change.prepare(&format!("SELECT '{name} ' || {key}, json FROM {name}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            put(&change, &row.get::<_, String>(0)?, &row.get::<_, String>(1)?)?;
        }
    }
    change.commit()
}

fn checksum(row: &str, json: &str) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(row.as_bytes()), json.as_bytes())
}
