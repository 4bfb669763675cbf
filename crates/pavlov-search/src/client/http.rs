//! An OpenAI-compatible endpoint, hosted or local: `POST {base}/chat/completions`, streamed.
//!
//! `--timeout` (seconds) bounds a try from its first byte to its last, whatever the server does; `answer.rs` bounds
//! what is read. A request is tried again where that may help: after a broken connection, silence, an error within a
//! stream, and the statuses 408, 409, 425, 429 and 5xx, with pauses that double, or as long as the server asks for.
//! Fields that a server refuses are left out for the rest of the run (`fields.rs`). The key goes into no request that
//! is stored and is cut out of every text that comes back, errors included.
//!
//! Requests are made by threads that nobody waits for: who asked is told of an answer, of the first failure, or goes at
//! once when it is to stop. A thread that was left alone ends with its try.

use super::agent::agent;
use super::answer::Answer;
use super::failure::Failure;
use super::fields::Fields;
use super::{Key, Reply, Request};
use crate::error::SearchError;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::{HeaderName, HeaderValue, Response, Uri, header};
use ureq::{Agent, Body};

/// Requests under way at once.
const SIDE_BY_SIDE: usize = 4;
/// First pause before a request is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How often is looked whether to stop.
const TICK: Duration = Duration::from_millis(50);
/// Bytes of a refusal that are read.
const MAX_REFUSAL: u64 = 64 << 10;
/// Other places on the same host that a request is sent on to, one after the other.
const MAX_MOVES: usize = 10;
/// Headers that name who pays, with the variables they come from.
const ACCOUNT: [(&str, &str); 2] = [("openai-organization", "OPENAI_ORG_ID"), ("openai-project", "OPENAI_PROJECT_ID")];

/// An endpoint.
pub struct Endpoint(Arc<Line>);

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("base", &self.0.base).field("key", &self.0.key).finish_non_exhaustive()
    }
}

/// What the threads share that ask one endpoint.
struct Line {
    agent: Agent,
    key: Key,
    base: String,
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
    tries: u32,
    /// What the server takes, as far as it has said.
    fields: Mutex<Fields>,
    /// What was learnt and not told yet.
    notes: Mutex<Vec<String>>,
}

