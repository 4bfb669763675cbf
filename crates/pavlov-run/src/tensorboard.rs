//! TensorBoard event files: framed protocol-buffer messages, written by hand (four messages are all that scalars need).
//!
//! Record: `u64` length, masked CRC-32C of it, message, masked CRC-32C of the message
//! (`tensorflow/core/lib/io/record_writer.cc`); messages: `tensorflow/core/util/event.proto`,
//! `tensorflow/core/framework/summary.proto`.

use crate::error::RunError;
use prost::Message;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// Longer records are not ours.
const MAX_RECORD: u64 = 1 << 24;

/// An open event file.
#[derive(Debug)]
pub(crate) struct EventFile {
    file: File,
    path: PathBuf,
}

fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn frame(event: &Event) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    [length.as_slice(), &masked(&length).to_le_bytes(), &data, &masked(&data).to_le_bytes()].concat()
}

/// The event file of a run folder, if it has one.
fn existing(folder: &Path) -> Option<PathBuf> {
    let names = std::fs::read_dir(folder).ok()?.filter_map(|e| e.ok().map(|e| e.path()));
    let ours = |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("events.out.tfevents."));
    names.filter(ours).max()
}

/// A file whose name comes after those that are there.
fn new_file(folder: &Path) -> PathBuf {
    let now = crate::clock::unix_time() as u64;
    let name = |time: u64| folder.join(format!("events.out.tfevents.{time}.pavlov"));
    let last = existing(folder).and_then(|path| path.to_str()?.rsplit('.').nth(1)?.parse::<u64>().ok());
    name(last.map_or(now, |last| now.max(last + 1)))
}

/// Reads one record; none at the end, at a cut or at a damaged one.
fn record(reader: &mut impl Read) -> Option<(u64, Event)> {
    let mut head = [0; 12];
    reader.read_exact(&mut head).ok()?;
    let (length, crc) = head.split_at(8);
    if masked(length).to_le_bytes() != *crc {
        return None;
    }
    let length = u64::from_le_bytes(length.try_into().ok()?);
    if length > MAX_RECORD {
        return None;
    }
    let mut data = Vec::new();
    reader.take(length + 4).read_to_end(&mut data).ok()?;
    if data.len() as u64 != length + 4 {
        return None;
    }
    let crc = data.split_off(length as usize);
    (masked(&data).to_le_bytes() == *crc).then_some(())?;
    Some((length + 16, Event::decode(data.as_slice()).ok()?))
}

impl EventFile {
    /// Opens the folder's event file and drops what is later than `last_update`, or starts a new one: also beside one
    /// that is damaged, which then stays as it is (TensorBoard reads both). With what was not as it should be.
    pub fn open(folder: &Path, last_update: u64) -> Result<(Self, Vec<String>), RunError> {
        match existing(folder) {
            None => Ok((Self::at(new_file(folder), last_update)?.0, Vec::new())),
            Some(path) => match Self::at(path.clone(), last_update)? {
                (events, None) => Ok((events, Vec::new())),
                (_, Some(at)) => {
                    let told = format!(
                        "{}: damaged at byte {at}: it stays as it is, and a new event file is begun beside it",
                        path.display()
                    );
                    Ok((Self::at(new_file(folder), last_update)?.0, vec![told]))
                }
            },
        }
    }

    /// Opens a file, cut back to `last_update`; with the place of the damage, and not cut, where there is some before
    /// its last record.
    fn at(path: PathBuf, last_update: u64) -> Result<(Self, Option<u64>), RunError> {
        let now = crate::clock::unix_time();
        let write = |e| RunError::io("write", &path, e);
        let mut file = pavlov_common::file::update_in(path.parent().unwrap_or(&path), &path).map_err(write)?;
        let mut keep = 0;
        let mut reader = BufReader::new(&file);
        let (mut last_step, mut is_future) = (0, false);
        while let Some((size, event)) = record(&mut reader) {
            if event.step > last_update as i64 {
                is_future = true;
                break;
            }
            last_step = event.step;
            keep += size;
        }
        let length = file.metadata().map_err(|e| RunError::io("read", &path, e))?.len();
        // What is left over after the newest update was being written when the run was ended.
        if length > keep && !is_future && last_step < last_update as i64 {
            return Ok((Self { file, path }, Some(keep)));
        }
        file.set_len(keep).map_err(write)?;
        file.seek(SeekFrom::End(0)).map_err(write)?;
        if keep == 0 {
            let version = Event { wall_time: now, file_version: Some("brain.Event:2".into()), ..Event::default() };
            file.write_all(&frame(&version)).map_err(write)?;
        }
        Ok((Self { file, path }, None))
    }

    /// Appends scalars of an update in one write.
    pub fn scalars(&mut self, update: u64, values: impl IntoIterator<Item = (String, f64)>) -> Result<(), RunError> {
        let value = |(tag, x): (String, f64)| Value { tag, simple_value: Some(x as f32) };
        let summary = Summary { value: values.into_iter().map(value).collect() };
        let event = Event {
            wall_time: crate::clock::unix_time(),
            step: update as i64,
            summary: Some(summary),
            ..Event::default()
        };
        self.file.write_all(&frame(&event)).map_err(|e| RunError::io("write", &self.path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(folder: &Path) -> Vec<i64> {
        let mut reader = BufReader::new(File::open(existing(folder).unwrap()).unwrap());
        std::iter::from_fn(|| record(&mut reader)).map(|(_, e)| e.step).collect()
    }

    #[test]
    fn the_checksum_is_the_one_of_the_format() {
        // The first record of every file TensorFlow writes is 24 bytes of version message; its length frames like this.
        assert_eq!(masked(&24u64.to_le_bytes()).to_le_bytes(), [0xa3, 0x7f, 0x4b, 0x22]);
    }

    #[test]
    fn a_resumed_file_goes_on_where_the_checkpoint_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut events = EventFile::open(dir.path(), 0).unwrap().0;
        for update in 1..=5 {
            events.scalars(update, [("train/return".to_string(), 0.5 * update as f64)]).unwrap();
        }
        // Killed in the middle of a record.
        events.file.write_all(&frame(&Event { step: 6, ..Event::default() })[..9]).unwrap();
        drop(events);
        let mut events = EventFile::open(dir.path(), 3).unwrap().0;
        assert_eq!(steps(dir.path()), [0, 1, 2, 3]);
        events.scalars(4, [("a".to_string(), 1.0), ("b".to_string(), 2.0)]).unwrap();
        drop(events);
        assert_eq!(steps(dir.path()), [0, 1, 2, 3, 4]);
        EventFile::open(dir.path(), 9).unwrap();
        assert_eq!(steps(dir.path()), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_damaged_file_stays_and_another_one_is_begun() {
        let dir = tempfile::tempdir().unwrap();
        let mut events = EventFile::open(dir.path(), 0).unwrap().0;
        (1..=5).for_each(|update| events.scalars(update, [("a".to_string(), 1.0)]).unwrap());
        let path = events.path.clone();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        std::fs::write(&path, &bytes).unwrap();
        let (mut events, told) = EventFile::open(dir.path(), 5).unwrap();
        assert!(told.len() == 1 && told[0].contains("damaged at byte"), "{told:?}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        events.scalars(6, [("a".to_string(), 1.0)]).unwrap();
        assert_eq!(steps(dir.path()), [0, 6]);
        assert!(EventFile::open(dir.path(), 6).unwrap().1.is_empty());
    }
}
