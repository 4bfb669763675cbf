//! Dense kernels in f32: matrix products in register tiles, activations in lanes of eight.
//!
//! Layout. Activations are row-major `[rows, width]`, widths of hidden and output layers padded to a multiple of 8 by
//! zeros. A matrix `[k, n]` that multiplies from the right lies in panels of 8 columns: element `(i, j)` is at `(j/8 *
//! k + i) * 8 + j%8`. A tile of 6 rows and 2 panels keeps 12 accumulators in registers, enough to hide the latency of
//! fused multiply-adds on AVX2.
//!
//! Every output is summed over `k` in order, whatever tile it falls in: results do not depend on how rows are grouped.

use wide::f32x8;

use crate::config::Activation;

/// Lanes of a vector; widths are padded to multiples of it.
pub const LANES: usize = 8;
/// Rows of a tile.
const TILE: usize = 6;

/// `n` rounded up to whole lanes.
pub const fn padded(n: usize) -> usize {
    n.div_ceil(LANES) * LANES
}

fn panels(slice: &[f32]) -> &[[f32; LANES]] {
    slice.as_chunks().0
}

fn panels_mut(slice: &mut [f32]) -> &mut [[f32; LANES]] {
    slice.as_chunks_mut().0
}

/// `a [R, k] * w [k, 8 P]`, starting at `start`.
#[inline(always)]
fn product<const R: usize, const P: usize>(
    k: usize,
    a: [&[f32]; R],
    w: [&[[f32; LANES]]; P],
    start: [f32x8; P],
) -> [[f32x8; P]; R] {
    let a = a.map(|row| &row[..k]);
    let w = w.map(|panel| &panel[..k]);
    let mut sum = [start; R];
    for i in 0..k {
        let right = w.map(|panel| f32x8::new(panel[i]));
        for r in 0..R {
            let left = f32x8::splat(a[r][i]);
            for p in 0..P {
                sum[r][p] = left.mul_add(right[p], sum[r][p]);
            }
        }
    }
    sum
}

#[inline(always)]
fn row_tile<const R: usize>(k: usize, a: &[f32], stride: usize, w: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    let rows: [&[f32]; R] = std::array::from_fn(|r| &a[r * stride..r * stride + k]);
    let w = panels(w);
    let n = out.len() / R;
    let start = |p: usize| match bias {
        Some(bias) => f32x8::new(panels(bias)[p]),
        None => f32x8::ZERO,
    };
    let mut p = 0;
    while p + 2 <= n / LANES {
        let sum = product(k, rows, [&w[p * k..(p + 1) * k], &w[(p + 1) * k..(p + 2) * k]], [start(p), start(p + 1)]);
        for r in 0..R {
            let to = &mut out[r * n + p * LANES..][..2 * LANES];
            to[..LANES].copy_from_slice(sum[r][0].as_array());
            to[LANES..].copy_from_slice(sum[r][1].as_array());
        }
        p += 2;
    }
    if p < n / LANES {
        let sum = product(k, rows, [&w[p * k..(p + 1) * k]], [start(p)]);
        for r in 0..R {
            out[r * n + p * LANES..][..LANES].copy_from_slice(sum[r][0].as_array());
        }
    }
}

/// `out [rows, n] = a [rows, k] * w [k, n] + bias`; rows of `a` are `stride` apart, `w` lies in panels, `n` is a
/// multiple of 8. After each tile `finish(first row, rows of the tile)` may change it while it is in cache.
pub fn multiply(
    k: usize,
    a: &[f32],
    stride: usize,
    w: &[f32],
    bias: Option<&[f32]>,
    n: usize,
    out: &mut [f32],
    finish: impl Fn(usize, &mut [f32]),
) {
    for (tile, to) in out.chunks_mut(TILE * n).enumerate() {
        let first = tile * TILE;
        let from = &a[first * stride..];
        match to.len() / n {
            6 => row_tile::<6>(k, from, stride, w, bias, to),
            5 => row_tile::<5>(k, from, stride, w, bias, to),
            4 => row_tile::<4>(k, from, stride, w, bias, to),
            3 => row_tile::<3>(k, from, stride, w, bias, to),
            2 => row_tile::<2>(k, from, stride, w, bias, to),
            _ => row_tile::<1>(k, from, stride, w, bias, to),
        }
        finish(first, to);
    }
}

