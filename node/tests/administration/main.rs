//! The pages with forms, and what administrators and operators do: over real nodes, as browsers, programs and the
//! terminal do it.

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod commands;
mod foreign;
mod forms;
mod invite;
mod reset;
mod security_log;
mod setup;
mod visitor;
