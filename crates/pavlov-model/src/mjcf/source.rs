//! XML text to a tree of elements that remember file and line, with `<include>`s put in place.
//!
//! All limits that keep hostile input harmless are here: bytes, files, nodes, depth, attributes. The tree is at most
//! [`MAX_DEPTH`] deep, so that what comes after may recurse over it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::{ModelError, ProblemKind};

/// Bytes of all files together. The largest robot files in common use have a few hundred kB.
const MAX_BYTES: usize = 16 << 20;
/// XML nodes of one file.
const MAX_NODES: u32 = 400_000;
/// Nesting of elements.
const MAX_DEPTH: usize = 200;
/// Attributes of one element; the XML crate compares them pairwise.
const MAX_ATTRIBUTES: usize = 200;
/// Files of one model.
const MAX_FILES: usize = 100;

/// An element with where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub name: String,
    pub file: Rc<str>,
    pub line: u32,
    pub attributes: Vec<Attribute>,
    pub children: Vec<Element>,
}

/// An attribute with where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub name: String,
    pub value: String,
    pub line: u32,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }
    /// How messages call it: `geom "floor"`.
    pub fn label(&self) -> String {
        match self.attribute("name").or_else(|| self.attribute("class")) {
            Some(a) => format!("{} \"{}\"", self.name, a.value.chars().take(60).collect::<String>()),
            None => self.name.clone(),
        }
    }
    pub fn error(&self, kind: ProblemKind, message: impl Into<String>) -> ModelError {
        ModelError::new(kind, &*self.file, message).line(self.line).element(self.label())
    }
    /// An error about an attribute of this element.
    pub fn attribute_error(&self, a: &Attribute, kind: ProblemKind, message: impl Into<String>) -> ModelError {
        self.error(kind, message).line(a.line).attribute(&a.name, &a.value)
    }
}

/// Reads a file, refusing what is not a file or is too large.
pub(crate) fn read_file(path: &Path) -> Result<String, ModelError> {
    let name = path.display().to_string();
    let io = |e: std::io::Error| ModelError::new(ProblemKind::Io, &*name, format!("cannot read the file: {e}"));
    let file = File::open(path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(ModelError::new(ProblemKind::Io, &*name, "not a file").expected("an MJCF file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() > MAX_BYTES {
        return Err(too_many_bytes(&name));
    }
    String::from_utf8(bytes).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|b| **b == b'\n').count();
        ModelError::new(ProblemKind::Xml, &*name, "not UTF-8 text").line(line as u32).expected("an MJCF file (XML)")
    })
}

fn too_many_bytes(file: &str) -> ModelError {
    ModelError::new(ProblemKind::TooLarge, file, format!("more than {} MiB of text", MAX_BYTES >> 20))
}

/// Parses `text` and puts every included file in place. The result is the `<mujoco>` element.
pub(crate) fn read_tree(text: &str, file_name: &str) -> Result<Element, ModelError> {
    if text.len() > MAX_BYTES {
        return Err(too_many_bytes(file_name));
    }
    let main = Path::new(file_name);
    let folder = main.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut reader = Reader { folder, seen: vec![identity(main)], bytes: text.len() };
    let mut root = parse_xml(text, file_name)?;
    if root.name != "mujoco" {
        let found = format!("the top element is <{}>", root.name.chars().take(60).collect::<String>());
        return Err(root.error(ProblemKind::Unknown, found).expected("<mujoco>"));
    }
    reader.include(&mut root, 1)?;
    Ok(root)
}

/// Follows includes; every file may be used once, which also rules out cycles.
struct Reader {
    folder: PathBuf,
    seen: Vec<PathBuf>,
    bytes: usize,
}

impl Reader {
    fn include(&mut self, parent: &mut Element, depth: usize) -> Result<(), ModelError> {
        if depth > MAX_DEPTH {
            let message = format!("elements are nested more than {MAX_DEPTH} deep");
            return Err(parent.error(ProblemKind::TooLarge, message));
        }
        if parent.children.iter().any(|c| c.name == "include") {
            for child in std::mem::take(&mut parent.children) {
                if child.name == "include" {
                    parent.children.extend(self.open(&child, depth)?);
                } else {
                    parent.children.push(child);
                }
            }
        }
        for child in &mut parent.children {
            // What came from an included file has been followed already; a second look finds no include in it.
            self.include(child, depth + 1)?;
        }
        Ok(())
    }

