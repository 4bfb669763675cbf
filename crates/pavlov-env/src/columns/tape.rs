//! Arrays as bytes, one after another: each with its length as `u64`, then its values, little endian.

use crate::error::EnvError;
use pavlov_physics::{LANES, Lane};

/// Writes or reads one array after another; the same walk serves both, so that they cannot drift apart.
pub(crate) enum Tape<'a> {
    /// Appending.
    Write(&'a mut Vec<u8>),
    /// What is left to read.
    Read(&'a [u8]),
}

/// A number with a fixed size in the file.
pub(crate) trait Word: Copy {
    const SIZE: usize;
    fn put(self, bytes: &mut Vec<u8>);
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! word {
    ($($t:ty),*) => {$(
        impl Word for $t {
            const SIZE: usize = size_of::<$t>();
            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
            fn get(bytes: &[u8]) -> Self {
                let mut raw = [0; size_of::<$t>()];
                raw.copy_from_slice(bytes);
                <$t>::from_le_bytes(raw)
            }
        }
    )*};
}
word!(u32, u64, f32, f64);

impl Word for Lane {
    const SIZE: usize = 4 * LANES;
    fn put(self, bytes: &mut Vec<u8>) {
        self.to_array().into_iter().for_each(|v| v.put(bytes));
    }
    fn get(bytes: &[u8]) -> Self {
        let mut values = [0.0f32; LANES];
        for (v, raw) in values.iter_mut().zip(bytes.chunks_exact(4)) {
            *v = f32::get(raw);
        }
        Lane::from(values)
    }
}

impl Tape<'_> {
    /// Bytes whose length the block does not know.
    pub fn bytes(&mut self, what: &str, values: &mut Vec<u8>) -> Result<(), EnvError> {
        let mut length = [values.len() as u64];
        self.array(what, &mut length)?;
        match self {
            Tape::Write(bytes) => bytes.extend_from_slice(values),
            Tape::Read(bytes) => {
                let own = usize::try_from(length[0]).ok().and_then(|n| bytes.split_at_checked(n));
                let (own, rest) = own.ok_or_else(|| EnvError::State(format!("{what}: the data end")))?;
                *values = own.to_vec();
                *bytes = rest;
            }
        }
        Ok(())
    }

    /// One array whose length the block knows.
    pub fn array<T: Word>(&mut self, what: &str, values: &mut [T]) -> Result<(), EnvError> {
        match self {
            Tape::Write(bytes) => {
                (values.len() as u64).put(bytes);
                values.iter().for_each(|v| v.put(bytes));
            }
            Tape::Read(bytes) => {
                let wrong =
                    |found: String| EnvError::State(format!("{what}: {found}, expected {} values", values.len()));
                if bytes.len() < 8 {
                    return Err(wrong("the data end".to_string()));
                }
                let (length, rest) = bytes.split_at(8);
                let length = u64::get(length);
                if length != values.len() as u64 {
                    return Err(wrong(format!("{length} values")));
                }
                if rest.len() < values.len() * T::SIZE {
                    return Err(wrong("the data end".to_string()));
                }
                let (own, rest) = rest.split_at(values.len() * T::SIZE);
                for (v, raw) in values.iter_mut().zip(own.chunks_exact(T::SIZE)) {
                    *v = T::get(raw);
                }
                *bytes = rest;
            }
        }
        Ok(())
    }
}
