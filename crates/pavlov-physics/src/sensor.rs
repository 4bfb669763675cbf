//! Quantities read off a state: velocities of points, contact forces per body, `cfrc_ext`, and MuJoCo's sensors.
//!
//! World axes unless a name says otherwise; N, N m, m/s, rad/s, m/s². Sources: `mj_rnePostConstraint`,
//! `mj_objectVelocity`, `mj_objectAcceleration`, `engine_sensor.c`.

use crate::data::{Contact, Data};
use crate::math::*;
use crate::params::Params;
use crate::physics::Physics;
use crate::real::{Mask, Real};
use pavlov_model::{FrameObject, Model, SensorKind};

/// Linear and angular velocity, world axes, of the point of body `b` that is now at `point`.
pub fn point_velocity<R: Real>(model: &Model, d: &Data<R>, b: usize, point: V3<R>) -> (V3<R>, V3<R>) {
    let v = &d.cvel[b];
    let ang = [v[0], v[1], v[2]];
    let arm = sub(point, d.subtree_com[model.bodies[b].root]);
    (add([v[3], v[4], v[5]], cross(ang, arm)), ang)
}

/// Linear and angular velocity, world axes, of body `b` at its origin.
pub fn body_velocity<R: Real>(model: &Model, d: &Data<R>, b: usize) -> (V3<R>, V3<R>) {
    point_velocity(model, d, b, d.xpos[b])
}

/// Force and torque of a contact on the body of geom2, world axes.
pub fn contact_wrench<R: Real>(c: &Contact<R>) -> (V3<R>, V3<R>) {
    let part = |at: usize| {
        let v = scale(c.frame[0], c.force[at]);
        add_scaled(add_scaled(v, c.frame[1], c.force[at + 1]), c.frame[2], c.force[at + 2])
    };
    (part(0), part(3))
}

/// Position, velocity and acceleration source of a frame sensor: body, point, orientation.
struct Frame<R> {
    body: usize,
    pos: V3<R>,
    quat: Q4<R>,
}

impl Physics {
    /// Net contact force on every body, world axes, into `out` (one per body).
    pub fn contact_forces<R: Real>(&self, d: &Data<R>, out: &mut [V3<R>]) {
        out.fill([R::ZERO; 3]);
        for c in d.contacts.iter().filter(|c| c.active.any()) {
            let (f, _) = contact_wrench(c);
            let pair = &self.topology().pairs[c.pair];
            out[pair.body1] = sub(out[pair.body1], f);
            out[pair.body2] = add(out[pair.body2], f);
        }
    }

