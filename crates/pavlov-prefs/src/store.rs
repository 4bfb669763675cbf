//! The label store: one SQLite file for all runs, to which labels are only ever added.
//!
//! Journal in WAL mode with `synchronous = FULL`: a label is on the disk before [`LabelStore::append`] returns, so
//! neither a killed process nor a power failure loses it; both cost one flush of the disk a label, nothing beside the
//! seconds a person needs. The tables refuse changes and removals by trigger: taking a label back is a further record.
//! The README documents the tables.

use crate::error::PrefsError;
use crate::label::{Answer, Entry, Label, Segment, Versions};
use crate::store_read::read;
use crate::sums::checksum;
use pavlov_common::file;
use rusqlite::{Connection, OpenFlags, Transaction, params};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `application_id` of the file: `PVLB`.
const APPLICATION: i32 = 0x5056_4c42;
/// Version of the tables: `user_version`. Files of version 1 have no checksums, and get them when they are opened.
const FORMAT: i32 = 2;
/// How long another process may hold the file.
const BUSY: Duration = Duration::from_secs(10);

/// A checksum of every label's content, so that a changed bit in any table is seen.
const SUMS: &str = "CREATE TABLE sums (label INTEGER PRIMARY KEY, crc INTEGER NOT NULL);";

const TABLES: &str = "
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE versions (
    id INTEGER PRIMARY KEY, reward TEXT NOT NULL, script TEXT NOT NULL, app TEXT NOT NULL, UNIQUE (reward, script, \
    app));
CREATE TABLE segments (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES names, rollout INTEGER NOT NULL REFERENCES names,
    episode INTEGER NOT NULL, first INTEGER NOT NULL, length INTEGER NOT NULL, reset_seed INTEGER NOT NULL,
    UNIQUE (run, rollout, episode, first, length, reset_seed));
CREATE TABLE labels (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, task INTEGER NOT NULL REFERENCES names,
    rater INTEGER NOT NULL REFERENCES names, took_ms INTEGER NOT NULL, versions INTEGER NOT NULL REFERENCES versions,
    kind INTEGER NOT NULL, a INTEGER NOT NULL, b INTEGER NOT NULL, text TEXT, segments TEXT NOT NULL);
CREATE VIEW label_segments AS
    SELECT labels.id AS label, j.key AS place, j.value AS segment FROM labels, json_each('[' || labels.segments || \
    ']') AS j;
";

/// An open store.
#[derive(Debug)]
pub struct LabelStore {
    path: PathBuf,
    db: Connection,
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Labels added.
    pub added: usize,
    /// Labels that were there already.
    pub known: usize,
}

impl LabelStore {
    /// Where the labels of all runs in a folder lie: `<runs>/labels.sqlite`.
    pub fn path_in(runs: &Path) -> PathBuf {
        runs.join("labels.sqlite")
    }

