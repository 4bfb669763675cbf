//! The rules of `pavlov check`, in one table: what the findings are called, `--explain` and the documentation page.

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Name in findings.
    pub name: &'static str,
    /// What is checked.
    pub about: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
}

/// Every rule, in the order in which they are checked.
pub const RULES: &[Rule] = &[
    Rule {
        name: "manifest",
        about: "reward.toml can be read and its values make sense.",
        why: "A parameter outside of its own range, or a key that nothing reads, is a slip.",
        fix: "Correct the line that is named.",
    },
    Rule {
        name: "syntax",
        about: "The script is rhai; words of other languages are named with what rhai has.",
        why: "Nothing else can be checked before.",
        fix: "Correct the place that is named.",
    },
    Rule {
        name: "unknown-name",
        about: "Bodies, joints, sensors, commands, parameters and functions exist in this task.",
        why: "A reward written for another robot fails or, worse, reads something else.",
        fix: "Take the name that is proposed; `pavlov rewards doc` and `pavlov inspect ROBOT` list all.",
    },
    Rule {
        name: "import",
        about: "Modules that are imported are there, and are functions only.",
        why: "Scripts read no other files.",
        fix: "Write `import \"lib/gait\" as gait;` at the top; `pavlov rewards doc` lists the modules.",
    },
    Rule {
        name: "type",
        about: "Numbers, vectors, arrays and truth values stand where they are wanted.",
        why: "A term must be a number.",
        fix: "Take a component or a norm, or write `if c { 1.0 } else { 0.0 }`.",
    },
    Rule {
        name: "shape",
        about: "Lengths of arrays and vectors fit each other; terms are the same in every branch.",
        why: "Columns are laid out before the run.",
        fix: "Return the same terms everywhere; index within the array.",
    },
    Rule {
        name: "value",
        about: "Constants are within what a function takes.",
        why: "A width of 0 or a negative tolerance has no meaning.",
        fix: "Give a value in the range that is named.",
    },
    Rule {
        name: "run",
        about: "The script does not fail while it runs.",
        why: "A failure ends the training run.",
        fix: "Guard the operation that is named.",
    },
    Rule {
        name: "limit",
        about: "Text, loops, arrays and nesting stay within the limits of untrusted scripts.",
        why: "A script must not hang or fill the memory.",
        fix: "Shorten the loop or the array.",
    },
    Rule {
        name: "minus-power",
        about: "No minus stands before a power: `-x ** 2`.",
        why: "rhai takes the minus first, so that `-x ** 2` is x * x; everywhere else it is -(x * x). A penalty would \
              be paid.",
        fix: "Write `-(x ** 2)`.",
    },
    Rule {
        name: "whole-division",
        about: "No division of whole numbers loses its fraction; a warning.",
        why: "`1 / 2` is 0, and a term weighted by it is nothing. `//` begins a comment and divides nothing.",
        fix: "Write floats: `1.0 / 2.0`.",
    },
    Rule {
        name: "float-equal",
        about: "Measured numbers are not compared by `==` or `!=`; a warning.",
        why: "Two of them are hardly ever equal to the last digit, so the term never changes.",
        fix: "Write `abs(a - b) < 0.001`, or a threshold.",
    },
    Rule {
        name: "shadow",
        about: "No variable, loop or closure hides the state `s` or the parameters `p`; a warning.",
        why: "What follows reads something else than it seems to.",
        fix: "Give it another name.",
    },
    Rule {
        name: "unused",
        about: "Every variable is read, and every value that is computed goes somewhere; a warning.",
        why: "A term that is not in the map is not paid.",
        fix: "Put it into the map that is returned, or leave it out.",
    },
    Rule {
        name: "interpreted",
        about: "The script could be lowered to vector code.",
        why: "The interpreter is some hundred times slower.",
        fix: "Use loops whose length is known beforehand, `if` and `map`.",
    },
    Rule {
        name: "unused-term",
        about: "Every term is used by the combiner or a group.",
        why: "A term that nothing uses is logged and pays nothing.",
        fix: "Name it in `of` of [combine] or of a group, or leave it out.",
    },
    Rule {
        name: "outside",
        about: "Every source of the reward can be evaluated on recorded states.",
        why: "Native sources and baselines need a running environment, so the rules below say nothing about them.",
        fix: "Look at their terms in a short run.",
    },
    Rule {
        name: "operations",
        about: "A step of the reward takes at most 20,000 operations, or 10,000 as the interpreter counts them.",
        why: "It is run in every step of every world; physics takes some ten microseconds.",
        fix: "Leave out loops over what does not change.",
    },
    Rule {
        name: "unit",
        about: "Parameters are in the units scripts work in (m, s, rad, N), and thresholds lie where the robot can be.",
        why: "Degrees compared with radians give a term that never changes.",
        fix: "Convert: rad = deg * PI() / 180.",
    },
    Rule {
        name: "finite",
        about: "Every term is a finite number in recorded, random and extreme states.",
        why: "A term that is not finite counts as 0 in training, and the whole step with it.",
        fix: "Keep logarithms, roots, quotients and powers away from their poles: `max(x, 1e-6)`, `clamp`.",
    },
    Rule {
        name: "constant",
        about: "The reward differs between states.",
        why: "A constant teaches nothing but to stay alive.",
        fix: "Let it depend on what the task wants.",
    },
    Rule {
        name: "living",
        about: "Where falling ends the episode, a step of the good behaviour does not cost.",
        why: "If living costs, ending early is the best there is.",
        fix: "Add a bonus for being alive that is larger than the penalties of a good gait, or make the penalties \
              smaller.",
    },
    Rule {
        name: "share",
        about: "No term is more than 99.5% of a reward of several terms; above 95% is a warning.",
        why: "The others do not count then.",
        fix: "Scale the term down, or the others up.",
    },
    Rule {
        name: "order",
        about: "The good behaviour of the task's audit set earns more than each bad one.",
        why: "Training finds what earns most. Good and bad go by the task's fitness, not by the reward.",
        fix: "Look at the terms that are named: they pay for the wrong thing, or cost the good behaviour too much.",
    },
    Rule {
        name: "idle-pay",
        about: "As order, for behaviours that do nothing; a warning where idling earns 95% of what the good one does.",
        why: "Doing nothing is found first, and left late or never.",
        fix: "Pay for progress instead of for being there.",
    },
    Rule {
        name: "early-end",
        about: "As order, for behaviours that end the episode early.",
        why: "The robot learns to fall.",
        fix: "Make each step of living worth more than it costs, or pay less for what falling gives.",
    },
    Rule {
        name: "exploit",
        about: "As order, for known exploits of rewards for this task.",
        why: "What was exploited once is found again.",
        fix: "Measure what is meant: progress along the way instead of speed of a part, both feet instead of one.",
    },
    Rule {
        name: "duplicate",
        about: "The reward is not the same as another of this task: STARC distance (VAL) of 0.001 or more.",
        why: "Training it would give what is known already: scaling and potential shaping change nothing.",
        fix: "Use the other one, or change more than its scale.",
    },
];

/// The rule of that name.
pub fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|r| r.name == name)
}
