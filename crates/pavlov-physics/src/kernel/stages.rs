//! The stages that are straight lines of code for a given robot: each is the function the processor runs, recorded.

use super::spaces::{POSE, POSE_MATRIX, Spaces, argument, column, packed, private, results, store_all};
use crate::constraint;
use crate::cost;
use crate::data::Data;
use crate::inertia::solve_tree;
use crate::kinematics::geom_axis;
use crate::math::mul_mv;
use crate::real::Mask;
use crate::record::{Function, Rec, RecMask};
use crate::solver;
use crate::velocity::{actuation, com_vel, passive, rne_bias, smooth_force};
use pavlov_model::{GeomKind, Integrator};

/// Records every stage; with `probe` also what only [`crate::Evaluation`] needs is stored.
pub(crate) fn record(spaces: &Spaces<'_>, probe: bool) -> Vec<Function> {
    let mut functions = vec![smooth(spaces, probe), static_rows(spaces)];
    functions.extend(solver_stages(spaces));
    functions.extend(integrator(spaces));
    functions.push(Function::record("is_finite", || {
        let d = spaces.data();
        results(&[d.check_finite().number()]);
    }));
    functions.extend(state(spaces));
    functions
}

/// From state and control to everything that needs no contact.
fn smooth(spaces: &Spaces<'_>, probe: bool) -> Function {
    let (physics, model, topo) = (spaces.physics, spaces.physics.model(), spaces.physics.topology());
    Function::record("smooth_stage", || {
        let params = spaces.params();
        let mut d = spaces.physics.data::<Rec>();
        let loaded = spaces.data();
        d.state = loaded.state.clone();
        d.ctrl = loaded.ctrl.clone();
        physics.position(&params, &mut d);
        com_vel(model, &mut d);
        rne_bias(model, &params, &mut d);
        passive(model, topo, &params, &mut d);
        actuation(model, &params, &mut d);
        smooth_force(model, topo, &mut d);
        d.qacc_smooth.copy_from_slice(&d.qfrc_smooth);
        solve_tree(topo, &d.qld, &d.qld_dinv, &mut d.qacc_smooth);
        for (g, geom) in model.geoms.iter().enumerate().filter(|(g, _)| topo.geom_collides[*g]) {
            for k in 0..3 {
                d.geom_xpos[g][k].store(column("work", POSE * g + k));
            }
            let axis = mul_mv(&d.xmat[geom.body], geom_axis(params.geom_quat[g]));
            for i in 0..3 {
                for j in 0..3 {
                    let at = column("work", POSE * g + POSE_MATRIX + 3 * i + j);
                    match (topo.geom_needs_mat[g], geom.kind) {
                        (true, _) => d.geom_xmat[g][i][j].store(at),
                        (_, GeomKind::Capsule) if j == 2 => d.geom_xmat[g][i][2].store(at),
                        _ if j == 2 => axis[i].store(at),
                        _ => {}
                    }
                }
            }
        }
        for i in 0..topo.nv {
            for k in 0..6 {
                d.cdof[i][k].store(private("cdof", 6 * i + k));
            }
        }
        for (b, com) in d.subtree_com.iter().enumerate().filter(|(b, _)| model.bodies[*b].root == *b) {
            for k in 0..3 {
                com[k].store(private("com", 3 * b + k));
            }
        }
        spaces.each_mass(|i, j| d.qm[i * topo.nv + j].store(private("qm", packed(i, j))));
        store_all("act", &d.actuator_force);
        store_all("qact", &d.qfrc_actuator);
        store_all("qfrc", &d.qfrc_smooth);
        store_all("smooth_acc", &d.qacc_smooth);
        spaces.store_floating(&d);
        if probe {
            store_all("bias", &d.qfrc_bias);
        }
    })
}

/// Friction and limits. Returns 1 where there is a row in force.
fn static_rows(spaces: &Spaces<'_>) -> Function {
    let (model, topo) = (spaces.physics.model(), spaces.physics.topology());
    Function::record("static_rows", || {
        let (params, mut d) = (spaces.params(), spaces.data());
        constraint::make(model, topo, &params, &mut d);
        spaces.store_rows(&d);
        results(&[cost::constrained(&d).number()]);
    })
}

