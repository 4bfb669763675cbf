//! The two ways of running a program, compared over random states.

use crate::run::{Program, ScriptError};
use crate::scene::{Channel, Input};

/// Operations of the lowered program over all random states of a comparison; the interpreter takes some hundred
/// nanoseconds for each.
const PARITY_OPERATIONS: usize = 400_000;
/// Fewest random states of a comparison.
const PARITY_LEAST: usize = 32;

/// How far the lowered program and the interpreter are apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Parity {
    /// States compared.
    pub states: usize,
    /// Largest difference, divided by the value's size where that is above 1.
    pub max_error: f64,
    /// Output in which it is.
    pub output: String,
    /// Seconds a state takes lowered, and interpreted.
    pub lowered_s: f64,
    /// Seconds a state takes by the interpreter.
    pub interpreted_s: f64,
}

impl Program {
    /// As many of `most` random states as both ways get through in about half a second, by counted operations: fewer
    /// for rewards of many terms, but never less than a few dozen.
    pub fn parity_states(&self, most: usize) -> usize {
        most.min((PARITY_OPERATIONS / self.operations().max(1)).max(PARITY_LEAST))
    }

    /// Runs both ways over random states and compares every output and everything remembered.
    ///
    /// # Errors
    /// When the interpreter fails.
    pub fn parity(&self, states: usize, seed: u64) -> Result<Parity, ScriptError> {
        let stride = states.max(1).next_multiple_of(8);
        let mut random = Random(seed);
        let mut inputs = vec![0.0f32; self.inputs.len() * stride];
        for world in 0..stride {
            for (i, input) in self.inputs.iter().enumerate() {
                inputs[i * stride + world] = random.column(input.channel);
            }
        }
        self.normalise_quaternions(stride, &mut inputs);
        let params: Vec<f32> = self.params.iter().map(|(_, x)| *x as f32).collect();
        let mut memory = vec![0.0f32; self.memory_init.len() * stride];
        for world in 0..stride {
            self.reset_memory(world, stride, &mut memory);
        }
        let mut other = memory.clone();
        let (mut a, mut b) = (vec![0.0f32; self.outputs.len() * stride], vec![0.0f32; self.outputs.len() * stride]);
        let mut scratch = self.scratch();
        let clock = std::time::Instant::now();
        self.run(states, stride, &inputs, &params, &mut memory, &mut scratch, &mut a)?;
        let lowered_s = clock.elapsed().as_secs_f64() / states.max(1) as f64;
        let clock = std::time::Instant::now();
        self.run_interpreted(states, stride, &inputs, &params, &mut other, &mut b)?;
        let interpreted_s = clock.elapsed().as_secs_f64() / states.max(1) as f64;
        let mut worst = Parity { states, max_error: 0.0, output: String::new(), lowered_s, interpreted_s };
        let slots = self.memory_init.len();
        let names = self.outputs.iter().cloned().chain((0..slots).map(|i| format!("memory slot {i}")));
        let columns = a.chunks(stride).zip(b.chunks(stride)).chain(memory.chunks(stride).zip(other.chunks(stride)));
        for (name, (x, y)) in names.zip(columns) {
            for (&x, &y) in x[..states].iter().zip(&y[..states]) {
                let same = x == y || (x.is_nan() && y.is_nan());
                let error = if same { 0.0 } else { f64::from((x - y).abs()) / f64::from(y.abs()).max(1.0) };
                if error > worst.max_error || error.is_nan() {
                    worst.max_error = if error.is_nan() { f64::INFINITY } else { error };
                    worst.output = name.clone();
                }
            }
        }
        Ok(worst)
    }

    fn normalise_quaternions(&self, stride: usize, columns: &mut [f32]) {
        for (i, input) in self.inputs.iter().enumerate() {
            let Channel::BodyQuat { body, axis: 0 } = input.channel else { continue };
            let places: Vec<usize> = (0..4)
                .filter_map(|axis| {
                    let wanted = Input { channel: Channel::BodyQuat { body, axis }, prev: input.prev };
                    self.inputs.iter().position(|k| *k == wanted)
                })
                .collect();
            for world in 0..stride {
                let norm = places.iter().map(|k| columns[k * stride + world].powi(2)).sum::<f32>().sqrt().max(1e-6);
                for k in &places {
                    columns[k * stride + world] /= norm;
                }
            }
            debug_assert!(places.contains(&i));
        }
    }
}

/// Random states for [`Program::parity`] (splitmix64).
pub(crate) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From -1 to 1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }

    /// A value of about the size the channel has in a moving robot.
    fn column(&mut self, channel: Channel) -> f32 {
        let x = self.unit();
        match channel {
            Channel::FootContact(_) | Channel::BodyContact(_) | Channel::Terminated | Channel::Success => {
                f32::from(u8::from(x > 0.0))
            }
            Channel::Time => 10.0 * (x + 1.0),
            Channel::EpisodeStep => (500.0 * (x + 1.0)).floor(),
            Channel::Qvel(_) | Channel::JointVel(_) | Channel::BodyLinVel { .. } | Channel::BodyAngVel { .. } => {
                5.0 * x
            }
            Channel::JointTorque(_) | Channel::ActuatorForce(_) | Channel::JointAcc(_) => 50.0 * x,
            Channel::FootForce { .. } | Channel::BodyForce { .. } | Channel::CfrcExt(_) => 200.0 * x,
            _ => 1.5 * x,
        }
    }
}
