//! How new genomes are made: shares of the ways, shapes, numbers, islands, by counting thousands of draws.

use super::*;
use std::collections::BTreeMap;

fn quantity(text: &str, with_fitness: f64) -> Quantity {
    let name = text.into();
    Quantity { text: text.into(), name, std: 2.0, mean: 1.0, good: 3.0, with_fitness, ..Quantity::default() }
}

/// Speed goes with fitness, sway against it; effort and posture are known by what they are made of.
fn catalogue() -> Vec<Quantity> {
    let effort = quantity("s.action.norm2()", 0.0);
    let posture = Quantity { module: Some("lib/posture".into()), ..quantity("posture::upright(s)", 0.0) };
    vec![quantity("speed", 0.9), quantity("sway", -0.9), effort, posture, quantity("rest", 0.0)]
}

fn linear(text: &str) -> Gene {
    Gene { quantity: text.into(), shape: Shape::Linear, weight: 1.0, target: 0.0, width: 1.0 }
}

fn genome(texts: &[&str]) -> Genome {
    Genome { genes: texts.iter().map(|text| linear(text)).collect(), alive: 0.5 }
}

fn parent(place: u32, merit: f64, texts: &[&str]) -> Parent {
    Parent { at: At::new(0, place), genome: genome(texts), merit, curve: Vec::new(), episode_steps: 100 }
}

const WAYS: Ways = Ways { reflection: true, islands: 1, mortal: true };

/// What `of` gives for each of `n` candidates, and how often.
fn counts<K: Ord>(n: u32, mut of: impl FnMut(&mut Draw) -> K) -> BTreeMap<K, u32> {
    let mut counts = BTreeMap::new();
    for place in 0..n {
        *counts.entry(of(&mut Draw::new(3, At::new(0, place)))).or_default() += 1;
    }
    counts
}

/// Within four deviations of what chance gives.
fn assert_share(found: u32, of: u32, expected: f64) {
    let share = f64::from(found) / f64::from(of);
    let room = 4.0 * (expected * (1.0 - expected) / f64::from(of)).sqrt();
    assert!((share - expected).abs() <= room, "{found} of {of}: expected {expected:.3}, give or take {room:.3}");
}

#[test]
fn chances_follow_evidence_credit_and_depth() {
    let deep = Quantity { depth: 2, ..quantity("deep", 0.0) };
    let list = [quantity("sure", 1.0), quantity("known", 0.0), deep];
    let credit = Credit::from([("known".to_string(), 0.5)]);
    let expected = [50.0f64.powi(2), 1.02f64.powi(-2) * 1.5f64.exp(), 1.02f64.powi(-2) * 0.5625];
    for (found, expected) in chances(&list, 2.0, &credit).into_iter().zip(expected) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
    }
    assert_eq!(chances(&list, 0.0, &Credit::new()), [1.0, 1.0, 0.5625]);
}

#[test]
fn quantities_are_told_by_what_they_are_made_of() {
    let of = |text: &str, module: Option<&str>| {
        let q = Quantity { module: module.map(String::from), ..quantity(text, 0.0) };
        (effort(&q), posture(&q))
    };
    assert_eq!(of("energy::power(s)", Some("lib/energy")), (true, false));
    assert_eq!(of("smooth::rate(s)", Some("lib/smooth")), (true, false));
    assert_eq!((of("s.action.norm2()", None), of("diff2(s)", None)), ((true, false), (true, false)));
    assert_eq!((of("gait::air(s)", Some("lib/gait")), of("s.time", None)), ((false, true), (false, false)));
}

