//! Completion and hover: what can be written at a place, and what a name means, from the one table of names, the scene,
//! the manifest and the modules.

use super::infer::{Type, Words};
use super::tokens::{KEYWORDS, Kind, Language, Token, tokens};
use pavlov_reward::Param;
use pavlov_script::{BUILTINS, Builtin, CLOSURES, Form, ModuleFunction, Scene, available_modules, module_outline};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// One name that could be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is put into the text.
    pub insert: String,
    /// How it is used, with arguments: `state.body(string)`.
    pub usage: String,
    /// What it gives and in which unit; may be empty.
    pub gives: String,
    /// What it is.
    pub doc: String,
}

/// What fits at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Bytes of the text that an entry replaces.
    pub replaces: Range<usize>,
    /// Was it asked for by a dot or a quote, so that it opens without letters?
    pub eager: bool,
    /// Entries, best first.
    pub entries: Vec<Entry>,
}

/// Everything that has a name for one task and one reward.
#[derive(Debug, Clone)]
pub struct Names {
    scene: Arc<Scene>,
    params: BTreeMap<String, Param>,
    modules: Vec<(String, String, Vec<ModuleFunction>)>,
}

/// How far names are followed from binding to binding.
const DEPTH: usize = 24;

fn gives(b: &Builtin) -> String {
    match (b.ret.name(), b.unit) {
        (ty, "") => ty.into(),
        (ty, unit) => format!("{ty}, {unit}"),
    }
}

fn entry(b: &Builtin) -> Entry {
    Entry { insert: b.name.into(), usage: b.usage(), gives: gives(b), doc: b.doc.into() }
}

fn plain(insert: &str, usage: &str, doc: impl Into<String>) -> Entry {
    Entry { insert: insert.into(), usage: usage.into(), gives: String::new(), doc: doc.into() }
}

pub(crate) fn parameter(name: &str, p: &Param) -> Entry {
    let mut range = format!("default {}", p.value);
    if let (Some(low), Some(high)) = (p.min, p.max) {
        range += &format!(", {low} to {high}");
    }
    let gives = if p.unit.is_empty() { range } else { format!("{}, {range}", p.unit) };
    Entry { insert: name.into(), usage: format!("p.{name}"), gives, doc: p.about.clone() }
}

impl Names {
    /// Names of a scene, and of parameters that the manifest has.
    pub fn new(scene: Arc<Scene>, params: BTreeMap<String, Param>) -> Self {
        let mut names = Self { scene, params, modules: Vec::new() };
        names.read_modules();
        names
    }

    /// Reads what the modules hold now.
    pub fn read_modules(&mut self) {
        let read = |(name, path): (String, std::path::PathBuf)| {
            let (about, functions) = module_outline(&pavlov_common::text::read(&path).ok()?);
            Some((name, about, functions))
        };
        self.modules = available_modules(&self.scene.lib).into_iter().filter_map(read).collect();
    }

    /// The manifest has other parameters now.
    pub fn set_params(&mut self, params: &BTreeMap<String, Param>) {
        self.params.clone_from(params);
    }

    /// What fits before byte `at`.
    pub fn complete(&self, text: &str, at: usize) -> Option<Completion> {
        let list = tokens(Language::Rhai, text);
        let inside = list.iter().find(|t| t.at.start < at && at <= t.at.end);
        match inside.map(|t| t.kind) {
            Some(Kind::Comment) => return None,
            Some(Kind::Text) => {
                let token = inside?;
                let closed = token.at.len() > 1 && text[token.at.clone()].ends_with(['"', '`', '\'']);
                if closed && at == token.at.end {
                    return None;
                }
                return self.in_text(text, &list, token, at, closed);
            }
            Some(Kind::Number) => return None,
            _ => {}
        }
        let start = inside.filter(|t| matches!(t.kind, Kind::Word | Kind::Keyword)).map_or(at, |t| t.at.start);
        let typed = &text[start..at];
        let end = if start < at { inside.map_or(at, |t| t.at.end) } else { at };
        let before: Vec<Token> = list.iter().filter(|t| t.at.end <= start).cloned().collect();
        let words = Words::new(text, &before);
        let n = words.list.len();
        let last = |back: usize| n.checked_sub(back).map_or("", |i| words.word(i));
        let (mut entries, eager) = if last(1) == "." && n > 1 {
            (self.members(words.type_ending(n - 2, DEPTH)), true)
        } else if last(1) == ":" && last(2) == ":" {
            (self.functions_of(text, last(3)), true)
        } else if matches!(last(1), "let" | "fn" | "as" | "const") {
            return None;
        } else {
            (self.free(text, &before), false)
        };
        let lower = typed.to_lowercase();
        let rank = |e: &Entry| {
            let name = e.insert.to_lowercase();
            (!name.starts_with(&lower), !e.insert.starts_with(typed))
        };
        entries.retain(|e| e.insert.to_lowercase().contains(&lower) && e.insert != typed);
        entries.sort_by_key(rank);
        let mut seen = Vec::new();
        entries.retain(|e| {
            let new = !seen.contains(&(e.insert.clone(), e.usage.clone()));
            seen.push((e.insert.clone(), e.usage.clone()));
            new
        });
        (!entries.is_empty()).then_some(Completion { replaces: start..end, eager, entries })
    }

