//! One question, one answer: which model of the labels, fitted, judged on pairs held out, and written as a reward.

use crate::coin::AgainstCoin;
use crate::dataset::{Dataset, Loss, Quality};
use crate::error::PrefsError;
use crate::folder::{Combine, write_linear, write_nets};
use crate::learn::{LinearFit, NetFit, advantage, fit_linear, fit_nets};
use crate::member::Kind;
use crate::nets::{NetOptions, Nets};
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
    /// What labels say of the weights, and what that makes of the reward's parameters.
    Linear(Box<LinearFit>, Vec<Change>),
    /// Nets.
    Nets(Box<Nets>, AgainstCoin),
}

/// What was learnt, and how good it is.
#[derive(Debug, Clone)]
pub struct Fit {
    /// The model that was taken.
    pub learnt: Learnt,
    /// On pairs held out, by which nothing was chosen.
    pub quality: Quality,
    /// With [`Model::Auto`]: how much less the nets' loss is than the linear one's on pairs held out for choosing, with
    /// its standard error.
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
                let choosing = model == Model::Auto;
                let options =
                    NetOptions { kind, members: members.max(1), loss, seed, choosing, ..NetOptions::default() };
                Some(fit_nets(pool, reward, data, &options)?)
            }
        };
        let gain = linear.as_ref().zip(nets.as_ref()).and_then(|(linear, nets)| advantage(linear, nets));
        // A bigger model has to earn its place: two standard errors.
        let earned = gain.is_some_and(|(gain, error)| gain > 2.0 * error);
        let (learnt, quality) = match (linear, nets) {
            (Some(fit), nets) if nets.is_none() || !earned => {
                let (file, group) = pool.by_file(&data.segments.iter().collect::<Vec<_>>())?.swap_remove(0);
                let rollouts = file.read(reward.scene(), pavlov_run::channels_of([reward]))?;
                let spans: Vec<_> = group.iter().map(|g| g.1).collect();
                let params = own_params(reward, &rollouts, &spans)?;
                let changes = changes(&fit.verdicts, reward, &params);
                // Pairs that chose between the models do not judge the one that was chosen.
                let choose = nets.map_or_else(Vec::new, |n| n.split.choose);
                let quality = fit.quality.of_those(|place| !choose.contains(&fit.order[place]));
                (Learnt::Linear(Box::new(fit), changes), quality)
            }
            (_, Some(NetFit { nets, quality, coin, .. })) => (Learnt::Nets(Box::new(nets), coin), quality),
            (_, None) => return Err(PrefsError::Failed("no model was fitted".into())),
        };
        Ok(Self { learnt, quality, advantage: gain })
    }

    /// As it is called.
    pub fn name(&self) -> &'static str {
        match &self.learnt {
            Learnt::Linear(..) => "linear",
            Learnt::Nets(nets, _) if nets.kind == Kind::BradleyTerry => "mlp",
            Learnt::Nets(..) => "gpm",
        }
    }

    /// Why the reward that there is should be kept: labels do not say that what was learnt is better. None where it may
    /// be trained on.
    pub fn doubt(&self) -> Option<String> {
        match &self.learnt {
            Learnt::Linear(_, changes) if changes.iter().any(|c| c.verdict.changes()) => None,
            Learnt::Linear(_, changes) => {
                let [stay, undetermined] = [true, false].map(|yes| {
                    let of_kind = changes.iter().filter(|c| c.verdict.determined == yes);
                    of_kind.map(|c| c.term.as_str()).collect::<Vec<_>>().join(", ")
                });
                let known = match (stay.is_empty(), undetermined.is_empty()) {
                    (true, _) => "all weights are undetermined by the labels".to_string(),
                    (false, true) => "labels say that all weights are right".to_string(),
                    (false, false) => format!("right by the labels: {stay}; undetermined: {undetermined}"),
                };
                Some(format!("{known}; nothing is changed"))
            }
            Learnt::Nets(_, coin) if coin.is_better() => None,
            Learnt::Nets(_, coin) if !coin.can_tell() => Some(format!(
                "undetermined: {} held-out pairs are too few to say that the nets are better than a coin (5 \
                 that have a better one at least, of 25 or more labels): label more",
                coin.pairs
            )),
            Learnt::Nets(_, coin) => Some(format!(
                "undetermined: the nets tell {} of {} held-out pairs right, {:.0}% to {:.0}% with 95% confidence; \
                 a coin does as well with a chance of {:.2}: label more, or learn weights (--learn linear)",
                coin.right,
                coin.pairs,
                100.0 * coin.interval[0],
                100.0 * coin.interval[1],
                coin.chance
            )),
        }
    }

    /// Writes a reward folder; `reward` is the one whose terms were weighed.
    ///
    /// # Errors
    /// When there is a reward already or a file cannot be written.
    pub fn write(&self, folder: &Path, reward: &Reward, task: &str, combine: Combine<'_>) -> Result<(), PrefsError> {
        match &self.learnt {
            Learnt::Linear(_, changes) => write_linear(folder, reward, changes),
            Learnt::Nets(nets, _) => write_nets(folder, nets, combine, task, reward.scene()),
        }
    }
}
