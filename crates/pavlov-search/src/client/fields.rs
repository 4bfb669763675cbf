//! The fields of a request besides model and messages, and what is left of them when a server takes one not.
//!
//! Servers differ in what they take: newer models want `max_completion_tokens` for `max_tokens` and no temperature,
//! older servers know no `stream_options`, strict ones no `seed`, some do not stream, some models have no system role.
//! A refusal that names such a field is answered by the same request without it; what was learnt holds for the rest of
//! the run. Each refusal leaves less, so that asking ends.

use super::failure::Refusal;
use super::{Request, Role};
use serde_json::{Map, Value, json};

/// Names under which the limit of tokens is sent, in the order in which they are tried.
const LIMITS: [&str; 2] = ["max_tokens", "max_completion_tokens"];
/// Words of a refusal for a value that is out of bounds, not for a field that is not known.
const BOUNDS: [&str; 7] =
    ["too large", "at most", "exceed", "maximum context", "less than or equal", "greater than", "out of range"];
/// Words of a refusal of fields that does not say which.
const UNNAMED: [&str; 9] = [
    "param",
    "field",
    "propert",
    "extra input",
    "extra_forbidden",
    "unexpected keyword",
    "unrecognized",
    "unknown arg",
    "schema",
];

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    /// The limit of tokens: place in [`LIMITS`], none beyond.
    limit: usize,
    seed: bool,
    temperature: bool,
    stream_options: bool,
    stream: bool,
    system: bool,
}

impl Fields {
    /// Everything, as the usual servers take it.
    pub const ALL: Self =
        Self { limit: 0, seed: true, temperature: true, stream_options: true, stream: true, system: true };

    /// The body of a request with these fields.
    pub fn body(&self, request: &Request) -> Value {
        let mut body = Map::new();
        body.insert("model".into(), json!(request.model));
        body.insert("messages".into(), self.messages(request));
        if self.temperature {
            body.insert("temperature".into(), json!(request.temperature));
        }
        if let Some(name) = LIMITS.get(self.limit) {
            body.insert((*name).into(), json!(request.max_tokens));
        }
        if self.seed {
            body.insert("seed".into(), json!(request.seed));
        }
        body.insert("stream".into(), json!(self.stream));
        if self.stream && self.stream_options {
            body.insert("stream_options".into(), json!({"include_usage": true}));
        }
        Value::Object(body)
    }

    /// The messages; without a system role its rules open the first message of the user.
    fn messages(&self, request: &Request) -> Value {
        if self.system {
            return json!(request.messages);
        }
        let rules: Vec<&str> =
            request.messages.iter().filter(|m| m.role == Role::System).map(|m| m.content.as_str()).collect();
        let mut rules = Some(rules.join("\n\n")).filter(|rules| !rules.is_empty());
        let others = request.messages.iter().filter(|m| m.role != Role::System);
        let message = |m: &super::Message| match rules.take_if(|_| m.role == Role::User) {
            Some(rules) => json!({"role": m.role, "content": format!("{rules}\n\n{}", m.content)}),
            None => json!(m),
        };
        Value::Array(others.map(message).collect())
    }

    /// Only what both have.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            limit: self.limit.max(other.limit),
            seed: self.seed && other.seed,
            temperature: self.temperature && other.temperature,
            stream_options: self.stream_options && other.stream_options,
            stream: self.stream && other.stream,
            system: self.system && other.system,
        }
    }

    /// These fields without what a refusal names, and what that means, in words; none when it names nothing of them.
    pub fn without(&self, status: u16, refusal: &Refusal) -> Option<(Self, String)> {
        if !matches!(status, 400 | 403 | 422 | 500 | 501) {
            return None;
        }
        let message = refusal.message.to_lowercase();
        let pointed: Vec<String> = refusal.fields.iter().flat_map(|name| words(name)).collect();
        let spoken = words(&message);
        let named = |all: &[String]| all.iter().find_map(|word| self.named(word, &message));
        if let Some(left) = named(&pointed).or_else(|| named(&spoken)) {
            return Some(left);
        }
        let system = message.contains("system") && (message.contains("role") || message.contains("message"));
        if self.system && system {
            let left = Self { system: false, ..*self };
            return Some((left, "the endpoint has no system role: the rules are sent as the user's".into()));
        }
        let unnamed = UNNAMED.iter().any(|word| message.contains(word));
        if unnamed && status != 403 && (self.seed || self.stream_options) {
            let left = Self { seed: false, stream_options: false, ..*self };
            return Some((left, left_out("seed and stream_options")));
        }
        None
    }

    /// What is left when this word of a refusal names a field that was sent.
    fn named(&self, word: &str, message: &str) -> Option<(Self, String)> {
        match word {
            "seed" if self.seed => Some((Self { seed: false, ..*self }, left_out("seed"))),
            "temperature" if self.temperature => Some((Self { temperature: false, ..*self }, left_out("temperature"))),
            "streamoptions" | "includeusage" if self.stream && self.stream_options => {
                Some((Self { stream_options: false, ..*self }, left_out("stream_options")))
            }
            "stream" | "streaming" if self.stream => {
                let note = "the endpoint does not stream: answers come whole";
                Some((Self { stream: false, ..*self }, note.into()))
            }
            "maxtokens" if self.limit == 0 && !BOUNDS.iter().any(|words| message.contains(words)) => {
                let note = "the endpoint takes no max_tokens: asked with max_completion_tokens";
                Some((Self { limit: 1, ..*self }, note.into()))
            }
            "maxtokens" | "maxcompletiontokens" if LIMITS.get(self.limit).is_some_and(|name| fits(name, word)) => {
                let note = "the endpoint refuses this limit of tokens: asked without one, so that it sets its own \
                            (--max-tokens says another)";
                Some((Self { limit: LIMITS.len(), ..*self }, note.into()))
            }
            _ => None,
        }
    }
}

