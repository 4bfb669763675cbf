//! Constraint rows: dry friction, joint limits, contacts; their Jacobians, regularisers and reference accelerations.
//!
//! A contact keeps one Jacobian row per frame direction (normal, tangents, spin, roll) for both cones; the edges of a
//! pyramid are `normal ± mu tangent` of those rows. Source: `mj_makeConstraint`, `mj_makeImpedance`,
//! `mj_referenceConstraint`.

use crate::data::{Contact, Data, FrictionRow, Limit};
use crate::math::*;
use crate::params::Params;
use crate::real::{Mask, Real};
use crate::topology::Topology;
use pavlov_model::{Cone, JointKind, Model, Pair};

const MINVAL: f64 = 1e-15;
const MIN_IMPEDANCE: f64 = 1e-4;
const MAX_IMPEDANCE: f64 = 0.9999;

/// Impedance, stiffness and damping of a constraint at distance `x` inside its margin.
struct Impedance<R> {
    d: R,
    k: R,
    b: R,
}

/// `solref`, `solimp` → impedance at `pos - margin = x`, stiffness K and damping B (`getsolparam`, `getimpedance`).
fn impedance<R: Real>(model: &Model, solref: [f64; 2], solimp: [f64; 5], x: R) -> Impedance<R> {
    let d0 = solimp[0].clamp(MIN_IMPEDANCE, MAX_IMPEDANCE);
    let dw = solimp[1].clamp(MIN_IMPEDANCE, MAX_IMPEDANCE);
    let width = solimp[2].max(0.0);
    let mid = solimp[3].clamp(MIN_IMPEDANCE, MAX_IMPEDANCE);
    let power = solimp[4].max(1.0);
    let d = if d0 == dw || width <= MINVAL {
        R::splat(0.5 * (d0 + dw))
    } else {
        let x = (x.abs() * R::splat(1.0 / width)).min(R::ONE);
        let y = if power == 1.0 {
            x
        } else {
            let raise = |v: R| if power == 2.0 { v * v } else { v.powf(power) };
            let low = raise(x) * R::splat(1.0 / mid.powf(power - 1.0));
            let high = R::ONE - raise(R::ONE - x) * R::splat(1.0 / (1.0 - mid).powf(power - 1.0));
            R::select(x.le(R::splat(mid)), low, high)
        };
        y.mul_add(R::splat(dw - d0), R::splat(d0))
    };
    let (k, b) = if solref[0] > 0.0 && solref[1] > 0.0 {
        let tc = if model.opt.refsafe { solref[0].max(2.0 * model.opt.timestep) } else { solref[0] };
        let k = 1.0 / (dw * dw * tc * tc * solref[1] * solref[1]).max(MINVAL);
        (k, 2.0 / (dw * tc).max(MINVAL))
    } else {
        (-solref[0] / (dw * dw).max(MINVAL), -solref[1] / dw.max(MINVAL))
    };
    Impedance { d, k: R::splat(k), b: R::splat(b) }
}

/// (1 - d)/d · Â, at least 1e-15.
fn regulariser<R: Real>(d: R, diagonal: R) -> R {
    ((R::ONE - d) / d * diagonal).max(R::splat(MINVAL))
}

/// Builds all rows for the current position and velocity.
pub(crate) fn make<R: Real>(model: &Model, topo: &Topology, params: &Params<R>, d: &mut Data<R>) {
    d.rows.d.clear();
    d.efc_j.clear();
    d.frictions.clear();
    d.limits.clear();
    if model.opt.frictionloss {
        friction_rows(model, topo, params, d);
    }
    if model.opt.limit {
        limit_rows(model, topo, params, d);
    }
    contact_rows(model, topo, params, d);
    let n = d.rows.d.len();
    d.rows.z.resize(n, R::ZERO);
    d.rows.dz.resize(n, R::ZERO);
}

fn friction_rows<R: Real>(model: &Model, topo: &Topology, params: &Params<R>, d: &mut Data<R>) {
    for &i in &topo.friction_dofs {
        let dof = &model.dofs[i];
        let imp = impedance(model, dof.solref_friction, dof.solimp_friction, R::ZERO);
        d.frictions.push(FrictionRow {
            dof: i,
            d: R::ONE / regulariser(imp.d, params.dof_invweight0[i]),
            aref: -imp.b * d.state.qvel[i],
            loss: params.dof_frictionloss[i],
            z: R::ZERO,
            dz: R::ZERO,
        });
    }
}

