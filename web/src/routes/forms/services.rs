//! The services that forms use.

use std::sync::Arc;

use axum::extract::FromRef;

use crate::{
    credentials::CredentialReader,
    guard::Guard,
    service::{Accounts, Administration, MemberRooms},
    state::{AppState, WebSettings},
};

/// The services that forms use.
#[derive(Clone)]
pub struct FormServices {
    pub accounts: Arc<dyn Accounts>,
    pub administration: Arc<dyn Administration>,
    pub member_rooms: Arc<dyn MemberRooms>,
    pub credentials: CredentialReader,
    pub guard: Arc<Guard>,
    pub settings: Arc<WebSettings>,
}

impl FromRef<AppState> for FormServices {
    fn from_ref(state: &AppState) -> Self {
        Self {
            accounts: Arc::clone(&state.accounts),
            administration: Arc::clone(&state.administration),
            member_rooms: Arc::clone(&state.member_rooms),
            credentials: CredentialReader::from_ref(state),
            guard: Arc::clone(&state.guard),
            settings: Arc::clone(&state.settings),
        }
    }
}
