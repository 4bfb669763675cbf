//! Arrays as bytes, one after another: each with its length as `u64`, then its values, little endian.

use crate::error::EnvError;
use bytemuck::Pod;

#[cfg(target_endian = "big")]
compile_error!("saved states are little endian, and numbers are copied as they lie in memory");

/// Writes or reads one array after another; the same walk serves both, so that they cannot drift apart.
pub(crate) enum Tape<'a> {
    /// Appending.
    Write(&'a mut Vec<u8>),
    /// What is left to read.
    Read(&'a [u8]),
}

impl Tape<'_> {
    /// Bytes whose length the block does not know.
    pub fn bytes(&mut self, name: &str, values: &mut Vec<u8>) -> Result<(), EnvError> {
        let mut length = [values.len() as u64];
        self.array(name, &mut length)?;
        if let Tape::Read(bytes) = self {
            let left = bytes.len() as u64;
            if length[0] > left {
                return Err(EnvError::State(format!("{name}: {} bytes, of which {left} are there", length[0])));
            }
            values.resize(length[0] as usize, 0);
        }
        self.raw(name, values)
    }

    /// One array whose length the block knows.
    pub fn array<T: Pod>(&mut self, name: &str, values: &mut [T]) -> Result<(), EnvError> {
        let mut length = values.len() as u64;
        self.raw(name, bytemuck::bytes_of_mut(&mut length))?;
        if length != values.len() as u64 {
            return Err(EnvError::State(format!("{name}: {length} values, expected {}", values.len())));
        }
        self.raw(name, bytemuck::cast_slice_mut(values))
    }

    fn raw(&mut self, name: &str, values: &mut [u8]) -> Result<(), EnvError> {
        match self {
            Tape::Write(bytes) => bytes.extend_from_slice(values),
            Tape::Read(bytes) => {
                let taken = bytes.split_at_checked(values.len());
                let (taken, rest) = taken.ok_or_else(|| EnvError::State(format!("{name}: the data end")))?;
                values.copy_from_slice(taken);
                *bytes = rest;
            }
        }
        Ok(())
    }
}
