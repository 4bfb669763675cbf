//! The file as an owned tree: includes spliced in, size and depth bounded.
//!
//! Bounds keep a hostile file from taking the program down. They count over all included files: 32 MiB of text, 64
//! files, 300 000 elements, 200 levels; 64 KiB for an attribute; no DTD. Everything here takes time linear in the text.

use crate::error::ModelError;
use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAX_BYTES: usize = 32 << 20;
const MAX_DEPTH: usize = 200;
const MAX_ELEMENTS: usize = 300_000;
const MAX_FILES: usize = 64;
const MAX_ATTRIBUTE: usize = 64 << 10;

/// One element.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(crate) tag: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    pub(crate) line: usize,
    pub(crate) file: Arc<str>,
    /// The beginning of text that stands between its children, where it does not belong.
    pub(crate) stray: Option<String>,
}

impl Element {
    /// An error about this element.
    pub(crate) fn error(&self, message: impl Into<String>) -> ModelError {
        ModelError::at(&self.file, self.line, &self.tag, message)
    }
    /// An error about one of its attributes.
    pub(crate) fn attribute_error(&self, attribute: &str, message: impl Into<String>) -> ModelError {
        let mut error = self.error(message);
        error.attribute = Some(attribute.into());
        error
    }
    /// Raw attribute.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// The text with nothing but space before the first tag that is neither a comment nor a declaration: a byte order mark,
/// blank lines and text are passed over there, as MuJoCo does. Lines stay where they are.
fn without_prolog(text: &str) -> Cow<'_, str> {
    let (mut at, mut start) = (0, 0);
    while let Some(tag) = text[at..].find('<') {
        let rest = &text[at + tag..];
        let end = if rest.starts_with("<!--") {
            "-->"
        } else if rest.starts_with("<?") {
            "?>"
        } else {
            start = at + tag;
            break;
        };
        match rest.find(end) {
            Some(length) => at += tag + length + end.len(),
            None => break,
        }
    }
    if start == 0 {
        return Cow::Borrowed(text);
    }
    let (before, rest) = text.split_at(start);
    let blank = before.chars().filter(|c| *c != '\u{feff}').map(|c| if c == '\n' { c } else { ' ' });
    Cow::Owned(blank.chain(rest.chars()).collect())
}

/// Deepest nesting of tags, read without building anything.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut rest) = (0usize, 0usize, text);
    let past = |rest: &str, from: usize, text: &str| rest[from..].find(text).map(|at| from + at + text.len());
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = if rest.starts_with("!--") {
            past(rest, 3, "-->")
        } else if rest.starts_with("![CDATA[") {
            past(rest, 8, "]]>")
        } else if rest.starts_with('?') {
            past(rest, 1, "?>")
        } else {
            let (end, open) = tag_end(rest);
            if rest.starts_with('/') {
                depth = depth.saturating_sub(1);
            } else if !rest.starts_with('!') {
                deepest = deepest.max(depth + 1);
                depth += usize::from(open);
            }
            Some(end)
        };
        if deepest > MAX_DEPTH {
            break;
        }
        rest = end.map_or("", |end| &rest[end..]);
    }
    deepest
}

/// Where a tag ends, and whether it stays open. A `>` between quotes does not end it.
fn tag_end(rest: &str) -> (usize, bool) {
    let mut quote = None;
    let mut last = b' ';
    for (i, c) in rest.bytes().enumerate() {
        match (quote, c) {
            (None, b'"' | b'\'') => quote = Some(c),
            (None, b'>') => return (i + 1, last != b'/'),
            (Some(q), c) if q == c => quote = None,
            _ => {}
        }
        last = c;
    }
    (rest.len(), true)
}

/// A file of a robot, as it is on the disk.
#[derive(Debug, Clone)]
pub struct RobotFile {
    /// Where it is.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
    /// What it includes: where in the text the name stands, and its number among the robot's files.
    pub includes: Vec<(Range<usize>, usize)>,
}