    /// Names within quotes: of bodies, joints, sensors, modules.
    fn in_text(&self, text: &str, list: &[Token], token: &Token, at: usize, closed: bool) -> Option<Completion> {
        let start = token.at.start + 1;
        let end = if closed { token.at.end - 1 } else { token.at.end };
        let before: Vec<Token> = list.iter().filter(|t| t.at.end <= token.at.start).cloned().collect();
        let words = Words::new(text, &before);
        let n = words.list.len();
        let last = |back: usize| n.checked_sub(back).map_or("", |i| words.word(i));
        let lower = text[start..at.min(end).max(start)].to_lowercase();
        let mut entries = if last(1) == "import" {
            self.modules.iter().map(|(name, about, _)| plain(name, name, about.clone())).collect()
        } else if last(1) == "(" {
            self.things(last(2))
        } else {
            return None;
        };
        entries.retain(|e| e.insert.to_lowercase().contains(&lower));
        entries.sort_by_key(|e| !e.insert.to_lowercase().starts_with(&lower));
        (!entries.is_empty()).then_some(Completion { replaces: start..end, eager: true, entries })
    }

    /// Things of the scene that the function `kind` finds by name.
    fn things(&self, kind: &str) -> Vec<Entry> {
        let s = &self.scene;
        let named = |list: &[String]| -> Vec<Entry> {
            let word = if kind == "foot" { "a foot".into() } else { format!("a {kind} of the robot") };
            list.iter().filter(|n| !n.is_empty()).map(|n| plain(n, n, word.clone())).collect()
        };
        match kind {
            "body" => named(&s.bodies),
            "actuator" => named(&s.actuators),
            "site" => named(&s.sites),
            "foot" => named(&s.feet),
            "joint" => {
                let scalar = s.joints.iter().filter(|j| j.scalar && !j.name.is_empty());
                let range = |r: Option<[f64; 2]>| match r {
                    Some([low, high]) => format!("a joint of the robot, {low:.3} to {high:.3} rad or m"),
                    None => "a joint of the robot, without limits".into(),
                };
                scalar.map(|j| plain(&j.name, &j.name, range(j.range))).collect()
            }
            "sensor" => {
                let words = |dim| format!("a sensor of {dim} value{}", if dim == 1 { "" } else { "s" });
                s.sensors.iter().map(|x| plain(&x.name, &x.name, words(x.dim))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What can follow a dot.
    fn members(&self, on: Option<Type>) -> Vec<Entry> {
        let rows_of = |receiver: Option<&str>| -> Vec<Entry> {
            let fits = |b: &&Builtin| {
                let first = b.args.first().map(|t| t.name());
                b.form != Form::Operator && first.is_some() && receiver.is_none_or(|r| first == Some(r))
            };
            let mut rows: Vec<&Builtin> = BUILTINS.iter().filter(fits).collect();
            rows.sort_by_key(|b| b.form == Form::Function);
            rows.into_iter().map(entry).collect()
        };
        let closures = || {
            CLOSURES.iter().map(|&(name, usage, gives, doc)| Entry { gives: gives.into(), ..plain(name, usage, doc) })
        };
        match on {
            Some(Type::Params) => self.params.iter().map(|(name, p)| parameter(name, p)).collect(),
            Some(Type::Command) => {
                let field = |n: &String| plain(n, &format!("command.{n}"), "field of the command, from the task");
                self.scene.commands.iter().map(field).collect()
            }
            Some(Type::Array(_)) => rows_of(Some("array")).into_iter().chain(closures()).collect(),
            Some(Type::Table(name)) => rows_of(Some(name)),
            None => rows_of(None).into_iter().chain(closures()).collect(),
        }
    }

    /// Module that the script imports as `alias`.
    fn module(&self, text: &str, alias: &str) -> Option<&(String, String, Vec<ModuleFunction>)> {
        let list = tokens(Language::Rhai, text);
        let words = Words::new(text, &list);
        let at = (0..words.list.len()).find(|&i| words.word(i) == "as" && words.word(i + 1) == alias)?;
        let name = words.word(at.checked_sub(1)?).trim_matches('"');
        self.modules.iter().find(|(n, _, _)| n == name)
    }

    fn functions_of(&self, text: &str, alias: &str) -> Vec<Entry> {
        let functions = self.module(text, alias).map_or(&[][..], |(_, _, f)| f);
        functions.iter().map(|f| plain(f.name(), &f.signature, f.doc.clone())).collect()
    }

    /// What can stand by itself: variables, functions, modules, keywords.
    fn free(&self, text: &str, before: &[Token]) -> Vec<Entry> {
        let words = Words::new(text, before);
        let mut out: Vec<Entry> = Vec::new();
        for i in (0..words.list.len()).rev() {
            let name = words.word(i);
            if words.list[i].kind != Kind::Word || out.iter().any(|e| e.insert == name) {
                continue;
            }
            let previous = i.checked_sub(1).map_or("", |i| words.word(i));
            match previous {
                "let" | "const" => out.push(plain(name, name, "a variable of the script")),
                "as" => out.push(plain(name, &format!("{name}::..."), "a module that the script imports")),
                "fn" if name != "reward" && name != "memory" => {
                    out.push(plain(name, &format!("{name}(...)"), "a function of the script"));
                }
                "(" | "," | "|" if words.call_around(i).is_some_and(|f| f > 0 && words.word(f - 1) == "fn") => {
                    out.push(plain(name, name, "an argument of the function"));
                }
                _ => {}
            }
        }
        let function = |b: &&Builtin| {
            let first = b.args.first().map_or("", |t| t.name());
            b.form == Form::Function && !matches!(first, "state")
        };
        out.extend(BUILTINS.iter().filter(function).map(entry));
        out.extend(KEYWORDS.iter().map(|k| plain(k, k, "a word of the language")));
        out
    }

    /// What the name at byte `at` is, and where it stands.
    pub fn explain(&self, text: &str, at: usize) -> Option<(Range<usize>, Vec<Entry>)> {
        let list = tokens(Language::Rhai, text);
        let i = list.iter().position(|t| t.at.start <= at && at < t.at.end)?;
        let token = &list[i];
        let name = &text[token.at.clone()];
        let words = Words::new(text, &list[..i]);
        let n = words.list.len();
        let last = |back: usize| n.checked_sub(back).map_or("", |i| words.word(i));
        let mut found = match token.kind {
            Kind::Text => {
                let name = name.trim_matches(['"', '`', '\'']);
                let all = if last(1) == "import" {
                    self.modules.iter().map(|(n, about, _)| plain(n, n, about.clone())).collect()
                } else {
                    self.things(last(2))
                };
                all.into_iter().filter(|e| e.insert == name).collect()
            }
            Kind::Word if last(1) == "." && n > 1 => self.members(words.type_ending(n - 2, DEPTH)),
            Kind::Word if last(1) == ":" && last(2) == ":" => self.functions_of(text, last(3)),
            Kind::Word if text[token.at.end..].trim_start().starts_with("::") => {
                let about = self.module(text, name).map(|(module, about, _)| plain(name, module, about.clone()));
                about.into_iter().collect()
            }
            Kind::Word => BUILTINS.iter().filter(|b| b.form == Form::Function && b.name == name).map(entry).collect(),
            _ => Vec::new(),
        };
        if token.kind != Kind::Text {
            found.retain(|e| e.insert == name);
        }
        (!found.is_empty()).then(|| (token.at.clone(), found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_script::{JointInfo, SensorInfo};

    fn names() -> Names {
        let scene = Scene {
            bodies: vec!["world".into(), "torso".into(), "foot_left".into()],
            joints: vec![JointInfo { name: "hip".into(), scalar: true, range: Some([-1.0, 1.0]), default: 0.0 }],
            sensors: vec![SensorInfo { name: "gyro".into(), dim: 3 }],
            commands: vec!["vx".into(), "yaw".into()],
            ..Scene::default()
        };
        let param = Param { value: 1.5, min: Some(0.0), max: Some(5.0), unit: "s/m".into(), about: "weight".into() };
        let mut names = Names::new(Arc::new(scene), BTreeMap::from([("forward".to_string(), param)]));
        let (about, functions) =
            module_outline("// Gait clocks.\n\n// Phase of a foot.\nfn phase(time, period) { time }\n");
        names.modules = vec![("lib/gait".into(), about, functions)];
        names
    }

    /// Entries where the bar stands.
    fn at(text: &str) -> Vec<String> {
        let place = text.find('¦').unwrap();
        let text = text.replace('¦', "");
        let found = names().complete(&text, place);
        found.map_or(Vec::new(), |c| c.entries.into_iter().map(|e| e.insert).collect())
    }

    #[test]
    fn what_is_offered_fits_the_place() {
        let f = |body: &str| {
            format!("import \"lib/gait\" as gait;\nfn reward(s, p) {{ let torso = s.body(\"torso\"); {body}")
        };
        assert_eq!(at(&f("s.body(\"to¦")), ["torso"]);
        assert_eq!(at(&f("s.body(\"f¦\").pos }")), ["foot_left"]);
        assert_eq!(at(&f("s.sensor(\"¦")), ["gyro"]);
        assert_eq!(at(&f("s.joint(\"¦")), ["hip"]);
        assert_eq!(at(&f("p.¦")), ["forward"]);
        assert_eq!(at(&f("s.command.¦")), ["vx", "yaw"]);
        assert_eq!(at(&f("gait::¦")), ["phase"]);
        assert_eq!(at("import \"¦"), ["lib/gait"]);
        assert!(at(&f("torso.li¦")).starts_with(&["linvel".into()]));
        assert!(at(&f("s.¦")).contains(&"qpos".to_string()) && !at(&f("s.¦")).contains(&"linvel".to_string()));
        assert!(at(&f("tor¦")).contains(&"torso".to_string()) && at(&f("tole¦")) == ["tolerance"]);
        assert!(at(&f("s.qpos.no¦")).starts_with(&["norm".into(), "norm2".into()]));
        assert!(at(&f("// s.¦")).is_empty() && at(&f("let a¦")).is_empty() && at(&f("1¦")).is_empty());
    }

    #[test]
    fn every_name_of_the_table_can_be_completed_and_is_explained_in_its_words() {
        for b in BUILTINS.iter().filter(|b| b.form != Form::Operator) {
            let on = b.args.first().map(|t| t.name());
            // A receiver of that kind, as a script would have it.
            let receiver = match on {
                Some("state") => "s",
                Some("body") => "s.body(\"torso\")",
                Some("joint") => "s.joint(\"hip\")",
                Some("actuator") => "s.actuator(\"a\")",
                Some("foot") => "s.foot(\"a\")",
                Some("site") => "s.site(\"a\")",
                Some("com") => "s.com",
                Some("vec3") => "s.com.pos",
                Some("vec2") => "s.com.pos.xy",
                Some("quat") => "s.body(\"torso\").quat",
                Some("array") => "s.qpos",
                _ => "",
            };
            let dot = if receiver.is_empty() { "" } else { "." };
            let head = format!("fn reward(s, p) {{ {receiver}{dot}");
            let offered = names().complete(&head, head.len()).unwrap_or_else(|| panic!("{head}"));
            let same = |e: &&Entry| e.insert == b.name && e.usage == b.usage();
            assert_eq!(offered.entries.iter().find(same).map(|e| e.doc.as_str()), Some(b.doc), "{head}{}", b.name);
            let text = format!("{head}{} }}", b.name);
            let (_, found) = names().explain(&text, head.len()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(found.iter().find(same).map(|e| e.doc.as_str()), Some(b.doc), "{text}");
        }
    }

    #[test]
    fn parameters_modules_and_things_of_the_scene_are_explained() {
        let text = "import \"lib/gait\" as gait; \
                    fn reward(s, p) { p.forward * gait::phase(s.time, 1.0) + s.body(\"torso\").height }";
        let doc = |word: &str| names().explain(text, text.find(word).unwrap() + 1).map(|(_, e)| e[0].clone());
        let forward = doc("forward").unwrap();
        assert_eq!((forward.doc.as_str(), forward.gives.as_str()), ("weight", "s/m, default 1.5, 0 to 5"));
        assert_eq!(doc("phase").unwrap().doc, "Phase of a foot.");
        assert_eq!(doc("gait::").unwrap().doc, "Gait clocks.");
        assert_eq!(doc("\"torso\"").unwrap().doc, "a body of the robot");
        assert!(doc("reward").is_none());
    }
}
