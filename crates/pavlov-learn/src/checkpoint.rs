//! Checkpoints: a safetensors file with everything a bit-exact resume needs, apart from the environments' own state.
//!
//! Metadata `pavlov_learn`: JSON of [`Header`]. Tensors (row-major, little-endian):
//!
//! ```text
//! {param,adam_m,adam_v}.{actor,critic}.<layer>.weight f32 [in, out]    .bias f32 [out]
//! {param,adam_m,adam_v}.log_std                       f32 [act]
//! {obs,discounted,value}_moments.count f64 [1]        .mean f64 [columns]   .m2 f64 [columns]
//! carried.obs f32 [worlds, row]     carried.episode_return f64 [worlds]
//! carried.episode_length u64 [worlds]                 carried.discounted f64 [worlds]
//! ```
//! With several critics the critic's last layer has as many outputs, discounted sums `[worlds, critics]` and moments as
//! many columns. Reading trusts nothing: sizes that the header asks for must be those of the tensors in the file before
//! memory is taken for them, every number must be finite, and any other tensor is an error.

use pavlov_common::file;
use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::adam::Adam;
use crate::config::PpoConfig;
use crate::error::LearnError;
use crate::kernels::padded;
use crate::model::Model;
use crate::net::Shape;
use crate::normal::Moments;
use crate::ppo::{Counters, Ppo, Sizes};
use crate::rollout::Carried;

/// Key of the header in the metadata.
const KEY: &str = "pavlov_learn";
/// Version of this layout.
const FORMAT: u32 = 1;

/// All that is not a tensor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    seed: u64,
    obs_dim: usize,
    critic_obs_dim: usize,
    act_dim: usize,
    #[serde(default = "single_critic", skip_serializing_if = "is_one")]
    critics: usize,
    updates: u64,
    env_steps: u64,
    adam_steps: u64,
    learning_rate: f64,
    base_learning_rate: f64,
    restart: bool,
    config: PpoConfig,
}

fn single_critic() -> usize {
    1
}

fn is_one(critics: &usize) -> bool {
    *critics == 1
}

fn bad(message: impl Into<String>) -> LearnError {
    LearnError::Checkpoint(message.into())
}

/// Tensors being written.
#[derive(Default)]
struct Writer {
    tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
}

impl Writer {
    fn f32(&mut self, name: String, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensors.push((name, Dtype::F32, shape.to_vec(), bytes));
    }

    fn f64(&mut self, name: String, values: &[f64]) {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensors.push((name, Dtype::F64, vec![values.len()], bytes));
    }

    fn u64(&mut self, name: String, values: &[u64]) {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensors.push((name, Dtype::U64, vec![values.len()], bytes));
    }

    fn net(&mut self, prefix: &str, shape: &Shape, values: &[f32]) {
        for (l, layer) in shape.layers.iter().enumerate() {
            let (weight, bias) = layer.unpack(values);
            self.f32(format!("{prefix}.{l}.weight"), &[layer.inputs, layer.outputs], &weight);
            self.f32(format!("{prefix}.{l}.bias"), &[layer.outputs], &bias);
        }
    }

    fn vector(&mut self, prefix: &str, model: &Model, values: &[f32]) {
        let at = model.ranges();
        self.net(&format!("{prefix}.actor"), &model.actor, &values[at.actor]);
        self.f32(format!("{prefix}.log_std"), &[model.act], &values[at.log_std]);
        self.net(&format!("{prefix}.critic"), &model.critic, &values[at.critic]);
    }

    fn moments(&mut self, prefix: &str, moments: &Moments) {
        self.f64(format!("{prefix}.count"), &[moments.count]);
        self.f64(format!("{prefix}.mean"), &moments.mean);
        self.f64(format!("{prefix}.m2"), &moments.m2);
    }
}

