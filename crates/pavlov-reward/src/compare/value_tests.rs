//! Values where the truth is known: a finite MDP seen through samples, a linear system; and distances of them.

use super::*;

struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    fn pick(&mut self, chances: &[f64]) -> usize {
        let mut left = self.unit();
        chances
            .iter()
            .position(|p| {
                ({
                    left -= p;
                    left
                }) < 0.0
            })
            .unwrap_or(chances.len() - 1)
    }
}

/// Adds a trajectory of states and returns nothing: features of s, s' and where it breaks off.
fn record(t: &mut Transitions, all: &mut Trajectories, states: &[Vec<f64>]) {
    t.width = states[0].len();
    let first = t.terminal.len();
    for pair in states.windows(2) {
        t.state.extend(&pair[0]);
        t.next.extend(&pair[1]);
        t.terminal.push(false);
    }
    all.at.extend(first..t.terminal.len());
    all.steps.push(states.len() - 1);
    all.last.extend(&states[states.len() - 1]);
    all.ended.push(false);
}

fn one_hot(state: usize, states: usize) -> Vec<f64> {
    (0..states).map(|k| f64::from(u8::from(k == state))).collect()
}

/// Values of a finite MDP under a uniform policy, by iteration.
fn exact(p: &[Vec<f64>], r: &[Vec<f64>], states: usize, actions: usize, gamma: f64) -> Vec<f64> {
    let mut v = vec![0.0; states];
    for _ in 0..2000 {
        let of = |sa: usize| (0..states).map(|n| p[sa][n] * (r[sa][n] + gamma * v[n])).sum::<f64>();
        v = (0..states).map(|s| (0..actions).map(|a| of(s * actions + a)).sum::<f64>() / actions as f64).collect();
    }
    v
}

#[test]
fn a_finite_mdp_seen_through_samples_has_its_own_values_and_distances() {
    let (states, actions, gamma) = (6, 2, 0.9);
    let mut random = Random(7);
    let mut table =
        || -> Vec<Vec<f64>> { (0..states * actions).map(|_| (0..states).map(|_| random.unit()).collect()).collect() };
    let chances = |row: Vec<f64>| {
        let cubed: Vec<f64> = row.iter().map(|x| x.powi(3)).collect();
        let sum: f64 = cubed.iter().sum();
        cubed.into_iter().map(|x| x / sum).collect::<Vec<f64>>()
    };
    let p: Vec<Vec<f64>> = table().into_iter().map(chances).collect();
    let rewards = [table(), table(), table()];
    let (mut t, mut all, mut places) = (Transitions::default(), Trajectories::default(), Vec::new());
    let mut random = Random(11);
    for _ in 0..40 {
        let mut s = random.pick(&[1.0 / 6.0; 6]);
        let mut visited = vec![one_hot(s, states)];
        for _ in 0..400 {
            let sa = s * actions + random.pick(&[0.5, 0.5]);
            s = random.pick(&p[sa]);
            places.push((sa, s));
            visited.push(one_hot(s, states));
        }
        record(&mut t, &mut all, &visited);
    }
    t.group = places.iter().map(|place| place.0).collect();
    let fit = ValueFit::new(gamma, &t, &all).unwrap();
    // The model in full, each (s, a) as often as it was met.
    let mut model = Transitions { width: states, ..Transitions::default() };
    let mut cells = Vec::new();
    for (sa, row) in p.iter().enumerate() {
        let met = places.iter().filter(|place| place.0 == sa).count() as f64;
        for (n, chance) in row.iter().enumerate() {
            model.state.extend(one_hot(sa / actions, states));
            model.next.extend(one_hot(n, states));
            model.terminal.push(false);
            model.weight.push(met * chance);
            model.group.push(sa);
            cells.push((sa, n));
        }
    }
    let canon = Canon::new(CanonKind::Val, gamma, &model).unwrap();
    let sampled = rewards.each_ref().map(|r| places.iter().map(|&(sa, n)| r[sa][n]).collect::<Vec<f64>>());
    let tables = rewards.each_ref().map(|r| cells.iter().map(|&(sa, n)| r[sa][n]).collect::<Vec<f64>>());
    let valued = sampled.each_ref().map(|r| fit.reward(r).unwrap());
    for (valued, r) in valued.iter().zip(&rewards) {
        let (values, explained) = fit.values(valued).unwrap();
        let truth = exact(&p, r, states, actions, gamma);
        let mean: f64 = truth.iter().sum::<f64>() / states as f64;
        let spread = truth.iter().map(|v| (v - mean).abs()).fold(0.0, f64::max);
        for (i, v) in values.iter().enumerate() {
            let at = t.state[i * states..(i + 1) * states].iter().position(|x| *x == 1.0).unwrap();
            assert!((v - truth[at]).abs() < 0.25 * spread, "state {at}: {v} for {}", truth[at]);
        }
        assert!(explained > 0.0, "{explained}");
    }
    for (i, j) in [(0, 1), (0, 2), (1, 2)] {
        let (found, truth) = (fit.distance(&valued[i], &valued[j]), canon.distance(&tables[i], &tables[j]).unwrap());
        let error = found.error.unwrap();
        assert_eq!(found.canonicalisation, CanonKind::Val);
        assert!(error < 0.05 && (found.value - truth).abs() < 0.03 + 3.0 * error, "{found:?} for {truth}");
    }
}

