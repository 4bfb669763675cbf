//! Budgets of tokens and money: nothing is asked that could pass them.

use super::{Reply, Request};
use crate::error::SearchError;
use serde::{Deserialize, Serialize};

/// Bytes of text a token stands for, where nobody counted: low, so that estimates are high.
const BYTES_PER_TOKEN: usize = 3;

/// What was spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Requests.
    pub requests: u64,
    /// Tokens of requests.
    pub tokens_in: u64,
    /// Tokens of replies.
    pub tokens_out: u64,
    /// Money, in the unit of the prices.
    pub money: f64,
}

impl Spent {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            tokens_in: self.tokens_in + other.tokens_in,
            tokens_out: self.tokens_out + other.tokens_out,
            money: self.money + other.money,
        }
    }
}

/// Limits and prices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Tokens in all, of requests and replies; none: no limit.
    pub tokens: Option<u64>,
    /// Money in all.
    pub money: Option<f64>,
    /// Price of a million tokens of requests.
    pub price_in: f64,
    /// Price of a million tokens of replies.
    pub price_out: f64,
    /// Spent so far.
    pub spent: Spent,
}

/// Tokens of a text, estimated high.
pub fn estimate(text: &str) -> u64 {
    text.len().div_ceil(BYTES_PER_TOKEN) as u64
}

impl Budget {
    /// Money for so many tokens.
    pub fn cost(&self, tokens_in: u64, tokens_out: u64) -> f64 {
        (tokens_in as f64 * self.price_in + tokens_out as f64 * self.price_out) / 1e6
    }

    /// What a request could cost at most, when there is room for it besides what is planned.
    ///
    /// # Errors
    /// When a budget could be passed.
    pub fn room(&self, planned: &Spent, request: &Request) -> Result<Spent, SearchError> {
        let tokens_in = request.messages.iter().map(|m| 4 + estimate(&m.content)).sum();
        let tokens_out = u64::from(request.max_tokens);
        let cost = Spent { requests: 1, tokens_in, tokens_out, money: self.cost(tokens_in, tokens_out) };
        let all = self.spent.plus(planned).plus(&cost);
        if let Some(limit) = self.tokens.filter(|&limit| all.tokens_in + all.tokens_out > limit) {
            let used = self.spent.tokens_in + self.spent.tokens_out;
            let next = tokens_in + tokens_out;
            return Err(SearchError::Budget(format!(
                "token budget: {used} of {limit} are spent, the next request could take {next}; raise --budget-tokens or \
                 lower --max-tokens"
            )));
        }
        if let Some(limit) = self.money.filter(|&limit| all.money > limit) {
            return Err(SearchError::Budget(format!(
                "money budget: {:.4} of {limit} are spent, the next request could take {:.4}; raise --budget-money or lower \
                 --max-tokens",
                self.spent.money, cost.money
            )));
        }
        Ok(cost)
    }

    /// Counts a reply.
    pub fn spend(&mut self, reply: &Reply) {
        let (tokens_in, tokens_out) = (reply.tokens_in, reply.tokens_out);
        let money = self.cost(tokens_in, tokens_out);
        self.spent = self.spent.plus(&Spent { requests: 1, tokens_in, tokens_out, money });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Message;

    #[test]
    fn nothing_is_asked_that_could_pass_a_budget() {
        let message = Message::user("x".repeat(300));
        let request =
            Request { model: "m".into(), messages: vec![message], temperature: 1.0, max_tokens: 100, seed: 0 };
        let mut budget =
            Budget { tokens: Some(500), money: Some(1.0), price_in: 100.0, price_out: 1000.0, ..Budget::default() };
        let cost = budget.room(&Spent::default(), &request).unwrap();
        assert_eq!((cost.tokens_in, cost.tokens_out), (104, 100));
        assert!((cost.money - 0.1104).abs() < 1e-12);
        budget.spend(&Reply { text: String::new(), tokens_in: 100, tokens_out: 90, ending: None });
        assert!(budget.room(&cost, &request).unwrap_err().to_string().contains("token budget: 190 of 500"));
        budget.tokens = None;
        budget.spend(&Reply { text: String::new(), tokens_in: 0, tokens_out: 800, ending: None });
        assert!(budget.room(&Spent::default(), &request).unwrap_err().to_string().contains("money budget"));
    }
}
