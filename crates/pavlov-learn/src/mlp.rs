//! A multilayer perceptron with its optimiser, for models beside the policy: learned rewards, cloned policies.
//!
//! The same kernels as PPO's nets. Rows are f32 `[rows, inputs]`, outputs `[rows, outputs]`; a loss is given by its
//! derivative by the output. Work is cut in chunks of [`CHUNK`] rows whose gradients are added in their order, so
//! results are the same bits on every machine with the same instructions.

use crate::adam::Adam;
use crate::config::{Activation, PpoConfig};
use crate::loss::CHUNK;
use crate::net::{Shape, Workspace};

/// A net, its gradient and Adam's moments.
#[derive(Debug, Clone)]
pub struct Mlp {
    shape: Shape,
    hidden: Vec<usize>,
    params: Vec<f32>,
    grad: Vec<f32>,
    adam: Adam,
    adam_config: PpoConfig,
    work: Workspace,
    transposed: Vec<f32>,
    out: Vec<f32>,
}

impl Mlp {
    /// A net of `inputs` to `outputs` numbers with an orthogonal start; `head_gain` scales the last layer's. Nets of
    /// one seed differ by `index`.
    pub fn new(
        inputs: usize,
        hidden: &[usize],
        outputs: usize,
        activation: Activation,
        (seed, index): (u64, u64),
        head_gain: f64,
    ) -> Self {
        let shape = Shape::new(inputs, hidden, outputs, activation);
        let mut net = Self::zero(shape, hidden);
        net.shape.init(&mut net.params, seed, index, head_gain);
        net
    }

    /// A net with what [`Self::weights`] gave; none when the length differs. Memory is taken only for numbers that are
    /// there, whatever the widths say.
    pub fn with_weights(
        inputs: usize,
        hidden: &[usize],
        outputs: usize,
        activation: Activation,
        weights: &[f32],
    ) -> Option<Self> {
        if Self::count(inputs, hidden, outputs)? != weights.len() {
            return None;
        }
        let mut net = Self::zero(Shape::new(inputs, hidden, outputs, activation), hidden);
        net.set_weights(weights).then_some(net)
    }

    /// Weights and biases of a net of these widths; none when there are more than can be counted.
    pub fn count(inputs: usize, hidden: &[usize], outputs: usize) -> Option<usize> {
        let widths = hidden.iter().copied().chain([outputs]);
        let mut layers = widths.scan(inputs, |from, to| {
            let before = std::mem::replace(from, to);
            Some(before.checked_add(1).and_then(|n| n.checked_mul(to)))
        });
        layers.try_fold(0usize, |all, layer| all.checked_add(layer?))
    }

    fn zero(shape: Shape, hidden: &[usize]) -> Self {
        Self {
            hidden: hidden.to_vec(),
            params: vec![0.0; shape.len],
            grad: vec![0.0; shape.len],
            adam: Adam::new(shape.len),
            adam_config: PpoConfig::default(),
            work: Workspace::default(),
            transposed: Vec::new(),
            out: Vec::new(),
            shape,
        }
    }

    /// Columns of a row.
    pub fn inputs(&self) -> usize {
        self.shape.layers[0].inputs
    }

    /// Columns of an output.
    pub fn outputs(&self) -> usize {
        self.shape.outputs()
    }

    /// Widths of the hidden layers.
    pub fn hidden(&self) -> &[usize] {
        &self.hidden
    }

    /// Weights as row-major `[inputs, outputs]` and biases of every layer, one after another.
    pub fn weights(&self) -> Vec<f32> {
        let parts = self.shape.layers.iter().map(|layer| layer.unpack(&self.params));
        parts.flat_map(|(weight, bias)| weight.into_iter().chain(bias)).collect()
    }

    /// Takes over what [`Self::weights`] gave; false when the length differs.
    #[must_use]
    pub fn set_weights(&mut self, weights: &[f32]) -> bool {
        let expected: usize = self.shape.layers.iter().map(|l| (l.inputs + 1) * l.outputs).sum();
        if weights.len() != expected {
            return false;
        }
        let mut at = 0;
        for layer in &self.shape.layers {
            let middle = at + layer.inputs * layer.outputs;
            let end = middle + layer.outputs;
            layer.pack(&weights[at..middle], &weights[middle..end], &mut self.params);
            at = end;
        }
        true
    }