/// x' = A x + B u under u = -K x and exploration: the value of a quadratic reward solves a Lyapunov equation.
#[test]
fn a_linear_system_with_a_quadratic_reward_has_the_value_of_its_lyapunov_equation() {
    let (a, b, k, gamma) = ([[1.0, 0.1], [-0.1, 0.97]], [0.0, 0.1], [0.5, 0.8], 0.97);
    let features = |x: [f64; 2]| vec![1.0, x[0], x[1], x[0] * x[0], x[0] * x[1], x[1] * x[1]];
    let (mut t, mut all, mut steps) = (Transitions::default(), Trajectories::default(), Vec::new());
    let mut random = Random(3);
    for _ in 0..60 {
        let mut x = [2.0 * random.normal(), 2.0 * random.normal()];
        let mut visited = vec![features(x)];
        for _ in 0..80 {
            let u = -k[0] * x[0] - k[1] * x[1] + 0.3 * random.normal();
            steps.push((x, u));
            x = [0, 1].map(|i| a[i][0] * x[0] + a[i][1] * x[1] + b[i] * u);
            visited.push(features(x));
        }
        record(&mut t, &mut all, &visited);
    }
    let fit = ValueFit::new(gamma, &t, &all).unwrap();
    // (weight of x'x, weight of u'u): P = Q + K'RK + g M'PM with M = A - BK.
    let m = [0, 1].map(|i| [0, 1].map(|j| a[i][j] - b[i] * k[j]));
    let lyapunov = |q: f64, r: f64| {
        let mut p = [[0.0; 2]; 2];
        for _ in 0..4000 {
            let onward = |i: usize, j: usize| -> f64 {
                (0..2).flat_map(|c| (0..2).map(move |d| (c, d))).map(|(c, d)| m[c][i] * p[c][d] * m[d][j]).sum()
            };
            let at = |i: usize, j: usize| f64::from(u8::from(i == j)) * q + r * k[i] * k[j] + gamma * onward(i, j);
            p = [[at(0, 0), at(0, 1)], [at(1, 0), at(1, 1)]];
        }
        p
    };
    let mut forms = Vec::new();
    let mut valued = Vec::new();
    for (q, r) in [(1.0, 0.0), (0.0, 1.0)] {
        let rewards: Vec<f64> = steps.iter().map(|(x, u)| -q * (x[0] * x[0] + x[1] * x[1]) - r * u * u).collect();
        let p = lyapunov(q, r);
        let value = |f: &[f64]| -(p[0][0] * f[3] + (p[0][1] + p[1][0]) * f[4] + p[1][1] * f[5]);
        let seen = fit.reward(&rewards).unwrap();
        let (values, _) = fit.values(&seen).unwrap();
        // Exploration costs the same everywhere: a constant.
        let truth: Vec<f64> = t.state.chunks(6).map(value).collect();
        let n = truth.len() as f64;
        let offset = values.iter().zip(&truth).map(|(v, w)| v - w).sum::<f64>() / n;
        let apart = values.iter().zip(&truth).map(|(v, w)| (v - w - offset).powi(2)).sum::<f64>() / n;
        let mean = truth.iter().sum::<f64>() / n;
        let spread = truth.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / n;
        assert!(apart < 0.01 * spread, "{apart} of {spread}");
        let next: Vec<f64> = t.next.chunks(6).map(value).collect();
        // The constant that exploration adds to the value: of the mean advantage under the policy, which is 0.
        let mut form: Vec<f64> = (0..truth.len()).map(|i| rewards[i] - truth[i] + gamma * next[i]).collect();
        let mean = form.iter().sum::<f64>() / n;
        form.iter_mut().for_each(|c| *c -= mean);
        forms.push(normalised(&form, &vec![1.0 / n; form.len()], 1.0));
        valued.push(seen);
    }
    let truth = distance(&forms[0], &forms[1], &vec![1.0 / forms[0].len() as f64; forms[0].len()]);
    let found = fit.distance(&valued[0], &valued[1]);
    assert_eq!(found.canonicalisation, CanonKind::Val);
    assert!((found.value - truth).abs() < 0.03 + 3.0 * found.error.unwrap(), "{found:?} for {truth}");
}

