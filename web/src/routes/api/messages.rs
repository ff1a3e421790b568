//! Messages of rooms of members: by pages, one by one, and what is done to them.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use starling_protocol::{Cursor, CursorOwner, Emoji, ErrorCode, Hlc, MessageId, MessageText, RoomId};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Caller, Json, Limit, List, PageMark, Path, Query, cursor};
use crate::{
    guard::{ClientAddress, Quota, Written},
    objects::Message,
    openapi::{
        errors::{ErrorResponses, Forbidden, IdReused, Invalid, NotContacts, NotFound, RateLimited},
        tag,
    },
    problem::{self, Problem},
    routes::AppState,
    service::{Identity, NewMessage, Refusal, Wanted},
};

/// All of them.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default()
        .routes(routes!(list_messages, post_message))
        .routes(routes!(get_message, edit_message, delete_message))
        .routes(routes!(add_reaction, remove_reaction))
        .routes(routes!(mark_room_read))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfRoom {
    /// The room's id.
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    pub(super) id: String,
}

impl OfRoom {
    pub(super) fn room(&self) -> Result<RoomId, Problem> {
        let room = RoomId::parse(&self.id).ok().flatten();
        room.ok_or_else(|| Problem::new(ErrorCode::NotFound, "there is no such room"))
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfMessage {
    /// The message's id.
    #[param(value_type = String, format = "uuid")]
    id: MessageId,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfReaction {
    /// The message's id.
    #[param(value_type = String, format = "uuid")]
    id: MessageId,
    /// The emoji: 64 bytes at most, without white space and control characters.
    #[param(min_length = 1, max_length = 64)]
    emoji: String,
}

impl OfReaction {
    /// What cannot be an emoji is on no message.
    fn emoji(&self) -> Result<Emoji, Problem> {
        Emoji::parse(&self.emoji).map_err(|_| Problem::new(ErrorCode::NotFound, "that is no emoji"))
    }
}

/// Posts, edits and reactions count alike; a post also against its room, once its author is known to be in it.
fn count(web: &AppState, caller: &Identity, client: ClientAddress, bytes: usize) -> Result<(), Refusal> {
    web.guard.rates.check(Quota::MessagesPerSession, &caller.session)?;
    let written = Written { network: client.network(), account: Some(caller.user), room: None, bytes };
    web.guard.rates.check_written(&written)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListMessages {
    /// The id of a message: list the newest before it.
    #[param(value_type = Option<String>, format = "uuid")]
    before: Option<MessageId>,
    /// The id of a message: list the oldest after it. Wins over `before`.
    #[param(value_type = Option<String>, format = "uuid")]
    after: Option<MessageId>,
    /// The id of a message: list it and as many on either side. Wins over `before` and `after`.
    #[param(value_type = Option<String>, format = "uuid")]
    around: Option<MessageId>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next` of a page: goes on in its direction (after `around`: back in time). Wins over the others.
    #[param(inline)]
    cursor: Option<PageMark>,
}

/// List the messages of a room
///
/// The newest first. A deleted message is listed without its body. Messages by people whom you blocked are not listed, so a
/// page may be shorter than its limit.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}/messages", tag = tag::MESSAGES,
    params(OfRoom, ListMessages),
    responses(
        (status = 200, description = "A page of messages.", body = List<Message>),
        ErrorResponses<NotFound>,
    ),
)]
async fn list_messages(
    State(web): State<Arc<AppState>>,
    Caller(caller): Caller,
    Path(of): Path<OfRoom>,
    Query(query): Query<ListMessages>,
) -> Result<Json<List<Message>>, Problem> {
    let ListMessages { before, after, around, limit, cursor } = query;
    let room = of.room()?;
    let wanted = match cursor {
        Some(mark) => Wanted::From(mark.parse()?),
        None => around
            .map(Wanted::Around)
            .or(after.map(Wanted::After))
            .or(before.map(Wanted::Before))
            .unwrap_or(Wanted::Newest),
    };
    let page = web.messages.page(caller.user, room, wanted, limit.0).await?;
    Ok(Json(List { items: page.items, next: page.next.map(|end| end.to_string()) }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PostMessage {
    /// Your own id for the message. Send it again with the same id if you get no answer: it is posted once.
    #[schema(format = "uuid")]
    id: Option<String>,
    /// The text, in Markdown.
    #[schema(min_length = 1, max_length = 8000)]
    body: String,
    /// The id of the message of this room that this one answers.
    #[schema(format = "uuid")]
    reply_to: Option<String>,
    /// Files cannot be attached yet.
    #[serde(default)]
    #[schema(max_items = 0)]
    file_ids: Vec<String>,
}

/// Post a message
///
/// The answer comes once the message is on as many nodes as configured, or after the configured wait. `@name` mentions a
/// member of the room.
#[utoipa::path(
    post, path = "/api/v1/rooms/{id}/messages", tag = tag::MESSAGES,
    params(OfRoom),
    responses(
        (status = 201, description = "The message was posted.", body = Message),
        (status = 200, description = "Already posted with this id and content.", body = Message),
        ErrorResponses<(NotFound, NotContacts, IdReused, Invalid, RateLimited)>,
    ),
)]
async fn post_message(
    State(web): State<Arc<AppState>>,
    Caller(caller): Caller,
    Extension(client): Extension<ClientAddress>,
    Path(of): Path<OfRoom>,
    Json(PostMessage { id, body, reply_to, file_ids }): Json<PostMessage>,
) -> Result<Response, Problem> {
    let room = of.room()?;
    let mut invalid = problem::Invalid::default();
    let uuid = |text: String| MessageId::try_parse(&text).map_err(|_| "must be a UUID");
    let id = invalid.check("id", id.map(uuid).transpose());
    let text = invalid.check("body", MessageText::parse(&body));
    let reply_to = invalid.check("reply_to", reply_to.map(uuid).transpose());
    let files = if file_ids.is_empty() { Ok(()) } else { Err("must be empty: files cannot be attached yet") };
    let files = invalid.check("file_ids", files);
    let (Some(id), Some(text), Some(reply_to), Some(())) = (id, text, reply_to, files) else {
        return Err(invalid.into());
    };
    count(&web, &caller, client, body.len())?;
    web.metrics.posts.inc();
    let id = id.unwrap_or_else(MessageId::now_v7);
    let message = NewMessage { id, text, reply_to, after: Hlc::default() };
    let count_room = || web.guard.rates.check_room(room, body.len());
    let (message, known) = web.messages.post(caller.user, room, message, &count_room).await?;
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(message)).into_response())
}

/// Get a message
#[utoipa::path(
    get, path = "/api/v1/messages/{id}", tag = tag::MESSAGES, params(OfMessage),
    responses((status = 200, description = "The message.", body = Message), ErrorResponses<NotFound>),
)]
async fn get_message(
    State(web): State<Arc<AppState>>,
    Caller(caller): Caller,
    Path(OfMessage { id }): Path<OfMessage>,
) -> Result<Json<Message>, Problem> {
    Ok(Json(web.messages.message(caller.user, id).await?))
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
/// Only its author may, 100 times at most.
#[utoipa::path(
    patch, path = "/api/v1/messages/{id}", tag = tag::MESSAGES, params(OfMessage),
    responses(
        (status = 200, description = "The message as it is now.", body = Message),
        ErrorResponses<(NotFound, Forbidden, NotContacts, Invalid, RateLimited)>,
    ),
)]
async fn edit_message(
    State(web): State<Arc<AppState>>,
    Caller(caller): Caller,
    Extension(client): Extension<ClientAddress>,
    Path(OfMessage { id }): Path<OfMessage>,
    Json(EditMessage { body }): Json<EditMessage>,
) -> Result<Json<Message>, Problem> {
    let mut invalid = problem::Invalid::default();
    let Some(text) = invalid.check("body", MessageText::parse(&body)) else { return Err(invalid.into()) };
    count(&web, &caller, client, body.len())?;
    Ok(Json(web.messages.edit(caller.user, id, text).await?))
}

/// Delete a message
///
/// For good. Its author may, and owners and moderators of its room. It stays listed without its body.
#[utoipa::path(
    delete, path = "/api/v1/messages/{id}", tag = tag::MESSAGES, params(OfMessage),
    responses((status = 204, description = "The message was deleted."), ErrorResponses<(NotFound, Forbidden)>),
)]
async fn delete_message(
    State(web): State<Arc<AppState>>,
    Caller(caller): Caller,
    Path(OfMessage { id }): Path<OfMessage>,
) -> Result<StatusCode, Problem> {
    web.messages.delete(caller.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// React to a message
///
/// A message takes at most 50 different emoji and 1,000 reactions, and at most 50 different emoji of one user. Reactions
/// that were removed count for the last two.
#[utoipa::path(
    put, path = "/api/v1/messages/{id}/reactions/{emoji}", tag = tag::MESSAGES, params(OfReaction),
    responses(
        (status = 204, description = "The reaction is on the message."),
        ErrorResponses<(NotFound, NotContacts, Invalid, RateLimited)>,
    ),
)]
async fn add_reaction(
    State(web): State<Arc<AppState>>,
    Caller(caller): Caller,
    Extension(client): Extension<ClientAddress>,
    Path(of): Path<OfReaction>,
) -> Result<StatusCode, Problem> {
    react(&web, caller, client, &of, true).await
}

/// Remove a reaction
#[utoipa::path(
    delete, path = "/api/v1/messages/{id}/reactions/{emoji}", tag = tag::MESSAGES, params(OfReaction),
    responses(
        (status = 204, description = "The reaction is not on the message."),
        ErrorResponses<(NotFound, RateLimited)>,
    ),
)]
async fn remove_reaction(
    State(web): State<Arc<AppState>>,
    Caller(caller): Caller,
    Extension(client): Extension<ClientAddress>,
    Path(of): Path<OfReaction>,
) -> Result<StatusCode, Problem> {
    react(&web, caller, client, &of, false).await
}

async fn react(
    web: &AppState,
    caller: Identity,
    client: ClientAddress,
    of: &OfReaction,
    on: bool,
) -> Result<StatusCode, Problem> {
    let emoji = of.emoji()?;
    count(web, &caller, client, of.emoji.len())?;
    web.messages.react(caller.user, of.id, emoji, on).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MarkRead {
    /// The id of the last message that you have read.
    #[schema(format = "uuid")]
    message_id: String,
}

/// Marks a room as read up to a message
///
/// The mark only moves forward. Messages that the `x-starling-cursor` of the request does not cover stay unread. The other
/// person in a direct room sees the mark.
#[utoipa::path(
    put, path = "/api/v1/rooms/{id}/read", tag = tag::MESSAGES, params(OfRoom),
    responses((status = 204, description = "The room is marked."), ErrorResponses<(NotFound, Invalid, RateLimited)>),
)]
async fn mark_room_read(
    State(web): State<Arc<AppState>>,
    headers: HeaderMap,
    Caller(caller): Caller,
    Extension(client): Extension<ClientAddress>,
    Path(of): Path<OfRoom>,
    Json(MarkRead { message_id }): Json<MarkRead>,
) -> Result<StatusCode, Problem> {
    let room = of.room()?;
    let mut invalid = problem::Invalid::default();
    let id = MessageId::try_parse(&message_id).map_err(|_| "must be a UUID");
    let Some(id) = invalid.check("message_id", id) else { return Err(invalid.into()) };
    // It is written, as a message is.
    web.guard.rates.check(Quota::MessagesPerAddress, &client.network())?;
    let own = |cursor: &Cursor| cursor.owner == CursorOwner::User(caller.user);
    let seen = cursor::resume_point(&web, &headers).filter(own).map(|cursor| cursor.vector);
    web.messages.read(caller.user, room, id, seen).await?;
    Ok(StatusCode::NO_CONTENT)
}
