//! An OpenAI-compatible endpoint, hosted or local: `POST {base}/chat/completions`, streamed.
//!
//! The key comes from `PAVLOV_API_KEY` or the system's keyring (service `pavlov`, user `api-key`). It is kept in a type that does not
//! print, goes into no request that is stored, and is cut out of every text that comes back, errors included.

use super::{Reply, Request, estimate};
use crate::error::SearchError;
use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Requests under way at once.
const SIDE_BY_SIDE: usize = 4;
/// First pause before a request is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A reply longer than this is cut: it is refused later anyway.
const MAX_TEXT: usize = crate::reply::MAX_REPLY + 1;
/// What stands where a key stood.
const CUT: &str = "[key]";

/// An API key. It never prints.
#[derive(Clone, Default)]
pub struct Key(String);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "no key" } else { CUT })
    }
}

impl Key {
    /// This text.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_string())
    }

    /// From `PAVLOV_API_KEY`, else from the system's keyring; none where neither has one, as local servers need none.
    pub fn find() -> Self {
        let own = std::env::var("PAVLOV_API_KEY").ok().filter(|k| !k.trim().is_empty());
        let stored = || keyring::Entry::new("pavlov", "api-key").and_then(|e| e.get_password()).ok();
        own.or_else(stored).map_or_else(Self::default, |k| Self::new(&k))
    }

    /// The text without the key.
    pub fn cut(&self, text: &str) -> String {
        if self.0.len() < 4 { text.to_string() } else { text.replace(&self.0, CUT) }
    }
}

/// An endpoint.
pub struct Endpoint {
    client: Client<OpenAIConfig>,
    key: Key,
    base: String,
    /// Seconds without a sign of life after which a request has failed.
    pub timeout: Duration,
    /// How often a request is tried.
    pub tries: u32,
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

/// Why a try failed, and whether another one may help.
struct Failure {
    message: String,
    again: bool,
}

fn failure(e: &OpenAIError) -> Failure {
    let again = match e {
        OpenAIError::Reqwest(_) | OpenAIError::StreamError(_) => true,
        OpenAIError::ApiError(e) => {
            e.status_code.is_server_error() || matches!(e.status_code.as_u16(), 408 | 409 | 429)
        }
        _ => false,
    };
    let mut message = e.to_string();
    let mut cause = std::error::Error::source(e);
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    Failure { message, again }
}

impl Endpoint {
    /// At this base URL, for example `http://127.0.0.1:8080/v1`.
    pub fn new(base: &str, key: Key, timeout: Duration, tries: u32) -> Self {
        let base = base.trim_end_matches('/').to_string();
        let config = OpenAIConfig::new().with_api_base(&base).with_api_key(&key.0);
        Self { client: Client::with_config(config), key, base, timeout, tries: tries.max(1) }
    }

    /// Asks for all of them, several at once; replies in order.
    ///
    /// # Errors
    /// When one of them fails for good.
    pub fn ask(&self, requests: &[&Request]) -> Result<Vec<Reply>, SearchError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| SearchError::Model(format!("cannot start the client: {e}")))?;
        runtime.block_on(async {
            let all = futures_util::stream::iter(requests.iter().map(|r| self.patiently(r))).buffered(SIDE_BY_SIDE);
            let replies: Vec<Result<Reply, SearchError>> = all.collect().await;
            replies.into_iter().collect()
        })
    }

    async fn patiently(&self, request: &Request) -> Result<Reply, SearchError> {
        let mut pause = FIRST_PAUSE;
        let mut last = String::new();
        for attempt in 1..=self.tries {
            match self.once(request).await {
                Ok(reply) => return Ok(reply),
                Err(Failure { message, again }) => {
                    last = self.key.cut(&message);
                    if !again || attempt == self.tries {
                        let tries = if attempt > 1 { format!(" (tried {attempt} times)") } else { String::new() };
                        return Err(SearchError::Model(format!(
                            "{}: {last}{tries}; check --base-url, --model and the key in PAVLOV_API_KEY",
                            self.base
                        )));
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(SearchError::Model(last))
    }

    async fn once(&self, request: &Request) -> Result<Reply, Failure> {
        let body = json!({
            "model": request.model, "messages": request.messages, "temperature": request.temperature,
            "max_tokens": request.max_tokens, "seed": request.seed, "stream": true,
            "stream_options": {"include_usage": true},
        });
        let late = |what: &str| Failure {
            message: format!("no {what} within {:.0} s", self.timeout.as_secs_f64()),
            again: true,
        };
        let opened = tokio::time::timeout(self.timeout, self.client.chat().create_stream_byot::<_, Value>(body)).await;
        let mut stream = opened.map_err(|_| late("answer"))?.map_err(|e| failure(&e))?;
        let (mut text, mut usage) = (String::new(), None);
        loop {
            let next = tokio::time::timeout(self.timeout, stream.next()).await.map_err(|_| late("sign of life"))?;
            let Some(part) = next else { break };
            let part = part.map_err(|e| failure(&e))?;
            let unknown =
                |e: serde_json::Error| Failure { message: format!("a reply that is none: {e}"), again: false };
            let chunk: Chunk = serde_json::from_value(part).map_err(unknown)?;
            usage = chunk.usage.or(usage);
            text.extend(chunk.choices.into_iter().take(1).filter_map(|c| c.delta.content));
            if text.len() > MAX_TEXT {
                let end = (0..=MAX_TEXT).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
                text.truncate(end);
                break;
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

    #[test]
    fn a_refusal_is_told_without_the_key_and_not_tried_again() {
        let body = r#"{"error":{"message":"bad key sk-secret-2","type":"auth","param":null,"code":null}}"#;
        let answer = format!(
            "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (base, handle) = server(vec![answer]);
        let endpoint = Endpoint::new(&base, Key::new("sk-secret-2"), Duration::from_secs(5), 3);
        let error = endpoint.ask(&[&request()]).unwrap_err().to_string();
        assert!(error.contains("bad key [key]") && error.contains("--base-url"), "{error}");
        assert_eq!(handle.join().unwrap().len(), 1);
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
