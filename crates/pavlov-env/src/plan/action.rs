//! From an action to `ctrl`: clip, map, and keep within `ctrlrange`.
//!
//! Every mapping is affine after clipping: `ctrl_i = offset_i + gain_i * clip(a_i, low_i, high_i)`. The clipped action is what
//! scripts and observations see as the action (for Gymnasium's tasks that is what its clipping wrapper passes on).

use crate::error::EnvError;
use crate::task::text::{TaskText, checked, keyframe};
use pavlov_model::Model;
use serde::Deserialize;
use toml::Spanned;

/// `[action]`: how an action becomes control.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// Mapping.
    #[serde(default)]
    pub kind: ActionKind,
    /// `joint_offset`: rad (or m) of target per unit of action; one number, or one per actuator.
    pub scale: Option<Spanned<OneOrMany>>,
    /// `joint_offset`: actions are clipped to ±clip first.
    pub clip: Option<Spanned<f64>>,
    /// `joint_offset`: keyframe whose joint positions a zero action asks for; `qpos0` when omitted.
    pub home: Option<Spanned<String>>,
    /// Control steps by which every action is late (0: none).
    #[serde(default)]
    pub delay: Option<Spanned<u32>>,
}

/// A number for all, or one for each.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// The same for all.
    One(f64),
    /// One for each.
    Many(Vec<f64>),
}

/// Action mappings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// The action in [-1, 1] spans each actuator's `ctrlrange`.
    #[default]
    Unit,
    /// The action is `ctrl`, clipped to `ctrlrange` (Gymnasium).
    Ctrl,
    /// `ctrl = home + scale * action`: targets of position actuators.
    JointOffset,
}

/// One actuator's mapping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Channel {
    pub low: f32,
    pub high: f32,
    pub offset: f32,
    pub gain: f32,
}

/// The mapping of all actuators, in `ctrl` order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ActionMap {
    pub channels: Vec<Channel>,
    /// Control steps by which actions are late.
    pub delay: usize,
}

/// Largest delay in control steps; the queue is kept per world.
const MAX_DELAY: u32 = 16;
/// Bound of actions that the task does not bound, so that a runaway policy stays finite.
const UNBOUNDED: f32 = 100.0;

impl ActionMap {
    /// Checks `[action]` against the robot.
    pub fn new(table: &Action, model: &Model, text: &TaskText) -> Result<Self, EnvError> {
        let wrong_use = |key: &str, span| {
            text.error(
                span,
                format!(
                    "`{key}` is for action kind `joint_offset`; `unit` and `ctrl` take their range from `ctrlrange`"
                ),
            )
        };
        let offset_kind = table.kind == ActionKind::JointOffset;
        if let Some(scale) = table.scale.as_ref().filter(|_| !offset_kind) {
            return Err(wrong_use("scale", scale.span()));
        }
        if let Some(clip) = table.clip.as_ref().filter(|_| !offset_kind) {
            return Err(wrong_use("clip", clip.span()));
        }
        let home = match &table.home {
            Some(name) => keyframe(model, name, text)?.qpos.clone(),
            None => model.qpos0.clone(),
        };
        let mut scales = vec![1.0; model.nu()];
        if let Some(scale) = &table.scale {
            match scale.get_ref() {
                OneOrMany::One(value) => scales.fill(*value),
                OneOrMany::Many(values) if values.len() == model.nu() => scales.copy_from_slice(values),
                OneOrMany::Many(values) => {
                    let (n, nu) = (values.len(), model.nu());
                    return Err(text.error(
                        scale.span(),
                        format!("{n} scales for {nu} actuators: give one number, or one for each"),
                    ));
                }
            }
            if let Some(bad) = scales.iter().find(|s| !s.is_finite()) {
                return Err(text.error(scale.span(), format!("a scale of {bad}: expected finite numbers")));
            }
        }
        let clip = match &table.clip {
            Some(clip) => checked(clip, text, "clip", |v| v.is_finite() && v > 0.0, "a positive number")? as f32,
            None => UNBOUNDED,
        };
        let delay = match &table.delay {
            Some(delay) if *delay.get_ref() > MAX_DELAY => {
                return Err(text
                    .error(delay.span(), format!("a delay of {} steps: expected 0 to {MAX_DELAY}", delay.get_ref())));
            }
            Some(delay) => *delay.get_ref() as usize,
            None => 0,
        };
        let mut channels = Vec::with_capacity(model.nu());
        for (i, actuator) in model.actuators.iter().enumerate() {
            let channel = match (table.kind, actuator.ctrlrange) {
                (ActionKind::JointOffset, _) => {
                    let offset = home[model.joints[actuator.joint].qposadr] as f32;
                    Channel { low: -clip, high: clip, offset, gain: scales[i] as f32 }
                }
                (ActionKind::Unit, Some([lo, hi])) => {
                    let (middle, half) = (0.5 * (lo + hi), 0.5 * (hi - lo));
                    Channel { low: -1.0, high: 1.0, offset: middle as f32, gain: half as f32 }
                }
                (ActionKind::Ctrl, Some([lo, hi])) => {
                    Channel { low: lo as f32, high: hi as f32, offset: 0.0, gain: 1.0 }
                }
                (ActionKind::Ctrl, None) => Channel { low: -UNBOUNDED, high: UNBOUNDED, offset: 0.0, gain: 1.0 },
                (ActionKind::Unit, None) => {
                    return Err(EnvError::Usage(format!(
                        "{}: action kind `unit` needs a `ctrlrange`, and actuator {i} `{}` of the robot has none: give it one, or use kind `ctrl`",
                        text.path.display(),
                        actuator.name
                    )));
                }
            };
            channels.push(channel);
        }
        Ok(Self { channels, delay })
    }

    /// The action that worlds start with: the one nearest to zero.
    pub fn rest(&self, i: usize) -> f32 {
        0.0f32.clamp(self.channels[i].low, self.channels[i].high)
    }
}
