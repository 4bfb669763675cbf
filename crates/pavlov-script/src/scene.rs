//! What a script may name (`Scene`) and the scalar columns it may read (`Channel`, `Input`).
//!
//! Units: metres, seconds, radians, newtons, newton metres. Vectors are in world axes unless a name says `local`;
//! quaternions are `w, x, y, z` and turn body axes into world axes.
//! Columns are laid out `[input][stride]`, one number a world.

use serde::{Deserialize, Serialize};

/// Names and sizes of one task's robot, sensors, commands and actions. The environment builds it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// Names of the bodies, in the model's order (the world body included, as MuJoCo does).
    pub bodies: Vec<String>,
    /// Joints in the model's order, free and ball joints included.
    pub joints: Vec<JointInfo>,
    /// Names of the actuators.
    pub actuators: Vec<String>,
    /// Names of the sites.
    pub sites: Vec<String>,
    /// Names of the feet (bodies, geoms or sites of the task file), in the order of `s.feet`.
    pub feet: Vec<String>,
    /// Sensors with the number of values each gives.
    pub sensors: Vec<SensorInfo>,
    /// Names of the command's fields.
    pub commands: Vec<String>,
    /// Length of the action.
    pub action_dim: usize,
    /// Length of `qpos`.
    pub nq: usize,
    /// Length of `qvel`.
    pub nv: usize,
    /// Seconds between two control steps (what `s.dt` gives).
    pub dt: f64,
    /// Folders in which `import "lib/..."` is looked up, in order; none: nothing can be imported.
    #[serde(skip)]
    pub lib: Vec<std::path::PathBuf>,
}

/// One joint as scripts see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JointInfo {
    /// Name in the model.
    pub name: String,
    /// True for hinge and slide joints, which have one position and one velocity.
    pub scalar: bool,
    /// Position range in rad or m; `None` when unlimited.
    pub range: Option<[f64; 2]>,
    /// Position in the default pose, in rad or m.
    pub default: f64,
}

/// One sensor as scripts see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SensorInfo {
    /// Name in the model.
    pub name: String,
    /// Number of values.
    pub dim: usize,
}

