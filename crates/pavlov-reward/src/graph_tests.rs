//! The known answer of every transform and combiner, and what a manifest may say wrongly.

use crate::nodes::HostKind;
use crate::{Adaptive, Manifest, Reward};
use pavlov_script::{Channel, JointInfo, Scene};
use proptest::prelude::*;
use std::sync::Arc;

const DT: f64 = 0.1;

fn scene() -> Arc<Scene> {
    let joint = JointInfo { name: "j".into(), scalar: true, range: None, default: 0.0 };
    Arc::new(Scene { joints: vec![joint], nq: 3, nv: 3, dt: DT, ..Scene::default() })
}

/// Terms a, b, c are qpos 0, 1, 2.
const SCRIPT: &str = "fn reward(s) { #{ a: s.qpos[0], b: s.qpos[1], c: s.qpos[2] } }";

fn try_reward(toml: &str) -> Result<Reward, String> {
    let manifest: Manifest = toml::from_str(toml).map_err(|e| e.to_string())?;
    Reward::from_text("t", "reward.rhai", SCRIPT, manifest, &scene()).map_err(|e| e.to_string())
}

fn reward(toml: &str) -> Reward {
    try_reward(toml).unwrap_or_else(|e| panic!("{toml}\n{e}"))
}

/// One step of an episode: a, b, c, and whether the task ends it.
type Step = ([f32; 3], bool);

/// Runs an episode from a reset at `start`; every node of every step, by the lowered program and by the interpreter.
fn run(reward: &Reward, start: [f32; 3], steps: &[Step]) -> Vec<Vec<f32>> {
    let program = reward.program();
    let outputs = program.outputs().len();
    let slots = program.memory_init().len();
    let (mut memory, mut other) = (vec![0.0; slots * 8], vec![0.0; slots * 8]);
    for world in 0..8 {
        program.reset_memory(world, 8, &mut memory);
        program.reset_memory(world, 8, &mut other);
    }
    let mut scratch = program.scratch();
    let mut before = start;
    let mut rows = Vec::new();
    for (t, (now, terminated)) in steps.iter().enumerate() {
        let value = |input: &pavlov_script::Input| match input.channel {
            Channel::Qpos(i) if input.prev => before[usize::from(i)],
            Channel::Qpos(i) => now[usize::from(i)],
            Channel::EpisodeStep => (t + 1) as f32,
            Channel::Terminated => f32::from(u8::from(*terminated)),
            Channel::Success => f32::from(u8::from(now[0] > 1.0)),
            other => panic!("unexpected input {other:?}"),
        };
        let inputs: Vec<f32> = program.inputs().iter().flat_map(|i| [value(i); 8]).collect();
        let (mut x, mut y) = (vec![0.0; outputs * 8], vec![0.0; outputs * 8]);
        program.run(8, 8, &inputs, reward.values(), &mut memory, &mut scratch, &mut x).unwrap();
        program.run_interpreted(8, 8, &inputs, reward.values(), &mut other, &mut y).unwrap();
        let near = |(x, y): (&f32, &f32)| (x - y).abs() <= 1e-5 * y.abs().max(1.0) || x.is_nan() && y.is_nan();
        assert!(x.iter().zip(&y).all(near), "lowered {x:?} interpreted {y:?}");
        rows.push(x.chunks(8).map(|c| c[0]).collect());
        before = *now;
    }
    rows
}

/// A node of one state without history.
fn once(toml: &str, x: [f32; 3], node: &str) -> f32 {
    let r = reward(toml);
    let at = r.node_names().iter().position(|n| n == node).unwrap_or_else(|| panic!("{:?}", r.node_names()));
    run(&r, [0.0; 3], &[(x, false)])[0][at]
}

fn total(toml: &str, x: [f32; 3]) -> f32 {
    once(toml, x, "total")
}

fn close(x: f32, y: f64) -> bool {
    (f64::from(x) - y).abs() < 1e-5 * y.abs().max(1.0)
}

