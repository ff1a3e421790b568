//! The state that the router gives to handlers and sessions. A handler asks for the parts that it uses: each part is a state
//! of its own (`FromRef`).

use std::sync::Arc;

use axum::extract::FromRef;

use crate::{
    drain::Drain,
    guard::Guard,
    lane::Lanes,
    metrics::WebMetrics,
    service::{
        Accounts, Administration, Authentication, Contacts, Cursors, LiveEvents, MemberRooms, Messages,
        Operations, Posting, Presence, QuickRooms, RegistrationMode,
    },
    session::group::ReaderGroups,
};

/// The settings of `web`.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// The name of this node in `welcome` frames.
    pub node: String,
    /// Whether quick rooms are served.
    pub quick_rooms_enabled: bool,
    /// The people who may register: everybody, people with an invite, or nobody.
    pub registration: RegistrationMode,
    /// The URL under which users reach the service, if configured.
    pub public_url: Option<String>,
    /// Whether the public listener serves `/metrics`; otherwise `/metrics` is served, if at all, by a separate listener.
    pub metrics: bool,
}

/// The state of all handlers and sessions.
#[derive(Clone)]
pub struct AppState {
    /// Checks of credentials.
    pub authentication: Arc<dyn Authentication>,
    /// Member rooms.
    pub member_rooms: Arc<dyn MemberRooms>,
    /// Messages of member rooms.
    pub messages: Arc<dyn Messages>,
    /// Accounts, for their owners.
    pub accounts: Arc<dyn Accounts>,
    /// Accounts, for administrators.
    pub administration: Arc<dyn Administration>,
    /// Contacts of users.
    pub contacts: Arc<dyn Contacts>,
    /// Quick rooms and their histories.
    pub quick_rooms: Arc<dyn QuickRooms>,
    /// Hands new messages to the writer.
    pub posting: Arc<dyn Posting>,
    /// The cursors of clients.
    pub cursors: Arc<dyn Cursors>,
    /// Presence in quick rooms.
    pub presence: Arc<dyn Presence>,
    /// Events for the live sockets of users.
    pub live: Arc<dyn LiveEvents>,
    /// Health and metrics.
    pub operations: Arc<dyn Operations>,
    /// The lanes that deliver new events to sessions.
    pub lanes: Arc<Lanes>,
    /// The sessions that the frames of a lane are written to directly.
    pub groups: Arc<ReaderGroups>,
    /// The checks before the handlers.
    pub guard: Arc<Guard>,
    /// The metrics of `web`.
    pub metrics: Arc<WebMetrics>,
    /// The settings of `web`.
    pub settings: Arc<WebSettings>,
    /// Says when sessions must close because the node stops or its disk is full.
    pub drain: Drain,
}

/// Makes parts of [`AppState`] available to `State` extractors.
macro_rules! sub_states {
    ($($field:ident: $type:ty,)*) => {$(
        impl FromRef<AppState> for $type {
            fn from_ref(state: &AppState) -> Self {
                state.$field.clone()
            }
        }
    )*};
}

sub_states! {
    authentication: Arc<dyn Authentication>,
    member_rooms: Arc<dyn MemberRooms>,
    messages: Arc<dyn Messages>,
    accounts: Arc<dyn Accounts>,
    administration: Arc<dyn Administration>,
    contacts: Arc<dyn Contacts>,
    quick_rooms: Arc<dyn QuickRooms>,
    cursors: Arc<dyn Cursors>,
    live: Arc<dyn LiveEvents>,
    operations: Arc<dyn Operations>,
    lanes: Arc<Lanes>,
    guard: Arc<Guard>,
    metrics: Arc<WebMetrics>,
    settings: Arc<WebSettings>,
    drain: Drain,
}
