//! The sources of this crate; here `preference`: what a learnt model thinks of each step, as a term of a reward graph.
//!
//! In `reward.toml`: `[sources.liked]`, `kind = "preference"`, `model = "liked.safetensors"`, and `member = 0` for one
//! net of an ensemble; without it, their mean. With a source a member and a combiner (`wco`, `uwo`, `brme`) the reward
//! is as cautious as the ensemble is divided.

use crate::features::Features;
use crate::nets::Nets;
use pavlov_reward::{RewardSource, SourceSetup, SourceStep, register_source};
use pavlov_script::Input;

/// Registers the sources of this crate: `preference` and `spo`. A program calls it once, before it loads rewards.
pub fn register_sources() {
    register_source("preference", |setup| Ok(Box::new(Preference::new(setup)?)));
    register_source("spo", crate::spo::spo);
}

/// The nets that option `model` names, which must be of this robot.
pub(crate) fn loaded(setup: &SourceSetup<'_>) -> Result<Nets, String> {
    let name = setup.options.get("model").and_then(|m| m.as_str()).unwrap_or_default();
    let path = setup.reward.file(name).map_err(|e| e.to_string())?;
    let (nets, task) = Nets::load(&path).map_err(|e| e.to_string())?;
    if !nets.features.fits(setup.scene) {
        let file = path.display();
        return Err(format!("preference model {file} is of task `{task}`, whose robot has other joints or actuators"));
    }
    Ok(nets)
}

/// What nets see of a step: a row a world, normalised.
#[derive(Debug, Default)]
pub(crate) struct Rows(Vec<f32>);

impl Rows {
    /// Of the step's columns, which are those of `features`.
    pub fn of(&mut self, step: &SourceStep<'_>, features: &Features) -> &[f32] {
        let columns = features.channels.len();
        self.0.resize(step.worlds * columns, 0.0);
        for k in 0..columns {
            for (w, x) in step.column(k).iter().enumerate() {
                self.0[w * columns + k] = *x;
            }
        }
        features.normalise(&mut self.0);
        &self.0
    }
}

#[derive(Debug)]
struct Preference {
    nets: Nets,
    member: Option<usize>,
    rows: Rows,
    member_rewards: Vec<f32>,
}

impl Preference {
    fn new(setup: &SourceSetup<'_>) -> Result<Self, String> {
        let nets = loaded(setup)?;
        let n = nets.members.len();
        let member = match setup.options.get("member").and_then(|m| m.as_float().or(m.as_integer().map(|i| i as f64))) {
            None => None,
            Some(m) if m >= 0.0 && m.fract() == 0.0 && (m as usize) < n => Some(m as usize),
            Some(m) => return Err(format!("member {m} of the preference model: it has {n}, from 0")),
        };
        Ok(Self { nets, member, rows: Rows::default(), member_rewards: Vec::new() })
    }
}

impl RewardSource for Preference {
    fn inputs(&self) -> Vec<Input> {
        self.nets.features.channels.iter().map(|&c| Input::now(c)).collect()
    }

    fn evaluate(&mut self, step: &SourceStep<'_>, out: &mut [f32]) -> Result<(), String> {
        let rows = self.rows.of(step, &self.nets.features);
        let members = self.member.map_or(0..self.nets.members.len(), |m| m..m + 1);
        let share = 1.0 / members.len() as f32;
        out[..step.worlds].fill(0.0);
        for m in members {
            self.nets.rewards(m, rows, &mut self.member_rewards);
            out.iter_mut().zip(&self.member_rewards).for_each(|(y, r)| *y += share * r);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::{Kind, Member};
    use pavlov_learn::{Activation, Mlp};
    use pavlov_script::Channel;

    #[test]
    fn members_see_normalised_rows_and_their_mean_is_paid() {
        let features = Features {
            robot: Vec::new(),
            channels: vec![Channel::Qpos(0), Channel::Qvel(0)],
            mean: vec![1.0, -1.0],
            inv_std: vec![2.0, 0.5],
        };
        let member = |i| Member {
            net: Mlp::new(2, &[4], 1, Activation::Tanh, (3, i), 1.0),
            center: 0.25,
            scale: 2.0,
            usual: Vec::new(),
        };
        let nets = || Nets {
            kind: Kind::BradleyTerry,
            features: features.clone(),
            members: (0..3).map(member).collect(),
            uncertainty: Vec::new(),
        };
        // Two worlds of three columns' length; the third number is of no world.
        let columns = [1.5, 2.0, 99.0, 3.0, -1.0, 99.0];
        let step = SourceStep { worlds: 2, stride: 3, columns: &columns, terminated: &[false; 2], step: &[1; 2] };
        let rows = [1.0, 2.0, 2.0, 0.0];
        assert_eq!(Rows::default().of(&step, &features), rows);
        let mut each = nets();
        let rewards: Vec<Vec<f32>> = (0..3)
            .map(|m| {
                let mut out = Vec::new();
                each.rewards(m, &rows, &mut out);
                out
            })
            .collect();
        let paid = |member: Option<usize>| {
            let mut source = Preference { nets: nets(), member, rows: Rows::default(), member_rewards: Vec::new() };
            assert_eq!(source.inputs(), [Channel::Qpos(0), Channel::Qvel(0)].map(Input::now));
            let mut out = [7.0; 2];
            source.evaluate(&step, &mut out).unwrap();
            out
        };
        assert_eq!(paid(Some(1)), rewards[1][..]);
        for (world, mean) in paid(None).into_iter().enumerate() {
            let known = (rewards[0][world] + rewards[1][world] + rewards[2][world]) / 3.0;
            assert!((mean - known).abs() < 1e-6, "{mean} {known}");
        }
    }
}
