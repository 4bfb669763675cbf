//! The reference: rhai's own interpreter, one world at a time, in `f64`.
//!
//! Every row of the table is registered under its name; the meaning comes from `builtins.rs`, the control flow is
//! rhai's.

use crate::builtins::{Fault, apply, takes};
use crate::engine::engine;
use crate::library::{Modules, Resolver};
use crate::lint::{changed, takes_closures};
use crate::scene::{Channel, Input, Scene};
use crate::script::Constant;
use crate::table::{BUILTINS, Builtin, Form, Ty, rows};
use crate::value::{Bin, Builder, Handle, Kind, Un, Value};
use rhai::{
    AST, CallFnOptions, Dynamic, Engine, EvalAltResult, EvalContext, FLOAT, INT, ImmutableString, Position, Scope,
};
use std::any::TypeId;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Modules that may be loaded; the import statements are read beforehand.
const MAX_IMPORTS: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq)]
struct V2([f64; 2]);
#[derive(Clone, Copy, Debug, PartialEq)]
struct V3([f64; 3]);
#[derive(Clone, Copy, Debug, PartialEq)]
struct Q4([f64; 4]);

/// A thing of the scene in one world.
#[derive(Clone, Debug)]
struct Thing {
    handle: Handle,
    view: Arc<View>,
}

/// One world's columns.
#[derive(Debug)]
struct View {
    scene: Arc<Scene>,
    places: Arc<HashMap<Input, usize>>,
    values: Vec<f64>,
}

/// The builder whose numbers are `f64`: it computes at once.
struct Plain<'a> {
    scene: &'a Scene,
    view: Option<&'a View>,
}

impl Builder for Plain<'_> {
    type N = f64;
    fn scene(&self) -> &Scene {
        self.scene
    }
    fn lit(&mut self, x: f64) -> f64 {
        x
    }
    fn un(&mut self, op: Un, x: f64) -> f64 {
        op.apply(x)
    }
    fn bin(&mut self, op: Bin, a: f64, b: f64) -> f64 {
        op.apply(a, b)
    }
    fn sel(&mut self, c: f64, a: f64, b: f64) -> f64 {
        if c != 0.0 { a } else { b }
    }
    fn input(&mut self, input: Input) -> f64 {
        self.view.and_then(|v| v.places.get(&input).map(|&i| v.values[i])).unwrap_or(f64::NAN)
    }
}

/// rhai's value as ours. The view of a thing is left in `view`.
fn to_value(d: &Dynamic, view: &mut Option<Arc<View>>) -> Option<Value<f64>> {
    Some(if d.is_unit() {
        Value::Unit
    } else if let Ok(x) = d.as_float() {
        Value::Num(x)
    } else if let Ok(i) = d.as_int() {
        Value::Int(i as f64)
    } else if let Ok(b) = d.as_bool() {
        Value::Bool(f64::from(b))
    } else if let Ok(s) = d.as_immutable_string_ref() {
        Value::Str(s.to_string())
    } else if let Ok(a) = d.as_array_ref() {
        Value::Array(a.iter().map(|x| to_value(x, view)).collect::<Option<_>>()?)
    } else if let Ok(m) = d.as_map_ref() {
        Value::Map(m.iter().map(|(k, x)| Some((k.to_string(), to_value(x, view)?))).collect::<Option<_>>()?)
    } else if let Some(v) = d.read_lock::<V2>() {
        Value::Vec2(v.0)
    } else if let Some(v) = d.read_lock::<V3>() {
        Value::Vec3(v.0)
    } else if let Some(v) = d.read_lock::<Q4>() {
        Value::Quat(v.0)
    } else {
        let t = d.read_lock::<Thing>()?;
        *view = Some(t.view.clone());
        Value::Handle(t.handle)
    })
}

