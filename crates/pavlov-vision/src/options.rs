//! Options of the source `vision`, as `reward.toml` has them (see `blocks.rs` of pavlov-reward for what each does).

use toml::{Table, Value};

/// How several goals become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Their mean.
    Mean,
    /// The smallest: all must fit.
    Min,
    /// The largest: any may fit.
    Max,
}

/// What comes of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The goal-baseline score.
    Score,
    /// 1 where the probability of the goal is above the threshold, else 0 (RoboFuME).
    Classifier,
    /// How far along the stages of a demonstration it is (Unsupervised Perceptual Rewards).
    Staged,
}

/// All options.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub goals: Vec<String>,
    pub join: Join,
    pub baseline: Option<String>,
    pub against: Vec<String>,
    pub alpha: f64,
    pub model: String,
    pub mode: Mode,
    pub threshold: f64,
    pub demo: Option<String>,
    pub stages: usize,
    pub camera: String,
    pub ground: String,
    pub light: String,
    pub adapter: usize,
    /// Control steps from one look to the next.
    pub every: u32,
    pub interpolate: bool,
    /// Difference of two looks that counts as motion; 0: stills are fine.
    pub motion: f64,
    pub distilled: bool,
    /// Pictures a second that the labeller may take; 0: as many as it can.
    pub labels_per_s: f64,
    pub hidden: usize,
}

fn texts(table: &Table, key: &str) -> Result<Vec<String>, String> {
    match table.get(key) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(list)) => list
            .iter()
            .map(|v| v.as_str().map(str::to_string).ok_or_else(|| format!("`{key}` has {v}: expected texts in quotes")))
            .collect(),
        Some(other) => Err(format!("`{key}` is {other}: expected a text or a list of texts")),
    }
}

fn number(table: &Table, key: &str, otherwise: f64) -> Result<f64, String> {
    match table.get(key) {
        None => Ok(otherwise),
        Some(Value::Float(x)) => Ok(*x),
        Some(Value::Integer(i)) => Ok(*i as f64),
        Some(other) => Err(format!("`{key}` is {other}: expected a number (a source takes no name of a parameter)")),
    }
}

fn word<'a>(table: &'a Table, key: &str, otherwise: &'a str) -> Result<&'a str, String> {
    match table.get(key) {
        None => Ok(otherwise),
        Some(v) => v.as_str().ok_or_else(|| format!("`{key}` is {v}: expected a text in quotes")),
    }
}

fn choice<T: Copy>(key: &str, found: &str, among: &[(&str, T)]) -> Result<T, String> {
    among.iter().find(|(name, _)| *name == found).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = among.iter().map(|(name, _)| *name).collect();
        format!("`{key}` is \"{found}\": expected one of {}", names.join(", "))
    })
}

impl Options {
    /// Reads the table of a source.
    ///
    /// # Errors
    /// In words: option, value, what was expected.
    pub fn read(table: &Table) -> Result<Self, String> {
        let mut goals = texts(table, "goal")?;
        goals.extend(texts(table, "goals")?);
        let mode = choice(
            "mode",
            word(table, "mode", "score")?,
            &[("score", Mode::Score), ("classifier", Mode::Classifier), ("staged", Mode::Staged)],
        )?;
        let demo = table.get("demo").and_then(Value::as_str).map(str::to_string);
        match (mode, goals.is_empty(), &demo) {
            (Mode::Staged, _, None) => {
                return Err("mode \"staged\" needs `demo`: a clip (.jsonl) or a folder of pictures".into());
            }
            (Mode::Staged, ..) => {}
            (_, true, _) => return Err("`goal` is missing: what the picture should show, in words".into()),
            _ => {}
        }
        let distilled = match table.get("distilled") {
            None => false,
            Some(v) => v.as_bool().ok_or_else(|| format!("`distilled` is {v}: expected true or false"))?,
        };
        let every = number(table, "every", 1.0)?;
        Ok(Self {
            goals,
            join: choice(
                "join",
                word(table, "join", "mean")?,
                &[("mean", Join::Mean), ("min", Join::Min), ("max", Join::Max)],
            )?,
            baseline: table.get("baseline").and_then(Value::as_str).map(str::to_string),
            against: texts(table, "against")?,
            alpha: number(table, "alpha", 0.5)?,
            model: word(table, "model", pavlov_reward::EMBEDDED)?.to_string(),
            mode,
            threshold: number(table, "threshold", 0.5)?,
            demo,
            stages: number(table, "stages", 3.0)? as usize,
            camera: word(table, "camera", "track")?.to_string(),
            ground: word(table, "ground", "checker")?.to_string(),
            light: word(table, "light", "day")?.to_string(),
            adapter: number(table, "adapter", 0.0)? as usize,
            every: every as u32,
            interpolate: choice("between", word(table, "between", "hold")?, &[("hold", false), ("interpolate", true)])?,
            motion: number(table, "motion", 0.0)?,
            distilled,
            labels_per_s: number(table, "labels_per_s", 50.0)?,
            hidden: number(table, "hidden", 64.0)? as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, String> {
        Options::read(&text.parse::<Table>().unwrap())
    }

    #[test]
    fn options_are_read_and_slips_told() {
        let o =
            read("goals = [\"a\", \"b\"]\njoin = \"min\"\nalpha = 1\nevery = 4\nbetween = \"interpolate\"").unwrap();
        assert!(o.goals == ["a", "b"] && o.join == Join::Min && o.alpha == 1.0 && o.every == 4 && o.interpolate);
        for (text, said) in [
            ("alpha = 1", "`goal` is missing"),
            ("goal = 3", "expected a text"),
            ("goal = \"a\"\nmode = \"clasifier\"", "expected one of score, classifier, staged"),
            ("mode = \"staged\"", "needs `demo`"),
            ("goal = \"a\"\nbetween = \"x\"", "hold, interpolate"),
        ] {
            assert!(read(text).unwrap_err().contains(said), "{text}: {:?}", read(text));
        }
    }
}
