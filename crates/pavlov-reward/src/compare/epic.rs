//! EPIC distance: Pearson distance of canonically shaped rewards.
//!
//! Gleave, Dennis, Legg, Russell, Leike, "Quantifying differences in reward functions" (2021), definition 4.2:
//! `C(R)(s, a, s') = R(s, a, s') + E[g R(s', A, S') - R(s, A, S') - g R(S, A, S')]` with S, A, S' independent, and
//! `d = sqrt((1 - rho) / 2)`, rho the correlation of C(R1) and C(R2) over a coverage distribution of transitions. The
//! expectations need R where no transition was seen, so R is a function here, not a list of values. They are means over
//! a product: each S of a sample with each (A, S') of another, whose A and S' were drawn independently of each other.

use pavlov_common::stats::{Still, weighted_pearson};

/// Where rewards are compared: a coverage sample of transitions, and a sample of (S, A, S') for the expectations. All
/// are indices of states and actions that the caller knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EpicSamples {
    /// Coverage: states before.
    pub state: Vec<usize>,
    /// Coverage: actions.
    pub action: Vec<usize>,
    /// Coverage: states after.
    pub next: Vec<usize>,
    /// Weights of the coverage; empty for equal ones.
    pub weight: Vec<f64>,
    /// Expectations: S. Each is put together with each pair of the two below.
    pub mean_state: Vec<usize>,
    /// Expectations: A, drawn independently of S', or every combination with it.
    pub mean_action: Vec<usize>,
    /// Expectations: S'.
    pub mean_next: Vec<usize>,
}

/// Why there is no EPIC distance.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EpicError<E> {
    /// Arrays of different lengths, or none at all.
    #[error("EPIC samples: {0}")]
    Samples(&'static str),
    /// The reward could not be evaluated.
    #[error(transparent)]
    Reward(E),
    /// The reward was not finite.
    #[error("a reward is {value} in one of the states and actions sampled")]
    Value {
        /// Value.
        value: f64,
    },
}

