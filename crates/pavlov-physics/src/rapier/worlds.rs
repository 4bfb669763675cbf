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
