//! Running mean and variance in f64, merged from parts by the formula of Chan, Golub and LeVeque (1979).
//!
//! Parts are gathered on their own (one per block of worlds) and merged in the order of the blocks, so that the result
//! does not depend on threads. Variances are of the population (`m2 / count`). Units are those of the numbers that went
//! in.

/// Added to variances before a square root.
const EPS: f64 = 1e-8;

/// Count, mean and sum of squared deviations of each column.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Rows seen.
    pub count: f64,
    /// Mean of each column.
    pub mean: Vec<f64>,
    /// Sum over rows of the squared deviation from the mean.
    pub m2: Vec<f64>,
}

impl Moments {
    /// Nothing seen yet.
    pub fn new(columns: usize) -> Self {
        Self { count: 0.0, mean: vec![0.0; columns], m2: vec![0.0; columns] }
    }

    /// Takes in what `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0.0 {
            return;
        }
        let total = self.count + other.count;
        for j in 0..self.mean.len() {
            let gap = other.mean[j] - self.mean[j];
            self.mean[j] += gap * other.count / total;
            self.m2[j] += other.m2[j] + gap * gap * self.count * other.count / total;
        }
        self.count = total;
    }

    /// Variance of a column; 1 before anything was seen.
    pub fn variance(&self, column: usize) -> f64 {
        if self.count > 0.0 { self.m2[column] / self.count } else { 1.0 }
    }

    /// Deviation of a column, kept above 1e-4.
    pub fn std(&self, column: usize) -> f64 {
        (self.variance(column) + EPS).sqrt()
    }

    /// Are all numbers finite, and none impossible?
    pub fn is_sound(&self) -> bool {
        let finite = self.mean.iter().all(|x| x.is_finite()) && self.m2.iter().all(|&x| x.is_finite() && x >= 0.0);
        finite && self.count.is_finite() && self.count >= 0.0
    }
}

/// Sums of a part of the rows, about the part's first row (which keeps the squares small).
#[derive(Debug, Clone)]
pub struct Gather {
    count: f64,
    about: Vec<f64>,
    sum: Vec<f64>,
    square: Vec<f64>,
}

impl Gather {
    /// Nothing seen yet.
    pub fn new(columns: usize) -> Self {
        Self { count: 0.0, about: vec![0.0; columns], sum: vec![0.0; columns], square: vec![0.0; columns] }
    }

    /// Takes in a row.
    pub fn add(&mut self, row: &[f32]) {
        if self.count == 0.0 {
            self.about.iter_mut().zip(row).for_each(|(a, &x)| *a = f64::from(x));
        }
        self.count += 1.0;
        let sums = self.sum.iter_mut().zip(&mut self.square);
        for ((&x, &about), (sum, square)) in row.iter().zip(&self.about).zip(sums) {
            let x = f64::from(x) - about;
            *sum += x;
            *square += x * x;
        }
    }

    /// The moments of the rows.
    pub fn moments(&self) -> Moments {
        let n = self.count.max(1.0);
        let columns = self.sum.iter().zip(&self.square).zip(&self.about);
        let (mean, m2) = columns.map(|((s, q), a)| (a + s / n, clamp_low(q - s * s / n))).unzip();
        Moments { count: self.count, mean, m2 }
    }
}

/// `max(x, 0)` that lets NaN through.
fn clamp_low(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

/// Moments of one column of numbers, in their order.
pub fn moments_of(values: &[f32]) -> Moments {
    let mut part = Gather::new(1);
    values.iter().for_each(|x| part.add(std::slice::from_ref(x)));
    part.moments()
}

/// Moments of the columns of `[worlds, columns, horizon]`.
pub fn moments_by_column(values: &[f32], columns: usize, horizon: usize) -> Moments {
    let mut part = Gather::new(columns);
    let mut row = vec![0.0; columns];
    for world in values.chunks_exact(columns * horizon) {
        for t in 0..horizon {
            row.iter_mut().enumerate().for_each(|(c, x)| *x = world[c * horizon + t]);
            part.add(&row);
        }
    }
    part.moments()
}

/// Frozen normaliser of observations: `clip((x - mean) * inv_std, ± limit)` in f32.
#[derive(Debug, Clone, PartialEq)]
pub struct Frozen {
    /// Subtracted.
    pub mean: Vec<f32>,
    /// Multiplied by.
    pub inv_std: Vec<f32>,
    /// Limit of the result.
    pub limit: f32,
}

impl Frozen {
    /// Of the moments of observations; the identity (clip included) if `on` is false or nothing was seen yet.
    pub fn new(moments: &Moments, on: bool, limit: f64) -> Self {
        let columns = moments.mean.len();
        if !on || moments.count == 0.0 {
            let limit = if on { limit as f32 } else { f32::INFINITY };
            return Self { mean: vec![0.0; columns], inv_std: vec![1.0; columns], limit };
        }
        Self {
            mean: moments.mean.iter().map(|&m| m as f32).collect(),
            inv_std: (0..columns).map(|j| (1.0 / moments.std(j)) as f32).collect(),
            limit: limit as f32,
        }
    }

    /// Normalises a row; NaN stays NaN.
    pub fn apply(&self, row: &[f32], out: &mut [f32]) {
        for (((out, &x), &mean), &scale) in out.iter_mut().zip(row).zip(&self.mean).zip(&self.inv_std) {
            *out = ((x - mean) * scale).clamp(-self.limit, self.limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_parts_equal_the_whole() {
        let rows: Vec<[f32; 2]> = (0..1000).map(|i| [1e4 + (i % 17) as f32, ((i * i) % 101) as f32 * 1e-3]).collect();
        let mut merged = Moments::new(2);
        for part in [&rows[..1], &rows[1..1], &rows[1..400], &rows[400..]] {
            let mut gather = Gather::new(2);
            part.iter().for_each(|row| gather.add(row));
            merged.merge(&gather.moments());
        }
        assert_eq!(merged.count, 1000.0);
        for j in 0..2 {
            let mean = rows.iter().map(|r| f64::from(r[j])).sum::<f64>() / 1000.0;
            let variance = rows.iter().map(|r| (f64::from(r[j]) - mean).powi(2)).sum::<f64>() / 1000.0;
            assert!((merged.mean[j] - mean).abs() < 1e-9 * mean.abs(), "{} {mean}", merged.mean[j]);
            assert!((merged.variance(j) - variance).abs() < 1e-9 * variance, "{} {variance}", merged.variance(j));
        }
    }

    #[test]
    fn nan_is_seen() {
        let mut gather = Gather::new(1);
        gather.add(&[1.0]);
        gather.add(&[f32::NAN]);
        assert!(!gather.moments().is_sound());
        let mut gather = Gather::new(1);
        gather.add(&[f32::INFINITY]);
        assert!(!gather.moments().is_sound());
    }

    #[test]
    fn frozen_normalises_and_clips() {
        let moments = Moments { count: 4.0, mean: vec![10.0, 0.0], m2: vec![16.0, 0.0] };
        let frozen = Frozen::new(&moments, true, 5.0);
        let mut out = [0.0; 2];
        frozen.apply(&[13.0, 1.0], &mut out);
        assert!((out[0] - 1.5).abs() < 1e-6 && out[1] == 5.0, "{out:?}");
        Frozen::new(&moments, false, 5.0).apply(&[13.0, -700.0], &mut out);
        assert_eq!(out, [13.0, -700.0]);
    }
}
