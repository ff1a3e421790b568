//! The operations under `/api/v1`, one file for each group, and what their handlers share: extractors that refuse with
//! problems, lists in pages, and the cursor in requests and responses.

pub mod accounts;
mod admin;
pub mod allowed_inputs;
pub mod caller;
mod contacts;
pub mod cursor;
mod extract;
pub mod list;
mod live;
mod me;
mod messages;
mod presence;
mod rooms;
mod sessions;

pub use extract::{Json, Path, Query, object, refuse_body};
pub use list::{Limit, List};

use crate::state::AppState;
use utoipa_axum::router::OpenApiRouter;

/// The routes of all groups. Each `#[utoipa::path]` names its whole address.
pub fn routes() -> OpenApiRouter<AppState> {
    // One line for each group.
    OpenApiRouter::default()
        .merge(accounts::routes())
        .merge(admin::routes())
        .merge(live::routes())
        .merge(contacts::routes())
        .merge(me::routes())
        .merge(messages::routes())
        .merge(rooms::routes())
        .merge(sessions::routes())
}