    /// Opens a store, or makes one.
    ///
    /// # Errors
    /// When the file cannot be opened, is no label store, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, PrefsError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| PrefsError::io("create", parent, e))?;
        }
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Opens a store that is there already.
    ///
    /// # Errors
    /// As [`Self::open`]; when there is none.
    pub fn open_existing(path: &Path) -> Result<Self, PrefsError> {
        if !path.is_file() {
            return Err(PrefsError::Usage(format!(
                "{}: no label store there (`pavlov prefs label` or the studio's labelling panel makes one)",
                path.display()
            )));
        }
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    fn with(path: &Path, flags: OpenFlags) -> Result<Self, PrefsError> {
        let failed = |source| PrefsError::Store { action: "open", path: path.to_path_buf(), source };
        file::check_database(path.parent(), path).map_err(|e| PrefsError::io("open", path, e))?;
        #[allow(clippy::disallowed_methods, reason = "checked above")]
        let mut db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
        db.busy_timeout(BUSY).map_err(failed)?;
        let pragma = |db: &Connection, name: &str| db.pragma_query_value(None, name, |r| r.get::<_, i32>(0));
        let application = pragma(&db, "application_id").map_err(failed)?;
        let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get(0)).map_err(failed)?;
        if application != APPLICATION && (application != 0 || tables != 0) {
            return Err(PrefsError::damaged(path, "an SQLite file, but not a label store of Pavlov"));
        }
        let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0)).map_err(failed)?;
        if mode != "wal" {
            return Err(PrefsError::damaged(path, format!("journal mode `{mode}`: this file system allows no WAL")));
        }
        db.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        let change = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
        // Another process may have made the tables in the meantime.
        let before = pragma(&change, "user_version").map_err(failed)?;
        if before == 0 {
            change.execute_batch(TABLES).map_err(failed)?;
            only_add(&change, &["names", "versions", "segments", "labels"]).map_err(failed)?;
            change.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
        }
        if before < FORMAT {
            change.execute_batch(SUMS).map_err(failed)?;
            for label in read(&change, 0).map_err(failed)?.sound {
                put_sum(&change, label.id, label.at_ms, &label.entry).map_err(failed)?;
            }
            only_add(&change, &["sums"]).map_err(failed)?;
            change.pragma_update(None, "user_version", FORMAT).map_err(failed)?;
        }
        let format = pragma(&change, "user_version").map_err(failed)?;
        change.commit().map_err(failed)?;
        if format != FORMAT {
            let message = format!("label store of format {format}; this version of Pavlov reads {FORMAT}");
            return Err(PrefsError::damaged(path, message));
        }
        Ok(Self { path: path.to_path_buf(), db })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a label with the time of now. It is on the disk when this returns.
    ///
    /// # Errors
    /// When the label makes no sense, retracts what is not there, or cannot be written.
    pub fn append(&mut self, entry: &Entry) -> Result<u64, PrefsError> {
        Ok(self.append_all(std::slice::from_ref(entry))?[0])
    }

    /// Adds labels, all or none.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_all(&mut self, entries: &[Entry]) -> Result<Vec<u64>, PrefsError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let records: Vec<(u64, &Entry)> = entries.iter().map(|e| (now, e)).collect();
        self.write(&records)
    }

    /// Takes a label back: a further record, by the same or another rater.
    ///
    /// # Errors
    /// When there is no such label, it is taken back already, or the record cannot be written.
    pub fn retract(&mut self, label: u64, rater: &str) -> Result<u64, PrefsError> {
        let entry = Entry {
            task: "".into(),
            rater: rater.into(),
            segments: Vec::new(),
            answer: Answer::Retract { label },
            took_ms: 0,
            versions: Arc::new(Versions::of("", "")),
        };
        self.append(&entry)
    }

    /// Takes the rater's last label back that stands; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn undo(&mut self, rater: &str) -> Result<Option<u64>, PrefsError> {
        let sql = "SELECT max(id) FROM labels WHERE kind != 7 AND rater = (SELECT id FROM names WHERE name = ?1)
                   AND id NOT IN (SELECT a FROM labels WHERE kind = 7)";
        let last: Option<i64> = self.db.query_row(sql, [rater], |r| r.get(0)).map_err(|e| self.failed("read", e))?;
        let Some(last) = last else { return Ok(None) };
        self.retract(last as u64, rater)?;
        Ok(Some(last as u64))
    }

    /// Labels that stand, in the order of arrival: without those taken back and the records that took them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn labels(&self) -> Result<Vec<Label>, PrefsError> {
        let mut all = self.records()?;
        let retracted = retracted(&all);
        all.retain(|l| !matches!(l.entry.answer, Answer::Retract { .. }) && !retracted.contains(&l.id));
        Ok(all)
    }

    /// Everything ever stored, in the order of arrival.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn records(&self) -> Result<Vec<Label>, PrefsError> {
        self.read(0)
    }

    /// The records that are as they were stored, and the numbers of those that were changed on the disk since, or are
    /// missing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn sound(&self) -> Result<(Vec<Label>, Vec<u64>), PrefsError> {
        let failed = |e| self.failed("read", e);
        // One snapshot for all tables, whatever others write meanwhile.
        let view = self.db.unchecked_transaction().map_err(failed)?;
        let found = read(&view, 0).map_err(failed)?;
        Ok((found.sound, found.damaged))
    }

    /// Records after the one with this number: what arrived since.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn since(&self, id: u64) -> Result<Vec<Label>, PrefsError> {
        self.read(id)
    }

    /// Adds exported records with their times. Records that are there already, the same in all but their number, are
    /// left out.
    ///
    /// # Errors
    /// When a record makes no sense or cannot be written; then none is added.
    pub fn import(&mut self, records: &[Label]) -> Result<Imported, PrefsError> {
        let mut numbers: HashMap<u64, u64> = HashMap::new();
        let mut known: HashMap<(u64, Entry), u64> =
            self.records()?.into_iter().map(|l| ((l.at_ms, l.entry), l.id)).collect();
        let mut next = known.values().copied().max().unwrap_or(0);
        let mut new = Vec::new();
        let mut imported = Imported::default();
        for record in records {
            let mut entry = record.entry.clone();
            if let Answer::Retract { label } = &mut entry.answer {
                *label = *numbers.get(label).ok_or_else(|| {
                    PrefsError::Label(format!("record {} retracts {label}, which does not stand before it", record.id))
                })?;
            }
            let number = match known.get(&(record.at_ms, entry.clone())) {
                Some(&number) => {
                    imported.known += 1;
                    number
                }
                None => {
                    next += 1;
                    known.insert((record.at_ms, entry.clone()), next);
                    new.push((record.at_ms, entry));
                    next
                }
            };
            numbers.insert(record.id, number);
        }
        let new: Vec<(u64, &Entry)> = new.iter().map(|(at, e)| (*at, e)).collect();
        imported.added = self.write(&new)?.len();
        Ok(imported)
    }

    fn failed(&self, action: &'static str, source: rusqlite::Error) -> PrefsError {
        PrefsError::Store { action, path: self.path.clone(), source }
    }

    fn write(&mut self, records: &[(u64, &Entry)]) -> Result<Vec<u64>, PrefsError> {
        records.iter().try_for_each(|(_, e)| e.check())?;
        let failed = |source| PrefsError::Store { action: "append to", path: self.path.clone(), source };
        let change = self.db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
        let mut ids = Vec::with_capacity(records.len());
        {
            let mut writer = Writer { change: &change, names: HashMap::new(), segments: HashMap::new() };
            for (at_ms, entry) in records {
                if let Answer::Retract { label } = entry.answer {
                    let sql = "SELECT (SELECT kind FROM labels WHERE id = ?1), (SELECT id FROM labels WHERE kind = 7 \
                        AND a = ?1)";
                    let found: (Option<i64>, Option<i64>) =
                        change.query_row(sql, [label as i64], |r| Ok((r.get(0)?, r.get(1)?))).map_err(failed)?;
                    match found {
                        (None, _) => return Err(PrefsError::Label(format!("there is no label {label} to retract"))),
                        (Some(7), _) => {
                            return Err(PrefsError::Label(format!("record {label} is itself a retraction")));
                        }
                        (_, Some(by)) => {
                            return Err(PrefsError::Label(format!(
                                "label {label} is retracted already, by record {by}"
                            )));
                        }
                        _ => {}
                    }
                }
                ids.push(writer.label(*at_ms, entry).map_err(failed)?);
            }
        }
        change.commit().map_err(failed)?;
        Ok(ids)
    }

    fn read(&self, after: u64) -> Result<Vec<Label>, PrefsError> {
        let failed = |e| self.failed("read", e);
        // One snapshot for all tables, whatever others write meanwhile.
        let view = self.db.unchecked_transaction().map_err(failed)?;
        let found = read(&view, after).map_err(failed)?;
        let Some(first) = found.damaged.first() else { return Ok(found.sound) };
        let more = match found.damaged.len() - 1 {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        let message = format!(
            "label {first}{more} was changed on the disk or is missing: its checksum is not that of when it was \
             stored. Bring the file back from a copy, or keep the others: `pavlov prefs export sound.jsonl`, move the \
             file away, `pavlov prefs import sound.jsonl`"
        );
        Err(PrefsError::damaged(&self.path, message))
    }
}

