//! An ONNX file run by an onnxruntime library.

use super::tower::{Element, Input, Numbers, Outlet, Output};
use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor, TensorElementType};
use std::borrow::Cow;
use std::fmt::Debug;
use std::path::Path;

/// A loaded file.
#[derive(Debug)]
pub(crate) struct LibraryModel {
    session: Session,
}

impl LibraryModel {
    /// Opens a file on so many threads; an error has what the library said.
    pub fn open(env: &Environment, path: &Path, threads: usize) -> Result<Self, String> {
        let mut builder = Session::builder(env)
            .map_err(|e| e.to_string())?
            .with_intra_threads(threads)
            .map_err(|e| format!("{threads} threads: {e}"))?;
        pavlov_common::file::open(path).map_err(|e| e.to_string())?;
        #[allow(clippy::disallowed_methods, reason = "checked above")]
        let session = builder.commit_from_file(path).map_err(|e| e.to_string())?;
        Ok(Self { session })
    }

    pub fn inputs(&self) -> Vec<Outlet> {
        self.session.inputs().iter().map(outlet).collect()
    }

    pub fn outputs(&self) -> Vec<Outlet> {
        self.session.outputs().iter().map(outlet).collect()
    }

    /// Runs a batch; gives shape and numbers of one output, which must be f32.
    pub fn run(&mut self, inputs: Vec<Input>, output: &str) -> Result<Output, String> {
        let inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = inputs
            .into_iter()
            .map(|input| Ok((Cow::Owned(input.name), SessionInputValue::from(value(input.shape, input.data)?))))
            .collect::<Result<_, String>>()?;
        let outputs = self.session.run(inputs).map_err(|e| format!("running it failed: {e}"))?;
        let value = outputs.get(output).ok_or_else(|| format!("gave no output `{output}`"))?;
        let (shape, data) =
            value.try_extract_tensor::<f32>().map_err(|e| format!("output `{output}` is no f32 tensor: {e}"))?;
        Ok(Output { shape: shape.to_vec(), data: data.to_vec() })
    }
}

fn outlet(found: &ort::value::Outlet) -> Outlet {
    let element = found.dtype().tensor_type().map(|ty| match ty {
        TensorElementType::Float32 => Element::F32,
        TensorElementType::Int32 => Element::I32,
        TensorElementType::Int64 => Element::I64,
        other => Element::Other(other.to_string()),
    });
    Outlet { name: found.name().into(), element, shape: found.dtype().tensor_shape().map(|s| s.to_vec()) }
}

fn value(shape: Vec<usize>, data: Numbers) -> Result<DynValue, String> {
    match data {
        Numbers::F32(data) => tensor(shape, data),
        Numbers::I32(data) => tensor(shape, data),
        Numbers::I64(data) => tensor(shape, data),
    }
}

fn tensor<T: PrimitiveTensorElementType + Debug + Clone + 'static>(
    shape: Vec<usize>,
    data: Vec<T>,
) -> Result<DynValue, String> {
    let shape: Vec<i64> = shape.into_iter().map(|d| d as i64).collect();
    Ok(Tensor::from_array((shape, data)).map_err(|e| e.to_string())?.into_dyn())
}
