//! How scores stand to labels.

/// EPIC distance of scores and labels on the same frames, `sqrt((1 - rho) / 2)` with Pearson's rho: what VLM-RM
/// compares models by. Labels of one frame need no canonicalisation: they depend on the state reached only. None where
/// one side does not change.
pub fn epic(scores: &[f64], labels: &[f64]) -> Option<f64> {
    let n = scores.len().min(labels.len());
    if n < 2 {
        return None;
    }
    let changes = |v: &[f64]| v[..n].iter().any(|x| (x - v[0]).abs() > 1e-12);
    (changes(scores) && changes(labels)).then(|| pavlov_reward::compare::epic(&scores[..n], &labels[..n], &[]))
}

/// Probability that a frame with the label scores higher than one without (ties count half). None where one kind is
/// missing.
pub fn auroc(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len().min(labels.len())).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let positive = order.iter().filter(|&&i| labels[i]).count();
    let negative = order.len() - positive;
    if positive == 0 || negative == 0 {
        return None;
    }
    // Mann and Whitney: the sum of ranks of the positives, equal scores sharing their mean rank.
    let (mut sum, mut at) = (0.0, 0);
    while at < order.len() {
        let end = order[at..].iter().position(|&i| scores[i] > scores[order[at]]).map_or(order.len(), |k| at + k);
        let rank = 0.5 * (at + 1 + end) as f64;
        sum += rank * order[at..end].iter().filter(|&&i| labels[i]).count() as f64;
        at = end;
    }
    let (p, n) = (positive as f64, negative as f64);
    Some((sum - 0.5 * p * (p + 1.0)) / (p * n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auroc_and_epic_have_their_known_values() {
        assert_eq!(auroc(&[1.0, 2.0, 3.0, 4.0], &[false, false, true, true]), Some(1.0));
        assert_eq!(auroc(&[1.0, 2.0, 3.0, 4.0], &[true, false, true, false]), Some(0.25));
        assert_eq!(auroc(&[1.0, 1.0, 1.0], &[true, false, true]), Some(0.5));
        assert_eq!(auroc(&[1.0], &[true]), None);
        assert!(epic(&[0.0, 1.0, 2.0], &[5.0, 7.0, 9.0]).unwrap() < 1e-6);
        assert!((epic(&[0.0, 1.0, 2.0], &[2.0, 1.0, 0.0]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(epic(&[1.0, 1.0], &[0.0, 1.0]), None);
    }
}
