//! The little mathematics that models share.

/// `1 / (1 + exp(-x))`.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// `ln sigmoid(x)` without loss for large negative x.
pub fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

/// Cross entropy of a prediction `sigmoid(x)` against a target in [0, 1].
pub fn cross_entropy(x: f64, target: f64) -> f64 {
    -(target * log_sigmoid(x) + (1.0 - target) * log_sigmoid(-x))
}

/// Entropy of a coin with probability `p`, in nats.
pub fn entropy(p: f64) -> f64 {
    let part = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    part(p) + part(1.0 - p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_tails_are_finite_and_right() {
        assert!((log_sigmoid(-800.0) + 800.0).abs() < 1e-9 && log_sigmoid(800.0).abs() < 1e-300);
        for x in [-3.0, -0.1, 0.0, 2.0] {
            assert!((log_sigmoid(x) - sigmoid(x).ln()).abs() < 1e-14);
        }
        assert_eq!(sigmoid(-1e4), 0.0);
        assert!((entropy(0.5) - 2.0f64.ln()).abs() < 1e-15 && entropy(0.0) == 0.0);
        assert!((cross_entropy(0.0, 0.5) - 2.0f64.ln()).abs() < 1e-15);
    }
}
