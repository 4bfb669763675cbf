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

/// Probability that a frame with the label scores higher than one without (ties count half). None where one kind is missing.
pub use pavlov_common::stats::area_under_curve as auroc;

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