/// Refuses changes and removals in tables.
fn only_add(change: &Transaction<'_>, tables: &[&str]) -> rusqlite::Result<()> {
    for table in tables {
        for change_kind in ["UPDATE", "DELETE"] {
            let trigger = format!(
                "CREATE TRIGGER {table}_no_{change_kind} BEFORE {change_kind} ON {table} BEGIN
                 SELECT RAISE(ABORT, 'labels are only ever added; retract instead'); END"
            );
            change.execute_batch(&trigger)?;
        }
    }
    Ok(())
}

fn put_sum(change: &Transaction<'_>, id: u64, at_ms: u64, entry: &Entry) -> rusqlite::Result<()> {
    let sum = checksum(id, at_ms, entry);
    change.prepare_cached("INSERT INTO sums (label, crc) VALUES (?1, ?2)")?.execute(params![id as i64, sum])?;
    Ok(())
}

/// Numbers of the labels that were taken back.
pub fn retracted(records: &[Label]) -> HashSet<u64> {
    let target = |l: &Label| if let Answer::Retract { label } = l.entry.answer { Some(label) } else { None };
    records.iter().filter_map(target).collect()
}

/// Rows of one transaction; what it has written or looked up once it knows.
struct Writer<'a> {
    change: &'a Transaction<'a>,
    names: HashMap<String, i64>,
    segments: HashMap<Arc<Segment>, i64>,
}

