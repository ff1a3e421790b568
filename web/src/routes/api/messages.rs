//! Messages of member rooms: lists, posts, edits, reactions and read positions.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use starling_protocol::{Cursor, CursorOwner, Emoji, ErrorCode, Hlc, MessageId, MessageText, RoomId, texts};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    caller::Caller,
    cursor::SentCursor,
    extract::{Json, Path, Query},
    list::{Limit, List, PageParam},
};
use crate::{
    guard::{ClientAddress, Guard, Quota, Rates, RoomWrite},
    metrics::WebMetrics,
    objects::Message,
    openapi::{
        errors::{ErrorResponses, Forbidden, IdReused, Invalid, NotContacts, NotFound, RateLimited},
        tag,
    },
    problem::{self, Problem},
    service::{Identity, MessageQuery, Messages, NewMessage, Refusal},
    state::AppState,
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_messages, post_message))
        .routes(routes!(get_message, edit_message, delete_message))
        .routes(routes!(add_reaction, remove_reaction))
        .routes(routes!(mark_room_read))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct RoomPath {
    /// The room's id.
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    pub(super) id: String,
}

impl RoomPath {
    pub(super) fn room(&self) -> Result<RoomId, Problem> {
        let room = RoomId::parse(&self.id).ok().flatten();
        room.ok_or_else(|| Problem::new(ErrorCode::NotFound, texts::rooms::NO_SUCH_ROOM))
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct MessagePath {
    /// The message's id.
    #[param(value_type = String, format = "uuid")]
    id: MessageId,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ReactionPath {
    /// The message's id.
    #[param(value_type = String, format = "uuid")]
    id: MessageId,
    /// The emoji: 64 bytes at most, without white space and control characters.
    #[param(min_length = 1, max_length = 64)]
    emoji: String,
}

impl ReactionPath {
    /// Parses the emoji. Refuses with `not_found`, because no message has a malformed one.
    fn emoji(&self) -> Result<Emoji, Problem> {
        Emoji::parse(&self.emoji).map_err(|_| Problem::new(ErrorCode::NotFound, texts::rooms::NOT_AN_EMOJI))
    }
}

/// Counts a post, an edit or a reaction against the caller's limits. The limit of a post's room is checked later, once the
/// author is known to be in the room.
fn count_write(rates: &Rates, caller: &Identity, client: ClientAddress, bytes: usize) -> Result<(), Refusal> {
    rates.check(Quota::MessagesPerSession, &caller.session)?;
    let written = RoomWrite { network: client.network(), account: Some(caller.user), room: None, bytes };
    rates.check_room_write(&written)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListMessages {
    /// The id of a message: lists the newest messages before it.
    #[param(value_type = Option<String>, format = "uuid")]
    before: Option<MessageId>,
    /// The id of a message: lists the oldest messages after it. Takes precedence over `before`.
    #[param(value_type = Option<String>, format = "uuid")]
    after: Option<MessageId>,
    /// The id of a message: lists it, with equally many messages before and after it. Takes precedence over `before` and
    /// `after`.
    #[param(value_type = Option<String>, format = "uuid")]
    around: Option<MessageId>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next` of a page: continues in its direction (after `around`: to older messages). Takes precedence over the
    /// others.
    #[param(inline)]
    cursor: Option<PageParam>,
}

/// List the messages of a room
///
/// Newest first. Deleted messages are listed without their body. Messages by people whom you blocked are left out, so a page
/// may be shorter than its limit.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}/messages", tag = tag::MESSAGES,
    params(RoomPath, ListMessages),
    responses(
        (status = 200, description = "A page of messages.", body = List<Message>),
        ErrorResponses<NotFound>,
    ),
)]
async fn list_messages(
    State(messages): State<Arc<dyn Messages>>,
    Caller(caller): Caller,
    Path(path): Path<RoomPath>,
    Query(query): Query<ListMessages>,
) -> Result<Json<List<Message>>, Problem> {
    let ListMessages { before, after, around, limit, cursor } = query;
    let room = path.room()?;
    let query = match cursor {
        Some(page) => MessageQuery::Continue(page.parse()?),
        None => around
            .map(MessageQuery::Around)
            .or(after.map(MessageQuery::After))
            .or(before.map(MessageQuery::Before))
            .unwrap_or(MessageQuery::Newest),
    };
    let page = messages.page(caller.user, room, query, limit.0).await?;
    Ok(Json(List { items: page.items, next: page.next.map(|end| end.to_string()) }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PostMessage {
    /// Your own id for the message. If you get no response, send it again with the same id: it is posted once.
    #[schema(format = "uuid")]
    id: Option<String>,
    /// The text, in Markdown.
    #[schema(min_length = 1, max_length = 8000)]
    body: String,
    /// The id of the message that this one replies to. It must be in the same room.
    #[schema(format = "uuid")]
    reply_to: Option<String>,
    /// Files cannot be attached yet.
    #[serde(default)]
    #[schema(max_items = 0)]
    file_ids: Vec<String>,
}

/// Post a message
///
/// The response arrives when the message is stored on as many nodes as configured, or after the configured time. `@name`
/// mentions a member of the room.
#[utoipa::path(
    post, path = "/api/v1/rooms/{id}/messages", tag = tag::MESSAGES,
    params(RoomPath),
    responses(
        (status = 201, description = "The message was posted.", body = Message),
        (status = 200, description = "Already posted with this id and content.", body = Message),
        ErrorResponses<(NotFound, NotContacts, IdReused, Invalid, RateLimited)>,
    ),
)]
async fn post_message(
    State(messages): State<Arc<dyn Messages>>,
    State(guard): State<Arc<Guard>>,
    State(metrics): State<Arc<WebMetrics>>,
    Caller(caller): Caller,
    Extension(client): Extension<ClientAddress>,
    Path(path): Path<RoomPath>,
    Json(PostMessage { id, body, reply_to, file_ids }): Json<PostMessage>,
) -> Result<Response, Problem> {
    let room = path.room()?;
    let mut invalid = problem::Invalid::default();
    let uuid = |text: String| MessageId::try_parse(&text).map_err(|_| texts::request::MUST_BE_UUID);
    let id = invalid.check("id", id.map(uuid).transpose());
    let text = invalid.check("body", MessageText::parse(&body));
    let reply_to = invalid.check("reply_to", reply_to.map(uuid).transpose());
    let files = if file_ids.is_empty() { Ok(()) } else { Err(texts::rooms::NO_FILES_YET) };
    let files = invalid.check("file_ids", files);
    let (Some(id), Some(text), Some(reply_to), Some(())) = (id, text, reply_to, files) else {
        return Err(invalid.into());
    };
    count_write(&guard.rates, &caller, client, body.len())?;
    metrics.posts.inc();
    let id = id.unwrap_or_else(MessageId::now_v7);
    let message = NewMessage { id, text, reply_to, above_hlc: Hlc::default() };
    let count_room = || guard.rates.check_room(room, body.len());
    let (message, known) = messages.post(caller.user, room, message, &count_room).await?;
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(message)).into_response())
}

/// Get a message
#[utoipa::path(
    get, path = "/api/v1/messages/{id}", tag = tag::MESSAGES, params(MessagePath),
    responses((status = 200, description = "The message.", body = Message), ErrorResponses<NotFound>),
)]
async fn get_message(
    State(messages): State<Arc<dyn Messages>>,
    Caller(caller): Caller,
    Path(MessagePath { id }): Path<MessagePath>,
) -> Result<Json<Message>, Problem> {
    Ok(Json(messages.message(caller.user, id).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EditMessage {
    /// The new text.
    #[schema(min_length = 1, max_length = 8000)]
    body: String,
}

/// Edit a message
///
/// Only its author may edit a message, at most 100 times.
#[utoipa::path(
    patch, path = "/api/v1/messages/{id}", tag = tag::MESSAGES, params(MessagePath),
    responses(
        (status = 200, description = "The message as it is now.", body = Message),
        ErrorResponses<(NotFound, Forbidden, NotContacts, Invalid, RateLimited)>,
    ),
)]
async fn edit_message(
    State(messages): State<Arc<dyn Messages>>,
    State(guard): State<Arc<Guard>>,
    Caller(caller): Caller,
    Extension(client): Extension<ClientAddress>,
    Path(MessagePath { id }): Path<MessagePath>,
    Json(EditMessage { body }): Json<EditMessage>,
) -> Result<Json<Message>, Problem> {
    let mut invalid = problem::Invalid::default();
    let Some(text) = invalid.check("body", MessageText::parse(&body)) else { return Err(invalid.into()) };
    count_write(&guard.rates, &caller, client, body.len())?;
    Ok(Json(messages.edit(caller.user, id, text).await?))
}

/// Delete a message
///
/// This is final. The author may do this, and owners and moderators of the room. The message stays in lists, without its
/// body.
#[utoipa::path(
    delete, path = "/api/v1/messages/{id}", tag = tag::MESSAGES, params(MessagePath),
    responses((status = 204, description = "The message was deleted."), ErrorResponses<(NotFound, Forbidden)>),
)]
async fn delete_message(
    State(messages): State<Arc<dyn Messages>>,
    Caller(caller): Caller,
    Path(MessagePath { id }): Path<MessagePath>,
) -> Result<StatusCode, Problem> {
    messages.delete(caller.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// React to a message
///
/// A message can have at most 50 different emoji, 1,000 reactions, and 50 different emoji from one user. Removed reactions
/// still count for the last two limits.
#[utoipa::path(
    put, path = "/api/v1/messages/{id}/reactions/{emoji}", tag = tag::MESSAGES, params(ReactionPath),
    responses(
        (status = 204, description = "The reaction is on the message."),
        ErrorResponses<(NotFound, NotContacts, Invalid, RateLimited)>,
    ),
)]
async fn add_reaction(
    State(messages): State<Arc<dyn Messages>>,
    State(guard): State<Arc<Guard>>,
    Caller(caller): Caller,
    Extension(client): Extension<ClientAddress>,
    Path(path): Path<ReactionPath>,
) -> Result<StatusCode, Problem> {
    count_write(&guard.rates, &caller, client, path.emoji.len())?;
    react(&*messages, caller, &path, true).await
}

/// Remove a reaction
#[utoipa::path(
    delete, path = "/api/v1/messages/{id}/reactions/{emoji}", tag = tag::MESSAGES, params(ReactionPath),
    responses(
        (status = 204, description = "The reaction is not on the message."),
        ErrorResponses<(NotFound, RateLimited)>,
    ),
)]
async fn remove_reaction(
    State(messages): State<Arc<dyn Messages>>,
    State(guard): State<Arc<Guard>>,
    Caller(caller): Caller,
    Extension(client): Extension<ClientAddress>,
    Path(path): Path<ReactionPath>,
) -> Result<StatusCode, Problem> {
    count_write(&guard.rates, &caller, client, path.emoji.len())?;
    react(&*messages, caller, &path, false).await
}

async fn react(
    messages: &dyn Messages,
    caller: Identity,
    path: &ReactionPath,
    on: bool,
) -> Result<StatusCode, Problem> {
    let emoji = path.emoji()?;
    messages.react(caller.user, path.id, emoji, on).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MarkRead {
    /// The id of the last message that you have read.
    #[schema(format = "uuid")]
    message_id: String,
}

/// Mark a room as read up to a message
///
/// Your read position only moves forward. Messages that the `x-starling-cursor` of the request does not cover stay unread. In
/// a direct room, the other person sees your read position.
#[utoipa::path(
    put, path = "/api/v1/rooms/{id}/read", tag = tag::MESSAGES, params(RoomPath),
    responses((status = 204, description = "Your read position is set."), ErrorResponses<(NotFound, Invalid, RateLimited)>),
)]
async fn mark_room_read(
    State(messages): State<Arc<dyn Messages>>,
    State(guard): State<Arc<Guard>>,
    SentCursor(cursor): SentCursor,
    Caller(caller): Caller,
    Extension(client): Extension<ClientAddress>,
    Path(path): Path<RoomPath>,
    Json(MarkRead { message_id }): Json<MarkRead>,
) -> Result<StatusCode, Problem> {
    let room = path.room()?;
    let mut invalid = problem::Invalid::default();
    let id = MessageId::try_parse(&message_id).map_err(|_| texts::request::MUST_BE_UUID);
    let Some(id) = invalid.check("message_id", id) else { return Err(invalid.into()) };
    // A read position is written to the log, like a message.
    guard.rates.check(Quota::MessagesPerAddress, &client.network())?;
    let own = |cursor: &Cursor| cursor.owner == CursorOwner::User(caller.user);
    let seen = cursor.filter(own).map(|cursor| cursor.vector);
    messages.mark_read(caller.user, room, id, seen).await?;
    Ok(StatusCode::NO_CONTENT)
}
