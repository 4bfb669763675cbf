//! What labels say of weights, written into a reward: weights of terms become values of parameters.
//!
//! What is learnt is a factor on each term as it is. Where a term is proportional to a parameter that no other term
//! reads (found by doubling it), the parameter is multiplied; other terms get a `weight` transform. What labels do not
//! determine is not touched.

use crate::error::PrefsError;
use crate::posterior::Verdict;
use pavlov_reward::{Reward, Span, score};
use pavlov_run::Rollouts;
use serde::Serialize;

/// What becomes of a term.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Term.
    pub term: String,
    /// What labels say of its weight.
    #[serde(flatten)]
    pub verdict: Verdict,
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

/// What verdicts make of each term.
pub fn changes(verdicts: &[Verdict], reward: &Reward, params: &[Option<String>]) -> Vec<Change> {
    let change = |(k, &verdict): (usize, &Verdict)| {
        let param = params[k].clone();
        let found = param.as_ref().and_then(|p| reward.params().find(|(n, ..)| n == p));
        let values = found.map(|(_, v, _)| [f64::from(v), f64::from(v) * verdict.factor]);
        let taken = param.as_ref().zip(values).filter(|_| verdict.changes());
        let refused = taken.and_then(|(p, v)| reward.clone().set_param(p, v[1]).err());
        Change { term: reward.term_names()[k].clone(), verdict, param, values, refused: refused.map(|e| e.to_string()) }
    };
    verdicts.iter().enumerate().map(change).collect()
}

/// The manifest with the changes, comments and order kept.
///
/// # Errors
/// When it is not TOML.
pub fn rewrite(manifest: &str, changes: &[Change]) -> Result<String, PrefsError> {
    let mut doc: toml_edit::DocumentMut =
        manifest.parse().map_err(|e| PrefsError::Usage(format!("reward.toml: {e}")))?;
    for change in changes.iter().filter(|c| c.verdict.changes()) {
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
            _ => {
                let mut by = toml_edit::InlineTable::new();
                by.insert("weight", round(change.verdict.factor).into());
                let terms = doc["terms"].or_insert(toml_edit::table());
                let entry = terms[&change.term].or_insert(toml_edit::table());
                let list = entry["transform"].or_insert(toml_edit::value(toml_edit::Array::new()));
                if let Some(list) = list.as_array_mut() {
                    list.push(by);
                }
            }
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
            verdict: Verdict { factor, interval: None, determined: factor != 1.0 },
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
