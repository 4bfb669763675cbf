//! Tables of `foreign.rs`: words, functions and signs of other languages, and what rhai has.

use crate::table::{BUILTINS, Builtin, Form};

/// Libraries whose functions are called by a prefix.
pub(crate) const PREFIXES: [&str; 21] = [
    "np", "numpy", "jnp", "jax", "math", "Math", "torch", "tf", "F", "nn", "cmath", "std", "f64", "f32", "scipy",
    "mjx", "cp", "nalgebra", "keras", "glm", "ops",
];

/// Functions of these libraries by their own names, and how rhai says them. What has the name of a built-in needs no
/// row.
const FUNCTIONS: &[(&[&str], &str)] = &[
    (&["fabs", "absolute"], "`abs(x)`"),
    (&["power", "float_power", "powi", "powf"], "`x ** y`"),
    (&["square"], "`x * x`, or `v.norm2()` of a vector or an array"),
    (&["maximum", "fmax", "amax"], "`max(x, y)`, or `a.max()` of an array"),
    (&["minimum", "fmin", "amin"], "`min(x, y)`, or `a.min()` of an array"),
    (&["clip"], "`clamp(x, low, high)`"),
    (&["where", "cond", "select"], "`if c { a } else { b }`"),
    (&["linalg", "hypot"], "`v.norm()` of a vector or an array, or `v.norm2()` of its square"),
    (&["arcsin"], "`asin(x)`"),
    (&["arccos"], "`acos(x)`"),
    (&["arctan"], "`atan(x)`"),
    (&["arctan2"], "`atan2(y, x)`"),
    (&["pi", "PI", "consts"], "`PI()`"),
    (&["array", "asarray", "tensor", "stack", "concatenate"], "an array: `[a, b]`, or `vec3(x, y, z)`"),
    (&["log10"], "`ln(x) / ln(10.0)`"),
    (&["log2"], "`ln(x) / ln(2.0)`"),
    (&["deg2rad", "radians"], "`x * PI() / 180.0`"),
    (&["rad2deg", "degrees"], "`x * 180.0 / PI()`"),
    (&["sigmoid", "expit"], "`1.0 / (1.0 + exp(-x))`"),
    (&["relu"], "`max(x, 0.0)`"),
    (&["logical_and"], "`a && b`"),
    (&["logical_or"], "`a || b`"),
    (&["logical_not"], "`!a`"),
    (&["signum"], "`sign(x)`"),
    (&["inf", "INFINITY", "nan", "NAN"], "a finite number: a term must be finite in every state"),
];

/// Single words, and what rhai has instead.
pub(crate) const WORDS: &[(&str, &str)] = &[
    ("True", "write `true`"),
    ("False", "write `false`"),
    ("None", "there is no such value: a term is a number, so write `0.0`"),
    ("null", "there is no such value: a term is a number, so write `0.0`"),
    ("nil", "there is no such value: a term is a number, so write `0.0`"),
    ("undefined", "there is no such value: a term is a number, so write `0.0`"),
    ("elif", "write `else if c { ... }`"),
    ("elsif", "write `else if c { ... }`"),
    ("elseif", "write `else if c { ... }`"),
    ("lambda", "a closure is `|x| x * x`"),
    ("self", "the state is `s`, as in `s.qpos`; parameters are `p.name`"),
    ("this", "the state is `s`, as in `s.qpos`; parameters are `p.name`"),
    ("M_PI", "write `PI()`"),
    ("pi", "write `PI()`"),
    ("PI", "write `PI()`"),
    ("inf", "write a finite number: a term must be finite in every state"),
    ("nan", "write a finite number: a term must be finite in every state"),
    ("yield", "a function gives its last expression: a map of named numbers"),
    ("await", "everything is computed at once: leave it out"),
    ("async", "everything is computed at once: leave it out"),
    ("match", "write `if ... { ... } else if ... { ... } else { ... }`"),
    ("case", "write `if ... { ... } else if ... { ... } else { ... }`"),
    ("new", "write `vec3(x, y, z)`, `[a, b]` or `#{ name: 1.0 }`"),
];

/// Words that begin a declaration elsewhere.
pub(crate) const DECLARES: [&str; 16] = [
    "var", "val", "local", "auto", "float", "double", "int", "bool", "f64", "f32", "real", "number", "string",
    "global", "static", "final",
];

