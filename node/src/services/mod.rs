//! The services behind `web`'s traits, implemented over the store, the writer and the cluster.

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
    context::{METADATA_WAIT_MS, ServiceContext},
    live::LiveService,
    member_rooms::MemberRoomsService,
    messages::{Erasure, MessagesService, Scrubbing},
    operations::OperationsService,
    quick_rooms::{CATCH_UP_MS_MAX, QuickRoomsService},
    service_keys::ServiceKeyring,
};
