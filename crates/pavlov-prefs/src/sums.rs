//! Checksums of labels: CRC-32C of a record's number, time and content, whatever tables these lie in.

use crate::label::{Answer, Entry};

/// What is summed: texts with their lengths in front, numbers as eight bytes.
#[derive(Default)]
struct Content(Vec<u8>);

impl Content {
    fn number(&mut self, x: impl Into<u64>) {
        self.0.extend_from_slice(&x.into().to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// The checksum of a record.
pub(crate) fn checksum(id: u64, at_ms: u64, entry: &Entry) -> u32 {
    let Entry { task, rater, segments, answer, took_ms, versions } = entry;
    let mut all = Content::default();
    all.number(id);
    all.number(at_ms);
    all.number(*took_ms);
    for text in [&**task, rater, &versions.reward, &versions.script, &versions.app] {
        all.text(text);
    }
    all.number(segments.len() as u64);
    for s in segments {
        all.text(&s.run);
        all.text(&s.rollout);
        for number in [s.episode, s.first, s.length] {
            all.number(number);
        }
        all.number(s.reset_seed);
    }
    all.number(answer.kind_index() as u64);
    match answer {
        Answer::Comparison { choice, strength } => {
            all.number(*choice as u64);
            all.number(strength.unwrap_or(0));
        }
        Answer::BestWorst { best, worst } => {
            all.number(*best);
            all.number(*worst);
        }
        Answer::Rating { value, of } => {
            all.number(*value);
            all.number(*of);
        }
        Answer::Skip => {}
        Answer::Mark { first, length, mark } => {
            all.number(*first);
            all.number(*length);
            all.text(mark);
        }
        Answer::Attribute { name, value, of } => {
            all.text(name);
            all.number(*value);
            all.number(*of);
        }
        Answer::Text { text } => all.text(text),
        Answer::Retract { label } => all.number(*label),
    }
    crc32c::crc32c(&all.0)
}
