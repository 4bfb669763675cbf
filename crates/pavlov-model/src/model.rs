//! The compiled robot: an immutable [`Model`] with MuJoCo's meaning and names.
//!
//! Units: m, kg, s, rad, N. Quaternions are `[w, x, y, z]`. Index 0 of `bodies` is the world.
//! Everything here is independent of the state; what is derived from the mass matrix at `qpos0`
//! (`dof_invweight0`, `body_invweight0`, `meaninertia`) is computed by `pavlov-physics`, which owns the mass matrix.
//! Source: MuJoCo's documentation of `mjModel` and of the XML compiler.

/// 3-vector in m (or a direction).
pub type Vec3 = [f64; 3];
/// Quaternion `[w, x, y, z]`, unit length.
pub type Quat = [f64; 4];

/// A compiled robot with its scene. Bodies, joints, dofs and geoms are in depth-first order: a parent precedes its
/// children.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// `<mujoco model="…">`, or the file stem.
    pub name: String,
    /// Simulation options (`<option>`).
    pub opt: Options,
    /// Bodies; `bodies[0]` is the world.
    pub bodies: Vec<Body>,
    /// Joints, grouped by body.
    pub joints: Vec<Joint>,
    /// Degrees of freedom, grouped by joint; `len() == nv`.
    pub dofs: Vec<Dof>,
    /// Geoms, grouped by body.
    pub geoms: Vec<Geom>,
    /// Sites, grouped by body.
    pub sites: Vec<Site>,
    /// Actuators, `len() == nu`.
    pub actuators: Vec<Actuator>,
    /// Fixed tendons that carry neither force nor limit (their length and velocity can be read).
    pub tendons: Vec<FixedTendon>,
    /// Sensors in file order.
    pub sensors: Vec<Sensor>,
    /// Candidate contact pairs left after MuJoCo's static filters, in MuJoCo's order, with mixed parameters.
    pub pairs: Vec<Pair>,
    /// Reference configuration, `len() == nq`.
    pub qpos0: Vec<f64>,
    /// Rest configuration of the joint springs, `len() == nq`.
    pub qpos_spring: Vec<f64>,
    /// `<keyframe>`s.
    pub keyframes: Vec<Keyframe>,
    /// What the reader accepted but a user should know (never a skipped piece of physics).
    pub warnings: Vec<String>,
}

impl Model {
    /// Number of generalised coordinates.
    pub fn nq(&self) -> usize {
        self.qpos0.len()
    }
    /// Number of degrees of freedom.
    pub fn nv(&self) -> usize {
        self.dofs.len()
    }
    /// Number of actuators.
    pub fn nu(&self) -> usize {
        self.actuators.len()
    }
    /// Index of the body called `name`.
    pub fn body(&self, name: &str) -> Option<usize> {
        self.bodies.iter().position(|b| b.name == name)
    }
    /// Index of the joint called `name`.
    pub fn joint(&self, name: &str) -> Option<usize> {
        self.joints.iter().position(|j| j.name == name)
    }
    /// Index of the geom called `name`.
    pub fn geom(&self, name: &str) -> Option<usize> {
        self.geoms.iter().position(|g| g.name == name)
    }
    /// Index of the site called `name`.
    pub fn site(&self, name: &str) -> Option<usize> {
        self.sites.iter().position(|s| s.name == name)
    }
}

/// `<option>`, with MuJoCo's defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Step length, s.
    pub timestep: f64,
    /// m/s².
    pub gravity: Vec3,
    /// Time integration.
    pub integrator: Integrator,
    /// Shape of the friction cone.
    pub cone: Cone,
    /// Solver the file names; the batch engine always uses Newton, which reaches the same optimum.
    pub solver: Solver,
    /// Newton iterations, at most.
    pub iterations: usize,
    /// Line-search evaluations, at most.
    pub ls_iterations: usize,
    /// Stop when the scaled improvement or gradient is below this.
    pub tolerance: f64,
    /// Line-search slope tolerance relative to `tolerance`.
    pub ls_tolerance: f64,
    /// Ratio of frictional to normal constraint impedance.
    pub impratio: f64,
    /// `disable` flag `eulerdamp`: false when joint damping is to be integrated explicitly under Euler.
    pub eulerdamp: bool,
    /// `disable` flag `refsafe`: true when solref's time constant is kept at or above `2 * timestep`.
    pub refsafe: bool,
    /// False when `<flag contact="disable"/>`.
    pub contact: bool,
    /// False when `<flag limit="disable"/>`.
    pub limit: bool,
    /// False when `<flag frictionloss="disable"/>`.
    pub frictionloss: bool,
    /// False when `<flag warmstart="disable"/>`.
    pub warmstart: bool,
}

/// Time integration scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrator {
    /// Semi-implicit Euler (implicit in joint damping unless `eulerdamp` is off).
    Euler,
    /// Fourth-order Runge-Kutta; contact and constraint forces are found anew in each stage.
    Rk4,
    /// Implicit in joint damping and actuator velocity gains, without Coriolis terms.
    ImplicitFast,
}

