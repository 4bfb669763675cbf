//! STARC, EPIC and rank correlations against values that `tests/compare/reference.py` computed independently.

use pavlov_reward::compare::{Canon, CanonKind, EpicSamples, Transitions, epic, epic_canonical, kendall, spearman};
use pavlov_tests::Arrays;
use std::convert::Infallible;

/// Distances of all pairs of rewards, and of them the largest difference to the reference.
fn compare(data: &Arrays, name: &str, distance: &str, found: impl Fn(usize, usize) -> f64) -> f64 {
    let pairs = data.len(&format!("{name}.pairs"));
    let mut worst = 0.0f64;
    for k in 0..pairs {
        let pair = data.row(&format!("{name}.pairs"), k);
        let expected = data.row(&format!("{name}.{distance}"), k)[0];
        worst = worst.max((found(pair[0] as usize, pair[1] as usize) - expected).abs());
    }
    println!("{name:>6} {distance:<8} {pairs} pairs, largest difference {worst:.1e}");
    worst
}

#[test]
fn finite_mdps_agree_with_the_reference() {
    let data = Arrays::read("compare");
    for (name, states, actions) in [("mdp0", 6, 3), ("mdp1", 8, 2), ("mdp2", 5, 4)] {
        let values = |key: &str, i: usize| data.row(&format!("{name}.{key}"), i).to_vec();
        let gamma = values("gamma", 0)[0];
        let end = values("end", 0)[0];
        let mut t = Transitions { width: states, ..Transitions::default() };
        let mut places = Vec::new();
        for s in (0..states).filter(|s| *s as f64 != end) {
            let (p, policy, start) = (values("P", s), values("policy", s), values("start", s)[0]);
            for a in 0..actions {
                for n in 0..states {
                    let one_hot = |k: usize| (0..states).map(move |i| f64::from(u8::from(i == k)));
                    t.state.extend(one_hot(s));
                    t.next.extend(one_hot(n));
                    t.terminal.push(n as f64 == end);
                    t.weight.push(start * policy[a] * p[a * states + n]);
                    t.group.push(s * actions + a);
                    places.push((s * actions + a) * states + n);
                }
            }
        }
        let tables: Vec<Vec<f64>> = (0..6).map(|k| values("R", k)).collect();
        let rewards: Vec<Vec<f64>> = tables.iter().map(|r| places.iter().map(|&i| r[i]).collect()).collect();
        for kind in [CanonKind::Val, CanonKind::Minimal] {
            let canon = Canon::new(kind, gamma, &t).unwrap();
            let d = |i: usize, j: usize| canon.distance(&rewards[i], &rewards[j]).unwrap();
            assert!(compare(&data, name, kind.name(), d) < 1e-9);
            // 2 is 0 scaled and shaped, 3 is its negation, 4 has its expectation over s'.
            assert!(d(0, 2) < 1e-6 && d(0, 4) < 1e-6 && (d(0, 3) - 1.0).abs() < 1e-6);
        }
        let every = || (0..states).flat_map(|s| (0..actions).flat_map(move |a| (0..states).map(move |n| (s, a, n))));
        let (state, action, next) = (
            every().map(|t| t.0).collect::<Vec<_>>(),
            every().map(|t| t.1).collect::<Vec<_>>(),
            every().map(|t| t.2).collect::<Vec<_>>(),
        );
        let (mean_state, mean_action, mean_next) = (state.clone(), action.clone(), next.clone());
        let samples = EpicSamples { state, action, next, weight: Vec::new(), mean_state, mean_action, mean_next };
        let forms: Vec<Vec<f64>> = tables
            .iter()
            .map(|r| {
                let evaluate = |s: &[usize], a: &[usize], n: &[usize], out: &mut [f64]| -> Result<(), Infallible> {
                    (0..out.len()).for_each(|i| out[i] = r[(s[i] * actions + a[i]) * states + n[i]]);
                    Ok(())
                };
                epic_canonical(gamma, &samples, evaluate).unwrap()
            })
            .collect();
        assert!(compare(&data, name, "epic", |i, j| epic(&forms[i], &forms[j], &[])) < 1e-7);
    }
}

#[test]
fn sampled_features_agree_with_the_reference() {
    let data = Arrays::read("compare");
    let n = data.len("walk.end");
    let rows = |from: usize| (from..from + n).flat_map(|i| data.row("walk.phi", i).to_vec()).collect::<Vec<f64>>();
    let t = Transitions {
        width: data.row("walk.phi", 0).len(),
        state: rows(0),
        next: rows(1),
        terminal: (0..n).map(|i| data.row("walk.end", i)[0] != 0.0).collect(),
        ..Transitions::default()
    };
    for kind in [CanonKind::Val, CanonKind::Minimal] {
        let canon = Canon::new(kind, data.row("walk.gamma", 0)[0], &t).unwrap();
        let d = |i: usize, j: usize| canon.distance(data.row("walk.R", i), data.row("walk.R", j)).unwrap();
        assert!(compare(&data, "walk", kind.name(), d) < 1e-9);
        assert!(d(1, 2) < 1e-6, "scaled, and shaped by a potential in the span of the features: {}", d(1, 2));
    }
}

#[test]
fn rank_correlations_agree_with_the_reference() {
    let data = Arrays::read("compare");
    let column = |key: &str| (0..data.len(key)).map(|i| data.row(key, i)[0]).collect::<Vec<f64>>();
    let (a, b, expected) = (column("ranks.a"), column("ranks.b"), column("ranks.expected"));
    assert!((kendall(&a, &b).unwrap() - expected[0]).abs() < 1e-12);
    assert!((spearman(&a, &b).unwrap() - expected[1]).abs() < 1e-12);
}
