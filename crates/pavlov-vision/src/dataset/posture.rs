//! Which posture a state is, from where its parts are. Heights are above the ground in m, axes are unit vectors in the
//! world.

use pavlov_model::Model;
use pavlov_physics::Data;

/// The shipped robots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Robot {
    /// `humanoid.xml`
    Humanoid,
    /// `ant.xml`
    Ant,
    /// `go1.xml`
    Go1,
    /// `half_cheetah.xml`
    Cheetah,
    /// `hopper.xml`
    Hopper,
    /// `walker2d.xml`
    Walker,
    /// `cartpole.xml`
    Cartpole,
}

impl Robot {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Humanoid, Self::Ant, Self::Go1, Self::Cheetah, Self::Hopper, Self::Walker, Self::Cartpole];

    /// Robot file.
    pub fn file(self) -> &'static str {
        match self {
            Self::Humanoid => "humanoid.xml",
            Self::Ant => "ant.xml",
            Self::Go1 => "go1.xml",
            Self::Cheetah => "half_cheetah.xml",
            Self::Hopper => "hopper.xml",
            Self::Walker => "walker2d.xml",
            Self::Cartpole => "cartpole.xml",
        }
    }

    /// Postures that have a name.
    pub fn postures(self) -> &'static [Posture] {
        use Posture::*;
        match self {
            Self::Humanoid => &[
                Standing, ArmsRaised, OneLeg, Bowing, Crouching, Kneeling, Sitting, AllFours, OnBack, FaceDown, OnSide,
                UpsideDown,
            ],
            Self::Ant => &[Standing, Crouching, LegRaised, Tilted, OnSide, UpsideDown],
            Self::Go1 => &[Standing, Crouching, LegRaised, Sitting, Rearing, OnSide, UpsideDown],
            Self::Cheetah => &[Standing, NoseUp, NoseDown, UpsideDown, Jumping],
            Self::Hopper => &[Standing, Crouching, Tilted, LyingFlat, Jumping],
            Self::Walker => &[Standing, Crouching, OneLeg, Tilted, LyingFlat, Jumping],
            Self::Cartpole => &[PoleUp, PoleDown, PoleLevel, PoleTilted],
        }
    }
}

/// A posture with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it; `judge` says exactly")]
pub enum Posture {
    Standing,
    ArmsRaised,
    OneLeg,
    Bowing,
    Crouching,
    Kneeling,
    Sitting,
    AllFours,
    OnBack,
    FaceDown,
    OnSide,
    UpsideDown,
    LegRaised,
    Tilted,
    Rearing,
    NoseUp,
    NoseDown,
    Jumping,
    LyingFlat,
    PoleUp,
    PoleDown,
    PoleLevel,
    PoleTilted,
}

/// Name of a posture in the truth of a data set.
pub fn name_of(posture: Option<Posture>) -> String {
    posture.map_or_else(|| "none".into(), |p| format!("{p:?}"))
}

/// Where the parts of a robot are.
struct Parts<'a> {
    model: &'a Model,
    data: &'a Data<f64>,
}

impl Parts<'_> {
    fn body(&self, name: &str) -> usize {
        self.model.body(name).unwrap_or(1)
    }
    fn height(&self, name: &str) -> f64 {
        self.data.xpos[self.body(name)][2]
    }
    /// Height of a geom's middle.
    fn geom(&self, name: &str) -> f64 {
        let g = &self.model.geoms[self.model.geom(name).unwrap_or(0)];
        let m = &self.data.xmat[g.body];
        self.data.xpos[g.body][2] + (0..3).map(|k| mat(m, 2, k) * g.pos[k]).sum::<f64>()
    }
    /// World z of a body's axis 0, 1 or 2.
    fn up(&self, name: &str, axis: usize) -> f64 {
        mat(&self.data.xmat[self.body(name)], 2, axis)
    }
    /// Angle of a joint.
    fn joint(&self, name: &str) -> f64 {
        self.model.joint(name).map_or(0.0, |j| self.data.state.qpos[self.model.joints[j].qposadr])
    }
}