/// One scalar quantity of one world. Indices are those of the lists of [`Scene`]; `axis` is 0 to 2 (x, y, z),
/// for quaternions 0 to 3 (w, x, y, z).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Channel {
    /// Seconds since the episode began.
    Time,
    /// Control steps since the episode began.
    EpisodeStep,
    /// Entry of `qpos`.
    Qpos(u16),
    /// Entry of `qvel`.
    Qvel(u16),
    /// Position of the body frame, world axes (m).
    BodyPos {
        #[doc = "Body."]
        body: u16,
        #[doc = "Axis."]
        axis: u8,
    },
    /// Orientation of the body frame.
    BodyQuat {
        #[doc = "Body."]
        body: u16,
        #[doc = "Component: w, x, y, z."]
        axis: u8,
    },
    /// Velocity of the body frame's origin, world axes (m/s).
    BodyLinVel {
        #[doc = "Body."]
        body: u16,
        #[doc = "Axis."]
        axis: u8,
    },
    /// Angular velocity of the body, world axes (rad/s).
    BodyAngVel {
        #[doc = "Body."]
        body: u16,
        #[doc = "Axis."]
        axis: u8,
    },
    /// Sum of the contact forces on the body, world axes (N).
    BodyForce {
        #[doc = "Body."]
        body: u16,
        #[doc = "Axis."]
        axis: u8,
    },
    /// 1 while the body touches something, else 0.
    BodyContact(u16),
    /// Position of a hinge (rad) or slide (m) joint.
    JointPos(u16),
    /// Velocity of a hinge or slide joint.
    JointVel(u16),
    /// Force of the actuators on the joint (`qfrc_actuator`; N m or N).
    JointTorque(u16),
    /// Acceleration of the joint (`qacc`).
    JointAcc(u16),
    /// Force of an actuator (`actuator_force`).
    ActuatorForce(u16),
    /// Control signal of an actuator (`ctrl`).
    ActuatorCtrl(u16),
    /// Position of a foot, world axes (m).
    FootPos {
        #[doc = "Foot."]
        foot: u16,
        #[doc = "Axis."]
        axis: u8,
    },
    /// Velocity of a foot, world axes (m/s).
    FootVel {
        #[doc = "Foot."]
        foot: u16,
        #[doc = "Axis."]
        axis: u8,
    },
    /// Sum of the contact forces on a foot, world axes (N).
    FootForce {
        #[doc = "Foot."]
        foot: u16,
        #[doc = "Axis."]
        axis: u8,
    },
    /// 1 while the foot touches something, else 0.
    FootContact(u16),
    /// Position of a site, world axes (m).
    SitePos {
        #[doc = "Site."]
        site: u16,
        #[doc = "Axis."]
        axis: u8,
    },
    /// Velocity of a site, world axes (m/s).
    SiteVel {
        #[doc = "Site."]
        site: u16,
        #[doc = "Axis."]
        axis: u8,
    },
    /// Value `k` of a sensor.
    Sensor {
        #[doc = "Sensor."]
        sensor: u16,
        #[doc = "Value within the sensor."]
        k: u16,
    },
    /// Entry of `cfrc_ext`, six a body: torque and force about the centre of mass of the tree (N m, N).
    CfrcExt(u16),
    /// Centre of mass of the robot, world axes (m).
    Com(u8),
    /// Velocity of the centre of mass, world axes (m/s).
    ComVel(u8),
    /// Entry of the action that led to this state.
    Action(u16),
    /// Entry of the action before that (zero at the start of an episode).
    PrevAction(u16),
    /// Field of the command.
    Command(u16),
    /// 1 when the task ends the episode in this state (not by its time limit). For what follows a script, not for
    /// scripts.
    Terminated,
    /// 1 when the task's success holds in this state. For what follows a script, not for scripts.
    Success,
    /// Column of a source that is no script (native plugin, baseline, learned model). For what follows a script, not
    /// for scripts.
    Source(u16),
}

impl Channel {
    /// Is it known only after the task's own scripts have run? Scripts cannot name these.
    pub fn is_derived(self) -> bool {
        matches!(self, Channel::Terminated | Channel::Success | Channel::Source(_))
    }
}

/// A channel now or before the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Input {
    /// What is read.
    pub channel: Channel,
    /// True for `s.prev`: the value in the state before the step (at the start of an episode: the state after the
    /// reset).
    pub prev: bool,
}

impl Input {
    /// The channel in the state after the step.
    pub fn now(channel: Channel) -> Self {
        Self { channel, prev: false }
    }

    /// The channel in the state before the step.
    pub fn prev(channel: Channel) -> Self {
        Self { channel, prev: true }
    }

    /// Name for messages, as one would write it in a script.
    pub fn describe(&self, scene: &Scene) -> String {
        let root = if self.prev { "s.prev" } else { "s" };
        format!("{root}.{}", self.channel.describe(scene))
    }
}

const XYZ: [&str; 3] = ["x", "y", "z"];
const WXYZ: [&str; 4] = ["w", "x", "y", "z"];

