//! Asking a language model: over HTTP, or from a cassette of recorded replies; budgets, retries, and a key that is
//! never shown.
//!
//! ```text
//! Request ─ Budget (tokens, money: hard stop) ─┬─ Endpoint (fields, time limits, retries) ─ Answer ─> Reply ─ cassette (record)
//!                                              └─ Cassette (replay) ────────────────────────────────> Reply
//! ```

mod agent;
mod answer;
mod budget;
mod cassette;
mod events;
mod failure;
mod fields;
mod http;
mod key;

pub use budget::{Budget, Spent, estimate};
pub use cassette::{Cassette, Line};
pub use http::Endpoint;
pub use key::Key;

use crate::error::SearchError;
use crate::lineage::At;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The rules.
    System,
    /// The search.
    User,
    /// The model.
    Assistant,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What.
    pub content: String,
}

impl Message {
    /// A message of the search.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// A message of the model.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }

    /// The rules.
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: Role::System, content: content.into() }
    }
}

/// What is asked. The same request has the same hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Model.
    pub model: String,
    /// Messages in order.
    pub messages: Vec<Message>,
    /// How free the model is.
    pub temperature: f32,
    /// Tokens of the reply at most.
    pub max_tokens: u32,
    /// Seed of the sampling, where the endpoint has one. Candidates of an iteration differ by it.
    pub seed: u64,
}

impl Request {
    /// SHA-256 over its JSON.
    pub fn hash(&self) -> String {
        pavlov_run::sha256(serde_json::to_string(self).unwrap_or_default().as_bytes())
    }
}

/// How an answer ended, where the model did not end it by itself with text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// At the limit of tokens.
    Tokens,
    /// By a filter of the endpoint.
    Filter,
    /// After thoughts, without an answer.
    Thoughts,
    /// With a call of a tool, of which it was given none.
    Tools,
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Text.
    pub text: String,
    /// Tokens of the request, counted by the endpoint or estimated.
    pub tokens_in: u64,
    /// Tokens of the reply.
    pub tokens_out: u64,
    /// How it ended, where not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

/// Where replies come from.
#[derive(Debug)]
enum Source {
    Http(Box<Endpoint>),
    Replay(Cassette),
}

/// A model that can be asked.
#[derive(Debug)]
pub struct Model {
    source: Source,
    record: Option<PathBuf>,
    /// What was spent, and what may be.
    pub budget: Budget,
}

impl Model {
    /// Over HTTP; with `record` every exchange is added to that cassette.
    pub fn http(endpoint: Endpoint, budget: Budget, record: Option<PathBuf>) -> Self {
        Self { source: Source::Http(Box::new(endpoint)), record, budget }
    }

    /// From a cassette.
    pub fn replay(cassette: Cassette, budget: Budget) -> Self {
        Self { source: Source::Replay(cassette), record: None, budget }
    }

    /// Asks for all of these, several at once, and gives the replies in their order. Asking ends at the first budget
    /// that would be passed: replies before it are given. It ends at once when `stop` is set.
    ///
    /// # Errors
    /// When nothing could be asked for: budget, endpoint, or a cassette that does not match; or it was asked to stop.
    pub fn ask(&mut self, asked: &[(At, Request)], stop: &AtomicBool) -> Result<Vec<Reply>, SearchError> {
        let mut granted = 0;
        let mut refused = None;
        let mut planned = Spent::default();
        for (_, request) in asked {
            match self.budget.room(&planned, request) {
                Ok(cost) => planned = planned.plus(&cost),
                Err(e) => {
                    refused = Some(e);
                    break;
                }
            }
            granted += 1;
        }
        let asked = &asked[..granted];
        if let (true, Some(e)) = (asked.is_empty(), refused) {
            return Err(e);
        }
        let replies = match &self.source {
            Source::Replay(cassette) => asked.iter().map(|(at, r)| cassette.reply(*at, r)).collect::<Result<_, _>>()?,
            Source::Http(endpoint) => endpoint.ask(&asked.iter().map(|(_, r)| r).collect::<Vec<_>>(), stop)?,
        };
        let replies: Vec<Reply> = replies;
        for ((at, request), reply) in asked.iter().zip(&replies) {
            self.budget.spend(reply);
            if let Some(path) = &self.record {
                Cassette::append(path, *at, request, reply)?;
            }
        }
        Ok(replies)
    }
    /// What was learnt of the endpoint since it was last asked for, in words.
    pub fn take_notes(&self) -> Vec<String> {
        match &self.source {
            Source::Http(endpoint) => endpoint.take_notes(),
            Source::Replay(_) => Vec::new(),
        }
    }
}
