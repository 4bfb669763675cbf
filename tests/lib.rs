//! What the tests of the workspace share: where files lie, recorded arrays, and the table of worst errors.

use pavlov_common::testing::{NO_ADAPTER, skipped};
use pavlov_physics::gpu::{Gpu, GpuError};
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository").to_path_buf()
}

/// The first GPU adapter, opened once; says so where there is none.
pub fn gpu() -> Option<Arc<Gpu>> {
    static OPENED: OnceLock<Option<Arc<Gpu>>> = OnceLock::new();
    let open = || match Gpu::open(0) {
        Ok(gpu) => {
            println!("gpu: {} ({})", gpu.info().name, gpu.info().driver);
            Some(gpu)
        }
        Err(GpuError::NoAdapter) => {
            skipped(NO_ADAPTER);
            None
        }
        Err(e) => panic!("{e}"),
    };
    OPENED.get_or_init(open).clone()
}

/// A robot that comes with the program.
pub fn robot(name: &str) -> PathBuf {
    root().join("assets/robots").join(format!("{name}.xml"))
}

/// Arrays of a `.safetensors` file, converted to `f64`.
pub struct Arrays {
    file: String,
    arrays: HashMap<String, (Vec<usize>, Vec<f64>)>,
}

impl Arrays {
    /// Reads `<name>.safetensors` from `tests/data`, or from the folder `PAVLOV_TEST_DATA` names.
    pub fn read(name: &str) -> Self {
        let folder = std::env::var_os("PAVLOV_TEST_DATA").map_or_else(|| root().join("tests/data"), PathBuf::from);
        let file = folder.join(format!("{name}.safetensors"));
        let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let tensors = SafeTensors::deserialize(&bytes).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let arrays = tensors
            .tensors()
            .into_iter()
            .map(|(key, view)| {
                let data = view.data();
                let values = match view.dtype() {
                    Dtype::F64 => words(data, f64::from_le_bytes),
                    Dtype::F32 => words(data, |b| f64::from(f32::from_le_bytes(b))),
                    Dtype::I32 => words(data, |b| f64::from(i32::from_le_bytes(b))),
                    Dtype::U8 => words(data, |b: [u8; 1]| f64::from(b[0])),
                    other => panic!("{}: `{key}` is {other:?}, which the tests do not read", file.display()),
                };
                (key, (view.shape().to_vec(), values))
            })
            .collect();
        Self { file: file.display().to_string(), arrays }
    }

    /// Length of the first axis of an array.
    pub fn len(&self, key: &str) -> usize {
        self.get(key).0[0]
    }

    /// Row `i` of an array, i.e. its values at index `i` of the first axis, flattened.
    pub fn row(&self, key: &str, i: usize) -> &[f64] {
        let (shape, values) = self.get(key);
        let width: usize = shape[1..].iter().product();
        &values[i * width..(i + 1) * width]
    }

    /// Is there an array of this name?
    pub fn has(&self, key: &str) -> bool {
        self.arrays.contains_key(key)
    }

    fn get(&self, key: &str) -> &(Vec<usize>, Vec<f64>) {
        self.arrays.get(key).unwrap_or_else(|| panic!("{} has no `{key}`", self.file))
    }
}

fn words<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.chunks_exact(N).map(|c| read(c.try_into().expect("a whole word"))).collect()
}

/// Largest difference of two vectors, relative to the largest magnitude expected, or to 1 where that is smaller.
pub fn relative_error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1.0, |s: f64, v| s.max(v.abs()));
    let worst = found.iter().zip(expected).fold(0.0, |w: f64, (f, e)| {
        let d = (f - e).abs();
        if d.is_nan() { f64::INFINITY } else { w.max(d) }
    });
    worst / scale
}

/// The worst error seen of one quantity.
#[derive(Debug, Clone, Copy)]
pub struct Worst {
    /// The quantity compared.
    pub quantity: &'static str,
    /// Largest error allowed.
    pub bar: f64,
    /// Largest error seen.
    pub error: f64,
    /// The state it was seen in.
    pub state: usize,
    /// States in which the error was above the bar.
    pub above: usize,
}

impl Worst {
    /// No state seen yet.
    pub fn new(quantity: &'static str, bar: f64) -> Self {
        Self { quantity, bar, error: 0.0, state: 0, above: 0 }
    }

    /// Takes an error of a state into account.
    pub fn see(&mut self, state: usize, error: f64) {
        self.above += usize::from(error > self.bar || error.is_nan());
        if error > self.error || error.is_nan() {
            (self.error, self.state) = (error, state);
        }
    }
}
