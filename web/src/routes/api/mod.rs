//! What every handler under `/api/v1` is made of: extractors whose refusals are problems, lists by pages, and the
//! cursor that requests and answers carry. A group of addresses is a file here with a `routes()` of its own.

pub mod accounts;
mod admin;
pub mod allowed_inputs;
pub mod caller;
mod contacts;
pub mod cursor;
mod extract;
mod list;
mod live;
mod me;
mod messages;
mod presence;
mod rooms;
mod sessions;

pub use caller::Caller;
pub use extract::{Json, Path, Query, object, refuse_body};
pub use list::{Limit, List, PageMark};

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use super::AppState;

/// All groups under `/api/v1`. Each `#[utoipa::path]` there names its whole address.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    // One line a group.
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
