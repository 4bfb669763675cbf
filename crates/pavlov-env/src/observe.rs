//! The observation: named terms of the task as columns, each with its source in the physics data, noise, clip and scale.
//!
//! A row is `[policy columns | critic-only columns]`, so that what the policy sees is a prefix of what the critic sees.
//! Column value = scale * clip(source + noise). Body velocities are those of the body's origin, turned into body axes:
//! `v = cvel_lin + cvel_ang x (xpos - subtree_com(root))`.

use crate::error::{EnvError, hint};
use crate::parse::Source as TaskText;
use crate::schema::{Observation, Term};
use crate::spec::ObsTerm;
use crate::task::at;
use pavlov_model::{JointKind, Model};
use pavlov_physics::{Data, Params, Real, body_velocity};

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
    /// Does any column need `rne_post_constraint`?
    pub needs_cfrc_ext: bool,
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
        let mut plan = Self { columns: Vec::new(), terms: Vec::new(), policy_dim: 0, needs_cfrc_ext: false };
        for critic in [false, true] {
            for table in tables.iter().filter(|t| t.critic == critic) {
                let sources = sources(table, model, sizes, text)?;
                let clip = match &table.clip {
                    Some(clip) => at(clip, text, "clip", |v| v > 0.0, "a positive number")? as f32,
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
        plan.needs_cfrc_ext = plan.columns.iter().any(|c| matches!(c.source, Source::CfrcExt(..)));
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
            Term::FootContact | Term::FootFriction => "`feet = [...]` at the top of the task",
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

/// A world vector in body axes.
#[inline]
pub(crate) fn local<R: Real>(d: &Data<R>, body: usize, v: [R; 3], k: usize) -> R {
    let m = &d.xmat[body];
    m[0][k] * v[0] + m[1][k] * v[1] + m[2][k] * v[2]
}

/// The value of a column that physics knows; none for what the block keeps.
#[inline]
pub(crate) fn physical<R: Real>(source: Source, model: &Model, params: &Params<R>, d: &Data<R>) -> Option<R> {
    Some(match source {
        Source::Qpos(i, home) => d.state.qpos[i] - R::splat(f64::from(home)),
        Source::Qvel(i) => d.state.qvel[i],
        Source::Sin(i) => Real::sin_cos(d.state.qpos[i]).0,
        Source::Cos(i) => Real::sin_cos(d.state.qpos[i]).1,
        Source::Xpos(b, k) => d.xpos[b][k],
        Source::LocalLin(b, k) => local(d, b, body_velocity(model, d, b).0, k),
        Source::LocalAng(b, k) => local(d, b, [d.cvel[b][0], d.cvel[b][1], d.cvel[b][2]], k),
        Source::Gravity(b, k) => -d.xmat[b][2][k],
        Source::Sensor(i) => d.sensordata[i],
        Source::Cinert(b, k) => d.cinert[b][k],
        Source::Cvel(b, k) => d.cvel[b][k],
        Source::QfrcActuator(i) => d.qfrc_actuator[i],
        Source::CfrcExt(b, k) => d.cfrc_ext[b][k],
        Source::BodyMass(b) => params.body_mass[b],
        Source::GeomFriction(g) => params.geom_friction[g][0],
        Source::Action(_)
        | Source::PrevAction(_)
        | Source::Command(_)
        | Source::FootContact(_)
        | Source::Push(_)
        | Source::Script(_) => return None,
    })
}
