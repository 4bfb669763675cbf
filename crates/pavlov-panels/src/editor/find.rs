//! Finding text in a file: Ctrl+F.

use std::ops::Range;

/// What is looked for, and where it was found. Case is ignored unless a capital is typed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Find {
    pub open: bool,
    /// The field wants the keyboard.
    pub focus: bool,
    pub query: String,
    /// Bytes of the text, in order.
    pub matches: Vec<Range<usize>>,
    pub current: usize,
}

impl Find {
    /// Opens the bar; the last search stays.
    pub fn start(&mut self) {
        self.open = true;
        self.focus = true;
    }

    /// Looks through the text anew.
    pub fn search(&mut self, text: &str) {
        self.matches.clear();
        if self.query.is_empty() {
            return;
        }
        let capital = self.query.chars().any(char::is_uppercase);
        // Case is folded for ASCII only, so that bytes stay where they are.
        let fold = |s: &str| if capital { s.to_string() } else { s.to_ascii_lowercase() };
        let (text, query) = (fold(text), fold(&self.query));
        self.matches = text.match_indices(&query).map(|(at, m)| at..at + m.len()).collect();
        self.current = self.current.min(self.matches.len().saturating_sub(1));
    }

    /// Goes on to the next match, or back; gives its place.
    pub fn go(&mut self, back: bool) -> Option<Range<usize>> {
        let n = self.matches.len();
        if n == 0 {
            return None;
        }
        self.current = if back { (self.current + n - 1) % n } else { (self.current + 1) % n };
        Some(self.matches[self.current].clone())
    }

    /// Number of matches in words.
    pub fn count(&self) -> String {
        match (self.query.is_empty(), self.matches.len()) {
            (true, _) => String::new(),
            (_, 0) => "not found".into(),
            (_, n) => format!("{} of {n}", self.current + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_found_in_order_and_gone_through_in_a_circle() {
        let mut find = Find { query: "v".into(), ..Find::default() };
        find.search("v V ü v");
        assert_eq!(find.matches, [0..1, 2..3, 7..8]);
        assert_eq!((find.go(false), find.go(true), find.go(true)), (Some(2..3), Some(0..1), Some(7..8)));
        assert_eq!(find.count(), "3 of 3");
        find.query = "V".into();
        find.search("v V ü v");
        assert_eq!(find.matches.len(), 1);
        find.query = "none".into();
        find.search("v V");
        assert_eq!((find.go(false), find.count().as_str()), (None, "not found"));
    }
}
