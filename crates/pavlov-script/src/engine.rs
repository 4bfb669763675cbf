//! rhai's engine with limits for scripts that nobody vouches for: no files, no modules, no clock, bounded work and
//! memory.
//!
//! What rhai brings along is named here, package by package, in place of its standard library: that has `timestamp()`
//! and `sleep()`, and what a reward pays must not depend on when it is computed.

use rhai::Engine;
use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
    BasicStringPackage, BitFieldPackage, LogicPackage, MoreStringPackage, Package,
};
use std::sync::LazyLock;

/// Limits of untrusted scripts.
const MAX_OPERATIONS: u64 = 2_000_000;
const MAX_CALLS: usize = 32;
const MAX_ARRAY: usize = 10_000;
/// Texts kept once: names of bodies, keys of maps.
const MAX_INTERNED: usize = 256;

rhai::def_package! {
    /// What scripts have of rhai: operators, functions on numbers, arrays, maps and texts, calls of closures.
    ScriptPackage(module): ArithmeticPackage, LogicPackage, BasicMathPackage, BitFieldPackage, BasicArrayPackage,
        BasicMapPackage, BasicIteratorPackage, BasicFnPackage, BasicStringPackage, MoreStringPackage {
        module.set_id("script");
    }
}

/// Made once: it has some thousand functions.
static PACKAGE: LazyLock<ScriptPackage> = LazyLock::new(ScriptPackage::new);

/// An engine with the limits, for parsing and running.
pub(crate) fn engine() -> Engine {
    let mut engine = Engine::new_raw();
    PACKAGE.register_into_engine(&mut engine);
    engine.set_max_strings_interned(MAX_INTERNED);
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
    engine
}
