//! The lineage of a search: one SQLite file (WAL) that holds everything that was decided, before it is acted on.
//!
//! ```text
//! meta(key, json)                               settings, state of the end
//! candidates(iteration, place, attempt, json)   proposals, gate, status
//! outcomes(iteration, place, stage, seed, json) training; iteration -1 is the human reward
//! exchanges(iteration, place, attempt, json)    with a model
//! answers(iteration, json)                      of people and raters
//! times(what, seconds)                          clock times, which are not part of what is compared
//! sums(row, crc)                                CRC-32C of every row's name and JSON, clock times' excepted
//! ```
//! A killed search finds here what was decided, does the rest anew, and ends with the same lineage.

mod record;
mod sums;

pub use record::{Answer, At, Candidate, Exchange, Outcome, Point, Rejection, Status, Verdict};

use crate::error::SearchError;
use pavlov_common::file;
use rusqlite::{Connection, OpenFlags, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sums::Table;

/// Name of the file within a search folder.
pub const FILE: &str = "lineage.sqlite";
/// Version of the tables' layout. Files of version 1 have no checksums, and get them when a search goes on.
const FORMAT: i32 = 2;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS candidates(iteration INTEGER, place INTEGER, attempt INTEGER, status TEXT NOT NULL, json TEXT NOT NULL,
    PRIMARY KEY(iteration, place, attempt)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outcomes(stage TEXT, iteration INTEGER, place INTEGER, attempt INTEGER, seed INTEGER, fitness REAL, json TEXT NOT NULL,
    PRIMARY KEY(stage, iteration, place, attempt, seed)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS exchanges(iteration INTEGER, place INTEGER, attempt INTEGER, hash TEXT NOT NULL, json TEXT NOT NULL,
    PRIMARY KEY(iteration, place, attempt)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers(iteration INTEGER PRIMARY KEY, json TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sums(row TEXT PRIMARY KEY, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS times(id INTEGER PRIMARY KEY, what TEXT NOT NULL, seconds REAL NOT NULL);
";

/// An open lineage.
#[derive(Debug)]
pub struct Lineage {
    db: Connection,
    path: PathBuf,
}

impl Lineage {
    /// Opens the lineage of a search folder, and makes it when it is not there.
    ///
    /// # Errors
    /// When the file cannot be opened or is none of ours.
    pub fn open(folder: &Path) -> Result<Self, SearchError> {
        std::fs::create_dir_all(folder).map_err(|e| SearchError::file("create", folder, e))?;
        Self::at(folder, &folder.join(FILE))
    }

    /// Opens one that is there.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn existing(folder: &Path) -> Result<Self, SearchError> {
        Self::at(folder, &Self::find(folder)?)
    }

    /// Opens one that is there for reading only: a search under way is not disturbed.
    ///
    /// # Errors
    /// When there is none, it cannot be opened, is none of ours, or has nothing in it yet.
    pub fn read_only(folder: &Path) -> Result<Self, SearchError> {
        let path = Self::find(folder)?;
        let wrong = |message: String| SearchError::Lineage { path: path.clone(), message };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        file::check_database(None, &path).map_err(|e| wrong(e.to_string()))?;
        #[allow(clippy::disallowed_methods, reason = "checked above")]
        let db = Connection::open_with_flags(&path, flags).map_err(|e| wrong(e.to_string()))?;
        db.busy_timeout(Duration::from_secs(2)).map_err(|e| wrong(e.to_string()))?;
        match db.pragma_query_value(None, "user_version", |r| r.get::<_, i32>(0)) {
            Ok(FORMAT | 1) => {}
            Ok(0) => return Err(wrong("nothing is in it yet: the search is just beginning, or never began".into())),
            Ok(other) => return Err(wrong(layout(other))),
            Err(e) => return Err(wrong(e.to_string())),
        }
        Ok(Self { db, path })
    }

    /// The file of the search in a folder.
    fn find(folder: &Path) -> Result<PathBuf, SearchError> {
        let path = folder.join(FILE);
        if path.is_file() {
            return Ok(path);
        }
        Err(SearchError::Usage(format!("{} is no search: it has no {FILE}", folder.display())))
    }

    fn at(folder: &Path, path: &Path) -> Result<Self, SearchError> {
        let wrong = |e: rusqlite::Error| SearchError::Lineage { path: path.into(), message: e.to_string() };
        file::check_database(Some(folder), path)
            .map_err(|e| SearchError::Lineage { path: path.into(), message: e.to_string() })?;
        #[allow(clippy::disallowed_methods, reason = "checked above")]
        let db = Connection::open(path).map_err(wrong)?;
        db.busy_timeout(Duration::from_secs(10)).map_err(wrong)?;
        db.pragma_update(None, "journal_mode", "WAL").map_err(wrong)?;
        // A lost last entry is made again: what follows from it is not there either.
        db.pragma_update(None, "synchronous", "NORMAL").map_err(wrong)?;
        let format: i32 = db.pragma_query_value(None, "user_version", |r| r.get(0)).map_err(wrong)?;
        if !(0..=FORMAT).contains(&format) {
            return Err(SearchError::Lineage { path: path.into(), message: layout(format) });
        }
        db.execute_batch(TABLES).map_err(wrong)?;
        if format == 1 {
            sums::add_missing(&db).map_err(wrong)?;
        }
        db.pragma_update(None, "user_version", FORMAT).map_err(wrong)?;
        Ok(Self { db, path: path.into() })
    }

    fn wrong(&self, e: impl std::fmt::Display) -> SearchError {
        SearchError::Lineage { path: self.path.clone(), message: e.to_string() }
    }

    /// What could not be written: the disk's fault rather than the file's.
    fn unwritten(&self, e: impl std::fmt::Display) -> SearchError {
        SearchError::file("write", &self.path, std::io::Error::other(e.to_string()))
    }

    fn json(&self, value: &impl Serialize) -> Result<String, SearchError> {
        serde_json::to_string(value).map_err(|e| self.wrong(e))
    }

    fn value(&self, value: &impl Serialize) -> Result<serde_json::Value, SearchError> {
        serde_json::to_value(value).map_err(|e| self.wrong(e))
    }

    /// Does several reads that belong together: what is written meanwhile is in all of them, or in none.
    pub(crate) fn at_once<T>(&self, read: impl FnOnce(&Self) -> Result<T, SearchError>) -> Result<T, SearchError> {
        self.db.execute_batch("BEGIN").map_err(|e| self.wrong(e))?;
        let found = read(self);
        // Nothing was written: how it ends makes no difference to the file.
        let ended = self.db.execute_batch("ROLLBACK").map_err(|e| self.wrong(e));
        found.and_then(|found| ended.map(|()| found))
    }

    fn all<T: DeserializeOwned>(&self, table: &Table) -> Result<Vec<T>, SearchError> {
        let rows = table.rows(&self.db).map_err(|e| self.wrong(e))?;
        rows.iter()
            .map(|(name, json)| serde_json::from_str(json).map_err(|e| self.wrong(format!("row `{name}`: {e}"))))
            .collect()
    }

    /// Keeps the checksum of a row.
    fn sum(&self, row: &str, json: &str) -> Result<(), SearchError> {
        sums::put(&self.db, row, json).map_err(|e| self.unwritten(e))
    }

    /// Does writes that belong together: all or nothing.
    fn together(&self, write: impl FnOnce() -> Result<(), SearchError>) -> Result<(), SearchError> {
        if !self.db.is_autocommit() {
            return write();
        }
        self.db.execute_batch("BEGIN IMMEDIATE").map_err(|e| self.unwritten(e))?;
        let written = write();
        let end = if written.is_ok() { "COMMIT" } else { "ROLLBACK" };
        self.db.execute_batch(end).map_err(|e| self.unwritten(e))?;
        written
    }

    /// Keeps a value under a name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set(&self, key: &str, value: &impl Serialize) -> Result<(), SearchError> {
        let text = self.json(value)?;
        self.together(|| {
            self.sum(&format!("meta {key}"), &text)?;
            let done = self.db.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![key, text]);
            done.map(|_| ()).map_err(|e| self.unwritten(e))
        })
    }

    /// The value under a name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, SearchError> {
        let wanted = format!("meta {key}");
        let rows = Table::META.rows(&self.db).map_err(|e| self.wrong(e))?;
        let row = rows.into_iter().find(|(name, _)| *name == wanted);
        row.map(|(name, json)| serde_json::from_str(&json).map_err(|e| self.wrong(format!("row `{name}`: {e}"))))
            .transpose()
    }

    /// Writes a candidate, or its new status.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, c: &Candidate) -> Result<(), SearchError> {
        let text = self.json(c)?;
        let At { iteration, place, attempt } = c.at;
        self.together(|| {
            self.sum(&format!("candidates {iteration} {place} {attempt}"), &text)?;
            let sql = "INSERT OR REPLACE INTO candidates VALUES (?1, ?2, ?3, ?4, ?5)";
            let done = self.db.execute(sql, params![iteration, place, attempt, c.status.name(), text]);
            done.map(|_| ()).map_err(|e| self.unwritten(e))
        })
    }

    /// Every candidate, in order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn candidates(&self) -> Result<Vec<Candidate>, SearchError> {
        self.all(&Table::CANDIDATES)
    }

    /// Writes what training gave, with the new status of the candidates, all or nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_outcomes(&mut self, outcomes: &[Outcome], candidates: &[Candidate]) -> Result<(), SearchError> {
        self.together(|| self.write_outcomes(outcomes).and_then(|()| candidates.iter().try_for_each(|c| self.put(c))))
    }

    fn write_outcomes(&self, outcomes: &[Outcome]) -> Result<(), SearchError> {
        for o in outcomes {
            let at = o.at.map_or((-1, 0, 0), |a| (i64::from(a.iteration), a.place, a.attempt));
            let (seed, text) = (o.seed.cast_signed(), self.json(o)?);
            self.sum(&format!("outcomes {} {} {} {} {seed}", o.stage, at.0, at.1, at.2), &text)?;
            let sql = "INSERT OR REPLACE INTO outcomes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let done = self.db.execute(sql, params![o.stage, at.0, at.1, at.2, seed, o.fitness, text]);
            done.map_err(|e| self.unwritten(e))?;
        }
        Ok(())
    }

    /// Everything that was trained.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn outcomes(&self) -> Result<Vec<Outcome>, SearchError> {
        self.all(&Table::OUTCOMES)
    }

    /// Writes an exchange.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_exchange(&self, e: &Exchange) -> Result<(), SearchError> {
        let text = self.json(e)?;
        let At { iteration, place, attempt } = e.at;
        self.together(|| {
            self.sum(&format!("exchanges {iteration} {place} {attempt}"), &text)?;
            let sql = "INSERT OR REPLACE INTO exchanges VALUES (?1, ?2, ?3, ?4, ?5)";
            let done = self.db.execute(sql, params![iteration, place, attempt, e.hash, text]);
            done.map(|_| ()).map_err(|e| self.unwritten(e))
        })
    }

    /// Every exchange, in order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn exchanges(&self) -> Result<Vec<Exchange>, SearchError> {
        self.all(&Table::EXCHANGES)
    }

    /// Writes an answer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_answer(&self, a: &Answer) -> Result<(), SearchError> {
        let text = self.json(a)?;
        self.together(|| {
            self.sum(&format!("answers {}", a.iteration), &text)?;
            let done = self.db.execute("INSERT OR REPLACE INTO answers VALUES (?1, ?2)", params![a.iteration, text]);
            done.map(|_| ()).map_err(|e| self.unwritten(e))
        })
    }

    /// Every answer, in order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn answers(&self) -> Result<Vec<Answer>, SearchError> {
        self.all(&Table::ANSWERS)
    }

    /// Adds clock time, in seconds, that a stage took.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn took(&self, stage: &str, seconds: f64) -> Result<(), SearchError> {
        let done = self.db.execute("INSERT INTO times(what, seconds) VALUES (?1, ?2)", params![stage, seconds]);
        done.map(|_| ()).map_err(|e| self.unwritten(e))
    }

    /// Clock times, by what they were spent on.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn times(&self) -> Result<Vec<(String, f64)>, SearchError> {
        let sql = "SELECT what, SUM(seconds) FROM times GROUP BY what ORDER BY what";
        let mut statement = self.db.prepare(sql).map_err(|e| self.wrong(e))?;
        let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).map_err(|e| self.wrong(e))?;
        rows.collect::<Result<_, _>>().map_err(|e| self.wrong(e))
    }

    /// The lineage as JSON lines: everything but clock times. Two searches that decided the same have the same text.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn export(&self) -> Result<String, SearchError> {
        let mut out = String::new();
        let mut line = |kind: &str, value: serde_json::Value| {
            out += &format!("{}\n", serde_json::json!({ kind: value }));
        };
        for key in ["settings", "end"] {
            if let Some(v) = self.get::<serde_json::Value>(key)? {
                line(key, v);
            }
        }
        for c in self.candidates()? {
            line("candidate", self.value(&c)?);
        }
        for o in self.outcomes()? {
            line("outcome", self.value(&o)?);
        }
        for e in self.exchanges()? {
            line("exchange", self.value(&e)?);
        }
        for a in self.answers()? {
            line("answer", self.value(&a)?);
        }
        Ok(out)
    }
}

