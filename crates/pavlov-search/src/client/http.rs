//! An OpenAI-compatible endpoint, hosted or local: `POST {base}/chat/completions`, streamed.
//!
//! A request has failed when its answer does not begin, or its stream is silent, for the time that `--timeout` gives
//! (seconds). It is tried again where that may help: after a broken connection, silence, and the statuses 408, 409, 429
//! and 5xx, with pauses that double, or as long as the server asks for (`Retry-After`). The key goes into no request
//! that is stored and is cut out of every text that comes back, errors included.

use super::agent::agent;
use super::events::Events;
use super::{Key, Reply, Request, estimate};
use crate::error::SearchError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use ureq::http::{Response, Uri, header};
use ureq::{Agent, Body};

/// Requests under way at once.
const SIDE_BY_SIDE: usize = 4;
/// First pause before a request is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A reply longer than this is cut: it is refused later anyway.
const MAX_TEXT: usize = crate::reply::MAX_REPLY + 1;
/// Bytes of a refusal that are read, and characters of it that are shown where it is not in the usual form.
const MAX_REFUSAL: u64 = 64 << 10;
const SHOWN: usize = 300;
/// Other places on the same host that a request is sent on to, one after the other.
const MAX_MOVES: usize = 10;
/// Headers that name who pays, with the variables they come from.
const ACCOUNT: [(&str, &str); 2] = [("OpenAI-Organization", "OPENAI_ORG_ID"), ("OpenAI-Project", "OPENAI_PROJECT_ID")];

/// An endpoint.
pub struct Endpoint {
    agent: Agent,
    key: Key,
    base: String,
    timeout: Duration,
    tries: u32,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("base", &self.base).field("key", &self.key).finish_non_exhaustive()
    }
}

/// A part of a streamed reply, as far as it is read.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

/// Why a try failed, whether another one may help, and how long the server asks to wait before it.
struct Failure {
    message: String,
    again: bool,
    wait: Option<Duration>,
}

impl Failure {
    fn passing(message: String) -> Self {
        Self { message, again: true, wait: None }
    }

    fn lasting(message: String) -> Self {
        Self { message, again: false, wait: None }
    }
}

/// What a refusal says: the fields of its `error` where it has the usual form, else the beginning of its text. True
/// with it: the account has no quota left, which no waiting mends.
fn refusal(text: &str) -> (String, bool) {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let error = value.get("error").unwrap_or(&value);
    let field = |name: &str| error.get(name).and_then(Value::as_str);
    let message = field("message").or_else(|| error.as_str()).or_else(|| field("detail"));
    let quota = [field("type"), field("code")].contains(&Some("insufficient_quota"));
    let Some(message) = message else { return (beginning(text), quota) };
    let kind = field("type").map_or_else(String::new, |kind| format!("{kind}: "));
    let code = field("code").map_or_else(String::new, |code| format!(" (code: {code})"));
    let parameter = field("param").map_or_else(String::new, |name| format!(" (param: {name})"));
    (format!("{kind}{message}{parameter}{code}"), quota)
}

fn beginning(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() { "no text".into() } else { text.chars().take(SHOWN).collect() }
}

/// Where a redirection leads on the same host; nowhere when it leads to another one, which must not be shown the key.
fn moved(from: &Uri, location: &str) -> Option<Uri> {
    if location.starts_with('/') && !location.starts_with("//") {
        return format!("{}://{}{location}", from.scheme_str()?, from.authority()?).parse().ok();
    }
    let to: Uri = location.parse().ok()?;
    ((to.scheme(), to.authority()) == (from.scheme(), from.authority())).then_some(to)
}

impl Endpoint {
    /// At this base URL, for example `http://127.0.0.1:8080/v1`. `timeout` is the time without a sign of life after
    /// which a request has failed, `tries` how often it is tried.
    pub fn new(base: &str, key: Key, timeout: Duration, tries: u32) -> Self {
        let base = base.trim_end_matches('/').to_string();
        // What is no URL is told when it is first asked.
        let agent = agent(&base.parse().unwrap_or_default(), timeout);
        Self { agent, key, base, timeout, tries: tries.max(1) }
    }