/// Tensors being read, each once.
struct Reader<'a> {
    tensors: SafeTensors<'a>,
    taken: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'a [u8], LearnError> {
        let tensor = self.tensors.tensor(name).map_err(|_| bad(format!("tensor `{name}` is missing")))?;
        if tensor.dtype() != dtype || tensor.shape() != shape {
            let (found, found_dtype) = (tensor.shape(), tensor.dtype());
            return Err(bad(format!("tensor `{name}` is {found_dtype:?} {found:?}, expected {dtype:?} {shape:?}")));
        }
        self.taken += 1;
        Ok(tensor.data())
    }

    fn f32(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LearnError> {
        let bytes = self.take(name, Dtype::F32, shape)?;
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        finite(name, values.iter().all(|x| x.is_finite()))?;
        Ok(values)
    }

    fn f64(&mut self, name: &str, len: usize) -> Result<Vec<f64>, LearnError> {
        let bytes = self.take(name, Dtype::F64, &[len])?;
        let values: Vec<f64> = bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect();
        finite(name, values.iter().all(|x| x.is_finite()))?;
        Ok(values)
    }

    fn u64(&mut self, name: &str, len: usize) -> Result<Vec<u64>, LearnError> {
        let bytes = self.take(name, Dtype::U64, &[len])?;
        Ok(bytes.as_chunks().0.iter().map(|&b| u64::from_le_bytes(b)).collect())
    }

    /// Numbers of a net in the net's own layout, with `before` numbers in front and `behind` numbers of room after it.
    fn net(&mut self, prefix: &str, shape: &Shape) -> Result<Vec<f32>, LearnError> {
        let mut layers = Vec::with_capacity(shape.layers.len());
        for (l, layer) in shape.layers.iter().enumerate() {
            let weight = self.f32(&format!("{prefix}.{l}.weight"), &[layer.inputs, layer.outputs])?;
            let bias = self.f32(&format!("{prefix}.{l}.bias"), &[layer.outputs])?;
            layers.push((weight, bias));
        }
        // Memory is taken only now that the file is known to hold the numbers.
        let mut values = vec![0.0; shape.len];
        for (layer, (weight, bias)) in shape.layers.iter().zip(&layers) {
            layer.pack(weight, bias, &mut values);
        }
        Ok(values)
    }

    fn vector(&mut self, prefix: &str, actor: &Shape, act: usize, critic: &Shape) -> Result<Vec<f32>, LearnError> {
        let mut values = self.net(&format!("{prefix}.actor"), actor)?;
        values.extend(self.f32(&format!("{prefix}.log_std"), &[act])?);
        values.resize(actor.len + padded(act), 0.0);
        values.extend(self.net(&format!("{prefix}.critic"), critic)?);
        Ok(values)
    }

    fn moments(&mut self, prefix: &str, columns: usize) -> Result<Moments, LearnError> {
        let count = self.f64(&format!("{prefix}.count"), 1)?;
        let mean = self.f64(&format!("{prefix}.mean"), columns)?;
        let m2 = self.f64(&format!("{prefix}.m2"), columns)?;
        let moments = Moments { count: count[0], mean, m2 };
        if !moments.is_sound() {
            return Err(bad(format!("`{prefix}` has a negative count or variance")));
        }
        Ok(moments)
    }
}

fn finite(name: &str, is_finite: bool) -> Result<(), LearnError> {
    if is_finite { Ok(()) } else { Err(bad(format!("tensor `{name}` has a number that is not finite"))) }
}