/// Columns `i..i + R` of `x` transposed, times panels `p..p + P` of `dy`, added to `grad`.
#[inline(always)]
fn outer_tile<const R: usize, const P: usize>(
    k: usize,
    x: &[f32],
    stride: usize,
    i: usize,
    dy: &[f32],
    n: usize,
    p: usize,
    grad: &mut [[f32; LANES]],
) {
    let mut sum = [[f32x8::ZERO; P]; R];
    for (x, dy) in x.chunks_exact(stride).zip(dy.chunks_exact(n)) {
        let x = &x[i..i + R];
        let dy = &panels(dy)[p..p + P];
        let right: [f32x8; P] = std::array::from_fn(|c| f32x8::new(dy[c]));
        for r in 0..R {
            let left = f32x8::splat(x[r]);
            for c in 0..P {
                sum[r][c] = left.mul_add(right[c], sum[r][c]);
            }
        }
    }
    for c in 0..P {
        let to = &mut grad[(p + c) * k + i..][..R];
        for r in 0..R {
            to[r] = (f32x8::new(to[r]) + sum[r][c]).to_array();
        }
    }
}

#[inline(always)]
fn outer_rows<const R: usize>(
    k: usize,
    x: &[f32],
    stride: usize,
    i: usize,
    dy: &[f32],
    n: usize,
    grad: &mut [[f32; LANES]],
) {
    let mut p = 0;
    while p + 2 <= n / LANES {
        outer_tile::<R, 2>(k, x, stride, i, dy, n, p, grad);
        p += 2;
    }
    if p < n / LANES {
        outer_tile::<R, 1>(k, x, stride, i, dy, n, p, grad);
    }
}

/// `grad [k, n] += x [rows, k]^T * dy [rows, n]`: the gradient of a weight; `grad` lies in panels.
pub fn add_outer(k: usize, x: &[f32], stride: usize, dy: &[f32], n: usize, grad: &mut [f32]) {
    let grad = panels_mut(grad);
    let mut i = 0;
    while i < k {
        match k - i {
            1 => outer_rows::<1>(k, x, stride, i, dy, n, grad),
            2 => outer_rows::<2>(k, x, stride, i, dy, n, grad),
            3 => outer_rows::<3>(k, x, stride, i, dy, n, grad),
            4 => outer_rows::<4>(k, x, stride, i, dy, n, grad),
            5 => outer_rows::<5>(k, x, stride, i, dy, n, grad),
            _ => outer_rows::<TILE>(k, x, stride, i, dy, n, grad),
        }
        i += TILE;
    }
}

/// `grad [n] += column sums of dy [rows, n]`: the gradient of a bias.
pub fn add_columns(dy: &[f32], n: usize, grad: &mut [f32]) {
    for (p, grad) in panels_mut(grad).iter_mut().enumerate() {
        let mut sum = f32x8::ZERO;
        for row in dy.chunks_exact(n) {
            sum += f32x8::new(panels(row)[p]);
        }
        *grad = (f32x8::new(*grad) + sum).to_array();
    }
}

/// Hyperbolic tangent, largest error 3e-7: the rational function of degree 13 over 6 of Eigen
/// (`generic_fast_tanh_float`).
#[inline(always)]
pub fn tanh(x: f32x8) -> f32x8 {
    const LIMIT: f32 = 7.905_311;
    let c = f32x8::splat;
    // This order lets a NaN through.
    let x = c(-LIMIT).fast_max(c(LIMIT).fast_min(x));
    let x2 = x * x;
    let p = c(-2.760_768_5e-16).mul_add(x2, c(2.000_188e-13));
    let p = p.mul_add(x2, c(-8.604_672e-11));
    let p = p.mul_add(x2, c(5.122_297e-8));
    let p = p.mul_add(x2, c(1.485_722_4e-5));
    let p = p.mul_add(x2, c(6.372_619e-4));
    let p = p.mul_add(x2, c(4.893_524_6e-3)) * x;
    let q = c(1.198_258_4e-6).mul_add(x2, c(1.185_347_1e-4));
    let q = q.mul_add(x2, c(2.268_434_6e-3));
    let q = q.mul_add(x2, c(4.893_525e-3));
    p / q
}