/// The solver's stages outside of contacts.
fn solver_stages(spaces: &Spaces<'_>) -> Vec<Function> {
    let (model, topo) = (spaces.physics.model(), spaces.physics.topology());
    let tolerance = || solver::tolerance::<Rec>(&spaces.physics.solver);
    let store_z = |d: &Data<Rec>| {
        store_all("lim_z", &d.rows.z);
        store_all("fri_z", &d.frictions.iter().map(|f| f.z).collect::<Vec<_>>());
    };
    let newton = |name, dense| {
        Function::record(name, || {
            let mut d = spaces.data();
            solver::newton_direction(topo, dense, &mut d);
            store_all("search", &d.solve.search);
        })
    };
    vec![
        Function::record("unconstrained", || {
            let mut d = spaces.data();
            solver::unconstrained(&mut d);
            store_all("qacc", &d.qacc);
            store_all("qcon", &d.qfrc_constraint);
            store_all("warm", &d.state.qacc_warmstart);
        }),
        Function::record("start", || {
            let mut d = spaces.data();
            solver::start(model, topo, RecMask::splat(true), &mut d);
            store_all("qacc", &d.qacc);
            store_all("ma", &d.solve.ma);
        }),
        Function::record("static_residuals", || {
            let mut d = spaces.data();
            cost::residuals(model, topo, &mut d);
            store_z(&d);
        }),
        Function::record("static_forces", || {
            let mut d = spaces.data();
            cost::forces(model, topo, &mut d);
            store_all("qcon", &d.qfrc_constraint);
        }),
        Function::record("gradient", || {
            let (params, mut d) = (spaces.params(), spaces.data());
            let done = solver::gradient(topo, &params, tolerance(), &mut d);
            store_all("grad", &d.solve.grad);
            results(&[done.number()]);
        }),
        Function::record("static_hessian", || {
            let mut d = spaces.data();
            cost::hessian(model, topo, &mut d);
            for i in 0..topo.nv {
                for j in 0..=i {
                    d.solve.h[i * topo.nv + j].store(private("hess", packed(i, j)));
                }
            }
        }),
        newton("newton_tree", false),
        newton("newton_dense", true),
        Function::record("gauss_term", || {
            let (params, mut d) = (spaces.params(), spaces.data());
            let (quad, small) = solver::gauss_term(topo, &params, tolerance(), &mut d);
            store_all("mv", &d.solve.mv);
            results(&[quad[0], quad[1], small.number()]);
        }),
        Function::record("static_slopes", || {
            let mut d = spaces.data();
            cost::slopes(model, topo, &mut d);
            store_all("lim_dz", &d.rows.dz);
            store_all("fri_dz", &d.frictions.iter().map(|f| f.dz).collect::<Vec<_>>());
        }),
        Function::record("static_unchanged", || {
            results(&[cost::unchanged_by_full_step(model, &spaces.data()).number()]);
        }),
        Function::record("static_derivatives", || {
            let quad = [argument(0), argument(1)];
            results(&cost::derivatives(model, &spaces.data(), quad, argument(2)));
        })
        .with_arguments(3),
        Function::record("static_step", || {
            let mut d = spaces.data();
            cost::take_step(&mut d, argument(0));
            store_all("qacc", &d.qacc);
            store_all("ma", &d.solve.ma);
            store_z(&d);
        })
        .with_arguments(1),
        Function::record("bracket", || {
            let a = [0, 1, 2, 3, 4].map(argument);
            results(&solver::bracket([a[0], a[1]], [a[2], a[3]], a[4]));
        }),
        Function::record("keep_warm", || store_all("warm", &spaces.data().qacc)),
    ]
}

fn store_motion(d: &Data<Rec>) {
    store_all("qpos", &d.state.qpos);
    store_all("qvel", &d.state.qvel);
    d.state.time.store(private("time", 0));
}

/// The integrator the profile asks for.
fn integrator(spaces: &Spaces<'_>) -> Vec<Function> {
    let physics = spaces.physics;
    match physics.integrator {
        Integrator::Euler | Integrator::ImplicitFast => vec![Function::record("integrate", || {
            let (params, mut d) = (spaces.params(), spaces.data());
            match physics.integrator {
                Integrator::Euler => physics.euler(&params, &mut d),
                _ => physics.implicit_fast(&params, &mut d),
            }
            store_motion(&d);
        })],
        Integrator::Rk4 => vec![
            Function::record("rk4_begin", || {
                let mut d = spaces.data();
                physics.rk4_begin(&mut d);
                store_all("rk_qpos", &d.rk.qpos0);
                store_all("rk_qvel", &d.rk.qvel0);
                store_all("rk_vsum", &d.rk.v_sum);
                store_all("rk_asum", &d.rk.a_sum);
                store_all("rk_v", &d.rk.v);
                d.rk.time0.store(private("rk_time", 0));
            }),
            Function::record("rk4_move", || {
                let mut d = spaces.data();
                physics.rk4_move(&mut d, argument(0));
                store_motion(&d);
            }),
            Function::record("rk4_add", || {
                let mut d = spaces.data();
                physics.rk4_add(&mut d, argument(0), argument(1));
                store_all("rk_vsum", &d.rk.v_sum);
                store_all("rk_asum", &d.rk.a_sum);
                store_all("rk_v", &d.rk.v);
            }),
            Function::record("integrate", || {
                let mut d = spaces.data();
                physics.rk4_end(&mut d);
                store_motion(&d);
            }),
        ],
    }
}

/// Names of the private arrays that make up a state, in the order of the `state` columns.
pub(crate) const STATE: [&str; 4] = ["qpos", "qvel", "warm", "time"];

/// Reads and writes the state's columns.
fn state(spaces: &Spaces<'_>) -> Vec<Function> {
    let arrays = spaces.arrays();
    let numbers = || {
        STATE.iter().flat_map(|name| {
            let array = arrays.iter().find(|a| a.name == *name);
            (0..array.map_or(0, |a| a.len)).map(|i| private(name, i))
        })
    };
    vec![
        Function::record("load_state", || {
            for (i, place) in numbers().enumerate() {
                Rec::load(column("state", i)).store(place);
            }
            for u in 0..spaces.physics.model().nu() {
                Rec::load(column("control", u)).store(private("ctrl", u));
            }
        }),
        Function::record("store_state", || {
            for (i, place) in numbers().enumerate() {
                Rec::load(place).store(column("state", i));
            }
        }),
    ]
}
