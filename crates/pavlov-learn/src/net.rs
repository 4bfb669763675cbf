//! Multilayer perceptrons in f32: layout of the parameters, forward and backward pass, orthogonal start.
//!
//! Parameters of a net are one flat slice: for each layer its weight `[in, out]` in panels of 8 columns (see
//! `kernels`), then its bias; `out` is padded to a multiple of 8. Padding is zero and stays so: its gradient is zero.
//! Hidden layers have an activation, the last one has none. Gradients: `dW = x^T dy`, `db = sum dy`, `dx = dy W^T`.
//! Start: Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear networks"
//! (2014).

use crate::config::Activation;
use crate::kernels::{LANES, add_columns, add_outer, multiply, padded};
use crate::rng::{Purpose, Rng};

/// Place of a layer in the parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Columns of the input.
    pub inputs: usize,
    /// Columns of the output, without padding.
    pub outputs: usize,
    /// First number of the weight.
    weight: usize,
    /// First number of the bias.
    bias: usize,
    /// First number of the transposed weight in the scratch of [`Shape::transpose`].
    transposed: usize,
}

impl Layer {
    fn width(&self) -> usize {
        padded(self.outputs)
    }

    /// Place of the weight in the parameters of the net.
    pub fn weight_range(&self) -> std::ops::Range<usize> {
        self.weight..self.bias
    }

    /// Place of the bias, padding included.
    pub fn bias_range(&self) -> std::ops::Range<usize> {
        self.bias..self.bias + self.width()
    }

    fn place(&self, i: usize, j: usize) -> usize {
        self.weight + (j / LANES * self.inputs + i) * LANES + j % LANES
    }

    /// The weight `[inputs, outputs]` row-major, and the bias, without padding.
    pub fn unpack(&self, params: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let weight = (0..self.inputs).flat_map(|i| (0..self.outputs).map(move |j| params[self.place(i, j)])).collect();
        (weight, params[self.bias..self.bias + self.outputs].to_vec())
    }

    /// Opposite of [`Layer::unpack`]; the slices have exactly its lengths.
    pub fn pack(&self, weight: &[f32], bias: &[f32], params: &mut [f32]) {
        for (i, row) in weight.chunks_exact(self.outputs).enumerate() {
            for (j, &value) in row.iter().enumerate() {
                params[self.place(i, j)] = value;
            }
        }
        params[self.bias..self.bias + self.outputs].copy_from_slice(bias);
    }
}

/// Shape of a net.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Layers from the input to the output.
    pub layers: Vec<Layer>,
    /// Activation of all but the last.
    pub activation: Activation,
    /// Length of the parameters.
    pub len: usize,
    transposed_len: usize,
}

/// Values a thread works in; sized by [`Workspace::fit`], contents never carried from one call to the next.
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    /// Output of each layer `[rows, width]`.
    outputs: Vec<Vec<f32>>,
    /// Gradient with respect to the output of the current layer and of the one before.
    delta: [Vec<f32>; 2],
}

impl Shape {
    /// Net of `inputs` columns to `outputs` columns.
    pub fn new(inputs: usize, hidden: &[usize], outputs: usize, activation: Activation) -> Self {
        let (mut at, mut transposed) = (0, 0);
        let mut from = inputs;
        let mut layers = Vec::with_capacity(hidden.len() + 1);
        for (l, &to) in hidden.iter().chain([&outputs]).enumerate() {
            let weight = at;
            let bias = weight + from * padded(to);
            at = bias + padded(to);
            layers.push(Layer { inputs: from, outputs: to, weight, bias, transposed });
            if l > 0 {
                transposed += padded(from) * to;
            }
            from = to;
        }
        Self { layers, activation, len: at, transposed_len: transposed }
    }