/// `C(R)` on the coverage transitions. `reward(s, a, s', out)` fills the reward of each transition given by indices.
///
/// # Errors
/// [`EpicError`]; that of `reward` is passed on.
pub fn epic_canonical<E>(
    gamma: f64,
    samples: &EpicSamples,
    mut reward: impl FnMut(&[usize], &[usize], &[usize], &mut [f64]) -> Result<(), E>,
) -> Result<Vec<f64>, EpicError<E>> {
    let EpicSamples { state, action, next, weight, mean_state, mean_action, mean_next } = samples;
    if action.len() != state.len() || next.len() != state.len() || !(weight.is_empty() || weight.len() == state.len()) {
        return Err(EpicError::Samples("the coverage's arrays differ in length"));
    }
    let m = mean_action.len();
    if mean_state.is_empty() || m == 0 || mean_next.len() != m {
        return Err(EpicError::Samples("the arrays of the expectations are empty or differ in length"));
    }
    let mut evaluate = |s: &[usize], a: &[usize], n: &[usize]| {
        let mut out = vec![0.0; s.len()];
        reward(s, a, n, &mut out).map_err(EpicError::Reward)?;
        match out.iter().find(|x| !x.is_finite()) {
            Some(&value) => Err(EpicError::Value { value }),
            None => Ok(out),
        }
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    // E[R(x, A, S')] of each state that occurs, once.
    let mut expected = std::collections::HashMap::new();
    for &x in state.iter().chain(next).chain(mean_state) {
        if let std::collections::hash_map::Entry::Vacant(slot) = expected.entry(x) {
            slot.insert(mean(&evaluate(&vec![x; m], mean_action, mean_next)?));
        }
    }
    let everywhere = mean_state.iter().map(|x| expected[x]).sum::<f64>() / mean_state.len() as f64;
    let values = evaluate(state, action, next)?;
    let shaped = values
        .iter()
        .enumerate()
        .map(|(i, r)| r + gamma * expected[&next[i]] - expected[&state[i]] - gamma * everywhere);
    Ok(shaped.collect())
}

/// EPIC distance of two canonically shaped rewards over the same coverage, in [0, 1]. A reward that is nothing but
/// shaping has no correlation with anything: it is at `sqrt(1/2)` from rewards that are not, and at 0 from its like.
pub fn epic(a: &[f64], b: &[f64], weight: &[f64]) -> f64 {
    match weighted_pearson(a, b, weight) {
        Ok(rho) => (0.5 * (1.0 - rho)).max(0.0).sqrt(),
        Err(Still::Both) => 0.0,
        Err(Still::One) => 0.5f64.sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn every_transition(states: usize, actions: usize) -> EpicSamples {
        let every =
            || (0..states).flat_map(move |s| (0..actions).flat_map(move |a| (0..states).map(move |n| (s, a, n))));
        let component = |f: fn((usize, usize, usize)) -> usize| every().map(f).collect::<Vec<_>>();
        let (state, action, next) = (component(|t| t.0), component(|t| t.1), component(|t| t.2));
        EpicSamples {
            mean_state: state.clone(),
            mean_action: action.clone(),
            mean_next: next.clone(),
            state,
            action,
            next,
            weight: vec![],
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn scaling_and_shaping_are_nothing_and_negation_is_all(
            table in prop::collection::vec(-1.0f64..1.0, 4 * 2 * 4), phi in prop::collection::vec(-9.0f64..9.0, 4),
            factor in 0.1f64..10.0, gamma in 0.0f64..1.0,
        ) {
            let samples = every_transition(4, 2);
            let at = |s: usize, a: usize, n: usize| table[(s * 2 + a) * 4 + n];
            let form = |f: &dyn Fn(usize, usize, usize) -> f64| {
                epic_canonical::<std::convert::Infallible>(gamma, &samples, |s, a, n, out| {
                    for i in 0..out.len() { out[i] = f(s[i], a[i], n[i]); }
                    Ok(())
                }).unwrap()
            };
            let plain = form(&at);
            let shaped = form(&|s, a, n| factor * at(s, a, n) + gamma * phi[n] - phi[s] + 3.0);
            let negated = form(&|s, a, n| -at(s, a, n));
            prop_assert!(epic(&plain, &shaped, &[]) < 1e-6);
            prop_assert!((epic(&plain, &negated, &[]) - 1.0).abs() < 1e-9);
            let alone = form(&|s, _, n| gamma * phi[n] - phi[s]);
            prop_assert!(alone.iter().all(|x| x.abs() < 1e-9));
        }
    }

    #[test]
    fn expectations_are_over_the_product_of_independent_samples() {
        // R(s, a, s') = s a + 10 s' over S in {1, 2}, A and S' in pairs whose mean A is 3 and mean S' 5: by hand,
        // E[R(x, A, S')] = 3 x + 50, E[R(S, A, S')] = 54.5. S and the pairs differ in number.
        let samples = EpicSamples {
            state: vec![1, 2],
            action: vec![2, 6],
            next: vec![2, 1],
            mean_state: vec![1, 2],
            mean_action: vec![0, 3, 6],
            mean_next: vec![10, 4, 1],
            weight: vec![],
        };
        let form = epic_canonical::<std::convert::Infallible>(0.5, &samples, |s, a, n, out| {
            (0..out.len()).for_each(|i| out[i] = (s[i] * a[i] + 10 * n[i]) as f64);
            Ok(())
        });
        // R + g E[R(s')] - E[R(s)] - g E[R]: 22 + 28 - 53 - 27.25 and 22 + 26.5 - 56 - 27.25.
        assert_eq!(form, Ok(vec![-30.25, -34.75]));
    }

    #[test]
    fn failures_and_bad_samples_are_told() {
        let mut samples = every_transition(2, 1);
        let fails = epic_canonical(0.9, &samples, |_, _, _, _| Err("no"));
        assert_eq!(fails, Err(EpicError::Reward("no")));
        let nan = epic_canonical::<()>(0.9, &samples, |_, _, _, out| {
            out.fill(f64::NAN);
            Ok(())
        });
        assert!(matches!(nan, Err(EpicError::Value { .. })));
        for (damage, words) in [
            ((|s| s.next.truncate(1)) as fn(&mut EpicSamples), "the coverage's arrays differ"),
            (|s| s.action.truncate(1), "the coverage's arrays differ"),
            (|s| s.weight.push(1.0), "the coverage's arrays differ"),
            (|s| s.mean_state.clear(), "empty or differ"),
            (|s| s.mean_next.truncate(1), "empty or differ"),
            (|s| (s.mean_action, s.mean_next) = (vec![], vec![]), "empty or differ"),
        ] {
            let mut damaged = samples.clone();
            damage(&mut damaged);
            let error = epic_canonical::<&str>(0.9, &damaged, |_, _, _, _| Ok(())).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        samples.weight = vec![1.0; samples.state.len()];
        assert!(epic_canonical::<()>(0.9, &samples, |_, _, _, _| Ok(())).is_ok());
        // What has no weight does not count.
        let apart = |weight: &[f64]| epic(&[1.0, 2.0, 9.0], &[1.0, 2.0, -9.0], weight);
        assert!(apart(&[1.0, 1.0, 0.0]) < 1e-9 && apart(&[]) > 0.9);
        assert_eq!((epic(&[1.0, 1.0], &[2.0, 2.0], &[]), epic(&[1.0, 1.0], &[2.0, 3.0], &[])), (0.0, 0.5f64.sqrt()));
    }
}
