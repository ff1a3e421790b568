//! The load on nodes: guests with sockets, messages on a schedule, and the account of what became of them.
//! `quick` describes a [`Plan`]; [`drive`] carries it out. All on one thread, to leave the rest to the nodes.

mod body;
mod frame_ring;
mod meter;
mod pacer;
mod phases;
mod plan;
mod report;
mod session;
mod shared;
mod state;

pub(crate) use phases::{LoadError, drive};
pub(crate) use plan::Plan;
pub(crate) use report::Report;
