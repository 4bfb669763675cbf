//! Learning from people: append-only label store, raters, preference models, query selection