/// Trajectories from three starts that lead apart: the equations of one step are all but singular here.
fn drift(seed: u64) -> (Transitions, Trajectories, Vec<[f64; 3]>) {
    let (mut t, mut all, mut steps) = (Transitions::default(), Trajectories::default(), Vec::new());
    let mut random = Random(seed | 1);
    for way in 0..9 {
        let speed = f64::from(way % 3) - 1.0;
        let mut x = [random.normal(), random.normal()];
        let mut visited = vec![vec![1.0, x[0], x[1]]];
        for _ in 0..50 {
            x = [x[0] + 0.2 * speed, 0.8 * x[1] + 0.5 * random.normal()];
            steps.push([speed, x[1], random.normal()]);
            visited.push(vec![1.0, x[0], x[1]]);
        }
        record(&mut t, &mut all, &visited);
    }
    (t, all, steps)
}

#[test]
fn scaling_and_shaping_are_nothing_and_negation_is_all_whatever_was_fitted() {
    for seed in 1..9 {
        let (t, all, steps) = drift(seed);
        let gamma = 0.99;
        let fit = ValueFit::new(gamma, &t, &all).unwrap();
        let phi = |f: &[f64]| 3.0 * f[0] - 2.0 * f[1] + 5.0 * f[2];
        let plain: Vec<f64> = steps.iter().map(|s| s[0] + 0.3 * s[2]).collect();
        let shaped: Vec<f64> = (0..plain.len())
            .map(|i| 2.5 * plain[i] + gamma * phi(&t.next[3 * i..3 * i + 3]) - phi(&t.state[3 * i..3 * i + 3]))
            .collect();
        let negated: Vec<f64> = shaped.iter().map(|r| -r).collect();
        let [plain, shaped, negated] = [plain, shaped, negated].map(|r| fit.reward(&r).unwrap());
        let (alike, opposite) = (fit.distance(&plain, &shaped), fit.distance(&plain, &negated));
        assert!(alike.value < 1e-6 && alike.error.unwrap() < 1e-5, "{alike:?}");
        assert!((opposite.value - 1.0).abs() < 1e-6, "{opposite:?}");
    }
}

