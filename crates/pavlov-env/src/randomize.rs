//! Physical parameters drawn per world into the columns of [`Params`].
//!
//! Value = the model's own * scale + add; entries that touch the same parameter compound. What the mass matrix at `qpos0` decides (`invweight0`) is recomputed after mass, centre of
//! mass, armature or `qpos0` changed (`set0`), and pair frictions after a friction changed.

use crate::error::{EnvError, hint};
use crate::parse::Source;
use crate::rng::{Purpose, Stream, WorldRng};
use crate::schema::{Every, Quantity, Randomize};
use crate::task::at_range;
use pavlov_model::Model;
use pavlov_physics::{Lane, Params, Physics, Real};
use toml::Spanned;

/// One checked `[[randomize]]`.
#[derive(Debug, Clone)]
struct Draw {
    what: Quantity,
    /// Bodies, geoms, dofs, actuators or coordinates.
    targets: Vec<usize>,
    scale: [f32; 2],
    add: [f32; 2],
    shared: bool,
    every: Every,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct RandomPlan {
    draws: Vec<Draw>,
    /// Is anything drawn anew in each episode?
    pub per_episode: bool,
    set0_start: bool,
    set0_episode: bool,
}

impl RandomPlan {
    /// Checks the tables against the robot.
    pub fn new(tables: &[Randomize], model: &Model, source: &Source) -> Result<Self, EnvError> {
        let mut plan = Self::default();
        for table in tables {
            let range = |r: &Option<Spanned<[f64; 2]>>, none: f64| -> Result<[f32; 2], EnvError> {
                let bounds = r.as_ref().map(|r| at_range(r, source, "a range of randomisation")).transpose()?;
                Ok(bounds.unwrap_or([none, none]).map(|v| v as f32))
            };
            let draw = Draw {
                what: table.what,
                targets: targets(table, model, source)?,
                scale: range(&table.scale, 1.0)?,
                add: range(&table.add, 0.0)?,
                shared: table.shared,
                every: table.every,
            };
            // What must stay positive for the dynamics to exist.
            let positive = matches!(table.what, Quantity::Mass | Quantity::Friction);
            if let Some(scale) = table.scale.as_ref().filter(|_| positive && draw.scale[0] <= 0.0) {
                return Err(source.error(scale.span(), format!("a factor down to {}: expected above 0", draw.scale[0])));
            }
            if let (Some(scale), Quantity::Com | Quantity::JointOffset) = (&table.scale, table.what) {
                return Err(source.error(scale.span(), "`scale` has no meaning here: use `add`"));
            }
            let set0 =
                matches!(table.what, Quantity::Mass | Quantity::Com | Quantity::Armature | Quantity::JointOffset);
            plan.per_episode |= table.every == Every::Episode;
            plan.set0_start |= set0;
            plan.set0_episode |= set0 && table.every == Every::Episode;
            plan.draws.push(draw);
        }
        Ok(plan)
    }

    /// Is nothing drawn?
    pub fn is_empty(&self) -> bool {
        self.draws.is_empty()
    }

    /// Draws for one world of a lane group. Entries that touch the same parameter compound, in file order; those drawn once give the
    /// same numbers again. `nominal` holds the model's own values.
    pub fn apply(&self, rng: &WorldRng, episode: u32, lane: usize, nominal: &Params<f64>, params: &mut Params<Lane>) {
        for draw in &self.draws {
            for &target in &draw.targets {
                draw.restore(target, lane, nominal, params);
            }
        }
        for (i, draw) in self.draws.iter().enumerate() {
            let episode = if draw.every == Every::Start { 0 } else { episode };
            let mut stream = rng.stream(Purpose::Randomize, episode, i as u32);
            let shared = draw.sample(&mut stream);
            for &target in &draw.targets {
                let (scale, add) = if draw.shared { shared } else { draw.sample(&mut stream) };
                draw.change(target, lane, scale, add, &mut stream, nominal, params);
            }
        }
    }

    /// Recomputes derived columns of a lane group; `start` when what is drawn once may be new.
    pub fn finish(&self, start: bool, physics: &Physics, params: &mut Params<Lane>) {
        if self.draws.is_empty() {
            return;
        }
        params.mix_friction(physics.model());
        if self.set0_episode || (start && self.set0_start) {
            physics.set0(params);
        }
    }
}

impl Draw {
    fn sample(&self, stream: &mut Stream) -> (f64, f64) {
        let scale = stream.uniform(self.scale[0], self.scale[1]);
        (f64::from(scale), f64::from(stream.uniform(self.add[0], self.add[1])))
    }

    /// The model's own value.
    fn restore(&self, i: usize, lane: usize, nominal: &Params<f64>, params: &mut Params<Lane>) {
        match self.what {
            Quantity::Mass => {
                params.body_mass[i].set(lane, nominal.body_mass[i]);
                for k in 0..6 {
                    params.body_inertia[i][k].set(lane, nominal.body_inertia[i][k]);
                }
            }
            Quantity::Com => (0..3).for_each(|k| params.body_ipos[i][k].set(lane, nominal.body_ipos[i][k])),
            Quantity::Friction => params.geom_friction[i][0].set(lane, nominal.geom_friction[i][0]),
            Quantity::Armature => params.dof_armature[i].set(lane, nominal.dof_armature[i]),
            Quantity::Damping => params.dof_damping[i].set(lane, nominal.dof_damping[i]),
            Quantity::Frictionloss => params.dof_frictionloss[i].set(lane, nominal.dof_frictionloss[i]),
            Quantity::Kp | Quantity::Kd => {
                params.actuator_gain[i].set(lane, nominal.actuator_gain[i]);
                (0..3).for_each(|k| params.actuator_bias[i][k].set(lane, nominal.actuator_bias[i][k]));
            }
            Quantity::Gear => params.actuator_gear[i].set(lane, nominal.actuator_gear[i]),
            Quantity::JointOffset => params.qpos0[i].set(lane, nominal.qpos0[i]),
            Quantity::Gravity => (0..3).for_each(|k| params.gravity[k].set(lane, nominal.gravity[k])),
        }
    }

