//! What went wrong, told once, and whose it is to mend.

use std::error::Error;
use std::io::ErrorKind;

/// An error with its causes, each one once: messages of libraries often have their cause in them already.
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        next = cause.source();
    }
    text
}

/// Is it the path that was given which cannot be used, rather than the system that fails?
pub fn is_of_the_path(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::AlreadyExists
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::DirectoryNotEmpty
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Layered {
        #[error("cannot read a.toml: {0}")]
        Told(#[source] std::io::Error),
        #[error("cannot read b.toml")]
        Silent(#[source] std::io::Error),
        #[error("while training: {0} (see --runs)")]
        Around(#[source] Box<Layered>),
    }

    #[test]
    fn causes_are_told_once() {
        let missing = || std::io::Error::other("no such file");
        assert_eq!(told(&Layered::Told(missing())), "cannot read a.toml: no such file");
        assert_eq!(told(&Layered::Silent(missing())), "cannot read b.toml: no such file");
        let around = Layered::Around(Box::new(Layered::Told(missing())));
        assert_eq!(told(&around), "while training: cannot read a.toml: no such file (see --runs)");
        let around = Layered::Around(Box::new(Layered::Silent(missing())));
        assert_eq!(told(&around), "while training: cannot read b.toml (see --runs): no such file");
    }
}