fn combined(kind: &str, x: [f32; 3]) -> f32 {
    total(&format!("[combine]\n{kind}\nof = [\"a\", \"b\", \"c\"]"), x)
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn combiners_have_their_known_answers(
        a in -3.0f32..3.0, b in -3.0f32..3.0, c in -3.0f32..3.0, lambda in 0.0f64..1.0
    ) {
        let x = [a, b, c];
        let v = x.map(f64::from);
        let mean = v.iter().sum::<f64>() / 3.0;
        let low = v.iter().copied().fold(f64::INFINITY, f64::min);
        let wco = combined("kind = \"wco\"", x);
        prop_assert!(close(wco, low));
        prop_assert!(close(combined("kind = \"mean\"", x), mean));
        let var = v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3.0;
        prop_assert!(close(combined("kind = \"uwo\"\nlambda = 0.5", x), mean - 0.5 * var));
        // UWO is the mean where members agree, whatever lambda is.
        prop_assert!(close(combined("kind = \"uwo\"\nlambda = 7.0", [a, a, a]), v[0]));
        // WCO <= BRME for lambda in [0, 1], with equality at 0.
        let brme = |l: f64| combined(&format!("kind = \"brme\"\nlambda = {l:?}\nnominal = \"b\""), x);
        prop_assert!(f64::from(brme(lambda)) >= f64::from(wco) - 1e-5);
        prop_assert!(close(brme(lambda), lambda * v[1] + (1.0 - lambda) * low));
        prop_assert!(close(brme(0.0), low));
        // Log-sigmoid AND: the log of the product.
        let product: f64 = v.iter().map(|x| sigmoid(x - 0.5)).product();
        prop_assert!(close(combined("kind = \"log_sigmoid_and\"\nreferences = 0.5", x), product.ln()));
        let p = x.map(|x| x.abs() + 0.1);
        let q = p.map(f64::from);
        prop_assert!(close(combined("kind = \"harmonic\"", p), 3.0 / q.iter().map(|x| 1.0 / x).sum::<f64>()));
        prop_assert!(close(combined("kind = \"geometric\"", p), q.iter().product::<f64>().powf(1.0 / 3.0)));
        let weighted = combined("kind = \"harmonic\"\nweights = [1, 2, 5]", p);
        prop_assert!(close(weighted, 8.0 / (1.0 / q[0] + 2.0 / q[1] + 5.0 / q[2])));
    }

    #[test]
    fn log_sigmoid_keeps_the_order_and_lets_go_above_its_reference(x in -5.0f32..5.0, step in 0.01f32..2.0) {
        let u = |x: f32| once("[terms.a]\ntransform = [{ log_sigmoid = 0.5 }]", [x, 0.0, 0.0], "a.log_sigmoid");
        prop_assert!(close(u(x), sigmoid(f64::from(x) - 0.5).ln()));
        prop_assert!(u(x + step) > u(x));
        // Its slope is sigmoid(reference - x): nothing pulls far above.
        let slope = (u(20.0) - u(15.0)).abs();
        prop_assert!(slope < 1e-5 && u(-40.0) < -40.0 + 1.0, "{}", slope);
    }

    #[test]
    fn the_return_of_a_delta_is_the_term_however_long_the_episode(
        values in prop::collection::vec(-2.0f32..2.0, 1..40), gamma in 0.5f64..1.0
    ) {
        let r = reward(&format!("[terms.a]\ntransform = [{{ delta = {gamma:?} }}]\n[combine]\nof = [\"a\"]\n\
                                 scale = 3.0"));
        let step = |(i, &x): (usize, &f32)| ([x, 0.0, 0.0], i + 1 == values.len());
        let steps: Vec<Step> = values.iter().enumerate().map(step).collect();
        let rows = run(&r, [9.0; 3], &steps);
        let (t, l) = (r.node_names().len() - 1, r.late().unwrap());
        // What the learner gets for a step: its own total, and what the next one adds.
        let paid: Vec<f64> = (0..rows.len())
            .map(|i| f64::from(rows[i][t]) + rows.get(i + 1).map_or(0.0, |next| f64::from(next[l])))
            .collect();
        let mut after = 0.0;
        for (i, x) in values.iter().enumerate().rev() {
            after = paid[i] + gamma * after;
            prop_assert!((after - 3.0 * f64::from(*x)).abs() < 1e-4, "{after} at {i}");
        }
        // The node says what arrives when: undiscounted, all of it is the first value.
        let node = r.node_names().iter().position(|n| n == "a.delta").unwrap();
        let whole = reward("[terms.a]\ntransform = [{ delta = 1.0 }]\n[combine]\nof = [\"a\"]");
        let sum: f64 = run(&whole, [9.0; 3], &steps).iter().map(|row| f64::from(row[node])).sum();
        prop_assert!((sum - f64::from(values[0])).abs() < 1e-4, "{sum}");
    }

    #[test]
    fn shaping_telescopes_to_the_first_potential(
        values in prop::collection::vec(-2.0f32..2.0, 1..30), start in -2.0f32..2.0
    ) {
        let gamma = 0.9f64;
        let r = reward("[terms.a]\ntransform = [{ weight = 2.0 }, { potential = 0.9 }]\n[combine]\nof = [\"a\"]");
        let step = |(i, &x): (usize, &f32)| ([x, 0.0, 0.0], i + 1 == values.len());
        let steps: Vec<Step> = values.iter().enumerate().map(step).collect();
        let at = r.node_names().len() - 1;
        let rows = run(&r, [start, 0.0, 0.0], &steps);
        let sum: f64 = rows.iter().enumerate().map(|(t, row)| gamma.powi(t as i32) * f64::from(row[at])).sum();
        // The discounted sum over an episode that terminates is minus the potential of the reset: no policy can change
        // it.
        prop_assert!((sum + 2.0 * f64::from(start)).abs() < 1e-4, "{sum} {start}");
    }

    #[test]
    fn a_clipped_step_never_adds_return(x in -5.0f32..5.0, eta in -1.0f64..1.0) {
        let y = once(&format!("[terms.a]\ntransform = [{{ clip = {{ eta = {eta:?} }} }}]"), [x, 0.0, 0.0], "a.clip");
        prop_assert!(y <= 0.0 && close(y, (f64::from(x) - eta).min(0.0)));
    }
}

