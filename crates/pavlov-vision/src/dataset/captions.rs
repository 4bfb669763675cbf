//! Words for a state: varied for training, and one plain prompt for each posture.

use super::posture::{Posture, Robot};
use super::{Dice, State};

fn nouns(robot: Robot) -> &'static [&'static str] {
    match robot {
        Robot::Humanoid => &["humanoid robot", "humanoid", "robot that looks like a person", "two-armed robot"],
        Robot::Ant => &["four-legged ant robot", "ant robot", "ant", "spider-like robot"],
        Robot::Go1 => &["quadruped robot", "robot dog", "dog-like robot", "go1 quadruped"],
        Robot::Cheetah => &["half cheetah robot", "half cheetah", "flat cheetah robot"],
        Robot::Hopper => &["one-legged hopper", "hopper robot", "hopper"],
        Robot::Walker => &["two-legged walker", "walker robot", "planar biped"],
        Robot::Cartpole => &["cart with a pole", "cartpole", "cart and pole"],
    }
}

fn phrases(robot: Robot, posture: Posture) -> &'static [&'static str] {
    use Posture::*;
    match (robot, posture) {
        (Robot::Humanoid, Standing) => {
            &["standing", "standing up", "standing upright", "standing on two legs", "on its feet with arms low"]
        }
        (Robot::Walker | Robot::Hopper, Standing) => &["standing", "standing up", "standing upright", "standing tall"],
        (Robot::Cheetah, Standing) => &["standing on its feet", "the right way up", "standing", "level on the ground"],
        (_, Standing) => &["standing", "standing up", "standing upright", "standing high on its legs"],
        (_, ArmsRaised) => &[
            "standing with arms raised",
            "standing with both arms up",
            "with its hands above its head",
            "raising both arms",
        ],
        (_, OneLeg) => &["standing on one leg", "with one leg lifted", "balancing on one foot", "raising a leg"],
        (_, Bowing) => &["bowing", "bending forward", "bent over at the hips", "taking a bow"],
        (Robot::Humanoid, Crouching) => &["crouching", "squatting", "in a deep squat", "crouched down with bent knees"],
        (Robot::Walker | Robot::Hopper, Crouching) => {
            &["crouching", "squatting", "with bent knee, low", "crouched down"]
        }
        (_, Crouching) => &["crouching", "crouched low", "lying on its belly", "low on the ground"],
        (_, Kneeling) => &["kneeling", "on its knees", "kneeling on the ground", "kneeling down"],
        (Robot::Go1, Sitting) => {
            &["sitting", "sitting like a dog", "sitting on its hind legs", "sitting with its front up"]
        }
        (_, Sitting) => &["sitting", "sitting on the ground", "seated on the floor", "sitting with legs stretched out"],
        (_, AllFours) => &["on all fours", "on hands and knees", "crawling", "in a crawling pose"],
        (_, OnBack) => &["lying on its back", "flat on its back", "lying face up", "lying down looking up"],
        (_, FaceDown) => &["lying face down", "lying on its front", "flat on its stomach", "lying prone"],
        (_, OnSide) => &["lying on its side", "on its side", "fallen on its side", "lying sideways"],
        (Robot::Humanoid, UpsideDown) => {
            &["upside down", "doing a headstand", "standing on its head", "head down with legs in the air"]
        }
        (_, UpsideDown) => &["upside down", "lying on its back", "flipped over", "with its legs in the air"],
        (_, LegRaised) => &["with one leg raised", "lifting a leg", "waving a leg", "raising one foot"],
        (Robot::Ant, Tilted) => &["tilted", "leaning to one side", "tipping over", "tilted up on some of its legs"],
        (_, Tilted) => &["leaning", "tilted", "leaning over", "about to fall"],
        (_, Rearing) => &["rearing up", "standing on its hind legs", "upright on two legs", "with its nose to the sky"],
        (_, NoseUp) => &["standing on its tail", "with its nose up", "rearing up", "upright on its hind leg"],
        (_, NoseDown) => {
            &["standing on its nose", "with its nose down", "doing a handstand", "head down with its tail up"]
        }
        (_, Jumping) => &["in the air", "jumping", "leaping", "off the ground"],
        (_, LyingFlat) => &["lying on the ground", "lying down", "fallen over", "lying flat"],
        (_, PoleUp) => &[
            "with the pole upright",
            "with the pole pointing up",
            "balancing the pole",
            "with the pole standing straight",
        ],
        (_, PoleDown) => {
            &["with the pole hanging down", "with the pole pointing down", "with the pole down", "with a hanging pole"]
        }
        (_, PoleLevel) => {
            &["with the pole level", "with the pole horizontal", "with the pole sideways", "with the pole flat"]
        }
        (_, PoleTilted) => {
            &["with the pole leaning", "with the pole tilted", "with a slanted pole", "with the pole falling"]
        }
    }
}

/// Words for a state that is no named posture.
fn vague(robot: Robot, state: &State) -> &'static [&'static str] {
    if robot == Robot::Cartpole {
        return &["with the pole swinging", "with the pole in between", "with a moving pole"];
    }
    match (state.up, state.height) {
        (u, _) if u < -0.4 => &["tumbling head first", "turning over", "rolling over"],
        (u, h) if u > 0.7 && h > 0.6 => &["in an awkward pose", "losing its balance", "staggering"],
        (u, h) if u > 0.4 && h > 0.35 => &["falling over", "toppling", "half way down"],
        (_, h) if h > 0.6 => &["falling", "in the middle of a fall", "flying through the air"],
        _ => &["in a heap on the ground", "fallen in a tangle", "crumpled on the ground"],
    }
}

/// The plain prompt for a posture of a robot.
pub fn prompt(robot: Robot, posture: Posture) -> String {
    format!("a {} {}", nouns(robot)[0], phrases(robot, posture)[0])
}

/// The plain prompts for all postures of a robot.
pub fn prompts(robot: Robot) -> Vec<(Posture, String)> {
    robot.postures().iter().map(|&p| (p, prompt(robot, p))).collect()
}

/// A caption in varied wording. The second value says what else it fits: the robot's name (empty: any robot), the
/// posture's (empty: any).
pub fn caption(robot: Robot, state: &State, dice: &mut Dice) -> (String, [String; 2]) {
    let any_robot = dice.chance(0.12) && robot != Robot::Cartpole;
    let any_posture = dice.chance(0.06);
    let noun = if any_robot { "robot" } else { dice.one(nouns(robot)) };
    let phrase = match state.posture {
        _ if any_posture => "",
        Some(posture) => dice.one(phrases(robot, posture)),
        None => dice.one(vague(robot, state)),
    };
    let start = dice.one(&["a ", "the ", "", "a picture of a ", "a rendering of a ", "one "]);
    let verb = dice.one(&[" ", " ", " ", " that is "]);
    let verb = if phrase.starts_with("with ") || phrase.is_empty() { " " } else { verb };
    let place = dice.one(&["", "", "", "", " on a floor", " in a simulation"]);
    let text = format!("{start}{noun}{verb}{phrase}{place}");
    // Captions of one phrase mean the same; a vague one means its kind.
    let meaning = match state.posture {
        _ if any_posture => String::new(),
        Some(posture) => phrases(robot, posture)[0].into(),
        None => vague(robot, state)[0].into(),
    };
    (text.trim().replace("  ", " "), [if any_robot { String::new() } else { format!("{robot:?}") }, meaning])
}
