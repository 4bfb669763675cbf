//! An ONNX file run by rten, which is built in.
//!
//! rten holds f32, i32, i8 and u8. It reads an i64 or bool tensor of a file as i32, an f64 or f16 one as f32. Its
//! `ArgMax` gives the last of equal maxima, where ONNX asks for the first: see [`has_arg_max`].

use super::tower::{Element, Input, Numbers, Outlet, Output};
use pavlov_common::file;
use rten::{DataType, Dimension, Model, NodeId, RunOptions, ThreadPool, Value, ValueType};
use std::path::Path;
use std::sync::Arc;

/// A loaded file, and the threads that run it.
#[derive(Debug)]
pub(crate) struct BuiltInModel {
    model: Box<Model>,
    pool: Arc<ThreadPool>,
}

impl BuiltInModel {
    /// Opens a file on so many threads; an error has what rten said.
    pub fn open(path: &Path, threads: usize) -> Result<Self, String> {
        file::open(path).map_err(|e| e.to_string())?;
        // rten itself opens weights that lie beside the file.
        for beside in path.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten() {
            let path = beside.path();
            if path.extension().is_some_and(|e| e == "data" || e == "onnx_data") {
                file::open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            }
        }
        #[allow(clippy::disallowed_methods, reason = "checked above")]
        let model = Model::load_file(path).map_err(|e| e.to_string())?;
        Ok(Self { model: Box::new(model), pool: Arc::new(ThreadPool::with_num_threads(threads)) })
    }

    pub fn inputs(&self) -> Vec<Outlet> {
        self.model.input_ids().iter().filter_map(|id| self.outlet(*id)).collect()
    }

    pub fn outputs(&self) -> Vec<Outlet> {
        self.model.output_ids().iter().filter_map(|id| self.outlet(*id)).collect()
    }

    fn outlet(&self, id: NodeId) -> Option<Outlet> {
        let node = self.model.node_info(id)?;
        let element = match node.dtype() {
            Some(ValueType::Tensor(DataType::Float)) => Some(Element::F32),
            Some(ValueType::Tensor(DataType::Int32)) => Some(Element::I32),
            Some(ValueType::Tensor(other)) => Some(Element::Other(other.to_string())),
            _ => None,
        };
        let size = |d: Dimension| match d {
            Dimension::Fixed(size) => size as i64,
            Dimension::Symbolic(_) => -1,
        };
        let shape = node.shape().map(|dims| dims.into_iter().map(size).collect());
        Some(Outlet { name: node.name().unwrap_or_default().into(), element, shape })
    }

    /// Runs a batch; gives shape and numbers of one output, which must be f32.
    pub fn run(&self, inputs: Vec<Input>, output: &str) -> Result<Output, String> {
        let failed = |e: &dyn std::fmt::Display| format!("running it failed: {e}");
        let inputs = inputs
            .into_iter()
            .map(|input| {
                let id = self.model.node_id(&input.name).map_err(|e| failed(&e))?;
                Ok((id, value(&input.shape, input.data)?.into()))
            })
            .collect::<Result<Vec<_>, String>>()?;
        let id = self.model.find_node(output).ok_or_else(|| format!("gave no output `{output}`"))?;
        let options = RunOptions::default().with_thread_pool(Some(self.pool.clone()));
        let [value] = self.model.run_n(inputs, [id], Some(options)).map_err(|e| failed(&e))?;
        let (shape, data) = value
            .into_shape_vec::<f32, 2>()
            .map_err(|e| format!("output `{output}` is no f32 tensor of two sizes: {e}"))?;
        Ok(Output { shape: shape.map(|d| d as i64).to_vec(), data })
    }
}

/// Does a file find a largest number, as CLIP's text tower finds its end token? A node in it then has the protobuf
/// field 4, `op_type`, of six bytes: `ArgMax`.
pub(crate) fn has_arg_max(path: &Path) -> std::io::Result<bool> {
    const FIELD: &[u8] = b"\x22\x06ArgMax";
    Ok(file::read(path, file::NUMBERS)?.windows(FIELD.len()).any(|bytes| bytes == FIELD))
}

fn value(shape: &[usize], data: Numbers) -> Result<Value, String> {
    let value = match data {
        Numbers::F32(data) => Value::from_shape(shape, data).map_err(|e| e.to_string()),
        Numbers::I32(data) => Value::from_shape(shape, data).map_err(|e| e.to_string()),
        Numbers::I64(data) => {
            let data: Result<Vec<i32>, _> = data.into_iter().map(i32::try_from).collect();
            let data = data.map_err(|e| format!("a whole number beyond 32 bits, which rten does not hold: {e}"))?;
            Value::from_shape(shape, data).map_err(|e| e.to_string())
        }
    };
    value.map_err(|e| format!("an input of the shape {shape:?}: {e}"))
}