    /// Columns of the output.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |l| l.outputs)
    }

    /// Columns of the output with padding.
    pub fn out_width(&self) -> usize {
        self.layers.last().map_or(0, Layer::width)
    }

    /// Fills `params` with the orthogonal start: gain sqrt(2) in hidden layers, `head_gain` in the last, biases zero.
    /// `net` numbers the net of this seed.
    pub fn init(&self, params: &mut [f32], seed: u64, net: u64, head_gain: f64) {
        params.fill(0.0);
        for (l, layer) in self.layers.iter().enumerate() {
            let gain = if l + 1 == self.layers.len() { head_gain } else { std::f64::consts::SQRT_2 };
            let rows = orthogonal(layer.inputs, layer.outputs, seed, net, l as u32);
            let tall = layer.inputs >= layer.outputs;
            for i in 0..layer.inputs {
                for j in 0..layer.outputs {
                    let value = if tall { rows[j][i] } else { rows[i][j] };
                    params[layer.place(i, j)] = (gain * value) as f32;
                }
            }
        }
    }

    /// Transposed weights of all layers but the first, which [`Shape::backward`] needs.
    pub fn transpose(&self, params: &[f32], out: &mut Vec<f32>) {
        out.resize(self.transposed_len, 0.0);
        for layer in self.layers.iter().skip(1) {
            let panel = layer.outputs * LANES;
            for j in 0..layer.outputs {
                let column = &params[layer.weight + j / LANES * layer.inputs * LANES..][..layer.inputs * LANES];
                for i in 0..layer.inputs {
                    out[layer.transposed + i / LANES * panel + j * LANES + i % LANES] = column[i * LANES + j % LANES];
                }
            }
        }
    }

    /// Output `[rows, out_width]` for `rows` rows of `x`, `stride` apart. The output of a row does not depend on the
    /// other rows.
    pub fn forward<'w>(
        &self,
        params: &[f32],
        x: &[f32],
        stride: usize,
        rows: usize,
        work: &'w mut Workspace,
    ) -> &'w [f32] {
        work.fit(self, rows);
        for (l, layer) in self.layers.iter().enumerate() {
            let width = layer.width();
            let (before, after) = work.outputs.split_at_mut(l);
            let (a, a_stride) = match before.last() {
                Some(h) => (h.as_slice(), padded(layer.inputs)),
                None => (x, stride),
            };
            let hidden = l + 1 < self.layers.len();
            multiply(
                layer.inputs,
                a,
                a_stride,
                &params[layer.weight_range()],
                Some(&params[layer.bias_range()]),
                width,
                &mut after[0][..rows * width],
                |_, tile| {
                    if hidden {
                        self.activation.apply(tile);
                    }
                },
            );
        }
        &work.outputs[self.layers.len() - 1][..rows * self.out_width()]
    }

    /// Adds to `grad` the gradient of a loss whose derivative by the output `[rows, out_width]` is in
    /// [`Workspace::head`]. `x` and `work` are as [`Shape::forward`] left them; `transposed` comes from
    /// [`Shape::transpose`].
    pub fn backward(
        &self,
        transposed: &[f32],
        x: &[f32],
        stride: usize,
        rows: usize,
        work: &mut Workspace,
        grad: &mut [f32],
    ) {
        for (l, layer) in self.layers.iter().enumerate().rev() {
            let width = layer.width();
            let [dy, dx] = &mut work.delta;
            let dy = &dy[..rows * width];
            add_columns(dy, width, &mut grad[layer.bias_range()]);
            if l == 0 {
                add_outer(layer.inputs, &x[..rows * stride], stride, dy, width, &mut grad[layer.weight_range()]);
                break;
            }
            let below = padded(layer.inputs);
            let h = &work.outputs[l - 1][..rows * below];
            add_outer(layer.inputs, h, below, dy, width, &mut grad[layer.weight_range()]);
            let w = &transposed[layer.transposed..][..below * layer.outputs];
            multiply(layer.outputs, dy, width, w, None, below, &mut dx[..rows * below], |first, tile| {
                self.activation.apply_slope(&h[first * below..][..tile.len()], tile);
            });
            work.delta.swap(0, 1);
        }
    }
}

impl Workspace {
    /// Makes room for `rows` rows of a net.
    fn fit(&mut self, shape: &Shape, rows: usize) {
        let grow = |v: &mut Vec<f32>, len: usize| {
            if v.len() < len {
                v.resize(len, 0.0);
            }
        };
        if self.outputs.len() < shape.layers.len() {
            self.outputs.resize(shape.layers.len(), Vec::new());
        }
        for (layer, out) in shape.layers.iter().zip(&mut self.outputs) {
            grow(out, rows * layer.width());
            self.delta.iter_mut().for_each(|delta| grow(delta, rows * layer.width()));
        }
    }

