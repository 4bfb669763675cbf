//! Files of learnt nets: safetensors with one tensor `member.<i>` f32 `[numbers]` a net (weights `[inputs, outputs]`
//! and biases, layer by layer). Metadata `pavlov_preference`: JSON with kind, hidden widths, columns and their
//! normalisation, scales, task and what it was learnt from.

use crate::error::PrefsError;
use crate::features::Features;
use crate::member::{Kind, Member};
use crate::nets::Nets;
use pavlov_common::{atomic, file};
use pavlov_learn::{Activation, Mlp};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

const KEY: &str = "pavlov_preference";
const FORMAT: u32 = 1;
/// Larger files are none of ours.
const MAX_BYTES: u64 = 256 << 20;

/// What a file says of its nets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    format: u32,
    task: String,
    kind: Kind,
    hidden: Vec<usize>,
    features: Features,
    center: Vec<f32>,
    scale: Vec<f32>,
    usual: Vec<Vec<f32>>,
}

impl Nets {
    /// Writes the nets.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path, task: &str) -> Result<(), PrefsError> {
        let header = Header {
            format: FORMAT,
            task: task.into(),
            kind: self.kind,
            hidden: self.members.first().map_or_else(Vec::new, |m| m.net.hidden().to_vec()),
            features: self.features.clone(),
            center: self.members.iter().map(|m| m.center).collect(),
            scale: self.members.iter().map(|m| m.scale).collect(),
            usual: self.members.iter().map(|m| m.usual.clone()).collect(),
        };
        let failed = |e: &dyn std::fmt::Display| PrefsError::Failed(format!("{}: {e}", path.display()));
        let text = serde_json::to_string(&header).map_err(|e| failed(&e))?;
        let bytes: Vec<Vec<u8>> =
            self.members.iter().map(|m| m.net.weights().iter().flat_map(|w| w.to_le_bytes()).collect()).collect();
        let views: Vec<(String, TensorView<'_>)> = bytes
            .iter()
            .enumerate()
            .map(|(i, b)| Ok((format!("member.{i}"), TensorView::new(Dtype::F32, vec![b.len() / 4], b)?)))
            .collect::<Result<_, safetensors::SafeTensorError>>()
            .map_err(|e| failed(&e))?;
        let all = safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), text)])));
        atomic::write(path, &all.map_err(|e| failed(&e))?).map_err(|e| failed(&e.source))
    }

    /// Reads nets, and the task they are of.
    ///
    /// # Errors
    /// When the file is not there or not whole; says what is wrong with it.
    pub fn load(path: &Path) -> Result<(Self, String), PrefsError> {
        let wrong = |what: String| PrefsError::Usage(format!("preference model {}: {what}", path.display()));
        let bytes = file::read(path, MAX_BYTES).map_err(|e| wrong(e.to_string()))?;
        let (_, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|e| wrong(format!("no safetensors file: {e}")))?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let text = text
            .ok_or_else(|| wrong(format!("no `{KEY}` in its metadata: it was not written by `pavlov prefs train`")))?;
        let header: Header = serde_json::from_str(text).map_err(|e| wrong(format!("`{KEY}`: {e}")))?;
        if header.format != FORMAT {
            return Err(wrong(format!("format {}, expected {FORMAT}", header.format)));
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| wrong(e.to_string()))?;
        let columns = header.features.channels.len();
        let outputs = match header.kind {
            Kind::BradleyTerry => 1,
            Kind::Gpm(pairs) => pairs.saturating_mul(2),
        };
        let n = header.center.len();
        let same = header.scale.len() == n && header.usual.len() == n;
        let normal = header.features.mean.len() == columns && header.features.inv_std.len() == columns;
        let widths = header.hidden.iter().chain([&columns, &outputs]);
        if !(same && normal && n > 0) || widths.into_iter().any(|&w| w == 0 || w > 1 << 14) {
            return Err(wrong("its numbers of members, columns or widths do not fit each other".into()));
        }
        let members = (0..n)
            .map(|i| {
                let name = format!("member.{i}");
                let view = tensors.tensor(&name).map_err(|e| wrong(format!("tensor `{name}`: {e}")))?;
                let weights: Vec<f32> = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
                let net = Mlp::with_weights(columns, &header.hidden, outputs, Activation::Tanh, &weights);
                let Some(net) = net.filter(|_| view.dtype() == Dtype::F32) else {
                    let found = view.shape();
                    let wanted = Mlp::count(columns, &header.hidden, outputs).map_or("more".into(), |n| n.to_string());
                    return Err(wrong(format!(
                        "tensor `{name}` is {:?} {found:?}, expected F32 [{wanted}]",
                        view.dtype()
                    )));
                };
                let numbers = weights.iter().chain([&header.center[i], &header.scale[i]]).chain(&header.usual[i]);
                if let Some(bad) = numbers.into_iter().find(|x| !x.is_finite()) {
                    return Err(wrong(format!("member {i} has a number that is not finite: {bad}")));
                }
                let usual = header.usual[i].clone();
                let wanted = if header.kind == Kind::BradleyTerry { 0 } else { outputs };
                if usual.len() != wanted {
                    return Err(wrong(format!("`usual` of member {i} has {} numbers, expected {wanted}", usual.len())));
                }
                Ok(Member { net, center: header.center[i], scale: header.scale[i], usual })
            })
            .collect::<Result<_, PrefsError>>()?;
        Ok((Self { kind: header.kind, features: header.features, members, uncertainty: Vec::new() }, header.task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_told() {
        let channels = (0..3).map(pavlov_script::Channel::Qvel).collect();
        let features =
            Features { robot: vec!["hinge".into()], channels, mean: vec![1.0, 2.0, 3.0], inv_std: vec![1.0, 0.5, 0.0] };
        let member = |i| Member {
            net: Mlp::new(3, &[8, 4], 2, Activation::Tanh, (3, i), 1.0),
            center: 0.25,
            scale: 2.0,
            usual: vec![0.5, i as f32],
        };
        let mut nets =
            Nets { kind: Kind::Gpm(1), features, members: vec![member(0), member(1)], uncertainty: Vec::new() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        nets.save(&path, "ant_run").unwrap();
        let (mut read, task) = Nets::load(&path).unwrap();
        assert_eq!(task, "ant_run");
        let (mut a, mut b) = (Vec::new(), Vec::new());
        nets.rewards(1, &[0.1, 0.2, 0.3], &mut a);
        read.rewards(1, &[0.1, 0.2, 0.3], &mut b);
        assert_eq!(a, b);
        let bytes = std::fs::read(&path).unwrap();
        for cut in [0, 7, 100, bytes.len() - 4] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let e = Nets::load(&path).unwrap_err().to_string();
            assert!(e.contains("m.safetensors"), "{e}");
        }
        let text = String::from_utf8_lossy(&bytes).replace("\\\"hidden\\\":[8,4]", "\\\"hidden\\\":[4,4]");
        assert_ne!(text.as_bytes(), &bytes[..], "the header was changed");
        let header = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
        let mut changed = bytes.clone();
        let at = bytes.windows(9).position(|w| w == b"hidden\\\":").unwrap();
        assert!(at < header);
        changed[at + 10] = b'4';
        std::fs::write(&path, &changed).unwrap();
        let e = Nets::load(&path).unwrap_err().to_string();
        assert!(e.contains("member.0") && e.contains("expected F32"), "{e}");
        // Headers of other lengths: widths beyond all reason, members that lack a scale.
        let head = std::str::from_utf8(&bytes[8..8 + header]).unwrap();
        for (what, instead, words) in [
            ("\\\"hidden\\\":[8,4]", "\\\"hidden\\\":[8,16385]", "do not fit each other"),
            ("\\\"hidden\\\":[8,4]", "\\\"hidden\\\":[0,4]", "do not fit each other"),
            ("\\\"center\\\":[0.25,0.25]", "\\\"center\\\":[0.25]", "do not fit each other"),
            ("\\\"inv_std\\\":[1.0,0.5,0.0]", "\\\"inv_std\\\":[1.0,0.5]", "do not fit each other"),
            ("[0.5,1.0]", "[0.5]", "`usual` of member 1 has 1 numbers, expected 2"),
        ] {
            let other = head.trim_end().replace(what, instead);
            assert_ne!(other, head.trim_end(), "{what} in {head}");
            let whole = [&(other.len() as u64).to_le_bytes(), other.as_bytes(), &bytes[8 + header..]].concat();
            std::fs::write(&path, whole).unwrap();
            let e = Nets::load(&path).unwrap_err().to_string();
            assert!(e.contains(words), "{instead}: {e}");
        }
    }
}
