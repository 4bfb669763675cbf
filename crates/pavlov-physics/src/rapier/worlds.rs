//! Lane groups of an environment on rapier: states and controls out of a [`Data`], results back into it.

use super::contacts::PairContact;
use super::layout::Layout;
use super::scene::{Robot, Scene, Stage};
use crate::backend::{row, set_row};
use crate::data::{Contact, Data};
use crate::math::{M3, add_scaled, cross, dot, normalize};
use crate::params::Params;
use crate::physics::Physics;
use crate::real::{Mask, Real};

/// Rapier scenes that stand in for [`Physics::step`] and [`Physics::forward`].
///
/// After a step `Data` holds what observations, sensors and scripts read: poses and velocities, `qacc` (by difference),
/// actuator forces, contacts with their forces. Mass matrix, bias and constraint rows are not there.
pub struct RapierWorlds {
    robot: Robot,
    /// One for all worlds, or one for each.
    scenes: Vec<Scene>,
    worlds: usize,
    stage: Stage,
    found: Vec<Found>,
}

/// A contact of one world, and its number among those of the pair.
struct Found {
    pair: usize,
    number: usize,
    lane: usize,
    contact: PairContact,
}

impl std::fmt::Debug for RapierWorlds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RapierWorlds").field("scenes", &self.scenes.len()).finish_non_exhaustive()
    }
}

impl RapierWorlds {
    /// `worlds` worlds with the model's own parameters. Only with `own_params` can they be given others, each its own.
    pub fn new(physics: &Physics, worlds: usize, own_params: bool) -> Self {
        let layout = Layout::new(physics.model());
        let robot = Robot { physics: physics.clone(), layout };
        let scenes =
            (0..if own_params { worlds } else { 1 }).map(|_| Scene::new(&robot, robot.physics.params())).collect();
        Self { stage: Stage::new(&robot), robot, scenes, worlds, found: Vec::new() }
    }

    /// Gives a world the parameters of a world of a lane. Lanes beyond the last world are left out.
    ///
    /// # Panics
    /// When the worlds share their parameters.
    pub fn set_params<R: Real>(&mut self, world: usize, params: &Params<R>, lane: usize) {
        assert!(self.scenes.len() == self.worlds, "these worlds share their parameters");
        if world >= self.worlds {
            return;
        }
        self.scenes[world] = Scene::new(&self.robot, params.world(lane));
    }

    /// `count` steps of every world of a lane, of which the first is world `first`.
    pub fn step<R: Real>(&mut self, first: usize, params: &Params<R>, d: &mut Data<R>, count: usize) {
        self.advance(first, params, d, count, true);
    }

    /// What [`RapierWorlds::step`] would find in one step, without making it.
    pub fn forward<R: Real>(&mut self, first: usize, params: &Params<R>, d: &mut Data<R>) {
        self.advance(first, params, d, 1, false);
    }

    fn advance<R: Real>(&mut self, first: usize, params: &Params<R>, d: &mut Data<R>, count: usize, keep: bool) {
        let physics = &self.robot.physics;
        let h = physics.model().opt.timestep;
        self.found.clear();
        let mut after = d.state.clone();
        let mut finite = R::ONE;
        for lane in 0..R::LANES.min(self.worlds - first) {
            let scene = &self.scenes[if self.scenes.len() == 1 { 0 } else { first + lane }];
            let (mut qpos, mut qvel) = (row(&d.state.qpos, lane), row(&d.state.qvel, lane));
            let ctrl = row(&d.ctrl, lane);
            let (mut before_q, mut before_v) = (qpos.clone(), qvel.clone());
            let mut fine = true;
            for _ in 0..count {
                before_q.copy_from_slice(&qpos);
                before_v.copy_from_slice(&qvel);
                fine &= self.stage.step(&self.robot, scene, &mut qpos, &mut qvel, &ctrl);
            }
            finite.set(lane, if fine { 1.0 } else { 0.0 });
            set_row(&mut after.qpos, lane, &qpos);
            set_row(&mut after.qvel, lane, &qvel);
            set_row(&mut d.state.qpos, lane, &before_q);
            set_row(&mut d.state.qvel, lane, &before_v);
            for ((column, v), b) in d.qacc.iter_mut().zip(&qvel).zip(&before_v) {
                column.set(lane, (v - b) / h);
            }
            set_row(&mut d.actuator_force, lane, &self.stage.drive.actuator_force);
            set_row(&mut d.qfrc_actuator, lane, &self.stage.drive.qfrc_actuator);
            let mut number = 0;
            for (i, contact) in self.stage.contacts.iter().enumerate() {
                number = if i > 0 && self.stage.contacts[i - 1].pair == contact.pair { number + 1 } else { 0 };
                self.found.push(Found { pair: contact.pair, number, lane, contact: contact.clone() });
            }
        }
        d.finite = finite.gt(R::ZERO);
        self.robot.physics.refresh(params, d);
        self.gather(params, d);
        d.limits.clear();
        d.frictions.clear();
        if keep {
            d.state.qpos.copy_from_slice(&after.qpos);
            d.state.qvel.copy_from_slice(&after.qvel);
            d.state.time += R::splat(h * count as f64);
        }
    }

