//! Statistics: moments, order, rank correlations, bootstrap intervals.
//!
//! Sums run in the order of the values and deviations are found in two passes. Metrics files were written with these
//! very sums, so that another way to add (such as a running mean) would change their last digits.
//!
//! Rank correlation: Kendall, "A new measure of rank correlation" (1938), in the form tau-b that counts ties;
//! Spearman's rho is Pearson's correlation of the ranks, equal values sharing their mean rank. Area under the curve:
//! Mann and Whitney (1947). Interquartile mean: Agarwal et al., "Deep reinforcement learning at the edge of the
//! statistical precipice" (2021), with the values at its ends counted in part, so that it is defined for few values.

/// Mean; none without values.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut count = 0usize;
    let sum: f64 = values.into_iter().inspect(|_| count += 1).sum();
    (count > 0).then(|| sum / count as f64)
}

/// Mean and variance of all that there is (divided by their number); none without values.
pub fn moments<I>(values: I) -> Option<(f64, f64)>
where
    I: IntoIterator<Item = f64>,
    I::IntoIter: Clone,
{
    let values = values.into_iter();
    let centre = mean(values.clone())?;
    Some((centre, mean(values.map(|x| (x - centre) * (x - centre)))?))
}

/// Mean and its standard error (from the variance of a sample, divided by one less than their number); none for fewer
/// than two values.
pub fn mean_and_error(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    let (centre, _) = moments(values.iter().copied()).filter(|_| values.len() > 1)?;
    let variance = values.iter().map(|x| (x - centre) * (x - centre)).sum::<f64>() / (n - 1.0);
    Some((centre, (variance / n).sqrt()))
}

/// Smallest and largest, NaN passed over; none when there is no number.
pub fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    let (low, high) = values.into_iter().fold(start, |(low, high), x| (low.min(x), high.max(x)));
    (low <= high).then_some((low, high))
}

/// Smallest and largest of numbers, NaN passed over; infinity and minus infinity when there is none. Not generic, so that
/// it is compiled here, where it is fast, and not where it is called.
pub fn extent(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)))
}

/// Place of the first number that is not finite, compiled here as [`extent`] is.
pub fn first_not_finite(values: &[f32]) -> Option<usize> {
    values.iter().position(|x| !x.is_finite())
}

/// Sum of the magnitudes of those that are finite, compiled here as [`extent`] is.
pub fn sum_of_magnitudes(values: &[f32]) -> f64 {
    values.iter().filter(|x| x.is_finite()).map(|x| f64::from(x.abs())).sum()
}

/// The number at one place of each of these rows, compiled here as [`extent`] is.
pub fn column(rows: &[Vec<f32>], place: usize, out: &mut Vec<f32>) {
    out.extend(rows.iter().map(|row| row[place]));
}

/// The first `n` numbers of each `width` that follow each other, compiled here as [`extent`] is.
pub fn fronts(values: &[f32], width: usize, n: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len() / width.max(1) * n);
    values.chunks_exact(width.max(1)).for_each(|chunk| out.extend_from_slice(&chunk[..n]));
    out
}

/// The value at a share of the way through sorted values, 0 the first and 1 the last: the nearest one, none in between.
pub fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((share * last as f64).round() as usize).copied()
}

/// Middle of sorted values, the mean of both when their number is even; none without values.
pub fn median(sorted: &[f64]) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(0.5 * sorted[last / 2] + 0.5 * sorted[sorted.len() / 2])
}

/// Mean of the middle half of the values; none without any.
pub fn interquartile_mean(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (0.25 * n, 0.75 * n);
    let weight = |i: usize| ((i as f64 + 1.0).min(high) - (i as f64).max(low)).max(0.0);
    Some(sorted.iter().enumerate().map(|(i, x)| weight(i) * x).sum::<f64>() / (high - low))
}

/// 95% interval of a statistic by the percentile bootstrap (Efron, 1979): the statistic of so many samples drawn with
/// replacement. `below(n)` draws a number below `n`. None without values or draws.
pub fn bootstrap_interval(
    values: &[f64],
    draws: usize,
    mut below: impl FnMut(usize) -> usize,
    statistic: impl Fn(&[f64]) -> f64,
) -> Option<[f64; 2]> {
    if values.is_empty() || draws == 0 {
        return None;
    }
    let mut sample = vec![0.0; values.len()];
    let mut found: Vec<f64> = (0..draws)
        .map(|_| {
            sample.iter_mut().for_each(|x| *x = values[below(values.len())]);
            statistic(&sample)
        })
        .collect();
    found.sort_by(f64::total_cmp);
    Some([0.025, 0.975].map(|share: f64| found[((share * draws as f64) as usize).min(draws - 1)]))
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

/// Pearson's correlation; none when one of the two does not vary.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    weighted_pearson(a, b, &[]).ok()
}

/// Why there is no correlation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Still {
    /// One of the two does not vary.
    One,
    /// Neither varies.
    Both,
}

