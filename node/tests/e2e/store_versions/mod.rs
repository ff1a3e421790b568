//! Promise 12: a store of any earlier version is migrated, and a node says how far that is; one of a newer version is
//! refused.

mod fixtures;
mod long;