fn to_dynamic(v: Value<f64>, view: Option<&Arc<View>>) -> Dynamic {
    match v {
        Value::Unit | Value::Fn(..) | Value::Range(..) => Dynamic::UNIT,
        Value::Bool(b) => (b != 0.0).into(),
        Value::Int(i) => (i as INT).into(),
        Value::Num(x) => x.into(),
        Value::Str(s) => s.into(),
        Value::Vec2(v) => Dynamic::from(V2(v)),
        Value::Vec3(v) => Dynamic::from(V3(v)),
        Value::Quat(v) => Dynamic::from(Q4(v)),
        Value::Array(a) => a.into_iter().map(|x| to_dynamic(x, view)).collect::<Vec<_>>().into(),
        Value::Map(m) => Dynamic::from_map(m.into_iter().map(|(k, x)| (k.into(), to_dynamic(x, view))).collect()),
        Value::Handle(handle) => match view {
            Some(view) => Dynamic::from(Thing { handle, view: view.clone() }),
            None => Dynamic::UNIT,
        },
    }
}

/// rhai's types for one of ours: an int is taken where a number is expected.
fn types(ty: Ty) -> Vec<TypeId> {
    match ty {
        Ty::Num => vec![TypeId::of::<FLOAT>(), TypeId::of::<INT>()],
        Ty::Bool => vec![TypeId::of::<bool>()],
        Ty::Str => vec![TypeId::of::<ImmutableString>()],
        Ty::Vec2 => vec![TypeId::of::<V2>()],
        Ty::Vec3 => vec![TypeId::of::<V3>()],
        Ty::Quat => vec![TypeId::of::<Q4>()],
        Ty::Array => vec![TypeId::of::<rhai::Array>()],
        Ty::Map => vec![TypeId::of::<rhai::Map>()],
        Ty::Handle(_) => vec![TypeId::of::<Thing>()],
    }
}

