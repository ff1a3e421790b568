//! The services that `web` asks, implemented over the store, the writer and the cluster. They call these, never
//! each other's tables.

mod accounts;
mod administration;
mod base;
mod operations;
pub mod render;
mod rooms;

pub use self::{
    accounts::{AccountsService, AccountsStart},
    administration::{AdministrationService, Asker},
    base::Base,
    operations::OperationsService,
    rooms::RoomsService,
};
