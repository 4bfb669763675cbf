//! What a wrong name was meant to be.

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
}
