//! A rapier scene from a robot: links with their exact mass properties, multibody joints, colliders.
//!
//! Mass properties come from [`Params`], never from colliders (whose density is zero). Every tree hangs from a fixed
//! body of its own; a free joint is a multibody joint with all six axes free. Frames: a joint's axis is the local x of
//! both joint frames, which stand in its anchor.

use super::layout::Layout;
use crate::params::Params;
use crate::topology::Topology;
use pavlov_model::{GeomKind, Joint, JointKind, Model};
use rapier3d::na;
use rapier3d::prelude::*;

/// Everything rapier steps.
#[derive(Clone)]
pub(crate) struct Sets {
    pub bodies: RigidBodySet,
    pub colliders: ColliderSet,
    pub multibodies: MultibodyJointSet,
    pub impulse_joints: ImpulseJointSet,
    pub soft: SoftBodySet,
    pub islands: IslandManager,
    pub broad_phase: BroadPhaseBvh,
    pub narrow_phase: NarrowPhase,
    pub ccd: CCDSolver,
}

/// Where a link is in rapier's sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub body: RigidBodyHandle,
    pub multibody: MultibodyIndex,
    /// Link of the multibody.
    pub link: usize,
    /// First of its dofs in the multibody's vectors.
    pub dof: usize,
}

/// A scene at `qpos0` and what is known about it.
#[derive(Clone)]
pub(crate) struct Built {
    pub sets: Sets,
    pub places: Vec<Place>,
    /// The joints with zero coordinates.
    pub joints: Vec<MultibodyJoint>,
    /// Pose of each body in its link (in the world for what is fixed).
    pub body_pose: Vec<Pose>,
    /// Pose of each geom in its link (or the world).
    pub geom_pose: Vec<Pose>,
    /// Mass, centre of mass and inertia of each link, its frame.
    pub link_mass: Vec<MassProperties>,
}

pub(crate) fn vector(v: [f64; 3]) -> Vector {
    Vector::new(v[0], v[1], v[2])
}

/// From `[w, x, y, z]`.
pub(crate) fn rotation(q: [f64; 4]) -> Rotation {
    Rotation::from_xyzw(q[1], q[2], q[3], q[0]).normalize()
}

fn pose(pos: [f64; 3], quat: [f64; 4]) -> Pose {
    Pose::from_parts(vector(pos), rotation(quat))
}

/// Builds the scene of one world.
pub(crate) fn build(model: &Model, topo: &Topology, layout: &Layout, params: &Params<f64>) -> Built {
    let mut body_pose = vec![Pose::IDENTITY; model.bodies.len()];
    for (b, body) in model.bodies.iter().enumerate().skip(1) {
        if body.joints.is_empty() {
            body_pose[b] = body_pose[body.parent] * pose(params.body_pos[b], params.body_quat[b]);
        }
    }
    let mut sets = Sets {
        bodies: RigidBodySet::new(),
        colliders: ColliderSet::new(),
        multibodies: MultibodyJointSet::new(),
        impulse_joints: ImpulseJointSet::new(),
        soft: SoftBodySet::new(),
        islands: IslandManager::new(),
        broad_phase: BroadPhaseBvh::new(),
        narrow_phase: NarrowPhase::new(),
        ccd: CCDSolver::new(),
    };
    let mut handles: Vec<RigidBodyHandle> = Vec::with_capacity(layout.links.len());
    let mut link_mass: Vec<MassProperties> = Vec::with_capacity(layout.links.len());
    for (l, link) in layout.links.iter().enumerate() {
        let mass = carried_mass(model, layout, params, &body_pose, l);
        link_mass.push(mass);
        let body = RigidBodyBuilder::dynamic().additional_mass_properties(mass).can_sleep(false);
        handles.push(sets.bodies.insert(body));
        let parent = match link.parent {
            Some(parent) => handles[parent],
            None => sets.bodies.insert(RigidBodyBuilder::fixed()),
        };
        let joint = joint(model, params, &body_pose, layout, l);
        let inserted = sets.multibodies.insert(parent, handles[l], joint, true);
        assert!(inserted.is_some(), "links are a tree, parents first");
    }
    let geom_pose: Vec<Pose> = (0..model.geoms.len())
        .map(|g| body_pose[model.geoms[g].body] * pose(params.geom_pos[g], params.geom_quat[g]))
        .collect();
    for g in (0..model.geoms.len()).filter(|&g| topo.geom_collides[g]) {
        let Some(shape) = shape(model.geoms[g].kind, params.geom_size[g]) else { continue };
        let collider = ColliderBuilder::new(shape)
            .position(geom_pose[g])
            .density(0.0)
            .restitution(0.0)
            .contact_skin(model.geoms[g].margin)
            .active_hooks(ActiveHooks::FILTER_CONTACT_PAIRS | ActiveHooks::MODIFY_SOLVER_CONTACTS)
            .user_data(g as u128);
        match layout.body_link[model.geoms[g].body] {
            Some(link) => sets.colliders.insert_with_parent(collider, handles[link], &mut sets.bodies),
            None => sets.colliders.insert(collider),
        };
    }
    let places = finish(model, layout, params, &mut sets, &handles);
    let joints = places.iter().map(|p| joint_of(&sets, p)).collect();
    Built { sets, places, joints, body_pose, geom_pose, link_mass }
}