    /// The children of the root of the included file.
    fn open(&mut self, element: &Element, depth: usize) -> Result<Vec<Element>, ModelError> {
        if let Some(a) = element.attributes.iter().find(|a| a.name != "file") {
            let error = element.attribute_error(a, ProblemKind::Unknown, "<include> has no such attribute");
            return Err(error.suggest(&a.name, ["file"]));
        }
        if let Some(child) = element.children.first() {
            return Err(child.error(ProblemKind::Unknown, "<include> has no children"));
        }
        let Some(a) = element.attribute("file") else {
            return Err(element.error(ProblemKind::Value, "no file").expected("file=\"...\""));
        };
        // MuJoCo looks beside the main file; where that fails, beside the including one.
        let beside_main = self.folder.join(&a.value);
        let beside_this = Path::new(&*element.file).parent().unwrap_or(Path::new("")).join(&a.value);
        let path = if beside_main.is_file() { beside_main } else { beside_this };
        let id = identity(&path);
        if self.seen.contains(&id) {
            let message = "this file is included already (a file may be included once, and not by itself)";
            return Err(element.attribute_error(a, ProblemKind::Name, message));
        }
        if self.seen.len() >= MAX_FILES {
            let message = format!("more than {MAX_FILES} files");
            return Err(element.attribute_error(a, ProblemKind::TooLarge, message));
        }
        self.seen.push(id);
        let text = read_file(&path).map_err(|e| {
            if e.kind == ProblemKind::Io { element.attribute_error(a, ProblemKind::Io, e.to_string()) } else { e }
        })?;
        self.bytes += text.len();
        let name = path.display().to_string();
        if self.bytes > MAX_BYTES {
            return Err(too_many_bytes(&name));
        }
        let mut root = parse_xml(&text, &name)?;
        if root.name != "mujoco" && root.name != "mujocoinclude" {
            let error = root.error(ProblemKind::Unknown, "not the top element of an included file");
            return Err(error.expected("<mujoco> or <mujocoinclude>"));
        }
        if let Some(attribute) = root.attributes.iter().find(|b| b.name != "model") {
            return Err(root.attribute_error(attribute, ProblemKind::Unknown, "no such attribute here"));
        }
        self.include(&mut root, depth + 1)?;
        Ok(root.children)
    }
}

/// A spelling of `path` under which the same file is found again.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// Well-formedness and limits; no meaning yet.
fn parse_xml(text: &str, file_name: &str) -> Result<Element, ModelError> {
    let error = |kind, message: String| ModelError::new(kind, file_name, message);
    guard_attributes(text, file_name)?;
    // DTDs are off: entities are of no use in MJCF and a classic way to blow up a parser.
    let options = roxmltree::ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, options).map_err(|e| match e {
        roxmltree::Error::NodesLimitReached => error(ProblemKind::TooLarge, format!("more than {MAX_NODES} XML nodes")),
        e => error(ProblemKind::Xml, format!("not well-formed XML: {e}")).line(e.pos().row),
    })?;
    let lines: Vec<usize> = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i).collect();
    let line_of = |position: usize| 1 + lines.partition_point(|newline| *newline < position) as u32;
    let file: Rc<str> = file_name.into();

    // Depth first without recursion: `open` holds the elements whose children are still coming.
    let mut open: Vec<Element> = Vec::new();
    let mut cursor = document.root_element();
    loop {
        let line = line_of(cursor.range().start);
        let element = Element {
            name: cursor.tag_name().name().to_string(),
            file: file.clone(),
            line,
            attributes: cursor
                .attributes()
                .map(|a| Attribute {
                    name: a.name().to_string(),
                    value: a.value().to_string(),
                    line: line_of(a.range().start),
                })
                .collect(),
            children: Vec::new(),
        };
        check_plain(&cursor, &element)?;
        open.push(element);
        if open.len() > MAX_DEPTH {
            let message = format!("elements are nested more than {MAX_DEPTH} deep");
            return Err(error(ProblemKind::TooLarge, message).line(line));
        }
        if let Some(child) = cursor.first_element_child() {
            cursor = child;
            continue;
        }
        loop {
            let done = open.pop().expect("the element just pushed or its parent is open");
            let Some(parent) = open.last_mut() else { return Ok(done) };
            parent.children.push(done);
            if let Some(sibling) = cursor.next_sibling_element() {
                cursor = sibling;
                break;
            }
            cursor = cursor.parent().expect("an element with an open parent has a parent");
        }
    }
}

/// MJCF has neither namespaces nor text between elements; text there is usually a slip that would be lost silently.
fn check_plain(node: &roxmltree::Node<'_, '_>, element: &Element) -> Result<(), ModelError> {
    if node.tag_name().namespace().is_some() || node.attributes().any(|a| a.namespace().is_some()) {
        return Err(element.error(ProblemKind::Unknown, "XML namespaces have no meaning in MJCF"));
    }
    let text = node.children().filter(|c| c.is_text()).find_map(|c| c.text().filter(|t| !t.trim().is_empty()));
    match text {
        Some(text) => {
            let shown: String = text.trim().chars().take(40).collect();
            Err(element.error(ProblemKind::Unknown, format!("text between elements has no meaning in MJCF: `{shown}`")))
        }
        None => Ok(()),
    }
}

/// Refuses a tag with very many attributes before the XML crate compares them pairwise.
fn guard_attributes(text: &str, file_name: &str) -> Result<(), ModelError> {
    let (mut attributes, mut line, mut last) = (0usize, 1u32, b' ');
    for byte in text.bytes() {
        match byte {
            b'<' => attributes = 0,
            b'"' | b'\'' if last == b'=' => attributes += 1,
            b'\n' => line += 1,
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            last = byte;
        }
        if attributes > MAX_ATTRIBUTES {
            let message = format!("more than {MAX_ATTRIBUTES} attributes in one element");
            return Err(ModelError::new(ProblemKind::TooLarge, file_name, message).line(line));
        }
    }
    Ok(())
}
