//! One question, one answer: which model of the labels, fitted, judged on pairs held out, and written as a reward.

use crate::dataset::{Dataset, Loss, Quality};
use crate::error::PrefsError;
use crate::folder::{Combine, write_linear, write_nets};
use crate::learn::{LinearFit, advantage, fit_linear, fit_nets};
use crate::nets::{Kind, NetOptions, Nets};
use crate::segments::Pool;
use crate::write_back::{Change, changes, own_params};
use pavlov_reward::Reward;
use std::path::Path;

/// What is learnt from labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Model {
    /// Weights of the reward's terms.
    #[default]
    Linear,
    /// Nets of states and actions.
    Mlp,
    /// Nets that can hold cycles.
    Gpm,
    /// Linear, or nets where they are better on held-out pairs by two standard errors.
    Auto,
}

/// Names of models.
pub const MODELS: [(&str, Model); 4] =
    [("auto", Model::Auto), ("linear", Model::Linear), ("mlp", Model::Mlp), ("gpm", Model::Gpm)];

impl Model {
    /// The model of a name in [`MODELS`].
    ///
    /// # Errors
    /// Says which there are.
    pub fn named(name: &str) -> Result<Self, PrefsError> {
        let found = MODELS.iter().find(|m| m.0 == name).map(|m| m.1);
        found.ok_or_else(|| {
            let hint = pavlov_model::did_you_mean(name, MODELS.map(|m| m.0));
            PrefsError::Usage(format!("no model `{name}`: {hint}"))
        })
    }
}

/// How to learn.
#[derive(Debug, Clone, Copy, Default)]
pub struct FitOptions {
    /// What is learnt.
    pub model: Model,
    /// What answers weigh.
    pub loss: Loss,
    /// Nets of an ensemble.
    pub members: usize,
    /// Seed.
    pub seed: u64,
}

/// What was learnt.
#[derive(Debug, Clone)]
pub enum Learnt {
    /// Weights, and what they make of the reward's parameters.
    Linear(Box<LinearFit>, Vec<Change>),
    /// Nets.
    Nets(Box<Nets>),
}

/// What was learnt, and how good it is.
#[derive(Debug, Clone)]
pub struct Fit {
    /// The model that was taken.
    pub learnt: Learnt,
    /// On pairs held out.
    pub quality: Quality,
    /// With [`Model::Auto`]: how much less the nets' loss is than the linear one's, with its standard error.
    pub advantage: Option<(f64, f64)>,
}

impl Fit {
    /// Learns from `data`, whose segments are in `pool`; `reward` is the one whose terms are weighed.
    ///
    /// # Errors
    /// When there is nothing to learn from or segments cannot be scored.
    pub fn of(pool: &Pool, reward: &Reward, data: &Dataset, options: &FitOptions) -> Result<Self, PrefsError> {
        data.check()?;
        let FitOptions { model, loss, members, seed } = *options;
        let linear = match model {
            Model::Linear | Model::Auto => Some(fit_linear(pool, reward, data, loss, seed)?),
            Model::Mlp | Model::Gpm => None,
        };
        let kind = if model == Model::Gpm { Kind::Gpm(2) } else { Kind::BradleyTerry };
        let nets = match model {
            Model::Linear => None,
            _ => {
                let options = NetOptions { kind, members: members.max(1), loss, seed, ..NetOptions::default() };
                Some(fit_nets(pool, reward, data, &options)?)
            }
        };
        let gain = linear.as_ref().zip(nets.as_ref()).and_then(|(l, (_, q, held))| advantage(l, q, held));
        // A bigger model has to earn its place: two standard errors.
        let earned = gain.is_some_and(|(gain, error)| gain > 2.0 * error);
        let (learnt, quality) = match (linear, nets) {
            (Some(fit), nets) if nets.is_none() || !earned => {
                let (file, group) = pool.by_file(&data.segments.iter().collect::<Vec<_>>())?.swap_remove(0);
                let rollouts = file.read(reward.scene(), pavlov_run::channels_of([reward]))?;
                let spans: Vec<_> = group.iter().map(|g| g.1).collect();
                let params = own_params(reward, &rollouts, &spans)?;
                let changes = changes(&fit.model, reward, &params, &fit.phi);
                let quality = fit.quality.clone();
                (Learnt::Linear(Box::new(fit), changes), quality)
            }
            (_, Some((nets, quality, _))) => (Learnt::Nets(Box::new(nets)), quality),
            (_, None) => return Err(PrefsError::Failed("no model was fitted".into())),
        };
        Ok(Self { learnt, quality, advantage: gain })
    }

    /// As it is called.
    pub fn name(&self) -> &'static str {
        match &self.learnt {
            Learnt::Linear(..) => "linear",
            Learnt::Nets(nets) if nets.kind == Kind::BradleyTerry => "mlp",
            Learnt::Nets(_) => "gpm",
        }
    }

    /// Writes a reward folder; `reward` is the one whose terms were weighed.
    ///
    /// # Errors
    /// When there is a reward already or a file cannot be written.
    pub fn write(&self, folder: &Path, reward: &Reward, task: &str, combine: Combine<'_>) -> Result<(), PrefsError> {
        match &self.learnt {
            Learnt::Linear(_, changes) => write_linear(folder, reward, changes),
            Learnt::Nets(nets) => write_nets(folder, nets, combine, task, reward.scene()),
        }
    }
}
