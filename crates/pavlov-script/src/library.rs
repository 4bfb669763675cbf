//! Shared modules: `import "lib/gait" as gait;` at the top of a script, then `gait::phase(...)`.
//!
//! Modules are files of functions in the folders of [`crate::Scene::lib`] (`rewards/lib/` of the workspace, then that
//! of the user) and nowhere else. They may import each other, but not in a circle. Their functions are lowered as local
//! ones are.

use crate::diag::place;
use crate::foreign::foreign;
use rhai::{AST, Engine, Expr, Position, Stmt};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Modules of one script, those they import included.
const MAX_MODULES: usize = 64;
/// A longer module is refused.
const MAX_TEXT: u64 = 1 << 20;
/// What every name starts with.
const PREFIX: &str = "lib/";

/// A script or one of its modules.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// As imported: `lib/gait`; empty for the script itself.
    pub name: String,
    /// What findings call it.
    pub file: String,
    pub path: PathBuf,
    pub text: String,
    pub ast: AST,
    /// Module of each alias.
    pub aliases: BTreeMap<String, usize>,
}

/// A script (the first) and the modules it uses.
#[derive(Clone, Debug)]
pub(crate) struct Modules(pub Vec<Module>);

/// Why modules cannot be loaded: the file, the place in it, what is wrong, what to do.
pub(crate) struct Refused {
    pub file: String,
    pub text: String,
    pub pos: Position,
    pub message: String,
    pub hint: String,
}

impl Modules {
    /// Finds everything the script imports.
    pub fn load(file: &str, text: &str, ast: &AST, folders: &[PathBuf]) -> Result<Self, Refused> {
        let script = Module {
            name: String::new(),
            file: file.into(),
            path: PathBuf::new(),
            text: text.into(),
            ast: ast.clone(),
            aliases: BTreeMap::new(),
        };
        let mut modules = Self(vec![script]);
        modules.imports(0, folders, &mut Vec::new())?;
        Ok(modules)
    }

    fn imports(&mut self, at: usize, folders: &[PathBuf], open: &mut Vec<String>) -> Result<(), Refused> {
        let module = self.0[at].clone();
        let refuse = |pos: Position, message: String, hint: String| Refused {
            file: module.file.clone(),
            text: module.text.clone(),
            pos,
            message,
            hint,
        };
        for stmt in module.ast.statements() {
            let (x, pos) = match stmt {
                Stmt::Import(x, pos) => (x, *pos),
                Stmt::Noop(_) => continue,
                other if at > 0 => {
                    let message = format!("module `{}` has a statement outside of functions", module.name);
                    let hint = "a module is functions only; a constant is one too: `fn width() { 2.0 }`";
                    return Err(refuse(other.position(), message, hint.into()));
                }
                _ => continue,
            };
            let how = "write `import \"lib/gait\" as gait;`";
            let Expr::StringConstant(name, _) = &x.0 else {
                return Err(refuse(pos, "the name of a module must be text as it is".into(), how.into()));
            };
            if x.1.name.is_empty() {
                return Err(refuse(pos, format!("`{name}` is imported without a name"), how.into()));
            }
            if open.iter().any(|o| o == name.as_str()) {
                let message = format!("modules import each other in a circle: {} -> {name}", open.join(" -> "));
                return Err(refuse(pos, message, String::new()));
            }
            let index = match self.0.iter().position(|m| m.name == name.as_str()) {
                Some(known) => known,
                None => {
                    let path = find(name, folders).map_err(|(message, hint)| refuse(pos, message, hint))?;
                    let read = std::fs::metadata(&path).and_then(|m| {
                        if m.len() > MAX_TEXT {
                            Err(std::io::ErrorKind::FileTooLarge.into())
                        } else {
                            pavlov_common::text::read(&path)
                        }
                    });
                    let shown = path.display().to_string();
                    let text = read.map_err(|e| refuse(pos, format!("{shown}: {e}"), String::new()))?;
                    let parsed = crate::engine::engine().compile(&text);
                    let ast = parsed.map_err(|e| Refused {
                        file: shown.clone(),
                        text: text.clone(),
                        pos: e.1,
                        message: e.0.to_string(),
                        hint: foreign(&text)
                            .into_iter()
                            .find(|w| w.at.0 == place(e.1).0)
                            .map_or_else(String::new, |w| w.hint),
                    })?;
                    if self.0.len() > MAX_MODULES {
                        return Err(refuse(pos, format!("more than {MAX_MODULES} modules"), String::new()));
                    }
                    let aliases = BTreeMap::new();
                    self.0.push(Module { name: name.to_string(), file: shown, path, text, ast, aliases });
                    let index = self.0.len() - 1;
                    open.push(name.to_string());
                    self.imports(index, folders, open)?;
                    open.pop();
                    index
                }
            };
            self.0[at].aliases.insert(x.1.name.to_string(), index);
        }
        Ok(())
    }
}

