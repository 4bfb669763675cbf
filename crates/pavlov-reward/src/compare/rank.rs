//! Correlations of returns: do two rewards order episodes alike?
//!
//! Kendall, "A new measure of rank correlation" (1938), in the form tau-b that counts ties; Spearman's rho is Pearson's
//! correlation of the ranks, equal values sharing their mean rank.

/// Pearson's correlation; none when one of the two does not vary.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    weighted_pearson(a, b, &[]).0
}

/// The correlation, and whether neither varies when there is none.
pub(crate) fn weighted_pearson(a: &[f64], b: &[f64], weight: &[f64]) -> (Option<f64>, bool) {
    let at = |i: usize| weight.get(i).copied().unwrap_or(1.0);
    let n = a.len().min(b.len());
    let total: f64 = (0..n).map(at).sum();
    let mean = |x: &[f64]| (0..n).map(|i| at(i) * x[i]).sum::<f64>() / total;
    let (ma, mb) = (mean(a), mean(b));
    let product = |f: &dyn Fn(usize) -> f64| (0..n).map(|i| at(i) * f(i)).sum::<f64>() / total;
    let (va, vb) = (product(&|i| (a[i] - ma).powi(2)), product(&|i| (b[i] - mb).powi(2)));
    let size = |x: &[f64]| x.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let still = |v: f64, x: &[f64]| v.is_nan() || v.sqrt() <= 1e-12 * size(x);
    match (still(va, a), still(vb, b)) {
        (false, false) => {
            let rho = product(&|i| (a[i] - ma) * (b[i] - mb)) / (va * vb).sqrt();
            (Some(rho.clamp(-1.0, 1.0)), false)
        }
        (x, y) => (None, x && y),
    }
}

/// Ranks from 1; equal values share the mean of theirs.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut out = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let tied = order[from..].iter().take_while(|&&i| values[i] == values[order[from]]).count().max(1);
        let rank = from as f64 + 0.5 * (tied as f64 + 1.0);
        order[from..from + tied].iter().for_each(|&i| out[i] = rank);
        from += tied;
    }
    out
}

/// Spearman's rank correlation; none when one of the two does not vary.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    pearson(&ranks(a), &ranks(b))
}

/// Kendall's tau-b: pairs ordered alike less pairs ordered against each other, over the pairs without ties; none when
/// one of the two does not vary.
pub fn kendall(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len().min(b.len());
    let (mut score, mut pairs_a, mut pairs_b) = (0i64, 0i64, 0i64);
    let sign = |x: f64, y: f64| i64::from(x > y) - i64::from(x < y);
    for i in 0..n {
        for j in 0..i {
            let (x, y) = (sign(a[i], a[j]), sign(b[i], b[j]));
            score += x * y;
            pairs_a += x.abs();
            pairs_b += y.abs();
        }
    }
    (pairs_a > 0 && pairs_b > 0).then(|| score as f64 / ((pairs_a as f64) * (pairs_b as f64)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // From the definitions by hand: one of six pairs is against, and with a tie.
        assert!((kendall(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]).unwrap() - 4.0 / 6.0).abs() < 1e-12);
        let tied = kendall(&[1.0, 2.0, 2.0], &[1.0, 2.0, 3.0]).unwrap();
        assert!((tied - 2.0 / 6f64.sqrt()).abs() < 1e-12);
        assert!((spearman(&[1.0, 2.0, 3.0, 4.0], &[10.0, 30.0, 20.0, 400.0]).unwrap() - 0.8).abs() < 1e-12);
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 9.0]), [2.5, 1.0, 2.5, 4.0]);
        assert_eq!(
            (pearson(&[1.0, 1.0], &[1.0, 2.0]), kendall(&[], &[]), spearman(&[2.0], &[3.0])),
            (None, None, None)
        );
        assert!((pearson(&[1.0, 2.0, 3.0], &[-2.0, -4.0, -6.0]).unwrap() + 1.0).abs() < 1e-12);
    }
}