#[test]
fn one_member_with_a_planted_exploit_does_not_win_under_the_worst_case() {
    // The exploit: b may be anything. An honest state is good in all three.
    let (honest, exploit) = ([1.0, 1.0, 1.0], [0.2, 100.0, 0.2]);
    assert!(combined("kind = \"sum\"", exploit) > combined("kind = \"sum\"", honest));
    for kind in [
        "kind = \"min\"",
        "kind = \"uwo\"\nlambda = 0.1",
        "kind = \"harmonic\"",
        "kind = \"brme\"\nlambda = 0.3\nnominal = \"a\"",
    ] {
        assert!(combined(kind, exploit) < combined(kind, honest), "{kind}");
    }
    assert!(
        combined("kind = \"min\"", [f32::NAN, 1.0, 2.0]).is_nan()
            && combined("kind = \"min\"", [1.0, f32::NAN, 2.0]).is_nan()
    );
}

#[test]
fn transforms_with_memory_start_anew_and_follow_their_formulas() {
    let toml = "[terms.a]\ntransform = [\"rate\"]\n[terms.b]\ntransform = [{ ema = 0.2 }]\n[terms.c]\n\
                transform = [{ once = { bonus = 5.0, at = 1.0 } }]";
    let steps = [([1.0, 2.0, 0.0], false), ([1.5, 4.0, 2.0], false), ([1.0, 4.0, 0.0], false), ([1.0, 4.0, 3.0], true)];
    let r = reward(toml);
    assert_eq!(r.node_names(), ["a", "b", "c", "a.rate", "b.ema", "c.once", "total"]);
    let rows = run(&r, [0.0; 3], &steps);
    let share = 1.0 - (-DT / 0.2f64).exp();
    let ema = [2.0, 2.0 + 2.0 * share];
    for (t, (rate, once)) in [(0.0, 0.0), (5.0, 5.0), (-5.0, 0.0), (0.0, 0.0)].into_iter().enumerate() {
        assert!(close(rows[t][3], rate) && close(rows[t][5], once), "{t}: {:?}", rows[t]);
        assert!(close(rows[t][6], f64::from(rows[t][3] + rows[t][4] + rows[t][5])));
    }
    assert!(close(rows[0][4], ema[0]) && close(rows[1][4], ema[1]), "{rows:?}");
}