fn limit_rows<R: Real>(model: &Model, topo: &Topology, params: &Params<R>, d: &mut Data<R>) {
    for &j in &topo.limited_joints {
        let joint = &model.joints[j];
        let margin = R::splat(joint.margin);
        let (q, v) = (joint.qposadr, joint.dofadr);
        let [lo, hi] = params.jnt_range[j];
        match joint.kind {
            JointKind::Hinge | JointKind::Slide => {
                for (dist, sign) in [(d.state.qpos[q] - lo, R::ONE), (hi - d.state.qpos[q], -R::ONE)] {
                    if dist.lt(margin).any() {
                        push_limit(model, params, d, j, 1, [sign, R::ZERO, R::ZERO], dist, v);
                    }
                }
            }
            JointKind::Ball => {
                let s = &d.state.qpos;
                let turn = quat_to_rotvec(quat_normalize([s[q], s[q + 1], s[q + 2], s[q + 3]]));
                let (axis, angle) = normalize(turn);
                let dist = lo.max(hi) - angle;
                if dist.lt(margin).any() {
                    push_limit(model, params, d, j, 3, scale(axis, -R::ONE), dist, v);
                }
            }
            JointKind::Free => {}
        }
    }
}

fn push_limit<R: Real>(
    model: &Model,
    params: &Params<R>,
    d: &mut Data<R>,
    j: usize,
    n: usize,
    coef: V3<R>,
    dist: R,
    dof: usize,
) {
    let joint = &model.joints[j];
    let margin = R::splat(joint.margin);
    let imp = impedance(model, joint.solref_limit, joint.solimp_limit, dist - margin);
    let reg = regulariser(imp.d, params.dof_invweight0[dof]);
    let mut speed = R::ZERO;
    for k in 0..n {
        speed = coef[k].mul_add(d.state.qvel[dof + k], speed);
    }
    let aref = -imp.b * speed - imp.k * imp.d * (dist - margin);
    d.limits.push(Limit { joint: j, dof, n, coef, row: d.rows.d.len(), aref });
    d.rows.d.push((R::ONE / reg).masked(dist.lt(margin)));
}

fn contact_rows<R: Real>(model: &Model, topo: &Topology, params: &Params<R>, d: &mut Data<R>) {
    let Data { contacts, efc_j, rows, cdof, subtree_com, state, .. } = d;
    for c in contacts.iter_mut() {
        if !c.active.any() {
            continue;
        }
        let (pair, pt) = (&model.pairs[c.pair], &topo.pairs[c.pair]);
        c.jac = efc_j.len();
        c.row = rows.d.len();
        // Jacobian and velocity of every frame direction
        let mut speed = [R::ZERO; 6];
        for pd in &pt.dofs {
            let arm = sub(c.pos, subtree_com[model.bodies[model.dofs[pd.dof].body].root]);
            let along = jacobian(&c.frame, c.dim, &cdof[pd.dof], arm, pd.minus);
            for k in 0..c.dim {
                speed[k] = along[k].mul_add(state.qvel[pd.dof], speed[k]);
                efc_j.push(along[k]);
            }
        }
        // spin and roll directions take their regulariser from the first tangent, so only translation enters
        let tran = params.body_invweight0[pt.body1][0] + params.body_invweight0[pt.body2][0];
        soften(model, pair, tran, &speed, c);
        if c.dim == 1 || model.opt.cone == Cone::Pyramidal {
            for _ in 0..(2 * (c.dim - 1)).max(1) {
                rows.d.push(c.d[0]);
            }
        }
    }
}

/// What one dof, with motion axis `axis` about a point at -`arm` from the contact, adds to the velocity in each
/// direction of the contact frame (`minus` when it moves the first body).
#[inline(always)]
pub(crate) fn jacobian<R: Real>(frame: &M3<R>, dim: usize, axis: &V6<R>, arm: V3<R>, minus: bool) -> [R; 6] {
    let mut ang = [axis[0], axis[1], axis[2]];
    let mut lin = add([axis[3], axis[4], axis[5]], cross(ang, arm));
    if minus {
        lin = lin.map(|v| -v);
        ang = ang.map(|v| -v);
    }
    let mut along = [R::ZERO; 6];
    for k in 0..dim {
        along[k] = if k < 3 { dot(frame[k], lin) } else { dot(frame[k - 3], ang) };
    }
    along
}