#[test]
fn rewards_that_have_nothing_in_common_are_apart_and_what_explains_nothing_is_minimal() {
    let (t, all, steps) = drift(5);
    let fit = ValueFit::new(0.99, &t, &all).unwrap();
    let noise = |k: usize| -> Vec<f64> { steps.iter().map(|s| s[k]).collect() };
    let of = |k: usize| fit.reward(&noise(k)).unwrap();
    let (a, b) = (of(0), of(2));
    let apart = fit.distance(&a, &b);
    assert!((apart.value - 0.5f64.sqrt()).abs() < 0.15, "{apart:?}");
    // One trajectory holds nothing out.
    let alone =
        Trajectories { steps: vec![50], last: all.last[..3].to_vec(), ended: vec![false], at: (0..50).collect() };
    let few = Transitions {
        width: 3,
        state: t.state[..150].to_vec(),
        next: t.next[..150].to_vec(),
        terminal: vec![false; 50],
        ..Transitions::default()
    };
    let fit = ValueFit::new(0.99, &few, &alone).unwrap();
    let [a, b] = [0, 2].map(|k| fit.reward(&noise(k)[..50]).unwrap());
    let found = fit.distance(&a, &b);
    assert_eq!((found.error, found.canonicalisation), (None, CanonKind::Minimal));
    let canon = Canon::new(CanonKind::Minimal, 0.99, &few).unwrap();
    assert_eq!(found.value, canon.distance(&noise(0)[..50], &noise(2)[..50]).unwrap());
    // Fourteen transitions tell nothing of the values in three features, fifteen may.
    for (count, kind) in [(14, CanonKind::Minimal), (15, CanonKind::Val)] {
        let (mut t, mut all) = (t.clone(), all.clone());
        // A step for each of nine trajectories, and some more of the first.
        let rows: Vec<usize> = (0..9).map(|k| 50 * k).chain(1..count - 8).collect();
        let cut = |x: &[f64]| rows.iter().flat_map(|i| x[3 * i..3 * i + 3].to_vec()).collect::<Vec<f64>>();
        (t.state, t.next, t.terminal) = (cut(&t.state), cut(&t.next), vec![false; rows.len()]);
        all.at = rows;
        let fit = ValueFit::new(0.99, &t, &all).unwrap();
        let reward = fit.reward(&noise(0)).unwrap();
        let found = fit.values(&reward).map_or(CanonKind::Minimal, |_| CanonKind::Val);
        assert_eq!((found, t.terminal.len()), (kind, count));
    }
}

#[test]
fn a_ridge_is_added_and_two_trajectories_hold_each_other_out() {
    // One feature, always 1: of s less the discounted one of s' it is a tenth of that.
    let (mut t, mut all) = (Transitions::default(), Trajectories::default());
    for _ in 0..2 {
        record(&mut t, &mut all, &vec![vec![1.0]; 11]);
    }
    let fit = ValueFit::new(0.9, &t, &all).unwrap();
    let square = fit.state[(0, 0)] * fit.state[(0, 0)];
    let one = DVector::from_element(1, 1.0);
    for ((returns, ridge), system) in estimators().zip(&fit.parts[2].systems) {
        // Of returns: the mean of 1 - 0.9^n over the steps n that are left.
        let share = if returns { 1.0 - (1..=10).map(|n| 0.9f64.powi(n)).sum::<f64>() / 10.0 } else { 0.1 };
        let solved = system.solve(&one).unwrap()[0];
        assert!((solved - 1.0 / (square * share + ridge)).abs() < 1e-9, "{returns} {ridge}: {solved}");
    }
    // Rewards that grow to the end: each trajectory's values explain something of the other's.
    let (t, mut all, steps) = drift(2);
    let mut cut = t.clone();
    cut.state.truncate(300);
    cut.next.truncate(300);
    cut.terminal.truncate(100);
    all.steps.truncate(2);
    all.last.truncate(6);
    all.ended.truncate(2);
    all.at.truncate(100);
    let fit = ValueFit::new(0.99, &cut, &all).unwrap();
    let rewards: Vec<f64> = steps[..100].iter().map(|s| s[1] * s[1]).collect();
    assert!(fit.reward(&rewards).unwrap().scores.iter().any(|s| *s != 0.0));
}

