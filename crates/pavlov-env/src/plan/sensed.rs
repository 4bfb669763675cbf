//! What can be read of physics after a step: the state and what follows from it, and what only the contacts know.
//!
//! Forces in N, world axes.

use pavlov_physics::{Data, Params, Physics, Real, contact_wrench};
use pavlov_script::Channel;

/// What must be evaluated besides the physics step.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Needs {
    /// `cfrc_ext`.
    pub cfrc_ext: bool,
    /// `sensordata`.
    pub sensors: bool,
    /// Contact forces on whole bodies.
    pub body_force: bool,
    /// Which bodies touch something.
    pub body_touch: bool,
    /// Forces on the feet, and which of them touch something.
    pub feet: bool,
}

impl Needs {
    /// What scripts ask for that read these channels.
    pub fn of_channels(channels: &[Channel]) -> Self {
        let any = |wanted: fn(&Channel) -> bool| channels.iter().any(wanted);
        Self {
            cfrc_ext: any(|c| matches!(c, Channel::CfrcExt(_))),
            sensors: any(|c| matches!(c, Channel::Sensor { .. })),
            body_force: any(|c| matches!(c, Channel::BodyForce { .. })),
            body_touch: any(|c| matches!(c, Channel::BodyContact(_))),
            feet: any(|c| matches!(c, Channel::FootForce { .. } | Channel::FootContact(_))),
        }
    }

    /// What either asks for.
    pub fn or(self, other: Self) -> Self {
        Self {
            cfrc_ext: self.cfrc_ext | other.cfrc_ext,
            sensors: self.sensors | other.sensors,
            body_force: self.body_force | other.body_force,
            body_touch: self.body_touch | other.body_touch,
            feet: self.feet | other.feet,
        }
    }
}

/// What only the contacts know.
#[derive(Debug, Clone)]
pub(crate) struct Touch<R> {
    /// Force on each body.
    pub body_force: Vec<[R; 3]>,
    /// 1 for each body that touches something.
    pub body: Vec<R>,
    /// Force on each foot's geom.
    pub foot_force: Vec<[R; 3]>,
    /// 1 for each foot that touches something.
    pub foot: Vec<R>,
}

/// A world, or worlds side by side, to be read.
pub(crate) struct Sensed<'a, R: Real> {
    pub physics: &'a Physics,
    /// Geoms of the feet.
    pub feet: &'a [usize],
    pub params: &'a Params<R>,
    pub data: &'a Data<R>,
    pub touch: &'a Touch<R>,
}

impl<R: Real> Touch<R> {
    /// Nothing touches anything.
    pub fn new(bodies: usize, feet: usize) -> Self {
        Self {
            body_force: vec![[R::ZERO; 3]; bodies],
            body: vec![R::ZERO; bodies],
            foot_force: vec![[R::ZERO; 3]; feet],
            foot: vec![R::ZERO; feet],
        }
    }

    /// Reads the contacts of the last evaluation, as far as somebody wants to know.
    pub fn read(&mut self, needs: Needs, physics: &Physics, feet: &[usize], data: &Data<R>) {
        if needs.body_force {
            physics.contact_forces(data, &mut self.body_force);
        }
        if needs.body_touch {
            self.body.fill(R::ZERO);
            for c in data.contacts.iter() {
                let pair = &physics.topology().pairs[c.pair];
                let touches = R::ONE.masked(c.active);
                for body in [pair.body1, pair.body2] {
                    self.body[body] = self.body[body].max(touches);
                }
            }
        }
        if needs.feet {
            for (foot, &geom) in feet.iter().enumerate() {
                (self.foot_force[foot], self.foot[foot]) = foot_contact(physics, data, geom);
            }
        }
    }
}

/// Force on a geom, and 1 where it touches something.
fn foot_contact<R: Real>(physics: &Physics, data: &Data<R>, geom: usize) -> ([R; 3], R) {
    let pairs = &physics.model().pairs;
    let mut force = [R::ZERO; 3];
    let mut touch = R::ZERO;
    for c in data.contacts.iter() {
        let pair = &pairs[c.pair];
        let sign = match (pair.geom1 == geom, pair.geom2 == geom) {
            (true, _) => -R::ONE,
            (_, true) => R::ONE,
            _ => continue,
        };
        let wrench = contact_wrench(c).0;
        for k in 0..3 {
            force[k] += sign * wrench[k].masked(c.active);
        }
        touch = touch.max(R::ONE.masked(c.active));
    }
    (force, touch)
}
