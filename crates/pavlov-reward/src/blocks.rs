//! The one table of names: sources, transforms and combiners with their options, formulas and where these come from.
//! The reader of `reward.toml`, its error messages and the documentation page (`pavlov rewards doc`) all go by it.
//!
//! A new block is one row here and one arm in `transform.rs`, `combine.rs` or `graph.rs`.

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Takes {
    /// A number in this range (limits included), or the name of a parameter.
    Number(f64, f64),
    /// True or false.
    Flag,
    /// The name of a term, source or group.
    Name,
    /// A list of such names.
    Names,
    /// A number, or a list of as many as there are names.
    Numbers,
    /// Text.
    Text,
    /// A file or folder in the reward's own folder, else from where the program was started. A run keeps a copy.
    File,
    /// A table, read by the block itself.
    Table,
}

/// What stands in for an option that is left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Otherwise {
    /// It must be given.
    Required,
    /// Nothing.
    None,
    /// This number (0 and 1 for flags).
    Number(f64),
    /// The learner's discount, which the trainer sets.
    Discount,
}

/// An option of a block.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// Key.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What stands in for it.
    pub default: Otherwise,
    /// What it does.
    pub doc: &'static str,
}

/// A source, transform or combiner.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Name as written in `reward.toml`.
    pub name: &'static str,
    /// Other names of the same.
    pub aliases: &'static [&'static str],
    /// The formula of the result, in `x` (transforms) or `x_i` (combiners).
    pub formula: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Where the formula is from.
    pub source: &'static str,
    /// Options.
    pub options: &'static [Opt],
    /// The option that the short form `{ name = value }` sets, if there is one.
    pub short: Option<&'static str>,
}

const fn opt(name: &'static str, takes: Takes, default: Otherwise, doc: &'static str) -> Opt {
    Opt { name, takes, default, doc }
}

const ANY: Takes = Takes::Number(f64::NEG_INFINITY, f64::INFINITY);
const POSITIVE: Takes = Takes::Number(1e-12, f64::INFINITY);
const SHARE: Takes = Takes::Number(0.0, 1.0);
const OF: Opt =
    opt("of", Takes::Names, Otherwise::None, "what is combined; everything that nothing else uses when omitted");
const WEIGHTS: Opt =
    opt("weights", Takes::Numbers, Otherwise::Number(1.0), "weight of each; they are divided by their sum");
const FLOOR: Opt = opt("floor", POSITIVE, Otherwise::Number(1e-6), "members below this count as this");
const LAMBDA: Opt = opt("lambda", Takes::Number(0.0, f64::INFINITY), Otherwise::Required, "weight of the variance");
const GAMMA: Opt = opt("gamma", SHARE, Otherwise::Discount, "discount; the learner's when omitted");
const REFERENCE: Opt = opt("reference", ANY, Otherwise::None, "value that counts as good enough");
const QUANTILE: Opt =
    opt("quantile", SHARE, Otherwise::None, "in place of `reference`: this quantile of what a base policy gets");
const SLOPE: Opt = opt("slope", POSITIVE, Otherwise::Number(1.0), "factor on the distance from the reference");

