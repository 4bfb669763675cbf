//! What a linear model learnt, written into a reward: weights of terms become values of parameters.
//!
//! The model is fitted on the sums of the terms as they are, so a learnt weight `w` multiplies its term. Where a term
//! is proportional to a parameter that no other term reads (found by doubling it), the parameter is multiplied; other
//! terms get a `weight` transform. Preferences do not know scale: weights are scaled so that the deviation of the
//! reward over the segments learnt from stays what it was. Terms that labels say nothing about stay as they are.

use crate::error::PrefsError;
use crate::linear::Linear;
use pavlov_common::stats::moments;
use pavlov_reward::{Reward, Span, score};
use pavlov_run::Rollouts;
use serde::Serialize;

/// What becomes of a term.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Term.
    pub term: String,
    /// What its present value is multiplied by; 1 where nothing is known.
    pub factor: f64,
    /// Standard deviation of the factor; none where nothing is known.
    pub deviation: Option<f64>,
    /// Parameter that takes it.
    pub param: Option<String>,
    /// Its value before and after.
    pub values: Option<[f64; 2]>,
    /// Why the parameter cannot take the value.
    pub refused: Option<String>,
}

/// Which parameter each term is proportional to, tried on recorded steps.
///
/// # Errors
/// When the reward cannot be scored on them.
pub fn own_params(reward: &Reward, rollouts: &Rollouts, spans: &[Span]) -> Result<Vec<Option<String>>, PrefsError> {
    let sums = |reward: &Reward| {
        let scored = score(reward, reward.scene(), rollouts, spans, false);
        let scored = scored.map_err(|e| PrefsError::Failed(e.to_string()))?;
        Ok::<_, PrefsError>(scored.into_iter().map(|s| s.terms).collect::<Vec<_>>())
    };
    let before = sums(reward)?;
    let mut out = vec![None; reward.term_names().len()];
    let params: Vec<(String, f32)> = reward.params().map(|(n, v, _)| (n.to_string(), v)).collect();
    for (name, value) in params {
        let mut other = reward.clone();
        // Half where doubling leaves the range.
        let factor = [2.0, 0.5].into_iter().find(|f| other.set_param(&name, f * f64::from(value)).is_ok());
        let (Some(factor), true) = (factor, value != 0.0) else { continue };
        let after = sums(&other)?;
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-4 * (a.abs() + b.abs()) + 1e-9;
        let scaled = |k: usize, by: f64| before.iter().zip(&after).all(|(b, a)| near(by * b[k], a[k]));
        let used = |k: usize| before.iter().any(|b| b[k] != 0.0);
        let moved: Vec<usize> = (0..out.len()).filter(|&k| !scaled(k, 1.0)).collect();
        if let [only] = moved[..]
            && scaled(only, factor)
            && used(only)
        {
            out[only] = Some(name);
        }
    }
    Ok(out)
}

/// What a model makes of each term. `phi` are sums of the terms of the segments learnt from.
pub fn changes(model: &Linear, reward: &Reward, params: &[Option<String>], phi: &[Vec<f64>]) -> Vec<Change> {
    let weights: Vec<Option<f64>> = (0..model.terms.len()).map(|k| model.weight(k)).collect();
    let deviation_of = |w: &dyn Fn(usize) -> f64| {
        let values = phi.iter().map(|p| p.iter().enumerate().map(|(k, x)| w(k) * x).sum::<f64>());
        moments(values).unwrap_or_default().1.sqrt()
    };
    let known = |k: usize| f64::from(u8::from(weights[k].is_some()));
    let (before, after) = (deviation_of(&known), deviation_of(&|k| weights[k].unwrap_or(0.0)));
    let scale = if after > 0.0 { before / after } else { 1.0 };
    let change = |k: usize| {
        let factor = weights[k].map_or(1.0, |w| scale * w);
        let param = params[k].clone();
        let found = param.as_ref().and_then(|p| reward.params().find(|(n, ..)| n == p));
        let values = found.map(|(_, v, _)| [f64::from(v), f64::from(v) * factor]);
        let refused = param.as_ref().zip(values).and_then(|(p, v)| reward.clone().set_param(p, v[1]).err());
        Change {
            term: model.terms[k].clone(),
            factor,
            deviation: model.deviation(k).map(|d| scale * d),
            values,
            refused: refused.map(|e| e.to_string()),
            param,
        }
    };
    (0..model.terms.len()).map(change).collect()
}

/// The manifest with the changes, comments and order kept.
///
/// # Errors
/// When it is not TOML.
pub fn rewrite(manifest: &str, changes: &[Change]) -> Result<String, PrefsError> {
    let mut doc: toml_edit::DocumentMut =
        manifest.parse().map_err(|e| PrefsError::Usage(format!("reward.toml: {e}")))?;
    for change in changes {
        match (&change.param, change.values) {
            (Some(param), Some([_, after])) => {
                let table = &mut doc["params"][param];
                table["value"] = toml_edit::value(round(after));
                for (limit, beyond) in [("min", -1.0), ("max", 1.0)] {
                    let old = table.get(limit).and_then(|v| v.as_float().or(v.as_integer().map(|i| i as f64)));
                    // A range is a hint for sliders; it gives way to what was learnt.
                    if old.is_some_and(|o| beyond * (after - o) > 0.0) {
                        table[limit] = toml_edit::value(round(after));
                    }
                }
            }
            _ if change.factor != 1.0 => {
                let mut by = toml_edit::InlineTable::new();
                by.insert("weight", round(change.factor).into());
                let terms = doc["terms"].or_insert(toml_edit::table());
                let entry = terms[&change.term].or_insert(toml_edit::table());
                let list = entry["transform"].or_insert(toml_edit::value(toml_edit::Array::new()));
                if let Some(list) = list.as_array_mut() {
                    list.push(by);
                }
            }
            _ => {}
        }
    }
    Ok(doc.to_string())
}

/// Six digits.
fn round(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_keeps_what_is_not_changed() {
        let text = "about = \"x\" # mine\n\n[params.forward]\nvalue = 1.0\nmin = 0.0\nmax = 5.0 # hint\n";
        let change = |term: &str, factor: f64, param: Option<&str>| Change {
            term: term.into(),
            factor,
            deviation: None,
            param: param.map(Into::into),
            values: param.map(|_| [1.0, factor]),
            refused: None,
        };
        let all = [change("forward", 7.5, Some("forward")), change("smooth", -0.25, None), change("alive", 1.0, None)];
        let out = rewrite(text, &all).unwrap();
        assert!(out.contains("# mine") && out.contains("value = 7.5") && out.contains("max = 7.5"), "{out}");
        assert!(out.contains("weight = -0.25") && !out.contains("alive"), "{out}");
        assert!(rewrite("a = ", &[]).is_err());
    }
}
