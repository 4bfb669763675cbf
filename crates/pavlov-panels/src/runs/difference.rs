//! Where two series differ most, as shares of how much they vary; timelines mark these places.

/// |a - b| of each step in standard deviations of all values of both; 0 where neither varies.
pub(crate) fn standardised(a: &[f32], b: &[f32]) -> Vec<f32> {
    let n = a.len().min(b.len());
    let finite = a[..n].iter().chain(&b[..n]).copied().filter(|x| x.is_finite());
    let (_, variance) = pavlov_common::stats::moments(finite.map(f64::from)).unwrap_or_default();
    let deviation = variance.sqrt();
    let scale = if deviation > 1e-9 { (1.0 / deviation) as f32 } else { 0.0 };
    a.iter().zip(b).map(|(a, b)| if a.is_finite() && b.is_finite() { (a - b).abs() * scale } else { 0.0 }).collect()
}

/// Steps at which `x` is a peak: larger than all within `apart` steps to either side and at least half of the largest.
pub(crate) fn peaks(x: &[f32], apart: usize) -> Vec<usize> {
    let most = x.iter().copied().fold(0.0, f32::max);
    if most <= 0.0 {
        return Vec::new();
    }
    let is_peak = |i: usize| {
        let (from, to) = (i.saturating_sub(apart), (i + apart + 1).min(x.len()));
        // Of equal neighbours the first is the peak.
        x[i] >= 0.5 * most && x[from..i].iter().all(|&y| y < x[i]) && x[i + 1..to].iter().all(|&y| y <= x[i])
    };
    (0..x.len()).filter(|&i| is_peak(i)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_that_differs_stands_out() {
        let a = [1.0, 2.0, 3.0, 2.0, 1.0];
        let mut b = a;
        b[3] = -4.0;
        let d = standardised(&a, &b);
        assert_eq!(peaks(&d, 2), [3]);
        assert!(d[3] > 2.0 && d[0] == 0.0, "{d:?}");
        assert!(standardised(&[1.0; 4], &[1.0; 4]).iter().all(|&x| x == 0.0));
        assert!(peaks(&[0.0; 5], 1).is_empty());
    }

    #[test]
    fn peaks_keep_apart() {
        assert_eq!(peaks(&[0.0, 5.0, 4.9, 0.0, 0.0, 0.0, 6.0, 6.0], 2), [1, 6]);
    }
}
