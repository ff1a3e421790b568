//! The services that `web` needs, as traits that `node` implements. Handlers and sessions parse their input, call these
//! services and render the results; services make all decisions.

mod accounts;
mod administration;
mod contacts;
mod cursors;
mod identity;
mod live;
mod member_rooms;
mod messages;
mod operations;
mod posting;
mod presence;
mod quick_rooms;
mod registration;
#[cfg(test)]
pub mod stub_services;

pub use starling_protocol::Refusal;

pub use self::{
    accounts::*,
    administration::{Administration, ResetLink, UserFlags},
    contacts::{ContactAction, Contacts},
    cursors::{CatchUpOutcome, Cursors, SealedCursor},
    identity::{Authentication, Credentials, Identity},
    live::{LiveChange, LiveEvents, Online, UserContext},
    member_rooms::{MemberRooms, NewInvite, NewRoom, Page, PageRequest, PageToken, RoomUpdate},
    messages::{CountAgainstRoom, MessagePage, MessageQuery, Messages, NewMessage, PageCursor},
    operations::Operations,
    posting::{Post, PostOutcome, Posted, Posting},
    presence::{Lease, NameInUse, Presence},
    quick_rooms::{HistoryPage, QuickRooms},
    registration::{RegistrationMode, RegistrationSource},
};
