//! What scripts read of physics: one column of a lane group at a time.

use crate::block::Shared;
use crate::scripts::SenseContext;
use pavlov_physics::{Data, Real, body_velocity, contact_wrench, point_velocity};
use pavlov_script::Channel;

/// Force on a foot's geom in world axes, and 1 where it touches something.
pub(crate) fn foot_force<R: Real>(shared: &Shared, data: &Data<R>, foot: usize) -> ([R; 3], R) {
    let geom = shared.task.feet[foot];
    let pairs = &shared.physics.model().pairs;
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

/// One column of what is in the data.
pub(crate) fn read<R: Real>(context: &SenseContext<'_, R>, forces: &[[R; 3]], channel: Channel) -> R {
    let SenseContext { shared, params, data } = context;
    let model = &**shared.physics.model();
    let d = *data;
    let at = usize::from;
    let one = |mask: R::Mask| R::ONE.masked(mask);
    match channel {
        Channel::Qpos(i) => d.state.qpos[at(i)],
        Channel::Qvel(i) => d.state.qvel[at(i)],
        Channel::BodyPos { body, axis } => d.xpos[at(body)][axis as usize],
        Channel::BodyQuat { body, axis } => d.xquat[at(body)][axis as usize],
        Channel::BodyLinVel { body, axis } => body_velocity(model, d, at(body)).0[axis as usize],
        Channel::BodyAngVel { body, axis } => d.cvel[at(body)][axis as usize],
        Channel::BodyForce { body, axis } => forces[at(body)][axis as usize],
        Channel::BodyContact(body) => {
            let pairs = &shared.physics.topology().pairs;
            let touches = |c: &&pavlov_physics::Contact<R>| {
                let p = &pairs[c.pair];
                p.body1 == at(body) || p.body2 == at(body)
            };
            d.contacts.iter().filter(touches).fold(R::ZERO, |sum, c| sum.max(one(c.active)))
        }
        Channel::JointPos(j) => d.state.qpos[model.joints[at(j)].qposadr],
        Channel::JointVel(j) => d.state.qvel[model.joints[at(j)].dofadr],
        Channel::JointTorque(j) => d.qfrc_actuator[model.joints[at(j)].dofadr],
        Channel::JointAcc(j) => d.qacc[model.joints[at(j)].dofadr],
        Channel::ActuatorForce(a) => d.actuator_force[at(a)],
        Channel::ActuatorCtrl(a) => d.ctrl[at(a)],
        Channel::FootPos { foot, axis } => d.geom_xpos[shared.task.feet[at(foot)]][axis as usize],
        Channel::FootVel { foot, axis } => {
            let geom = shared.task.feet[at(foot)];
            point_velocity(model, d, model.geoms[geom].body, d.geom_xpos[geom]).0[axis as usize]
        }
        Channel::FootForce { foot, axis } => foot_force(shared, d, at(foot)).0[axis as usize],
        Channel::FootContact(foot) => foot_force(shared, d, at(foot)).1,
        Channel::SitePos { site, axis } => shared.physics.site_pose(d, at(site)).0[axis as usize],
        Channel::SiteVel { site, axis } => {
            let point = shared.physics.site_pose(d, at(site)).0;
            point_velocity(model, d, model.sites[at(site)].body, point).0[axis as usize]
        }
        Channel::Sensor { sensor, k } => {
            let start: usize = model.sensors[..at(sensor)].iter().map(|s| s.dim).sum();
            d.sensordata[start + at(k)]
        }
        Channel::CfrcExt(i) => d.cfrc_ext[at(i) / 6][at(i) % 6],
        Channel::Com(axis) => d.subtree_com[first_moving(model)][axis as usize],
        Channel::ComVel(axis) => shared.physics.subtree_velocity(params, d, first_moving(model))[axis as usize],
        Channel::Time | Channel::EpisodeStep | Channel::Action(_) | Channel::PrevAction(_) | Channel::Command(_) => {
            R::ZERO
        }
        Channel::Terminated | Channel::Success | Channel::Source(_) => R::ZERO,
    }
}

/// Body of the first joint: the robot's root.
fn first_moving(model: &pavlov_model::Model) -> usize {
    model.joints.first().map_or(0, |j| model.bodies[j.body].root)
}