impl Activation {
    /// Applies the function in place, NaN staying NaN; the length is a multiple of 8.
    pub(crate) fn apply(self, values: &mut [f32]) {
        let values = panels_mut(values);
        match self {
            Self::Tanh => values.iter_mut().for_each(|v| *v = tanh(f32x8::new(*v)).to_array()),
            Self::Elu => values.iter_mut().for_each(|v| {
                let x = f32x8::new(*v);
                *v = x.simd_lt(f32x8::ZERO).select(x.exp() - f32x8::ONE, x).to_array();
            }),
            Self::Relu => values.iter_mut().for_each(|v| *v = f32x8::ZERO.fast_max(f32x8::new(*v)).to_array()),
        }
    }

    /// Multiplies `delta` by the derivative, written in the function's value `h`: `1 - h^2`, `h + 1` (below zero), 0 or
    /// 1.
    pub(crate) fn apply_slope(self, h: &[f32], delta: &mut [f32]) {
        let pairs = panels_mut(delta).iter_mut().zip(panels(h));
        match self {
            Self::Tanh => pairs.for_each(|(d, h)| {
                let (x, h) = (f32x8::new(*d), f32x8::new(*h));
                *d = (x * (-h).mul_add(h, f32x8::ONE)).to_array();
            }),
            Self::Elu => pairs.for_each(|(d, h)| {
                let (x, h) = (f32x8::new(*d), f32x8::new(*h));
                *d = h.simd_gt(f32x8::ZERO).select(x, x * (h + f32x8::ONE)).to_array();
            }),
            Self::Relu => pairs.for_each(|(d, h)| {
                let (x, h) = (f32x8::new(*d), f32x8::new(*h));
                *d = h.simd_gt(f32x8::ZERO).select(x, f32x8::ZERO).to_array();
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Rng};

    fn noise(len: usize, index: u32) -> Vec<f32> {
        let mut out = vec![0.0; len];
        Rng::new(1, Purpose::Bench, 0).normals(0, index, &mut out);
        out
    }

    /// Row-major `[k, n]` to panels.
    fn in_panels(w: &[f32], k: usize, n: usize) -> Vec<f32> {
        let mut out = vec![0.0; k * padded(n)];
        for i in 0..k {
            for j in 0..n {
                out[(j / 8 * k + i) * 8 + j % 8] = w[i * n + j];
            }
        }
        out
    }

    /// `a [m, k] * b [k, n]` by the `gemm` crate; strides in numbers.
    fn by_gemm(m: usize, k: usize, n: usize, a: &[f32], a_strides: (isize, isize), b: &[f32], out: &mut [f32]) {
        assert!(out.len() >= m * n && b.len() >= k * n);
        assert!(a.len() > (m - 1) * a_strides.0 as usize + (k - 1) * a_strides.1 as usize);
        #[expect(unsafe_code, reason = "gemm takes pointers; it is the independent answer here")]
        // SAFETY: the assertions above keep every element named by sizes and strides inside its slice; `out` overlaps
        // neither.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                out.as_mut_ptr(),
                1,
                n as isize,
                false,
                a.as_ptr(),
                a_strides.1,
                a_strides.0,
                b.as_ptr(),
                1,
                n as isize,
                0.0f32,
                1.0f32,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }

    #[test]
    fn products_agree_with_gemm() {
        for (rows, k, n) in
            [(1, 1, 1), (5, 27, 8), (7, 3, 20), (64, 27, 64), (13, 105, 40), (256, 64, 64), (9, 376, 24)]
        {
            let stride = k + 3;
            let (x, w, bias) = (noise(rows * stride, 0), noise(k * n, 1), noise(n, 2));
            let width = padded(n);
            let mut padded_bias = bias.clone();
            padded_bias.resize(width, 0.0);
            let mut out = vec![f32::NAN; rows * width];
            let panels = in_panels(&w, k, n);
            multiply(k, &x, stride, &panels, Some(&padded_bias), width, &mut out, |_, _| ());
            let mut expected = vec![0.0; rows * n];
            by_gemm(rows, k, n, &x, (stride as isize, 1), &w, &mut expected);
            let close = 1e-5 * (k as f32).sqrt() * 4.0;
            for r in 0..rows {
                for j in 0..width {
                    let expected = if j < n { expected[r * n + j] + bias[j] } else { 0.0 };
                    let found = out[r * width + j];
                    assert!((found - expected).abs() < close, "{rows} {k} {n}: ({r}, {j}) {found} {expected}");
                }
            }

            let dy = noise(rows * width, 3);
            let mut grad = vec![1.0; k * width];
            add_outer(k, &x, stride, &dy, width, &mut grad);
            let mut expected = vec![0.0; k * width];
            by_gemm(k, rows, width, &x, (1, stride as isize), &dy, &mut expected);
            let expected = in_panels(&expected, k, width);
            let close = 1e-5 * (rows as f32).sqrt() * 4.0;
            for (found, expected) in grad.iter().zip(&expected) {
                assert!((found - 1.0 - expected).abs() < close, "{rows} {k} {n}: {found} {expected}");
            }

            let mut sums = vec![2.0; width];
            add_columns(&dy, width, &mut sums);
            for j in 0..width {
                let expected: f32 = (0..rows).map(|r| dy[r * width + j]).sum();
                assert!((sums[j] - 2.0 - expected).abs() < close);
            }
        }
    }

    #[test]
    fn activations_are_accurate_and_let_nan_through() {
        let xs: Vec<f32> = (-80_000..80_000).map(|i| i as f32 * 2.5e-4).collect();
        type Function = fn(f64) -> f64;
        let exact: [(Activation, Function, f64); 3] = [
            (Activation::Tanh, f64::tanh, 3e-7),
            (Activation::Elu, |x| if x > 0.0 { x } else { x.exp_m1() }, 2e-7),
            (Activation::Relu, |x| x.max(0.0), 0.0),
        ];
        for (activation, exact, limit) in exact {
            let mut ys = xs.clone();
            activation.apply(&mut ys);
            let gap = |x: f32, y: f32| (f64::from(y) - exact(f64::from(x))).abs();
            let worst = xs.iter().zip(&ys).map(|(&x, &y)| gap(x, y)).fold(0.0, f64::max);
            assert!(worst <= limit, "{activation:?}: {worst}");
            let mut odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 0.0, -0.0, 1e-30];
            activation.apply(&mut odd);
            assert!(odd[0].is_nan() && odd[1..].iter().all(|y| !y.is_nan()), "{activation:?} {odd:?}");
            // Slope against a central difference of the exact function.
            let mut slope = vec![1.0; ys.len()];
            activation.apply_slope(&ys, &mut slope);
            for (&x, &found) in xs.iter().zip(&slope).filter(|(x, _)| x.abs() > 1e-3) {
                let x = f64::from(x);
                let expected = (exact(x + 1e-6) - exact(x - 1e-6)) / 2e-6;
                assert!((f64::from(found) - expected).abs() < 2e-6, "{activation:?} at {x}: {found} {expected}");
            }
        }
    }

    #[test]
    #[ignore = "a measurement, not a check: cargo test --release -p pavlov-learn -- --ignored --nocapture kernel_speed"]
    fn kernel_speed() {
        let best = |work: f64, run: &mut dyn FnMut()| {
            let mut best = f64::INFINITY;
            for _ in 0..200 {
                let start = std::time::Instant::now();
                run();
                best = best.min(start.elapsed().as_secs_f64());
            }
            2e-9 * work / best
        };
        let rows = 256;
        for (k, n) in [(27, 64), (64, 64), (64, 8), (256, 256), (512, 512)] {
            let (x, dy, w, bias) = (noise(rows * k, 0), noise(rows * n, 1), noise(k * n, 2), noise(n, 3));
            let (mut out, mut grad) = (vec![0.0; rows * n], vec![0.0; k * n]);
            let work = (rows * k * n) as f64;
            let product = best(work, &mut || multiply(k, &x, k, &w, Some(&bias), n, &mut out, |_, _| ()));
            let product_gemm = best(work, &mut || by_gemm(rows, k, n, &x, (k as isize, 1), &w, &mut out));
            let outer = best(work, &mut || add_outer(k, &x, k, &dy, n, &mut grad));
            let outer_gemm = best(work, &mut || by_gemm(k, rows, n, &x, (1, k as isize), &dy, &mut grad));
            println!(
                "{rows} rows, {k} x {n}, Gflop/s: product {product:.0} (gemm {product_gemm:.0}), \
                 outer {outer:.0} (gemm {outer_gemm:.0})"
            );
        }
    }
}
