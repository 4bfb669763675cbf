//! Contacts of one world, for arrows in the scene: a forward evaluation in `f64` of the state it is in. m, N, world
//! axes.

use crate::live::frame::ContactShown;
use pavlov_env::{EnvError, Profile, Task};
use pavlov_physics::{Data, Params, Physics, contact_wrench};

/// Evaluates states of one robot.
#[derive(Debug)]
pub(crate) struct Touch {
    physics: Physics,
    params: Params<f64>,
    data: Data<f64>,
}

impl Touch {
    pub fn new(task: &Task, profile: Profile) -> Result<Self, EnvError> {
        let (physics, _) = task.physics(profile)?;
        Ok(Self { params: physics.params(), data: physics.data(), physics })
    }

    /// Adds the contacts of a state to `out`.
    pub fn contacts(
        &mut self,
        world: usize,
        qpos: &[f32],
        qvel: &[f32],
        ctrl: impl Iterator<Item = f32>,
        out: &mut Vec<ContactShown>,
    ) {
        let d = &mut self.data;
        let wide = |to: &mut [f64], from: &[f32]| to.iter_mut().zip(from).for_each(|(t, &f)| *t = f64::from(f));
        wide(&mut d.state.qpos, qpos);
        wide(&mut d.state.qvel, qvel);
        d.ctrl.iter_mut().zip(ctrl).for_each(|(t, c)| *t = f64::from(c));
        self.physics.forward(&self.params, d);
        for c in d.contacts.iter().filter(|c| c.active) {
            let force = contact_wrench(c).0.map(|f| f as f32);
            out.push(ContactShown { world, position: c.pos.map(|p| p as f32), force });
        }
    }
}