fn joint_of(sets: &Sets, place: &Place) -> MultibodyJoint {
    match sets.multibodies.get_multibody(place.multibody).and_then(|m| m.link(place.link)) {
        Some(link) => link.joint,
        None => unreachable!("a link that was just inserted"),
    }
}

/// Fixes the roots (which drops their six dofs) and sets armature and dry friction of every dof. Damping is set in
/// every step.
fn finish(
    model: &Model,
    layout: &Layout,
    params: &Params<f64>,
    sets: &mut Sets,
    handles: &[RigidBodyHandle],
) -> Vec<Place> {
    let mut places = Vec::with_capacity(handles.len());
    for (l, link) in layout.links.iter().enumerate() {
        let Some(id) = sets.multibodies.rigid_body_link(handles[l]).copied() else { continue };
        let Some(multibody) = sets.multibodies.get_multibody_mut(id.multibody) else { continue };
        if link.parent.is_none() {
            multibody.forward_kinematics(&sets.bodies, true);
        }
        let Some(dof) = multibody.link(id.id).map(|l| l.assembly_id()) else { continue };
        let joint = &model.joints[link.joint];
        for k in 0..super::layout::dofs(joint.kind) {
            let i = joint.dofadr + k;
            multibody.armature_mut()[dof + k] = params.dof_armature[i];
            multibody.frictions_mut()[dof + k] = if model.opt.frictionloss { params.dof_frictionloss[i] } else { 0.0 };
        }
        places.push(Place { body: handles[l], multibody: id.multibody, link: id.id, dof });
    }
    places
}

/// Mass, centre of mass and inertia of everything that link `l` carries, in its frame.
fn carried_mass(model: &Model, layout: &Layout, params: &Params<f64>, body_pose: &[Pose], l: usize) -> MassProperties {
    let carried = || (1..model.bodies.len()).filter(|&b| layout.body_link[b] == Some(l));
    if !layout.links[l].last {
        return MassProperties::default();
    }
    let mass: f64 = carried().map(|b| params.body_mass[b]).sum();
    if mass <= 0.0 {
        return MassProperties::default();
    }
    let at = |b: usize| body_pose[b] * vector(params.body_ipos[b]);
    let com = carried().fold(Vector::ZERO, |sum, b| sum + at(b) * params.body_mass[b]) / mass;
    let mut tensor = na::Matrix3::<f64>::zeros();
    for b in carried() {
        let i = &params.body_inertia[b];
        let inertia = na::Matrix3::new(i[0], i[3], i[4], i[3], i[1], i[5], i[4], i[5], i[2]);
        let x = body_pose[b].rotation * Vector::X;
        let y = body_pose[b].rotation * Vector::Y;
        let z = body_pose[b].rotation * Vector::Z;
        let r = na::Matrix3::new(x.x, y.x, z.x, x.y, y.y, z.y, x.z, y.z, z.z);
        let d = at(b) - com;
        let d = na::Vector3::new(d.x, d.y, d.z);
        tensor += r * inertia * r.transpose()
            + (na::Matrix3::identity() * d.norm_squared() - d * d.transpose()) * params.body_mass[b];
    }
    let eigen = tensor.symmetric_eigen();
    let mut axes = eigen.eigenvectors;
    if axes.determinant() < 0.0 {
        axes.column_mut(2).neg_mut();
    }
    let column = |k: usize| Vector::new(axes[(0, k)], axes[(1, k)], axes[(2, k)]);
    let frame = Rotation::from_mat3(&Matrix::from_cols(column(0), column(1), column(2))).normalize();
    let moments = Vector::new(eigen.eigenvalues[0], eigen.eigenvalues[1], eigen.eigenvalues[2]);
    MassProperties::with_principal_inertia_frame(com, mass, moments, frame)
}

