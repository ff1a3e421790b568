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
pub mod render;
mod rooms;
mod service_keys;
#[cfg(test)]
pub(crate) mod test_node;

pub use self::{
    accounts::{AccountsService, AccountsStart},
    administration::{AdministrationService, Asker},
    contacts::ContactsService,
    context::{METADATA_WAIT_MS, ServiceContext},
    live::LiveService,
    member_rooms::MemberRoomsService,
    messages::{Erasure, MessagesService, Scrubbing},
    operations::OperationsService,
    rooms::{CATCH_UP_MS_MAX, RoomsService},
    service_keys::ServiceKeyring,
};