impl Channel {
    /// Name for messages, as one would write it after `s.`.
    pub fn describe(&self, scene: &Scene) -> String {
        let name = |list: &[String], i: u16| list.get(usize::from(i)).cloned().unwrap_or_else(|| i.to_string());
        let joint = |i: u16| scene.joints.get(usize::from(i)).map_or_else(|| i.to_string(), |j| j.name.clone());
        let axis = |a: u8| XYZ.get(usize::from(a)).copied().unwrap_or("?");
        let body = |i: u16| format!("body(\"{}\")", name(&scene.bodies, i));
        match *self {
            Channel::Time => "time".into(),
            Channel::EpisodeStep => "step".into(),
            Channel::Qpos(i) => format!("qpos[{i}]"),
            Channel::Qvel(i) => format!("qvel[{i}]"),
            Channel::BodyPos { body: b, axis: a } => format!("{}.pos.{}", body(b), axis(a)),
            Channel::BodyQuat { body: b, axis: a } => {
                format!("{}.quat.{}", body(b), WXYZ.get(usize::from(a)).copied().unwrap_or("?"))
            }
            Channel::BodyLinVel { body: b, axis: a } => format!("{}.linvel.{}", body(b), axis(a)),
            Channel::BodyAngVel { body: b, axis: a } => format!("{}.angvel.{}", body(b), axis(a)),
            Channel::BodyForce { body: b, axis: a } => format!("{}.force.{}", body(b), axis(a)),
            Channel::BodyContact(b) => format!("{}.contact", body(b)),
            Channel::JointPos(j) => format!("joint(\"{}\").pos", joint(j)),
            Channel::JointVel(j) => format!("joint(\"{}\").vel", joint(j)),
            Channel::JointTorque(j) => format!("joint(\"{}\").torque", joint(j)),
            Channel::JointAcc(j) => format!("joint(\"{}\").acc", joint(j)),
            Channel::ActuatorForce(a) => format!("actuators[{a}].force"),
            Channel::ActuatorCtrl(a) => format!("actuators[{a}].ctrl"),
            Channel::FootPos { foot, axis: a } => format!("feet[{foot}].pos.{}", axis(a)),
            Channel::FootVel { foot, axis: a } => format!("feet[{foot}].vel.{}", axis(a)),
            Channel::FootForce { foot, axis: a } => format!("feet[{foot}].force.{}", axis(a)),
            Channel::FootContact(foot) => format!("feet[{foot}].contact"),
            Channel::SitePos { site, axis: a } => format!("site(\"{}\").pos.{}", name(&scene.sites, site), axis(a)),
            Channel::SiteVel { site, axis: a } => format!("site(\"{}\").linvel.{}", name(&scene.sites, site), axis(a)),
            Channel::Sensor { sensor, k } => {
                let n = scene.sensors.get(usize::from(sensor)).map_or_else(|| sensor.to_string(), |s| s.name.clone());
                format!("sensor(\"{n}\")[{k}]")
            }
            Channel::CfrcExt(i) => format!("cfrc_ext[{i}]"),
            Channel::Com(a) => format!("com.pos.{}", axis(a)),
            Channel::ComVel(a) => format!("com.linvel.{}", axis(a)),
            Channel::Action(i) => format!("action[{i}]"),
            Channel::PrevAction(i) => format!("prev_action[{i}]"),
            Channel::Command(i) => format!("command.{}", name(&scene.commands, i)),
            Channel::Terminated => "terminated".into(),
            Channel::Success => "success".into(),
            Channel::Source(i) => format!("source[{i}]"),
        }
    }
}

