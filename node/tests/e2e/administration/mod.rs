//! The pages with forms, and what administrators and operators do: over real nodes, as browsers, programs and the
//! terminal do it.

mod accounts;
mod commands;
mod foreign;
mod forms;
mod invite;
mod reset;
mod security_log;
mod setup;