/// Rapier's description of the joint of link `l`.
fn joint(model: &Model, params: &Params<f64>, body_pose: &[Pose], layout: &Layout, l: usize) -> GenericJoint {
    let link = &layout.links[l];
    let joint = &model.joints[link.joint];
    let body = &model.bodies[link.body];
    let before = match (joint.kind, link.first) {
        (JointKind::Free, _) => return GenericJointBuilder::new(JointAxesMask::empty()).build(),
        (_, true) => body_pose[body.parent] * pose(params.body_pos[link.body], params.body_quat[link.body]),
        (_, false) => Pose::IDENTITY,
    };
    let axes = match joint.kind {
        JointKind::Hinge => JointAxesMask::ANG_X,
        JointKind::Slide => JointAxesMask::LIN_X,
        JointKind::Ball | JointKind::Free => JointAxesMask::ANG_AXES,
    };
    let align = match joint.kind {
        JointKind::Hinge | JointKind::Slide => {
            Rotation::from_rotation_arc(Vector::X, vector(params.jnt_axis[link.joint]).normalize())
        }
        JointKind::Ball | JointKind::Free => Rotation::IDENTITY,
    };
    let anchor = Pose::from_parts(vector(params.jnt_pos[link.joint]), align);
    let mut builder =
        GenericJointBuilder::new(JointAxesMask::all() & !axes).local_frame1(before * anchor).local_frame2(anchor);
    if joint.limited && model.opt.limit && joint.kind != JointKind::Ball {
        let axis = if joint.kind == JointKind::Hinge { JointAxis::AngX } else { JointAxis::LinX };
        let zero = params.qpos0[joint.qposadr];
        builder = builder.limits(axis, params.jnt_range[link.joint].map(|r| r - zero));
    }
    builder.softness(softness(model, joint)).build()
}

/// MuJoCo's `solref` and `solimp` of a limit as rapier's spring, so that rapier's substeps correct the same part of the
/// error per second (k/b of the reference acceleration) and are as soft (R = (1 - d)/d of the inverse inertia).
fn softness(model: &Model, joint: &Joint) -> SpringCoefficients<f64> {
    let substep = model.opt.timestep / super::scene::SUBSTEPS as f64;
    let (stiffness, damping) = reference(model, joint);
    let per_second = stiffness / damping;
    let erp = (per_second * substep).min(0.5);
    let d = joint.solimp_limit[1].clamp(0.01, 0.9999);
    let ratio = (1.0 - erp) / (4.0 * erp * (1.0 - d) / d).sqrt();
    let frequency = 2.0 * ratio * (erp / substep) / (1.0 - erp);
    SpringCoefficients::new(frequency / std::f64::consts::TAU, ratio)
}

/// Stiffness and damping of a limit's reference acceleration, 1/s² and 1/s (MuJoCo's meaning of `solref`).
pub(crate) fn reference(model: &Model, joint: &Joint) -> (f64, f64) {
    let [mut time, ratio] = joint.solref_limit;
    let d = joint.solimp_limit[1].clamp(0.01, 0.9999);
    if time <= 0.0 {
        return (-time / (d * d), (-ratio / d).max(1e-3));
    }
    if model.opt.refsafe {
        time = time.max(2.0 * model.opt.timestep);
    }
    (1.0 / (d * time * ratio).powi(2), 2.0 / (d * time))
}

fn shape(kind: GeomKind, size: [f64; 3]) -> Option<SharedShape> {
    Some(match kind {
        GeomKind::Plane => SharedShape::halfspace(Vector::Z),
        GeomKind::Sphere => SharedShape::ball(size[0]),
        GeomKind::Capsule => SharedShape::capsule_z(size[1], size[0]),
        GeomKind::Box => SharedShape::cuboid(size[0], size[1], size[2]),
        // refused by the reader wherever it could touch something
        GeomKind::Cylinder => return None,
    })
}
