//! The observation: named terms of the task as columns, each with its source in the physics data, noise, clip and scale.
//!
//! A row is `[policy columns | critic-only columns]`, so that what the policy sees is a prefix of what the critic sees.
//! Column value = scale * clip(source + noise). Body velocities are those of the body's origin, turned into body axes:
//! `v = cvel_lin + cvel_ang x (xpos - subtree_com(root))`.

use super::sensed::Sensed;
use crate::error::{EnvError, hint};
use crate::options::ObsTerm;
use crate::task::text::{TaskText, checked};
use pavlov_model::{JointKind, Model};
use pavlov_physics::{Data, Real, body_velocity};
use serde::Deserialize;
use toml::Spanned;

/// `[[observation]]`: one named term.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// What is observed.
    pub term: Spanned<Term>,
    /// Name in listings and in `policy.json`; the term's own when omitted.
    pub name: Option<String>,
    /// Body (`gravity`, `linvel`, `angvel`, `body_pos`, `height`): the first moving body when omitted. A sensor's name for `sensor`.
    pub of: Option<Spanned<String>>,
    /// First element of the slice (from 0).
    pub from: Option<Spanned<usize>>,
    /// One past the last element of the slice.
    pub to: Option<Spanned<usize>>,
    /// Factor.
    #[serde(default = "one")]
    pub scale: f64,
    /// Clip to ±this, before the factor and after the noise.
    pub clip: Option<Spanned<f64>>,
    /// Uniform noise of ±this, in the term's own unit.
    #[serde(default)]
    pub noise: f64,
    /// Seen by the critic only (privileged).
    #[serde(default)]
    pub critic: bool,
}

fn one() -> f64 {
    1.0
}

/// Observation terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Term {
    /// Coordinates.
    Qpos,
    /// Velocities.
    Qvel,
    /// Positions of the actuated joints less the home pose, in actuator order.
    JointPos,
    /// Velocities of the actuated joints, in actuator order.
    JointVel,
    /// Sine and cosine of the hinge coordinate `from`.. `to` of qpos.
    SinCos,
    /// Direction of gravity in the axes of the body `of`.
    Gravity,
    /// Linear velocity of the body's origin in its own axes, m/s.
    Linvel,
    /// Angular velocity of the body in its own axes, rad/s.
    Angvel,
    /// Position of the body's origin, world, m.
    BodyPos,
    /// Height of the body's origin, m.
    Height,
    /// The last action as it was given.
    Action,
    /// The action before the last.
    PrevAction,
    /// Command values.
    Command,
    /// 1 for a foot in contact, else 0.
    FootContact,
    /// Force on each foot, world axes, N (privileged).
    FootForce,
    /// A sensor of the robot file.
    Sensor,
    /// `cinert` of every body but the world (10 each), Gymnasium's Humanoid.
    Cinert,
    /// `cvel` of every body but the world (6 each).
    Cvel,
    /// Actuator force on each dof.
    QfrcActuator,
    /// `cfrc_ext` of every body but the world (6 each).
    CfrcExt,
    /// Mass of every body but the world, as randomised (privileged).
    BodyMass,
    /// Sliding friction of each foot against the ground, as randomised (privileged).
    FootFriction,
    /// Linear velocity given by the last push, world x and y, m/s (privileged).
    Push,
    /// What the task script's `observation(s)` returns.
    Script,
}

/// Where a column comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Source {
    /// qpos[i] - home.
    Qpos(usize, f32),
    Qvel(usize),
    Sin(usize),
    Cos(usize),
    /// Position of a body's origin, world.
    Xpos(usize, usize),
    /// Velocity of a body's origin, its own axes.
    LocalLin(usize, usize),
    LocalAng(usize, usize),
    /// Unit vector of gravity in body axes.
    Gravity(usize, usize),
    Sensor(usize),
    Cinert(usize, usize),
    Cvel(usize, usize),
    QfrcActuator(usize),
    CfrcExt(usize, usize),
    BodyMass(usize),
    GeomFriction(usize),
    /// Columns the block keeps per world.
    Action(usize),
    PrevAction(usize),
    Command(usize),
    FootContact(usize),
    FootForce(usize, usize),
    Push(usize),
    /// Output of the task script's `observation`.
    Script(usize),
}

/// One column of the row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Column {
    pub source: Source,
    pub noise: f32,
    pub clip: f32,
    pub scale: f32,
}

/// All columns, policy first.
#[derive(Debug, Clone)]
pub(crate) struct ObsPlan {
    pub columns: Vec<Column>,
    pub terms: Vec<ObsTerm>,
    /// Columns seen by the policy.
    pub policy_dim: usize,
}

/// Sizes that the robot file does not know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes<'a> {
    pub feet: &'a [usize],
    pub commands: usize,
    pub script_outputs: usize,
    pub home: &'a [f64],
}

/// An observation may have this many columns at most.
const MAX_COLUMNS: usize = 1 << 16;

