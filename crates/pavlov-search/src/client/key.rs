//! The API key: from `PAVLOV_API_KEY` or the system's keyring (service `pavlov`, user `api-key`). Its type does not
//! print it, and it is cut out of every text that comes back, errors included.

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
        let from_environment = std::env::var("PAVLOV_API_KEY").ok().filter(|k| !k.trim().is_empty());
        let from_keyring = || keyring::Entry::new("pavlov", "api-key").and_then(|e| e.get_password()).ok();
        from_environment.or_else(from_keyring).map_or_else(Self::default, |k| Self::new(&k))
    }

    /// The header `Authorization` with it; none without a key.
    pub(super) fn authorization(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| format!("Bearer {}", self.0))
    }

    /// The text without the key.
    pub fn cut(&self, text: &str) -> String {
        if self.0.len() < 4 { text.to_string() } else { text.replace(&self.0, CUT) }
    }
}
