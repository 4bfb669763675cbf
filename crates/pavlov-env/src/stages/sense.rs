//! Sensing: what scripts and observations want to know of physics, column by column.

use crate::plan::sensed::Sensed;
use crate::plan::whole::Plan;
use pavlov_model::Model;
use pavlov_physics::{Real, body_velocity, point_velocity};
use pavlov_script::Channel;

/// Hands over everything that physics knows: `input` takes what scripts read, by place in the plan's inputs; `looked` what the
/// observation shows, by column.
pub(crate) fn sense<R: Real>(
    plan: &Plan,
    sensed: &Sensed<'_, R>,
    mut input: impl FnMut(usize, R),
    mut looked: impl FnMut(usize, R),
) {
    plan.sensed.iter().for_each(|&(place, channel)| input(place, read(sensed, channel)));
    plan.looked.iter().for_each(|&(i, source)| looked(i, source.value(sensed)));
}

/// A channel that physics knows; zero for others.
pub(crate) fn read<R: Real>(sensed: &Sensed<'_, R>, channel: Channel) -> R {
    let Sensed { physics, feet, params, data: d, touch } = *sensed;
    let model = &**physics.model();
    let at = usize::from;
    match channel {
        Channel::Qpos(i) => d.state.qpos[at(i)],
        Channel::Qvel(i) => d.state.qvel[at(i)],
        Channel::BodyPos { body, axis } => d.xpos[at(body)][axis as usize],
        Channel::BodyQuat { body, axis } => d.xquat[at(body)][axis as usize],
        Channel::BodyLinVel { body, axis } => body_velocity(model, d, at(body)).0[axis as usize],
        Channel::BodyAngVel { body, axis } => d.cvel[at(body)][axis as usize],
        Channel::BodyForce { body, axis } => touch.body_force[at(body)][axis as usize],
        Channel::BodyContact(body) => touch.body[at(body)],
        Channel::JointPos(j) => d.state.qpos[model.joints[at(j)].qposadr],
        Channel::JointVel(j) => d.state.qvel[model.joints[at(j)].dofadr],
        Channel::JointTorque(j) => d.qfrc_actuator[model.joints[at(j)].dofadr],
        Channel::JointAcc(j) => d.qacc[model.joints[at(j)].dofadr],
        Channel::ActuatorForce(a) => d.actuator_force[at(a)],
        Channel::ActuatorCtrl(a) => d.ctrl[at(a)],
        Channel::FootPos { foot, axis } => d.geom_xpos[feet[at(foot)]][axis as usize],
        Channel::FootVel { foot, axis } => {
            let geom = feet[at(foot)];
            point_velocity(model, d, model.geoms[geom].body, d.geom_xpos[geom]).0[axis as usize]
        }
        Channel::FootForce { foot, axis } => touch.foot_force[at(foot)][axis as usize],
        Channel::FootContact(foot) => touch.foot[at(foot)],
        Channel::SitePos { site, axis } => physics.site_pose(d, at(site)).0[axis as usize],
        Channel::SiteVel { site, axis } => {
            let point = physics.site_pose(d, at(site)).0;
            point_velocity(model, d, model.sites[at(site)].body, point).0[axis as usize]
        }
        Channel::Sensor { sensor, k } => {
            let start: usize = model.sensors[..at(sensor)].iter().map(|s| s.dim).sum();
            d.sensordata[start + at(k)]
        }
        Channel::CfrcExt(i) => d.cfrc_ext[at(i) / 6][at(i) % 6],
        Channel::Com(axis) => d.subtree_com[first_moving(model)][axis as usize],
        Channel::ComVel(axis) => physics.subtree_velocity(params, d, first_moving(model))[axis as usize],
        Channel::Time | Channel::EpisodeStep | Channel::Action(_) | Channel::PrevAction(_) | Channel::Command(_) => {
            R::ZERO
        }
        Channel::Terminated | Channel::Success | Channel::Source(_) => R::ZERO,
    }
}

/// Body of the first joint: the robot's root.
fn first_moving(model: &Model) -> usize {
    model.joints.first().map_or(0, |j| model.bodies[j.body].root)
}
