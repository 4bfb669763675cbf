//! What servers really answer, over HTTP: each line of `data/answers.jsonl` is an answer as servers and gateways are
//! known to give it, and what must come of it; each line of `data/fields.jsonl` a refusal of fields.

use pavlov_search::SearchError;
use pavlov_search::client::{Ending, Endpoint, Key, Message, Reply, Request};
use serde::Deserialize;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const KEY: &str = "sk-of-the-table-0123";

/// A row: an answer, and what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    /// Status and headers.
    head: String,
    body: String,
    /// The text of the reply; none when it fails.
    text: Option<String>,
    /// How it ended, where not by itself.
    ending: Option<Ending>,
    /// Tokens of request and reply, where they are told.
    tokens: Option<(u64, u64)>,
    /// Words of the failure.
    fails: Option<String>,
    /// Is it tried again?
    #[serde(default)]
    again: bool,
}

/// A row: a refusal of requests that have one of these fields. Others are answered well.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    head: String,
    body: String,
    refused: Vec<String>,
}

const SSE: &str = "200 OK\r\nContent-Type: text/event-stream";
const GOOD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"good\"}}]}\n\ndata: [DONE]\n\n";

fn rows<T: for<'a> Deserialize<'a>>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// Reads a request; gives its body.
fn read_request(stream: &mut TcpStream) -> String {
    let (mut asked, mut buffer) = (Vec::new(), [0; 65536]);
    loop {
        let n = stream.read(&mut buffer).unwrap_or(0);
        asked.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&asked);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
            if length.is_some_and(|l| body.len() >= l) {
                return body.to_string();
            }
        }
        if n == 0 {
            return String::new();
        }
    }
}

/// A server that answers each request by its body; gives its base URL, and the bodies it was sent.
fn server(answer: impl Fn(&str) -> (String, String) + Send + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let request = read_request(&mut stream);
            let (head, body) = answer(&request);
            seen.lock().unwrap().push(request);
            let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
    });
    (base, asked)
}

fn ask(endpoint: &Endpoint) -> Result<Reply, SearchError> {
    let messages = vec![Message::user("y")];
    let request = Request { model: "m".into(), messages, temperature: 0.5, max_tokens: 9, seed: 3 };
    endpoint.ask(&[&request], &AtomicBool::new(false)).map(|mut replies| replies.remove(0))
}

/// What is wrong with what came of an answer; none when it is as it must be.
fn fault(row: &Row) -> Option<String> {
    let (head, body) = (row.head.clone(), row.body.clone());
    let (base, asked) = server(move |_| (head.clone(), body.clone()));
    let endpoint = Endpoint::new(&base, Key::new(KEY), Duration::from_secs(60), 2).unwrap();
    let came = ask(&endpoint);
    let times = asked.lock().unwrap().len();
    let fits = times == 1 + usize::from(row.again)
        && match &came {
            Ok(reply) => {
                row.text.as_ref() == Some(&reply.text)
                    && row.ending == reply.ending
                    && row.tokens.is_none_or(|tokens| tokens == (reply.tokens_in, reply.tokens_out))
            }
            Err(e) => row.fails.as_ref().is_some_and(|words| e.to_string().contains(words)),
        };
    (!fits).then(|| format!("{}: {row:?}: found {came:?} after {times} requests", row.name))
}

#[test]
fn answers_are_read_as_servers_give_them() {
    let rows: Vec<Row> = rows(include_str!("data/answers.jsonl"));
    assert!(rows.len() >= 60, "{} shapes", rows.len());
    let faults: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = rows.iter().map(|row| scope.spawn(|| fault(row))).collect();
        workers.into_iter().filter_map(|worker| worker.join().unwrap()).collect()
    });
    println!("{} shapes, {} faults", rows.len(), faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn refused_fields_are_left_out_for_the_rest_of_the_run() {
    for row in rows::<Refusal>(include_str!("data/fields.jsonl")) {
        let has = |request: &str, name: &str| request.contains(&format!("\"{name}\":"));
        let (head, body, refused) = (row.head.clone(), row.body.clone(), row.refused.clone());
        let (base, asked) = server(move |request| {
            if refused.iter().any(|name| has(request, name)) {
                return (head.clone(), body.clone());
            }
            (SSE.to_string(), GOOD.to_string())
        });
        let endpoint = Endpoint::new(&base, Key::default(), Duration::from_secs(60), 1).unwrap();
        let reply = ask(&endpoint).unwrap_or_else(|e| panic!("{row:?}: {e}"));
        assert_eq!(reply.text, "good", "{row:?}");
        let first = asked.lock().unwrap().len();
        assert!(!endpoint.take_notes().is_empty(), "{row:?}: nothing is said of it");
        ask(&endpoint).unwrap();
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), first + 1, "{row:?}: it is remembered");
        let last = asked.last().unwrap();
        assert!(!row.refused.iter().any(|name| has(last, name)), "{row:?}: {last}");
        let renamed = row.refused == ["max_tokens"];
        assert_eq!(has(last, "max_completion_tokens"), renamed, "{row:?}: {last}");
        assert!(endpoint.take_notes().is_empty(), "{row:?}: told once");
    }
}