/// What provides terms besides the script.
pub const SOURCES: &[Block] = &[
    Block {
        name: "success",
        aliases: &[],
        formula: "1[success]",
        about: "1 in every step in which the task's success holds",
        source: "Tulu 3: reward only what a verifier passes",
        options: &[],
        short: None,
    },
    Block {
        name: "subgoals",
        aliases: &[],
        formula: "sum_k b_k 1[first time x_k > at]",
        about: "bonuses paid once an episode, for terms of the script that say which sub-goals are reached",
        source: "CALM",
        options: &[
            opt("of", Takes::Names, Otherwise::Required, "terms of the script, in the order of the sub-goals"),
            opt("bonus", Takes::Numbers, Otherwise::Number(1.0), "bonus of each"),
            opt("at", ANY, Otherwise::Number(0.5), "a term above this says that its sub-goal is reached"),
            opt("in_order", Takes::Flag, Otherwise::Number(1.0), "a sub-goal counts only after those before it"),
        ],
        short: None,
    },
    Block {
        name: "baseline",
        aliases: &["paired_baseline"],
        formula: "-r_ref",
        about: "minus what a fixed policy gets at the same time from the same reset, so that the sum is the gap to it",
        source: "PIT",
        options: &[opt("run", Takes::Text, Otherwise::Required, "folder of the run whose policy is the baseline")],
        short: None,
    },
    Block {
        name: "vision",
        aliases: &["vlm"],
        formula: "1 - |(s - g) P|^2 / 2, P = alpha d d^T / |d|^2 + (1 - alpha) I, d = g - b",
        about: "what a picture of the robot says about a prompt, by a vision-language model (s: picture, g: goal, \
                b: baseline, unit vectors)",
        source: "VLM-RM; classifier: RoboFuME; staged: Unsupervised Perceptual Rewards; distilled: ONI",
        options: &[
            opt("goal", Takes::Text, Otherwise::None, "what the picture should show"),
            opt("goals", Takes::Names, Otherwise::None, "several of them"),
            opt("join", Takes::Text, Otherwise::None, "how several become one: mean (default), min, max"),
            opt(
                "baseline",
                Takes::Text,
                Otherwise::None,
                "what the robot is anyway; `alpha` takes out what goal and baseline share",
            ),
            opt("alpha", SHARE, Otherwise::Number(0.5), "strength of the baseline; 0 is the cosine"),
            opt(
                "against",
                Takes::Names,
                Otherwise::None,
                "texts that the goal is held against, with the baseline (classifier)",
            ),
            opt(
                "model",
                Takes::Text,
                Otherwise::None,
                "folder of the model, or a name in assets/vision; `embedded` when omitted",
            ),
            opt(
                "mode",
                Takes::Text,
                Otherwise::None,
                "score (default), classifier (1 above `threshold`, else 0) or staged (along `demo`)",
            ),
            opt("threshold", SHARE, Otherwise::Number(0.5), "probability that counts as success (classifier)"),
            opt(
                "demo",
                Takes::File,
                Otherwise::None,
                "demonstration: a clip (.jsonl) or a folder of pictures (staged)",
            ),
            opt("stages", Takes::Number(2.0, 16.0), Otherwise::Number(3.0), "stages it is cut into"),
            opt("camera", Takes::Text, Otherwise::None, "camera, or AZIMUTH,ELEVATION[,ZOOM]; `track` when omitted"),
            opt("ground", Takes::Text, Otherwise::None, "texture of the ground; `checker` when omitted"),
            opt("light", Takes::Text, Otherwise::None, "`day` when omitted"),
            opt(
                "adapter",
                Takes::Number(0.0, 64.0),
                Otherwise::Number(0.0),
                "graphics adapter, as `pavlov devices` numbers them",
            ),
            opt("every", Takes::Number(1.0, 1e6), Otherwise::Number(1.0), "control steps from one picture to the next"),
            opt("between", Takes::Text, Otherwise::None, "in the steps between: hold (default) or interpolate"),
            opt(
                "motion",
                SHARE,
                Otherwise::Number(0.0),
                "mean difference of two pictures that counts as motion: below it the value shrinks to 0 with it, \
                 so that a still is worth nothing; 0: off",
            ),
            opt(
                "distilled",
                Takes::Flag,
                Otherwise::Number(0.0),
                "a thread labels a sample of frames; a small model of the state pays every step, \
                 and nothing waits for pictures",
            ),
            opt(
                "labels_per_s",
                Takes::Number(0.0, 1e6),
                Otherwise::Number(50.0),
                "pictures a second for labels (distilled); 0: as many as it can",
            ),
            opt(
                "hidden",
                Takes::Number(4.0, 1024.0),
                Otherwise::Number(64.0),
                "width of the small model's two layers (distilled)",
            ),
        ],
        short: None,
    },
    Block {
        name: "preference",
        aliases: &["learned"],
        formula: "(f(x) - mean) / deviation",
        about: "what a model learnt from comparisons thinks of the step (`pavlov prefs train`)",
        source: "Christiano et al. 2017; GPM",
        options: &[
            opt("model", Takes::File, Otherwise::Required, "file of the model, in the reward's folder"),
            opt(
                "member",
                Takes::Number(0.0, 1000.0),
                Otherwise::None,
                "one net of an ensemble; their mean when omitted",
            ),
        ],
        short: None,
    },
    Block {
        name: "spo",
        aliases: &["win_rate"],
        formula: "sum_j P(x > x_j) / N, x: the last steps, x_j: pieces of N own episodes before",
        about: "the share of its own recent behaviour that the robot beats, \
                without a reward between: holds with cycles too",
        source: "Swamy et al. 2024, SPO",
        options: &[
            opt("judge", Takes::File, Otherwise::None, "a reward (script or folder) that `rater` judges by"),
            opt(
                "rater",
                Takes::Text,
                Otherwise::None,
                "oracle (default): the larger sum wins, or by `beta`; cyclic: terms go round",
            ),
            opt("beta", POSITIVE, Otherwise::None, "P = sigmoid(beta (a - b) / deviation); without it 0 or 1"),
            opt(
                "model",
                Takes::File,
                Otherwise::None,
                "in place of a judge: a model learnt from comparisons, such as a GPM",
            ),
            opt("segment", Takes::Number(1.0, 10_000.0), Otherwise::Number(50.0), "steps that are compared"),
            opt(
                "queue",
                Takes::Number(1.0, 100_000.0),
                Otherwise::Number(256.0),
                "pieces to beat, of each block of worlds",
            ),
        ],
        short: None,
    },
    Block {
        name: "native",
        aliases: &[],
        formula: "any",
        about: "a column computed by a Rust plugin (trait `RewardSource`) that the program has registered",
        source: "",
        options: &[
            opt("plugin", Takes::Text, Otherwise::Required, "name it is registered under"),
            opt("options", Takes::Table, Otherwise::None, "passed to the plugin"),
        ],
        short: None,
    },
];