    /// Contacts of all worlds, those of the same number of the same pair side by side.
    fn gather<R: Real>(&mut self, params: &Params<R>, d: &mut Data<R>) {
        d.contacts.clear();
        self.found.sort_by_key(|f| (f.pair, f.number, f.lane));
        for same in self.found.chunk_by(|a, b| (a.pair, a.number) == (b.pair, b.number)) {
            let Some(Found { pair, .. }) = same.first() else { continue };
            let none = R::Mask::splat(false);
            let mut contact = Contact {
                pair: *pair,
                dim: usize::from(self.robot.physics.model().pairs[*pair].condim),
                detected: none,
                active: none,
                dist: R::ZERO,
                pos: [R::ZERO; 3],
                frame: [[R::ZERO; 3]; 3],
                mu: params.pair_friction[*pair],
                aref: [R::ZERO; 6],
                d: [R::ZERO; 6],
                mu_reg: R::ZERO,
                force: [R::ZERO; 6],
                jac: 0,
                row: 0,
                z: [R::ZERO; 6],
                dz: [R::ZERO; 6],
            };
            let mut there = R::ZERO;
            for Found { lane, contact: found, .. } in same {
                let point = &found.point;
                there.set(*lane, 1.0);
                contact.dist.set(*lane, point.dist);
                let frame = frame(point.normal);
                for k in 0..3 {
                    contact.pos[k].set(*lane, point.pos[k]);
                    contact.force[k].set(*lane, dot(frame[k], point.force));
                    for n in 0..3 {
                        contact.frame[k][n].set(*lane, frame[k][n]);
                    }
                }
            }
            contact.detected = there.gt(R::ZERO);
            contact.active = contact.detected;
            d.contacts.push(contact);
        }
    }
}

/// A normal and two tangents.
fn frame(normal: [f64; 3]) -> M3<f64> {
    let aside = if normal[1].abs() < 0.5 { [0.0, 1.0, 0.0] } else { [0.0, 0.0, 1.0] };
    let (tangent, _) = normalize(add_scaled(aside, normal, -dot(aside, normal)));
    [normal, tangent, cross(normal, tangent)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::{LANES, Lane};
    use crate::testing::{close, text_scene};

    /// Each lane has another parameter changed; what comes of it follows from Newton's law.
    #[test]
    fn parameters_of_a_world_act_in_its_scene_alone() {
        let physics = text_scene(
            "<mujoco><option timestep='0.001' gravity='0 0 -10'/><worldbody>
               <body><joint name='z' type='slide' axis='0 0 1'/><geom size='0.1' mass='2'/></body>
               <body pos='5 0 0'><joint name='x' type='slide' axis='1 0 0'/><geom size='0.1' mass='2'/></body>
             </worldbody><actuator><motor joint='x' gear='3'/></actuator></mujoco>",
        );
        let mut params = physics.params::<Lane>();
        params.gravity[2].set(1, -5.0);
        params.body_mass[2].set(2, 4.0);
        params.dof_armature[1].set(3, 1.0);
        params.actuator_gear[0].set(4, 6.0);
        params.actuator_gain[0].set(5, 0.5);
        params.dof_damping[1].set(6, 20.0);
        params.dof_frictionloss[1].set(7, 1.0);
        let mut worlds = RapierWorlds::new(&physics, LANES, true);
        (0..LANES).for_each(|lane| worlds.set_params(lane, &params, lane));
        let mut d = physics.data::<Lane>();
        d.ctrl[0] = Lane::splat(1.0);
        worlds.step(0, &params, &mut d, 100);
        let expected = [(-1.0, 0.15), (-0.5, 0.15), (-1.0, 0.075), (-1.0, 0.1), (-1.0, 0.3), (-1.0, 0.075)];
        for (lane, (fall, push)) in expected.into_iter().enumerate() {
            close(d.state.qvel[0].get(lane), fall, 1e-5);
            close(d.state.qvel[1].get(lane), push, 1e-5);
        }
        close(d.state.qvel[1].get(6), 3.0 / 20.0 * (1.0 - (-1.0f64).exp()), 1e-4);
        close(d.state.qvel[1].get(7), 0.1, 1e-3);
        close(d.qacc[0].get(1), -5.0, 1e-3);
        close(d.qfrc_actuator[1].get(4), 6.0, 1e-6);
        close(d.state.time.get(3), 0.1, 1e-6);
    }

    #[test]
    fn contacts_of_all_worlds_stand_side_by_side_and_carry_the_weight() {
        let physics = text_scene(
            "<mujoco><option timestep='0.002'/><worldbody><geom type='plane' size='9 9 1'/>
               <body pos='0 0 0.1'><freejoint/><geom type='box' size='0.2 0.1 0.1' mass='3'/></body>
             </worldbody></mujoco>",
        );
        let params = physics.params::<Lane>();
        let mut worlds = RapierWorlds::new(&physics, LANES, false);
        let mut d = physics.data::<Lane>();
        d.state.qpos[2].set(5, 2.0);
        worlds.step(0, &params, &mut d, 150);
        let mut out = vec![[Lane::ZERO; 3]; 2];
        physics.contact_forces(&d, &mut out);
        assert_eq!(d.contacts.len(), 4);
        for lane in 0..LANES {
            let weight = if lane == 5 { 0.0 } else { 3.0 * 9.81 };
            close(out[1][2].get(lane), weight, 0.3);
            assert_eq!(d.contacts.iter().filter(|c| c.active.get(lane)).count(), if lane == 5 { 0 } else { 4 });
        }
        assert!(d.finite.all());
    }
}
