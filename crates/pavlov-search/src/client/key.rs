//! The API key: from `PAVLOV_API_KEY` or the system's keyring (service `pavlov`, user `api-key`). Its type does not
//! print it, and it is cut out of every text that comes back, errors included: as it is, in capitals or small letters,
//! in hexadecimal digits, percent-encoded, and in base64, alone or within something longer.

use crate::error::SearchError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ureq::http::HeaderValue;

/// What stands where a key stood.
const CUT: &str = "[key]";
/// Keys shorter than this are words rather than secrets (`none`, `EMPTY`): only the key itself is cut out.
const SECRET: usize = 8;
/// Keys shorter than this are not cut out: every other word would be one.
const SHORTEST: usize = 4;

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
        let from_environment = std::env::var("PAVLOV_API_KEY").ok().filter(|k| !k.trim().is_empty());
        let from_keyring = || keyring::Entry::new("pavlov", "api-key").and_then(|e| e.get_password()).ok();
        from_environment.or_else(from_keyring).map_or_else(Self::default, |k| Self::new(&k))
    }

    /// The header `Authorization` with it; none without a key.
    ///
    /// # Errors
    /// When it has a character that no header can carry: with its place, not with the key.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, SearchError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        if let Some((place, c)) = self.0.chars().enumerate().find(|(_, c)| !(' '..='~').contains(c)) {
            let what = match c {
                '\n' | '\r' => "a line break",
                c if c.is_control() => "a control character",
                _ => "a character other than letters, digits and signs of ASCII",
            };
            return Err(SearchError::Usage(format!(
                "the key in PAVLOV_API_KEY or the keyring has {what} at character {} of {}: no request can carry it; \
                 give the key alone, on one line",
                place + 1,
                self.0.chars().count()
            )));
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0))
            .map_err(|e| SearchError::Usage(format!("the key cannot be sent in a header: {e}")))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// The text without the key.
    pub fn cut(&self, text: &str) -> String {
        if self.0.len() < SHORTEST {
            return text.to_string();
        }
        if self.0.len() < SECRET {
            return text.replace(&self.0, CUT);
        }
        let mut text = without(text, &self.0);
        let bytes = self.0.as_bytes();
        for encoded in [hexadecimal(bytes), percent_encoded(bytes)] {
            text = without(&text, &encoded);
        }
        for encoded in base64_within(bytes) {
            for form in [encoded.replace('+', "-").replace('/', "_"), encoded] {
                text = text.replace(&form, CUT);
            }
        }
        text
    }

    /// Bytes of the longest form in which it is cut out: a text that ends in the middle of one loses so many.
    pub(super) fn longest_form(&self) -> usize {
        3 * self.0.len()
    }
}

/// The text without this part, in capitals or not.
fn without(text: &str, part: &str) -> String {
    let (folded, part) = (text.to_ascii_lowercase(), part.to_ascii_lowercase());
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    // ASCII alone is folded: places are the same in both.
    while let Some(at) = folded[from..].find(&part) {
        out.push_str(&text[from..from + at]);
        out.push_str(CUT);
        from += at + part.len();
    }
    out + &text[from..]
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// As it stands in an address, with letters, digits, `-`, `_`, `.` and `~` as they are.
fn percent_encoded(bytes: &[u8]) -> String {
    let encoded = |b: &u8| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(*b).to_string(),
        b => format!("%{b:02x}"),
    };
    bytes.iter().map(encoded).collect()
}

/// What base64 has in common of all texts with these bytes in them, wherever they begin: a digit is of six bits, so
/// there are three ways to cut them, and the digits at both ends may be of neighbours too.
fn base64_within(bytes: &[u8]) -> [String; 3] {
    [0, 1, 2].map(|before| {
        let shifted = [&vec![0; before], bytes].concat();
        let digits = STANDARD_NO_PAD.encode(&shifted);
        let first = (8 * before).div_ceil(6);
        let last = 8 * shifted.len() / 6;
        digits[first..last].to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    const TEXT: &str = "sk-Pavlov/0123+~Key?";

    #[test]
    fn every_form_of_the_key_is_cut_out() {
        let key = Key::new(TEXT);
        let mut forms = vec![
            TEXT.to_string(),
            TEXT.to_uppercase(),
            TEXT.to_lowercase(),
            hexadecimal(TEXT.as_bytes()),
            hexadecimal(TEXT.as_bytes()).to_uppercase(),
            percent_encoded(TEXT.as_bytes()).to_uppercase(),
        ];
        for around in ["", "B", "Be", "Bearer ", "user:", "{\"key\": \""] {
            let whole = format!("{around}{TEXT}{around}");
            forms.extend([STANDARD.encode(&whole), URL_SAFE.encode(&whole)]);
        }
        for form in forms {
            let shown = key.cut(&format!("ä before {form} behind"));
            assert!(shown.contains(CUT) && shown.starts_with("ä before ") && shown.ends_with(" behind"), "{shown}");
            // What is left of base64 are the digits of what stood around the key.
            assert!(shown.len() < 70 && !shown.contains("UGF2bG92"), "{form}: {shown}");
        }
        assert_eq!(key.cut("nothing of it"), "nothing of it");
    }

    #[test]
    fn words_that_stand_for_no_key_leave_texts_alone() {
        assert_eq!(Key::new("none").cut("None, none"), "None, [key]");
        assert_eq!(Key::new("x").cut("xxx"), "xxx");
        assert_eq!(Key::default().cut("x"), "x");
    }

    #[test]
    fn what_no_header_can_carry_is_told_without_the_key() {
        assert!(Key::default().authorization().unwrap().is_none());
        assert!(Key::new(" sk-12345678\n").authorization().unwrap().is_some(), "line ends around it are no part of it");
        for (text, expected) in [
            ("sk-12345678\nsk-2", "a line break at character 12 of 16"),
            ("sk-1\r\n2", "a line break at character 5 of 7"),
            ("sk-\u{7f}", "a control character at character 4 of 4"),
            ("sk-ключ", "a character other than"),
        ] {
            let error = Key::new(text).authorization().unwrap_err();
            assert!(error.is_bad_input() && error.to_string().contains(expected), "{error}");
            assert!(!error.to_string().contains("sk-"), "{error}");
        }
    }
}
