//! Why a try failed, and what a server that refuses a request says: in JSON of whatever form, on a page, or in words.
//!
//! Waiting times are those of `Retry-After` (seconds, or a date: RFC 9110, section 10.2.3) and `retry-after-ms`.

use pavlov_common::plain;
use serde_json::Value;
use std::time::{Duration, SystemTime};
use ureq::http::{HeaderMap, StatusCode, header};

/// Characters shown of what is not in a usual form.
const SHOWN: usize = 300;
/// Fields in which servers say what is wrong, the most telling first.
const SAYING: [&str; 9] =
    ["message", "msg", "error", "detail", "error_description", "error_msg", "description", "reason", "errors"];

/// Why a try failed, whether another one may help, and how long the server asks to wait before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    pub again: bool,
    pub wait: Option<Duration>,
    /// Status and words of a server that refuses the request.
    pub refusal: Option<(u16, Refusal)>,
}

impl Failure {
    pub fn passing(message: impl Into<String>) -> Self {
        Self { message: message.into(), again: true, wait: None, refusal: None }
    }

    pub fn lasting(message: impl Into<String>) -> Self {
        Self { message: message.into(), again: false, wait: None, refusal: None }
    }

    /// Of an error within an answer that began well.
    pub fn told(value: &Value) -> Self {
        let said = Refusal::of(value);
        let error = value.get("error").filter(|e| e.is_object()).unwrap_or(value);
        let code = ["code", "status", "status_code"].into_iter().find_map(|name| number(error, name));
        let again = !said.no_quota && code.is_none_or(|code| !(400..500).contains(&code) || helps(code as u16));
        Self { message: said.message, again, wait: None, refusal: None }
    }

    /// Of a status that is none of success, with what was read of its body.
    pub fn status(status: StatusCode, headers: &HeaderMap, body: &str) -> Self {
        let said = Refusal::read(body);
        let location = headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
        let location = location.map_or_else(String::new, |to| format!(" (it has moved to {})", plain(to)));
        let wait = asked_to_wait(headers, SystemTime::now());
        let waits = wait.map_or_else(String::new, |wait| format!(" (asks to wait {:.0} s)", wait.as_secs_f64().ceil()));
        let again = helps(status.as_u16()) && !said.no_quota;
        let message = format!("HTTP {status}{location}: {}{waits}", said.message);
        Self { message, again, wait, refusal: Some((status.as_u16(), said)) }
    }
}

/// May another try help after this status?
fn helps(status: u16) -> bool {
    (500..600).contains(&status) || matches!(status, 408 | 409 | 425 | 429)
}

/// A number, also where it is written as text.
fn number(value: &Value, name: &str) -> Option<u64> {
    let value = value.get(name)?;
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// How long a server asks to wait, from these headers.
fn asked_to_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str, unit: f64| Duration::try_from_secs_f64(text.parse::<f64>().ok()? * unit).ok();
    if let Some(wait) = text("retry-after-ms").and_then(|t| seconds(t, 1e-3)) {
        return Some(wait);
    }
    let after = text("retry-after")?;
    // A date is meant by the server's clock, which `Date` tells.
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let there = text("date").and_then(date).unwrap_or(now);
    seconds(after, 1.0).or_else(|| Some(date(after)?.duration_since(there).unwrap_or_default()))
}

/// What a server says of a request that it refuses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// In words.
    pub message: String,
    /// Names of fields that it points to.
    pub fields: Vec<String>,
    /// Is the account's quota spent? No waiting mends that.
    pub no_quota: bool,
}

impl Refusal {
    /// Of a body: JSON, a page, or words.
    pub fn read(body: &str) -> Self {
        match serde_json::from_str::<Value>(body) {
            Ok(value) => Self::of(&value),
            Err(_) => Self { message: page(body).unwrap_or_else(|| beginning(body)), ..Self::default() },
        }
    }

    /// Of JSON.
    pub fn of(value: &Value) -> Self {
        let mut found = Self::default();
        let whole = || beginning(&value.to_string());
        found.message = said(value, &mut found.fields, 0).map_or_else(whole, |text| plain(text.trim()));
        let error = value.get("error").filter(|e| e.is_object()).unwrap_or(value);
        let field = |name: &str| error.get(name).and_then(Value::as_str);
        found.no_quota = [field("type"), field("code")].contains(&Some("insufficient_quota"));
        if let Some(kind) = field("type") {
            found.message = format!("{}: {}", plain(kind), found.message);
        }
        if let Some(name) = field("param") {
            found.message += &format!(" (param: {})", plain(name));
        }
        if let Some(code) = error.get("code").filter(|c| !c.is_null() && !c.is_object() && !c.is_array()) {
            let text = code.as_str().map_or_else(|| code.to_string(), str::to_string);
            found.message += &format!(" (code: {})", plain(&text));
        }
        found
    }
}

/// What JSON says, and the fields it points to (`param`, or the last name of a `loc`).
fn said(value: &Value, fields: &mut Vec<String>, depth: usize) -> Option<String> {
    if depth > 8 {
        return None;
    }
    match value {
        Value::String(text) if !text.trim().is_empty() => {
            // Gateways pass on what they were told as text of JSON.
            match serde_json::from_str::<Value>(text) {
                Ok(inner @ (Value::Object(_) | Value::Array(_))) => said(&inner, fields, depth + 1),
                _ => Some(text.clone()),
            }
        }
        Value::Array(items) => {
            let all: Vec<String> = items.iter().take(4).filter_map(|item| said(item, fields, depth + 1)).collect();
            (!all.is_empty()).then(|| all.join("; "))
        }
        Value::Object(map) => {
            fields.extend(map.get("param").and_then(Value::as_str).map(str::to_string));
            let path = map.get("loc").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let path: Vec<&str> = path.iter().filter_map(Value::as_str).collect();
            fields.extend(path.iter().map(|name| (*name).to_string()));
            let text = SAYING.iter().filter_map(|name| map.get(*name)).find_map(|v| said(v, fields, depth + 1));
            match path.last() {
                Some(name) => text.map(|text| format!("{name}: {text}")),
                None => text,
            }
        }
        _ => None,
    }
}