/// Pearson's correlation with weights; a value without a weight has 1.
///
/// # Errors
/// When one of the two, or both, do not vary.
pub fn weighted_pearson(a: &[f64], b: &[f64], weight: &[f64]) -> Result<f64, Still> {
    let weight_of = |i: usize| weight.get(i).copied().unwrap_or(1.0);
    let n = a.len().min(b.len());
    let total: f64 = (0..n).map(weight_of).sum();
    let mean = |x: &[f64]| (0..n).map(|i| weight_of(i) * x[i]).sum::<f64>() / total;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let product = |f: &dyn Fn(usize) -> f64| (0..n).map(|i| weight_of(i) * f(i)).sum::<f64>() / total;
    let (var_a, var_b) = (product(&|i| (a[i] - mean_a).powi(2)), product(&|i| (b[i] - mean_b).powi(2)));
    let size = |x: &[f64]| x.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    let still = |variance: f64, x: &[f64]| variance.is_nan() || variance.sqrt() <= 1e-12 * size(x);
    match (still(var_a, a), still(var_b, b)) {
        (false, false) => {
            let rho = product(&|i| (a[i] - mean_a) * (b[i] - mean_b)) / (var_a * var_b).sqrt();
            Ok(rho.clamp(-1.0, 1.0))
        }
        (true, true) => Err(Still::Both),
        _ => Err(Still::One),
    }
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

/// Probability that a value with the label is larger than one without, ties counting half (the area under the ROC
/// curve); none where one kind is missing.
pub fn area_under_curve(values: &[f64], labels: &[bool]) -> Option<f64> {
    let n = values.len().min(labels.len());
    let positive = labels[..n].iter().filter(|label| **label).count();
    if positive == 0 || positive == n {
        return None;
    }
    let sum: f64 = ranks(&values[..n]).iter().zip(labels).filter(|(_, label)| **label).map(|(rank, _)| rank).sum();
    let (with, without) = (positive as f64, (n - positive) as f64);
    Some((sum - 0.5 * with * (with + 1.0)) / (with * without))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_their_known_values() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!(moments(values), Some((5.0, 4.0)));
        // Sample variance 32 / 7, over 8.
        let (centre, error) = mean_and_error(&values).unwrap();
        assert!(centre == 5.0 && (error - (4.0f64 / 7.0).sqrt()).abs() < 1e-15);
        assert_eq!((mean([]), moments([]), mean_and_error(&[1.0])), (None, None, None));
        assert_eq!((range([2.0, f64::NAN, -1.0]), range([f64::NAN])), (Some((-1.0, 2.0)), None));
    }

    #[test]
    fn order_has_its_known_values() {
        let sorted = [1.0, 2.0, 3.0, 10.0];
        assert_eq!((median(&sorted), median(&sorted[..3]), median(&[])), (Some(2.5), Some(2.0), None));
        assert_eq!(
            (quantile(&sorted, 0.0), quantile(&sorted, 0.5), quantile(&sorted, 1.0)),
            (Some(1.0), Some(3.0), Some(10.0))
        );
        assert_eq!((quantile::<f64>(&[], 0.5), quantile(&sorted, 1.5)), (None, None));
    }

    #[test]
    fn the_middle_half_counts() {
        assert_eq!(interquartile_mean(&[0.0, 1.0, 2.0, 100.0]), Some(1.5));
        // Of five values the middle 2.5: 3 whole, 2 and 4 by three quarters.
        assert!((interquartile_mean(&[1.0, 2.0, 3.0, 4.0, 50.0]).unwrap() - 3.0).abs() < 1e-12);
        assert_eq!((interquartile_mean(&[7.0]), interquartile_mean(&[])), (Some(7.0), None));
    }

    #[test]
    fn a_bootstrap_covers_what_sampling_would_give() {
        // A linear congruential generator (Numerical Recipes) draws well enough here.
        let mut state = 1u32;
        let below = |n: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((u64::from(state) * n as u64) >> 32) as usize
        };
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let [low, high] = bootstrap_interval(&values, 4000, below, |x| mean(x.iter().copied()).unwrap()).unwrap();
        // The mean's standard error is sqrt(833.25 / 100) = 2.887; 95% are within 1.96 of them.
        assert!((low - (49.5 - 5.66)).abs() < 0.5 && (high - (49.5 + 5.66)).abs() < 0.5, "{low} {high}");
        assert_eq!(bootstrap_interval(&[3.0], 10, |_| 0, |x| x[0]), Some([3.0, 3.0]));
        assert_eq!(bootstrap_interval(&[], 10, |_| 0, |x| x[0]), None);
    }

    #[test]
    fn correlations_have_their_known_values() {
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
        assert_eq!(weighted_pearson(&[1.0, 1.0], &[2.0, 2.0], &[]), Err(Still::Both));
    }

    #[test]
    fn the_area_under_the_curve_has_its_known_values() {
        assert_eq!(area_under_curve(&[1.0, 2.0, 3.0, 4.0], &[false, false, true, true]), Some(1.0));
        assert_eq!(area_under_curve(&[1.0, 2.0, 3.0, 4.0], &[true, false, true, false]), Some(0.25));
        assert_eq!(area_under_curve(&[1.0, 1.0, 1.0], &[true, false, true]), Some(0.5));
        assert_eq!(area_under_curve(&[1.0], &[true]), None);
    }
}
