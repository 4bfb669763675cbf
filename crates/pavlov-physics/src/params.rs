//! Physical parameters as columns: one value per world, so that any of them can be randomised.
//!
//! After changing masses, centres of mass, inertias, armature or `qpos0`, call [`crate::Physics::set0`], which
//! recomputes what MuJoCo derives from the mass matrix at `qpos0` (`engine_setconst.c`).

use crate::math::{M3, V3, mul_mm, quat_to_mat, splat3, splat4};
use crate::real::Real;
use pavlov_model::{FrictionFrom, Model};

/// Physical parameters of one world ([`f64`]) or of the worlds of a lane. Names and units are MuJoCo's.
#[derive(Debug, Clone)]
pub struct Params<R> {
    /// m/s².
    pub gravity: V3<R>,
    /// Reference coordinates.
    pub qpos0: Vec<R>,
    /// Rest coordinates of joint springs.
    pub qpos_spring: Vec<R>,
    /// Pose in the parent, m.
    pub body_pos: Vec<V3<R>>,
    /// Orientation in the parent.
    pub body_quat: Vec<[R; 4]>,
    /// kg.
    pub body_mass: Vec<R>,
    /// Centre of mass in the body frame, m.
    pub body_ipos: Vec<V3<R>>,
    /// Inertia about the centre of mass in body axes: xx, yy, zz, xy, xz, yz, kg m².
    pub body_inertia: Vec<[R; 6]>,
    /// Translational and rotational inverse weight at `qpos0`; derived.
    pub body_invweight0: Vec<[R; 2]>,
    /// Anchor in the body, m.
    pub jnt_pos: Vec<V3<R>>,
    /// Axis in the body.
    pub jnt_axis: Vec<V3<R>>,
    /// N m/rad or N/m.
    pub jnt_stiffness: Vec<R>,
    /// Limits, rad or m.
    pub jnt_range: Vec<[R; 2]>,
    /// kg or kg m².
    pub dof_armature: Vec<R>,
    /// N s/m or N m s/rad.
    pub dof_damping: Vec<R>,
    /// N or N m.
    pub dof_frictionloss: Vec<R>,
    /// Diagonal of the inverse mass matrix at `qpos0`, averaged within free and ball joints; derived.
    pub dof_invweight0: Vec<R>,
    /// trace(M)/nv at `qpos0`; derived.
    pub meaninertia: R,
    /// Gain on ctrl.
    pub actuator_gain: Vec<R>,
    /// Affine bias.
    pub actuator_bias: Vec<[R; 3]>,
    /// Transmission.
    pub actuator_gear: Vec<R>,
    /// Geom position in its body, m.
    pub geom_pos: Vec<V3<R>>,
    /// Geom orientation in its body.
    pub geom_quat: Vec<[R; 4]>,
    /// Sizes, m.
    pub geom_size: Vec<V3<R>>,
    /// Sliding, torsional, rolling; call [`Params::mix_friction`] after a change.
    pub geom_friction: Vec<V3<R>>,
    /// slide, slide, torsion, roll, roll of each candidate pair; derived from `geom_friction` (explicit pairs keep
    /// theirs).
    pub pair_friction: Vec<[R; 5]>,
}

/// A field of [`Params`], as a block of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// 3 numbers.
    Gravity,
    /// `nq`.
    Qpos0,
    /// One per body.
    BodyMass,
    /// 3 per body.
    BodyIpos,
    /// 6 per body.
    BodyInertia,
    /// 2 per body.
    BodyInvweight0,
    /// One per dof.
    DofArmature,
    /// One per dof.
    DofDamping,
    /// One per dof.
    DofFrictionloss,
    /// One per dof.
    DofInvweight0,
    /// 1.
    Meaninertia,
    /// One per actuator.
    ActuatorGain,
    /// 3 per actuator.
    ActuatorBias,
    /// One per actuator.
    ActuatorGear,
    /// 3 per geom.
    GeomFriction,
    /// 5 per candidate pair.
    PairFriction,
}