/// The files and elements read so far.
#[derive(Default)]
struct Budget {
    /// Files being read, outermost first.
    open: Vec<PathBuf>,
    /// Folder of the outermost one: what is included lies in it, or in the project around it.
    base: PathBuf,
    /// Every file once, with its path without links.
    read: Vec<(PathBuf, RobotFile)>,
    files: usize,
    bytes: usize,
    elements: usize,
}

/// Reads `file` with everything it includes.
pub(crate) fn read_file(path: &Path) -> Result<Element, ModelError> {
    Ok(read_all(path)?.0)
}

/// The file of a robot, and every file that it includes.
///
/// # Errors
/// When one cannot be read, is no XML, or is where no robot may have its files.
pub fn robot_files(path: &Path) -> Result<Vec<RobotFile>, ModelError> {
    Ok(read_all(path)?.1.read.into_iter().map(|(_, file)| file).collect())
}

fn read_all(path: &Path) -> Result<(Element, Budget), ModelError> {
    let base = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut budget = Budget { base: base.to_path_buf(), ..Budget::default() };
    let tree = read(path, 0, &mut budget)?;
    Ok((tree, budget))
}

fn read(path: &Path, depth: usize, budget: &mut Budget) -> Result<Element, ModelError> {
    let name = path.display().to_string();
    let problem = |e: std::io::Error| ModelError::file(&name, format!("cannot read the robot file: {e}"));
    budget.files += 1;
    if budget.files > MAX_FILES {
        return Err(ModelError::file(&name, format!("more than {MAX_FILES} files are included")));
    }
    let key = path.canonicalize().map_err(problem)?;
    if budget.open.contains(&key) {
        return Err(ModelError::file(&name, "the file includes itself"));
    }
    let mut bytes = Vec::new();
    let file = pavlov_common::file::open(&key).map_err(problem)?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(problem)?;
    let text = String::from_utf8(bytes).map_err(|_| ModelError::file(&name, "the file is not UTF-8 text"))?;
    if budget.number(&key).is_none() {
        let file = RobotFile { path: path.to_path_buf(), text: text.clone(), includes: Vec::new() };
        budget.read.push((key.clone(), file));
    }
    budget.open.push(key);
    let tree = parse(&text, &name, path.parent(), depth, budget)?;
    budget.open.pop();
    Ok(tree)
}

impl Budget {
    /// The number of a file that was read.
    fn number(&self, key: &Path) -> Option<usize> {
        self.read.iter().position(|(known, _)| known == key)
    }

    /// Notes that the file being read includes another one, which has been read.
    fn included(&mut self, span: Range<usize>, path: &Path) {
        let included = path.canonicalize().ok().and_then(|key| self.number(&key));
        let by = self.open.last().and_then(|key| self.number(key));
        if let (Some(by), Some(included)) = (by, included)
            && !self.read[by].1.includes.iter().any(|(known, _)| *known == span)
        {
            self.read[by].1.includes.push((span, included));
        }
    }
}

/// Parses text; `<include>` is refused when there is no folder to look in.
pub(crate) fn parse_text(text: &str, file: &str) -> Result<Element, ModelError> {
    parse(text, file, None, 0, &mut Budget::default())
}

fn parse(
    text: &str,
    file: &str,
    folder: Option<&Path>,
    depth: usize,
    budget: &mut Budget,
) -> Result<Element, ModelError> {
    budget.bytes = budget.bytes.saturating_add(text.len());
    if budget.bytes > MAX_BYTES {
        return Err(ModelError::file(file, format!("the robot has more than {MAX_BYTES} bytes of text")));
    }
    if nesting(text) > MAX_DEPTH {
        return Err(ModelError::file(file, format!("elements are nested deeper than {MAX_DEPTH} levels")));
    }
    let whole = text.len();
    let text = &*without_prolog(text);
    let shift = whole - text.len();
    // text between elements makes nodes too
    let nodes_limit = 3 * MAX_ELEMENTS as u32;
    let options = roxmltree::ParsingOptions { allow_dtd: false, nodes_limit, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, options).map_err(|e| {
        ModelError::at(file, e.pos().row as usize, "", format!("not well-formed XML: {e}"))
            .with_hint("is the file complete and well-formed XML?")
    })?;
    let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let place = Place { file: file.into(), folder, starts, shift };
    convert(document.root_element(), &place, depth, budget)
}