fn mat(m: &[[f64; 3]; 3], row: usize, column: usize) -> f64 {
    m[row][column]
}

/// The posture of a state whose kinematics are known, if it is a clear one. `lowest` is the height of the robot's
/// lowest point.
pub fn judge(robot: Robot, model: &Model, data: &Data<f64>, lowest: f64) -> Option<Posture> {
    let parts = Parts { model, data };
    match robot {
        Robot::Humanoid => humanoid(&parts),
        Robot::Ant => ant(&parts),
        Robot::Go1 => go1(&parts),
        Robot::Cheetah => cheetah(&parts, lowest),
        Robot::Hopper | Robot::Walker => biped(robot, &parts, lowest),
        Robot::Cartpole => cartpole(&parts),
    }
}

fn humanoid(p: &Parts<'_>) -> Option<Posture> {
    let (up, front, left) = (p.up("torso", 2), p.up("torso", 0), p.up("torso", 1));
    let (torso, head, pelvis) = (p.height("torso"), p.geom("head"), p.height("pelvis"));
    let knees = [p.height("right_shin"), p.height("left_shin")];
    let feet = [p.geom("right_foot"), p.geom("left_foot")];
    let hands = [p.geom("right_hand"), p.geom("left_hand")];
    let max = |a: [f64; 2]| a[0].max(a[1]);
    let min = |a: [f64; 2]| a[0].min(a[1]);
    if up < -0.75 {
        return (min(feet) > head + 0.5).then_some(Posture::UpsideDown);
    }
    if torso < 0.36 && max(knees) < 0.55 {
        return match (front, left.abs()) {
            (f, _) if f > 0.8 && pelvis < 0.35 => Some(Posture::OnBack),
            (f, _) if f < -0.8 && pelvis < 0.35 => Some(Posture::FaceDown),
            (_, l) if l > 0.75 && pelvis < 0.42 => Some(Posture::OnSide),
            _ => None,
        };
    }
    if front < -0.6 && max(knees) < 0.3 && (0.38..0.85).contains(&torso) && min(hands) < 0.3 && pelvis > 0.35 {
        return Some(Posture::AllFours);
    }
    if front < -0.5 && up < 0.8 && pelvis > 0.7 && max(feet) < 0.35 {
        return Some(Posture::Bowing);
    }
    if up < 0.7 {
        return None;
    }
    if pelvis < 0.3 && max(feet) < 0.4 {
        return Some(Posture::Sitting);
    }
    if max(knees) < 0.25 && (0.35..0.75).contains(&pelvis) && up > 0.8 {
        return Some(Posture::Kneeling);
    }
    if (0.3..0.72).contains(&pelvis) && min(knees) > 0.3 && max(feet) < 0.35 {
        return Some(Posture::Crouching);
    }
    if pelvis > 0.82 && up > 0.9 {
        if (feet[0] - feet[1]).abs() > 0.3 {
            return (min(hands) < head).then_some(Posture::OneLeg);
        }
        if max(feet) - min(feet) > 0.12 {
            return None;
        }
        if min(hands) > head + 0.05 {
            return Some(Posture::ArmsRaised);
        }
        return (max(hands) < head - 0.05).then_some(Posture::Standing);
    }
    None
}

