//! A policy alone in a small file: the format of audit sets and archives of behaviours.
//!
//! safetensors, row-major. The net is bfloat16 (8 bits of precision, which a feedback policy does not notice), the
//! normaliser is not: columns that hardly vary have means that many deviations fit into.
//!
//! ```text
//! bf16  actor.<layer>.weight [in, out]   actor.<layer>.bias [out]
//! f32   obs.mean [obs]   obs.inv_std [obs]   std [act]
//! ```
//! Metadata `pavlov_policy`: JSON of format, activation and the limit of normalised observations.

use crate::config::Activation;
use crate::error::LearnError;
use crate::net::{Shape, Workspace};
use crate::normal::Frozen;
use crate::policy::Policy;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

const KEY: &str = "pavlov_policy";
const FORMAT: u32 = 1;
/// Most layers of a policy that is read.
const MAX_LAYERS: usize = 16;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    activation: Activation,
    limit: f32,
}

fn bad(message: impl Into<String>) -> LearnError {
    LearnError::Checkpoint(message.into())
}

/// The upper half of the bits of the nearest bfloat16.
fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

impl Policy {
    /// The policy as bytes of a small file; numbers are rounded to bfloat16.
    ///
    /// # Errors
    /// When it cannot be serialised.
    pub fn to_compact(&self) -> Result<Vec<u8>, LearnError> {
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        let mut put = |name: String, shape: Vec<usize>, values: &[f32]| {
            let bytes = values.iter().flat_map(|&x| to_bf16(x).to_le_bytes()).collect();
            tensors.push((name, Dtype::BF16, shape, bytes));
        };
        for (l, layer) in self.shape.layers.iter().enumerate() {
            let (weight, bias) = layer.unpack(&self.params);
            put(format!("actor.{l}.weight"), vec![layer.inputs, layer.outputs], &weight);
            put(format!("actor.{l}.bias"), vec![layer.outputs], &bias);
        }
        let vectors = [("obs.mean", &self.frozen.mean), ("obs.inv_std", &self.frozen.inv_std), ("std", &self.std)];
        for (name, values) in vectors {
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            tensors.push((name.into(), Dtype::F32, vec![values.len()], bytes));
        }
        let header = Header { format: FORMAT, activation: self.shape.activation, limit: self.frozen.limit };
        let text = serde_json::to_string(&header).map_err(|e| bad(e.to_string()))?;
        let views: Vec<(&str, TensorView<'_>)> = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<_, safetensors::SafeTensorError>>()
            .map_err(|e| bad(e.to_string()))?;
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), text)]))).map_err(|e| bad(e.to_string()))
    }

    /// Reads what [`Policy::to_compact`] wrote.
    ///
    /// # Errors
    /// [`LearnError::Checkpoint`] with what is wrong.
    pub fn from_compact(bytes: &[u8]) -> Result<Self, LearnError> {
        let (_, meta) = SafeTensors::read_metadata(bytes).map_err(|e| bad(e.to_string()))?;
        let text = meta
            .metadata()
            .as_ref()
            .and_then(|m| m.get(KEY))
            .ok_or_else(|| bad(format!("no `{KEY}`: not a policy")))?;
        let Header { format, activation, limit } =
            serde_json::from_str(text).map_err(|e| bad(format!("{KEY}: {e}")))?;
        if format != FORMAT || !(limit.is_finite() && limit > 0.0) {
            return Err(bad(format!("{KEY}: layout {format}, limit {limit}: this program reads layout {FORMAT}")));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| bad(e.to_string()))?;
        let read = |name: &str, dtype: Dtype| -> Result<(Vec<usize>, Vec<f32>), LearnError> {
            let tensor = tensors.tensor(name).map_err(|_| bad(format!("tensor `{name}` is missing")))?;
            if tensor.dtype() != dtype {
                return Err(bad(format!("tensor `{name}` is {:?}, expected {dtype:?}", tensor.dtype())));
            }
            let half = |&b: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16);
            let values: Vec<f32> = match dtype {
                Dtype::BF16 => tensor.data().as_chunks().0.iter().map(half).collect(),
                _ => tensor.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            };
            match values.iter().all(|x| x.is_finite()) {
                true => Ok((tensor.shape().to_vec(), values)),
                false => Err(bad(format!("tensor `{name}` has numbers that are not finite"))),
            }
        };
        let single = |name: &str| read(name, Dtype::F32);
        let ((_, mean), (_, inv_std), (_, std)) = (single("obs.mean")?, single("obs.inv_std")?, single("std")?);
        let mut layers: Vec<(Vec<f32>, Vec<f32>)> = Vec::new();
        let mut width = mean.len();
        while layers.len() < MAX_LAYERS && tensors.tensor(&format!("actor.{}.weight", layers.len())).is_ok() {
            let l = layers.len();
            let half = |part: &str| read(&format!("actor.{l}.{part}"), Dtype::BF16);
            let ((shape, weight), (_, bias)) = (half("weight")?, half("bias")?);
            if shape != [width, bias.len()] {
                return Err(bad(format!("actor.{l}.weight is {shape:?}, expected [{width}, {}]", bias.len())));
            }
            width = bias.len();
            layers.push((weight, bias));
        }
        if layers.is_empty() || width == 0 || width != std.len() || inv_std.len() != mean.len() || mean.is_empty() {
            return Err(bad("the layers, the observation and the action do not fit each other"));
        }
        let hidden: Vec<usize> = layers[..layers.len() - 1].iter().map(|(_, b)| b.len()).collect();
        let shape = Shape::new(mean.len(), &hidden, width, activation);
        let mut params = vec![0.0; shape.len];
        for (layer, (weight, bias)) in shape.layers.iter().zip(&layers) {
            layer.pack(weight, bias, &mut params);
        }
        let frozen = Frozen { mean, inv_std, limit };
        Ok(Self { shape, params, std, frozen, work: Workspace::default(), x: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{observations, policy};
    use proptest::prelude::*;

    #[test]
    fn a_compact_policy_acts_nearly_alike() {
        let mut original = policy(Activation::Elu, &[16, 8], 5, 3, true);
        let bytes = original.to_compact().unwrap();
        let mut compact = Policy::from_compact(&bytes).unwrap();
        let x = observations(50, 5);
        let (mut a, mut b) = (vec![0.0; 150], vec![0.0; 150]);
        original.act(&x, 5, &mut a).unwrap();
        compact.act(&x, 5, &mut b).unwrap();
        let worst = a.iter().zip(&b).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(worst > 0.0 && worst < 0.05, "{worst}");
        // Rounding twice is rounding once.
        assert_eq!(compact.to_compact().unwrap(), bytes);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn damage_is_an_error_not_a_panic(at in 0usize..4000, byte in any::<u8>(), cut in any::<bool>()) {
            let mut bytes = policy(Activation::Tanh, &[8], 5, 3, true).to_compact().unwrap();
            let at = at % bytes.len();
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            if let Ok(mut policy) = Policy::from_compact(&bytes) {
                let (obs, act) = (policy.obs_dim(), policy.act_dim());
                policy.act(&vec![0.5; obs], obs, &mut vec![0.0; act]).unwrap();
            }
        }
    }
}