    /// Outputs `[rows, outputs]` of `x` `[rows, inputs]`.
    pub fn forward(&mut self, x: &[f32]) -> &[f32] {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let width = self.shape.out_width();
        self.out.clear();
        for chunk in x.chunks(CHUNK * inputs) {
            let y = self.shape.forward(&self.params, chunk, inputs, chunk.len() / inputs, &mut self.work);
            self.out.extend(y.chunks_exact(width).flat_map(|row| &row[..outputs]));
        }
        &self.out
    }

    /// Adds the gradient of a loss with derivative `dy` `[rows, outputs]` by the outputs of `x` to what is gathered for
    /// [`Self::step`].
    pub fn backward(&mut self, x: &[f32], dy: &[f32]) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let width = self.shape.out_width();
        self.shape.transpose(&self.params, &mut self.transposed);
        for (x, dy) in x.chunks(CHUNK * inputs).zip(dy.chunks(CHUNK * outputs)) {
            let rows = x.len() / inputs;
            self.shape.forward(&self.params, x, inputs, rows, &mut self.work);
            let (_, head) = self.work.head(&self.shape, rows);
            for (to, from) in head.chunks_exact_mut(width).zip(dy.chunks_exact(outputs)) {
                to.fill(0.0);
                to[..outputs].copy_from_slice(from);
            }
            self.shape.backward(&self.transposed, x, inputs, rows, &mut self.work, &mut self.grad);
        }
    }

    /// One step of Adam (Kingma and Ba 2015) down the gathered gradient times `scale`, with decoupled weight decay
    /// (Loshchilov and Hutter 2019).
    pub fn step(&mut self, lr: f64, scale: f64, decay: f64) {
        if decay > 0.0 {
            let keep = (1.0 - lr * decay) as f32;
            self.params.iter_mut().for_each(|p| *p *= keep);
        }
        self.adam.step(&self.adam_config, lr, scale, &self.grad, &mut self.params);
        self.grad.fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_agree_with_finite_differences() {
        let mut net = Mlp::new(3, &[9, 5], 2, Activation::Tanh, (7, 0), 1.0);
        let x: Vec<f32> = (0..3 * 20).map(|i| ((i * 37 % 19) as f32 - 9.0) / 9.0).collect();
        // Loss: sum over rows of y0^2 / 2 + sin(y1).
        let loss = |net: &mut Mlp| -> f64 {
            net.forward(&x).chunks(2).map(|y| f64::from(y[0]).powi(2) / 2.0 + f64::from(y[1]).sin()).sum()
        };
        let dy: Vec<f32> = net.forward(&x).chunks(2).flat_map(|y| [y[0], y[1].cos()]).collect();
        net.backward(&x, &dy);
        let weights = net.weights();
        let grad = {
            let mut g = net.clone();
            g.params.clone_from(&net.grad);
            g.weights()
        };
        for i in (0..weights.len()).step_by(3) {
            let h = 1e-2f32;
            let at = |delta: f32, net: &mut Mlp| {
                let mut w = weights.clone();
                w[i] += delta;
                assert!(net.set_weights(&w));
                loss(net)
            };
            let slope = (at(h, &mut net) - at(-h, &mut net)) / f64::from(2.0 * h);
            assert!((slope - f64::from(grad[i])).abs() < 2e-3 * (1.0 + slope.abs()), "{i}: {slope} {}", grad[i]);
        }
        assert!(!net.set_weights(&weights[1..]));
    }

    #[test]
    fn a_function_is_fitted() {
        let mut net = Mlp::new(2, &[32, 32], 1, Activation::Tanh, (1, 0), 0.1);
        let x: Vec<f32> = (0..512).flat_map(|i| [(i % 32) as f32 / 16.0 - 1.0, (i / 32) as f32 / 8.0 - 1.0]).collect();
        let y: Vec<f32> = x.chunks(2).map(|r| (3.0 * r[0]).sin() * r[1]).collect();
        let mut error = 0.0;
        for _ in 0..800 {
            let dy: Vec<f32> = net.forward(&x).iter().zip(&y).map(|(a, b)| a - b).collect();
            error = dy.iter().map(|d| d * d).sum::<f32>() / 512.0;
            net.backward(&x, &dy);
            net.step(3e-3, 1.0 / 512.0, 0.0);
        }
        assert!(error < 2e-3, "{error}");
    }
}