fn ant(p: &Parts<'_>) -> Option<Posture> {
    let (up, z) = (p.up("torso", 2), p.height("torso"));
    // The feet are 0.4 m along x and y from the ankles.
    let tip = |foot: &str, x: f64, y: f64| p.height(foot) + x * p.up(foot, 0) + y * p.up(foot, 1);
    let tips = [tip("foot_1", 0.4, 0.4), tip("foot_2", -0.4, 0.4), tip("foot_3", -0.4, -0.4), tip("foot_4", 0.4, -0.4)];
    let highest = tips.into_iter().fold(f64::MIN, f64::max);
    match up {
        u if u < -0.7 => Some(Posture::UpsideDown),
        u if u.abs() < 0.3 => Some(Posture::OnSide),
        u if (0.5..0.9).contains(&u) => Some(Posture::Tilted),
        u if u > 0.94 && highest > z + 0.05 => Some(Posture::LegRaised),
        u if u > 0.94 && z > 0.62 => Some(Posture::Standing),
        u if u > 0.94 && z < 0.46 => Some(Posture::Crouching),
        _ => None,
    }
}

fn go1(p: &Parts<'_>) -> Option<Posture> {
    let (up, front, z) = (p.up("trunk", 2), p.up("trunk", 0), p.height("trunk"));
    let feet = ["FR", "FL", "RR", "RL"].map(|leg| p.geom(leg));
    let highest = feet.into_iter().fold(f64::MIN, f64::max);
    if up < -0.7 {
        return Some(Posture::UpsideDown);
    }
    if p.up("trunk", 1).abs() > 0.8 {
        return Some(Posture::OnSide);
    }
    if front > 0.8 {
        return Some(Posture::Rearing);
    }
    if (0.3..0.75).contains(&front) && up > 0.5 {
        let rear = p.height("RR_thigh").max(p.height("RL_thigh"));
        return (rear < 0.2).then_some(Posture::Sitting);
    }
    if up < 0.94 {
        return None;
    }
    match (z, highest) {
        (_, h) if h > 0.13 => Some(Posture::LegRaised),
        (z, _) if z > 0.25 => Some(Posture::Standing),
        (z, _) if z < 0.17 => Some(Posture::Crouching),
        _ => None,
    }
}

fn cheetah(p: &Parts<'_>, lowest: f64) -> Option<Posture> {
    let (up, front) = (p.up("torso", 2), p.up("torso", 0));
    match (up, front) {
        (u, _) if u < -0.75 => Some(Posture::UpsideDown),
        (_, f) if f > 0.6 => Some(Posture::NoseUp),
        (_, f) if f < -0.6 => Some(Posture::NoseDown),
        (u, _) if u > 0.95 && lowest > 0.25 => Some(Posture::Jumping),
        (u, _) if u > 0.95 && lowest < 0.1 => Some(Posture::Standing),
        _ => None,
    }
}

fn biped(robot: Robot, p: &Parts<'_>, lowest: f64) -> Option<Posture> {
    let (up, z) = (p.up("torso", 2), p.height("torso"));
    if z < 0.4 && up.abs() < 0.4 {
        return Some(Posture::LyingFlat);
    }
    if (0.55..0.87).contains(&up) && z > 0.7 && lowest < 0.1 {
        return Some(Posture::Tilted);
    }
    if up < 0.96 {
        return None;
    }
    if lowest > 0.25 {
        return Some(Posture::Jumping);
    }
    if lowest > 0.1 {
        return None;
    }
    if robot == Robot::Walker {
        let feet = [p.height("foot"), p.height("foot_left")];
        if (feet[0] - feet[1]).abs() > 0.25 {
            return (z > 1.05).then_some(Posture::OneLeg);
        }
        if (feet[0] - feet[1]).abs() > 0.15 {
            return None;
        }
    }
    match z {
        z if z > 1.12 => Some(Posture::Standing),
        z if z < 0.95 => Some(Posture::Crouching),
        _ => None,
    }
}

fn cartpole(p: &Parts<'_>) -> Option<Posture> {
    let c = p.joint("hinge").cos();
    match c {
        c if c > 0.96 => Some(Posture::PoleUp),
        c if c < -0.9 => Some(Posture::PoleDown),
        c if c.abs() < 0.25 => Some(Posture::PoleLevel),
        c if (0.5..0.87).contains(&c) => Some(Posture::PoleTilted),
        _ => None,
    }
}