#[test]
fn genes_have_the_shapes_and_numbers_that_suit_their_sign() {
    let q = quantity("speed", 0.9);
    let n = 4000;
    let shapes = |weight: f64| counts(n, |draw| format!("{:?}", gene(draw, &q, weight).shape));
    let (up, down) = (shapes(1.0), shapes(-1.0));
    for (shape, share) in [("Linear", 0.5), ("Capped", 0.1), ("Kernel", 0.1), ("Beyond", 0.2), ("Squash", 0.1)] {
        assert_share(up[shape], n, share);
    }
    assert!(up.len() == 5 && down.len() == 3, "{up:?} {down:?}");
    for (shape, share) in [("Linear", 1.0 / 3.0), ("Square", 0.5), ("Squash", 1.0 / 6.0)] {
        assert_share(down[shape], n, share);
    }
    let mut squares = BTreeMap::<String, u32>::new();
    for place in 0..n {
        let weight = if place % 2 == 0 { 0.123_456 } else { -0.123_456 };
        let g = gene(&mut Draw::new(5, At::new(1, place)), &q, weight);
        assert!((g.weight - weight.signum() * 0.123).abs() < 1e-12 && g.quantity == "speed");
        assert!((1.0 - 1e-9..=5.67).contains(&g.width), "{g:?}");
        // Mean 1 and good 3: targets lie between half the way back and one and a half beyond.
        match g.shape {
            Shape::Linear => assert_eq!(g.target, 0.0),
            Shape::Square => *squares.entry(g.target.to_string()).or_default() += 1,
            Shape::Squash => assert!((0.0..=3.0).contains(&g.target), "{g:?}"),
            _ => assert!((2.0..=6.0).contains(&g.target), "{g:?}"),
        }
    }
    assert_eq!(squares.keys().collect::<Vec<_>>(), ["0", "3"]);
    assert_share(squares["0"], squares["0"] + squares["3"], 0.5);
    let effort = &catalogue()[2];
    assert_eq!(counts(200, |draw| format!("{:?}", gene(draw, effort, -0.1).shape)).len(), 1);
}

#[test]
fn what_is_kept_is_kept_where_the_good_behaviour_has_it() {
    let (above, below) = (quantity("q", 0.0), Quantity { good: -3.0, ..quantity("q", 0.0) });
    let n = 1800;
    let kinds = counts(n, |draw| {
        let g = keep(draw, &above, 0.2);
        let target = if g.shape == Shape::Linear { 0.0 } else { 3.0 };
        assert_eq!((g.target, g.weight.abs()), (target, 0.2));
        (format!("{:?}", g.shape), g.weight > 0.0)
    });
    for (kind, share) in [(("Linear", true), 4.0), (("Square", false), 3.0), (("Kernel", true), 2.0)] {
        assert_share(kinds[&(kind.0.to_string(), kind.1)], n, share / 9.0);
    }
    let towards = counts(200, |draw| {
        let g = keep(draw, &below, 0.2);
        g.shape == Shape::Linear && g.weight > 0.0
    });
    assert_eq!(towards.len(), 1, "below the mean a linear term pays for less");
}

#[test]
fn what_is_added_has_the_sign_and_size_of_its_kind() {
    let catalogue = catalogue();
    let n = 6000;
    let mut efforts = BTreeMap::<bool, u32>::new();
    let kinds = counts(n, |draw| {
        let g = extra(draw, &catalogue, &Credit::new());
        let size = g.weight.abs();
        if g.quantity == "s.action.norm2()" {
            // Kind 0 alone reaches below a hundredth.
            *efforts.entry(g.weight < 0.0).or_insert(0) += 1;
            assert!((0.0063..=1.59).contains(&size), "{g:?}");
        }
        g.quantity
    });
    // Three tenths ask for effort, and 15% each for what goes with fitness (any of five, its evidence's root) and for anything.
    assert!(kinds["s.action.norm2()"] > 3 * n / 10 && kinds["posture::upright(s)"] > 4 * n / 10, "{kinds:?}");
    assert!(f64::from(efforts[&true]) > 0.9 * f64::from(efforts[&true] + efforts[&false]), "{efforts:?}");
}

