//! Quick rooms over HTTP: making them, and reading a room's full list page by page.
//! Called before and after a run, and by a session that was told to `resync`.

use crate::http::{self, HttpError, query_escaped};
use crate::node::NodeUrl;
use crate::wire::{CreatedRoom, ListedMessage, Page};

/// Messages per page; the contract's maximum.
const PAGE_MESSAGES: usize = 200;

/// Why a room could not be made or listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoomError {
    /// The request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The answer is not what the contract says.
    #[error("{node}: the answer to {what} does not read as the contract says: {source}")]
    Contract {
        /// The node.
        node: String,
        /// The request.
        what: &'static str,
        /// The parse error.
        source: serde_json::Error,
    },
    /// A page did not move on: following it would never end.
    #[error("{node}: a page of /room-messages before {before} begins at or after it")]
    Stuck {
        /// The node.
        node: String,
        /// The place that was asked for.
        before: String,
    },
}

/// Makes a room on `node` and returns its id.
pub(crate) async fn create(node: &NodeUrl) -> Result<String, RoomError> {
    let body = http::post(node, "/create-room").await?;
    let created: CreatedRoom = parse(node, "POST /create-room", &body)?;
    Ok(created.room)
}

/// All messages of `room` as `node` lists them, newest first.
pub(crate) async fn list(node: &NodeUrl, room: &str) -> Result<Vec<ListedMessage>, RoomError> {
    let base = format!("/room-messages?roomID={}&limit={PAGE_MESSAGES}", query_escaped(room));
    let mut messages: Vec<ListedMessage> = Vec::new();
    loop {
        let path = match messages.last() {
            Some(last) => format!("{base}&before={}", query_escaped(&last.pos)),
            None => base.clone(),
        };
        let body = http::get(node, &path).await?;
        let page: Page = parse(node, "GET /room-messages", &body)?;
        if let (Some(last), Some(first)) = (messages.last(), page.items.first())
            && first.pos >= last.pos
        {
            return Err(RoomError::Stuck { node: node.to_string(), before: last.pos.clone() });
        }
        let done = page.items.is_empty() || page.next.is_none();
        messages.extend(page.items);
        if done {
            return Ok(messages);
        }
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(
    node: &NodeUrl,
    what: &'static str,
    body: &'a [u8],
) -> Result<T, RoomError> {
    serde_json::from_slice(body).map_err(|source| RoomError::Contract {
        node: node.to_string(),
        what,
        source,
    })
}
