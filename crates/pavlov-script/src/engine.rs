//! rhai's engine with limits for scripts that nobody vouches for: no files, no modules, bounded work and memory.

use rhai::{Engine, EvalAltResult, FLOAT, INT};

/// Limits of untrusted scripts.
const MAX_OPERATIONS: u64 = 2_000_000;
const MAX_CALLS: usize = 32;
const MAX_ARRAY: usize = 10_000;

/// An engine with the limits, for parsing and running.
pub(crate) fn engine() -> Engine {
    let mut engine = Engine::new();
    engine.set_optimization_level(rhai::OptimizationLevel::None);
    engine.set_max_operations(MAX_OPERATIONS);
    engine.set_max_call_levels(MAX_CALLS);
    engine.set_max_expr_depths(64, 48);
    engine.set_max_array_size(MAX_ARRAY);
    engine.set_max_map_size(1_000);
    engine.set_max_string_size(10_000);
    engine.set_max_variables(1_000);
    engine.set_max_functions(500);
    engine.set_max_modules(0);
    engine.set_module_resolver(rhai::module_resolvers::DummyModuleResolver::new());
    engine.disable_symbol("eval");
    engine.on_print(|_| {}).on_debug(|_, _, _| {});
    let refuse = |_: FLOAT| -> Result<(), Box<EvalAltResult>> { Err("scripts cannot sleep".into()) };
    engine.register_fn("sleep", refuse);
    engine.register_fn("sleep", move |t: INT| refuse(t as FLOAT));
    engine
}