#[test]
fn a_random_genome_leads_with_what_explains_fitness() {
    let catalogue = catalogue();
    let n = 1000;
    let mut neutral = BTreeMap::<bool, u32>::new();
    let signs = counts(n, |draw| {
        let g = random(draw, &catalogue, WAYS, &Credit::new());
        let texts: std::collections::BTreeSet<&str> = g.genes.iter().map(|g| g.quantity.as_str()).collect();
        assert!(texts.len() == g.genes.len() && g.genes.len() <= 6, "{g:?}");
        assert!(g.alive == 0.0 || (0.1..=3.17).contains(&g.alive), "{g:?}");
        let core = &g.genes[0];
        match core.quantity.as_str() {
            "speed" => assert_eq!(core.weight, 1.0),
            "sway" => assert_eq!(core.weight, -1.0),
            // Of what is not known to go with fitness either sign is tried.
            _ => *neutral.entry(core.weight > 0.0).or_insert(0) += 1,
        }
        (core.quantity == "speed" || core.quantity == "sway", g.alive > 0.0, g.genes.len() > 1)
    });
    let with = |k: usize| {
        let is = |key: &(bool, bool, bool)| [key.0, key.1, key.2][k];
        signs.iter().filter(|(key, _)| is(key)).map(|(_, count)| count).sum::<u32>()
    };
    // Two quantities of evidence 1 / 0.21, three of 1 / 1.02, squared.
    let (strong, weak) = (2.0 * 0.21f64.powi(-2), 3.0 * 1.02f64.powi(-2));
    assert_share(with(0), n, strong / (strong + weak));
    assert_share(with(1), n, 0.85);
    assert_share(neutral[&true], neutral[&true] + neutral[&false], 0.5);
    assert!(with(2) > 950);
    let immortal = |draw: &mut Draw| random(draw, &catalogue, Ways { mortal: false, ..WAYS }, &Credit::new()).alive;
    assert_eq!(counts(100, |draw| immortal(draw).to_bits()).len(), 1);
}

#[test]
fn a_mutation_changes_one_thing_and_says_which() {
    let catalogue = catalogue();
    let of = |texts: &[&str], ways: Ways| {
        counts(3300, |draw| {
            let mut old = genome(texts);
            old.genes.iter_mut().for_each(|g| g.weight = 0.5);
            let mut new = old.clone();
            let said = mutate(draw, &mut new, &catalogue, ways, &Credit::new());
            let kind = said.split(' ').next().unwrap().to_string();
            let changed: Vec<usize> =
                (0..old.genes.len().min(new.genes.len())).filter(|&i| old.genes[i] != new.genes[i]).collect();
            let [n, m] = [old.genes.len(), new.genes.len()];
            match kind.as_str() {
                "weight" | "target" => {
                    assert!(m == n && changed.len() <= 1 && new.alive == old.alive, "{said}");
                    for i in changed {
                        let (a, b) = (&old.genes[i], &new.genes[i]);
                        assert!(said.contains(&a.quantity) && a.quantity == b.quantity && a.shape == b.shape);
                        assert!((kind == "weight") == (a.weight != b.weight), "{said}");
                        assert!((kind == "target") == (a.target != b.target), "{said}");
                        assert!(b.weight > 0.0 && b.width > 0.0, "{said}: {b:?}");
                    }
                }
                "with" => assert!(m > n && new.genes[..n] == old.genes[..] || m == n, "{said}"),
                "without" => {
                    assert!(m + 1 == n && !new.genes.iter().any(|g| said == format!("without {}", g.quantity)))
                }
                "alive" => assert!(new.genes == old.genes && new.alive > 0.0, "{said}"),
                // Another quantity or shape in its place, as heavy as it was.
                _ => {
                    assert!(m == n && changed.len() <= 1 && new.alive == old.alive, "{said}");
                    assert!(changed.iter().all(|&i| new.genes[i].weight.abs() == 0.5), "{said}: {new:?}");
                }
            }
            kind
        })
    };
    let two = of(&["speed", "rest"], WAYS);
    for (kind, weight) in [("weight", 3.0), ("target", 2.0), ("with", 2.0), ("without", 1.0), ("alive", 1.0)] {
        assert_share(two[kind], 3300, weight / 11.0);
    }
    let eight = ["speed", "rest", "sway", "a", "b", "c", "d", "e"];
    assert!(!of(&eight, WAYS).contains_key("with"), "no more than {MAX_GENES} terms");
    let one = of(&["speed"], Ways { mortal: false, ..WAYS });
    assert!(!one.contains_key("without") && !one.contains_key("alive"), "{one:?}");
}

#[test]
fn tuning_changes_numbers_alone() {
    let (mut up, n) = (0, 400);
    for place in 0..n {
        let old = genome(&["speed", "rest"]);
        let mut new = old.clone();
        tune(&mut Draw::new(1, At::new(0, place)), &mut new);
        let same = |g: &Gene| (g.quantity.clone(), g.shape, g.target.to_bits());
        assert!(old.genes.iter().map(same).eq(new.genes.iter().map(same)));
        // Logarithms of three and five deviations.
        assert!(new.genes.iter().all(|g| (0.17..5.8).contains(&g.weight) && (0.36..2.8).contains(&g.width)));
        assert!(new.alive > 0.08 && new.alive < 2.9 && new != old);
        up += u32::from(new.genes[0].weight > 1.0);
    }
    assert_share(up, n, 0.5);
}