/// What is done to one term, one after another.
pub const TRANSFORMS: &[Block] = &[
    Block {
        name: "weight",
        aliases: &["scale"],
        formula: "by x",
        about: "a factor",
        source: "",
        options: &[opt("by", ANY, Otherwise::Required, "factor")],
        short: Some("by"),
    },
    Block {
        name: "clip",
        aliases: &[],
        formula: "min(max(x, min), max); with eta: min(x - eta, 0)",
        about: "bounds; with eta a step can never add positive return, so repeating it does not pay",
        source: "eta: On Designing Effective RL Reward at Training Time",
        options: &[
            opt("min", ANY, Otherwise::None, "lower bound"),
            opt("max", ANY, Otherwise::None, "upper bound"),
            opt("eta", ANY, Otherwise::None, "what counts as full marks"),
        ],
        short: None,
    },
    Block {
        name: "delta",
        aliases: &[],
        formula: "x_t - gamma x_(t+1), the last of an episode kept",
        about: "the return from t on is x_t: bounded however long the episode is. Must be last, and only be summed",
        source: "On Designing Effective RL Reward at Training Time; gamma makes the discounted return telescope",
        options: &[GAMMA],
        short: Some("gamma"),
    },
    Block {
        name: "potential",
        aliases: &["shaping"],
        formula: "gamma x(s') - x(s), x(terminal) = 0",
        about: "potential-based shaping: leads the way without changing which policy is best",
        source: "Ng, Harada, Russell 1999",
        options: &[GAMMA],
        short: Some("gamma"),
    },
    Block {
        name: "log_sigmoid",
        aliases: &[],
        formula: "log sigmoid(slope (x - reference))",
        about: "what is far above the reference stops pulling; sums of these mean that all are good",
        source: "Transforming and Combining Rewards for Aligning LLMs",
        options: &[REFERENCE, QUANTILE, SLOPE],
        short: Some("reference"),
    },
    Block {
        name: "normalize",
        aliases: &["normalise"],
        formula: "clip((x - mean) / std)",
        about: "by mean and deviation of all updates so far; they change between updates only",
        source: "Welford",
        options: &[
            opt("center", Takes::Flag, Otherwise::Number(1.0), "subtract the mean"),
            opt("clip", POSITIVE, Otherwise::Number(10.0), "largest absolute value"),
        ],
        short: None,
    },
    Block {
        name: "exp_kernel",
        aliases: &["exp"],
        formula: "exp(-(x / sigma)^2)",
        about: "1 at no error, 1/e at sigma",
        source: "legged_gym's tracking terms",
        options: &[opt("sigma", POSITIVE, Otherwise::Required, "error that is worth 1/e")],
        short: Some("sigma"),
    },
    Block {
        name: "rate",
        aliases: &[],
        formula: "(x_t - x_(t-1)) / dt, 0 in the first step",
        about: "change per second",
        source: "",
        options: &[],
        short: None,
    },
    Block {
        name: "ema",
        aliases: &[],
        formula: "y + (1 - exp(-dt / time)) (x - y)",
        about: "exponential moving average within the episode",
        source: "",
        options: &[opt("time", POSITIVE, Otherwise::Required, "time constant, s")],
        short: Some("time"),
    },
    Block {
        name: "gate",
        aliases: &[],
        formula: "x where `by` is above (below) the limit, else 0; with width: x sigmoid((by - above) / width)",
        about: "counts only while another term says so",
        source: "",
        options: &[
            opt("by", Takes::Name, Otherwise::Required, "term that opens the gate, before its own transforms"),
            opt("above", ANY, Otherwise::None, "open above this"),
            opt("below", ANY, Otherwise::None, "open below this"),
            opt("width", Takes::Number(0.0, f64::INFINITY), Otherwise::Number(0.0), "softness of the limit"),
        ],
        short: None,
    },
    Block {
        name: "once",
        aliases: &[],
        formula: "bonus 1[first time x > at]",
        about: "pays once an episode",
        source: "CALM",
        options: &[
            opt("bonus", ANY, Otherwise::Number(1.0), "what is paid"),
            opt("at", ANY, Otherwise::Number(0.5), "paid when the term is above this"),
        ],
        short: Some("bonus"),
    },
];

