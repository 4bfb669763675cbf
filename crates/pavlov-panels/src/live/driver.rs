//! Who acts in the live worlds: a policy, smooth noise, or nobody.

use pavlov_env::Task;
use pavlov_env::rng::{Purpose, WorldRng};
use pavlov_learn::{LearnError, Policy};

/// Who acts.
#[derive(Debug, Clone, Default)]
pub enum Driver {
    /// All actions are zero: with a home pose, the robot stands.
    #[default]
    Still,
    /// Noise that wanders through the range of every action, different in every world.
    Random,
    /// Mean actions of a policy.
    Policy(Box<Policy>),
}

impl Driver {
    /// Its name in a word or two.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Still => "nobody",
            Self::Random => "random actions",
            Self::Policy(_) => "policy",
        }
    }
}

/// Time in which the noise forgets where it was, s.
const MEMORY_S: f64 = 0.25;

/// Actions of all worlds.
#[derive(Debug)]
pub(crate) struct Actor {
    pub driver: Driver,
    /// Middle and half width of each action's range.
    range: Vec<(f32, f32)>,
    /// Where the noise is, in half widths `[worlds, actions]`.
    noise: Vec<f32>,
    keep: f32,
    row: usize,
}

impl Actor {
    pub fn new(task: &Task, worlds: usize) -> Self {
        let (low, high) = task.action_range();
        // Open ranges, and very wide ones, are taken as -1 to 1.
        let wide = |x: f32, open: f32| if x.is_finite() && x.abs() < 50.0 { x } else { open };
        let range = low.iter().zip(&high).map(|(&l, &h)| {
            let (l, h) = (wide(l, -1.0), wide(h, 1.0));
            (0.5 * (l + h), 0.5 * (h - l))
        });
        let keep = (-task.control_dt() / MEMORY_S).exp() as f32;
        Self {
            driver: Driver::Still,
            range: range.collect(),
            noise: vec![0.0; worlds * task.act_dim()],
            keep,
            row: task.obs_dim(),
        }
    }

    /// Actions `[worlds, act_dim]` for `obs` `[worlds, obs_dim]`; worlds are numbered from `first`, `serial` counts
    /// steps.
    pub fn act(&mut self, obs: &[f32], first: usize, serial: u64, actions: &mut [f32]) -> Result<(), LearnError> {
        match &mut self.driver {
            Driver::Still => actions.fill(0.0),
            Driver::Policy(policy) => policy.act(obs, self.row, actions)?,
            Driver::Random => {
                let nu = self.range.len();
                let noise = self.noise[first * nu..].chunks_exact_mut(nu);
                for ((world, noise), actions) in noise.enumerate().zip(actions.chunks_exact_mut(nu)) {
                    let rng = WorldRng::new(0, (first + world) as u64);
                    let mut stream = rng.stream(Purpose::Action, (serial >> 32) as u32, serial as u32);
                    // An Ornstein-Uhlenbeck process whose spread is three quarters of the half width.
                    let kick = 0.75 * (3.0 * (1.0 - self.keep * self.keep)).sqrt();
                    for ((x, action), &(middle, half)) in noise.iter_mut().zip(actions).zip(&self.range) {
                        *x = self.keep * *x + kick * stream.uniform(-1.0, 1.0);
                        *action = middle + half * x.clamp(-1.0, 1.0);
                    }
                }
            }
        }
        Ok(())
    }
}