impl ObsPlan {
    /// Checks `[[observation]]` against the robot.
    pub fn new(tables: &[Observation], model: &Model, sizes: Sizes<'_>, text: &TaskText) -> Result<Self, EnvError> {
        let mut plan = Self { columns: Vec::new(), terms: Vec::new(), policy_dim: 0 };
        for critic in [false, true] {
            for table in tables.iter().filter(|t| t.critic == critic) {
                let sources = sources(table, model, sizes, text)?;
                let clip = match &table.clip {
                    Some(clip) => checked(clip, text, "clip", |v| v > 0.0, "a positive number")? as f32,
                    None => f32::INFINITY,
                };
                if !(table.noise.is_finite() && table.noise >= 0.0 && table.scale.is_finite()) {
                    let (noise, scale) = (table.noise, table.scale);
                    let message =
                        format!("noise {noise}, scale {scale}: expected noise of 0 or more and a finite scale");
                    return Err(text.error(table.term.span(), message));
                }
                let from = plan.columns.len();
                let column = |source| Column { source, noise: table.noise as f32, clip, scale: table.scale as f32 };
                plan.columns.extend(sources.into_iter().map(column));
                if plan.columns.len() > MAX_COLUMNS {
                    let message = format!("more than {MAX_COLUMNS} observation columns");
                    return Err(text.error(table.term.span(), message));
                }
                let own = || text.text.get(table.term.span()).unwrap_or("term").trim_matches(['"', '\'']).to_string();
                let name = table.name.clone().unwrap_or_else(own);
                plan.terms.push(ObsTerm { name, columns: from..plan.columns.len(), critic });
            }
            if !critic {
                plan.policy_dim = plan.columns.len();
            }
        }
        if plan.policy_dim == 0 {
            return Err(EnvError::Usage(format!(
                "{}: the policy observes nothing: add an [[observation]] without `critic = true`",
                text.path.display()
            )));
        }
        Ok(plan)
    }
}

/// The columns of one term.
fn sources(table: &Observation, model: &Model, sizes: Sizes<'_>, text: &TaskText) -> Result<Vec<Source>, EnvError> {
    let term = *table.term.get_ref();
    let of_body = matches!(term, Term::Gravity | Term::Linvel | Term::Angvel | Term::BodyPos | Term::Height);
    let body = match &table.of {
        Some(name) if of_body => {
            let found = model.body(name.get_ref()).filter(|b| *b > 0);
            found.ok_or_else(|| {
                let close = hint(name.get_ref(), model.bodies.iter().map(|b| b.name.as_str()));
                text.error(name.span(), format!("no body `{}`{close}", name.get_ref()))
            })?
        }
        Some(name) if term != Term::Sensor => {
            return Err(text.error(name.span(), "`of` has no meaning for this term: it is for body terms and `sensor`"));
        }
        _ => model.joints.first().map_or(1, |j| j.body),
    };
    let actuated = || model.actuators.iter().map(|a| &model.joints[a.joint]);
    let bodies = || 1..model.bodies.len();
    let each = |n: usize, make: fn(usize, usize) -> Source| bodies().flat_map(move |b| (0..n).map(move |k| make(b, k)));
    let all: Vec<Source> = match term {
        Term::Qpos => (0..model.nq()).map(|i| Source::Qpos(i, 0.0)).collect(),
        Term::Qvel => (0..model.nv()).map(Source::Qvel).collect(),
        Term::JointPos => actuated().map(|j| Source::Qpos(j.qposadr, sizes.home[j.qposadr] as f32)).collect(),
        Term::JointVel => actuated().map(|j| Source::Qvel(j.dofadr)).collect(),
        // Of every coordinate; the slice below is in coordinates, and each gives a pair.
        Term::SinCos => (0..model.nq()).map(Source::Sin).collect(),
        Term::Gravity => (0..3).map(|k| Source::Gravity(body, k)).collect(),
        Term::Linvel => (0..3).map(|k| Source::LocalLin(body, k)).collect(),
        Term::Angvel => (0..3).map(|k| Source::LocalAng(body, k)).collect(),
        Term::BodyPos => (0..3).map(|k| Source::Xpos(body, k)).collect(),
        Term::Height => vec![Source::Xpos(body, 2)],
        Term::Action => (0..model.nu()).map(Source::Action).collect(),
        Term::PrevAction => (0..model.nu()).map(Source::PrevAction).collect(),
        Term::Command => (0..sizes.commands).map(Source::Command).collect(),
        Term::FootContact => (0..sizes.feet.len()).map(Source::FootContact).collect(),
        Term::FootForce => (0..sizes.feet.len()).flat_map(|f| (0..3).map(move |k| Source::FootForce(f, k))).collect(),
        Term::Sensor => {
            let Some(name) = &table.of else {
                return Err(text.error(table.term.span(), "which sensor? Name it with `of = \"…\"`"));
            };
            let mut adr = 0;
            let mut found = None;
            for sensor in &model.sensors {
                if sensor.name == *name.get_ref() {
                    found = Some(adr..adr + sensor.dim);
                }
                adr += sensor.dim;
            }
            let close = || hint(name.get_ref(), model.sensors.iter().map(|s| s.name.as_str()));
            let range =
                found.ok_or_else(|| text.error(name.span(), format!("no sensor `{}`{}", name.get_ref(), close())))?;
            range.map(Source::Sensor).collect()
        }
        Term::Cinert => each(10, Source::Cinert).collect(),
        Term::Cvel => each(6, Source::Cvel).collect(),
        Term::QfrcActuator => (0..model.nv()).map(Source::QfrcActuator).collect(),
        Term::CfrcExt => each(6, Source::CfrcExt).collect(),
        Term::BodyMass => bodies().map(Source::BodyMass).collect(),
        Term::FootFriction => sizes.feet.iter().map(|&g| Source::GeomFriction(g)).collect(),
        Term::Push => (0..2).map(Source::Push).collect(),
        Term::Script => (0..sizes.script_outputs).map(Source::Script).collect(),
    };
    if all.is_empty() {
        let needs = match term {
            Term::Command => "a [command] table",
            Term::FootContact | Term::FootForce | Term::FootFriction => "`feet = [...]` at the top of the task",
            Term::Script => "`fn observation(s)` in the task script",
            _ => "a robot with joints and actuators",
        };
        return Err(text.error(table.term.span(), format!("this term has no columns here: it needs {needs}")));
    }
    let from = table.from.as_ref().map_or(0, |f| *f.get_ref());
    let to = table.to.as_ref().map_or(all.len(), |t| *t.get_ref());
    if from >= to || to > all.len() {
        let span = table.to.as_ref().or(table.from.as_ref()).map_or(table.term.span(), |s| s.span());
        let message = format!("elements {from} to {to} of {}: expected from < to <= {}", all.len(), all.len());
        return Err(text.error(span, message));
    }
    let slice = &all[from..to];
    if term == Term::SinCos {
        let hinge = |q: usize| model.joints.iter().any(|j| j.qposadr == q && j.kind == JointKind::Hinge);
        let mut pairs = Vec::with_capacity(2 * slice.len());
        for source in slice {
            let Source::Sin(q) = *source else { continue };
            if !hinge(q) {
                let message = format!("coordinate {q} is no hinge: choose hinges with `from` and `to`");
                return Err(text.error(table.term.span(), message));
            }
            pairs.extend([Source::Sin(q), Source::Cos(q)]);
        }
        return Ok(pairs);
    }
    Ok(slice.to_vec())
}