#[test]
fn clips_have_both_ends_and_normalised_values_a_limit() {
    let clip =
        |options: &str, x: f32| once(&format!("[terms.a]\ntransform = [{{ {options} }}]"), [x, 0.0, 0.0], "a.clip");
    for (x, y) in [(-3.0, -1.0), (0.5, 0.5), (3.0, 2.0)] {
        assert_eq!(clip("clip = { min = -1, max = 2 }", x), y);
    }
    assert_eq!(clip("clip = { min = 1, max = 1 }", 3.0), 1.0);
    let normalised = |options: &str, x: f32| {
        once(&format!("[terms.a]\ntransform = [{{ normalize = {{ {options} }} }}]"), [x, 0.0, 0.0], "a.normalize")
    };
    // Before anything is known the mean is 0 and the deviation 1.
    for (x, y) in [(-3.0, -2.0), (0.5, 0.5), (3.0, 2.0)] {
        assert_eq!((normalised("clip = 2", x), normalised("clip = 2, center = false", x)), (y, y));
    }
    // An unused name is no error, but said.
    let named = reward("[combine]\nkind = \"sum\"\nof = [\"a\"]");
    assert_eq!(named.findings().iter().map(|f| f.term.as_str()).collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn gates_open_and_kernels_fall() {
    let hard = "[terms.a]\ntransform = [{ gate = { by = \"b\", above = 0.5, below = 2.0 } }]";
    for (b, y) in [(0.4, 0.0), (0.6, 3.0), (2.5, 0.0)] {
        assert_eq!(once(hard, [3.0, b, 0.0], "a.gate"), y);
    }
    let soft = "[terms.a]\ntransform = [{ gate = { by = \"b\", above = 0.5, width = 0.1 } }]";
    assert!(close(once(soft, [3.0, 0.7, 0.0], "a.gate"), 3.0 * sigmoid(2.0)));
    // A gate only looks at its term, which stays in the sum.
    assert!(close(total(hard, [3.0, 0.6, 0.1]), 3.7));
    assert!(close(once("[terms.a]\ntransform = [{ exp = 0.5 }]", [0.5, 0.0, 0.0], "a.exp_kernel"), (-1.0f64).exp()));
}

#[test]
fn sub_goals_are_paid_once_and_in_order() {
    let toml = "[sources.stages]\nkind = \"subgoals\"\nof = [\"a\", \"b\", \"c\"]\nbonus = [1, 2, 4]";
    // c first: nothing. a: 1. All: b and c in one step. Again: nothing.
    let steps =
        [([0.0, 0.0, 1.0], false), ([1.0, 0.0, 0.0], false), ([0.0, 1.0, 1.0], false), ([1.0, 1.0, 1.0], false)];
    let r = reward(toml);
    assert_eq!(r.term_names(), ["a", "b", "c", "stages"]);
    assert!(r.findings().is_empty(), "{:?}", r.findings());
    let paid: Vec<f32> = run(&r, [0.0; 3], &steps).iter().map(|row| row[4]).collect();
    assert_eq!(paid, [0.0, 1.0, 6.0, 0.0]);
    let any = toml.to_string() + "\nin_order = false";
    let paid: Vec<f32> = run(&reward(&any), [0.0; 3], &steps).iter().map(|row| row[4]).collect();
    assert_eq!(paid, [4.0, 1.0, 2.0, 0.0]);
}

#[test]
fn groups_success_and_parameters_meet_in_the_total() {
    let toml = "[params.w]\nvalue = 3.0\n[sources.goal]\nkind = \"success\"\n[terms.goal]\n\
                transform = [{ weight = \"w\" }]\n[groups.safe]\nkind = \"min\"\nof = [\"b\", \"c\"]\n\
                transform = [{ weight = 2 }]\n[combine]\nscale = 0.5\nmax = 6.0";
    let mut r = reward(toml);
    assert_eq!(r.node_names(), ["a", "b", "c", "goal", "goal.weight", "safe", "safe.weight", "total"]);
    // a + w * 1[a > 1] + 2 min(b, c), at most 6, times 0.5.
    assert!(close(run(&r, [0.0; 3], &[([1.5, -0.5, 4.0], false)])[0][7], 0.5 * (1.5 + 3.0 - 1.0)));
    r.set_param("w", 50.0).unwrap();
    assert!(close(run(&r, [0.0; 3], &[([1.5, -0.5, 4.0], false)])[0][7], 3.0));
    assert_eq!(r.total([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 8.5]), 8.5);
    let left = reward("[combine]\nkind = \"min\"\nof = [\"a\", \"b\"]");
    assert_eq!(left.findings()[0].term, "c");
}

#[test]
fn what_is_wrong_in_a_manifest_is_told_with_what_was_meant() {
    for (toml, words) in [
        ("[terms.aa]\ntransform = []", "terms.aa: the script returns no term `aa`: did you mean `a`"),
        ("[terms.a]\ntransform = [\"detla\"]", "terms.a.transform.0: no transform `detla`: did you mean `delta`"),
        ("[terms.a]\ntransforms = []", "transform"),
        ("[combine]\nkind = \"harmonc\"", "combine.kind: no combiner `harmonc`: did you mean `harmonic`"),
        ("[combine]\nkind = \"uwo\"", "needs `lambda`"),
        ("[combine]\nkind = \"uwo\"\nlamda = 1", "combine.lamda: `uwo` has no option `lamda`: did you mean `lambda`"),
        ("[combine]\nscael = 1", "combine.scael: [combine] has no key `scael`: did you mean `scale`"),
        ("[combine]\nkind = \"min\"\nof = [\"a\", \"d\"]", "combine.of.1: no term, source or group `d`"),
        ("[combine]\nkind = \"brme\"\nlambda = 2", "expected a number from 0 to 1"),
        ("[combine]\nkind = \"brme\"\nlambda = 0.5\nof = [\"a\", \"b\"]\nnominal = \"c\"", "is no member"),
        ("[combine]\nkind = \"lagrangian\"\nconstraints = { a = { at_lest = 1 } }", "did you mean `at_least`"),
        (
            "[combine]\nkind = \"lagrangian\"\nmin = 0.0\nconstraints = { a = { at_least = 1 } }",
            "`single_critic = true`",
        ),
        ("[combine]\nkind = \"lagrangian\"\nconstraints = { d = { at_least = 1 } }", "is not among"),
        ("[combine]\nkind = \"harmonic\"\nweights = [1, 2]", "2 numbers for 3 members"),
        ("[groups.g]\nkind = \"min\"\nof = [\"h\"]\n[groups.h]\nkind = \"min\"\nof = [\"g\"]", "made of itself"),
        ("[groups.a]\nkind = \"min\"\nof = [\"b\"]", "another node"),
        ("[sources.x]\nkind = \"sucess\"", "did you mean `success`"),
        ("[sources.x]\nplugin = \"y\"", "needs `kind`"),
        ("[sources.total]\nkind = \"success\"", "`total` is the name of another node"),
        ("[sources.a]\nkind = \"success\"", "`a` is the name of another node"),
        ("[groups.g]\nof = [\"a\", \"b\"]", "group `g` needs `kind`: one of sum, "),
        ("[groups.g]\nkind = 3\nof = [\"a\", \"b\"]", "`kind` is 3: expected one of sum, "),
        ("[groups.g]\nkind = \"min\"\ntransform = 1\nof = [\"a\", \"b\"]", "`transform` must be a list"),
        ("[groups.total]\nkind = \"min\"\nof = [\"a\", \"b\"]", "`total` is the name of another node"),
        (
            "[combine]\nkind = \"lagrangian\"\nconstraints = { a = { at_least = inf } }",
            "`at_least` is inf: expected a finite number",
        ),
        ("[combine]\nkind = \"lagrangian\"\nconstraints = { a = 1 }", "expected { at_least = x }"),
        ("[sources.x]\nkind = \"success\"\n[terms.x]\ntransform = [\"potential\"]", "and on a term of the script"),
        ("[terms.a]\ntransform = [\"delta\", { weight = 2 }]", "must be the last"),
        ("[terms.a]\ntransform = [\"delta\"]\n[combine]\nmin = 0.0", "can only be summed"),
        ("[terms.a]\ntransform = [\"delta\"]\n[combine]\nkind = \"min\"", "can only be summed"),
        ("[terms.a]\ntransform = [\"rate\", \"potential\"]", "must come before"),
        ("[terms.a]\ntransform = [\"normalize\", \"potential\"]", "must come before"),
        ("[terms.a]\ntransform = [{ log_sigmoid = { quantile = 0.5 } }, \"potential\"]", "must come before"),
        ("[terms.a]\ntransform = [{ clip = {} }]", "needs `min`, `max` or `eta`"),
        ("[terms.a]\ntransform = [{ clip = { min = 2, max = 1 } }]", "`min` 2 is above `max` 1"),
        ("[terms.a]\ntransform = [{ gate = { by = \"b\" } }]", "`gate` needs `above` or `below`"),
        ("[terms.a]\ntransform = [\"log_sigmoid\"]", "either `reference` or `quantile`"),
    ] {
        let error = try_reward(toml).unwrap_err();
        assert!(error.contains(words), "{toml}\n{error}");
    }
    let prev = "fn reward(s) { #{ a: s.qpos[0] - s.prev.qpos[0] } }";
    let manifest: Manifest = toml::from_str("[terms.a]\ntransform = [\"potential\"]").unwrap();
    let error = Reward::from_text("t", "r", prev, manifest, &scene()).unwrap_err().to_string();
    assert!(error.contains("a potential is of one state, `a` is not") && error.contains("s.prev.qpos[0]"), "{error}");
}

#[test]
fn running_statistics_normalise_to_mean_0_and_deviation_1() {
    let mut r = reward("[terms.a]\ntransform = [\"normalize\"]");
    let graph = r.graph().unwrap().clone();
    let mut adaptive = Adaptive::new(&graph, 0.9);
    // Two updates with means 1 and 3: 100 samples each, all at the mean -1 and +1.
    for mean in [1.0, 3.0f64] {
        let (n, mut sums, mut squares) = (100u64, vec![0.0; graph.nodes.len()], vec![0.0; graph.nodes.len()]);
        (sums[0], squares[0]) = (n as f64 * mean, n as f64 * (mean * mean + 1.0));
        adaptive.update(&graph, n, &sums, &squares);
    }
    r.set_host(&adaptive.values);
    // Mean 2, variance 1 + 1.
    let y = run(&r, [0.0; 3], &[([2.0 + 2.0f32.sqrt(), 0.0, 0.0], false)])[0][3];
    assert!(close(y, 1.0), "{y}");
    let json = serde_json::to_string(&adaptive).unwrap();
    assert_eq!(serde_json::from_str::<Adaptive>(&json).unwrap(), adaptive);
}

#[test]
fn the_nominal_member_is_the_one_of_least_deviation() {
    let mut r = reward("[combine]\nkind = \"brme\"\nlambda = 1.0\nof = [\"a\", \"b\", \"c\"]");
    let graph = r.graph().unwrap().clone();
    let mut adaptive = Adaptive::new(&graph, 0.9);
    let x = [5.0, 2.0, 1.0];
    r.set_host(&adaptive.values);
    assert!(close(run(&r, [0.0; 3], &[(x, false)])[0][3], 5.0), "the first one until something is known");
    adaptive.update(&graph, 10, &[0.0; 4], &[90.0, 10.0, 40.0, 0.0]);
    r.set_host(&adaptive.values);
    assert!(close(run(&r, [0.0; 3], &[(x, false)])[0][3], 2.0));
    // Each ensemble has its own.
    let two = "[groups.g]\nkind = \"brme\"\nlambda = 1.0\nof = [\"a\", \"b\"]\n[groups.h]\nkind = \"brme\"\n\
               lambda = 1.0\nof = [\"b\", \"c\"]";
    let mut r = reward(two);
    let graph = r.graph().unwrap().clone();
    let mut adaptive = Adaptive::new(&graph, 0.9);
    adaptive.update(&graph, 10, &[0.0; 6], &[10.0, 40.0, 90.0, 0.0, 0.0, 0.0]);
    r.set_host(&adaptive.values);
    let row = run(&r, [0.0; 3], &[(x, false)]).remove(0);
    let at = |name: &str| row[r.node_names().iter().position(|n| n == name).unwrap()];
    assert!(close(at("g"), 5.0) && close(at("h"), 2.0), "{row:?}");
}

#[test]
fn an_adaptive_state_fits_the_graph_that_it_was_made_for() {
    let graph = |toml: &str| reward(toml).graph().unwrap().clone();
    let same = "[combine]\nkind = \"lagrangian\"\nconstraints = { b = { at_least = 1 } }";
    let adaptive = Adaptive::new(&graph(same), 0.9);
    assert!(adaptive.fits(&graph(same)));
    for other in [
        "[combine]\nkind = \"min\"",
        "[terms.a]\ntransform = [{ weight = 2 }]\n[combine]\nkind = \"lagrangian\"\nconstraints = { b = { at_least = 1 } }",
        "[terms.a]\ntransform = [\"delta\"]\n[terms.b]\ntransform = [{ weight = 2 }]",
        "[combine]\nkind = \"lagrangian\"\nconstraints = { b = { at_least = 1 }, c = { at_most = 1 } }",
    ] {
        assert!(!adaptive.fits(&graph(other)), "{other}");
    }
}

#[test]
fn what_is_empty_or_not_finite_adds_nothing_to_the_statistics() {
    let r = reward("[terms.a]\ntransform = [\"normalize\"]");
    let graph = r.graph().unwrap().clone();
    let mut adaptive = Adaptive::new(&graph, 0.9);
    let n = graph.nodes.len();
    let row = |a: f64| vec![a; n];
    adaptive.update(&graph, 4, &row(8.0), &row(52.0));
    let known = adaptive.clone();
    // Mean 2, variance 13 - 4.
    let value = |a: &Adaptive, kind: &str| {
        let at = graph.host.iter().position(|h| h.name.ends_with(kind)).unwrap();
        a.values[at]
    };
    assert!((value(&known, "mean") - 2.0).abs() < 1e-12 && (value(&known, "inverse_std") - 1.0 / 3.0).abs() < 1e-12);
    for (steps, sum, square) in [(0, 5.0, 5.0), (4, f64::NAN, 1.0), (4, 1.0, f64::INFINITY)] {
        adaptive.update(&graph, steps, &row(sum), &row(square));
        assert_eq!(adaptive, known, "{steps} {sum} {square}");
    }
}

#[test]
fn references_that_are_quantiles_are_numbers_of_the_host() {
    let mut r = reward("[combine]\nkind = \"log_sigmoid_and\"\nquantile = 0.75\nof = [\"a\", \"b\"]");
    let kinds: Vec<_> = r.graph().unwrap().host.iter().map(|h| h.kind).collect();
    assert_eq!(kinds, [0, 1].map(|node| HostKind::Reference { node, quantile: 0.75 }));
    r.set_host(&[2.0, -1.0]);
    let out = run(&r, [0.0; 3], &[([1.5, 0.5, 0.0], false)]).remove(0);
    assert!(close(out[3], sigmoid(-0.5).ln() + sigmoid(1.5).ln()), "{out:?}");
    for kind in ["references = [1, 2]\nquantile = 0.5", ""] {
        let error = try_reward(&format!("[combine]\nkind = \"log_sigmoid_and\"\nof = [\"a\", \"b\"]\n{kind}"));
        assert!(error.unwrap_err().contains("needs either `references` or `quantile`"), "{kind}");
    }
}

#[test]
fn a_multiplier_moves_by_its_rate_times_the_shortfall_in_deviations() {
    let toml = "[combine]\nkind = \"lagrangian\"\nrate = 0.5\nlimit = 4.0\nof = [\"a\", \"b\"]\n\
                constraints = { b = { at_least = 3 } }";
    let graph = reward(toml).graph().unwrap().clone();
    let squashed = |raw: f64| 4.0 * sigmoid(raw);
    assert!((Adaptive::new(&graph, 0.9).values[0] - squashed(-3.0)).abs() < 1e-12, "near 0 at the start");
    // 0.2 short, in deviations of 0.1 and of 0.01; three are the most that count.
    for (deviation, counted) in [(0.1, 2.0), (0.01, 3.0)] {
        let (n, b) = (10.0, 2.8);
        let squares = [0.0, n * (b * b + deviation * deviation), 0.0, 0.0];
        let state = Adaptive::new(&graph, 0.9).update(&graph, 10, &[0.0, n * b, 0.0, 0.0], &squares).remove(0);
        assert!((state.multiplier - squashed(-3.0 + 0.5 * counted)).abs() < 1e-6, "{state:?}");
        assert!((state.mean - b).abs() < 1e-12 && !state.met && !state.infeasible);
    }
}

/// Plays a policy that answers the present multiplier at once; the multiplier and how the constraint stands at the end.
fn answer(constraint: &str, policy: impl Fn(f64) -> f64, updates: usize) -> (f64, crate::ConstraintState) {
    let r =
        reward(&format!("[combine]\nkind = \"lagrangian\"\nof = [\"a\", \"b\"]\nconstraints = {{ b = {constraint} }}"));
    let graph = r.graph().unwrap().clone();
    let mut adaptive = Adaptive::new(&graph, 0.9);
    let mut state = crate::ConstraintState::default();
    for _ in 0..updates {
        let b = policy(adaptive.values[0]);
        let n = 64.0;
        let (sums, squares) = (vec![0.0, n * b, 0.0, 0.0], vec![0.0, n * (b * b + 0.25), 0.0, 0.0]);
        state = adaptive.update(&graph, 64, &sums, &squares).remove(0);
    }
    (adaptive.values[0], state)
}

#[test]
fn multipliers_converge_to_the_known_one_and_report_what_cannot_be_met() {
    // Maximise -(b - 2)^2 with b <= 1: the best answer to m is b = 2 - m / 2, and the multiplier of the optimum is 2.
    let (m, state) = answer("{ at_most = 1.0 }", |m| 2.0 - m / 2.0, 3000);
    assert!((m - 2.0).abs() < 0.05 && state.met && !state.infeasible, "{m} {state:?}");
    // With b >= 3: b = 2 + m / 2, multiplier 2.
    let (m, state) = answer("{ at_least = 3.0 }", |m| 2.0 + m / 2.0, 3000);
    assert!((m - 2.0).abs() < 0.05 && state.met, "{m} {state:?}");
    // b = 1 exactly: the multiplier is -2, as the reward gets + m b.
    let (m, state) = answer("{ equal = 1.0 }", |m| 2.0 + m / 2.0, 3000);
    assert!((m + 2.0).abs() < 0.05 && state.met, "{m} {state:?}");
    // A constraint that is met anyway costs nothing.
    let (m, state) = answer("{ at_most = 5.0 }", |m| 2.0 - m / 2.0, 3000);
    assert!(m < 0.1 && state.met, "{m} {state:?}");
    // No policy reaches 5: reported, not traded in silence.
    let (m, state) = answer("{ at_least = 5.0 }", |_| 4.0, 500);
    assert!(m > 9.5 && !state.met && state.infeasible, "{m} {state:?}");
}

#[test]
fn the_lagrangian_weighs_by_its_multipliers() {
    let mut r = reward("[combine]\nkind = \"lagrangian\"\nconstraints = { b = { at_least = 1 }, c = { at_most = 0 } }");
    r.set_host(&[3.0, 1.0]);
    // (a + 3 b - 1 c) / (1 + 3 + 1), after a node for the objectives, which have a critic as each constraint has.
    let out = run(&r, [0.0; 3], &[([1.0, 2.0, 4.0], false)]);
    assert!(close(out[0][3], 1.0) && close(out[0][4], (1.0 + 6.0 - 4.0) / 5.0), "{out:?}");
    let graph = r.graph().unwrap();
    assert_eq!(graph.nodes[3..], ["total.objective", "total"]);
    let nodes: Vec<_> = graph.critics.iter().map(|c| (c.node, c.constraint)).collect();
    assert_eq!((nodes, r.critics()), (vec![(3, None), (1, Some(0)), (2, Some(1))], 3));
    let mut adaptive = Adaptive::new(graph, 0.9);
    adaptive.values = vec![3.0, 1.0];
    assert_eq!(adaptive.mix(graph), [1.0, 3.0, -1.0]);

    let mut single = reward(
        "[combine]\nkind = \"lagrangian\"\nsingle_critic = true\n\
         constraints = { b = { at_least = 1 }, c = { at_most = 0 } }",
    );
    single.set_host(&[3.0, 1.0]);
    assert!(close(run(&single, [0.0; 3], &[([1.0, 2.0, 4.0], false)])[0][3], (1.0 + 6.0 - 4.0) / 5.0));
    assert!(single.critics() == 1 && single.graph().unwrap().critics.is_empty());
    let group = "[groups.g]\nkind = \"lagrangian\"\nof = [\"a\", \"b\"]\nconstraints = { b = { at_least = 1 } }";
    assert_eq!(reward(group).critics(), 1, "the total is a sum");
}