/// Where elements come from.
struct Place<'a> {
    file: Arc<str>,
    folder: Option<&'a Path>,
    /// Offsets at which lines start.
    starts: Vec<usize>,
    /// Bytes by which the text is shorter than the file: all of them are in front of the first element.
    shift: usize,
}

fn convert(
    node: roxmltree::Node<'_, '_>,
    place: &Place<'_>,
    depth: usize,
    budget: &mut Budget,
) -> Result<Element, ModelError> {
    let mut element = Element {
        tag: node.tag_name().name().to_string(),
        attributes: Vec::new(),
        children: Vec::new(),
        line: place.starts.partition_point(|&start| start <= node.range().start),
        file: place.file.clone(),
        stray: None,
    };
    budget.elements += 1;
    if budget.elements > MAX_ELEMENTS {
        return Err(element.error(format!("more than {MAX_ELEMENTS} elements")));
    }
    if depth > MAX_DEPTH {
        return Err(element.error(format!("elements are nested deeper than {MAX_DEPTH} levels")));
    }
    for a in node.attributes() {
        if a.value().len() > MAX_ATTRIBUTE {
            return Err(element.attribute_error(a.name(), format!("is longer than {MAX_ATTRIBUTE} bytes")));
        }
        element.attributes.push((a.name().to_string(), a.value().to_string()));
    }
    for child in node.children() {
        let text = child.text().filter(|_| child.is_text()).map_or("", str::trim);
        if !text.is_empty() && element.stray.is_none() {
            element.stray = Some(text.chars().take(30).collect());
        }
        if !child.is_element() {
            continue;
        }
        let span = child.attribute_node("file").map_or(0..0, |name| name.range_value());
        let child = convert(child, place, depth + 1, budget)?;
        if child.tag != "include" {
            element.children.push(child);
            continue;
        }
        let Some(target) = child.raw("file").map(str::to_string) else {
            return Err(child.error("needs a `file`"));
        };
        let Some(folder) = place.folder else {
            return Err(
                child.attribute_error("file", format!("`{target}` cannot be included from text without a folder"))
            );
        };
        let path = folder.join(&target);
        pavlov_common::fence::check(&budget.base, &target, &path)
            .map_err(|e| child.attribute_error("file", e.to_string()))?;
        let included = read(&path, depth, budget).map_err(|mut e| {
            if e.line == 0 {
                e.hint = Some(format!("included by {}:{}", child.file, child.line));
            }
            e
        })?;
        budget.included(span.start + place.shift..span.end + place.shift, &path);
        element.children.extend(included.children);
    }
    Ok(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_ignores_comments_and_closed_tags() {
        assert_eq!(nesting("<a><b/><!-- <c><d><e> --><b><c/></b></a>"), 3);
        assert_eq!(nesting("<?xml version='1.0'?><a><![CDATA[<b><c>]]><b x='>'/><b x='/>'></b></a>"), 2);
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let tree = parse_text("<a>\n<b/>\n\n  <c\n x='1'/><d/></a>", "lines.xml").unwrap();
        let lines: Vec<usize> = tree.children.iter().map(|e| e.line).collect();
        assert_eq!((tree.line, &lines[..]), (1, &[2, 4, 5][..]));
    }

    /// Each of these took time quadratic in its length once, or memory without bound.
    #[test]
    fn long_texts_are_read_in_linear_time() {
        assert!(parse_text(&"<a</".repeat(1 << 20), "open.xml").unwrap_err().message.contains("not well-formed"));
        let lines = format!("<a>{}</a>", "<b/>\n".repeat(MAX_ELEMENTS));
        assert!(parse_text(&lines, "many.xml").unwrap_err().message.contains("more than 300000 elements"));
        let long = format!("<a b='{}'/>", "1 ".repeat(MAX_ATTRIBUTE));
        assert!(parse_text(&long, "long.xml").unwrap_err().message.contains("is longer than"));
        let huge = format!("<a b='{}'/>", " ".repeat(MAX_BYTES));
        assert!(parse_text(&huge, "huge.xml").unwrap_err().message.contains("bytes of text"));
    }

    #[test]
    fn includes_share_one_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = |i: usize| dir.path().join(format!("{i}.xml"));
        // each file lies 150 levels deep in the one before
        for i in 0..3 {
            let text = format!("{}<include file='{}.xml'/>{}", "<a>".repeat(150), i + 1, "</a>".repeat(150));
            std::fs::write(path(i), text).unwrap();
        }
        std::fs::write(path(3), "<a><b/></a>").unwrap();
        let e = read_file(&path(0)).unwrap_err();
        assert!(e.message.contains("nested deeper"), "{e}");
        assert!(e.file.ends_with("1.xml") && e.line == 1, "{e}");
        assert!(read_file(&path(2)).is_ok());
        std::fs::write(path(9), format!("<a><include file='{}'/></a>", dir.path().display())).unwrap();
        let e = read_file(&path(9)).unwrap_err();
        assert!(e.message.contains("not a regular file"), "{e}");
    }

    #[test]
    fn depth_bomb_and_entity_bomb_are_errors() {
        let deep = "<a>".repeat(100_000);
        assert!(parse_text(&deep, "deep.xml").unwrap_err().message.contains("nested deeper"));
        let bomb = "<!DOCTYPE a [<!ENTITY x \"y\"><!ENTITY z \"&x;&x;\">]><a>&z;</a>";
        assert!(parse_text(bomb, "bomb.xml").unwrap_err().message.contains("not well-formed"));
    }

    #[test]
    fn include_cycle_is_an_error() {
        let dir = std::env::temp_dir().join(format!("pavlov-include-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("a.xml"), "<mujoco><include file='b.xml'/></mujoco>").unwrap();
        std::fs::write(dir.join("b.xml"), "<mujoco><include file='a.xml'/></mujoco>").unwrap();
        let e = read_file(&dir.join("a.xml")).unwrap_err();
        assert!(e.message.contains("includes itself"), "{e}");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_robot_names_its_files_and_none_outside() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).unwrap();
        for folder in ["bots/parts", "other"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        write(
            "bots/a.xml",
            "\u{feff}<!-- ä -->\n<mujoco><include file='parts/b.xml'/><include file=\"c.xml\"/></mujoco>",
        );
        write("bots/parts/b.xml", "<mujoco><include file='../c.xml'/></mujoco>");
        write("bots/c.xml", "<mujoco/>");
        write("other/d.xml", "<mujoco/>");
        let files = robot_files(&dir.path().join("bots/a.xml")).unwrap();
        let named = |i: usize| -> Vec<(&str, usize)> {
            files[i].includes.iter().map(|(span, file)| (&files[i].text[span.clone()], *file)).collect()
        };
        assert_eq!(files.len(), 3);
        assert_eq!((named(0), named(1)), (vec![("parts/b.xml", 1), ("c.xml", 2)], vec![("../c.xml", 2)]));
        let absolute = dir.path().join("other/d.xml").display().to_string();
        for target in ["../other/d.xml", &absolute] {
            write("bots/e.xml", &format!("<mujoco>\n<include file='{target}'/></mujoco>"));
            let e = robot_files(&dir.path().join("bots/e.xml")).unwrap_err();
            assert_eq!((e.line, e.element.as_str()), (2, "include"), "{e}");
            assert!(e.to_string().contains("--allow-path"), "{e}");
        }
    }
}