/// How several terms become one number.
pub const COMBINERS: &[Block] = &[
    Block {
        name: "sum",
        aliases: &[],
        formula: "sum x_i",
        about: "the default",
        source: "",
        options: &[OF],
        short: None,
    },
    Block {
        name: "mean",
        aliases: &[],
        formula: "mean x_i",
        about: "of an ensemble",
        source: "",
        options: &[OF],
        short: None,
    },
    Block {
        name: "min",
        aliases: &["wco", "worst_case"],
        formula: "min_i x_i",
        about: "worst case (WCO): no member can make up for another",
        source: "Reward Model Ensembles Help Mitigate Overoptimization",
        options: &[OF],
        short: None,
    },
    Block {
        name: "uwo",
        aliases: &["mean_variance"],
        formula: "mean x_i - lambda var x_i",
        about: "uncertainty-weighted (UWO): disagreement costs",
        source: "Reward Model Ensembles Help Mitigate Overoptimization",
        options: &[OF, LAMBDA],
        short: None,
    },
    Block {
        name: "brme",
        aliases: &["robust"],
        formula: "lambda nominal + (1 - lambda) min_i x_i",
        about: "one knob between a nominal member and the worst case; \
                nominal = the member of least deviation so far when omitted",
        source: "Reward-Robust RLHF (BRME)",
        options: &[
            OF,
            opt("lambda", SHARE, Otherwise::Required, "weight of the nominal member"),
            opt("nominal", Takes::Name, Otherwise::None, "nominal member"),
        ],
        short: None,
    },
    Block {
        name: "harmonic",
        aliases: &[],
        formula: "sum w_i / sum(w_i / max(x_i, floor))",
        about: "near the smallest of positive members",
        source: "Subject-driven T2I via Preference-based RL (RPO)",
        options: &[OF, WEIGHTS, FLOOR],
        short: None,
    },
    Block {
        name: "geometric",
        aliases: &[],
        formula: "exp(sum w_i ln max(x_i, floor) / sum w_i)",
        about: "a soft AND of positive members",
        source: "",
        options: &[OF, WEIGHTS, FLOOR],
        short: None,
    },
    Block {
        name: "log_sigmoid_and",
        aliases: &["and"],
        formula: "sum_i log sigmoid(slope (x_i - reference_i))",
        about: "log of the product of sigmoids: all must be good",
        source: "Transforming and Combining Rewards for Aligning LLMs",
        options: &[
            OF,
            opt("references", Takes::Numbers, Otherwise::None, "value of each that counts as good enough"),
            QUANTILE,
            SLOPE,
        ],
        short: None,
    },
    Block {
        name: "lagrangian",
        aliases: &["constrained"],
        formula: "(sum objectives + sum_i s_i m_i x_i) / (1 + sum |m_i|), s = +1 (at_least, equal), -1 (at_most)",
        about: "thresholds instead of weights: multipliers m_i grow while the mean of x_i per step is on the wrong \
                side",
        source: "Confronting Reward Model Overoptimization with Constrained RLHF",
        options: &[
            OF,
            opt("constraints", Takes::Table, Otherwise::Required, "name = { at_least | at_most | equal = threshold }"),
            opt("rate", POSITIVE, Otherwise::Number(0.1), "step of the multipliers, in deviations of the term"),
            opt("limit", POSITIVE, Otherwise::Number(10.0), "largest multiplier: limit * sigmoid (tanh for `equal`)"),
            opt(
                "patience",
                Takes::Number(1.0, 1e9),
                Otherwise::Number(50.0),
                "updates at the limit before it is reported",
            ),
            opt(
                "single_critic",
                Takes::Flag,
                Otherwise::Number(0.0),
                "one critic for the total, in place of one for the objectives and one for each constraint (a group \
                 has none of its own)",
            ),
        ],
        short: None,
    },
];