    /// Asks for all of them, several at once; replies in order.
    ///
    /// # Errors
    /// When one of them fails for good.
    pub fn ask(&self, requests: &[&Request]) -> Result<Vec<Reply>, SearchError> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut replies = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(index) else { return replies };
                replies.push((index, self.ask_patiently(request)));
            }
        };
        let mut replies = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..requests.len().min(SIDE_BY_SIDE)).map(|_| scope.spawn(work)).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<_>>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            workers.into_iter().flat_map(join).collect::<Vec<_>>()
        });
        replies.sort_by_key(|(index, _)| *index);
        replies.into_iter().map(|(_, reply)| reply).collect()
    }

    /// Asks until there is a reply, as often as it may be tried.
    fn ask_patiently(&self, request: &Request) -> Result<Reply, SearchError> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let failure = match self.ask_once(request) {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            if !failure.again || attempt >= self.tries {
                let tries = if attempt > 1 { format!(" (tried {attempt} times)") } else { String::new() };
                let model = if request.model.is_empty() { String::new() } else { format!(", model {}", request.model) };
                return Err(SearchError::Model(self.key.cut(&format!(
                    "{}{model}: {}{tries}; check --base-url, --model and the key in PAVLOV_API_KEY",
                    self.base, failure.message
                ))));
            }
            // Nobody waits longer for one more try than for the answer to it.
            std::thread::sleep(failure.wait.map_or(pause, |wait| wait.clamp(pause, self.timeout.max(pause))));
            pause *= 2;
            attempt += 1;
        }
    }

    /// What became of a request that ended with an error of the agent. `awaited` is what did not come in time.
    fn failure(&self, error: ureq::Error, awaited: &str) -> Failure {
        match error {
            ureq::Error::Timeout(_) => self.late(awaited),
            ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::TimedOut => self.late(awaited),
            ureq::Error::Io(e) => Failure::passing(format!("the connection failed: {e}")),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::lasting(format!(
                "cannot be asked: {error}; expected a base URL as http://127.0.0.1:8080/v1 and a key without line ends"
            )),
            other => Failure::passing(other.to_string()),
        }
    }

    fn late(&self, awaited: &str) -> Failure {
        Failure::passing(format!("no {awaited} within {} s", self.timeout.as_secs_f64()))
    }

    /// Sends a body; gives the response as soon as its head is there.
    fn open(&self, body: &str) -> Result<Response<Body>, Failure> {
        let failed = |error: ureq::Error| self.failure(error, "answer");
        let address = format!("{}/chat/completions", self.base);
        let mut url: Uri = address.parse().map_err(|_| failed(ureq::Error::BadUri(address)))?;
        for _ in 0..MAX_MOVES {
            let mut post = self.agent.post(&url).content_type("application/json");
            post = post.header(header::ACCEPT, "text/event-stream");
            for (name, variable) in ACCOUNT {
                if let Some(value) = std::env::var(variable).ok().filter(|value| !value.is_empty()) {
                    post = post.header(name, value);
                }
            }
            if let Some(authorization) = self.key.authorization() {
                post = post.header(header::AUTHORIZATION, authorization);
            }
            let response = post.send(body).map_err(failed)?;
            if response.status().is_success() {
                return Ok(response);
            }
            let location = response.headers().get(header::LOCATION).and_then(|l| l.to_str().ok());
            match location.filter(|_| matches!(response.status().as_u16(), 307 | 308)).and_then(|l| moved(&url, l)) {
                Some(to) => url = to,
                None => return Err(self.refused(response)),
            }
        }
        Err(Failure::lasting(format!("HTTP redirections without end, the last one to {url}")))
    }

    /// Reads why a request was refused.
    fn refused(&self, mut response: Response<Body>) -> Failure {
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let wait = header(header::RETRY_AFTER).and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
        let location = header(header::LOCATION).map_or_else(String::new, |to| format!(" (it has moved to {to})"));
        let mut text = Vec::new();
        // As much of it as arrives says enough.
        let _ = response.body_mut().as_reader().take(MAX_REFUSAL).read_to_end(&mut text);
        let (message, quota) = refusal(&self.key.cut(&String::from_utf8_lossy(&text)));
        let again =
            status.is_server_error() || matches!(status.as_u16(), 408 | 409) || status.as_u16() == 429 && !quota;
        Failure { message: format!("HTTP {status}{location}: {message}"), again, wait }
    }

    fn ask_once(&self, request: &Request) -> Result<Reply, Failure> {
        let body = json!({
            "model": request.model, "messages": request.messages, "temperature": request.temperature,
            "max_tokens": request.max_tokens, "seed": request.seed, "stream": true,
            "stream_options": {"include_usage": true},
        });
        let mut response = self.open(&body.to_string())?;
        let mut stream = response.body_mut().as_reader();
        let (mut events, mut text, mut usage) = (Events::default(), String::new(), None);
        let mut buffer = [0; 8192];
        let mut silent_since = Instant::now();
        'stream: loop {
            let failed = |e: std::io::Error| self.failure(ureq::Error::from(e), "sign of life");
            let length = stream.read(&mut buffer).map_err(failed)?;
            if length == 0 {
                break;
            }
            let complete = events.push(&buffer[..length]).map_err(|e| Failure::lasting(e.to_string()))?;
            if !complete.is_empty() {
                silent_since = Instant::now();
            } else if silent_since.elapsed() > self.timeout {
                return Err(self.late("sign of life"));
            }
            for data in complete {
                if data == "[DONE]" {
                    break 'stream;
                }
                let unknown = |e: serde_json::Error| {
                    let shown = beginning(&self.key.cut(&data));
                    Failure::lasting(format!("a streamed reply that is none of chat/completions: {e}: {shown}"))
                };
                let chunk: Chunk = serde_json::from_str(&data).map_err(unknown)?;
                usage = chunk.usage.or(usage);
                text.extend(chunk.choices.into_iter().take(1).filter_map(|c| c.delta.content));
                if text.len() > MAX_TEXT {
                    text.truncate(text.floor_char_boundary(MAX_TEXT));
                    break 'stream;
                }
            }
        }
        let text = self.key.cut(&text);
        let guess = || Usage {
            prompt_tokens: request.messages.iter().map(|m| estimate(&m.content)).sum(),
            completion_tokens: estimate(&text),
        };
        let usage = usage.filter(|u| u.prompt_tokens + u.completion_tokens > 0).unwrap_or_else(guess);
        Ok(Reply { tokens_in: usage.prompt_tokens, tokens_out: usage.completion_tokens, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Message;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A server of a few lines over real HTTP: answers connection after connection with these texts.
    fn server(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let handle = std::thread::spawn(move || {
            let mut seen = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = Vec::new();
                let mut buffer = [0; 4096];
                loop {
                    let n = stream.read(&mut buffer).unwrap();
                    asked.extend_from_slice(&buffer[..n]);
                    let text = String::from_utf8_lossy(&asked);
                    let done = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                        let length = head
                            .to_lowercase()
                            .lines()
                            .find_map(|l| l.strip_prefix("content-length: ").map(str::to_owned));
                        length.and_then(|l| l.trim().parse::<usize>().ok()).is_some_and(|l| body.len() >= l)
                    });
                    if done || n == 0 {
                        break;
                    }
                }
                seen.push(String::from_utf8_lossy(&asked).into_owned());
                stream.write_all(answer.as_bytes()).unwrap();
            }
            seen
        });
        (base, handle)
    }

    fn ok(body: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn request() -> Request {
        Request { model: "m".into(), messages: vec![Message::user("hi")], temperature: 0.5, max_tokens: 9, seed: 3 }
    }

    #[test]
    fn a_stream_is_read_after_a_broken_try_and_the_key_is_cut_out() {
        let part = |text: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
        let body = part("your key is ")
            + part("sk-secret-1").as_str()
            + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
        let (base, handle) = server(vec!["HTTP/1.1 200 OK\r\nContent-Le".into(), ok(&body)]);
        let endpoint = Endpoint::new(&base, Key::new("sk-secret-1"), Duration::from_secs(5), 3);
        let replies = endpoint.ask(&[&request()]).unwrap();
        assert_eq!(replies, [Reply { text: "your key is [key]".into(), tokens_in: 5, tokens_out: 2 }]);
        let seen = handle.join().unwrap();
        assert!(seen[1].contains("/v1/chat/completions") && seen[1].contains("sk-secret-1"));
        assert!(!format!("{endpoint:?}").contains("sk-"));
    }

    fn refuse(status: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}")
    }

    #[test]
    fn a_refusal_is_told_without_the_key_and_not_tried_again() {
        let body = r#"{"error":{"message":"bad key sk-secret-2","type":"auth","param":null,"code":null}}"#;
        let (base, handle) = server(vec![refuse("401 Unauthorized", "", body)]);
        let endpoint = Endpoint::new(&base, Key::new("sk-secret-2"), Duration::from_secs(5), 3);
        let error = endpoint.ask(&[&request()]).unwrap_err().to_string();
        let expected = format!("{base}, model m: HTTP 401 Unauthorized: auth: bad key [key]; check --base-url, ");
        assert!(error.starts_with(&expected), "{error}");
        assert_eq!(handle.join().unwrap().len(), 1);
    }

    #[test]
    fn a_busy_server_is_asked_again_when_it_says() {
        let moved = refuse("307 Temporary Redirect", "Location: /other/place\r\n", "");
        let busy = refuse("429 Too Many Requests", "Retry-After: 1\r\n", "slow down");
        let (base, handle) = server(vec![busy, moved, ok("data: {\"choices\":[]}\n\ndata: [DONE]\n\n")]);
        let began = Instant::now();
        let endpoint = Endpoint::new(&base, Key::default(), Duration::from_secs(5), 2);
        assert_eq!(endpoint.ask(&[&request()]).unwrap().len(), 1);
        assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
        let seen = handle.join().unwrap();
        assert!(seen[2].starts_with("POST /other/place ") && !seen[2].to_lowercase().contains("authorization"));
    }

    #[test]
    fn refusals_are_read_in_the_forms_that_servers_use() {
        let forms = [
            (r#"{"error":{"message":"no","type":"t","code":"c"}}"#, "t: no (code: c)"),
            (r#"{"error":"no such model"}"#, "no such model"),
            (r#"{"detail":"not found"}"#, "not found"),
            ("<html>Bad gateway</html>", "<html>Bad gateway</html>"),
            (" ", "no text"),
        ];
        for (text, expected) in forms {
            assert_eq!(refusal(text), (expected.to_string(), false));
        }
        let (_, quota) = refusal(r#"{"error":{"message":"pay","type":"insufficient_quota"}}"#);
        assert!(quota, "waiting mends no empty account");
    }

    #[test]
    fn the_key_stays_on_its_host() {
        let from: Uri = "http://host:8080/v1/chat/completions".parse().unwrap();
        let to = |location: &str| moved(&from, location).map(|uri| uri.to_string());
        assert_eq!(to("/v2").as_deref(), Some("http://host:8080/v2"));
        assert_eq!(to("http://host:8080/v3").as_deref(), Some("http://host:8080/v3"));
        for elsewhere in ["//other/v1", "http://other:8080/v1", "https://host:8080/v1", "http://host/v1", "v1"] {
            assert_eq!(to(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_stream_of_nothing_but_comments_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let handle = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").unwrap();
            // Until the client has had enough.
            while stream.write_all(b": still there\n\n").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let endpoint = Endpoint::new(&base, Key::default(), Duration::from_millis(400), 1);
        let error = endpoint.ask(&[&request()]).unwrap_err().to_string();
        assert!(error.contains("no sign of life within 0.4 s"), "{error}");
        drop(endpoint);
        handle.join().unwrap();
    }

    #[test]
    fn what_is_no_url_is_told() {
        let endpoint = Endpoint::new("127.0.0.1:8080/v1", Key::default(), Duration::from_secs(1), 3);
        let error = endpoint.ask(&[&request()]).unwrap_err().to_string();
        assert!(
            error.contains("expected a base URL as http://127.0.0.1:8080/v1") && !error.contains("tried"),
            "{error}"
        );
    }

    #[test]
    fn a_silent_server_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let endpoint = Endpoint::new(&base, Key::default(), Duration::from_millis(300), 2);
        let error = endpoint.ask(&[&request()]).unwrap_err().to_string();
        assert!(error.contains("no answer within") && error.contains("tried 2 times"), "{error}");
    }
}
