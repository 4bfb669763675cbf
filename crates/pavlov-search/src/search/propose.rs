//! Filling the places of an iteration: by the embedded generator, by a model, or from what a person brought.

use super::{Basis, Event, Generator, Judge, JudgedBy, Search};
use crate::client::{Message, Request};
use crate::error::SearchError;
use crate::gate::JudgedFor;
use crate::grammar::propose as draw;
use crate::lineage::{At, Candidate, Exchange, Outcome, Rejection, Status, diff};
use crate::prompt;
use pavlov_reward::Reward;

/// How often the generator draws again for a place; drawing costs a fraction of a second.
const DRAWS: u32 = 12;

impl Search<'_> {
    /// Fills the places of an iteration that are not filled yet. True: a budget ends the search with this iteration.
    pub(super) fn propose(&mut self, iteration: u32) -> Result<bool, SearchError> {
        self.given(iteration)?;
        if !self.settings.mode.generates() {
            return Ok(false);
        }
        match self.settings.generator {
            Generator::Embedded => self.generate(iteration).map(|()| false),
            Generator::Llm => self.converse(iteration),
        }
    }

    fn last_attempt(&self, iteration: u32, place: u32) -> Option<&Candidate> {
        self.candidates.iter().rev().find(|c| (c.at.iteration, c.at.place) == (iteration, place))
    }

    /// Rewards given take the first places of iteration 0; where no generator fills places there is nothing else.
    fn given(&mut self, iteration: u32) -> Result<(), SearchError> {
        if iteration > 0 {
            return Ok(());
        }
        let operator = self.settings.mode.operator_of_given();
        for (place, given) in self.settings.given.clone().into_iter().enumerate() {
            let at = At::new(0, place as u32);
            if self.candidate(at).is_some() {
                continue;
            }
            let mut c = Candidate { at, operator: operator.into(), detail: given.name, ..Candidate::default() };
            let bare = given.script.contains("```") || given.manifest.is_empty() && !given.script.contains("fn reward");
            let judge = self.gatekeeper();
            if bare {
                c = judge.reply(c, &given.script, &[&self.human])?.0;
            } else {
                (c.script, c.manifest) = (given.script, given.manifest);
                judge.judge(&mut c, &[&self.human])?;
            }
            self.put(c)?;
        }
        Ok(())
    }

    /// The difference of a candidate to its first parent.
    fn with_diff(&self, mut c: Candidate) -> Candidate {
        if let Some(parent) = c.parents.first().and_then(|p| self.candidate(*p)) {
            let whole = |c: &Candidate| format!("{}\n{}", c.script.trim_end(), c.manifest.trim());
            let (old, new) = (parent.at.to_string(), c.at.to_string());
            c.diff = diff((&old, &whole(parent)), (&new, &whole(&c)));
        }
        c
    }

    fn generate(&mut self, iteration: u32) -> Result<(), SearchError> {
        let parents = self.parents(iteration);
        let from = if iteration == 0 { self.settings.given.len() as u32 } else { 0 };
        for place in from..self.settings.places(iteration) {
            loop {
                let attempt = match self.last_attempt(iteration, place) {
                    Some(c) if c.status != Status::Refused || c.at.attempt + 1 >= DRAWS => break,
                    Some(c) => c.at.attempt + 1,
                    None => 0,
                };
                self.halt()?;
                let at = At { attempt, ..At::new(iteration, place) };
                let p = draw(self.settings.seed, at, &self.catalogue, &parents, self.ways());
                let (script, manifest) = p.genome.render(&self.catalogue);
                let mut c = Candidate {
                    at,
                    parents: p.parents,
                    operator: p.operator.into(),
                    detail: p.detail,
                    script,
                    manifest,
                    genes: p.genome.to_json(),
                    ..Candidate::default()
                };
                match self.twin(&c) {
                    Some(other) => {
                        c.status = Status::Refused;
                        c.verdict.errors = vec![Rejection {
                            rule: "twin".into(),
                            message: format!("the same as {other}"),
                            hint: "draw another".into(),
                        }];
                    }
                    None => self.judge(&mut c)?,
                }
                let c = self.with_diff(c);
                self.put(c)?;
            }
        }
        Ok(())
    }

    /// An admitted candidate with the same script and manifest: training it again would tell nothing.
    fn twin(&self, c: &Candidate) -> Option<At> {
        let same = |o: &&Candidate| o.status != Status::Refused && (&o.script, &o.manifest) == (&c.script, &c.manifest);
        self.candidates.iter().find(same).map(|o| o.at)
    }

    /// Who judges. Where a rater does, what the task asks is not asked of a candidate.
    fn gatekeeper(&self) -> Judge<'_> {
        let judged_for = match self.settings.mode.judged_by() {
            JudgedBy::Fitness => JudgedFor::Task,
            JudgedBy::Rater => JudgedFor::Running,
        };
        Judge { task: &self.task, audit: &self.audit, pool: &self.pool, judged_for }
    }

    /// Judges a candidate beside the human reward and its parents.
    fn judge(&self, c: &mut Candidate) -> Result<(), SearchError> {
        let parents = self.rewards(&c.parents);
        let mut others: Vec<&Reward> = vec![&self.human];
        others.extend(c.parents.iter().filter_map(|p| parents.get(p)));
        self.gatekeeper().judge(c, &others)?;
        Ok(())
    }

    /// The opening of every conversation.
    fn opening(&self) -> Vec<Message> {
        let p = &self.means.prompts;
        let task = &self.task;
        let values = [
            ("task", task.name.clone()),
            ("about", task.about().to_string()),
            ("wish", self.settings.wish.clone()),
            ("card", prompt::card(task, self.settings.mode.judged_by() == JudgedBy::Fitness)),
            ("names", pavlov_script::documentation()),
            ("modules", pavlov_script::module_documentation(&task.scene().lib)),
            ("examples", prompt::examples(self.means.assets, task)),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        vec![Message::system(p.fill("system", &[])), Message::user(p.fill("task", &values))]
    }

    /// What is asked for at a place, and the candidates it is made from.
    fn conversation(&self, iteration: u32, place: u32) -> (Vec<Message>, Vec<At>) {
        let mut messages = self.opening();
        let base = if iteration == 0 && !self.settings.given.is_empty() {
            Some(At::new(0, 0))
        } else {
            self.settings.mode.base(self, iteration, place)
        };
        let Some(parent) = base.and_then(|at| self.candidate(at)) else { return (messages, Vec::new()) };
        let Some(outcome) = self.search_outcomes(parent.at).next() else {
            messages.push(Message::assistant(prompt::reward(&parent.script, &parent.manifest)));
            messages.push(Message::user("A person wrote this reward. Write a better one, whole, in the same form.\n"));
            return (messages, vec![parent.at]);
        };
        let answer = iteration.checked_sub(1).and_then(|i| self.answers.iter().find(|a| a.iteration == i));
        let basis = Basis { iteration, place, parent, outcome, answer };
        let (follow_up, parents) = self.settings.mode.follow_up(self, &basis);
        messages.extend(follow_up);
        (messages, parents)
    }

    /// Statistics of a training as a model is told of them, with fitness and success or without; empty without
    /// reflection.
    pub(super) fn statistics(&self, outcome: &Outcome, measured: bool) -> String {
        if self.settings.reflection { prompt::statistics(outcome, measured) } else { String::new() }
    }

    /// Asks for a better reward than the parent: its script, then the statistics of its training, with fitness or a
    /// person's words.
    pub(super) fn reflect(&self, basis: &Basis<'_>) -> (Vec<Message>, Vec<At>) {
        let Basis { iteration, place, parent, outcome, .. } = *basis;
        let mut said = basis.said();
        // Words of a person stand in place of fitness.
        let measured = said.is_empty();
        let result = format!(
            "Fitness of the policy, played without noise: {:.4}; success {:.0}%.",
            outcome.fitness,
            100.0 * outcome.success
        );
        let mut parents = vec![parent.at];
        if let Some(other) = self.partner(iteration, place).and_then(|at| self.candidate(at)) {
            let text = prompt::reward(&other.script, &other.manifest);
            said += &format!("\n\nAnother reward that did well:\n\n{text}\nCombine the two.");
            parents.push(other.at);
        }
        let (points, statistics) = (outcome.curve.len().to_string(), self.statistics(outcome, measured));
        let values = [
            ("result", if measured { result.as_str() } else { "" }),
            ("points", points.as_str()),
            ("statistics", statistics.as_str()),
            ("words", said.as_str()),
        ];
        let request = Message::user(self.means.prompts.fill("reflect", &values));
        (vec![Message::assistant(prompt::reward(&parent.script, &parent.manifest)), request], parents)
    }

    /// With islands the last quarter of the places combines the best of two of them.
    fn partner(&self, iteration: u32, place: u32) -> Option<At> {
        let (islands, count) = (self.settings.islands, self.settings.candidates);
        (islands > 1 && iteration > 0 && place >= count - count.div_ceil(4))
            .then(|| self.settings.mode.base(self, iteration, place + 1))
            .flatten()
    }

    fn request(&self, messages: Vec<Message>, at: At) -> Request {
        let s = &self.settings;
        let seed = s.seed + 1_000_000 * u64::from(at.iteration) + 1000 * u64::from(at.place) + u64::from(at.attempt);
        Request { model: s.model.clone(), messages, temperature: s.temperature, max_tokens: s.max_tokens, seed }
    }

    /// Asks the model for every place, then sends refused ones back with their errors.
    fn converse(&mut self, iteration: u32) -> Result<bool, SearchError> {
        let from = if iteration == 0 { self.settings.given.len() as u32 } else { 0 };
        let places: Vec<u32> = (from..self.settings.places(iteration)).collect();
        for attempt in 0..=self.settings.repairs {
            let due: Vec<At> = places
                .iter()
                .filter(|&&place| match self.last_attempt(iteration, place) {
                    None => attempt == 0,
                    Some(c) => c.status == Status::Refused && c.at.attempt + 1 == attempt,
                })
                .map(|&place| At { attempt, ..At::new(iteration, place) })
                .collect();
            if self.exchange(&due)? {
                self.lineage.set("cut", &iteration)?;
                return Ok(true);
            }
        }
        Ok(self.lineage.get::<u32>("cut")? == Some(iteration))
    }

    /// One exchange for each of these. True: a budget refused some.
    fn exchange(&mut self, due: &[At]) -> Result<bool, SearchError> {
        let known = self.lineage.exchanges()?;
        let mut all: Vec<(At, Request, Vec<At>)> = Vec::new();
        for &at in due {
            let (mut messages, mut parents) = self.conversation(at.iteration, at.place);
            if at.attempt > 0 {
                let before = At { attempt: at.attempt - 1, ..at };
                let reply = known.iter().find(|e| e.at == before).map_or("", |e| &e.reply);
                // A reply of a megabyte does not go back, and some servers refuse a message without text.
                let cut: String = reply.chars().take(20_000).collect();
                let cut = if cut.trim().is_empty() { "(no text)".into() } else { cut };
                messages.push(Message::assistant(cut));
                let errors = self.candidate(before).map(|c| prompt::errors(&c.verdict)).unwrap_or_default();
                messages.push(Message::user(self.means.prompts.fill("repair", &[("errors", &errors)])));
                parents = vec![before];
            }
            all.push((at, self.request(messages, at), parents));
        }
        let ask: Vec<(At, Request)> = all
            .iter()
            .filter(|(at, ..)| !known.iter().any(|e| e.at == *at))
            .map(|(at, r, _)| (*at, r.clone()))
            .collect();
        let mut refused = false;
        // A few at a time, so that a kill loses few.
        for part in ask.chunks(4) {
            self.halt()?;
            let Some(model) = &mut self.means.model else { break };
            let replies = model.ask(part, self.means.stop);
            for note in model.take_notes() {
                (self.means.on_event)(&Event::Note(&note));
            }
            let replies = match replies {
                Ok(replies) => replies,
                Err(SearchError::Budget(why)) => {
                    self.note(&why);
                    refused = true;
                    break;
                }
                Err(e) => return Err(e),
            };
            for ((at, request), reply) in part.iter().zip(&replies) {
                self.lineage.put_exchange(&Exchange {
                    at: *at,
                    hash: request.hash(),
                    request: serde_json::to_value(request).unwrap_or_default(),
                    money: model.budget.cost(reply.tokens_in, reply.tokens_out),
                    reply: reply.text.clone(),
                    tokens_in: reply.tokens_in,
                    tokens_out: reply.tokens_out,
                    ending: reply.ending,
                })?;
            }
            if replies.len() < part.len() {
                refused = true;
                break;
            }
        }
        let known = self.lineage.exchanges()?;
        for (at, request, parents) in all {
            let Some(e) = known.iter().find(|e| e.at == at) else { continue };
            let operator = if at.attempt > 0 { "repair" } else { "model" };
            let c = Candidate {
                at,
                parents,
                operator: operator.into(),
                prompt: Some(request.hash()),
                ..Candidate::default()
            };
            let rewards = self.rewards(&c.parents);
            let mut others: Vec<&Reward> = vec![&self.human];
            others.extend(c.parents.iter().filter_map(|p| rewards.get(p)));
            let judge = self.gatekeeper();
            let (c, _) = judge.answer(c, e, &others)?;
            let c = self.with_diff(c);
            self.put(c)?;
        }
        Ok(refused)
    }
}
