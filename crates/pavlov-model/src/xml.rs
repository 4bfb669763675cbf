//! The file as an owned tree: includes spliced in, size and depth bounded.
//!
//! Bounds keep a hostile file from taking the program down: 32 MiB, 200 levels, 64 included files, no DTD.

use crate::error::ModelError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAX_BYTES: usize = 32 << 20;
const MAX_DEPTH: usize = 200;
const MAX_NODES: u32 = 2_000_000;
const MAX_FILES: usize = 64;

/// One element.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(crate) tag: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    pub(crate) line: usize,
    pub(crate) file: Arc<str>,
}

impl Element {
    /// An error about this element.
    pub(crate) fn error(&self, message: impl Into<String>) -> ModelError {
        ModelError {
            file: self.file.to_string(),
            line: self.line,
            element: self.tag.clone(),
            attribute: None,
            message: message.into(),
            hint: None,
        }
    }
    /// An error about one of its attributes.
    pub(crate) fn attribute_error(&self, attribute: &str, message: impl Into<String>) -> ModelError {
        ModelError { attribute: Some(attribute.into()), ..self.error(message) }
    }
    /// Raw attribute.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Deepest nesting of tags, read without building anything.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut rest) = (0usize, 0usize, text);
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
        } else if rest.starts_with('/') {
            depth = depth.saturating_sub(1);
        } else if !rest.starts_with(['?', '!']) {
            depth += 1;
            deepest = deepest.max(depth);
            if depth > MAX_DEPTH {
                return depth;
            }
            if rest.find('>').is_some_and(|end| rest[..end].ends_with('/')) {
                depth -= 1;
            }
        }
    }
    deepest
}

/// Reads `file` with everything it includes.
pub(crate) fn read_file(path: &Path) -> Result<Element, ModelError> {
    let mut stack = Vec::new();
    let mut files = 0;
    read(path, &mut stack, &mut files)
}

fn read(path: &Path, stack: &mut Vec<PathBuf>, files: &mut usize) -> Result<Element, ModelError> {
    let name = path.display().to_string();
    let problem = |e: std::io::Error| ModelError::file(&name, format!("cannot read the robot file: {e}"));
    let size = std::fs::metadata(path).map_err(problem)?.len();
    if size > MAX_BYTES as u64 {
        return Err(ModelError::file(&name, format!("the file has {size} bytes, more than the limit of {MAX_BYTES}")));
    }
    *files += 1;
    if *files > MAX_FILES {
        return Err(ModelError::file(&name, format!("more than {MAX_FILES} files are included")));
    }
    let key = path.canonicalize().map_err(problem)?;
    if stack.contains(&key) {
        return Err(ModelError::file(&name, "the file includes itself"));
    }
    stack.push(key);
    let bytes = std::fs::read(path).map_err(problem)?;
    let text = String::from_utf8(bytes).map_err(|_| ModelError::file(&name, "the file is not UTF-8 text"))?;
    let tree = parse(&text, &name, path.parent(), stack, files)?;
    stack.pop();
    Ok(tree)
}

/// Parses text; `<include>` is refused when there is no folder to look in.
pub(crate) fn parse_text(text: &str, file: &str) -> Result<Element, ModelError> {
    parse(text, file, None, &mut Vec::new(), &mut 0)
}

fn parse(
    text: &str,
    file: &str,
    folder: Option<&Path>,
    stack: &mut Vec<PathBuf>,
    files: &mut usize,
) -> Result<Element, ModelError> {
    if text.len() > MAX_BYTES {
        let message = format!("the text has {} bytes, more than the limit of {MAX_BYTES}", text.len());
        return Err(ModelError::file(file, message));
    }
    if nesting(text) > MAX_DEPTH {
        return Err(ModelError::file(file, format!("elements are nested deeper than {MAX_DEPTH} levels")));
    }
    let options = roxmltree::ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, options).map_err(|e| ModelError {
        line: e.pos().row as usize,
        hint: Some("is the file complete and well-formed XML?".into()),
        ..ModelError::file(file, format!("not well-formed XML: {e}"))
    })?;
    let file: Arc<str> = file.into();
    convert(document.root_element(), &file, folder, stack, files)
}

fn convert(
    node: roxmltree::Node<'_, '_>,
    file: &Arc<str>,
    folder: Option<&Path>,
    stack: &mut Vec<PathBuf>,
    files: &mut usize,
) -> Result<Element, ModelError> {
    let line = node.document().text_pos_at(node.range().start).row as usize;
    let mut element = Element {
        tag: node.tag_name().name().to_string(),
        attributes: node.attributes().map(|a| (a.name().to_string(), a.value().to_string())).collect(),
        children: Vec::new(),
        line,
        file: file.clone(),
    };
    for child in node.children() {
        if child.is_text() && !child.text().unwrap_or("").trim().is_empty() {
            let text: String = child.text().unwrap_or("").trim().chars().take(30).collect();
            return Err(element.error(format!("stray text `{text}` between elements")));
        }
        if !child.is_element() {
            continue;
        }
        let child = convert(child, file, folder, stack, files)?;
        if child.tag != "include" {
            element.children.push(child);
            continue;
        }
        let Some(target) = child.raw("file").map(str::to_string) else {
            return Err(child.error("needs a `file`"));
        };
        let Some(folder) = folder else {
            return Err(
                child.attribute_error("file", format!("`{target}` cannot be included from text without a folder"))
            );
        };
        let included = read(&folder.join(&target), stack, files).map_err(|mut e| {
            if e.line == 0 {
                e.hint = Some(format!("included by {}:{}", child.file, child.line));
            }
            e
        })?;
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
}
