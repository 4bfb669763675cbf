//! Physical parameters drawn per world into the columns of [`Params`].
//!
//! Value = the model's own * scale + add; entries that touch the same parameter compound. What the mass matrix at `qpos0` decides (`invweight0`) is recomputed after mass, centre of
//! mass, armature or `qpos0` changed (`set0`), and pair frictions after a friction changed.

use crate::error::{EnvError, hint};
use crate::rng::Draw;
use crate::task::text::{TaskText, checked_range};
use pavlov_model::Model;
use pavlov_physics::record::Rec;
use pavlov_physics::{Field, Lane, Params, Physics, Real};
use serde::Deserialize;
use toml::Spanned;

/// `[[randomize]]`: one physical parameter drawn per world: `value = model's * scale + add`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Randomize {
    /// Parameter.
    pub what: Quantity,
    /// Bodies, geoms, joints or actuators by name (as the parameter asks for); all of the robot when omitted.
    #[serde(default)]
    pub on: Vec<Spanned<String>>,
    /// Factor drawn from this range.
    pub scale: Option<Spanned<[f64; 2]>>,
    /// Addition drawn from this range, in the parameter's unit.
    pub add: Option<Spanned<[f64; 2]>>,
    /// One draw for all that `on` names, instead of one for each.
    #[serde(default)]
    pub shared: bool,
    /// When drawn.
    #[serde(default)]
    pub every: Every,
}

/// When a parameter is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Once, when the world is made.
    Start,
    /// Anew in each episode.
    #[default]
    Episode,
}

/// Physical parameters that can be randomised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Body mass, kg; the inertia is scaled with it.
    Mass,
    /// Rotational inertia of a body, the mass as it is (`scale` only). It stands after `mass`, which sets the inertia too.
    Inertia,
    /// Centre of mass of a body, m; each axis drawn by itself (`add` only).
    Com,
    /// Sliding friction of a geom.
    Friction,
    /// Joint armature.
    Armature,
    /// Joint damping.
    Damping,
    /// Dry friction of a joint.
    Frictionloss,
    /// Gain of an actuator (of a position actuator also its stiffness bias).
    Kp,
    /// Velocity feedback of an actuator.
    Kd,
    /// Strength of an actuator (gear).
    Gear,
    /// Reference position of a joint (`qpos0`), rad or m (`add` only).
    JointOffset,
    /// Gravity; takes no `on`.
    Gravity,
}

/// One checked `[[randomize]]`.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
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
    pub draws: Vec<Entry>,
    /// Is anything drawn anew in each episode?
    pub per_episode: bool,
    pub set0_start: bool,
    pub set0_episode: bool,
}

