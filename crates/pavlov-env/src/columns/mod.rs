//! Plain data by column: what is kept of worlds, what they report, and how it is written and read.

pub(crate) mod layout;
pub(crate) mod ledger;
pub(crate) mod store;
pub(crate) mod tape;