/// Inertia tensor in body axes from principal moments and their frame.
fn tensor(inertia: [f64; 3], iquat: [f64; 4]) -> [f64; 6] {
    let r: M3<f64> = quat_to_mat(iquat);
    let mut rd = r;
    for row in &mut rd {
        for k in 0..3 {
            row[k] *= inertia[k];
        }
    }
    let rt = [[r[0][0], r[1][0], r[2][0]], [r[0][1], r[1][1], r[2][1]], [r[0][2], r[1][2], r[2][2]]];
    let t = mul_mm(&rd, &rt);
    [t[0][0], t[1][1], t[2][2], t[0][1], t[0][2], t[1][2]]
}

impl<R: Real> Params<R> {
    /// The model's own values in every world; derived fields are zero until [`crate::Physics::set0`] has run.
    pub(crate) fn underived(model: &Model) -> Self {
        let splat = |v: f64| R::splat(v);
        let nv = model.nv();
        let mut params = Self {
            gravity: splat3(model.opt.gravity),
            qpos0: model.qpos0.iter().map(|&v| splat(v)).collect(),
            qpos_spring: model.qpos_spring.iter().map(|&v| splat(v)).collect(),
            body_pos: model.bodies.iter().map(|b| splat3(b.pos)).collect(),
            body_quat: model.bodies.iter().map(|b| splat4(b.quat)).collect(),
            body_mass: model.bodies.iter().map(|b| splat(b.mass)).collect(),
            body_ipos: model.bodies.iter().map(|b| splat3(b.ipos)).collect(),
            body_inertia: model.bodies.iter().map(|b| tensor(b.inertia, b.iquat).map(splat)).collect(),
            body_invweight0: vec![[R::ZERO; 2]; model.bodies.len()],
            jnt_pos: model.joints.iter().map(|j| splat3(j.pos)).collect(),
            jnt_axis: model.joints.iter().map(|j| splat3(j.axis)).collect(),
            jnt_stiffness: model.joints.iter().map(|j| splat(j.stiffness)).collect(),
            jnt_range: model.joints.iter().map(|j| j.range.map(splat)).collect(),
            dof_armature: model.dofs.iter().map(|d| splat(d.armature)).collect(),
            dof_damping: model.dofs.iter().map(|d| splat(d.damping)).collect(),
            dof_frictionloss: model.dofs.iter().map(|d| splat(d.frictionloss)).collect(),
            dof_invweight0: vec![R::ZERO; nv],
            meaninertia: R::ONE,
            actuator_gain: model.actuators.iter().map(|a| splat(a.gain)).collect(),
            actuator_bias: model.actuators.iter().map(|a| a.bias.map(splat)).collect(),
            actuator_gear: model.actuators.iter().map(|a| splat(a.gear)).collect(),
            geom_pos: model.geoms.iter().map(|g| splat3(g.pos)).collect(),
            geom_quat: model.geoms.iter().map(|g| splat4(g.quat)).collect(),
            geom_size: model.geoms.iter().map(|g| splat3(g.size)).collect(),
            geom_friction: model.geoms.iter().map(|g| splat3(g.friction)).collect(),
            pair_friction: model.pairs.iter().map(|p| p.friction.map(splat)).collect(),
        };
        params.mix_friction(model);
        params
    }

    /// The numbers of a field, in order.
    pub fn numbers_mut(&mut self, field: Field) -> Vec<&mut R> {
        fn flat<R, const N: usize>(v: &mut [[R; N]]) -> Vec<&mut R> {
            v.as_flattened_mut().iter_mut().collect()
        }
        match field {
            Field::Gravity => self.gravity.iter_mut().collect(),
            Field::Qpos0 => self.qpos0.iter_mut().collect(),
            Field::BodyMass => self.body_mass.iter_mut().collect(),
            Field::BodyIpos => flat(&mut self.body_ipos),
            Field::BodyInertia => flat(&mut self.body_inertia),
            Field::BodyInvweight0 => flat(&mut self.body_invweight0),
            Field::DofArmature => self.dof_armature.iter_mut().collect(),
            Field::DofDamping => self.dof_damping.iter_mut().collect(),
            Field::DofFrictionloss => self.dof_frictionloss.iter_mut().collect(),
            Field::DofInvweight0 => self.dof_invweight0.iter_mut().collect(),
            Field::Meaninertia => vec![&mut self.meaninertia],
            Field::ActuatorGain => self.actuator_gain.iter_mut().collect(),
            Field::ActuatorBias => flat(&mut self.actuator_bias),
            Field::ActuatorGear => self.actuator_gear.iter_mut().collect(),
            Field::GeomFriction => flat(&mut self.geom_friction),
            Field::PairFriction => flat(&mut self.pair_friction),
        }
    }

