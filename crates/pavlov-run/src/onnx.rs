//! Runs an exported policy by the definitions of its operators, in `f64`: the check that `policy.onnx` does what was
//! trained.
//!
//! It knows the operators of a policy (Sub, Mul, Clip, Gemm, Tanh, Elu, Relu, Max, Min) and is no general runtime.

use prost::Message;
use std::collections::HashMap;

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<NamedProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<NamedProto>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "4")]
    op_type: String,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedProto {
    #[prost(string, tag = "1")]
    name: String,
}

/// A matrix by rows; vectors have one row.
#[derive(Clone)]
struct Matrix {
    columns: usize,
    values: Vec<f64>,
}

/// The model's output for rows of `columns` numbers.
pub(crate) fn run(bytes: &[u8], rows: &[f32], columns: usize) -> Result<Vec<f64>, String> {
    let model = ModelProto::decode(bytes).map_err(|e| format!("not an ONNX model: {e}"))?;
    let graph = model.graph.ok_or("no graph")?;
    let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect();
    let (input, output) = (graph.input.first().ok_or("no input")?, graph.output.first().ok_or("no output")?);
    let mut known = HashMap::from([(input.name.clone(), Matrix { columns, values: wide(rows) })]);
    for tensor in &graph.initializer {
        let values: Vec<f32> = tensor.raw_data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        let last = tensor.dims.last().map_or(1, |&d| d as usize);
        if last == 0 || !values.len().is_multiple_of(last) {
            return Err(format!("`{}` has {} numbers in rows of {last}", tensor.name, values.len()));
        }
        known.insert(tensor.name.clone(), Matrix { columns: last, values: wide(&values) });
    }
    for node in &graph.node {
        let find = |name: &String| known.get(name).cloned().ok_or_else(|| format!("nothing is called `{name}`"));
        let inputs = node.input.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let out = operator(&node.op_type, &inputs).ok_or_else(|| format!("{}: wrong inputs", node.op_type))?;
        known.insert(node.output.first().ok_or("a node without output")?.clone(), out);
    }
    known.remove(&output.name).map(|m| m.values).ok_or_else(|| format!("nothing is called `{}`", output.name))
}

fn operator(name: &str, inputs: &[Matrix]) -> Option<Matrix> {
    let x = inputs.first()?;
    let with_other = |f: fn(f64, f64) -> f64| {
        let other = &inputs.get(1)?.values;
        (!other.is_empty()).then(|| x.values.iter().enumerate().map(|(i, &v)| f(v, other[i % other.len()])).collect())
    };
    let each = |f: &dyn Fn(f64) -> f64| Some(x.values.iter().map(|&v| f(v)).collect());
    let values: Vec<f64> = match name {
        "Sub" => with_other(|a, b| a - b),
        "Mul" => with_other(|a, b| a * b),
        "Max" => with_other(f64::max),
        "Min" => with_other(f64::min),
        "Tanh" => each(&f64::tanh),
        "Relu" => each(&|v| v.max(0.0)),
        "Elu" => each(&|v| if v > 0.0 { v } else { v.exp_m1() }),
        "Clip" => {
            let (low, high) = (*inputs.get(1)?.values.first()?, *inputs.get(2)?.values.first()?);
            each(&|v| v.max(low).min(high))
        }
        "Gemm" => return gemm(x, inputs.get(1)?, inputs.get(2)?),
        _ => None,
    }?;
    Some(Matrix { columns: x.columns, values })
}

fn gemm(x: &Matrix, weight: &Matrix, bias: &Matrix) -> Option<Matrix> {
    let (k, n) = (x.columns, weight.columns);
    if weight.values.len() != k * n || bias.values.len() != n {
        return None;
    }
    let row = |row: &[f64]| -> Vec<f64> {
        (0..n).map(|j| bias.values[j] + (0..k).map(|i| row[i] * weight.values[i * n + j]).sum::<f64>()).collect()
    };
    Some(Matrix { columns: n, values: x.values.chunks_exact(k).flat_map(row).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_learn::{Activation, Ppo, PpoConfig};
    use proptest::prelude::*;

    fn model() -> (Vec<u8>, Vec<f32>, Vec<f32>) {
        let config = PpoConfig { activation: Activation::Elu, actor_hidden: vec![7], ..PpoConfig::default() };
        let mut policy = Ppo::new(config, 3, 0, 2, 5).unwrap().policy();
        let rows = vec![0.3, -2.0, 1.0, 5.0, 0.1, 0.0];
        let mut actions = vec![0.0; 4];
        policy.act(&rows, 3, &mut actions).unwrap();
        (policy.to_onnx(None).unwrap(), rows, actions)
    }

    #[test]
    fn the_model_does_what_the_policy_does() {
        let (bytes, rows, actions) = model();
        let found = run(&bytes, &rows, 3).unwrap();
        assert!(found.iter().zip(&actions).all(|(f, &a)| (f - f64::from(a)).abs() < 1e-5), "{found:?} {actions:?}");
        assert!(run(&bytes, &rows, 2).is_err());
    }

    proptest! {
        #[test]
        fn damaged_models_are_errors_not_panics(at in 0usize..2000, byte in any::<u8>()) {
            let (mut bytes, rows, _) = model();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = run(&bytes, &rows, 3);
            let _ = run(&bytes[..at], &rows, 3);
        }
    }
}
