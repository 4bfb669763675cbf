//! An answer of chat/completions, as servers really give it: streamed or whole, with whatever they leave out or add.
//!
//! The body tells by its first character what it is, whatever its `Content-Type` says: `{` or `[` JSON (one answer, a
//! list, or line by line), `<` a page, all else server-sent events. Of each part the text is taken from `delta`,
//! `message` or `text`, as a string or in parts; thoughts are counted, not kept; nulls stand for nothing. An error
//! within a good answer is a failed try.
//!
//! Bounds, whatever a server sends: [`MAX_PART`] bytes of an event or of a whole answer in JSON, [`MAX_BYTES`] bytes
//! and [`MAX_EVENTS`] events in all, and as much text as a reply may have.

use super::events::{Events, MAX_PART};
use super::failure::{Failure, beginning, page};
use super::{Ending, Key, Reply, Request, estimate};
use serde_json::Value;

/// Bytes of a streamed answer, thoughts and envelopes included.
const MAX_BYTES: usize = 64 << 20;
/// Events of a streamed answer.
const MAX_EVENTS: usize = 1_000_000;
/// A reply longer than this is cut: it is refused later anyway.
const MAX_TEXT: usize = crate::reply::MAX_REPLY + 1;

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Events,
    Json,
    Page,
}

/// An answer as far as it has come.
#[derive(Debug, Default)]
pub struct Answer {
    form: Option<Form>,
    events: Events,
    /// What came before the form was known, then the body of JSON or a page.
    body: Vec<u8>,
    bytes: usize,
    seen: usize,
    text: String,
    /// Bytes of thoughts.
    thoughts: usize,
    tokens: Option<(u64, u64)>,
    finish: Option<String>,
    tools: bool,
    /// Was there a part of chat/completions?
    begun: bool,
}

