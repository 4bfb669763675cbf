//! What a control step left on the device, as the stages read it: the other side of [`super::env_kernel`].

use super::env::EnvKernel;
use super::spaces::column;
use crate::data::Data;
use crate::math::{V3, cross, sub};
use crate::params::Params;
use crate::physics::Physics;
use crate::record::Rec;

/// Numbers from columns of a buffer, side by side.
fn fill(numbers: &mut [Rec], buffer: &'static str, first: usize) {
    numbers.iter_mut().enumerate().for_each(|(i, x)| *x = Rec::load(column(buffer, first + i)));
}

fn out3(first: usize) -> V3<Rec> {
    [0, 1, 2].map(|k| Rec::load(column("out", first + k)))
}

impl EnvKernel {
    /// A world's parameters, for a function that is being recorded.
    pub fn params(&self, physics: &Physics) -> Params<Rec> {
        let mut params = physics.params::<Rec>();
        for &(field, begin) in &self.varied {
            for (i, x) in params.numbers_mut(field).into_iter().enumerate() {
                *x = Rec::load(column("par", begin + i));
            }
        }
        params
    }

    /// Writes a world's parameters.
    pub fn store_params(&self, params: &mut Params<Rec>) {
        for &(field, begin) in &self.varied {
            for (i, x) in params.numbers_mut(field).into_iter().enumerate() {
                x.store(column("par", begin + i));
            }
        }
    }

    /// A world's data after a control step, for a function that is being recorded: poses and forces of the last evaluation,
    /// coordinates and velocities after it. `cfrc_ext` and `sensors` say whether these are filled; `fresh` whether poses are evaluated
    /// once more.
    pub fn data(
        &self,
        physics: &Physics,
        params: &Params<Rec>,
        cfrc_ext: bool,
        sensors: bool,
        fresh: bool,
    ) -> Data<Rec> {
        let model = physics.model();
        let mut d = physics.data::<Rec>();
        fill(&mut d.state.qpos, "out", self.read.qpos);
        fill(&mut d.state.qvel, "out", self.read.qvel);
        fill(&mut d.qacc, "out", self.read.qacc);
        fill(&mut d.ctrl, "control", 0);
        physics.refresh(params, &mut d);
        physics.actuate(params, &mut d);
        fill(&mut d.state.qpos, "state", 0);
        fill(&mut d.state.qvel, "state", model.nq());
        if cfrc_ext || sensors {
            physics.rne_post_constraint(params, &mut d);
        }
        if sensors {
            physics.sensors(params, &mut d);
        }
        if cfrc_ext {
            for b in 1..model.bodies.len() {
                let (torque, force) = (out3(self.read.wrench + 6 * b), self.body_force(b));
                let com = d.subtree_com[model.bodies[b].root];
                // from the world's origin to the tree's centre of mass
                let moved = sub(torque, cross(com, force));
                d.cfrc_ext[b] = [moved[0], moved[1], moved[2], force[0], force[1], force[2]];
            }
        }
        if fresh {
            physics.refresh(params, &mut d);
        }
        d
    }

    /// Force of a body's contacts, N.
    pub fn body_force(&self, body: usize) -> V3<Rec> {
        out3(self.read.wrench + 6 * body + 3)
    }

    /// 1 where the body touches something.
    pub fn body_touch(&self, body: usize) -> Rec {
        Rec::load(column("out", self.read.touch + body))
    }

    /// Force on a foot, N.
    pub fn foot_force(&self, foot: usize) -> V3<Rec> {
        out3(self.read.foot_force + 3 * foot)
    }

    /// 1 where the foot touches something.
    pub fn foot_touch(&self, foot: usize) -> Rec {
        Rec::load(column("out", self.read.foot_touch + foot))
    }
}
