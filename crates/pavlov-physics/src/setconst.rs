//! Quantities derived from the mass matrix at `qpos0` (`engine_setconst.c`, `set0`): they scale the softness of
//! constraints.

use crate::data::Data;
use crate::inertia::solve_tree;
use crate::math::*;
use crate::params::Params;
use crate::real::Real;
use crate::topology::Topology;
use pavlov_model::{JointKind, Model};

/// Fills `dof_invweight0`, `body_invweight0` and `meaninertia`; `d` holds the position stage at `qpos0`.
pub(crate) fn set0<R: Real>(model: &Model, topo: &Topology, params: &mut Params<R>, d: &mut Data<R>) {
    let nv = topo.nv;
    let mut trace = R::ZERO;
    for i in 0..nv {
        trace += d.qm[i * nv + i];
    }
    params.meaninertia = trace * R::splat(1.0 / nv as f64);
    // diagonal of the inverse
    let mut diagonal = vec![R::ZERO; nv];
    let mut x = vec![R::ZERO; nv];
    for i in 0..nv {
        x.fill(R::ZERO);
        x[i] = R::ONE;
        solve_tree(topo, &d.qld, &d.qld_dinv, &mut x);
        diagonal[i] = x[i];
    }
    let third = R::splat(1.0 / 3.0);
    for joint in &model.joints {
        let v = joint.dofadr;
        let mean = |at: usize| (diagonal[at] + diagonal[at + 1] + diagonal[at + 2]) * third;
        match joint.kind {
            JointKind::Slide if topo.sliders[joint.body] => {
                params.dof_invweight0[v] = slider_weight(params, joint.body)
            }
            JointKind::Hinge | JointKind::Slide => params.dof_invweight0[v] = diagonal[v],
            JointKind::Ball => params.dof_invweight0[v..v + 3].fill(mean(v)),
            JointKind::Free => {
                params.dof_invweight0[v..v + 3].fill(mean(v));
                params.dof_invweight0[v + 3..v + 6].fill(mean(v + 3));
            }
        }
    }
    for b in 1..model.bodies.len() {
        let body = &model.bodies[b];
        if body.weld == 0 {
            continue;
        }
        if topo.sliders[b] {
            params.body_invweight0[b] = [slider_weight(params, b), R::ZERO];
            continue;
        }
        // rows of the Jacobian at the body's centre of mass: three translations, three rotations
        let arm = sub(d.xipos[b], d.subtree_com[body.root]);
        let mut weight = [R::ZERO; 2];
        for row in 0..6 {
            let jacobian = |i: usize| {
                let axis = &d.cdof[i];
                let ang = [axis[0], axis[1], axis[2]];
                if row < 3 { add([axis[3], axis[4], axis[5]], cross(ang, arm))[row] } else { ang[row - 3] }
            };
            x.fill(R::ZERO);
            for &i in &topo.body_dofs[b] {
                x[i] = jacobian(i);
            }
            solve_tree(topo, &d.qld, &d.qld_dinv, &mut x);
            let mut a = R::ZERO;
            for &i in &topo.body_dofs[b] {
                a = jacobian(i).mul_add(x[i], a);
            }
            weight[row / 3] += a * third;
        }
        params.body_invweight0[b] = weight;
    }
}

/// MuJoCo's short cut for bodies that only slide: neither armature nor the directions they cannot move in count.
fn slider_weight<R: Real>(params: &Params<R>, b: usize) -> R {
    R::ONE / params.body_mass[b].max(R::splat(1e-15))
}

#[cfg(test)]
mod tests {
    use crate::testing::{close, scene};

    #[test]
    fn weights_of_simple_bodies_are_their_inverse_masses() {
        let p = scene("", "<body><freejoint/><geom size='0.5' mass='4'/></body>").params::<f64>();
        let inertia = 0.4 * 4.0 * 0.25;
        close(p.body_invweight0[1][0], 0.25, 1e-14);
        close(p.body_invweight0[1][1], 1.0 / inertia, 1e-13);
        close(p.dof_invweight0[5], 1.0 / inertia, 1e-13);
        close(p.meaninertia, (3.0 * 4.0 + 3.0 * inertia) / 6.0, 1e-14);
    }

    #[test]
    fn a_slider_counts_neither_armature_nor_the_directions_it_lacks() {
        let body = |axis: &str| {
            format!("<body><joint type='slide' axis='{axis}' armature='1'/><geom size='0.5' mass='4'/></body>")
        };
        let p = scene("", &body("0 0 -2")).params::<f64>();
        assert_eq!((p.body_invweight0[1], p.dof_invweight0[0]), ([0.25, 0.0], 0.25));
        let p = scene("", &body("0 1 1")).params::<f64>();
        close(p.body_invweight0[1][0], 0.2 / 3.0, 1e-15);
        close(p.dof_invweight0[0], 0.2, 1e-15);
    }

    #[test]
    fn weights_follow_a_changed_mass() {
        let physics = scene("", "<body><freejoint/><geom size='0.5' mass='4'/></body>");
        let mut p = physics.params::<f64>();
        p.body_mass[1] = 8.0;
        physics.set0(&mut p);
        close(p.body_invweight0[1][0], 0.125, 1e-15);
    }
}
