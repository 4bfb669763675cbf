//! What a world does depends on nothing but itself: eight different worlds side by side give the same bits as each of
//! them in the company of seven copies of itself.

use pavlov_model::load_mjcf;
use pavlov_physics::{Data, LANES, Lane, Mask, Physics, Profile, Real};
use pavlov_tests::{Arrays, robot, root};
use std::path::Path;
use std::sync::Arc;

/// The scene of rarer features holds a contact too stiff for its step: MuJoCo too loses some of its worlds before long.
const STEPS: usize = 150;
const STEPS_OF_FEATURES: usize = 30;

#[test]
fn worlds_do_not_depend_on_their_neighbours() {
    for name in ["hopper", "half_cheetah", "walker2d", "ant", "humanoid", "go1"] {
        alone_and_in_company(name, &robot(name), STEPS);
    }
    alone_and_in_company("features", &root().join("tests/mujoco/features.xml"), STEPS_OF_FEATURES);
}

fn alone_and_in_company(name: &str, file: &Path, steps: usize) {
    let model = Arc::new(load_mjcf(file).unwrap_or_else(|e| panic!("{e}")));
    let states = Arrays::read(&format!("conformance_{name}"));
    for profile in [Profile::Accurate, Profile::Fast] {
        let physics = Physics::new(model.clone()).expect("the model can be simulated").with_profile(profile);
        let together = run(&physics, &states, steps, |lane| lane);
        assert!(together.finite.all(), "{name}, {profile:?}");
        for lane in 0..LANES {
            let alone = run(&physics, &states, steps, |_| lane);
            assert_eq!(bits(&together, lane), bits(&alone, lane), "{name}, {profile:?}, world {lane}");
            assert_eq!(bits(&alone, lane), bits(&alone, (lane + 1) % LANES), "{name}, {profile:?}, copies of {lane}");
        }
    }
}

/// Steps worlds that start in the recorded states `which` names.
fn run(physics: &Physics, states: &Arrays, steps: usize, which: impl Fn(usize) -> usize) -> Data<Lane> {
    let (params, mut d) = (physics.params::<Lane>(), physics.data::<Lane>());
    for lane in 0..LANES {
        let s = 20 * which(lane);
        d.state.reset_world(lane, states.row("qpos", s), states.row("qvel", s));
        for (column, &v) in d.ctrl.iter_mut().zip(states.row("ctrl", s)) {
            column.set(lane, v);
        }
    }
    for _ in 0..steps {
        physics.step(&params, &mut d);
    }
    d
}

fn bits(d: &Data<Lane>, lane: usize) -> Vec<u64> {
    d.state.qpos.iter().chain(&d.state.qvel).chain(&d.qacc).map(|v| v.get(lane).to_bits()).collect()
}
