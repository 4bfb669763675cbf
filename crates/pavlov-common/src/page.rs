//! The frame of a report: one HTML file with its style sheet inside, no scripts, nothing loaded from elsewhere.
//!
//! Pages are written with `maud`, which escapes every value that is put into them. They are well-formed XML as well, so
//! that tests can parse them.

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

/// The style sheet of every report, light and dark.
const STYLE: &str = include_str!("style.css");
/// Written with a slash, which HTML allows and XML demands.
const META: &str = r#"<meta charset="utf-8"/><meta name="viewport" content="width=device-width"/>"#;

/// A whole page.
pub fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { (PreEscaped(META)) title { (title) } style { (PreEscaped(STYLE)) } }
            body { (body) }
        }
    };
    printable(page.into_string())
}

/// Puts the replacement character in the place of characters that neither XML nor HTML allows.
fn printable(text: String) -> String {
    let barred =
        |c: char| matches!(c, '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    if text.contains(barred) { text.replace(barred, "\u{fffd}") } else { text }
}

/// A table of names and values.
pub fn facts<N: Render, V: Render>(rows: impl IntoIterator<Item = (N, V)>) -> Markup {
    html! {
        table {
            @for (name, value) in rows {
                tr { th { (name) } td { (value) } }
            }
        }
    }
}

/// Charts side by side, as many in a row as there is room for.
pub fn gallery(charts: impl IntoIterator<Item = Markup>) -> Markup {
    html! {
        div.charts {
            @for chart in charts {
                figure { (chart) }
            }
        }
    }
}

/// A number as short as a reader wants it: 0.0012, 12.3, 15k, 2.5M.
pub fn short(x: f64) -> String {
    let trim = |text: String| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
    };
    match x.abs() {
        _ if !x.is_finite() => "–".into(),
        0.0 => "0".into(),
        1e9.. => trim(format!("{:.2}", x / 1e9)) + "G",
        1e6.. => trim(format!("{:.2}", x / 1e6)) + "M",
        1e4.. => trim(format!("{:.1}", x / 1e3)) + "k",
        100.0.. => trim(format!("{x:.1}")),
        1.0.. => trim(format!("{x:.2}")),
        1e-3.. => trim(format!("{x:.4}")),
        _ => format!("{x:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_well_formed_whatever_is_put_into_them() {
        let odd = "a<b> & \"c\"\u{2}";
        let html = page(odd, &html! { h1 { (odd) } (facts([(odd, "1")])) (gallery([html! { svg {} }])) });
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let parsed = roxmltree::Document::parse_with_options(&html, options).unwrap();
        let heading = parsed.descendants().find(|node| node.has_tag_name("h1")).unwrap();
        assert_eq!(heading.text(), Some("a<b> & \"c\"\u{fffd}"));
        assert!(html.starts_with("<!DOCTYPE html>") && !html.contains("<script") && !html.contains("http"));
    }

    #[test]
    fn numbers_are_short() {
        let cases =
            [(0.0, "0"), (1.5e6, "1.5M"), (12_345.0, "12.3k"), (250.0, "250"), (3.456, "3.46"), (0.0125, "0.0125")];
        for (x, text) in cases {
            assert_eq!(short(x), text);
        }
        assert_eq!(short(-0.00001), "-1.0e-5");
    }
}