impl Writer<'_> {
    fn name(&mut self, name: &str) -> rusqlite::Result<i64> {
        if let Some(&id) = self.names.get(name) {
            return Ok(id);
        }
        self.change.prepare_cached("INSERT OR IGNORE INTO names (name) VALUES (?1)")?.execute([name])?;
        let id = self.change.prepare_cached("SELECT id FROM names WHERE name = ?1")?.query_row([name], |r| r.get(0))?;
        self.names.insert(name.to_string(), id);
        Ok(id)
    }

    fn versions(&mut self, v: &Versions) -> rusqlite::Result<i64> {
        let values = params![v.reward, v.script, v.app];
        let sql = "INSERT OR IGNORE INTO versions (reward, script, app) VALUES (?1, ?2, ?3)";
        self.change.prepare_cached(sql)?.execute(values)?;
        let sql = "SELECT id FROM versions WHERE reward = ?1 AND script = ?2 AND app = ?3";
        self.change.prepare_cached(sql)?.query_row(values, |r| r.get(0))
    }

    fn segment(&mut self, s: &Arc<Segment>) -> rusqlite::Result<i64> {
        if let Some(&id) = self.segments.get(s) {
            return Ok(id);
        }
        let (run, rollout) = (self.name(&s.run)?, self.name(&s.rollout)?);
        let values = params![run, rollout, s.episode, s.first, s.length, s.reset_seed as i64];
        let sql = "INSERT OR IGNORE INTO segments (run, rollout, episode, first, length, reset_seed) VALUES (?1, ?2, \
            ?3, ?4, ?5, ?6)";
        self.change.prepare_cached(sql)?.execute(values)?;
        let sql = "SELECT id FROM segments WHERE run = ?1 AND rollout = ?2 AND episode = ?3 AND first = ?4 AND \
            length = ?5 AND reset_seed = ?6";
        let id = self.change.prepare_cached(sql)?.query_row(values, |r| r.get(0))?;
        self.segments.insert(s.clone(), id);
        Ok(id)
    }

    fn label(&mut self, at_ms: u64, e: &Entry) -> rusqlite::Result<u64> {
        let (task, rater, versions) = (self.name(&e.task)?, self.name(&e.rater)?, self.versions(&e.versions)?);
        let ids: rusqlite::Result<Vec<String>> = e.segments.iter().map(|s| Ok(self.segment(s)?.to_string())).collect();
        let (a, b, text): (i64, i64, Option<&str>) = match &e.answer {
            Answer::Comparison { choice, strength } => (*choice as i64, strength.map_or(0, i64::from), None),
            Answer::BestWorst { best, worst } => (i64::from(*best), i64::from(*worst), None),
            Answer::Rating { value, of } => (i64::from(*value), i64::from(*of), None),
            Answer::Skip => (0, 0, None),
            Answer::Mark { first, length, mark } => (i64::from(*first), i64::from(*length), Some(mark)),
            Answer::Attribute { name, value, of } => (i64::from(*value), i64::from(*of), Some(name)),
            Answer::Text { text } => (0, 0, Some(text)),
            Answer::Retract { label } => (*label as i64, 0, None),
        };
        let sql = "INSERT INTO labels (at_ms, task, rater, took_ms, versions, kind, a, b, text, segments)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let kind = e.answer.kind_index() as i64;
        let values = params![at_ms as i64, task, rater, e.took_ms, versions, kind, a, b, text, ids?.join(",")];
        self.change.prepare_cached(sql)?.execute(values)?;
        let id = self.change.last_insert_rowid() as u64;
        put_sum(self.change, id, at_ms, e)?;
        Ok(id)
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