    /// Fills `cfrc_ext` (torque; force, about the tree's centre of mass) and `cacc` with the accelerations of the last
    /// forward evaluation, as `mj_rnePostConstraint` does.
    pub fn rne_post_constraint<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        let model = &**self.model();
        d.cfrc_ext.fill([R::ZERO; 6]);
        let Data { contacts, cfrc_ext, subtree_com, xfrc_applied, xipos, cacc, cdof, cdof_dot, state, qacc, .. } = d;
        let mut push = |b: usize, f: V3<R>, t: V3<R>, at: V3<R>, sign: R| {
            if b == 0 {
                return;
            }
            let torque = add(t, cross(sub(at, subtree_com[model.bodies[b].root]), f));
            for k in 0..3 {
                cfrc_ext[b][k] = torque[k].mul_add(sign, cfrc_ext[b][k]);
                cfrc_ext[b][3 + k] = f[k].mul_add(sign, cfrc_ext[b][3 + k]);
            }
        };
        if d.has_xfrc {
            for b in 1..model.bodies.len() {
                let x = &xfrc_applied[b];
                push(b, [x[0], x[1], x[2]], [x[3], x[4], x[5]], xipos[b], R::ONE);
            }
        }
        for c in contacts.iter().filter(|c| c.active.any()) {
            let (f, t) = contact_wrench(c);
            let pair = &self.topology().pairs[c.pair];
            push(pair.body1, f, t, c.pos, -R::ONE);
            push(pair.body2, f, t, c.pos, R::ONE);
        }
        let g = params.gravity;
        cacc[0] = [R::ZERO, R::ZERO, R::ZERO, -g[0], -g[1], -g[2]];
        for b in 1..model.bodies.len() {
            let body = &model.bodies[b];
            let mut a = cacc[body.parent];
            for i in body.dofs.clone() {
                for k in 0..6 {
                    a[k] = cdof_dot[i][k].mul_add(state.qvel[i], cdof[i][k].mul_add(qacc[i], a[k]));
                }
            }
            cacc[b] = a;
        }
    }

    /// Site position and orientation, world.
    pub fn site_pose<R: Real>(&self, d: &Data<R>, site: usize) -> (V3<R>, Q4<R>) {
        let s = &self.model().sites[site];
        let pos = add(d.xpos[s.body], mul_mv(&d.xmat[s.body], splat3(s.pos)));
        (pos, quat_mul(d.xquat[s.body], splat4(s.quat)))
    }

    fn frame<R: Real>(&self, params: &Params<R>, d: &Data<R>, kind: FrameObject, object: usize) -> Frame<R> {
        let model = &**self.model();
        match kind {
            FrameObject::XBody => Frame { body: object, pos: d.xpos[object], quat: d.xquat[object] },
            FrameObject::Body => {
                let quat = quat_mul(d.xquat[object], splat4(model.bodies[object].iquat));
                Frame { body: object, pos: d.xipos[object], quat }
            }
            FrameObject::Geom => {
                let b = model.geoms[object].body;
                let pos = add(d.xpos[b], mul_mv(&d.xmat[b], params.geom_pos[object]));
                Frame { body: b, pos, quat: quat_mul(d.xquat[b], params.geom_quat[object]) }
            }
            FrameObject::Site => {
                let (pos, quat) = self.site_pose(d, object);
                Frame { body: model.sites[object].body, pos, quat }
            }
        }
    }

    /// Fills `sensordata` from the last forward evaluation. Accelerometers read `cacc`, so this runs
    /// [`Physics::rne_post_constraint`] first when the model has one.
    pub fn sensors<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        let model = self.model().clone();
        if model.sensors.iter().any(|s| s.kind == SensorKind::Accelerometer) {
            self.rne_post_constraint(params, d);
        }
        let mut at = 0;
        for sensor in &model.sensors {
            let value = self.sensor(params, d, sensor.kind, sensor.object);
            d.sensordata[at..at + sensor.dim].copy_from_slice(&value[..sensor.dim]);
            at += sensor.dim;
        }
    }

    fn sensor<R: Real>(&self, params: &Params<R>, d: &Data<R>, kind: SensorKind, object: usize) -> [R; 4] {
        let model = &**self.model();
        let three = |v: V3<R>| [v[0], v[1], v[2], R::ZERO];
        let scalar = |v: R| [v, R::ZERO, R::ZERO, R::ZERO];
        let local = |f: &Frame<R>, v: V3<R>| quat_rotate(quat_conj(f.quat), v);
        let velocity = |f: &Frame<R>| point_velocity(model, d, f.body, f.pos);
        match kind {
            SensorKind::JointPos => scalar(d.state.qpos[model.joints[object].qposadr]),
            SensorKind::JointVel => scalar(d.state.qvel[model.joints[object].dofadr]),
            SensorKind::ActuatorFrc => scalar(d.actuator_force[object]),
            SensorKind::Gyro => {
                let f = self.frame(params, d, FrameObject::Site, object);
                three(local(&f, velocity(&f).1))
            }
            SensorKind::Velocimeter => {
                let f = self.frame(params, d, FrameObject::Site, object);
                three(local(&f, velocity(&f).0))
            }
            SensorKind::Accelerometer => {
                let f = self.frame(params, d, FrameObject::Site, object);
                let a = &d.cacc[f.body];
                let arm = sub(f.pos, d.subtree_com[model.bodies[f.body].root]);
                let (lin, ang) = velocity(&f);
                let at_point = add([a[3], a[4], a[5]], cross([a[0], a[1], a[2]], arm));
                three(local(&f, add(at_point, cross(ang, lin))))
            }
            SensorKind::Touch => scalar(self.touch(d, object)),
            SensorKind::FramePos(o) => three(self.frame(params, d, o, object).pos),
            SensorKind::FrameQuat(o) => self.frame(params, d, o, object).quat,
            SensorKind::FrameLinVel(o) => three(velocity(&self.frame(params, d, o, object)).0),
            SensorKind::FrameAngVel(o) => three(velocity(&self.frame(params, d, o, object)).1),
            SensorKind::FrameZAxis(o) => {
                let m = quat_to_mat(self.frame(params, d, o, object).quat);
                three([m[0][2], m[1][2], m[2][2]])
            }
            SensorKind::SubtreeCom => three(d.subtree_com[object]),
            SensorKind::SubtreeLinVel => three(self.subtree_velocity(params, d, object)),
        }
    }

    /// Linear velocity of the centre of mass of the subtree of body `b`.
    pub fn subtree_velocity<R: Real>(&self, params: &Params<R>, d: &Data<R>, b: usize) -> V3<R> {
        let model = &**self.model();
        let mut momentum = [R::ZERO; 3];
        // depth-first order: a subtree is a run of bodies that ends before the first whose parent lies above it
        for c in b..model.bodies.len() {
            if c > b && model.bodies[c].parent < b {
                break;
            }
            let v = point_velocity(model, d, c, d.xipos[c]).0;
            momentum = add_scaled(momentum, v, params.body_mass[c]);
        }
        scale(momentum, R::ONE / d.subtree_mass[b])
    }

    /// Sum of normal forces of contacts on the site's body whose normal ray meets the site's sphere (`size[0]`).
    fn touch<R: Real>(&self, d: &Data<R>, site: usize) -> R {
        let s = &self.model().sites[site];
        let (center, _) = self.site_pose(d, site);
        let radius2 = R::splat(s.size[0] * s.size[0]);
        let mut sum = R::ZERO;
        for c in d.contacts.iter().filter(|c| c.active.any()) {
            let pair = &self.topology().pairs[c.pair];
            let sign = match (pair.body1 == s.body, pair.body2 == s.body) {
                (true, _) => R::ONE,
                (_, true) => -R::ONE,
                _ => continue,
            };
            // ray from the contact into the other body's push
            let ray = scale(c.frame[0], -sign);
            let to = sub(center, c.pos);
            let along = dot(to, ray);
            let off2 = dot(to, to) - along * along;
            let inside = dot(to, to).le(radius2);
            let hit = inside | (off2.le(radius2) & along.ge(R::ZERO));
            sum += c.force[0].masked(hit & c.active);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, placed, text_scene};

    const BOX: &str = "<mujoco><worldbody><geom type='plane' size='9 9 1'/>
      <body pos='0 0 0.1'><freejoint/><geom type='box' size='0.1 0.1 0.1' mass='3'/>
        <site name='s' pos='0 0 0.05' size='0.3'/></body></worldbody>
      <sensor><accelerometer site='s'/><gyro site='s'/><velocimeter site='s'/><touch site='s'/>
        <framepos objtype='site' objname='s'/></sensor></mujoco>";

    #[test]
    fn a_resting_box_feels_its_weight() {
        let physics = text_scene(BOX);
        let (params, mut d) = (physics.params::<f64>(), physics.data::<f64>());
        for _ in 0..1000 {
            physics.step(&params, &mut d);
        }
        physics.forward(&params, &mut d);
        physics.sensors(&params, &mut d);
        close(d.sensordata[2], 9.81, 1e-4);
        close(d.sensordata[9], 3.0 * 9.81, 1e-3);
        let mut forces = [[0.0; 3]; 2];
        physics.contact_forces(&d, &mut forces);
        close(forces[1][2], 3.0 * 9.81, 1e-3);
        close(forces[0][2], -forces[1][2], 1e-12);
        close(d.cfrc_ext[1][5], 3.0 * 9.81, 1e-3);
    }

    #[test]
    fn a_falling_box_feels_nothing() {
        let physics = text_scene(BOX);
        let (half, mut qpos) = (0.5f64.sqrt(), physics.model().qpos0.clone());
        (qpos[2], qpos[3], qpos[4]) = (5.0, half, half);
        let mut d = placed::<f64>(&physics, &qpos, &[0.0, 0.0, 2.0, 0.0, 0.0, 0.0]);
        physics.forward(&physics.params(), &mut d);
        physics.sensors(&physics.params(), &mut d);
        for k in [0, 1, 2, 3, 4, 5, 9] {
            close(d.sensordata[k], 0.0, 1e-12);
        }
        // turned by a quarter about x: up in the world is along the site's y
        close(d.sensordata[7], 2.0, 1e-12);
        close(d.sensordata[11], -0.05, 1e-12);
    }

    #[test]
    fn the_velocity_of_a_point_adds_the_spin() {
        let physics = text_scene(BOX);
        let mut d = placed::<f64>(&physics, &physics.model().qpos0.clone(), &[1.0, 0.0, 0.0, 0.0, 0.0, 4.0]);
        physics.forward(&physics.params(), &mut d);
        let (lin, ang) = point_velocity(physics.model(), &d, 1, [0.5, 0.0, 0.1]);
        assert_eq!((lin, ang), ([1.0, 2.0, 0.0], [0.0, 0.0, 4.0]));
        close(physics.subtree_velocity(&physics.params(), &d, 1)[0], 1.0, 1e-15);
    }
}
