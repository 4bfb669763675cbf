//! The two slot files that take the checkpoints of every update in turn.
//!
//! Layout (little endian): `PVLSLOT1`, CRC-32C of all that follows as `u32`, update as `u64`, lengths of state, learner
//! and worlds as `u64`s, then these three: the bytes that a checkpoint's folder has in `state.json`,
//! `learner.safetensors` and `worlds.safetensors`. What is behind them is left over from a longer one. A file is
//! written over in place: making files and folders takes a hundred times as long, too long for tasks with updates of a
//! few milliseconds.

use crate::error::RunError;
use pavlov_common::file;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"PVLSLOT1";
/// Magic, checksum, update, three lengths.
const HEAD: usize = 8 + 4 + 8 + 3 * 8;

/// What a checkpoint is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    pub state: Vec<u8>,
    pub learner: Vec<u8>,
    pub worlds: Vec<u8>,
}

/// The slots of a run that is being trained.
#[derive(Debug)]
pub(crate) struct Slots {
    files: [(PathBuf, File); 2],
    buffer: Vec<u8>,
}

/// Files of the slots in a folder of checkpoints.
pub(crate) fn paths(folder: &Path) -> [PathBuf; 2] {
    ["0", "1"].map(|name| folder.join("recent").join(name))
}

impl Slots {
    /// Opens the slots of a folder of checkpoints below the folder of a run, leaving what is in them.
    pub fn open(root: &Path, folder: &Path) -> Result<Self, RunError> {
        let open = |path: PathBuf| {
            let opened = file::update_in(root, &path);
            opened.map_err(|e| RunError::io("write", &path, e)).map(|file| (path, file))
        };
        let [a, b] = paths(folder);
        if let Some(parent) = a.parent() {
            file::make_folder_in(root, parent).map_err(|e| RunError::io("create", parent, e))?;
        }
        Ok(Self { files: [open(a)?, open(b)?], buffer: Vec::new() })
    }

    /// Writes a checkpoint over the older of the two.
    pub fn write(&mut self, update: u64, parts: &Parts) -> Result<(), RunError> {
        let Parts { state, learner, worlds } = parts;
        let bytes = &mut self.buffer;
        bytes.clear();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        for number in [update, state.len() as u64, learner.len() as u64, worlds.len() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for part in [state, learner, worlds] {
            bytes.extend_from_slice(part);
        }
        let sum = crc32c::crc32c(&bytes[12..]).to_le_bytes();
        bytes[8..12].copy_from_slice(&sum);
        let (path, file) = &mut self.files[(update % 2) as usize];
        let written = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(bytes));
        written.map_err(|e| RunError::io("write", path, e))
    }
}

/// A slot's update and, from byte 12 on, its contents; the checksum is right.
fn checked(path: &Path) -> Result<(u64, Vec<u8>, [usize; 3]), RunError> {
    let bytes = file::read(path, file::NUMBERS).map_err(|e| RunError::io("read", path, e))?;
    let damaged = |message: &str| RunError::damaged(path, message);
    if bytes.is_empty() {
        return Err(damaged("empty: no update was finished yet"));
    }
    if bytes.len() < HEAD || !bytes.starts_with(MAGIC) {
        return Err(damaged("not a checkpoint slot"));
    }
    let number = |at: usize| {
        let mut raw = [0; 8];
        raw.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(raw)
    };
    let room = (bytes.len() - HEAD) as u64;
    let lengths = [number(20), number(28), number(36)];
    let total = lengths.iter().try_fold(0u64, |sum, &n| sum.checked_add(n)).filter(|&n| n <= room);
    let Some(total) = total else { return Err(damaged("cut: a kill met it while it was written")) };
    let end = HEAD + total as usize;
    if crc32c::crc32c(&bytes[12..end]).to_le_bytes() != bytes[8..12] {
        return Err(damaged("the checksum is wrong: a kill met it while it was written, or it was changed"));
    }
    Ok((number(12), bytes, lengths.map(|n| n as usize)))
}

/// Update of a sound slot.
pub(crate) fn update(path: &Path) -> Result<u64, RunError> {
    checked(path).map(|(update, ..)| update)
}

/// Contents of a sound slot.
pub(crate) fn read(path: &Path) -> Result<Parts, RunError> {
    let (_, bytes, [state, learner, worlds]) = checked(path)?;
    let part = |from: usize, length: usize| bytes[HEAD + from..HEAD + from + length].to_vec();
    Ok(Parts { state: part(0, state), learner: part(state, learner), worlds: part(state + learner, worlds) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(size: usize) -> Parts {
        Parts { state: vec![1; size], learner: vec![2; 2 * size], worlds: vec![3; 5] }
    }

    #[test]
    fn the_slots_take_turns_and_a_cut_one_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let mut slots = Slots::open(dir.path(), dir.path()).unwrap();
        let [even, odd] = paths(dir.path());
        assert!(update(&even).unwrap_err().to_string().contains("no update"));
        for (number, size) in [(1, 90), (2, 50), (3, 30)] {
            slots.write(number, &parts(size)).unwrap();
        }
        assert_eq!((update(&odd).unwrap(), read(&odd).unwrap()), (3, parts(30)), "shorter than what was there");
        assert_eq!(read(&even).unwrap(), parts(50));
        // A kill in the middle of writing update 4 over update 2.
        let (new, mut old) = (slots.buffer.clone(), std::fs::read(&even).unwrap());
        old[..60].copy_from_slice(&new[..60]);
        std::fs::write(&even, old).unwrap();
        assert!(read(&even).is_err());
        drop(Slots::open(dir.path(), dir.path()).unwrap());
        assert_eq!(update(&odd).unwrap(), 3, "opening leaves them");
    }

    proptest! {
        #[test]
        fn damage_is_an_error(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
            let dir = tempfile::tempdir().unwrap();
            Slots::open(dir.path(), dir.path()).unwrap().write(4, &parts(20)).unwrap();
            let path = &paths(dir.path())[0];
            let good = std::fs::read(path).unwrap();
            let (mut bad, at) = (good.clone(), at.index(good.len()));
            if cut { bad.truncate(at) } else { bad[at] = byte }
            std::fs::write(path, &bad).unwrap();
            prop_assert_eq!(read(path).is_ok(), bad == good);
        }
    }
}
