use super::*;
use crate::jsonl;
use crate::label::Choice;
use crate::label::tests::{every_kind, segment};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn open() -> (tempfile::TempDir, LabelStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = LabelStore::open(&LabelStore::path_in(dir.path())).unwrap();
    (dir, store)
}

fn some(i: u32) -> Entry {
    let choice = [Choice::Left, Choice::Right, Choice::Equal][i as usize % 3];
    Entry::comparison("ant_run", "ada", segment(i), segment(i + 1), choice)
}

#[test]
fn every_kind_comes_back_as_it_went_in() {
    let (dir, mut store) = open();
    let entries = every_kind();
    for (i, entry) in entries.iter().enumerate() {
        assert_eq!(store.append(entry).unwrap(), i as u64 + 1);
    }
    drop(store);
    let store = LabelStore::open_existing(&LabelStore::path_in(dir.path())).unwrap();
    let records = store.records().unwrap();
    assert!(records.iter().map(|l| &l.entry).eq(&entries) && records.iter().all(|l| l.at_ms > 1_700_000_000_000));
    // The last record takes the second back.
    let ids: Vec<u64> = store.labels().unwrap().iter().map(|l| l.id).collect();
    assert_eq!(ids, [1, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(store.since(8).unwrap().len(), 2);
    let sql = "SELECT count(*) FROM label_segments JOIN segments ON segments.id = label_segments.segment";
    assert_eq!(store.db.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap(), 15);
}

#[test]
fn undo_adds_a_record_and_nothing_is_ever_changed() {
    let (_dir, mut store) = open();
    let ids = store.append_all(&[some(0), some(1), some(2)]).unwrap();
    assert_eq!(store.undo("ada").unwrap(), Some(ids[2]));
    assert_eq!(store.undo("ada").unwrap(), Some(ids[1]));
    assert_eq!(store.undo("grace").unwrap(), None);
    assert_eq!((store.labels().unwrap().len(), store.records().unwrap().len()), (1, 5));
    for (label, word) in [(ids[2], "retracted already"), (99, "no label 99"), (4, "itself a retraction")] {
        let error = store.retract(label, "ada").unwrap_err();
        assert!(error.is_bad_input() && error.to_string().contains(word), "{error}");
    }
    for sql in ["UPDATE labels SET a = 1", "DELETE FROM labels", "DELETE FROM segments", "UPDATE names SET name = 'x'"]
    {
        assert!(store.db.execute(sql, []).unwrap_err().to_string().contains("only ever added"), "{sql}");
    }
    // All or none.
    let bad = Entry { rater: "".into(), ..some(1) };
    assert!(store.append_all(&[some(7), bad]).is_err());
    assert_eq!(store.records().unwrap().len(), 5);
}

#[test]
fn export_and_import_are_exact() {
    let (_dir, mut store) = open();
    store.append_all(&every_kind()).unwrap();
    let here = Path::new("labels.jsonl");
    let export = |store: &LabelStore| {
        let mut text = Vec::new();
        jsonl::export(&store.records().unwrap(), &mut text, here).unwrap();
        text
    };
    let text = export(&store);
    let (_other_dir, mut other) = open();
    let records = jsonl::import(&text[..], here).unwrap();
    assert_eq!(other.import(&records).unwrap(), Imported { added: 10, known: 0 });
    assert_eq!(export(&other), text);
    assert_eq!(other.records().unwrap(), store.records().unwrap());
    // Again: all known. Into a store with others: new numbers, and the retraction follows its label.
    assert_eq!(other.import(&records).unwrap(), Imported { added: 0, known: 10 });
    let (_third_dir, mut third) = open();
    third.append_all(&[some(0), some(1)]).unwrap();
    third.import(&records).unwrap();
    assert_eq!(third.records().unwrap()[11].entry.answer, Answer::Retract { label: 4 });
    assert_eq!(third.labels().unwrap().len(), 10);
    let cut = jsonl::import(&text[..text.len() - 30], here).unwrap_err().to_string();
    assert!(cut.starts_with("labels.jsonl: line 10:"), "{cut}");
}

#[test]
fn other_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labels.sqlite");
    assert!(LabelStore::open_existing(&path).unwrap_err().to_string().contains("no label store there"));
    std::fs::write(
        &path,
        "some text that is long enough to be looked at as a header of a database file, which it is not.....",
    )
    .unwrap();
    assert!(LabelStore::open(&path).unwrap_err().is_bad_input());
    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(LabelStore::open(&path).unwrap_err().to_string().contains("not a label store"));
    std::fs::remove_file(&path).unwrap();
    drop(LabelStore::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    assert!(LabelStore::open(&path).unwrap_err().to_string().contains("format 9"));
}

#[test]
fn two_write_at_once() {
    let (dir, store) = open();
    let path = LabelStore::path_in(dir.path());
    std::thread::scope(|s| {
        for t in 0..3 {
            let path = &path;
            s.spawn(move || {
                let mut store = LabelStore::open(path).unwrap();
                for i in 0..20 {
                    store.append(&some(100 * t + i)).unwrap();
                }
            });
        }
    });
    assert_eq!(store.labels().unwrap().len(), 60);
}

/// A log cut anywhere, as a crash of the machine may leave it: every label whose record is whole is there, and no
/// other.
#[test]
fn a_store_cut_anywhere_opens_with_every_committed_label() {
    let (dir, mut store) = open();
    let path = store.path().to_path_buf();
    let log = path.with_file_name("labels.sqlite-wal");
    store.db.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    let size = || std::fs::metadata(&log).unwrap().len();
    let mut ends = vec![size()];
    for i in 0..12 {
        store.append(&some(i)).unwrap();
        ends.push(size());
    }
    let (main, all) = (std::fs::read(&path).unwrap(), std::fs::read(&log).unwrap());
    let copy = dir.path().join("copy.sqlite");
    let copy_log = dir.path().join("copy.sqlite-wal");
    let mut cuts: Vec<u64> = ends.iter().flat_map(|&e| [e.saturating_sub(1), e, e + 1]).collect();
    cuts.extend((0..60).map(|i| ends[0] + i * 1013 % (ends[12] - ends[0])));
    for cut in cuts.into_iter().filter(|&c| c >= ends[0] && c <= ends[12]) {
        std::fs::write(&copy, &main).unwrap();
        std::fs::write(&copy_log, &all[..cut as usize]).unwrap();
        let labels = LabelStore::open_existing(&copy).unwrap().labels().unwrap();
        let whole = ends.partition_point(|&e| e <= cut) - 1;
        assert_eq!(labels.len(), whole, "cut at {cut} of {}", ends[12]);
        assert!(labels.iter().enumerate().all(|(i, l)| l.entry == some(i as u32)));
    }
}

const STORE: &str = "PAVLOV_TEST_STORE";

/// What the next test starts: adds one label, says so, and waits to be killed.
#[test]
#[ignore = "a process that is killed, started by the test of 50 kills"]
fn add_one_label_and_wait() {
    let Ok(path) = std::env::var(STORE) else { return };
    let mut store = LabelStore::open(Path::new(&path)).unwrap();
    let number = store.records().unwrap().len() as u32;
    store.append(&some(number)).unwrap();
    println!("\nstored {number}");
    std::thread::sleep(Duration::from_secs(60));
}

#[cfg(unix)]
#[test]
fn fifty_labels_with_a_kill_after_each_are_fifty_labels() {
    use std::os::unix::process::ExitStatusExt;
    let dir = tempfile::tempdir().unwrap();
    let path = LabelStore::path_in(dir.path());
    for i in 0..50 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "store::tests::add_one_label_and_wait", "--nocapture"])
            .env(STORE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        assert!(out.lines().any(|l| l.unwrap() == format!("stored {i}")), "label {i} was not stored");
        child.kill().unwrap(); // SIGKILL
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
    let labels = LabelStore::open_existing(&path).unwrap().labels().unwrap();
    assert!(labels.iter().map(|l| &l.entry).eq(&(0..50).map(some).collect::<Vec<_>>()), "{} labels", labels.len());
}

#[test]
#[ignore = "a measurement; run by name with --release -- --nocapture"]
fn bench_a_million_labels() {
    let (_dir, mut store) = open();
    let raters = ["ada", "grace", "mary"];
    let comparison = |i: u32| {
        let episode_segment = |e: u32| Segment { episode: e % 50_000, first: e / 50_000, ..segment(0) };
        let (a, b) = (episode_segment(i.wrapping_mul(2_654_435_761) % 400_000), episode_segment(i % 400_000));
        Entry { rater: raters[i as usize % 3].into(), took_ms: i % 9000, ..some(0) }.with(a, b)
    };
    let all: Vec<Entry> = (0..1_000_000).map(comparison).filter(|e| e.segments[0] != e.segments[1]).collect();
    let extra: Vec<Entry> = (0..1_000_000 - all.len() as u32).map(|i| some(10 * i)).collect();
    let clock = std::time::Instant::now();
    store.append_all(&all).unwrap();
    store.append_all(&extra).unwrap();
    println!("written in {:.2} s", clock.elapsed().as_secs_f64());
    for _ in 0..3 {
        let clock = std::time::Instant::now();
        let store = LabelStore::open_existing(store.path()).unwrap();
        let labels = store.labels().unwrap();
        let s = clock.elapsed().as_secs_f64();
        let size = std::fs::metadata(store.path()).unwrap().len() >> 20;
        println!("{} labels opened and loaded in {s:.2} s ({size} MiB)", labels.len());
        assert_eq!(labels.len(), 1_000_000);
    }
    let clock = std::time::Instant::now();
    let entry = some(3);
    for _ in 0..100 {
        store.append(&entry).unwrap();
    }
    println!("append: {:.2} ms", clock.elapsed().as_secs_f64() * 10.0);
}

impl Entry {
    fn with(mut self, left: Segment, right: Segment) -> Self {
        self.segments = vec![Arc::new(left), Arc::new(right)];
        self
    }
}

#[test]
fn a_changed_bit_is_seen_and_the_other_labels_are_kept() {
    let (dir, mut store) = open();
    let entries: Vec<Entry> = (0..40).map(some).collect();
    store.append_all(&entries).unwrap();
    store.retract(3, "ann").unwrap();
    let stored = store.records().unwrap();
    drop(store);
    let path = LabelStore::path_in(dir.path());
    let good = std::fs::read(&path).unwrap();
    let mut rng = crate::rng::Rng::new(7);
    let (mut seen, mut kept) = (0, 0);
    for _ in 0..300 {
        let mut bad = good.clone();
        bad[rng.below(good.len())] ^= 1 << rng.below(8);
        for beside in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{beside}", path.display()));
        }
        std::fs::write(&path, &bad).unwrap();
        let found = LabelStore::open(&path).and_then(|s| Ok((s.sound()?, s.records())));
        let Ok(((sound, damaged), all)) = found else {
            seen += 1;
            continue;
        };
        assert!(sound.iter().all(|l| stored[l.id as usize - 1] == *l), "a label that nobody gave");
        assert!(stored.iter().all(|l| sound.contains(l) || damaged.contains(&l.id)), "a label lost without a word");
        if damaged.is_empty() {
            assert_eq!(all.unwrap(), stored);
        } else {
            let message = all.unwrap_err().to_string();
            assert!(message.contains(&format!("label {}", damaged[0])) && message.contains("export"), "{message}");
            (seen, kept) = (seen + 1, kept + usize::from(!sound.is_empty()));
        }
    }
    // Most of the file are pages that are hardly filled: what is changed there says nothing.
    assert!(seen > 20 && kept > 5, "{seen} seen, {kept} with others kept");
}

#[test]
fn labels_of_version_1_get_their_checksums() {
    let (dir, mut store) = open();
    store.append_all(&(0..9).map(some).collect::<Vec<_>>()).unwrap();
    let stored = store.records().unwrap();
    drop(store);
    let path = LabelStore::path_in(dir.path());
    let old = Connection::open(&path).unwrap();
    old.execute_batch("DROP TABLE sums; PRAGMA user_version = 1").unwrap();
    drop(old);
    assert_eq!(LabelStore::open(&path).unwrap().records().unwrap(), stored);
    let new = Connection::open(&path).unwrap();
    assert_eq!(new.query_row("SELECT count(*) FROM sums", [], |r| r.get::<_, i64>(0)).unwrap(), 9);
    assert!(new.execute("DELETE FROM sums", []).unwrap_err().to_string().contains("only ever added"));
}