fn layout(format: i32) -> String {
    format!("layout {format}, this program reads {FORMAT}")
}

/// Difference of two texts, line by line, with the names of where they stand.
pub fn diff(old: (&str, &str), new: (&str, &str)) -> String {
    similar::TextDiff::from_lines(old.1, new.1).unified_diff().context_radius(2).header(old.0, new.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_exported_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut lineage = Lineage::open(dir.path()).unwrap();
        lineage.set("settings", &serde_json::json!({"task": "t"})).unwrap();
        let second = Candidate { at: At::new(0, 1), status: Status::Admitted, ..Candidate::default() };
        lineage.put(&second).unwrap();
        lineage.put(&Candidate::default()).unwrap();
        let done = Candidate { status: Status::Trained, ..second };
        let outcome = Outcome { at: Some(done.at), stage: "search".into(), seed: u64::MAX, ..Outcome::default() };
        lineage.put_outcomes(std::slice::from_ref(&outcome), std::slice::from_ref(&done)).unwrap();
        lineage.took("train", 1.5).unwrap();
        drop(lineage);
        let lineage = Lineage::existing(dir.path()).unwrap();
        assert_eq!(lineage.candidates().unwrap(), [Candidate::default(), done]);
        assert_eq!(lineage.outcomes().unwrap(), [outcome]);
        assert_eq!(lineage.times().unwrap(), [("train".to_string(), 1.5)]);
        let text = lineage.export().unwrap();
        assert_eq!(text.lines().count(), 4);
        assert!(!text.contains("1.5"));
        assert!(Lineage::existing(&dir.path().join("x")).unwrap_err().to_string().contains("no search"));
    }

    #[test]
    fn a_difference_shows_what_went_and_came() {
        let text = diff(("0.1", "let a = 1;\nsame\n"), ("1.2", "let a = 2;\nsame\n"));
        for part in ["--- 0.1", "+++ 1.2", "-let a = 1;", "+let a = 2;", " same"] {
            assert!(text.lines().any(|line| line.trim_end() == part), "{text}");
        }
    }

    #[test]
    fn writes_that_belong_together_are_kept_all_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let lineage = Lineage::open(dir.path()).unwrap();
        let before = lineage.export().unwrap();
        let both = |fails: bool| {
            lineage.together(|| {
                lineage.set("settings", &1)?;
                if fails { Err(lineage.wrong("no")) } else { lineage.set("end", &2) }
            })
        };
        assert!(both(true).is_err());
        assert_eq!(lineage.export().unwrap(), before);
        both(false).unwrap();
        assert_eq!(lineage.export().unwrap().lines().count(), before.lines().count() + 2);
    }

    fn some(folder: &Path) -> String {
        let lineage = Lineage::open(folder).unwrap();
        lineage.set("settings", &serde_json::json!({"task": "t"})).unwrap();
        for place in 0..20 {
            lineage.put(&Candidate { at: At::new(0, place), script: "x".repeat(200), ..Candidate::default() }).unwrap();
        }
        let outcome = Outcome { stage: "search".into(), seed: 7, fitness: 0.5, ..Outcome::default() };
        lineage.write_outcomes(&[outcome]).unwrap();
        lineage.export().unwrap()
    }

    #[test]
    fn a_changed_bit_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let text = some(dir.path());
        let path = dir.path().join(FILE);
        let good = std::fs::read(&path).unwrap();
        let (mut state, mut seen) = (7u64, 0);
        for _ in 0..300 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut bad = good.clone();
            let bit = (state >> 20) as usize % (8 * good.len());
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bad).unwrap();
            match Lineage::read_only(dir.path()).and_then(|l| l.export()) {
                Ok(found) => assert_eq!(found, text, "bit {bit}"),
                Err(e) => {
                    assert!(e.to_string().contains(FILE), "{e}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 50, "{seen}");
    }

    #[test]
    fn a_lineage_of_version_1_is_read_and_gets_its_checksums() {
        let dir = tempfile::tempdir().unwrap();
        let text = some(dir.path());
        let path = dir.path().join(FILE);
        Connection::open(&path).unwrap().execute_batch("DROP TABLE sums; PRAGMA user_version = 1").unwrap();
        assert_eq!(Lineage::read_only(dir.path()).unwrap().export().unwrap(), text);
        assert_eq!(Lineage::existing(dir.path()).unwrap().export().unwrap(), text);
        let db = Connection::open(&path).unwrap();
        assert_eq!(db.query_row("SELECT count(*) FROM sums", [], |r| r.get::<_, i64>(0)).unwrap(), 22);
        // A row that is gone is missed, and one that was changed is named.
        db.execute("DELETE FROM candidates WHERE place = 3", []).unwrap();
        let missing = Lineage::read_only(dir.path()).unwrap().export().unwrap_err().to_string();
        assert!(missing.contains("row `candidates 0 3 0` is missing"), "{missing}");
        db.execute("UPDATE outcomes SET json = replace(json, '0.5', '0.9')", []).unwrap();
        let changed = Lineage::read_only(dir.path()).unwrap().outcomes().unwrap_err().to_string();
        assert!(changed.contains("row `outcomes search -1 0 0 7` was changed"), "{changed}");
    }
}
