//! The services that `web` asks, implemented over the store, the writer and the cluster. They call these, never
//! each other's tables.

mod accounts;
mod administration;
pub mod contacts;
mod context;
mod live;
pub mod member_rooms;
pub mod messages;
mod operations;
mod quick_rooms;
pub mod render;
mod service_keys;
#[cfg(test)]
pub(crate) mod test_node;

pub use self::{
    accounts::{AccountsService, AccountsStart},
    administration::{AdministrationService, Asker},
    contacts::ContactsService,
    context::ServiceContext,
    live::LiveService,
    member_rooms::MemberRoomsService,
    messages::{Erasure, MessagesService, Scrubbing},
    operations::OperationsService,
    quick_rooms::QuickRoomsService,
    service_keys::ServiceKeyring,
};
