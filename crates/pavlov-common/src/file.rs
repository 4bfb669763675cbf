//! The one place where files are opened, for reading and for writing. Sizes are in bytes.
//!
//! What is read is a regular file of a size that its format can have. A pipe, a socket, a device or a folder that stands
//! where a file should is refused by name: nothing waits for a pipe that nobody writes to, and nothing reads a device
//! until memory is full. What the errors here say follows a path (`cannot read a.toml: it is a named pipe, ...`).
//!
//! What is written into a folder of ours (`..._in`) never goes through a symbolic link below that folder; the folder
//! itself may be one. Every other file that is written was named by a person, who may name a link.
//!
//! Sources: open(2), inode(7).

#![allow(clippy::disallowed_methods, reason = "this is the one place that clippy.toml speaks of")]

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::{Component, Path, PathBuf};

/// Largest text that people write: scripts, tasks, rewards, settings, prompts.
pub const TEXT: u64 = 16 << 20;
/// Largest file of lines that is read line by line: logs, imports.
pub const LINES: u64 = 64 << 30;
/// Largest file of numbers that is read whole: checkpoints, nets, pictures.
pub const NUMBERS: u64 = 8 << 30;

/// What stands where a file should, or none for a regular file.
fn not_a_file(kind: FileType) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        for (is, name) in [
            (kind.is_fifo(), "a named pipe"),
            (kind.is_socket(), "a socket"),
            (kind.is_char_device() || kind.is_block_device(), "a device"),
        ] {
            if is {
                return Some(name);
            }
        }
    }
    if kind.is_dir() {
        return Some("a folder");
    }
    (!kind.is_file()).then_some("no regular file")
}

fn regular(kind: FileType) -> Result<()> {
    match not_a_file(kind) {
        None => Ok(()),
        Some(what) => Err(Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a regular file"))),
    }
}

/// Opens so that a pipe is not waited for: what it is, is looked at afterwards once more.
fn open_regular(options: &mut OpenOptions, path: &Path, follow: bool) -> Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let link = if follow { 0 } else { libc::O_NOFOLLOW };
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | link);
    }
    #[cfg(not(unix))]
    let _ = follow;
    let file = options.open(path)?;
    regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// Opens a regular file for reading.
///
/// # Errors
/// When there is none, when it is something else than a regular file, or must not be read.
pub fn open(path: &Path) -> Result<File> {
    // To open some devices does something, so this comes first.
    regular(fs::metadata(path)?.file_type())?;
    open_regular(OpenOptions::new().read(true), path, true)
}

/// As [`open`], when the file has at most `limit` bytes; with its size.
///
/// # Errors
/// As [`open`], and when it is larger.
pub fn open_up_to(path: &Path, limit: u64) -> Result<(File, u64)> {
    let file = open(path)?;
    let size = file.metadata()?.len();
    if size > limit {
        return Err(too_large(size, limit));
    }
    Ok((file, size))
}

fn too_large(size: u64, limit: u64) -> Error {
    let message = format!("it has {size} bytes, and no file of its kind has more than {limit}");
    Error::new(ErrorKind::InvalidData, message)
}

/// The bytes of a regular file of at most `limit`.
///
/// # Errors
/// As [`open_up_to`].
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let (file, size) = open_up_to(path, limit)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(size).map_err(|_| too_large(size, limit))?)?;
    // It may grow meanwhile, and files of /proc say that they are empty.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64, limit));
    }
    Ok(bytes)
}

/// Creates or empties a file that a person named.
///
/// # Errors
/// When the folder is missing or cannot be written to.
pub fn create(path: &Path) -> Result<File> {
    File::create(path)
}

/// Opens a file that a person named for reading and appending, or creates it.
///
/// # Errors
/// When something else than a regular file has its name, or when it cannot be written.
pub fn append(path: &Path) -> Result<File> {
    absent_or_regular(path)?;
    open_regular(OpenOptions::new().read(true).append(true).create(true), path, true)
}

/// Makes a rename durable. Not every system can open a folder; then the rename is as durable as it is.
pub fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

