//! The policy on its own: mean actions with the normaliser of observations frozen in.

use crate::error::LearnError;
use crate::loss::CHUNK;
use crate::model::Model;
use crate::net::{Shape, Workspace};
use crate::normal::Frozen;
use crate::onnx;

/// A trained policy, detached from the learner.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) shape: Shape,
    pub(crate) params: Vec<f32>,
    pub(crate) std: Vec<f32>,
    pub(crate) frozen: Frozen,
    pub(crate) work: Workspace,
    pub(crate) x: Vec<f32>,
}

impl Policy {
    /// Copies the actor out of a model; of `frozen` the actor's columns are kept.
    pub(crate) fn new(model: &Model, frozen: &Frozen) -> Self {
        let obs = model.actor.layers[0].inputs;
        Self {
            shape: model.actor.clone(),
            params: model.actor_params().to_vec(),
            std: model.gaussian().std,
            frozen: Frozen {
                mean: frozen.mean[..obs].to_vec(),
                inv_std: frozen.inv_std[..obs].to_vec(),
                limit: frozen.limit,
            },
            work: Workspace::default(),
            x: Vec::new(),
        }
    }

    /// Columns of an observation.
    pub fn obs_dim(&self) -> usize {
        self.frozen.mean.len()
    }

    /// Columns of an action.
    pub fn act_dim(&self) -> usize {
        self.std.len()
    }

    /// Standard deviation of each action column in training, in the units of actions.
    pub fn std(&self) -> Vec<f32> {
        self.std.clone()
    }

    /// Mean actions `[n, act_dim]` of `rows` `[n, stride]`, of which the first `obs_dim` columns are used;
    /// `n = actions.len() / act_dim`. Actions are not clipped. A row's action does not depend on the other rows.
    ///
    /// # Errors
    /// [`LearnError::Shape`] if the slices do not fit each other.
    pub fn act(&mut self, rows: &[f32], stride: usize, actions: &mut [f32]) -> Result<(), LearnError> {
        let (obs, act) = (self.obs_dim(), self.act_dim());
        let n = actions.len() / act;
        if actions.len() != n * act {
            return Err(LearnError::Shape { size: "length of actions", found: actions.len(), expected: n * act });
        }
        if stride < obs {
            return Err(LearnError::Shape { size: "stride of observations", found: stride, expected: obs });
        }
        if Some(rows.len()) != n.checked_mul(stride) {
            let expected = n.saturating_mul(stride);
            return Err(LearnError::Shape { size: "length of observations", found: rows.len(), expected });
        }
        let width = self.shape.out_width();
        for (rows, actions) in rows.chunks(CHUNK * stride).zip(actions.chunks_mut(CHUNK * act)) {
            let count = actions.len() / act;
            self.x.resize(count * obs, 0.0);
            for (row, x) in rows.chunks_exact(stride).zip(self.x.chunks_exact_mut(obs)) {
                self.frozen.apply(&row[..obs], x);
            }
            let means = self.shape.forward(&self.params, &self.x, obs, count, &mut self.work);
            for (mean, action) in means.chunks_exact(width).zip(actions.chunks_exact_mut(act)) {
                action.copy_from_slice(&mean[..act]);
            }
        }
        Ok(())
    }

    /// ONNX model of [`Policy::act`]: `obs` `[n, obs_dim]` to `action` `[n, act_dim]`, both f32. `range` clips the
    /// actions to `(low, high)` per column. Operator set 17, IR version 8.
    ///
    /// # Errors
    /// [`LearnError::Onnx`] if the range does not fit the actions.
    pub fn to_onnx(&self, range: Option<(&[f32], &[f32])>) -> Result<Vec<u8>, LearnError> {
        onnx::export(&self.shape, &self.params, &self.frozen, range)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::{Activation, PpoConfig};
    use crate::normal::Moments;
    use crate::rng::{Purpose, Rng};

    /// A policy with trained-looking numbers: `obs` columns in, `act` out.
    pub(crate) fn policy(activation: Activation, hidden: &[usize], obs: usize, act: usize, normalize: bool) -> Policy {
        let config = PpoConfig { activation, actor_hidden: hidden.to_vec(), ..PpoConfig::default() };
        let mut model = Model::zeros(&config, obs, obs + 2, act, 1);
        model.init(&config, 3);
        model.actor.init(&mut model.params[..model.actor.len], 3, 0, 1.5);
        let columns = obs + 2;
        let moments = Moments {
            count: 10.0,
            mean: (0..columns).map(|j| 0.1 * j as f64).collect(),
            m2: (0..columns).map(|j| 2.0 + j as f64).collect(),
        };
        Policy::new(&model, &Frozen::new(&moments, normalize, 2.0))
    }

    pub(crate) fn observations(rows: usize, obs: usize) -> Vec<f32> {
        let mut x = vec![0.0; rows * obs];
        Rng::new(4, Purpose::Bench, 0).normals(0, 0, &mut x);
        x
    }

    #[test]
    fn rows_are_independent_and_extra_columns_ignored() {
        let mut policy = policy(Activation::Tanh, &[16, 16], 5, 3, true);
        let x = observations(600, 5);
        let mut batch = vec![0.0; 1800];
        policy.act(&x, 5, &mut batch).unwrap();
        let wide: Vec<f32> = x.chunks(5).flat_map(|row| row.iter().copied().chain([f32::NAN, 7.0])).collect();
        let mut again = vec![0.0; 1800];
        policy.act(&wide, 7, &mut again).unwrap();
        assert_eq!(batch, again);
        let mut single = [0.0; 3];
        policy.act(&x[5 * 599..], 5, &mut single).unwrap();
        assert_eq!(single, batch[1797..]);
        policy.act(&[], 5, &mut []).unwrap();
        assert_eq!((policy.obs_dim(), policy.act_dim(), policy.std()), (5, 3, vec![1.0; 3]));
    }

    #[test]
    fn sizes_are_checked() {
        let mut policy = policy(Activation::Relu, &[], 5, 3, false);
        let mut six = [0.0; 6];
        for (rows, stride, actions) in [(10, 5, 5), (8, 4, 6), (9, 5, 6), (11, 5, 6), (10, usize::MAX, 6)] {
            let result = policy.act(&vec![0.0; rows], stride, &mut six[..actions]);
            assert!(matches!(result, Err(LearnError::Shape { .. })), "{rows} {stride} {actions}");
        }
        policy.act(&[0.0; 10], 5, &mut six).unwrap();
    }
}
