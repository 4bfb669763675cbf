//! Numbers as the panels write them.

/// Four digits or so; `-` for what is not there.
pub(crate) fn number(x: Option<f64>) -> String {
    let Some(x) = x else { return "-".into() };
    let size = x.abs();
    if !x.is_finite() {
        x.to_string()
    } else if size >= 100_000.0 || (size < 0.001 && size > 0.0) {
        format!("{x:.2e}")
    } else if size >= 100.0 {
        format!("{x:.1}")
    } else if size >= 10.0 {
        format!("{x:.2}")
    } else {
        format!("{x:.3}")
    }
}

/// With its sign.
pub(crate) fn signed(x: f64) -> String {
    let text = number(Some(x));
    if x > 0.0 { format!("+{text}") } else { text }
}

/// `1,234,567`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

/// A share as `85 %`.
pub(crate) fn percent(x: Option<f64>) -> String {
    x.map_or("-".into(), |x| format!("{:.0} %", 100.0 * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 1.0, -0.5, 12.345, 1234.5, 1e7, 0.0001].map(|x| number(Some(x)));
        assert_eq!(texts, ["0.000", "1.000", "-0.500", "12.35", "1234.5", "1.00e7", "1.00e-4"]);
        assert_eq!(
            (signed(2.0), signed(-2.0), grouped(1_234_567), grouped(12)),
            ("+2.000".into(), "-2.000".into(), "1,234,567".into(), "12".into())
        );
        assert_eq!((percent(Some(0.845)), percent(None)), ("84 %".into(), "-".into()));
    }
}