impl Ppo {
    /// The learner as a safetensors file: everything for a bit-exact resume but the blocks' own state, which is the
    /// caller's to save.
    ///
    /// # Errors
    /// [`LearnError::Checkpoint`] if it cannot be encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LearnError> {
        let header = Header {
            format: FORMAT,
            seed: self.seed,
            obs_dim: self.sizes.obs,
            critic_obs_dim: self.sizes.critic_obs,
            act_dim: self.sizes.act,
            critics: self.sizes.critics,
            updates: self.counters.updates,
            env_steps: self.counters.env_steps,
            adam_steps: self.adam.steps,
            learning_rate: self.counters.learning_rate,
            base_learning_rate: self.counters.base_learning_rate,
            restart: self.counters.restart,
            config: self.config.clone(),
        };
        let json = serde_json::to_string(&header).map_err(|e| bad(format!("cannot write the header: {e}")))?;
        let mut out = Writer::default();
        for (prefix, values) in [("param", &self.model.params), ("adam_m", &self.adam.m), ("adam_v", &self.adam.v)] {
            out.vector(prefix, &self.model, values);
        }
        out.moments("obs_moments", &self.obs_moments);
        out.moments("discounted_moments", &self.discounted_moments);
        out.moments("value_moments", &self.value_moments);
        out.f32("carried.obs".to_owned(), &[self.config.worlds, self.sizes.row()], &self.carried.obs);
        out.f64("carried.episode_return".to_owned(), &self.carried.episode_return);
        out.u64("carried.episode_length".to_owned(), &self.carried.episode_length);
        out.f64("carried.discounted".to_owned(), &self.carried.discounted);
        let views = out
            .tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| bad(format!("cannot write: {e}")))?;
        let metadata = HashMap::from([(KEY.to_owned(), json)]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| bad(format!("cannot write: {e}")))
    }

    /// Opposite of [`Ppo::to_bytes`].
    ///
    /// # Errors
    /// [`LearnError::Checkpoint`] says what is wrong with the bytes; any bytes may be given.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LearnError> {
        let unreadable = |e| bad(format!("not a readable safetensors file: {e}"));
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
        let json = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let json = json.ok_or_else(|| bad(format!("no `{KEY}` in the metadata: not a checkpoint of this learner")))?;
        let header: Header = serde_json::from_str(json).map_err(|e| bad(format!("header: {e}")))?;
        if header.format != FORMAT {
            return Err(bad(format!("layout version {}, this program reads {FORMAT}", header.format)));
        }
        let config = header.config;
        config.validate().map_err(|e| bad(e.to_string()))?;
        let critics = header.critics;
        let sizes = Sizes { obs: header.obs_dim, critic_obs: header.critic_obs_dim, act: header.act_dim, critics };
        sizes.validate().map_err(|e| bad(e.to_string()))?;
        for (name, rate) in [("learning_rate", header.learning_rate), ("base_learning_rate", header.base_learning_rate)]
        {
            if !(rate.is_finite() && rate >= 0.0) {
                return Err(bad(format!("`{name}` is {rate}: expected a number not below 0")));
            }
        }
        let (worlds, row, act) = (config.worlds, sizes.row(), sizes.act);
        let mut from = Reader { tensors: SafeTensors::deserialize(bytes).map_err(unreadable)?, taken: 0 };
        let actor = Shape::new(sizes.obs, &config.actor_hidden, act, config.activation);
        let critic = Shape::new(row, &config.critic_hidden, critics, config.activation);
        let params = from.vector("param", &actor, act, &critic)?;
        let m = from.vector("adam_m", &actor, act, &critic)?;
        let v = from.vector("adam_v", &actor, act, &critic)?;
        if v.iter().any(|&x| x < 0.0) {
            return Err(bad("`adam_v` has a negative number"));
        }
        let moments = [
            from.moments("obs_moments", row)?,
            from.moments("discounted_moments", critics)?,
            from.moments("value_moments", critics)?,
        ];
        let carried = Carried {
            obs: from.f32("carried.obs", &[worlds, row])?,
            episode_return: from.f64("carried.episode_return", worlds)?,
            episode_length: from.u64("carried.episode_length", worlds)?,
            discounted: from.f64("carried.discounted", worlds * critics)?,
        };
        if from.taken != from.tensors.len() {
            let extra = from.tensors.len() - from.taken;
            return Err(bad(format!("{extra} tensors that a checkpoint of this learner does not have")));
        }
        let counters = Counters {
            updates: header.updates,
            env_steps: header.env_steps,
            learning_rate: header.learning_rate,
            base_learning_rate: header.base_learning_rate,
            restart: header.restart,
        };
        let model = Model { actor, critic, act, params };
        let adam = Adam { m, v, steps: header.adam_steps };
        Ok(Self::from_parts(config, sizes, header.seed, model, adam, moments, carried, counters))
    }

    /// Writes [`Ppo::to_bytes`] to a file, which is replaced whole or not at all: the bytes go to a file beside it
    /// first.
    ///
    /// # Errors
    /// [`LearnError::Io`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), LearnError> {
        let bytes = self.to_bytes()?;
        pavlov_common::atomic::write_durably(path, &bytes).map_err(|e| LearnError::Io {
            action: "write",
            path: e.path,
            source: e.source,
        })
    }

    /// Reads what [`Ppo::save`] wrote.
    ///
    /// # Errors
    /// [`LearnError::Io`] if it cannot be read, [`LearnError::Checkpoint`] if it is not a checkpoint.
    pub fn load(path: &Path) -> Result<Self, LearnError> {
        let bytes = file::read(path, file::NUMBERS).map_err(|source| LearnError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::toy::Mass;

    fn trained() -> Ppo {
        let config = PpoConfig {
            worlds: 8,
            horizon: 8,
            actor_hidden: vec![12],
            critic_hidden: vec![9, 5],
            gamma: 0.123_456_789_012_345_67,
            learning_rate: 1.0 / 3.0 * 1e-3,
            ..PpoConfig::default()
        };
        let mut ppo = Ppo::new(config, 2, 1, 1, u64::MAX - 7).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        ppo.update(&mut Mass::blocks(2, 4, 5), &pool).unwrap();
        ppo
    }

    #[test]
    fn bytes_come_back_the_same() {
        let ppo = trained();
        let bytes = ppo.to_bytes().unwrap();
        let back = Ppo::from_bytes(&bytes).unwrap();
        assert_eq!(back.to_bytes().unwrap(), bytes);
        assert_eq!(back.config, ppo.config);
        assert_eq!((back.seed(), back.updates(), back.env_steps()), (u64::MAX - 7, 1, 64));
        assert_eq!((&back.model.params, &back.adam), (&ppo.model.params, &ppo.adam));
        assert_eq!((&back.carried, &back.counters), (&ppo.carried, &ppo.counters));
    }

    #[test]
    fn a_file_is_replaced_whole_and_errors_name_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.safetensors");
        fs::write(&path, b"old").unwrap();
        let error = Ppo::load(&path).unwrap_err();
        assert!(matches!(error, LearnError::Checkpoint(_)), "{error}");
        let ppo = trained();
        ppo.save(&path).unwrap();
        assert_eq!(Ppo::load(&path).unwrap().to_bytes().unwrap(), ppo.to_bytes().unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the temporary file is gone");
        let error = ppo.save(&dir.path().join("missing/policy.safetensors")).unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("missing"), "{error}");
        let error = Ppo::load(&dir.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("none"), "{error}");
    }

    /// The checkpoint with `from` in its header replaced by `to`.
    fn with_header(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
        let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = std::str::from_utf8(&bytes[8..8 + len]).unwrap();
        assert!(header.contains(from), "{from} is not in {header}");
        let header = header.replacen(from, to, 1);
        let mut out = (header.len() as u64).to_le_bytes().to_vec();
        out.extend(header.as_bytes());
        out.extend(&bytes[8 + len..]);
        out
    }

    #[test]
    fn hostile_headers_are_refused() {
        let bytes = trained().to_bytes().unwrap();
        let cases = [
            (r#"\"actor_hidden\":[12]"#, r#"\"actor_hidden\":[4096,4096,4096]"#, "expected"),
            (r#"\"actor_hidden\":[12]"#, r#"\"actor_hidden\":[13]"#, "expected"),
            (r#"\"obs_dim\":2"#, r#"\"obs_dim\":65536"#, "expected"),
            (r#"\"obs_dim\":2"#, r#"\"obs_dim\":18446744073709551615"#, "obs_dim"),
            (r#"\"worlds\":8"#, r#"\"worlds\":33554432"#, "expected"),
            (r#"\"gamma\":0.1"#, r#"\"gamma\":7.1"#, "gamma"),
            (r#"\"format\":1"#, r#"\"format\":2"#, "version"),
            (r#"\"seed\""#, r#"\"sead\""#, "sead"),
            ("pavlov_learn", "pavlov_lern", "not a checkpoint"),
            ("param.log_std", "param.log_sdt", "missing"),
        ];
        for (from, to, word) in cases {
            let error = Ppo::from_bytes(&with_header(&bytes, from, to)).unwrap_err();
            assert!(matches!(error, LearnError::Checkpoint(_)), "{from}: {error}");
            assert!(error.to_string().contains(word), "{from}: {error}");
        }
        let mut ppo = trained();
        ppo.adam.m[3] = f32::NAN;
        let error = Ppo::from_bytes(&ppo.to_bytes().unwrap()).unwrap_err().to_string();
        assert!(error.contains("adam_m") && error.contains("finite"), "{error}");
        let mut ppo = trained();
        ppo.obs_moments.m2[1] = -1.0;
        let error = Ppo::from_bytes(&ppo.to_bytes().unwrap()).unwrap_err().to_string();
        assert!(error.contains("obs_moments"), "{error}");
    }

    #[test]
    fn other_tensors_are_refused() {
        let bytes = trained().to_bytes().unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let mut tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
        tensors.push(("surplus".to_owned(), TensorView::new(Dtype::U8, vec![3], &[1, 2, 3]).unwrap()));
        let more = safetensors::serialize(tensors, metadata.metadata().clone()).unwrap();
        let error = Ppo::from_bytes(&more).unwrap_err();
        assert!(error.to_string().contains("1 tensors"), "{error}");
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = trained().to_bytes().unwrap();
        for len in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
            assert!(matches!(Ppo::from_bytes(&bytes[..len]), Err(LearnError::Checkpoint(_))), "{len} bytes");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(matches!(Ppo::from_bytes(&longer), Err(LearnError::Checkpoint(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the bytes: an error or a learner that works, never a panic.
        #[test]
        fn any_bytes_are_survived(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..12),
            random in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            thread_local! {
                static BYTES: Vec<u8> = trained().to_bytes().unwrap();
            }
            let mut bytes = BYTES.with(Clone::clone);
            for (place, value, in_header) in changes {
                let end = if in_header { 3000.min(bytes.len()) } else { bytes.len() };
                bytes[place.index(end)] = value;
            }
            for bytes in [&bytes, &random] {
                match Ppo::from_bytes(bytes) {
                    Ok(mut ppo) => {
                        prop_assert!(ppo.to_bytes().is_ok());
                        let small = ppo.config.horizon <= 64 && ppo.config.epochs <= 16;
                        if small && ppo.config.worlds == 8 {
                            // Odd numbers may end in an error, not in a panic.
                            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
                            let _ = ppo.update(&mut Mass::blocks(2, 4, 5), &pool);
                        }
                    }
                    Err(LearnError::Checkpoint(_)) => (),
                    Err(other) => prop_assert!(false, "{other}"),
                }
            }
        }
    }
}
