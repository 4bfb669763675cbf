//! What is decided before the first step: the checked tables of a task, one file each, and the plan made of all of them.

pub(crate) mod action;
pub(crate) mod command;
pub(crate) mod observation;
pub(crate) mod on_gpu;
pub(crate) mod push;
pub(crate) mod randomization;
pub(crate) mod reset;
pub(crate) mod scripts;
pub(crate) mod sensed;
pub(crate) mod whole;