fn register(engine: &mut Engine, scene: &Arc<Scene>) {
    engine.register_type_with_name::<V2>("vec2");
    engine.register_type_with_name::<V3>("vec3");
    engine.register_type_with_name::<Q4>("quat");
    engine.register_type_with_name::<Thing>("state, body, joint, actuator, foot, site or com");
    let mut done: HashSet<(String, Vec<TypeId>)> = HashSet::new();
    for row in BUILTINS {
        let mut signatures = vec![Vec::new()];
        for ty in row.args {
            let longer = |s: &Vec<TypeId>| {
                types(*ty).into_iter().map(|t| s.iter().copied().chain([t]).collect()).collect::<Vec<_>>()
            };
            signatures = signatures.iter().flat_map(longer).collect();
        }
        let (name, form) = (row.name, row.form);
        let candidates: Arc<[&'static Builtin]> = rows(name, form).collect();
        let rhai_name = if form == Form::Property { format!("get${name}") } else { name.to_string() };
        for signature in signatures {
            if !done.insert((rhai_name.clone(), signature.clone())) {
                continue;
            }
            let (scene, candidates) = (scene.clone(), candidates.clone());
            engine.register_raw_fn(
                rhai_name.as_str(),
                &signature,
                move |_, args| -> Result<Dynamic, Box<EvalAltResult>> {
                    let mut view = None;
                    let values: Option<Vec<Value<f64>>> = args.iter().map(|a| to_value(a, &mut view)).collect();
                    let row = values.as_ref().and_then(|v| candidates.iter().find(|row| takes(row, v)));
                    let (Some(values), Some(row)) = (values, row) else {
                        return Err(format!("`{name}` cannot take these values").into());
                    };
                    let mut plain = Plain { scene: &scene, view: view.as_deref() };
                    match apply(&mut plain, row, &values) {
                        Ok(v) => Ok(to_dynamic(v, view.as_ref())),
                        Err(Fault { message, hint, .. }) if hint.is_empty() => Err(message.into()),
                        Err(Fault { message, hint, .. }) => Err(format!("{message}; {hint}").into()),
                    }
                },
            );
        }
    }
}

thread_local! {
    /// Operations of the call that runs on this thread, as rhai counts them.
    static OPERATIONS: Cell<u64> = const { Cell::new(0) };
}

/// How a closure's variables and what stands above the functions are found.
///
/// rhai shares a variable that a closure takes, and holds it while a method of it runs: `q.map(|x| x - q[0])` reads `q`
/// while it is held, and fails. Here a shared variable that nothing changes is read as a copy, which is the same to the
/// script. What the text changes stays shared.
#[expect(deprecated, reason = "rhai marks `on_var` so, as it may change; the version is held")]
fn resolve_variables(engine: &mut Engine, above: &[Constant], kept_shared: HashSet<String>) {
    let above: HashMap<String, Dynamic> =
        above.iter().map(|c| (c.name.clone(), to_dynamic(c.value.clone(), None))).collect();
    engine.on_var(move |name: &str, _, context: EvalContext<'_, '_, '_, '_, '_, '_>| {
        let Some(value) = context.scope().get(name) else { return Ok(above.get(name).cloned()) };
        if !value.is_shared() || kept_shared.contains(name) {
            return Ok(None);
        }
        Ok((!value.is_locked()).then(|| value.flatten_clone()))
    });
}

/// What is remembered: the numbers in a fixed order, put into a map of that shape and taken out of it.
pub(crate) fn unflatten(shape: &Value<f64>, next: &mut impl FnMut() -> f64) -> Value<f64> {
    match shape {
        Value::Bool(_) => Value::Bool(next()),
        Value::Array(a) => Value::Array(a.iter().map(|x| unflatten(x, next)).collect()),
        Value::Map(m) => Value::Map(m.iter().map(|(k, x)| (k.clone(), unflatten(x, next))).collect()),
        _ => Value::Num(next()),
    }
}

/// Numbers of `value` in the order of `shape`; `None` when the shapes differ.
pub(crate) fn flatten<N: Copy>(shape: &Value<f64>, value: &Value<N>, out: &mut Vec<N>) -> Option<()> {
    match (shape, value) {
        (Value::Array(s), Value::Array(v)) if s.len() == v.len() => {
            s.iter().zip(v).try_for_each(|(s, v)| flatten(s, v, out))
        }
        (Value::Map(s), Value::Map(v)) if s.len() == v.len() => {
            s.iter().try_for_each(|(k, s)| flatten(s, v.get(k)?, out))
        }
        (Value::Bool(_), Value::Bool(n)) | (Value::Num(_) | Value::Int(_), Value::Num(n) | Value::Int(n)) => {
            out.push(*n);
            Some(())
        }
        _ => None,
    }
}

/// A script bound to a scene.
pub(crate) struct Interp {
    engine: Engine,
    ast: AST,
    scene: Arc<Scene>,
    entry: String,
    args: usize,
    places: Arc<HashMap<Input, usize>>,
    names: Vec<String>,
    memory: Option<Value<f64>>,
    /// Are operations counted?
    counted: bool,
}

impl std::fmt::Debug for Interp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Interp({})", self.entry)
    }
}

/// Every column there is, in the order in which an interpreted script gets them.
pub(crate) fn all_inputs(scene: &Scene) -> Vec<Input> {
    let channels = scene.channels();
    channels.iter().map(|&c| Input::now(c)).chain(channels.iter().map(|&c| Input::prev(c))).collect()
}

/// Columns of a robot at rest: zeros, and no rotation.
pub(crate) fn neutral(inputs: &[Input]) -> Vec<f32> {
    inputs.iter().map(|i| if matches!(i.channel, Channel::BodyQuat { axis: 0, .. }) { 1.0 } else { 0.0 }).collect()
}

