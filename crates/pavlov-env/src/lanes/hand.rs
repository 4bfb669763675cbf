//! A hand that pushes bodies of single worlds.
//!
//! N, N m, world axes. A force is MuJoCo's `xfrc_applied`: it acts at the body's centre of mass in every physics step until it is
//! taken away.

use pavlov_physics::{Data, LANES, Lane, Real};

/// Forces of a hand on bodies of single worlds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hand {
    /// World, body, force and torque.
    pub held: Vec<(usize, usize, [f32; 6])>,
}

impl Hand {
    /// Writes the forces of a lane group's worlds; costs nothing where there are none.
    pub fn press(&self, group: usize, data: &mut Data<Lane>) {
        data.has_xfrc = false;
        let lanes = group * LANES..(group + 1) * LANES;
        for &(world, body, wrench) in self.held.iter().filter(|(w, ..)| lanes.contains(w)) {
            if !data.has_xfrc {
                data.xfrc_applied.fill([Lane::ZERO; 6]);
                data.has_xfrc = true;
            }
            for (column, value) in data.xfrc_applied[body].iter_mut().zip(wrench) {
                column.set(world - lanes.start, f64::from(value));
            }
        }
    }
}