/// Is this word, without underscores, the name of the field?
fn fits(name: &str, word: &str) -> bool {
    name.replace('_', "") == word
}

fn left_out(name: &str) -> String {
    format!("the endpoint takes no {name}: asked without")
}

/// The words of a text, small and without underscores, so that `maxTokens` is `max_tokens`.
fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    parts.map(|word| word.replace('_', "").to_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Message;

    fn request() -> Request {
        let messages = vec![Message::system("rules"), Message::user("task"), Message::assistant("reply")];
        Request { model: "m".into(), messages, temperature: 0.5, max_tokens: 9, seed: 3 }
    }

    fn left(fields: Fields, status: u16, body: &str) -> Option<Fields> {
        fields.without(status, &Refusal::read(body)).map(|(left, _)| left)
    }

    fn error(message: &str) -> String {
        json!({"error": {"message": message, "type": "invalid_request_error"}}).to_string()
    }

    #[test]
    fn refused_fields_are_left_out_one_after_the_other() {
        let all = Fields::ALL;
        let keys = |fields: Fields| {
            let body = fields.body(&request());
            body.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>()
        };
        let names = ["model", "messages", "temperature", "max_tokens", "seed", "stream", "stream_options"];
        assert_eq!(keys(all), names.map(String::from).into());
        let unsupported =
            error("Unsupported parameter: 'max_tokens' is not supported here. Use 'max_completion_tokens' instead.");
        let newer = left(all, 400, &unsupported).unwrap();
        assert!(keys(newer).contains("max_completion_tokens") && !keys(newer).contains("max_tokens"));
        let large = error(
            "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 4096",
        );
        for fields in [all, newer] {
            let none = left(fields, 400, &large).unwrap();
            assert!(!keys(none).iter().any(|k| k.starts_with("max_")), "{none:?}");
            assert_eq!(left(none, 400, &large), None, "nothing is left of it");
        }
        for (message, gone) in [
            ("Unsupported value: 'temperature' does not support 0.5 with this model.", vec!["temperature"]),
            ("Unknown parameter: seed", vec!["seed"]),
            ("`streamOptions` is not permitted", vec!["stream_options"]),
            ("Unrecognized request argument supplied: stream_options", vec!["stream_options"]),
            ("Streaming is not supported for this model", vec!["stream_options"]),
            ("Extra inputs are not permitted in the schema", vec!["seed", "stream_options"]),
        ] {
            let fields = left(all, 400, &error(message)).unwrap_or_else(|| panic!("{message}"));
            let missing: Vec<String> = keys(all).difference(&keys(fields)).cloned().collect();
            assert_eq!(missing, gone, "{message}");
        }
        let whole = left(all, 400, &error("Streaming is not supported")).unwrap();
        assert_eq!(whole.body(&request())["stream"], false);
        let by_place = r#"{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"no further inputs"}]}"#;
        assert!(!keys(left(all, 422, by_place).unwrap()).contains("seed"));
    }

    #[test]
    fn other_refusals_change_nothing() {
        for message in ["The model `m` does not exist", "Incorrect API key provided", "context window is full"] {
            assert_eq!(left(Fields::ALL, 400, &error(message)), None, "{message}");
        }
        for status in [401, 404, 429, 502] {
            assert_eq!(left(Fields::ALL, status, &error("seed")), None, "{status}");
        }
    }

    #[test]
    fn rules_go_to_the_user_where_there_is_no_system_role() {
        let fields = left(Fields::ALL, 400, &error("System role not supported")).unwrap();
        let messages = &fields.body(&request())["messages"];
        assert_eq!(messages[0], json!({"role": "user", "content": "rules\n\ntask"}));
        assert_eq!(messages[1], json!({"role": "assistant", "content": "reply"}));
        assert_eq!(left(fields, 400, &error("System role not supported")), None);
    }

    #[test]
    fn what_several_learn_at_once_holds_for_all() {
        let one = left(Fields::ALL, 400, &error("unknown seed")).unwrap();
        let other = left(Fields::ALL, 400, &error("no max_tokens")).unwrap();
        let both = one.and(&other);
        assert!(!both.seed && both.limit == 1 && both.temperature);
    }
}