impl Interp {
    pub fn new(
        ast: AST,
        scene: &Arc<Scene>,
        entry: &str,
        args: usize,
        inputs: &[Input],
        params: &[(String, f64)],
        memory: Option<(Value<f64>, String)>,
        above: &[Constant],
        lowered: bool,
        modules: &Arc<Modules>,
    ) -> Self {
        let mut engine = engine();
        engine.set_max_modules(MAX_IMPORTS);
        engine.set_module_resolver(Resolver::new(modules.clone()));
        register(&mut engine, scene);
        // A script that is lowered changes nothing that a closure has taken, but what it remembers.
        let (memory, memory_name) = memory.unzip();
        let mut kept_shared: HashSet<String> = memory_name.into_iter().collect();
        if !lowered {
            kept_shared.extend(modules.0.iter().flat_map(|m| changed(&m.ast)));
        }
        let closures = modules.0.iter().any(|m| takes_closures(&m.ast));
        if closures || !above.is_empty() {
            resolve_variables(&mut engine, above, kept_shared);
        }
        if !lowered {
            engine.on_progress(|operations| {
                OPERATIONS.set(operations);
                None
            });
        }
        let places = Arc::new(inputs.iter().enumerate().map(|(i, &input)| (input, i)).collect());
        let names = params.iter().map(|(n, _)| n.clone()).collect();
        Self { engine, ast, scene: scene.clone(), entry: entry.into(), args, places, names, memory, counted: !lowered }
    }

    /// Operations of the last call on this thread, as rhai counts them; 0 where the script is lowered.
    pub fn operations(&self) -> u64 {
        if self.counted { OPERATIONS.get() } else { 0 }
    }

    /// Sets anew which column holds which input.
    pub fn place(&mut self, inputs: &[Input]) {
        self.places = Arc::new(inputs.iter().enumerate().map(|(i, &input)| (input, i)).collect());
    }

    /// The result in one world. `memory` is read and written when the entry takes it.
    pub fn call(&self, values: Vec<f64>, params: &[f32], memory: &mut [f64]) -> Result<Value<f64>, (String, Position)> {
        let view = Arc::new(View { scene: self.scene.clone(), places: self.places.clone(), values });
        let state = Thing { handle: Handle { kind: Kind::State, index: 0, prev: false }, view };
        debug_assert_eq!(state.view.scene.nq, self.scene.nq);
        let p: BTreeMap<String, Value<f64>> =
            self.names.iter().zip(params).map(|(n, &x)| (n.clone(), Value::Num(f64::from(x)))).collect();
        let mut args = vec![Dynamic::from(state), to_dynamic(Value::Map(p), None)];
        let mut remembered = None;
        if let (3, Some(shape)) = (self.args, &self.memory) {
            let mut slots = memory.iter();
            let value = unflatten(shape, &mut || slots.next().copied().unwrap_or(0.0));
            let shared = to_dynamic(value, None).into_shared();
            args.push(shared.clone());
            remembered = Some((shape, shared));
        }
        args.truncate(self.args);
        let failed = |e: Box<EvalAltResult>| -> (String, Position) {
            let mut inner = &*e;
            let mut pos = e.position();
            while let EvalAltResult::ErrorInFunctionCall(_, _, deeper, _) = inner {
                inner = deeper;
                if !inner.position().is_none() {
                    pos = inner.position();
                }
            }
            if let EvalAltResult::ErrorDataRace(..) = inner {
                let message = "a closure reads or changes a variable while the variable is in use by the method that \
                               runs the closure; copy it first: `let copy = x;`, then `copy.map(...)`";
                return (message.into(), pos);
            }
            let text = inner.to_string();
            (text.split(" (line ").next().unwrap_or(&text).to_string(), pos)
        };
        let mut scope = Scope::new();
        let options = CallFnOptions::new().eval_ast(!self.ast.statements().is_empty());
        let result: Dynamic =
            self.engine.call_fn_with_options(options, &mut scope, &self.ast, &self.entry, args).map_err(failed)?;
        if let Some((shape, shared)) = remembered {
            let value = to_value(&shared.flatten(), &mut None);
            let mut out = Vec::new();
            let same = value.as_ref().and_then(|v| flatten(shape, v, &mut out));
            if same.is_none() || out.len() != memory.len() {
                return Err(("the memory changed its shape".into(), Position::NONE));
            }
            memory.copy_from_slice(&out);
        }
        to_value(&result, &mut None).ok_or_else(|| (format!("a result of type {}", result.type_name()), Position::NONE))
    }
}
