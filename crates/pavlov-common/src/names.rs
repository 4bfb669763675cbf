//! What a wrong name was meant to be, and which names files may have.

/// The candidate closest to `name`, if it is close enough to be a slip of the finger.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing is quadratic in length, and nobody mistypes a page of text.
    if name.len() > 64 {
        return None;
    }
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .filter(|c| !c.is_empty() && c.len() <= 64)
        .map(|c| (strsim::damerau_levenshtein(&lower, &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= (lower.len().max(c.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// `did you mean ...?`, or the list of what there is.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(best) = nearest(name, candidates.clone()) {
        return format!("did you mean `{best}`?");
    }
    let names: Vec<&str> = candidates.into_iter().filter(|c| !c.is_empty()).collect();
    if names.is_empty() {
        return "there are none".into();
    }
    let shown = names.iter().take(12).map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", ");
    if names.len() > 12 {
        format!("there are {shown} and {} more", names.len() - 12)
    } else {
        format!("there is {shown}")
    }
}

/// ` (did you mean `x`?)`, or nothing.
pub fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, candidates).map_or_else(String::new, |best| format!(" (did you mean `{best}`?)"))
}

/// Longest name of a file, in bytes: what the usual file systems take.
const MAX_NAME: usize = 255;
/// Names that stand for devices on Windows, whatever ending they have.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Does the name, without its ending, stand for a device on Windows?
pub(crate) fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_lowercase();
    let port = |prefix: &str| {
        let digit = stem.strip_prefix(prefix);
        digit.is_some_and(|d| matches!(d.as_bytes(), [b'1'..=b'9']) || matches!(d, "\u{b9}" | "\u{b2}" | "\u{b3}"))
    };
    DEVICES.contains(&&*stem) || port("com") || port("lpt")
}

/// Is a name, from a file or a person, fit to be that of a file or folder of its own on any system, in the folder that is
/// meant and nowhere else?
///
/// # Errors
/// What is wrong with it, and what is expected.
pub fn file_name(name: &str) -> Result<(), String> {
    let shown = crate::plain(name);
    let wrong = |why: &str| Err(format!("name `{shown}`: {why}"));
    if name.is_empty() {
        return Err("the name is empty: expected at least a letter".into());
    }
    if name.len() > MAX_NAME {
        return wrong(&format!("{} bytes long, expected at most {MAX_NAME}", name.len()));
    }
    if let Some(c) = name.chars().find(|c| matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')) {
        return wrong(&format!("`{c}` is not allowed: expected a name, not a path"));
    }
    if name.chars().any(char::is_control) {
        return wrong("it has control characters: expected letters, digits, `_`, `-` and `.`");
    }
    if name.starts_with('.') {
        return wrong("it begins with a dot: expected a letter, a digit or `_`");
    }
    if name.ends_with(['.', ' ']) {
        return wrong("it ends with a dot or a space, which Windows takes away");
    }
    if is_device(name) {
        return wrong("Windows has a device of this name: expected another one");
    }
    Ok(())
}

/// Bytes that [`as_file_name`] keeps: there is room for what is put before and behind it.
const KEPT: usize = 100;

/// A name made fit to be that of a file: other characters than letters, digits, `_`, `-` and `.` become `_`. What
/// [`file_name`] takes and has only these stays as it is, up to a hundred bytes.
pub fn as_file_name(name: &str) -> String {
    let mut kept = String::new();
    for c in name.chars() {
        if kept.len() + c.len_utf8() > KEPT {
            break;
        }
        let dot_in_front = kept.is_empty() && c == '.';
        kept.push(if (c.is_alphanumeric() || "_-.".contains(c)) && !dot_in_front { c } else { '_' });
    }
    if kept.is_empty() || kept.ends_with('.') {
        kept.push('_');
    }
    if is_device(&kept) { format!("_{kept}") } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_close_is_suggested() {
        assert_eq!(nearest("torsp", ["torso", "thigh"]), Some("torso"));
        assert_eq!(nearest("forwrad", ["forward", "up"]), Some("forward"));
        assert_eq!(nearest("wheel", ["torso", "thigh"]), None);
        assert_eq!(nearest(&"x".repeat(100_000), ["torso"]), None);
        assert_eq!(did_you_mean("q", ["leg", ""]), "there is `leg`");
        assert_eq!(hint("ant_rum", ["ant_run"]), " (did you mean `ant_run`?)");
        assert_eq!(hint("wheel", ["ant_run"]), "");
    }

    #[test]
    fn names_never_leave_their_folder() {
        for good in ["ant_run", "a-1.rhai", "läufer", "con_", "common", "com10", &"x".repeat(255)] {
            assert!(file_name(good).is_ok(), "{good}");
        }
        let bad =
            ["", ".", "..", ".hidden", "a/b", "..\\a", "C:x", "a\0b", "a\nb", "a\u{1b}[2J", "CON", "nul.txt", "Com1"];
        for bad in bad.into_iter().chain(["lpt9.toml", "x.", "x ", "a?", "com\u{b2}", &*"ä".repeat(128)]) {
            let told = file_name(bad).unwrap_err();
            assert!(!told.contains(['\0', '\n', '\u{1b}']), "{told:?}");
            let made = as_file_name(bad);
            assert!(file_name(&made).is_ok() && made.len() <= 101, "{bad:?} becomes {made:?}");
        }
        assert_eq!(as_file_name("gym/ant"), "gym_ant");
        assert_eq!(as_file_name("liked_0.b-c"), "liked_0.b-c");
    }
}