/// The address that is asked for a base URL: its path with `/chat/completions`, its query as it is.
fn address(base: &str) -> Result<Uri, SearchError> {
    let shown = pavlov_common::plain(base);
    let wrong = |why: &str| {
        Err(SearchError::Usage(format!("--base-url {shown}: {why}; expected a base URL as http://127.0.0.1:8080/v1")))
    };
    let Ok(uri) = base.parse::<Uri>() else { return wrong("no URL") };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return wrong("no URL with scheme and host");
    };
    if !matches!(scheme, "http" | "https") {
        return wrong("neither http nor https");
    }
    if authority.as_str().contains('@') {
        return Err(SearchError::Usage(
            "--base-url has a user name or a password in it, which would be kept with the search: leave it out and \
             give the key in PAVLOV_API_KEY"
                .into(),
        ));
    }
    let path = uri.path().trim_end_matches('/');
    let path = path.strip_suffix("/chat/completions").unwrap_or(path);
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    match format!("{scheme}://{authority}{path}/chat/completions{query}").parse() {
        Ok(url) => Ok(url),
        Err(_) => wrong("no URL"),
    }
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
    /// At this base URL, for example `http://127.0.0.1:8080/v1`. `timeout` is the time that a try may take in all,
    /// `tries` how often a request is tried.
    ///
    /// # Errors
    /// When the base is no URL, or the key cannot be sent.
    pub fn new(base: &str, key: Key, timeout: Duration, tries: u32) -> Result<Self, SearchError> {
        let base = base.trim().trim_end_matches('/');
        let url = address(base)?;
        let mut headers = Vec::new();
        for (name, variable) in ACCOUNT {
            let Some(value) = std::env::var(variable).ok().filter(|value| !value.trim().is_empty()) else { continue };
            let value = HeaderValue::from_str(value.trim()).map_err(|_| {
                SearchError::Usage(format!("{variable} has a character that no header can carry, as a line break"))
            })?;
            headers.push((HeaderName::from_static(name), value));
        }
        headers.extend(key.authorization()?.map(|value| (header::AUTHORIZATION, value)));
        Ok(Self(Arc::new(Line {
            agent: agent(&url, timeout),
            base: key.cut(&pavlov_common::plain(base)),
            key,
            url,
            headers,
            timeout,
            tries: tries.max(1),
            fields: Mutex::new(Fields::ALL),
            notes: Mutex::new(Vec::new()),
        })))
    }

    /// Asks for all of them, several at once; replies in order. With `stop` set it ends at once.
    ///
    /// # Errors
    /// When one of them fails for good, or it was asked to stop.
    pub fn ask(&self, requests: &[&Request], stop: &AtomicBool) -> Result<Vec<Reply>, SearchError> {
        let (next, left) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let all: Arc<Vec<Request>> = Arc::new(requests.iter().map(|r| (*r).clone()).collect());
        let (sender, receiver) = channel();
        for _ in 0..all.len().min(SIDE_BY_SIDE) {
            let (line, next, left, all) = (self.0.clone(), next.clone(), left.clone(), all.clone());
            let sender = sender.clone();
            std::thread::spawn(move || {
                while !left.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(request) = all.get(index) else { return };
                    if sender.send((index, line.ask_patiently(request, &left))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut replies: Vec<Option<Reply>> = vec![None; all.len()];
        let ended = loop {
            match receiver.recv_timeout(TICK) {
                Ok((index, Ok(reply))) => replies[index] = Some(reply),
                Ok((_, Err(e))) => break Err(e),
                // Every thread is done.
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
                Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => break Err(SearchError::Stopped),
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        left.store(true, Ordering::Relaxed);
        ended?;
        let whole: Option<Vec<Reply>> = replies.into_iter().collect();
        whole.ok_or_else(|| SearchError::Model(format!("{}: a request ended without an answer", self.0.base)))
    }

    /// What was learnt of the server since this was last asked for, in words.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Line {
    /// Asks until there is a reply, as often as it may be tried, unless nobody waits for it any more.
    fn ask_patiently(&self, request: &Request, left: &AtomicBool) -> Result<Reply, SearchError> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let failure = match self.ask_once(request) {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            if !failure.again || attempt >= self.tries {
                let tries = if attempt > 1 { format!(" (tried {attempt} times)") } else { String::new() };
                let model = if request.model.is_empty() {
                    String::new()
                } else {
                    format!(", model {}", pavlov_common::plain(&request.model))
                };
                return Err(SearchError::Model(self.key.cut(&format!(
                    "{}{model}: {}{tries}; check --base-url, --model and the key in PAVLOV_API_KEY",
                    self.base, failure.message
                ))));
            }
            // Nobody waits longer for one more try than for the answer to it.
            let wait = failure.wait.map_or(pause, |wait| wait.clamp(pause, self.timeout.max(pause)));
            let until = Instant::now() + wait;
            while Instant::now() < until {
                if left.load(Ordering::Relaxed) {
                    return Err(SearchError::Stopped);
                }
                std::thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
            }
            pause *= 2;
            attempt += 1;
        }
    }

    /// One try: with fewer and fewer fields, when the server refuses some.
    fn ask_once(&self, request: &Request) -> Result<Reply, Failure> {
        let until = Instant::now() + self.timeout;
        loop {
            let sent = *self.fields.lock().unwrap_or_else(PoisonError::into_inner);
            let failure = match self.exchange(&sent.body(request).to_string(), request, until) {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            let refused = failure.refusal.as_ref().and_then(|(status, refusal)| sent.without(*status, refusal));
            let Some((fewer, note)) = refused else { return Err(failure) };
            let mut fields = self.fields.lock().unwrap_or_else(PoisonError::into_inner);
            // Requests side by side learn the same.
            if fields.and(&fewer) != *fields {
                *fields = fields.and(&fewer);
                self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
            }
        }
    }

    /// What became of a request that ended with an error of the agent. `awaited` is what did not come in time.
    fn failure(&self, error: ureq::Error, awaited: &str) -> Failure {
        match error {
            ureq::Error::Timeout(_) => self.late(awaited),
            ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::TimedOut => self.late(awaited),
            ureq::Error::Io(e) => Failure::passing(format!("the connection failed: {e}")),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::lasting(format!("cannot be asked: {error}")),
            other => Failure::passing(other.to_string()),
        }
    }

    fn late(&self, awaited: &str) -> Failure {
        Failure::passing(format!("no {awaited} within {} s (--timeout)", self.timeout.as_secs_f64()))
    }

    /// An answer whose head had come and that did not end in time: to ask again would take as long.
    fn slow(&self, answer: &Answer) -> Failure {
        if answer.has_begun() {
            return Failure::lasting(format!(
                "the answer had begun and did not end within {} s: --timeout gives it longer, --max-tokens less",
                self.timeout.as_secs_f64()
            ));
        }
        Failure { again: false, ..self.late("sign of life") }
    }

    /// Sends a body; gives the response as soon as its head is there.
    fn open(&self, body: &str, until: Instant) -> Result<Response<Body>, Failure> {
        let failed = |error: ureq::Error| self.failure(error, "answer");
        let mut url = self.url.clone();
        for _ in 0..MAX_MOVES {
            let remaining = until.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return Err(self.late("answer"));
            }
            let post = self.agent.post(&url).config().timeout_global(Some(remaining)).build();
            let mut post = post.content_type("application/json").header(header::ACCEPT, "text/event-stream");
            for (name, value) in &self.headers {
                post = post.header(name, value);
            }
            let response = post.send(body).map_err(failed)?;
            if response.status().is_success() {
                return Ok(response);
            }
            let location = response.headers().get(header::LOCATION).and_then(|l| l.to_str().ok());
            match location.filter(|_| matches!(response.status().as_u16(), 307 | 308)).and_then(|l| moved(&url, l)) {
                Some(to) => url = to,
                None => return Err(self.refused(response, until)),
            }
        }
        Err(Failure::lasting(format!("HTTP redirections without end, the last one to {url}")))
    }

    /// Reads why a request was refused.
    fn refused(&self, mut response: Response<Body>, until: Instant) -> Failure {
        let mut text = Vec::new();
        let mut body = response.body_mut().as_reader().take(MAX_REFUSAL);
        let mut buffer = [0; 8192];
        // As much of it as arrives in time says enough.
        while let Ok(length @ 1..) = body.read(&mut buffer) {
            text.extend_from_slice(&buffer[..length]);
            if Instant::now() >= until {
                break;
            }
        }
        let endless = text.len() as u64 >= MAX_REFUSAL || Instant::now() >= until;
        if endless {
            // The key may have been cut in two.
            text.truncate(text.len().saturating_sub(self.key.longest_form()));
        }
        let body = self.key.cut(&String::from_utf8_lossy(&text));
        let failure = Failure::status(response.status(), response.headers(), &body);
        Failure { again: failure.again && !endless, ..failure }
    }

    /// Sends a body and reads the answer, in the time that there is.
    fn exchange(&self, body: &str, request: &Request, until: Instant) -> Result<Reply, Failure> {
        let mut response = self.open(body, until)?;
        let mut stream = response.body_mut().as_reader();
        let mut answer = Answer::default();
        let mut buffer = [0; 8192];
        loop {
            let length = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(_) if Instant::now() >= until => return Err(self.slow(&answer)),
                Err(e) => return Err(self.failure(ureq::Error::from(e), "sign of life")),
            };
            if answer.push(&buffer[..length], &self.key)? {
                break;
            }
            if Instant::now() >= until {
                return Err(self.slow(&answer));
            }
        }
        answer.end(request, &self.key)
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

    fn endpoint(base: &str, key: Key, timeout: Duration, tries: u32) -> Endpoint {
        Endpoint::new(base, key, timeout, tries).unwrap()
    }

    /// One request, by whoever waits for it.
    fn ask(endpoint: &Endpoint) -> Result<Vec<Reply>, SearchError> {
        endpoint.ask(&[&request()], &AtomicBool::new(false))
    }

    #[test]
    fn a_stream_is_read_after_a_broken_try_and_the_key_is_cut_out() {
        let part = |text: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
        let body = part("your key is ")
            + part("sk-secret-1").as_str()
            + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
        let (base, handle) = server(vec!["HTTP/1.1 200 OK\r\nContent-Le".into(), ok(&body)]);
        let endpoint = endpoint(&base, Key::new("sk-secret-1"), Duration::from_secs(5), 3);
        let replies = ask(&endpoint).unwrap();
        assert_eq!(replies, [Reply { text: "your key is [key]".into(), tokens_in: 5, tokens_out: 2, ending: None }]);
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
        let endpoint = endpoint(&base, Key::new("sk-secret-2"), Duration::from_secs(5), 3);
        let error = ask(&endpoint).unwrap_err().to_string();
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
        let endpoint = endpoint(&base, Key::default(), Duration::from_secs(5), 2);
        assert_eq!(ask(&endpoint).unwrap().len(), 1);
        assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
        let seen = handle.join().unwrap();
        assert!(seen[2].starts_with("POST /other/place ") && !seen[2].to_lowercase().contains("authorization"));
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
        let endpoint = endpoint(&base, Key::default(), Duration::from_millis(400), 1);
        let error = ask(&endpoint).unwrap_err().to_string();
        assert!(error.contains("no sign of life within 0.4 s"), "{error}");
        drop(endpoint);
        handle.join().unwrap();
    }

    #[test]
    fn what_is_no_url_is_told() {
        for base in ["127.0.0.1:8080/v1", "", "ftp://host/v1", "http://", "localhost", "http://a b/v1", "/v1"] {
            let error = Endpoint::new(base, Key::default(), Duration::from_secs(1), 3).unwrap_err();
            let text = error.to_string();
            assert!(error.is_bad_input() && text.contains("expected a base URL as http://127.0.0.1:8080/v1"), "{text}");
        }
        let secret = Endpoint::new("http://me:secret@host/v1", Key::default(), Duration::from_secs(1), 3);
        assert!(!secret.unwrap_err().to_string().contains("secret"));
    }

    #[test]
    fn the_address_keeps_what_a_base_brings() {
        for (base, expected) in [
            ("http://host:8080/v1", "http://host:8080/v1/chat/completions"),
            ("https://host", "https://host/chat/completions"),
            ("https://host/a/v1/", "https://host/a/v1/chat/completions"),
            ("https://host/v1/chat/completions", "https://host/v1/chat/completions"),
            ("https://host/d?api-version=1", "https://host/d/chat/completions?api-version=1"),
        ] {
            assert_eq!(address(base).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn a_silent_server_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let endpoint = endpoint(&base, Key::default(), Duration::from_millis(300), 2);
        let error = ask(&endpoint).unwrap_err().to_string();
        assert!(error.contains("no answer within") && error.contains("tried 2 times"), "{error}");
    }
    /// A server that never ends its answer; gives what was said, and after how long.
    fn endless(head: &'static str, more: &'static str, pause: u64, stop_after: Option<u64>) -> (SearchError, Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let handle = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.write_all(head.as_bytes());
            if more.is_empty() {
                // Silent until the client has gone.
                while stream.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
                return;
            }
            while stream.write_all(more.as_bytes()).is_ok() {
                std::thread::sleep(Duration::from_millis(pause));
            }
        });
        let stop = Arc::new(AtomicBool::new(false));
        if let Some(after) = stop_after {
            let stop = stop.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(after));
                stop.store(true, Ordering::Relaxed);
            });
        }
        let endpoint = endpoint(&base, Key::default(), Duration::from_millis(800), 1);
        let began = Instant::now();
        let error = endpoint.ask(&[&request()], &stop).unwrap_err();
        let took = began.elapsed();
        drop(endpoint);
        handle.join().unwrap();
        (error, took)
    }

    #[test]
    fn answers_without_end_end_in_time() {
        const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        const BAD: &str =
            "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n{\"error\":{\"message\":\"";
        const EVENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"w\"}}]}\n\n";
        for (head, more, pause, expected) in [
            (GOOD, EVENT, 100, "had begun and did not end within 0.8 s: --timeout"),
            (GOOD, "\n", 100, "no sign of life within 0.8 s"),
            (BAD, "x", 100, "HTTP 400 Bad Request: {\"error\":{\"message\":\"x"),
            (BAD, "xxxxxxxxxxxxxxxx", 0, "HTTP 400 Bad Request: {\"error\":{\"message\":\"x"),
            ("HTTP/1.1 200 OK\r\n", "x", 100, "no answer within 0.8 s"),
            ("", "", 100, "no answer within 0.8 s"),
        ] {
            let (error, took) = endless(head, more, pause, None);
            assert!(error.to_string().contains(expected), "{error}");
            assert!(took < Duration::from_millis(1600), "{took:?}: {error}");
        }
    }

    #[test]
    fn who_is_to_stop_does_not_wait_for_an_answer() {
        for head in ["", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"] {
            let (error, took) = endless(head, "", 50, Some(150));
            assert!(matches!(error, SearchError::Stopped) && took < Duration::from_millis(500), "{took:?}: {error}");
        }
    }
}