    /// The parameters of one world of the lane.
    pub fn world(&self, lane: usize) -> Params<f64> {
        let values = |v: &[R]| -> Vec<f64> { v.iter().map(|x| x.get(lane)).collect() };
        fn each<R: Real, const N: usize>(v: &[[R; N]], lane: usize) -> Vec<[f64; N]> {
            v.iter().map(|x| x.map(|x| x.get(lane))).collect()
        }
        Params {
            gravity: self.gravity.map(|x| x.get(lane)),
            qpos0: values(&self.qpos0),
            qpos_spring: values(&self.qpos_spring),
            body_pos: each(&self.body_pos, lane),
            body_quat: each(&self.body_quat, lane),
            body_mass: values(&self.body_mass),
            body_ipos: each(&self.body_ipos, lane),
            body_inertia: each(&self.body_inertia, lane),
            body_invweight0: each(&self.body_invweight0, lane),
            jnt_pos: each(&self.jnt_pos, lane),
            jnt_axis: each(&self.jnt_axis, lane),
            jnt_stiffness: values(&self.jnt_stiffness),
            jnt_range: each(&self.jnt_range, lane),
            dof_armature: values(&self.dof_armature),
            dof_damping: values(&self.dof_damping),
            dof_frictionloss: values(&self.dof_frictionloss),
            dof_invweight0: values(&self.dof_invweight0),
            meaninertia: self.meaninertia.get(lane),
            actuator_gain: values(&self.actuator_gain),
            actuator_bias: each(&self.actuator_bias, lane),
            actuator_gear: values(&self.actuator_gear),
            geom_pos: each(&self.geom_pos, lane),
            geom_quat: each(&self.geom_quat, lane),
            geom_size: each(&self.geom_size, lane),
            geom_friction: each(&self.geom_friction, lane),
            pair_friction: each(&self.pair_friction, lane),
        }
    }

    /// Recomputes `pair_friction` from `geom_friction` by MuJoCo's rule (priority, else elementwise maximum, at least
    /// 1e-5).
    pub fn mix_friction(&mut self, model: &Model) {
        for (pair, mixed) in model.pairs.iter().zip(&mut self.pair_friction) {
            let (a, b) = (self.geom_friction[pair.geom1], self.geom_friction[pair.geom2]);
            let f = match pair.friction_from {
                FrictionFrom::Explicit => continue,
                FrictionFrom::Geom1 => a,
                FrictionFrom::Geom2 => b,
                FrictionFrom::Max => [a[0].max(b[0]), a[1].max(b[1]), a[2].max(b[2])],
            };
            let f = f.map(|v| v.max(R::splat(1e-5)));
            *mixed = [f[0], f[0], f[1], f[2], f[2]];
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{close, scene};

    #[test]
    fn the_tensor_is_the_turned_principal_one() {
        let body = "<body><freejoint/><inertial mass='1' pos='0 0 0' diaginertia='1 2 2.5' quat='1 1 0 0'/></body>";
        let p = scene("", body).params::<f64>();
        for (found, expected) in p.body_inertia[1].iter().zip([1.0, 2.5, 2.0, 0.0, 0.0, 0.0]) {
            close(*found, expected, 1e-15);
        }
    }

    #[test]
    fn friction_is_mixed_by_maximum_or_by_priority() {
        let world = |priority: i32| {
            format!(
                "<geom type='plane' size='1 1 1' friction='0.3 0.2 0.1'/>
                 <body><freejoint/><geom size='1' friction='0.2 0.4 0' priority='{priority}'/></body>"
            )
        };
        let physics = scene("", &world(0));
        let mut p = physics.params::<f64>();
        assert_eq!(p.pair_friction[0], [0.3, 0.3, 0.4, 0.1, 0.1]);
        p.geom_friction[1][0] = 0.9;
        p.mix_friction(physics.model());
        assert_eq!(p.pair_friction[0][0], 0.9);
        assert_eq!(scene("", &world(1)).params::<f64>().pair_friction[0], [0.2, 0.2, 0.4, 1e-5, 1e-5]);
    }
}