/// The file of a module.
fn find(name: &str, folders: &[PathBuf]) -> Result<PathBuf, (String, String)> {
    let good = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let rest = name.strip_prefix(PREFIX).filter(|rest| rest.split('/').all(good));
    let Some(rest) = rest else {
        let hint = "only modules of `rewards/lib/` can be imported: `import \"lib/gait\" as gait;`";
        return Err((format!("no module `{name}`"), hint.into()));
    };
    for folder in folders {
        let path = folder.join(format!("{rest}.rhai"));
        // A link must not lead out of the folder.
        if let (Ok(real), Ok(base)) = (path.canonicalize(), folder.canonicalize())
            && real.is_file()
            && real.starts_with(&base)
        {
            return Ok(path);
        }
    }
    let known: Vec<String> = available(folders).into_iter().map(|(n, _)| n).collect();
    Err((format!("no module `{name}`"), pavlov_model::did_you_mean(name, known.iter().map(String::as_str))))
}

/// Every module in these folders: name and file, sorted by name; the first folder that has a name wins.
pub fn available(folders: &[PathBuf]) -> Vec<(String, PathBuf)> {
    fn walk(base: &Path, folder: &Path, depth: usize, out: &mut Vec<(String, PathBuf)>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for path in entries.filter_map(|e| e.ok().map(|e| e.path())) {
            if path.is_dir() && depth > 0 {
                walk(base, &path, depth - 1, out);
            } else if path.extension().is_some_and(|e| e == "rhai")
                && let Ok(relative) = path.with_extension("").strip_prefix(base)
            {
                let parts: Vec<String> = relative.iter().map(|p| p.to_string_lossy().into_owned()).collect();
                out.push((format!("{PREFIX}{}", parts.join("/")), path));
            }
        }
    }
    let mut modules: Vec<(String, PathBuf)> = Vec::new();
    for folder in folders {
        let mut found = Vec::new();
        walk(folder, folder, 3, &mut found);
        modules.extend(found.into_iter().filter(|(n, _)| !modules.iter().any(|(m, _)| m == n)).collect::<Vec<_>>());
    }
    modules.sort();
    modules
}

/// A function of a module, with the comment above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFunction {
    /// As it is written: `follow(feet, time, period, offsets, duty)`.
    pub signature: String,
    /// The comment above it.
    pub doc: String,
}

impl ModuleFunction {
    /// Its name.
    pub fn name(&self) -> &str {
        self.signature.split('(').next().unwrap_or_default()
    }
}

/// What the text of a module is about (the comment at its top), and its functions in order.
pub fn outline(text: &str) -> (String, Vec<ModuleFunction>) {
    let (mut about, mut functions) = (String::new(), Vec::new());
    let mut comment: Vec<&str> = Vec::new();
    let mut first = true;
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("//") {
            comment.push(words.trim());
            continue;
        }
        if let Some(rest) = line.strip_prefix("fn ") {
            let signature = rest.split('{').next().unwrap_or(rest).trim().to_string();
            functions.push(ModuleFunction { signature, doc: comment.join(" ") });
        } else if first && !comment.is_empty() {
            about = comment.join(" ");
        }
        first = first && comment.is_empty();
        comment.clear();
    }
    (about, functions)
}

/// The modules in these folders as Markdown: what each is about, and every function with the comment above it.
pub fn documentation(folders: &[PathBuf]) -> String {
    let mut out = String::new();
    for (name, path) in available(folders) {
        let Ok(text) = pavlov_common::text::read(&path) else { continue };
        let (about, functions) = outline(&text);
        out += &format!("### {name}\n\n");
        if !about.is_empty() {
            out += &format!("{about}\n\n");
        }
        for ModuleFunction { signature, doc } in functions {
            out += &format!("- `{signature}`: {doc}\n");
        }
        out.push('\n');
    }
    out
}

/// Gives the interpreter the modules that were found beforehand, and nothing else.
pub(crate) struct Resolver {
    modules: Arc<Modules>,
    evaluated: Mutex<HashMap<String, rhai::Shared<rhai::Module>>>,
}

impl Resolver {
    pub fn new(modules: Arc<Modules>) -> Self {
        Self { modules, evaluated: Mutex::default() }
    }
}