impl Scene {
    /// Every channel there is for this scene, in a fixed order. A script that runs by the interpreter reads all of
    /// them.
    pub fn channels(&self) -> Vec<Channel> {
        let mut out = vec![Channel::Time, Channel::EpisodeStep];
        out.extend((0..self.nq as u16).map(Channel::Qpos));
        out.extend((0..self.nv as u16).map(Channel::Qvel));
        for body in 0..self.bodies.len() as u16 {
            out.extend((0..3).map(|axis| Channel::BodyPos { body, axis }));
            out.extend((0..4).map(|axis| Channel::BodyQuat { body, axis }));
            out.extend((0..3).map(|axis| Channel::BodyLinVel { body, axis }));
            out.extend((0..3).map(|axis| Channel::BodyAngVel { body, axis }));
            out.extend((0..3).map(|axis| Channel::BodyForce { body, axis }));
            out.push(Channel::BodyContact(body));
        }
        for (j, _) in self.joints.iter().enumerate().filter(|(_, j)| j.scalar) {
            let j = j as u16;
            out.extend([Channel::JointPos(j), Channel::JointVel(j), Channel::JointTorque(j), Channel::JointAcc(j)]);
        }
        for a in 0..self.actuators.len() as u16 {
            out.extend([Channel::ActuatorForce(a), Channel::ActuatorCtrl(a)]);
        }
        for foot in 0..self.feet.len() as u16 {
            out.extend((0..3).map(|axis| Channel::FootPos { foot, axis }));
            out.extend((0..3).map(|axis| Channel::FootVel { foot, axis }));
            out.extend((0..3).map(|axis| Channel::FootForce { foot, axis }));
            out.push(Channel::FootContact(foot));
        }
        for site in 0..self.sites.len() as u16 {
            out.extend((0..3).map(|axis| Channel::SitePos { site, axis }));
            out.extend((0..3).map(|axis| Channel::SiteVel { site, axis }));
        }
        for (sensor, info) in self.sensors.iter().enumerate() {
            out.extend((0..info.dim as u16).map(|k| Channel::Sensor { sensor: sensor as u16, k }));
        }
        out.extend((0..6 * self.bodies.len() as u16).map(Channel::CfrcExt));
        out.extend((0..3).map(Channel::Com));
        out.extend((0..3).map(Channel::ComVel));
        out.extend((0..self.action_dim as u16).map(Channel::Action));
        out.extend((0..self.action_dim as u16).map(Channel::PrevAction));
        out.extend((0..self.commands.len() as u16).map(Channel::Command));
        out
    }
}

impl Scene {
    /// What can be recorded for later: every channel of the robot, and whether the task ended or succeeded in the step.
    pub fn recorded(&self) -> Vec<Channel> {
        let mut channels = self.channels();
        for derived in [Channel::Terminated, Channel::Success] {
            if !channels.contains(&derived) {
                channels.push(derived);
            }
        }
        channels
    }
}

/// A small quadruped for tests.
#[cfg(test)]
pub(crate) fn example() -> Scene {
    let joint = |name: &str, scalar| JointInfo { name: name.into(), scalar, range: Some([-1.0, 1.0]), default: 0.1 };
    Scene {
        bodies: vec!["world".into(), "torso".into(), "leg".into()],
        joints: vec![joint("root", false), joint("hip", true), joint("knee", true)],
        actuators: vec!["hip".into(), "knee".into()],
        sites: vec!["imu".into()],
        feet: vec!["left".into(), "right".into()],
        sensors: vec![SensorInfo { name: "gyro".into(), dim: 3 }],
        commands: vec!["vx".into(), "vy".into()],
        action_dim: 2,
        nq: 9,
        nv: 8,
        dt: 0.02,
        lib: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_distinct_and_described_by_script_text() {
        let scene = Scene {
            bodies: vec!["world".into(), "torso".into()],
            joints: vec![JointInfo { name: "hip".into(), scalar: true, range: None, default: 0.0 }],
            actuators: vec!["m".into()],
            sites: vec!["imu".into()],
            feet: vec!["fl".into()],
            sensors: vec![SensorInfo { name: "gyro".into(), dim: 3 }],
            commands: vec!["vx".into()],
            action_dim: 1,
            nq: 8,
            nv: 7,
            dt: 0.02,
            lib: Vec::new(),
        };
        let channels = scene.channels();
        let names: std::collections::BTreeSet<String> = channels.iter().map(|c| c.describe(&scene)).collect();
        assert_eq!(names.len(), channels.len());
        assert!(names.contains("body(\"torso\").quat.w") && names.contains("sensor(\"gyro\")[2]"));
        let text = Input::prev(Channel::Command(0)).describe(&scene);
        assert_eq!(text, "s.prev.command.vx");
    }
}