    /// Where the derivative by the output goes before [`Shape::backward`]: `[rows, out_width]`, with the output itself
    /// beside it.
    pub fn head(&mut self, shape: &Shape, rows: usize) -> (&[f32], &mut [f32]) {
        let len = rows * shape.out_width();
        (&self.outputs[shape.layers.len() - 1][..len], &mut self.delta[0][..len])
    }
}

/// `min(inputs, outputs)` orthonormal vectors of length `max(inputs, outputs)`, uniformly distributed: Gaussian vectors
/// through two passes of modified Gram and Schmidt.
fn orthogonal(inputs: usize, outputs: usize, seed: u64, net: u64, layer: u32) -> Vec<Vec<f64>> {
    let rng = Rng::new(seed, Purpose::Init, net);
    let (count, len) = (inputs.min(outputs), inputs.max(outputs));
    let mut noise = vec![0.0f32; len];
    let mut done: Vec<Vec<f64>> = Vec::with_capacity(count);
    for index in 0..count {
        rng.normals(layer, index as u32, &mut noise);
        let mut v: Vec<f64> = noise.iter().map(|&x| f64::from(x)).collect();
        for _ in 0..2 {
            for u in &done {
                let along: f64 = u.iter().zip(&v).map(|(a, b)| a * b).sum();
                v.iter_mut().zip(u).for_each(|(v, u)| *v -= along * u);
            }
        }
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-30);
        v.iter_mut().for_each(|x| *x /= norm);
        done.push(v);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_is_orthogonal_and_padding_is_zero() {
        for (inputs, outputs) in [(27, 64), (64, 27), (5, 1), (12, 12)] {
            let shape = Shape::new(inputs, &[], outputs, Activation::Tanh);
            let mut params = vec![f32::NAN; shape.len];
            shape.init(&mut params, 3, 0, 2.0);
            let (w, bias) = shape.layers[0].unpack(&params);
            assert!(bias.iter().all(|&b| b == 0.0));
            let element = |i: usize, j: usize| f64::from(w[i * outputs + j]);
            let (count, len) = (inputs.min(outputs), inputs.max(outputs));
            for a in 0..count {
                for b in 0..count {
                    let pick = |v: usize, i: usize| if inputs >= outputs { element(i, v) } else { element(v, i) };
                    let dot: f64 = (0..len).map(|i| pick(a, i) * pick(b, i)).sum();
                    let expected = if a == b { 4.0 } else { 0.0 };
                    assert!((dot - expected).abs() < 1e-5, "{inputs} {outputs}: {a} {b} {dot}");
                }
            }
            let real: f32 = w.iter().map(|x| x.abs()).sum();
            let total: f32 = params.iter().map(|x| x.abs()).sum();
            assert!((total - real).abs() <= 1e-4 * total, "padding is not zero");
            let mut other = params.clone();
            shape.init(&mut other, 4, 0, 2.0);
            assert_ne!(other, params);
            let (w, bias) = shape.layers[0].unpack(&params);
            let mut back = vec![0.0; shape.len];
            shape.layers[0].pack(&w, &bias, &mut back);
            assert_eq!(back, params);
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_others() {
        for inputs in [1, 27, 105, 376] {
            let shape = Shape::new(inputs, &[64, 32], 3, Activation::Elu);
            let mut params = vec![0.0; shape.len];
            shape.init(&mut params, 1, 0, 1.0);
            let mut x = vec![0.0; 71 * inputs];
            Rng::new(1, Purpose::Bench, 0).normals(0, 0, &mut x);
            let mut work = Workspace::default();
            let batch = shape.forward(&params, &x, inputs, 71, &mut work).to_vec();
            for (row, x) in x.chunks_exact(inputs).enumerate() {
                let single = shape.forward(&params, x, inputs, 1, &mut work);
                assert_eq!(single, &batch[row * 8..row * 8 + 8], "row {row} of {inputs} columns");
            }
        }
    }
}
