//! Server-sent events, as far as a client of streamed replies needs them: bytes in, the data of one event after the
//! other out.
//!
//! Lines end with LF, CR or CRLF; a line `data: text` or `data:text` adds a line to the event; an empty line ends the
//! event; lines that begin with `:` are comments; other fields are passed over, but for events named `keepalive`, which
//! have no data to read, and lines `error: text`, in which llama.cpp's server tells of errors as in `data`. An event
//! that the end of the stream cuts off is dropped. Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream".

/// Bytes of an answer that is not streamed, or of an event: of such JSON a few ten times as much memory is taken.
pub const MAX_PART: usize = 512 << 10;

/// A line or an event was longer than [`MAX_PART`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an event of more than {} KiB in the streamed reply", MAX_PART >> 10)
    }
}

/// Takes a stream apart.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
    data: Option<String>,
    keepalive: bool,
    after_cr: bool,
    past_first_line: bool,
}

impl Events {
    /// Takes these bytes, whatever they are cut off at; gives the data of each event that they complete.
    ///
    /// # Errors
    /// When a line or an event is too long.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut complete = Vec::new();
        for &byte in bytes {
            // The LF of a CRLF: its line has ended with the CR.
            let second_half = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            if second_half {
                continue;
            }
            if byte == b'\n' || byte == b'\r' {
                let line = std::mem::take(&mut self.line);
                complete.extend(self.end_of_line(&line)?);
            } else if self.line.len() < MAX_PART {
                self.line.push(byte);
            } else {
                return Err(TooLong);
            }
        }
        Ok(complete)
    }

    /// Takes a whole line in; gives the data of the event that it ends.
    fn end_of_line(&mut self, line: &[u8]) -> Result<Option<String>, TooLong> {
        let mut line = String::from_utf8_lossy(line);
        if !std::mem::replace(&mut self.past_first_line, true)
            && let Some(rest) = line.strip_prefix('\u{feff}')
        {
            line = rest.to_string().into();
        }
        if line.is_empty() {
            let keepalive = std::mem::take(&mut self.keepalive);
            return Ok(self.data.take().filter(|_| !keepalive));
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" | "error" => match &mut self.data {
                Some(data) if data.len() + value.len() > MAX_PART => return Err(TooLong),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_string()),
            },
            "event" => self.keepalive = value == "keepalive",
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let mut events = Events::default();
        pieces.iter().flat_map(|piece| events.push(piece).unwrap()).collect()
    }

    #[test]
    fn events_are_read_whatever_ends_their_lines_and_wherever_they_are_cut() {
        let text = "\u{feff}: a comment\ndata: {\"a\": 1}\n\ndata:two\ndata\ndata:  three\nid: 7\nretry: 10\n\n\n\
                    event: keepalive\ndata: -\n\nevent: message\nerror: ä\n\n:\n\ndata: [DONE]\n\ndata: cut off\n";
        let expected = ["{\"a\": 1}", "two\n\n three", "ä", "[DONE]"];
        for end in ["\n", "\r", "\r\n"] {
            let text = text.replace('\n', end);
            assert_eq!(events(&[text.as_bytes()]), expected, "{end:?}");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(events(&bytes), expected, "{end:?}, byte by byte");
        }
    }

    #[test]
    fn endless_lines_and_events_are_refused() {
        assert_eq!(Events::default().push(&vec![b'x'; MAX_PART + 1]), Err(TooLong));
        let mut events = Events::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; MAX_PART / 2], b"\n"].concat();
        assert!((0..4).any(|_| events.push(&line).is_err()));
    }
}