/// Words that begin a function elsewhere.
pub(crate) const DEFINES: [&str; 12] =
    ["def", "function", "func", "fun", "sub", "proc", "pub", "void", "public", "class", "struct", "impl"];

/// Words that begin a block with a colon in Python.
pub(crate) const OPENS: [&str; 9] = ["if", "elif", "else", "for", "while", "with", "try", "except", "def"];

/// Signs that look like those of the keyboard.
pub(crate) const SIGNS: &[(char, &str)] = &[
    ('\u{2212}', "-"),
    ('\u{2013}', "-"),
    ('\u{2014}', "-"),
    ('\u{d7}', "*"),
    ('\u{b7}', "*"),
    ('\u{22c5}', "*"),
    ('\u{f7}', "/"),
    ('\u{2264}', "<="),
    ('\u{2265}', ">="),
    ('\u{2260}', "!="),
    ('\u{b2}', "** 2"),
    ('\u{221a}', "sqrt(x)"),
    ('\u{3c0}', "PI()"),
    ('\u{201c}', "\""),
    ('\u{201d}', "\""),
    ('\u{2018}', "\""),
    ('\u{2019}', "\""),
    ('\u{a0}', "an ordinary space"),
    ('\u{200b}', "nothing: it cannot be seen"),
    ('\u{feff}', "nothing: it cannot be seen"),
];

/// Is it a function of ours, or one with a row?
pub(crate) fn known(name: &str) -> bool {
    BUILTINS.iter().any(|b| b.form == Form::Function && b.name == name)
        || FUNCTIONS.iter().any(|f| f.0.contains(&name) && !matches!(name, "consts" | "linalg"))
}

/// How a function of another library is written here.
pub(crate) fn function(name: &str) -> String {
    if let Some((_, ours)) = FUNCTIONS.iter().find(|f| f.0.contains(&name)) {
        return format!("write {ours}");
    }
    match BUILTINS.iter().find(|b| b.form == Form::Function && b.name == name) {
        Some(b) => format!("write `{}`", b.usage()),
        None => "write the function alone, as in `exp(x)`; `pavlov rewards doc` lists all there are".into(),
    }
}

/// What a name that is not there may have been meant for: a word of another language, or a property of the state.
pub(crate) fn variable(name: &str) -> Option<String> {
    if let Some((_, hint)) = WORDS.iter().find(|w| w.0 == name) {
        return Some((*hint).to_string());
    }
    let of_state = |b: &&Builtin| {
        b.form == Form::Property && b.name == name && b.args.first().is_some_and(|t| t.name() == "state")
    };
    if BUILTINS.iter().any(|b| of_state(&b)) {
        return Some(format!("it belongs to the state: `s.{name}`"));
    }
    matches!(name, "state" | "obs" | "observation" | "env" | "robot" | "data" | "sim" | "physics" | "model")
        .then(|| "the state is `s`, the first parameter of the function: `s.qpos`, `s.body(\"name\")`".into())
}

/// A function that scripts do not have on purpose, and what is there instead.
pub(crate) fn refused_function(name: &str) -> Option<&'static str> {
    Some(match name {
        "timestamp" | "elapsed" | "now" | "clock" | "time" | "perf_counter" | "monotonic" => {
            "scripts cannot read the clock, so that they give the same whenever they run: `s.time` is the time of the \
             episode (s), `s.step` its control steps, `s.dt` the time between two of them (s)"
        }
        "sleep" => "scripts cannot wait: leave it out",
        "rand" | "random" | "uniform" | "randn" | "normal" | "randint" => {
            "scripts have no random numbers, so that they give the same whenever they run; a task file can randomise"
        }
        "exit" | "eval" | "open" | "read" | "write" | "parse_json" => "scripts only compute: leave it out",
        _ => return None,
    })
}

/// A function of another language, and how rhai says it.
pub(crate) fn other_function(name: &str) -> Option<String> {
    if name == "range" {
        return Some("write `0..n`".into());
    }
    // These two are rhai's own.
    let of_rhai = matches!(name, "hypot" | "log10");
    (!of_rhai && FUNCTIONS.iter().any(|f| f.0.contains(&name))).then(|| function(name))
}