/// Friction cone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cone {
    /// `2 (condim - 1)` edges.
    Pyramidal,
    /// Second-order cone.
    Elliptic,
}

/// Constraint solver named by the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solver {
    /// Projected Gauss-Seidel.
    Pgs,
    /// Conjugate gradients.
    Cg,
    /// Newton's method.
    Newton,
}

/// A rigid body. Pose is relative to the parent body at `qpos0`.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// Name, or empty.
    pub name: String,
    /// Parent body (0 for the world itself).
    pub parent: usize,
    /// First ancestor-or-self with joints, 0 when welded to the world (`body_weldid`).
    pub weld: usize,
    /// Top-most moving ancestor-or-self, i.e. the child of the world it hangs from (`body_rootid`).
    pub root: usize,
    /// Position in the parent, m.
    pub pos: Vec3,
    /// Orientation in the parent.
    pub quat: Quat,
    /// Mass, kg.
    pub mass: f64,
    /// Centre of mass in the body frame, m.
    pub ipos: Vec3,
    /// Orientation of the principal axes of inertia in the body frame.
    pub iquat: Quat,
    /// Principal moments of inertia about the centre of mass, kg m².
    pub inertia: Vec3,
    /// Fraction of gravity compensated.
    pub gravcomp: f64,
    /// First joint and number of joints.
    pub joints: std::ops::Range<usize>,
    /// First dof and number of dofs.
    pub dofs: std::ops::Range<usize>,
    /// Geoms of this body.
    pub geoms: std::ops::Range<usize>,
}

/// Kind of joint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JointKind {
    /// 7 coordinates (position, quaternion), 6 dofs.
    Free,
    /// Quaternion, 3 dofs.
    Ball,
    /// Translation along the axis.
    Slide,
    /// Rotation about the axis.
    Hinge,
}

/// A joint. `axis` and `pos` are in the frame of the body it moves.
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    /// Name, or empty.
    pub name: String,
    /// Kind.
    pub kind: JointKind,
    /// Body it moves.
    pub body: usize,
    /// First coordinate in `qpos`.
    pub qposadr: usize,
    /// First dof in `qvel`.
    pub dofadr: usize,
    /// Anchor, m.
    pub pos: Vec3,
    /// Unit axis (hinge, slide).
    pub axis: Vec3,
    /// Is `range` enforced?
    pub limited: bool,
    /// rad or m; for a ball joint `range[1]` is the largest angle. What the file says, in its unit, if not `limited`.
    pub range: [f64; 2],
    /// A limit is a constraint when the distance to it is below this.
    pub margin: f64,
    /// solref of the limit.
    pub solref_limit: [f64; 2],
    /// solimp of the limit.
    pub solimp_limit: [f64; 5],
    /// Spring, N m/rad or N/m.
    pub stiffness: f64,
    /// Clamp of the summed actuator force on this joint (`actuatorfrcrange`), if limited.
    pub actfrcrange: Option<[f64; 2]>,
}

/// One degree of freedom.
#[derive(Debug, Clone, PartialEq)]
pub struct Dof {
    /// Body it moves.
    pub body: usize,
    /// Joint it belongs to.
    pub joint: usize,
    /// Previous dof on the way to the root (of the same body, or the last dof of the nearest ancestor that has any).
    pub parent: Option<usize>,
    /// Added to the diagonal of the mass matrix.
    pub armature: f64,
    /// N m s/rad or N s/m.
    pub damping: f64,
    /// Largest dry friction force.
    pub frictionloss: f64,
    /// solref of the friction-loss constraint.
    pub solref_friction: [f64; 2],
    /// solimp of the friction-loss constraint.
    pub solimp_friction: [f64; 5],
}

/// Shape of a geom; MuJoCo's type order, which decides which geom of a pair comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GeomKind {
    /// Half space below the local xy plane; size is for drawing.
    Plane,
    /// `size[0]` = radius.
    Sphere,
    /// `size` = radius, half length along local z.
    Capsule,
    /// `size` = radius, half length. Drawn and weighed, not collided by the batch engine.
    Cylinder,
    /// `size` = half extents.
    Box,
}

/// A geom. Pose is in its body's frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Geom {
    /// Name, or empty.
    pub name: String,
    /// Shape.
    pub kind: GeomKind,
    /// Body it is fixed to.
    pub body: usize,
    /// Position, m.
    pub pos: Vec3,
    /// Orientation.
    pub quat: Quat,
    /// See [`GeomKind`], m.
    pub size: Vec3,
    /// Collision bit mask.
    pub contype: u32,
    /// Collision bit mask.
    pub conaffinity: u32,
    /// Contact dimension asked for: 1, 3, 4 or 6.
    pub condim: u8,
    /// Higher wins all contact parameters of a pair.
    pub priority: i32,
    /// Sliding, torsional, rolling friction.
    pub friction: Vec3,
    /// Weight when solref/solimp of two geoms are mixed.
    pub solmix: f64,
    /// solref of contacts.
    pub solref: [f64; 2],
    /// solimp of contacts.
    pub solimp: [f64; 5],
    /// Contact margin, m.
    pub margin: f64,
    /// Extra detection band, m.
    pub gap: f64,
    /// Visual group.
    pub group: i32,
    /// For drawing.
    pub rgba: [f32; 4],
    /// Radius of the bounding sphere about `pos` (0 for a plane), m.
    pub rbound: f64,
}