impl Answer {
    /// Takes bytes of the body; true: nothing more is wanted.
    pub fn push(&mut self, bytes: &[u8], key: &Key) -> Result<bool, Failure> {
        self.bytes += bytes.len();
        if self.bytes > MAX_BYTES {
            return Err(Failure::lasting(format!("an answer without end: more than {} MiB", MAX_BYTES >> 20)));
        }
        match self.form {
            Some(Form::Events) => return self.push_events(bytes, key),
            Some(_) => self.body.extend_from_slice(bytes),
            None => {
                self.body.extend_from_slice(bytes);
                let start = self.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&self.body);
                // A comment begins at once; blank lines may come first.
                match start.iter().find(|b| !b.is_ascii_whitespace()) {
                    None => {}
                    Some(b'{' | b'[') => self.form = Some(Form::Json),
                    Some(b'<') => self.form = Some(Form::Page),
                    // Half of a byte order mark.
                    Some(0xef | 0xbb) if start.len() < 3 => {}
                    Some(_) => {
                        self.form = Some(Form::Events);
                        let begun = std::mem::take(&mut self.body);
                        return self.push_events(&begun, key);
                    }
                }
            }
        }
        if self.body.len() > MAX_PART {
            if self.form == Some(Form::Page) {
                return Ok(true);
            }
            return Err(Failure::lasting(format!(
                "an answer of more than {} KiB that is not streamed",
                MAX_PART >> 10
            )));
        }
        Ok(false)
    }

    /// Has anything come besides comments?
    pub fn has_begun(&self) -> bool {
        self.seen > 0 || self.form == Some(Form::Json)
    }

    fn push_events(&mut self, bytes: &[u8], key: &Key) -> Result<bool, Failure> {
        for data in self.events.push(bytes).map_err(|e| Failure::lasting(e.to_string()))? {
            self.seen += 1;
            if self.seen > MAX_EVENTS {
                return Err(Failure::lasting(format!("an answer without end: more than {MAX_EVENTS} events")));
            }
            if self.take_event(&data, key)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the data of an event; true: it is the last one.
    fn take_event(&mut self, data: &str, key: &Key) -> Result<bool, Failure> {
        let (data, done) = unwrapped(data);
        // Where no empty lines stand between events, several are one.
        for value in serde_json::Deserializer::from_str(data).into_iter::<Value>() {
            let value = value.map_err(|e| {
                let shown = page(data).unwrap_or_else(|| beginning(&key.cut(data)));
                Failure::lasting(format!("a streamed reply that is none of chat/completions: {e}: {shown}"))
            })?;
            self.take(&value)?;
        }
        self.begun |= done;
        Ok(done || self.text.len() >= MAX_TEXT)
    }

    /// Takes a part of an answer, or a whole one.
    fn take(&mut self, value: &Value) -> Result<(), Failure> {
        if let Value::Array(parts) = value {
            return parts.iter().try_for_each(|part| self.take(part));
        }
        if is_error(value) {
            return Err(Failure::told(value));
        }
        let choices = match value.get("choices") {
            Some(Value::Array(choices)) => choices.as_slice(),
            Some(one @ Value::Object(_)) => std::slice::from_ref(one),
            _ => &[],
        };
        // Several choices are answers side by side; the first one counts.
        let first = |c: &&Value| c.get("index").and_then(Value::as_u64).unwrap_or(0) == 0;
        let choice = choices.iter().find(first);
        if let Some(choice) = choice {
            if choice.get("error").is_some_and(Value::is_object) {
                return Err(Failure::told(choice));
            }
            self.take_message(choice.get("delta"), true);
            self.take_message(choice.get("message"), false);
            if let Some(text) = choice.get("text") {
                self.take_content(text);
            }
        }
        // Ollama's own form has no choices.
        self.take_message(value.get("message"), false);
        self.begun |= value.get("choices").is_some() || value.get("message").is_some();
        let ends = [choice.and_then(|c| c.get("finish_reason")), value.get("done_reason")];
        let ends = ends.into_iter().flatten().filter_map(Value::as_str).filter(|end| !end.is_empty());
        self.finish = ends.map(str::to_ascii_lowercase).next().or(self.finish.take());
        let own = value.get("eval_count").and(Some(value));
        let usages = [value.get("usage"), choice.and_then(|c| c.get("usage")), value.pointer("/x_groq/usage"), own];
        self.tokens = usages.into_iter().flatten().find_map(counts).or(self.tokens);
        if let Some(end) = self.finish.as_deref().filter(|end| is_fault(end)) {
            return Err(Failure::passing(format!("the model broke off (finish_reason {})", pavlov_common::plain(end))));
        }
        Ok(())
    }

    /// Takes a message or a piece of one. A whole message that repeats what was streamed is passed over.
    fn take_message(&mut self, message: Option<&Value>, piece: bool) {
        let Some(Value::Object(message)) = message else { return };
        if piece || self.text.is_empty() {
            for name in ["content", "refusal"] {
                if let Some(content) = message.get(name) {
                    self.take_content(content);
                }
            }
        }
        for name in ["reasoning_content", "reasoning", "thinking"] {
            self.thoughts += message.get(name).and_then(Value::as_str).map_or(0, str::len);
        }
        let calls = message.get("tool_calls").and_then(Value::as_array);
        self.tools |= calls.is_some_and(|calls| !calls.is_empty()) || message.contains_key("function_call");
    }

    /// Takes text: a string, or parts of which some are thoughts.
    fn take_content(&mut self, content: &Value) {
        match content {
            Value::String(text) => {
                let room = MAX_TEXT.saturating_sub(self.text.len());
                self.text.push_str(&text[..text.floor_char_boundary(room)]);
            }
            Value::Array(parts) => parts.iter().for_each(|part| self.take_content(part)),
            Value::Object(part) => {
                let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
                if kind.contains("think") || kind.contains("reason") {
                    self.thoughts += content.to_string().len();
                    return;
                }
                let inner = ["text", "content", "value", "refusal"].into_iter().find_map(|name| part.get(name));
                inner.into_iter().for_each(|inner| self.take_content(inner));
            }
            _ => {}
        }
    }

    /// The reply, when the body has ended.
    pub fn end(mut self, request: &Request, key: &Key) -> Result<Reply, Failure> {
        let body = String::from_utf8_lossy(&std::mem::take(&mut self.body)).into_owned();
        match self.form {
            Some(Form::Page) => {
                let shown = page(&body).unwrap_or_else(|| beginning(&body));
                return Err(Failure::lasting(format!("{} in place of an answer", key.cut(&shown))));
            }
            Some(Form::Json) => self.take_json(&body, key)?,
            Some(Form::Events) => self.take_last_event()?,
            None => {}
        }
        if !self.begun {
            let failure = match self.seen {
                0 => Failure::passing("the answer was empty"),
                n => Failure::lasting(format!("a stream that is none of chat/completions: {n} events without choices")),
            };
            return Err(failure);
        }
        let text = key.cut(&self.text);
        let guess = || {
            let asked = request.messages.iter().map(|m| estimate(&m.content)).sum();
            (asked, estimate(&text) + (self.thoughts / 3) as u64)
        };
        let (tokens_in, tokens_out) = self.tokens.unwrap_or_else(guess);
        let ending = self.ending();
        Ok(Reply { text, tokens_in, tokens_out, ending })
    }

    /// Takes the event that no empty line ended; one that was cut off in the middle is dropped.
    fn take_last_event(&mut self) -> Result<(), Failure> {
        for data in self.events.push(b"\n\n").map_err(|e| Failure::lasting(e.to_string()))? {
            let (data, done) = unwrapped(&data);
            for value in serde_json::Deserializer::from_str(data).into_iter::<Value>().map_while(Result::ok) {
                self.seen += 1;
                self.take(&value)?;
            }
            self.begun |= done;
        }
        Ok(())
    }

    /// Takes a body of JSON: one answer, a list of parts, or a part on each line.
    fn take_json(&mut self, body: &str, key: &Key) -> Result<(), Failure> {
        let body = body.trim_start_matches('\u{feff}');
        for value in serde_json::Deserializer::from_str(body).into_iter::<Value>() {
            let value = value.map_err(|e| {
                let shown = beginning(&key.cut(body));
                // An end in the middle is a connection that broke.
                let message = format!("an answer that is no JSON: {e}: {shown}");
                if e.is_eof() { Failure::passing(message) } else { Failure::lasting(message) }
            })?;
            self.take(&value)?;
        }
        if self.begun {
            return Ok(());
        }
        let shown = beginning(&key.cut(body));
        Err(Failure::lasting(format!("an answer that is none of chat/completions: {shown}")))
    }

    /// How the answer ended, where it did not end by itself.
    fn ending(&self) -> Option<Ending> {
        let blank = self.text.trim().is_empty();
        match self.finish.as_deref().unwrap_or_default() {
            "length" | "max_tokens" | "max_length" | "model_length" | "model_context_window_exceeded" => {
                Some(Ending::Tokens)
            }
            "content_filter" | "safety" | "recitation" | "sensitive" | "prohibited_content" | "blocklist" => {
                Some(Ending::Filter)
            }
            _ if blank && self.tools => Some(Ending::Tools),
            _ if blank && self.thoughts > 0 => Some(Ending::Thoughts),
            _ => None,
        }
    }
}

/// The data of an event without what gateways put around it (a stream within a stream), and whether it ends the stream.
fn unwrapped(data: &str) -> (&str, bool) {
    let data = data.trim();
    let data = data.strip_prefix("data:").map_or(data, str::trim_start);
    data.strip_suffix("[DONE]").map_or((data, false), |before| (before, true))
}

/// Is a part of an answer an error, in one of the forms that servers use?
fn is_error(value: &Value) -> bool {
    let is_something = |v: &Value| match v {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    let has = |name: &str| value.get(name).is_some_and(is_something);
    let says = |name: &str| value.get(name).is_some_and(Value::is_string);
    let is = |name: &str| value.get(name).and_then(Value::as_str) == Some("error");
    if has("error") || is("object") || is("type") {
        return true;
    }
    !has("choices")
        && (says("message") || says("detail") || says("msg") || value.get("detail").is_some_and(Value::is_array))
}

/// Is it a reason to end that is none of the model's?
fn is_fault(finish: &str) -> bool {
    matches!(finish, "error" | "network_error" | "insufficient_system_resource" | "abort" | "aborted" | "cancelled")
}

/// Tokens of request and reply, where somebody counted.
fn counts(usage: &Value) -> Option<(u64, u64)> {
    let count = |names: [&str; 3]| {
        let found = names.into_iter().find_map(|name| usage.get(name)).filter(|v| !v.is_null())?;
        // Some count in decimals, or write numbers as text.
        let number = found.as_f64().or_else(|| found.as_str()?.trim().parse().ok())?;
        (number.is_finite() && number >= 0.0).then_some(number as u64)
    };
    let asked = count(["prompt_tokens", "input_tokens", "prompt_eval_count"]).unwrap_or(0);
    let answered = count(["completion_tokens", "output_tokens", "eval_count"]).unwrap_or(0);
    (asked.saturating_add(answered) > 0).then_some((asked, answered))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request { model: "m".into(), messages: Vec::new(), temperature: 1.0, max_tokens: 9, seed: 0 }
    }

    /// The reply to a body that comes in pieces of so many bytes.
    fn read(body: &[u8], piece: usize) -> Result<Reply, Failure> {
        let (mut answer, key) = (Answer::default(), Key::default());
        for bytes in body.chunks(piece) {
            if answer.push(bytes, &key)? {
                break;
            }
        }
        answer.end(&request(), &key)
    }

    #[test]
    fn a_body_is_read_wherever_it_is_cut() {
        let streamed = "\u{feff}\r\n: wait\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"ä\"}}]}\r\n\r\n\
                        data: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"length\"}]}\r\n\r\n";
        let whole = "\u{feff} {\"choices\":[{\"message\":{\"content\":\"äb\"},\"finish_reason\":\"length\"}]}";
        for body in [streamed, whole] {
            for piece in [1, 2, 3, 7, 4096] {
                let reply = read(body.as_bytes(), piece).unwrap();
                assert_eq!((reply.text.as_str(), reply.ending), ("äb", Some(Ending::Tokens)), "{piece}: {body}");
            }
        }
    }

    #[test]
    fn answers_without_end_are_ended() {
        let endless = |start: &str, more: &str| {
            let (mut answer, key) = (Answer::default(), Key::default());
            let (mut bytes, more) = (start.len(), more.repeat(8192 / more.len()));
            let mut ended = answer.push(start.as_bytes(), &key);
            while let Ok(false) = ended {
                ended = answer.push(more.as_bytes(), &key);
                bytes += more.len();
                assert!(bytes < MAX_BYTES + (1 << 20), "no end");
            }
            match ended {
                Ok(_) => answer.end(&request(), &key).map_or_else(|e| e.message, |r| format!("{} bytes", r.text.len())),
                Err(failure) => {
                    assert!(!failure.again, "{failure:?}");
                    failure.message
                }
            }
        };
        let event = |delta: &str| format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
        assert_eq!(endless(":\n", &event("{\"content\":\"words \"}")), format!("{MAX_TEXT} bytes"));
        assert!(endless(":\n", &event("{\"reasoning\":\"words \"}")).contains("more than 1000000 events"));
        assert!(
            endless(":\n", &event("{\"reasoning\":\"many more words in one event\"}")).contains("more than 64 MiB")
        );
        assert!(endless(":\n", "data:\n\n").contains("more than 1000000 events"));
        assert!(endless(":\n", ": nothing\n\n").contains("more than 64 MiB"));
        assert!(endless("data: ", "xxxxxxxx").contains("an event of more than"));
        assert!(endless("[", "0,").contains("more than 512 KiB that is not streamed"));
        assert!(endless("<html><title>x</title>", "<p>").contains("a page: x in place of an answer"));
        assert!(endless("\n", "\n").contains("more than 512 KiB"));
    }

    #[test]
    fn tokens_are_counted_by_whoever_counts() {
        let count = |text: &str| counts(&serde_json::from_str(text).unwrap());
        assert_eq!(count("{\"prompt_tokens\":5,\"completion_tokens\":null}"), Some((5, 0)));
        assert_eq!(count("{\"input_tokens\":\"5\",\"output_tokens\":2.0}"), Some((5, 2)));
        assert_eq!(count("{\"prompt_eval_count\":1,\"eval_count\":2}"), Some((1, 2)));
        for nothing in ["null", "{}", "[]", "{\"prompt_tokens\":0}", "{\"prompt_tokens\":-5}"] {
            assert_eq!(count(nothing), None, "{nothing}");
        }
    }
}
