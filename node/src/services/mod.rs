//! The services that `web` asks, implemented over the store, the writer and the cluster. They call these, never
//! each other's tables.

mod operations;
mod rooms;

pub use self::{operations::OperationsService, rooms::RoomsService};
