//! Adam (Kingma and Ba 2015) and the sum and norm of gradients, over flat vectors.
//!
//! `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, `p -= lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps)`. Long
//! vectors are cut in fixed pieces given to threads; every number is computed in the same way whichever thread has it.

use rayon::prelude::*;
use wide::f32x8;

use crate::config::PpoConfig;
use crate::kernels::LANES;

/// Numbers in a piece; vectors of up to two pieces stay on the calling thread.
const PIECE: usize = 1 << 15;

/// Moments of the gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// Running mean of the gradient.
    pub m: Vec<f32>,
    /// Running mean of its square.
    pub v: Vec<f32>,
    /// Steps done.
    pub steps: u64,
}

impl Adam {
    /// Zero moments, before the first step; `len` is a multiple of 8.
    pub fn new(len: usize) -> Self {
        Self { m: vec![0.0; len], v: vec![0.0; len], steps: 0 }
    }

    /// One step with the gradient `grad * scale`.
    pub fn step(&mut self, config: &PpoConfig, lr: f64, scale: f64, grad: &[f32], params: &mut [f32]) {
        self.steps = self.steps.saturating_add(1);
        let t = self.steps as f64;
        let rate = lr / (1.0 - config.adam_beta1.powf(t));
        let inv_root = 1.0 / (1.0 - config.adam_beta2.powf(t)).sqrt();
        let c = |x: f64| f32x8::splat(x as f32);
        let (b1, b2, rate, inv_root) = (c(config.adam_beta1), c(config.adam_beta2), c(rate), c(inv_root));
        let (keep1, keep2) = (c(1.0 - config.adam_beta1), c(1.0 - config.adam_beta2));
        let (eps, scale) = (c(config.adam_eps), c(scale));
        let piece = |p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32]| {
            let state = m.as_chunks_mut::<LANES>().0.iter_mut().zip(v.as_chunks_mut::<LANES>().0);
            let both = p.as_chunks_mut::<LANES>().0.iter_mut().zip(g.as_chunks::<LANES>().0);
            for ((p, g), (m, v)) in both.zip(state) {
                let g = f32x8::new(*g) * scale;
                let new_m = b1.mul_add(f32x8::new(*m), keep1 * g);
                let new_v = b2.mul_add(f32x8::new(*v), keep2 * g * g);
                let down = new_v.sqrt().mul_add(inv_root, eps);
                *p = (f32x8::new(*p) - rate * new_m / down).to_array();
                *m = new_m.to_array();
                *v = new_v.to_array();
            }
        };
        if params.len() <= 2 * PIECE {
            piece(params, &mut self.m, &mut self.v, grad);
        } else {
            let pieces = params.par_chunks_mut(PIECE).zip(grad.par_chunks(PIECE));
            let state = self.m.par_chunks_mut(PIECE).zip(self.v.par_chunks_mut(PIECE));
            pieces.zip(state).for_each(|((p, g), (m, v))| piece(p, m, v, g));
        }
    }
}

/// `total = parts[0] + parts[1] + ...` in that order.
pub fn sum_in_order(parts: &[&[f32]], total: &mut [f32]) {
    let piece = |(index, out): (usize, &mut [f32])| {
        let at = index * PIECE;
        for (number, part) in parts.iter().enumerate() {
            let part = &part[at..at + out.len()];
            if number == 0 {
                out.copy_from_slice(part);
            } else {
                out.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
        }
    };
    if total.len() <= 2 * PIECE {
        total.chunks_mut(PIECE).enumerate().for_each(piece);
    } else {
        total.par_chunks_mut(PIECE).enumerate().for_each(piece);
    }
}

/// Euclidean norm, summed in f64 by eight fixed lanes.
pub fn norm(values: &[f32]) -> f64 {
    let mut sums = [0.0f64; LANES];
    for eight in values.as_chunks::<LANES>().0 {
        sums.iter_mut().zip(eight).for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(x));
    }
    sums.iter().sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_the_paper() {
        let config = PpoConfig { adam_eps: 1e-3, ..PpoConfig::default() };
        let (mut adam, mut params) = (Adam::new(8), vec![1.0f32; 8]);
        let (mut m, mut v, mut p) = (0.0f64, 0.0f64, 1.0f64);
        for t in 1..=5 {
            let g = 0.3 * f64::from(t) - 0.7;
            adam.step(&config, 0.01, 0.5, &[g as f32; 8], &mut params);
            let g = 0.5 * g;
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let (mh, vh) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.999f64.powi(t)));
            p -= 0.01 * mh / (vh.sqrt() + 1e-3);
            assert!((f64::from(params[3]) - p).abs() < 2e-6, "step {t}: {} {p}", params[3]);
        }
    }

    #[test]
    fn long_vectors_give_the_same_bits_in_pieces() {
        let len = 3 * PIECE + 8;
        let grad: Vec<f32> = (0..len).map(|i| ((i * 37) % 101) as f32 - 50.0).collect();
        let config = PpoConfig::default();
        let (mut long, mut params) = (Adam::new(len), vec![0.5; len]);
        long.step(&config, 0.1, 1.0, &grad, &mut params);
        let (mut tail, mut short) = (Adam::new(8), vec![0.5; 8]);
        tail.step(&config, 0.1, 1.0, &grad[len - 8..], &mut short);
        assert_eq!(&params[len - 8..], short);

        let mut total = vec![f32::NAN; len];
        sum_in_order(&[&grad, &params, &grad], &mut total);
        assert!((0..len).all(|i| total[i] == (grad[i] + params[i]) + grad[i]));
        let square: f64 = grad.iter().map(|&x| f64::from(x * x)).sum();
        assert!((norm(&grad) - square.sqrt()).abs() < 1e-6);
    }
}