    /// The present value times `scale` plus `add`, kept where the dynamics exist.
    fn change(
        &self,
        i: usize,
        lane: usize,
        scale: f64,
        add: f64,
        stream: &mut Stream,
        nominal: &Params<f64>,
        params: &mut Params<Lane>,
    ) {
        let update = |column: &mut Lane, least: f64| column.set(lane, (column.get(lane) * scale + add).max(least));
        match self.what {
            Quantity::Mass => {
                // At least a twentieth of the mass stays, whatever is subtracted; the inertia keeps its shape.
                let own = nominal.body_mass[i];
                update(&mut params.body_mass[i], 0.05 * own);
                let ratio = params.body_mass[i].get(lane) / own;
                for k in 0..6 {
                    params.body_inertia[i][k].set(lane, nominal.body_inertia[i][k] * ratio);
                }
            }
            Quantity::Com => {
                // Each axis has its own draw; the one already made serves x.
                let shift = [add, self.sample(stream).1, self.sample(stream).1];
                for k in 0..3 {
                    let column = &mut params.body_ipos[i][k];
                    column.set(lane, column.get(lane) + shift[k]);
                }
            }
            Quantity::Friction => update(&mut params.geom_friction[i][0], 1e-3),
            Quantity::Armature => update(&mut params.dof_armature[i], 0.0),
            Quantity::Damping => update(&mut params.dof_damping[i], 0.0),
            Quantity::Frictionloss => update(&mut params.dof_frictionloss[i], 0.0),
            Quantity::Kp => {
                let before = params.actuator_gain[i].get(lane);
                update(&mut params.actuator_gain[i], 0.0);
                // A position actuator's stiffness (bias[1] = -kp) follows its gain.
                let bias = &mut params.actuator_bias[i][1];
                if before != 0.0 {
                    bias.set(lane, bias.get(lane) * params.actuator_gain[i].get(lane) / before);
                }
            }
            Quantity::Kd => {
                let bias = &mut params.actuator_bias[i][2];
                bias.set(lane, (bias.get(lane) * scale - add).min(0.0));
            }
            Quantity::Gear => {
                let gear = &mut params.actuator_gear[i];
                gear.set(lane, gear.get(lane) * scale + add);
            }
            Quantity::JointOffset => {
                let q = &mut params.qpos0[i];
                q.set(lane, q.get(lane) + add);
            }
            Quantity::Gravity => {
                for k in 0..3 {
                    let g = &mut params.gravity[k];
                    g.set(lane, g.get(lane) * scale + if k == 2 { add } else { 0.0 });
                }
            }
        }
    }
}

/// What `on` names, as indices of the parameter's columns.
fn targets(table: &Randomize, model: &Model, source: &Source) -> Result<Vec<usize>, EnvError> {
    let all: Vec<(&str, usize)> = match table.what {
        Quantity::Mass | Quantity::Com => {
            let moving = model.bodies.iter().enumerate().skip(1).filter(|(_, b)| b.mass > 0.0);
            moving.map(|(i, b)| (b.name.as_str(), i)).collect()
        }
        Quantity::Friction => model.geoms.iter().enumerate().map(|(i, g)| (g.name.as_str(), i)).collect(),
        Quantity::Armature | Quantity::Damping | Quantity::Frictionloss => {
            let driven = model.dofs.iter().enumerate();
            driven.map(|(i, d)| (model.joints[d.joint].name.as_str(), i)).filter(|(_, i)| !free(model, *i)).collect()
        }
        Quantity::Kp | Quantity::Kd | Quantity::Gear => {
            model.actuators.iter().enumerate().map(|(i, a)| (a.name.as_str(), i)).collect()
        }
        Quantity::JointOffset => {
            let actuated = model.actuators.iter().map(|a| &model.joints[a.joint]);
            actuated.map(|j| (j.name.as_str(), j.qposadr)).collect()
        }
        Quantity::Gravity => vec![("", 0)],
    };
    if table.on.is_empty() {
        return Ok(all.into_iter().map(|(_, i)| i).collect());
    }
    let mut chosen = Vec::new();
    for name in &table.on {
        let before = chosen.len();
        chosen.extend(all.iter().filter(|(n, _)| n == name.get_ref()).map(|(_, i)| *i));
        if chosen.len() == before {
            let close = hint(name.get_ref(), all.iter().map(|(n, _)| *n));
            return Err(source.error(name.span(), format!("nothing called `{}` to randomise{close}", name.get_ref())));
        }
    }
    Ok(chosen)
}

/// Does the dof belong to a free joint (which has no drive train to randomise)?
fn free(model: &Model, dof: usize) -> bool {
    model.joints[model.dofs[dof].joint].kind == pavlov_model::JointKind::Free
}