/// Reference accelerations and inverse regularisers of a contact that moves at `speed` (per direction); `tran` is the
/// sum of both bodies' translational inverse weights.
#[inline(always)]
pub(crate) fn soften<R: Real>(model: &Model, pair: &Pair, tran: R, speed: &[R; 6], c: &mut Contact<R>) {
    let x = c.dist - R::splat(pair.margin);
    let imp = impedance(model, pair.solref, pair.solimp, x);
    c.aref[0] = -imp.b * speed[0] - imp.k * imp.d * x;
    for k in 1..c.dim {
        c.aref[k] = -imp.b * speed[k];
    }
    let mu0 = c.mu[0];
    match model.opt.cone {
        _ if c.dim == 1 => c.d[0] = (R::ONE / regulariser(imp.d, tran)).masked(c.active),
        Cone::Pyramidal => {
            let first = regulariser(imp.d, mu0.square().mul_add(tran, tran));
            let reg = R::splat(2.0 / model.opt.impratio) * mu0.square() * first;
            c.d[0] = (R::ONE / reg).masked(c.active);
        }
        Cone::Elliptic => {
            let normal = regulariser(imp.d, tran);
            let tangent = normal * R::splat(1.0 / model.opt.impratio.max(MINVAL));
            c.mu_reg = mu0 * (tangent / normal).sqrt();
            c.d[0] = (R::ONE / normal).masked(c.active);
            for k in 1..c.dim {
                let reg = tangent * (mu0 / c.mu[k - 1]).square();
                c.d[k] = (R::ONE / reg).masked(c.active);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, placed, scene};

    #[test]
    fn impedance_follows_its_curve() {
        let model = scene("timestep='0.01'", "<body><joint/><geom size='1'/></body>").model().clone();
        let solimp = [0.2, 0.8, 0.1, 0.5, 2.0];
        for (x, d) in [(0.0, 0.2), (-0.025, 0.2 + 0.6 * 0.125), (0.05, 0.5), (-0.075, 0.2 + 0.6 * 0.875), (-9.0, 0.8)] {
            close(impedance::<f64>(&model, [0.05, 0.5], solimp, x).d, d, 1e-15);
        }
        let i = impedance::<f64>(&model, [0.05, 0.5], solimp, 0.0);
        close(i.b, 2.0 / (0.8 * 0.05), 1e-12);
        close(i.k, 1.0 / (0.8f64 * 0.05 * 0.5).powi(2), 1e-9);
        // a time constant below two steps is raised; negative numbers are stiffness and damping
        close(impedance::<f64>(&model, [0.001, 1.0], solimp, 0.0).b, 2.0 / (0.8 * 0.02), 1e-12);
        close(impedance::<f64>(&model, [-64.0, -8.0], solimp, 0.0).k, 100.0, 1e-12);
        // flat, and clamped away from 0 and 1
        close(impedance::<f64>(&model, [0.05, 1.0], [0.0, 0.8, 0.0, 0.5, 2.0], 0.0).d, 0.5 * (1e-4 + 0.8), 1e-15);
    }

    #[test]
    fn a_mass_rests_on_its_limit_where_spring_and_weight_balance() {
        let body = "<body><joint type='slide' axis='0 0 1' range='0 1' limited='true' solreflimit='-500 -80'
                     solimplimit='0.9 0.9 0.001 0.5 2'/><geom size='0.1' mass='2'/></body>";
        let physics = scene("", body);
        let (params, mut d) = (physics.params::<f64>(), placed::<f64>(&physics, &[0.0], &[0.0]));
        for _ in 0..5000 {
            physics.step(&params, &mut d);
        }
        // at rest a = 0: f = -aref D with D = d/(1-d) m, so m g = K d |x| D
        let (k, imp) = (500.0 / (0.9f64 * 0.9), 0.9);
        close(d.state.qpos[0], -9.81 / (k * imp * imp / (1.0 - imp)), 1e-12);
        close(d.qfrc_constraint[0], 2.0 * 9.81, 1e-9);
    }

    #[test]
    fn dry_friction_holds_up_to_its_force() {
        let body = "<body><joint type='slide' axis='1 0 0' frictionloss='3'/><geom size='0.1' mass='2'/></body>";
        let physics = scene("", body);
        let params = physics.params::<f64>();
        for (push, acceleration) in [(2.9, 0.0), (-2.0, 0.0), (5.0, 1.0), (-7.0, -2.0)] {
            let mut d = placed::<f64>(&physics, &[0.0], &[0.0]);
            d.qfrc_applied[0] = push;
            physics.forward(&params, &mut d);
            // what holds gives way a little: (1 - d) of the free acceleration
            close(d.qacc[0], acceleration, if acceleration == 0.0 { 0.1 * push.abs() / 2.0 + 1e-9 } else { 1e-9 });
        }
    }
}