impl RandomPlan {
    /// Checks the tables against the robot.
    pub fn new(tables: &[Randomize], model: &Model, text: &TaskText) -> Result<Self, EnvError> {
        let mut plan = Self::default();
        for table in tables {
            let range = |r: &Option<Spanned<[f64; 2]>>, none: f64| -> Result<[f32; 2], EnvError> {
                let bounds = r.as_ref().map(|r| checked_range(r, text, "a range of randomisation")).transpose()?;
                Ok(bounds.unwrap_or([none, none]).map(|v| v as f32))
            };
            let draw = Entry {
                what: table.what,
                targets: targets(table, model, text)?,
                scale: range(&table.scale, 1.0)?,
                add: range(&table.add, 0.0)?,
                shared: table.shared,
                every: table.every,
            };
            // What must stay positive for the dynamics to exist.
            let positive = matches!(table.what, Quantity::Mass | Quantity::Inertia | Quantity::Friction);
            if let Some(scale) = table.scale.as_ref().filter(|_| positive && draw.scale[0] <= 0.0) {
                return Err(text.error(scale.span(), format!("a factor down to {}: expected above 0", draw.scale[0])));
            }
            if let (Some(scale), Quantity::Com | Quantity::JointOffset) = (&table.scale, table.what) {
                return Err(text.error(scale.span(), "`scale` has no meaning here: use `add`"));
            }
            if let (Some(add), Quantity::Inertia) = (&table.add, table.what) {
                return Err(text.error(add.span(), "`add` has no meaning here: use `scale`"));
            }
            if table.what == Quantity::Mass && plan.draws.iter().any(|d: &Entry| d.what == Quantity::Inertia) {
                let message =
                    format!("{}: `mass` after `inertia` would set it anew: put `mass` first", text.path.display());
                return Err(EnvError::Usage(message));
            }
            let set0 = matches!(
                table.what,
                Quantity::Mass | Quantity::Inertia | Quantity::Com | Quantity::Armature | Quantity::JointOffset
            );
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

    /// Draws for one world. Entries that touch the same parameter compound, in file order; those drawn once give the same numbers
    /// again. `open` gives the stream of an entry, by whether it is drawn in every episode; `nominal` holds the model's own values.
    pub fn apply<D: Draw, A: At<D::N>>(
        &self,
        open: impl Fn(bool, u32) -> D,
        at: A,
        nominal: &Params<f64>,
        params: &mut Params<A::Column>,
    ) {
        for draw in &self.draws {
            for &target in &draw.targets {
                draw.restore(target, at, nominal, params);
            }
        }
        for (i, draw) in self.draws.iter().enumerate() {
            let mut stream = open(draw.every == Every::Episode, i as u32);
            let shared = draw.sample(&mut stream);
            for &target in &draw.targets {
                let (scale, add) = if draw.shared { shared } else { draw.sample(&mut stream) };
                draw.change(target, at, scale, add, &mut stream, nominal, params);
            }
        }
    }

    /// Parameters that differ between worlds, with what follows from them.
    pub fn fields(&self) -> Vec<Field> {
        let mut fields: Vec<Field> = self.draws.iter().flat_map(|d| d.fields().iter().copied()).collect();
        if self.set0_start || self.set0_episode {
            fields.extend([Field::BodyInvweight0, Field::DofInvweight0, Field::Meaninertia]);
        }
        if fields.contains(&Field::GeomFriction) {
            fields.push(Field::PairFriction);
        }
        fields.sort();
        fields.dedup();
        fields
    }

    /// Recomputes derived columns of a lane group; `start` when what is drawn once may be new.
    pub fn finish<R: Real>(&self, start: bool, physics: &Physics, params: &mut Params<R>) {
        if self.draws.is_empty() {
            return;
        }
        params.mix_friction(physics.model());
        if self.set0_episode || (start && self.set0_start) {
            physics.set0(params);
        }
    }
}

/// How one world's value of a parameter is reached.
pub(crate) trait At<N: Real>: Copy {
    /// A column of the parameters.
    type Column: Real;
    /// The value.
    fn get(self, column: Self::Column) -> N;
    /// Changes it.
    fn set(self, column: &mut Self::Column, value: N);
}

/// A world of a lane group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneAt(pub usize);

impl At<f64> for LaneAt {
    type Column = Lane;
    fn get(self, column: Lane) -> f64 {
        column.get(self.0)
    }
    fn set(self, column: &mut Lane, value: f64) {
        column.set(self.0, value);
    }
}

/// A recorded parameter is its own value.
#[derive(Clone, Copy)]
pub(crate) struct Itself;

impl At<Rec> for Itself {
    type Column = Rec;
    fn get(self, column: Rec) -> Rec {
        column
    }
    fn set(self, column: &mut Rec, value: Rec) {
        *column = value;
    }
}

impl Entry {
    fn sample<D: Draw>(&self, stream: &mut D) -> (D::N, D::N) {
        let scale = stream.uniform(self.scale[0], self.scale[1]);
        (scale, stream.uniform(self.add[0], self.add[1]))
    }

    /// The fields of [`Params`] that it changes, without what follows from them.
    fn fields(&self) -> &'static [Field] {
        match self.what {
            Quantity::Mass => &[Field::BodyMass, Field::BodyInertia],
            Quantity::Inertia => &[Field::BodyInertia],
            Quantity::Com => &[Field::BodyIpos],
            Quantity::Friction => &[Field::GeomFriction],
            Quantity::Armature => &[Field::DofArmature],
            Quantity::Damping => &[Field::DofDamping],
            Quantity::Frictionloss => &[Field::DofFrictionloss],
            Quantity::Kp | Quantity::Kd => &[Field::ActuatorGain, Field::ActuatorBias],
            Quantity::Gear => &[Field::ActuatorGear],
            Quantity::JointOffset => &[Field::Qpos0],
            Quantity::Gravity => &[Field::Gravity],
        }
    }

    /// The model's own value.
    fn restore<N: Real, A: At<N>>(&self, i: usize, at: A, nominal: &Params<f64>, params: &mut Params<A::Column>) {
        let put = |column: &mut A::Column, value: f64| at.set(column, N::splat(value));
        match self.what {
            Quantity::Mass => {
                put(&mut params.body_mass[i], nominal.body_mass[i]);
                for k in 0..6 {
                    put(&mut params.body_inertia[i][k], nominal.body_inertia[i][k]);
                }
            }
            Quantity::Inertia => {
                (0..6).for_each(|k| put(&mut params.body_inertia[i][k], nominal.body_inertia[i][k]));
            }
            Quantity::Com => (0..3).for_each(|k| put(&mut params.body_ipos[i][k], nominal.body_ipos[i][k])),
            Quantity::Friction => put(&mut params.geom_friction[i][0], nominal.geom_friction[i][0]),
            Quantity::Armature => put(&mut params.dof_armature[i], nominal.dof_armature[i]),
            Quantity::Damping => put(&mut params.dof_damping[i], nominal.dof_damping[i]),
            Quantity::Frictionloss => put(&mut params.dof_frictionloss[i], nominal.dof_frictionloss[i]),
            Quantity::Kp | Quantity::Kd => {
                put(&mut params.actuator_gain[i], nominal.actuator_gain[i]);
                (0..3).for_each(|k| put(&mut params.actuator_bias[i][k], nominal.actuator_bias[i][k]));
            }
            Quantity::Gear => put(&mut params.actuator_gear[i], nominal.actuator_gear[i]),
            Quantity::JointOffset => put(&mut params.qpos0[i], nominal.qpos0[i]),
            Quantity::Gravity => (0..3).for_each(|k| put(&mut params.gravity[k], nominal.gravity[k])),
        }
    }

    /// The present value times `scale` plus `add`, kept where the dynamics exist.
    fn change<D: Draw, A: At<D::N>>(
        &self,
        i: usize,
        at: A,
        scale: D::N,
        add: D::N,
        stream: &mut D,
        nominal: &Params<f64>,
        params: &mut Params<A::Column>,
    ) {
        let splat = |v: f64| D::N::splat(v);
        let update = |column: &mut A::Column, least: f64| {
            at.set(column, (at.get(*column) * scale + add).max(splat(least)));
        };
        match self.what {
            Quantity::Mass => {
                // At least a twentieth of the mass stays, whatever is subtracted; the inertia keeps its shape.
                let own = nominal.body_mass[i];
                update(&mut params.body_mass[i], 0.05 * own);
                let ratio = at.get(params.body_mass[i]) / splat(own);
                for k in 0..6 {
                    at.set(&mut params.body_inertia[i][k], splat(nominal.body_inertia[i][k]) * ratio);
                }
            }
            Quantity::Inertia => {
                for column in &mut params.body_inertia[i] {
                    at.set(column, at.get(*column) * scale);
                }
            }
            Quantity::Com => {
                // Each axis has its own draw; the one already made serves x.
                let shift = [add, self.sample(stream).1, self.sample(stream).1];
                for k in 0..3 {
                    let column = &mut params.body_ipos[i][k];
                    at.set(column, at.get(*column) + shift[k]);
                }
            }
            Quantity::Friction => update(&mut params.geom_friction[i][0], 1e-3),
            Quantity::Armature => update(&mut params.dof_armature[i], 0.0),
            Quantity::Damping => update(&mut params.dof_damping[i], 0.0),
            Quantity::Frictionloss => update(&mut params.dof_frictionloss[i], 0.0),
            Quantity::Kp => {
                let before = at.get(params.actuator_gain[i]);
                update(&mut params.actuator_gain[i], 0.0);
                // A position actuator's stiffness (bias[1] = -kp) follows its gain.
                let bias = &mut params.actuator_bias[i][1];
                let none = before.abs().le(D::N::ZERO);
                let ratio = at.get(params.actuator_gain[i]) / D::N::select(none, D::N::ONE, before);
                at.set(bias, at.get(*bias) * D::N::select(none, D::N::ONE, ratio));
            }
            Quantity::Kd => {
                let bias = &mut params.actuator_bias[i][2];
                at.set(bias, (at.get(*bias) * scale - add).min(D::N::ZERO));
            }
            Quantity::Gear => {
                let gear = &mut params.actuator_gear[i];
                at.set(gear, at.get(*gear) * scale + add);
            }
            Quantity::JointOffset => {
                let q = &mut params.qpos0[i];
                at.set(q, at.get(*q) + add);
            }
            Quantity::Gravity => {
                for k in 0..3 {
                    let g = &mut params.gravity[k];
                    let lift = if k == 2 { add } else { D::N::ZERO };
                    at.set(g, at.get(*g) * scale + lift);
                }
            }
        }
    }
}

/// What `on` names, as indices of the parameter's columns.
fn targets(table: &Randomize, model: &Model, text: &TaskText) -> Result<Vec<usize>, EnvError> {
    let all: Vec<(&str, usize)> = match table.what {
        Quantity::Mass | Quantity::Inertia | Quantity::Com => {
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
            return Err(text.error(name.span(), format!("nothing called `{}` to randomise{close}", name.get_ref())));
        }
    }
    Ok(chosen)
}

/// Does the dof belong to a free joint (which has no drive train to randomise)?
fn free(model: &Model, dof: usize) -> bool {
    model.joints[model.dofs[dof].joint].kind == pavlov_model::JointKind::Free
}