fn absent_or_regular(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) => regular(found.file_type()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Is nothing on the way from `root` to `path` below it a symbolic link? What is not there yet is none.
///
/// # Errors
/// When there is one, naming it, or when `path` leaves `root`.
pub fn no_links(root: &Path, path: &Path) -> Result<()> {
    let outside = || Error::new(ErrorKind::InvalidInput, format!("it is not in the folder {}", root.display()));
    let below = path.strip_prefix(root).map_err(|_| outside())?;
    let mut place: PathBuf = root.to_path_buf();
    for part in below.components() {
        if !matches!(part, Component::Normal(_)) {
            return Err(outside());
        }
        place.push(part);
        match fs::symlink_metadata(&place) {
            Ok(found) if found.is_symlink() => {
                let target = fs::read_link(&place).map(|to| format!(" to {}", to.display())).unwrap_or_default();
                let message = format!(
                    "{} is a symbolic link{target}, and nothing is written through links inside {}: remove it",
                    place.display(),
                    root.display()
                );
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// As [`no_links`], and `path` is a regular file or not there.
fn writable_in(root: &Path, path: &Path) -> Result<()> {
    no_links(root, path)?;
    absent_or_regular(path)
}

/// Creates or empties a file below a folder of ours.
///
/// # Errors
/// As [`no_links`], when something else than a regular file has its name, or when it cannot be written.
pub fn create_in(root: &Path, path: &Path) -> Result<File> {
    let file = update_in(root, path)?;
    file.set_len(0)?;
    Ok(file)
}

/// Opens a file below a folder of ours for reading and writing over what is there, or creates it.
///
/// # Errors
/// As [`create_in`].
pub fn update_in(root: &Path, path: &Path) -> Result<File> {
    writable_in(root, path)?;
    open_regular(OpenOptions::new().read(true).write(true).create(true).truncate(false), path, false)
}

/// Opens a file below a folder of ours for reading and appending, or creates it.
///
/// # Errors
/// As [`create_in`].
pub fn append_in(root: &Path, path: &Path) -> Result<File> {
    writable_in(root, path)?;
    open_regular(OpenOptions::new().read(true).append(true).create(true), path, false)
}

/// Makes a folder below a folder of ours, with those above it.
///
/// # Errors
/// As [`no_links`], or when it cannot be made.
pub fn make_folder_in(root: &Path, folder: &Path) -> Result<()> {
    no_links(root, folder)?;
    fs::create_dir_all(folder)
}

/// What SQLite keeps beside a data base.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Is a data base, with all that SQLite opens beside it, made of regular files or not there? With `root` also: is
/// nothing below it a link. SQLite itself follows links and reads whatever it finds.
///
/// # Errors
/// When it is not, saying which file.
pub fn check_database(root: Option<&Path>, path: &Path) -> Result<()> {
    let check = |file: &Path| root.map_or(Ok(()), |root| no_links(root, file)).and_then(|()| absent_or_regular(file));
    check(path)?;
    for end in BESIDE {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        let file = PathBuf::from(name);
        check(&file).map_err(|e| Error::new(e.kind(), format!("{}: {e}", file.display())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_files_are_read_up_to_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        let error = read(&path, 4).unwrap_err().to_string();
        assert_eq!(error, "it has 5 bytes, and no file of its kind has more than 4");
        // A file with a hole is as large as it says.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read(&path, NUMBERS).unwrap_err().to_string().contains("1099511627776 bytes"));
        assert_eq!(read(&dir.path().join("b"), 4).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(read(dir.path(), 4).unwrap_err().to_string().contains("it is a folder, not a regular file"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_that_do_not_say_their_size_are_read() {
        assert!(!read(Path::new("/proc/self/status"), TEXT).unwrap().is_empty());
        assert!(read(Path::new("/proc/self/status"), 10).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn pipes_devices_and_sockets_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(place("pipe")).status().unwrap().success());
        let _listener = std::os::unix::net::UnixListener::bind(place("socket")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", place("zero")).unwrap();
        std::os::unix::fs::symlink("pipe", place("to-pipe")).unwrap();
        for (name, what) in
            [("pipe", "a named pipe"), ("to-pipe", "a named pipe"), ("socket", "a socket"), ("zero", "a device")]
        {
            let expected = format!("it is {what}, not a regular file");
            assert_eq!(open(&place(name)).unwrap_err().to_string(), expected);
            assert_eq!(read(&place(name), TEXT).unwrap_err().to_string(), expected);
            assert_eq!(check_database(None, &place(name)).unwrap_err().to_string(), expected);
        }
        for name in ["pipe", "socket"] {
            for written in [create_in, update_in, append_in] {
                assert!(written(dir.path(), &place(name)).unwrap_err().to_string().contains("regular file"));
            }
        }
        // What SQLite would open beside the data base.
        fs::write(place("a.sqlite"), "").unwrap();
        check_database(None, &place("a.sqlite")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", place("a.sqlite-wal")).unwrap();
        let error = check_database(None, &place("a.sqlite")).unwrap_err().to_string();
        assert!(error.contains("a.sqlite-wal") && error.contains("a device"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_links_inside_a_folder() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let (real, outside) = (dir.path().join("real"), dir.path().join("outside"));
        fs::create_dir_all(real.join("deep")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("kept"), "kept").unwrap();
        // The folder itself may be reached by a link.
        let root = dir.path().join("run");
        symlink("real", &root).unwrap();
        symlink("../outside", real.join("folder")).unwrap();
        symlink("../outside/kept", real.join("file")).unwrap();
        symlink("../outside/new", real.join("dangling")).unwrap();
        for name in ["folder/kept", "file", "dangling", "folder/new"] {
            for written in [create_in, update_in, append_in] {
                let error = written(&root, &root.join(name)).unwrap_err().to_string();
                assert!(error.contains("is a symbolic link to ../outside"), "{error}");
            }
            assert!(crate::atomic::write_in(&root, &root.join(name), b"x").is_err());
            assert!(make_folder_in(&root, &root.join(name)).is_err());
            assert!(check_database(Some(&root), &root.join(name)).is_err());
        }
        assert!(update_in(&root, &root.join("deep/../../outside/kept")).is_err());
        assert_eq!(fs::read(outside.join("kept")).unwrap(), b"kept");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        // What is no link is written as ever.
        create_in(&root, &root.join("deep/a")).unwrap();
        crate::atomic::write_in(&root, &root.join("deep/b"), b"x").unwrap();
        make_folder_in(&root, &root.join("deep/c/d")).unwrap();
        assert!(real.join("deep/a").is_file() && real.join("deep/b").is_file() && real.join("deep/c/d").is_dir());
    }
}