#[test]
fn a_crossover_keeps_what_both_have() {
    let (a, b) = (genome(&["both", "a"]), Genome { alive: 2.0, ..genome(&["both", "b"]) });
    let n = 1000;
    let kinds = counts(n, |draw| {
        let child = crossover(draw, &a, &b);
        assert_eq!(child.genes[0].quantity, "both");
        assert_eq!(child.genes.iter().filter(|g| g.quantity == "both").count(), 1);
        (child.genes.len(), child.alive == 2.0)
    });
    let sum = |is: &dyn Fn(&(usize, bool)) -> bool| kinds.iter().filter(|(k, _)| is(k)).map(|(_, n)| n).sum::<u32>();
    assert_share(sum(&|k| k.0 == 3), n, 0.36);
    assert_share(sum(&|k| k.0 == 1), n, 0.16);
    assert_share(sum(&|k| k.1), n, 0.5);
    let many = genome(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    let longest = counts(50, |draw| crossover(draw, &many, &many).genes.len());
    assert_eq!(longest.keys().collect::<Vec<_>>(), [&MAX_GENES]);
    let apart = counts(200, |draw| crossover(draw, &genome(&["x"]), &genome(&["y"])).genes.len());
    assert!(!apart.contains_key(&0), "a child has a term");
}

#[test]
fn the_fitter_of_two_is_chosen_unless_it_is_never_drawn() {
    let (good, poor) = (parent(1, 1.0, &["speed"]), parent(0, 0.0, &["rest"]));
    let n = 2000;
    let chosen = counts(n, |draw| choose(draw, &[&poor, &good]).at.place);
    assert_share(chosen[&1], n, 1.0 - 0.5f64.powi(TOURNAMENT as i32));
}

#[test]
fn parents_come_from_the_own_island_but_for_a_tenth() {
    let catalogue = catalogue();
    let parents: Vec<Parent> = (0..6).map(|place| parent(place, 1.0, &["speed", "rest"])).collect();
    let n = 3000;
    let of = |islands: u32| {
        let ways = Ways { islands, ..WAYS };
        (0..n)
            .map(|place| propose(7, At::new(1, place), &catalogue, &parents, ways))
            .enumerate()
            .filter(|(place, p)| p.parents.first().is_some_and(|first| first.place % 2 == *place as u32 % 2))
            .count() as u32
    };
    // A twentieth of all are drawn afresh and have no parents.
    assert_share(of(2), n, 0.95 * (1.0 - MIGRATION / 2.0));
    assert_share(of(1), n, 0.95 / 2.0);
}

#[test]
fn ways_of_making_have_their_shares_and_only_good_parents_are_used() {
    let catalogue = catalogue();
    let good = parent(2, 1.0, &["speed", "rest"]);
    let lost = parent(3, f64::NAN, &["sway"]);
    let empty = parent(4, 9.0, &[]);
    let parents = [good, parent(5, 0.0, &["speed", "sway"]), lost, empty];
    let n = 3000;
    let of = |reflection: bool| {
        let ways = Ways { reflection, ..WAYS };
        let mut kinds = BTreeMap::<&str, u32>::new();
        for place in 0..n {
            let p = propose(7, At::new(1, place), &catalogue, &parents, ways);
            assert_eq!(p, propose(7, At::new(1, place), &catalogue, &parents, ways));
            assert!(p.parents.iter().all(|at| [2, 5].contains(&at.place)), "{p:?}");
            assert_eq!(
                p.parents.len(),
                match p.operator {
                    "random" => 0,
                    "crossover" => 2,
                    _ => 1,
                },
                "{p:?}"
            );
            *kinds.entry(p.operator).or_default() += 1;
        }
        kinds
    };
    let (with, without) = (of(true), of(false));
    for (kind, share) in [("reflect", 0.3), ("tune", 0.15), ("random", 0.05)] {
        assert_share(with[kind], n, share);
    }
    assert!(!without.contains_key("reflect"));
    assert_share(without["tune"], n, 0.2);
    let alone = propose(7, At::new(0, 0), &catalogue, &[], WAYS);
    assert_eq!((alone.operator, alone.parents.len()), ("random", 0));
}