/// The row with that name or alias.
pub fn find(table: &'static [Block], name: &str) -> Option<&'static Block> {
    table.iter().find(|b| b.name == name || b.aliases.contains(&name))
}

/// Options of a kind of source that name files.
pub fn file_options(kind: &str) -> impl Iterator<Item = &'static str> {
    let options = find(SOURCES, kind).map_or(&[][..], |b| b.options);
    options.iter().filter(|o| o.takes == Takes::File).map(|o| o.name)
}

/// The vision model that comes with the program.
pub const EMBEDDED: &str = "embedded";

/// The vision model that a source uses, a name in `assets/vision` or a folder; none where the source has no eyes.
pub fn vision_model(options: &toml::Table) -> Option<&str> {
    let text = |key: &str| options.get(key).and_then(toml::Value::as_str);
    let sees = find(SOURCES, text("kind")?).is_some_and(|b| b.name == "vision");
    sees.then(|| text("model").unwrap_or(EMBEDDED))
}

/// The three tables as Markdown.
pub fn documentation() -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for (title, table) in [("Sources", SOURCES), ("Transforms", TRANSFORMS), ("Combiners", COMBINERS)] {
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "## {title}\n\n| name | gives | options | what it is for | formula from |\n\
             | --- | --- | --- | --- | --- |\n"
        );
        for b in table {
            let option = |o: &Opt| match o.default {
                Otherwise::Number(x) => format!("`{}` ({x}): {}", o.name, o.doc),
                Otherwise::Required => format!("`{}`: {}", o.name, o.doc),
                Otherwise::None | Otherwise::Discount => format!("`{}` (optional): {}", o.name, o.doc),
            };
            let options: Vec<String> = b.options.iter().map(option).collect();
            let names: Vec<String> = [b.name].iter().chain(b.aliases).map(|n| format!("`{n}`")).collect();
            let cell = |s: &str| s.replace('|', "\\|");
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                names.join(", "),
                cell(b.formula),
                cell(&options.join("; ")),
                cell(b.about),
                b.source
            );
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_short_ways_lead_to_options() {
        for table in [SOURCES, TRANSFORMS, COMBINERS] {
            let mut names: Vec<&str> = table.iter().flat_map(|b| b.aliases.iter().copied().chain([b.name])).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count);
            for b in table {
                assert!(!b.formula.is_empty() && !b.about.is_empty(), "{}", b.name);
                assert!(b.short.is_none_or(|s| b.options.iter().any(|o| o.name == s)), "{}", b.name);
            }
        }
        let page = documentation();
        for part in [
            "## Sources\n\n| name | gives |",
            "## Combiners",
            "| `min`, `wco`, `worst_case` | min_i x_i |",
            "`lambda`: ",
            "`gamma` (optional): ",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        assert!(page.lines().filter(|l| l.starts_with('|')).all(|l| cells(l) == 6), "{page}");
    }

    #[test]
    fn sources_name_their_files_and_their_vision_model() {
        let files = |kind: &str| file_options(kind).collect::<Vec<_>>();
        assert_eq!((files("learned"), files("success"), files("none")), (vec!["model"], vec![], vec![]));
        assert_eq!(files("spo")[0], "judge");
        let model = |text: &str| vision_model(&text.parse().unwrap()).map(String::from);
        assert_eq!(model("kind = \"vision\"").as_deref(), Some(EMBEDDED));
        assert_eq!(model("kind = \"vision\"\nmodel = \"clip\"").as_deref(), Some("clip"));
        assert_eq!((model("kind = \"success\"\nmodel = \"clip\""), model("model = \"clip\"")), (None, None));
    }
}