impl rhai::ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        _source: Option<&str>,
        path: &str,
        pos: Position,
    ) -> Result<rhai::Shared<rhai::Module>, Box<rhai::EvalAltResult>> {
        if let Some(module) = self.evaluated.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(module.clone());
        }
        let missing = || Box::new(rhai::EvalAltResult::ErrorModuleNotFound(path.into(), pos));
        let found = self.modules.0.iter().skip(1).find(|m| m.name == path).ok_or_else(missing)?;
        let module = rhai::Module::eval_ast_as_new(rhai::Scope::new(), &found.ast, engine)?;
        let module = rhai::Shared::new(module);
        self.evaluated.lock().unwrap_or_else(PoisonError::into_inner).insert(path.into(), module.clone());
        Ok(module)
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::example;
    use crate::{EntryKind, Program, Script};
    use std::sync::Arc;

    fn compile(files: &[(&str, &str)], text: &str) -> Result<Program, String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let scene = crate::Scene { lib: vec![dir.path().join("lib")], ..example() };
        let script = Script::parse("reward.rhai", text).map_err(|e| e.to_string())?;
        script.compile("reward", EntryKind::Terms, &Arc::new(scene), &[]).map_err(|e| e.to_string())
    }

    const GAIT: &str = "import \"lib/deep/math\" as m;\nfn twice(x) { m::double(x) }\n\
                        fn over(list, limit) { sum(list.map(|v| excess(v, limit))) }\n\
                        fn excess(v, limit) { max(v - limit, 0.0) }";
    const MATH: &str = "fn double(x) { 2.0 * x }\nfn each(list, f) { list.map(f) }";
    const FILES: &[(&str, &str)] =
        &[("lib/gait.rhai", GAIT), ("lib/deep/math.rhai", MATH), ("secret.rhai", "fn f() { 1.0 }")];

    #[test]
    fn functions_of_modules_are_lowered_and_agree_with_the_interpreter() {
        let text = "import \"lib/gait\" as gait;\nimport \"lib/deep/math\" as m;\nfn own(v) { 0.5 * v }\n\
                    fn reward(s) { #{ a: gait::twice(s.qpos[2]), b: gait::over(s.qvel, 0.5), \
                    c: sum(m::each(s.qvel, |v| v * v)), d: own(1.0) } }";
        let program = compile(FILES, text).unwrap();
        assert!(program.is_lowered(), "{:?}", program.findings());
        let names: Vec<&str> = program.modules().map(|(name, _)| name).collect();
        assert_eq!(names, ["lib/gait", "lib/deep/math"]);
        let parity = program.parity(200, 3).unwrap();
        assert!(parity.max_error < 1e-5, "{parity:?}");
    }

    #[test]
    fn what_is_wrong_with_an_import_is_told_where_it_is() {
        let import = |name: &str| format!("import \"{name}\" as g;\nfn reward(s) {{ g::twice(s.time) }}");
        for (files, text, words) in [
            (FILES, import("lib/gate"), "did you mean `lib/gait`"),
            (FILES, import("secret"), "only modules of `rewards/lib/`"),
            (FILES, import("lib/../secret"), "only modules of `rewards/lib/`"),
            (FILES, import("/etc/passwd"), "only modules of `rewards/lib/`"),
            (FILES, "import \"lib/gait\";\nfn reward(s) { 1.0 }".into(), "without a name"),
            (FILES, import("lib/gait").replace("twice", "twise"), "did you mean `twice`"),
            (FILES, import("lib/gait").replace("g::", "h::"), "no module is imported as `h`: did you mean `g`"),
            (FILES, "fn reward(s) { import \"lib/gait\" as g; g::twice(1.0) }".into(), "at the top of the file"),
            (&[("lib/gait.rhai", "fn twice(x) {\n  x + nothing }")], import("lib/gait"), "gait.rhai:2:7"),
            (&[("lib/gait.rhai", "fn twice(x) {\n  x + ")], import("lib/gait"), "gait.rhai:2"),
            (&[("lib/gait.rhai", "let x = 1;")], import("lib/gait"), "functions only"),
            (
                &[("lib/gait.rhai", "import \"lib/b\" as b;"), ("lib/b.rhai", "import \"lib/gait\" as g;")],
                import("lib/gait"),
                "in a circle: lib/gait -> lib/b -> lib/gait",
            ),
        ] {
            let error = compile(files, &text).unwrap_err();
            assert!(error.contains(words), "{text}\n{error}");
        }
    }
}