/// What a page says, in a line; none when the text is no page.
pub fn page(text: &str) -> Option<String> {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let head: String = start.chars().take(64).collect::<String>().to_ascii_lowercase();
    if !["<!doctype html", "<html", "<head", "<body", "<title", "<center", "<h1", "<!--", "<?xml"]
        .iter()
        .any(|tag| head.starts_with(tag))
    {
        return None;
    }
    let folded = start.to_ascii_lowercase();
    let titled = ["title", "h1", "message"].into_iter().find_map(|tag| {
        let from = folded.find(&format!("<{tag}"))?;
        let from = from + folded[from..].find('>')? + 1;
        let to = from + folded[from..].find(&format!("</{tag}"))?;
        let words = start[from..to].split_whitespace().collect::<Vec<_>>().join(" ");
        (!words.is_empty()).then_some(words)
    });
    Some(titled.map_or_else(|| "a page without a title".into(), |title| format!("a page: {}", beginning(&title))))
}

/// The beginning of a text, in a line.
pub fn beginning(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "no text".into();
    }
    let shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        let left = text.chars().count() - SHOWN;
        return format!("{} [... {left} characters left out]", plain(&shown));
    }
    plain(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_in_the_forms_that_servers_use() {
        let forms = [
            (r#"{"error":{"message":"no","type":"t","code":"c"}}"#, "t: no (code: c)"),
            (r#"{"error":{"message":"no","type":null,"param":null,"code":500}}"#, "no (code: 500)"),
            (r#"{"error":"no such model"}"#, "no such model"),
            (r#"[{"error":{"code":400,"message":"as a list","status":"INVALID_ARGUMENT"}}]"#, "as a list"),
            (r#"{"detail":"not found"}"#, "not found"),
            (r#"{"detail":[{"loc":["body","seed"],"msg":"no further inputs"}]}"#, "seed: no further inputs"),
            (
                r#"{"object":"error","message":"of vLLM","type":"BadRequestError","code":400}"#,
                "BadRequestError: of vLLM (code: 400)",
            ),
            (r#"{"message":{"detail":[{"loc":["body","seed"],"msg":"nested"}]}}"#, "seed: nested"),
            (r#"{"errors":[{"message":"first"},{"message":"second"}]}"#, "first; second"),
            (r#"{"error":{"message":"{\"error\":{\"message\":\"passed on\"}}"}}"#, "passed on"),
            (r#"{"code":"InvalidParameter","msg":"short"}"#, "short (code: InvalidParameter)"),
            ("<html><head><title>502 Bad\nGateway</title></head></html>", "a page: 502 Bad Gateway"),
            ("\u{feff}\n<!DOCTYPE html><body><h1>Sorry</h1>", "a page: Sorry"),
            ("<HTML><body>x</body></HTML>", "a page without a title"),
            ("upstream \u{1b}[31mgone", "upstream \\u{1b}[31mgone"),
            ("{}", "{}"),
            (" ", "no text"),
        ];
        for (text, expected) in forms {
            assert_eq!(Refusal::read(text).message, expected);
        }
        let quota = Refusal::read(r#"{"error":{"message":"pay","type":"insufficient_quota"}}"#);
        assert!(quota.no_quota, "waiting mends no empty account");
        let long = Refusal::read(&format!("{{\"error\":{{\"message\":\"{}\"}}}}", "x".repeat(60_000)));
        assert!(long.message.len() < 2_100 && long.message.contains("characters left out"), "{}", long.message.len());
        assert_eq!(Refusal::read(&"[".repeat(60_000)).message.len(), 300 + " [... 59700 characters left out]".len());
    }

    #[test]
    fn fields_that_are_pointed_to_are_found() {
        let fields = |text: &str| Refusal::read(text).fields;
        assert_eq!(fields(r#"{"error":{"message":"x","param":"max_tokens"}}"#), ["max_tokens"]);
        assert_eq!(fields(r#"{"detail":[{"loc":["body","stream_options"],"msg":"x"}]}"#), ["body", "stream_options"]);
        assert!(fields("words about seed").is_empty());
    }

    #[test]
    fn waiting_times_are_read_as_seconds_and_as_dates() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:00 GMT").unwrap();
        let wait = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            asked_to_wait(&headers, now).map(|wait| wait.as_secs_f64())
        };
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "7")]), Some(7.0));
        assert_eq!(wait(&[("retry-after", " 0.5 ")]), Some(0.5));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), Some(37.0));
        assert_eq!(wait(&[("retry-after", "Sunday, 06-Nov-94 08:49:37 GMT")]), Some(37.0));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0.0), "a date that is past");
        let server = ("date", "Sun, 06 Nov 1994 07:00:00 GMT");
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 07:00:09 GMT"), server]), Some(9.0), "by its own clock");
        assert_eq!(wait(&[("retry-after-ms", "1500"), ("retry-after", "9")]), Some(1.5));
        for nonsense in ["soon", "-3", "nan", "1e400", ""] {
            assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }
}