#[test]
fn the_error_is_the_jackknife_over_groups_of_trajectories() {
    let (t, all, steps) = drift(6);
    let fit = ValueFit::new(0.9, &t, &all).unwrap();
    let of = |k: usize| steps.iter().map(|s| s[0] + s[k]).collect::<Vec<f64>>();
    let [a, b] = [1, 2].map(|k| fit.reward(&of(k)).unwrap());
    // Nine trajectories of 50 steps in five groups; each distance is of what is left without one.
    let distances: Vec<f64> = (0..5)
        .map(|group| {
            let rows: Vec<usize> = (0..450).filter(|i| i / 50 % 5 != group).collect();
            let cut = |x: &[f64], width: usize| -> Vec<f64> {
                rows.iter().flat_map(|i| x[width * i..width * (i + 1)].to_vec()).collect()
            };
            let (state, next) = (cut(&t.state, 3), cut(&t.next, 3));
            let part =
                Transitions { width: 3, state, next, terminal: vec![false; rows.len()], ..Transitions::default() };
            Canon::new(CanonKind::Minimal, 0.9, &part).unwrap().distance(&cut(&of(1), 1), &cut(&of(2), 1)).unwrap()
        })
        .collect();
    let mean = distances.iter().sum::<f64>() / 5.0;
    let error = (0.8 * distances.iter().map(|d| (d - mean).powi(2)).sum::<f64>()).sqrt();
    let found = fit.between(&a, &b, 0).error.unwrap();
    assert!((found - error).abs() < 1e-6 && error > 1e-3, "{found} {error}");
}

#[test]
fn what_has_no_weight_is_not_looked_at() {
    let (t, all, steps) = drift(4);
    let rewards: Vec<f64> = steps.iter().map(|s| s[0] + s[1]).collect();
    let (mut more, mut longer, mut paid) = (t.clone(), all.clone(), rewards.clone());
    more.weight = vec![2.0; t.len()];
    let mut random = Random(9);
    record(&mut more, &mut longer, &(0..31).map(|_| vec![1.0, random.normal(), random.normal()]).collect::<Vec<_>>());
    more.weight.resize(more.len(), 0.0);
    paid.extend((0..30).map(|_| 100.0 * random.normal()));
    let scores = |t: &Transitions, all: &Trajectories, rewards: &[f64]| {
        ValueFit::new(0.9, t, all).unwrap().reward(rewards).unwrap().scores
    };
    let (with, without) = (scores(&more, &longer, &paid), scores(&t, &all, &rewards));
    // Where there is no ridge, which is in units of all features.
    for estimator in [0, 1, 1 + ONE_STEP.len()] {
        assert!((with[estimator] - without[estimator]).abs() < 1e-6, "{estimator}: {with:?} {without:?}");
    }
    assert!(without[1 + ONE_STEP.len()].abs() > 1e-3, "{without:?}");
    assert_eq!(without[0], 0.0, "the potential explains nothing of what it leaves");
}

#[test]
fn arrays_that_do_not_fit_are_errors() {
    let (t, all, _) = drift(1);
    let with = |change: fn(&mut Trajectories)| {
        let mut all = all.clone();
        change(&mut all);
        ValueFit::new(0.9, &t, &all).err()
    };
    assert!(matches!(with(|a| a.ended.truncate(1)), Some(CompareError::Shape { array: "ended", .. })));
    assert!(matches!(with(|a| a.last.truncate(1)), Some(CompareError::Shape { array: "last", .. })));
    assert!(matches!(with(|a| a.at[0] = 1 << 20), Some(CompareError::Value { array: "at", .. })));
    assert!(matches!(with(|a| a.last[0] = f64::NAN), Some(CompareError::Value { array: "last", .. })));
    let fit = ValueFit::new(0.9, &t, &all).unwrap();
    assert!(matches!(fit.reward(&[1.0]), Err(CompareError::Shape { array: "rewards", .. })));
}
