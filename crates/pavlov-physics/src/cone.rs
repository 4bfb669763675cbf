//! Elliptic friction cone: force and Hessian of one contact's cost in closed form.
//!
//! With N = mu z0 and U_j = mu_j z_j, T = |U|: no cost where N >= mu T, the full quadratic where mu N + T <= 0, else
//! `D0 / (2 mu² (1 + mu²)) (N - mu T)²`. Source: `mj_constraintUpdate`, physics of Todorov (2014).

use crate::data::Contact;
use crate::real::Real;

/// Force of every direction at residual `z`, with the zone as a number: 0 free, 1 quadratic, 2 on the cone.
pub(crate) struct ConeState<R> {
    pub(crate) force: [R; 6],
    pub(crate) zone: R,
}

struct Zones<R: Real> {
    free: R::Mask,
    bottom: R::Mask,
    n: R,
    t: R,
    u: [R; 6],
}

fn zones<R: Real>(c: &Contact<R>, z: &[R; 6]) -> Zones<R> {
    let mu = c.mu_reg;
    let n = mu * z[0];
    let mut u = [R::ZERO; 6];
    let mut t2 = R::ZERO;
    for k in 1..c.dim {
        u[k] = c.mu[k - 1] * z[k];
        t2 = u[k].mul_add(u[k], t2);
    }
    let t = t2.sqrt();
    let still = t.le(R::ZERO);
    let free = n.ge(mu * t) | (still & n.ge(R::ZERO));
    let bottom = !free & (mu.mul_add(n, t).le(R::ZERO) | still);
    Zones { free, bottom, n, t, u }
}

/// Forces and zone.
pub(crate) fn force<R: Real>(c: &Contact<R>, z: &[R; 6]) -> ConeState<R> {
    let s = zones(c, z);
    let mu = c.mu_reg;
    let dm = c.d[0] / (mu * mu * mu.mul_add(mu, R::ONE));
    let slack = s.n - mu * s.t;
    let t = R::select(s.t.le(R::ZERO), R::ONE, s.t);
    let mut out = [R::ZERO; 6];
    for k in 0..c.dim {
        let quadratic = -c.d[k] * z[k];
        let cone = if k == 0 { -dm * slack * mu } else { dm * slack * mu / t * s.u[k] * c.mu[k - 1] };
        out[k] = R::select(s.free, R::ZERO, R::select(s.bottom, quadratic, cone));
    }
    let zone = R::select(s.free, R::ZERO, R::select(s.bottom, R::ONE, R::splat(2.0)));
    ConeState { force: out, zone }
}

/// Hessian of the cost with respect to `z`.
pub(crate) fn hessian<R: Real>(c: &Contact<R>, z: &[R; 6]) -> [[R; 6]; 6] {
    let s = zones(c, z);
    let mu = c.mu_reg;
    let dm = c.d[0] / (mu * mu * mu.mul_add(mu, R::ONE));
    let slack = s.n - mu * s.t;
    let t = R::select(s.t.le(R::ZERO), R::ONE, s.t);
    let inv = R::ONE / t;
    let mut h = [[R::ZERO; 6]; 6];
    for i in 0..c.dim {
        for j in 0..=i {
            let cone = if i == 0 {
                dm * mu * mu
            } else if j == 0 {
                -dm * mu * s.u[i] * inv * mu * c.mu[i - 1]
            } else {
                let (ui, uj) = (s.u[i] * inv, s.u[j] * inv);
                let delta = if i == j { R::ONE } else { R::ZERO };
                dm * mu * (mu * ui * uj - slack * inv * (delta - ui * uj)) * c.mu[i - 1] * c.mu[j - 1]
            };
            let quadratic = if i == j { c.d[i] } else { R::ZERO };
            let v = R::select(s.free, R::ZERO, R::select(s.bottom, quadratic, cone));
            h[i][j] = v;
            h[j][i] = v;
        }
    }
    h
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(d: f64) -> Contact<f64> {
        Contact {
            pair: 0,
            dim: 4,
            detected: true,
            active: true,
            dist: 0.0,
            pos: [0.0; 3],
            frame: [[0.0; 3]; 3],
            mu: [0.8, 0.6, 0.05, 0.01, 0.01],
            aref: [0.0; 6],
            d: [d, d * 1.5, d * 1.5 * (0.6f64 / 0.8).powi(2), d * 1.5 * (0.05f64 / 0.8).powi(2), 0.0, 0.0],
            mu_reg: 0.8 * (1.0f64 / 1.5).sqrt(),
            force: [0.0; 6],
            jac: 0,
            row: 0,
            z: [0.0; 6],
            dz: [0.0; 6],
        }
    }

    #[test]
    fn hessian_is_the_derivative_of_the_force_in_every_zone() {
        let c = contact(3.0);
        for (z, zone) in [
            ([2.0, 0.1, 0.1, 0.1, 0.0, 0.0], 0.0),
            ([-2.0, 0.1, -0.2, 0.3, 0.0, 0.0], 1.0),
            ([0.1, 0.7, -0.4, 0.9, 0.0, 0.0], 2.0),
        ] {
            assert_eq!(force(&c, &z).zone, zone);
            let h = hessian(&c, &z);
            for j in 0..4 {
                let e = 1e-6;
                let (mut zp, mut zm) = (z, z);
                zp[j] += e;
                zm[j] -= e;
                let (fp, fm) = (force(&c, &zp).force, force(&c, &zm).force);
                for i in 0..4 {
                    let numeric = -(fp[i] - fm[i]) / (2.0 * e);
                    assert!((numeric - h[i][j]).abs() < 1e-6, "zone {zone} {i} {j}: {numeric} {}", h[i][j]);
                }
            }
        }
    }
}
