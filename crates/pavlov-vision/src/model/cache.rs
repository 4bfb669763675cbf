//! Vectors of texts on disk: `<cache>/pavlov/vision/<sha256 of model hash and text>.f32`, little-endian f32.
//!
//! The key is a hash of content, so that a changed model or text is another file. What cannot be read or written is
//! computed anew.

use super::weights;
use crate::VisionError;
use pavlov_common::file;
use pavlov_run::sha256;
use std::path::{Path, PathBuf};

/// Where vectors are kept.
pub(crate) fn folder() -> Option<PathBuf> {
    dirs::cache_dir().map(|d| d.join("pavlov").join("vision"))
}

/// Hash of the contents of files, in order; of ONNX files the weights are looked at.
pub(crate) fn hash_files(files: &[PathBuf]) -> Result<String, VisionError> {
    let mut all = String::new();
    for path in files {
        let bytes = file::read(path, file::NUMBERS).map_err(|e| VisionError::io(path, e))?;
        if path.extension().is_some_and(|e| e == "onnx")
            && let Some(broken) = weights::broken(&bytes)
        {
            return Err(VisionError::file(path, broken));
        }
        all.push_str(&sha256(&bytes));
    }
    Ok(sha256(all.as_bytes()))
}

pub(crate) fn key(model: &str, text: &str) -> String {
    sha256(format!("{model}\n{text}").as_bytes())
}

/// The vector of a key, if it is there and whole.
pub(crate) fn read(folder: &Path, key: &str, width: usize) -> Option<Vec<f32>> {
    let bytes = file::read(&folder.join(format!("{key}.f32")), 4 * width as u64).ok()?;
    let whole = bytes.len() == 4 * width;
    let v: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let norm: f32 = v.iter().map(|x| x * x).sum();
    (whole && (norm - 1.0).abs() < 1e-3).then_some(v)
}

/// Keeps a vector; a cache that cannot be written is none.
pub(crate) fn write(folder: &Path, key: &str, v: &[f32]) {
    let bytes: Vec<u8> = v.iter().flat_map(|x| x.to_le_bytes()).collect();
    let path = folder.join(format!("{key}.f32"));
    let _ = std::fs::create_dir_all(folder).map(|()| pavlov_common::atomic::write(&path, &bytes));
}