/// A named frame on a body.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Name, or empty.
    pub name: String,
    /// Body it is fixed to.
    pub body: usize,
    /// Position in the body, m.
    pub pos: Vec3,
    /// Orientation in the body.
    pub quat: Quat,
    /// For drawing.
    pub size: Vec3,
}

/// An actuator on one joint: `force = gain * ctrl + bias[0] + bias[1] * length + bias[2] * velocity`,
/// `length = gear[0] * q`, generalised force `gear * force`.
#[derive(Debug, Clone, PartialEq)]
pub struct Actuator {
    /// Name, or empty.
    pub name: String,
    /// Joint it drives (hinge or slide).
    pub joint: usize,
    /// Transmission ratio.
    pub gear: f64,
    /// Gain on ctrl.
    pub gain: f64,
    /// Affine bias.
    pub bias: [f64; 3],
    /// Clamp of ctrl, if limited.
    pub ctrlrange: Option<[f64; 2]>,
    /// Clamp of force, if limited.
    pub forcerange: Option<[f64; 2]>,
    /// What the file called it.
    pub kind: ActuatorKind,
}

/// Shortcut the file used for an actuator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActuatorKind {
    /// Gain 1, no bias.
    Motor,
    /// Gain kp, bias (0, -kp, -kv).
    Position,
    /// Gain kv, bias (0, 0, -kv).
    Velocity,
    /// `<general>` with fixed gain and none/affine bias.
    General,
}

/// A fixed tendon: `length = Σ coef * q`.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedTendon {
    /// Name, or empty.
    pub name: String,
    /// (joint, coefficient).
    pub wraps: Vec<(usize, f64)>,
}

/// A sensor: what it measures, and of what.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    /// Name, or empty.
    pub name: String,
    /// Quantity.
    pub kind: SensorKind,
    /// Index of the site, joint, actuator, body or geom it measures (by kind).
    pub object: usize,
    /// Number of values.
    pub dim: usize,
}

/// Sensors that are understood. Where MuJoCo lets the object be several things, `FrameObject` says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SensorKind {
    /// Linear acceleration with gravity, in the site frame.
    Accelerometer,
    /// Angular velocity in the site frame.
    Gyro,
    /// Linear velocity in the site frame.
    Velocimeter,
    /// Sum of normal contact forces within the site's volume, N.
    Touch,
    /// Joint position.
    JointPos,
    /// Joint velocity.
    JointVel,
    /// Actuator force.
    ActuatorFrc,
    /// Position of an object.
    FramePos(FrameObject),
    /// Orientation of an object.
    FrameQuat(FrameObject),
    /// Linear velocity of an object, world axes.
    FrameLinVel(FrameObject),
    /// Angular velocity of an object, world axes.
    FrameAngVel(FrameObject),
    /// z axis of an object, world axes.
    FrameZAxis(FrameObject),
    /// Centre of mass of the subtree of a body.
    SubtreeCom,
    /// Linear velocity of the centre of mass of the subtree of a body.
    SubtreeLinVel,
}

/// What a frame sensor is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameObject {
    /// Body frame at the centre of mass (MuJoCo's `body`).
    Body,
    /// Body frame at the body origin (MuJoCo's `xbody`).
    XBody,
    /// Geom frame.
    Geom,
    /// Site frame.
    Site,
}

/// A pair of geoms that may touch, with `kind(geom1) <= kind(geom2)`; the contact normal points from geom1 to geom2.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// First geom.
    pub geom1: usize,
    /// Second geom.
    pub geom2: usize,
    /// Contact dimension: 1, 3, 4 or 6.
    pub condim: u8,
    /// Force when distance < margin.
    pub margin: f64,
    /// Detected when distance < margin + gap.
    pub gap: f64,
    /// slide, slide, torsion, roll, roll; at least 1e-5.
    pub friction: [f64; 5],
    /// Mixed solref.
    pub solref: [f64; 2],
    /// Mixed solimp.
    pub solimp: [f64; 5],
    /// Which geom's friction counts (priority), or both by maximum. Needed when friction is changed per world.
    pub friction_from: FrictionFrom,
    /// Largest number of contact points of this pair of shapes.
    pub max_contacts: usize,
}

/// Where a pair's friction comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrictionFrom {
    /// geom1 has priority.
    Geom1,
    /// geom2 has priority.
    Geom2,
    /// Elementwise maximum.
    Max,
    /// An explicit `<pair>`.
    Explicit,
}

/// A stored state.
#[derive(Debug, Clone, PartialEq)]
pub struct Keyframe {
    /// Name, or empty.
    pub name: String,
    /// Time, s.
    pub time: f64,
    /// Coordinates.
    pub qpos: Vec<f64>,
    /// Velocities.
    pub qvel: Vec<f64>,
    /// Controls.
    pub ctrl: Vec<f64>,
}