impl Source {
    /// Is it physics that knows the column, rather than the environment?
    pub fn is_physical(self) -> bool {
        !matches!(self, Self::Action(_) | Self::PrevAction(_) | Self::Command(_) | Self::Push(_) | Self::Script(_))
    }

    /// The value of a column that physics knows; zero for what the environment keeps.
    #[inline]
    pub fn value<R: Real>(self, sensed: &Sensed<'_, R>) -> R {
        let (model, d) = (&**sensed.physics.model(), sensed.data);
        match self {
            Self::Qpos(i, home) => d.state.qpos[i] - R::splat(f64::from(home)),
            Self::Qvel(i) => d.state.qvel[i],
            Self::Sin(i) => Real::sin_cos(d.state.qpos[i]).0,
            Self::Cos(i) => Real::sin_cos(d.state.qpos[i]).1,
            Self::Xpos(b, k) => d.xpos[b][k],
            Self::LocalLin(b, k) => local(d, b, body_velocity(model, d, b).0, k),
            Self::LocalAng(b, k) => local(d, b, [d.cvel[b][0], d.cvel[b][1], d.cvel[b][2]], k),
            Self::Gravity(b, k) => -d.xmat[b][2][k],
            Self::Sensor(i) => d.sensordata[i],
            Self::Cinert(b, k) => d.cinert[b][k],
            Self::Cvel(b, k) => d.cvel[b][k],
            Self::QfrcActuator(i) => d.qfrc_actuator[i],
            Self::CfrcExt(b, k) => d.cfrc_ext[b][k],
            Self::BodyMass(b) => sensed.params.body_mass[b],
            Self::GeomFriction(g) => sensed.params.geom_friction[g][0],
            Self::FootContact(foot) => sensed.touch.foot[foot],
            Self::FootForce(foot, k) => sensed.touch.foot_force[foot][k],
            Self::Action(_) | Self::PrevAction(_) | Self::Command(_) | Self::Push(_) | Self::Script(_) => R::ZERO,
        }
    }
}

/// A world vector in body axes.
#[inline]
fn local<R: Real>(d: &Data<R>, body: usize, v: [R; 3], k: usize) -> R {
    let m = &d.xmat[body];
    m[0][k] * v[0] + m[1][k] * v[1] + m[2][k] * v[2]
}
