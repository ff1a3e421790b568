//! The services behind `web`'s traits, implemented over the store, the writer and the cluster.

mod accounts;
mod administration;
pub mod contacts;
mod context;
pub mod cursors;
mod live;
pub mod member_rooms;
mod membership;
pub mod messages;
mod operations;
mod posting;
mod quick_rooms;
pub mod render;
pub mod secret_rotation;
mod service_keys;
#[cfg(test)]
pub(crate) mod test_node;

pub use self::{
    accounts::{AccountsService, AccountsStart},
    administration::{AdministrationService, Asker},
    contacts::ContactsService,
    context::{REPLICATION_WAIT_MS, ServiceContext},
    cursors::{CATCH_UP_MS_MAX, CursorsService},
    live::LiveService,
    member_rooms::MemberRoomsService,
    membership::{
        ForgetRefused, LeavePermit, LeaveRefused, Left, MembershipService, OtherMembers, decide_forgotten,
    },
    messages::{Erasure, MessagesService, Scrubbing},
    operations::OperationsService,
    posting::PostingService,
    quick_rooms::QuickRoomsService,
    service_keys::ServiceKeyring,
};
