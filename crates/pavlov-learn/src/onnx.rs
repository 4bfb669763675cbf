//! ONNX export. The messages are the part of onnx.proto (ONNX IR version 8) that a policy needs, written out for
//! `prost`.
//!
//! Graph: `obs -> Sub mean -> Mul 1/std -> Clip -> (Gemm -> activation)* -> Gemm -> (Max low -> Min high) -> action`.
//! Weights are `[in, out]` row-major, as Gemm without transposition takes them; numbers are f32, little-endian.

use prost::Message;

use crate::config::Activation;
use crate::error::LearnError;
use crate::net::Shape;
use crate::normal::Frozen;

/// Element type FLOAT of onnx.proto.
const FLOAT: i32 = 1;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelProto {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorTypeProto {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DimensionProto {
    #[prost(oneof = "Dimension", tags = "1, 2")]
    pub value: Option<Dimension>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Dimension {
    #[prost(int64, tag = "1")]
    Value(i64),
    #[prost(string, tag = "2")]
    Param(String),
}

/// A graph being written: each node takes the last value.
#[derive(Default)]
struct Builder {
    graph: GraphProto,
    last: String,
}

impl Builder {
    fn constant(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        self.graph.initializer.push(TensorProto {
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type: FLOAT,
            name: name.to_owned(),
            raw_data: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        });
        name.to_owned()
    }

    fn node(&mut self, op: &str, name: &str, others: Vec<String>) {
        let mut input = vec![std::mem::replace(&mut self.last, name.to_owned())];
        input.extend(others);
        self.graph.node.push(NodeProto {
            input,
            output: vec![name.to_owned()],
            name: format!("{name}_node"),
            op_type: op.to_owned(),
        });
    }
}

fn value_info(name: &str, columns: usize) -> ValueInfoProto {
    let dim = |value| DimensionProto { value: Some(value) };
    let shape =
        TensorShapeProto { dim: vec![dim(Dimension::Param("n".to_owned())), dim(Dimension::Value(columns as i64))] };
    let tensor_type = Some(TensorTypeProto { elem_type: FLOAT, shape: Some(shape) });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}

/// The bytes of the model, see [`crate::Policy::to_onnx`].
pub(crate) fn export(
    shape: &Shape,
    params: &[f32],
    frozen: &Frozen,
    range: Option<(&[f32], &[f32])>,
) -> Result<Vec<u8>, LearnError> {
    let obs = frozen.mean.len();
    let act = shape.layers.last().map_or(0, |layer| layer.outputs);
    if let Some((low, high)) = range {
        if low.len() != act || high.len() != act {
            let (low, high) = (low.len(), high.len());
            return Err(LearnError::Onnx(format!(
                "the action range has {low} lows and {high} highs, the policy has {act} action columns"
            )));
        }
        if let Some(j) = (0..act).find(|&j| low[j].is_nan() || high[j].is_nan() || low[j] > high[j]) {
            let (low, high) = (low[j], high[j]);
            return Err(LearnError::Onnx(format!(
                "the range of action column {j} is {low} to {high}: expected low <= high"
            )));
        }
    }
    let mut b = Builder { last: "obs".to_owned(), ..Builder::default() };
    b.graph.name = "policy".to_owned();
    b.graph.input.push(value_info("obs", obs));
    b.graph.output.push(value_info("action", act));
    if frozen.limit.is_finite() {
        let mean = b.constant("obs_mean", &[obs], &frozen.mean);
        b.node("Sub", "obs_centred", vec![mean]);
        let scale = b.constant("obs_inv_std", &[obs], &frozen.inv_std);
        b.node("Mul", "obs_scaled", vec![scale]);
        let low = b.constant("obs_low", &[], &[-frozen.limit]);
        let high = b.constant("obs_high", &[], &[frozen.limit]);
        b.node("Clip", "obs_normalised", vec![low, high]);
    }
    for (l, layer) in shape.layers.iter().enumerate() {
        let (weight, bias) = layer.unpack(params);
        let weight = b.constant(&format!("weight_{l}"), &[layer.inputs, layer.outputs], &weight);
        let bias = b.constant(&format!("bias_{l}"), &[layer.outputs], &bias);
        b.node("Gemm", &format!("layer_{l}"), vec![weight, bias]);
        if l + 1 < shape.layers.len() {
            let op = match shape.activation {
                Activation::Tanh => "Tanh",
                Activation::Elu => "Elu",
                Activation::Relu => "Relu",
            };
            b.node(op, &format!("hidden_{l}"), Vec::new());
        }
    }
    if let Some((low, high)) = range {
        let low = b.constant("action_low", &[act], low);
        b.node("Max", "action_above_low", vec![low]);
        let high = b.constant("action_high", &[act], high);
        b.node("Min", "action_in_range", vec![high]);
    }
    if let Some(node) = b.graph.node.last_mut() {
        node.output = vec!["action".to_owned()];
    }
    let model = ModelProto {
        ir_version: 8,
        producer_name: "pavlov".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(b.graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
    };
    Ok(model.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::policy::tests::{observations, policy};

    /// Runs a model by the definitions of the operators, in f64 and without this crate's kernels.
    fn evaluate(bytes: &[u8], obs: &[f32], columns: usize) -> Vec<f64> {
        let model = ModelProto::decode(bytes).unwrap();
        assert_eq!((model.ir_version, model.opset_import[0].version), (8, 17));
        let graph = model.graph.unwrap();
        let mut known: HashMap<String, (Vec<usize>, Vec<f64>)> = HashMap::new();
        let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        known.insert(graph.input[0].name.clone(), (vec![obs.len() / columns, columns], wide(obs)));
        for tensor in graph.initializer {
            assert_eq!(tensor.data_type, FLOAT);
            let values: Vec<f32> = tensor.raw_data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
            let dims: Vec<usize> = tensor.dims.iter().map(|&d| d as usize).collect();
            assert_eq!(dims.iter().product::<usize>(), values.len());
            known.insert(tensor.name, (dims, wide(&values)));
        }
        for node in graph.node {
            let inputs: Vec<_> = node.input.iter().map(|name| known[name].clone()).collect();
            let (dims, x) = &inputs[0];
            let column = |k: usize, i: usize| inputs[k].1[i % inputs[k].1.len()];
            let each = |f: &dyn Fn(f64, usize) -> f64| x.iter().enumerate().map(|(i, &x)| f(x, i)).collect::<Vec<_>>();
            let out = match node.op_type.as_str() {
                "Sub" => (dims.clone(), each(&|x, i| x - column(1, i))),
                "Mul" => (dims.clone(), each(&|x, i| x * column(1, i))),
                "Clip" => (dims.clone(), each(&|x, _| x.clamp(inputs[1].1[0], inputs[2].1[0]))),
                "Max" => (dims.clone(), each(&|x, i| x.max(column(1, i)))),
                "Min" => (dims.clone(), each(&|x, i| x.min(column(1, i)))),
                "Tanh" => (dims.clone(), each(&|x, _| x.tanh())),
                "Elu" => (dims.clone(), each(&|x, _| if x > 0.0 { x } else { x.exp() - 1.0 })),
                "Relu" => (dims.clone(), each(&|x, _| x.max(0.0))),
                "Gemm" => {
                    let (k, n) = (inputs[1].0[0], inputs[1].0[1]);
                    assert_eq!((dims[1], &inputs[2].0), (k, &vec![n]));
                    let dot = |r: usize, j: usize| (0..k).map(|i| x[r * k + i] * inputs[1].1[i * n + j]).sum::<f64>();
                    let sums = (0..dims[0] * n).map(|e| dot(e / n, e % n) + inputs[2].1[e % n]);
                    (vec![dims[0], n], sums.collect())
                }
                other => panic!("operator {other}"),
            };
            known.insert(node.output[0].clone(), out);
        }
        known[&graph.output[0].name].1.clone()
    }

    #[test]
    fn the_model_does_what_the_policy_does() {
        let cases: [(Activation, &[usize], bool, bool); 5] = [
            (Activation::Tanh, &[64, 64], true, true),
            (Activation::Elu, &[32, 16, 8], true, false),
            (Activation::Relu, &[40], false, true),
            (Activation::Tanh, &[], true, false),
            (Activation::Tanh, &[], false, false),
        ];
        for (activation, hidden, normalize, clip) in cases {
            let mut policy = policy(activation, hidden, 27, 6, normalize);
            let x = observations(300, 27);
            let mut actions = vec![0.0; 300 * 6];
            policy.act(&x, 27, &mut actions).unwrap();
            let (low, high) = ([-0.4, -1.0, -2.0, -0.1, 0.0, -9.0], [0.3, 1.0, 2.0, 0.1, 0.5, 9.0]);
            let bytes = policy.to_onnx(clip.then_some((&low, &high))).unwrap();
            let found = evaluate(&bytes, &x, 27);
            assert_eq!(found.len(), actions.len());
            let mut clipped = 0;
            for (i, (&action, found)) in actions.iter().zip(found).enumerate() {
                let expected = if clip { action.clamp(low[i % 6], high[i % 6]) } else { action };
                clipped += usize::from(expected != action);
                assert!((f64::from(expected) - found).abs() < 1e-5, "{activation:?} {i}: {expected} {found}");
            }
            assert_eq!(clip, clipped > 0);
        }
    }

    #[test]
    fn ranges_are_checked() {
        let policy = policy(Activation::Tanh, &[8], 4, 2, true);
        let cases: [(&[f32], &[f32], &str); 3] = [
            (&[0.0], &[1.0], "2 action columns"),
            (&[0.0, 2.0], &[1.0, 1.0], "column 1"),
            (&[f32::NAN, 0.0], &[1.0, 1.0], "column 0"),
        ];
        for (low, high, word) in cases {
            let error = policy.to_onnx(Some((low, high))).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    #[ignore = "writes policies, inputs and answers for another runtime to the folder named by PAVLOV_ONNX_OUT"]
    fn write_for_another_runtime() {
        let dir = std::path::PathBuf::from(std::env::var("PAVLOV_ONNX_OUT").unwrap());
        for (name, activation) in [("tanh", Activation::Tanh), ("elu", Activation::Elu), ("relu", Activation::Relu)] {
            let mut policy = policy(activation, &[64, 32], 27, 8, true);
            let x = observations(1000, 27);
            let mut actions = vec![0.0; 8000];
            policy.act(&x, 27, &mut actions).unwrap();
            let range: (&[f32], &[f32]) = (&[-0.5; 8], &[0.7; 8]);
            actions.iter_mut().for_each(|a| *a = a.clamp(-0.5, 0.7));
            let write = |kind: &str, bytes: Vec<u8>| std::fs::write(dir.join(format!("{name}.{kind}")), bytes).unwrap();
            write("onnx", policy.to_onnx(Some(range)).unwrap());
            write("obs", x.iter().flat_map(|v| v.to_le_bytes()).collect());
            write("action", actions.iter().flat_map(|v| v.to_le_bytes()).collect());
        }
    }
}
