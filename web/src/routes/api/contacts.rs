//! Contacts: search, requests and their answers, blocks, and the rooms of two.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, de::Error as _};
use starling_protocol::{
    ErrorCode, UserId,
    limits::{ID_CHARS_MAX, PEOPLE_FOUND_MAX, PEOPLE_SEARCH_CHARS},
};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, RefOr, Type, schema::Schema},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Caller, Json, Limit, List, PageMark, Path, Query, presence};
use crate::{
    guard::Quota,
    objects::{Contact, ContactState, Room, User},
    openapi::{
        errors::{AlreadyExists, ErrorResponses, Invalid, NotContacts, NotFound, RateLimited},
        tag,
    },
    problem::{self, Problem},
    routes::AppState,
    service::{ContactAct, Identity},
};

/// All of them.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default()
        .routes(routes!(search_people))
        .routes(routes!(list_contacts, request_contact))
        .routes(routes!(accept_contact))
        .routes(routes!(decline_contact))
        .routes(routes!(block_user))
        .routes(routes!(unblock_user))
        .routes(routes!(remove_contact))
        .routes(routes!(open_direct_room))
}

/// In which ways somebody may stand to the asker, to be listed: words, parted by commas.
#[derive(Clone, Debug)]
struct States(Vec<ContactState>);

const STATES: [(&str, ContactState); 4] = [
    ("accepted", ContactState::Accepted),
    ("incoming", ContactState::Incoming),
    ("outgoing", ContactState::Outgoing),
    ("blocked", ContactState::Blocked),
];

impl Default for States {
    fn default() -> Self {
        Self(STATES.map(|(_, state)| state).into())
    }
}

impl<'de> Deserialize<'de> for States {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(text)?;
        let known = |word: &str| STATES.into_iter().find(|(name, _)| *name == word).map(|(_, state)| state);
        let mut states = Vec::new();
        for word in text.split(',') {
            let state =
                known(word).ok_or_else(|| D::Error::custom(format_args!("no such state: {word:?}")))?;
            if !states.contains(&state) {
                states.push(state);
            }
        }
        Ok(Self(states))
    }
}

impl PartialSchema for States {
    fn schema() -> RefOr<Schema> {
        let word = ObjectBuilder::new().enum_values(Some(STATES.map(|(name, _)| name)));
        ArrayBuilder::new().items(word.schema_type(Type::String)).min_items(Some(1)).into()
    }
}

impl ToSchema for States {}

fn no_such_user() -> Problem {
    Problem::new(ErrorCode::NotFound, "there is no such user")
}

/// The user whom a request names, who is somebody else than its sender.
fn somebody_else(Caller(caller): Caller, other: UserId, field: &'static str) -> Result<UserId, Problem> {
    let mut invalid = problem::Invalid::default();
    let other = if other == caller.user { Err("must be somebody else: it is you") } else { Ok(other) };
    invalid.check(field, other).ok_or_else(|| invalid.into())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct SearchPeople {
    /// The beginning of a username or display name, in any case of letters.
    #[param(min_length = 2, max_length = 64)]
    q: String,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    #[param(inline)]
    cursor: Option<PageMark>,
}

/// Search people
///
/// By the beginning of their username or display name: 20 people at most, on all pages together. Type more of the name
/// to find others.
#[utoipa::path(
    get, path = "/api/v1/users", tag = tag::CONTACTS, params(SearchPeople),
    responses(
        (status = 200, description = "People with such a name.", body = List<User>),
        ErrorResponses<(Invalid, RateLimited)>,
    ),
)]
async fn search_people(
    State(web): State<Arc<AppState>>,
    Caller(caller): Caller,
    Query(query): Query<SearchPeople>,
) -> Result<Json<List<User>>, Problem> {
    let SearchPeople { q, limit, cursor } = query;
    let from = cursor.map(|mark| mark.parse::<usize>()).transpose()?.unwrap_or(0);
    let (least, most) = (PEOPLE_SEARCH_CHARS.start(), PEOPLE_SEARCH_CHARS.end());
    let fits = PEOPLE_SEARCH_CHARS.contains(&q.chars().count());
    let q = if fits { Ok(q) } else { Err(format!("must be {least} to {most} characters")) };
    let mut invalid = problem::Invalid::default();
    let Some(q) = invalid.check("q", q) else { return Err(invalid.into()) };
    web.guard.rates.check(Quota::SearchesPerAccount, &caller.user)?;
    let mut found = web.contacts.search(caller.user, q, PEOPLE_FOUND_MAX).await?;
    found.drain(..from.min(found.len()));
    Ok(Json(List::page(found, limit, |_| (from + limit.0).to_string())))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListContacts {
    /// Only these states. Left out: all four.
    #[serde(default)]
    #[param(style = Form, explode = false, inline)]
    state: States,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    #[param(inline)]
    cursor: Option<PageMark>,
}

/// List your contacts, requests and blocks
#[utoipa::path(
    get, path = "/api/v1/contacts", tag = tag::CONTACTS, params(ListContacts),
    responses((status = 200, description = "A page of them, in no particular order.", body = List<Contact>)),
)]
async fn list_contacts(
    State(web): State<Arc<AppState>>,
    Caller(caller): Caller,
    Query(query): Query<ListContacts>,
) -> Result<Json<List<Contact>>, Problem> {
    let ListContacts { state: States(states), limit, cursor } = query;
    let after = cursor.map(|mark| mark.parse::<UserId>()).transpose()?;
    let mut contacts = web.contacts.list(caller.user, states, after, limit.0 + 1).await?;
    let accepted = contacts.iter_mut().filter(|contact| contact.state == ContactState::Accepted);
    presence::fill(&web, caller.user, accepted.map(|contact| &mut contact.user)).await?;
    Ok(Json(List::page(contacts, limit, |contact| contact.user.id.clone())))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AskContact {
    /// The name of the person.
    #[schema(min_length = 1, max_length = 64)]
    username: String,
}

/// Send a contact request
///
/// If they sent you a request before, you are contacts at once.
#[utoipa::path(
    post, path = "/api/v1/contacts", tag = tag::CONTACTS,
    responses(
        (status = 201, description = "The request was sent, or you are contacts now.", body = Contact),
        ErrorResponses<(NotFound, AlreadyExists, Invalid, RateLimited)>,
    ),
)]
async fn request_contact(
    State(web): State<Arc<AppState>>,
    caller: Caller,
    Json(AskContact { username }): Json<AskContact>,
) -> Result<(StatusCode, Json<Contact>), Problem> {
    let Caller(Identity { user, .. }) = caller;
    let fits = (1..=ID_CHARS_MAX).contains(&username.chars().count());
    let username = if fits { Ok(username) } else { Err(format!("must be 1 to {ID_CHARS_MAX} characters")) };
    let mut invalid = problem::Invalid::default();
    let Some(username) = invalid.check("username", username) else { return Err(invalid.into()) };
    web.guard.rates.check(Quota::ContactRequestsPerAccount, &user)?;
    let other = somebody_else(caller, web.contacts.named(username).await?, "username")?;
    let contact = web.contacts.act(user, ContactAct::Ask, other).await?;
    Ok((StatusCode::CREATED, Json(contact)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct Somebody {
    /// The id of the person.
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    user_id: String,
}

async fn act(web: &AppState, caller: Caller, act: ContactAct, other: &str) -> Result<Json<Contact>, Problem> {
    let other = somebody_else(caller, other.parse().map_err(|_| no_such_user())?, "user_id")?;
    Ok(Json(web.contacts.act(caller.0.user, act, other).await?))
}

/// Accept a request
#[utoipa::path(
    post, path = "/api/v1/contacts/{user_id}/accept", tag = tag::CONTACTS,
    params(Somebody),
    responses((status = 200, description = "You are contacts now.", body = Contact), ErrorResponses<(NotFound, Invalid)>),
)]
async fn accept_contact(
    State(web): State<Arc<AppState>>,
    caller: Caller,
    Path(Somebody { user_id }): Path<Somebody>,
) -> Result<Json<Contact>, Problem> {
    act(&web, caller, ContactAct::Accept, &user_id).await
}

/// Decline a request
#[utoipa::path(
    post, path = "/api/v1/contacts/{user_id}/decline", tag = tag::CONTACTS,
    params(Somebody),
    responses((status = 200, description = "The request was declined.", body = Contact), ErrorResponses<(NotFound, Invalid)>),
)]
async fn decline_contact(
    State(web): State<Arc<AppState>>,
    caller: Caller,
    Path(Somebody { user_id }): Path<Somebody>,
) -> Result<Json<Contact>, Problem> {
    act(&web, caller, ContactAct::Decline, &user_id).await
}

/// Block somebody
///
/// You no longer see their requests, messages, presence or typing, and they no longer see your presence or typing. They
/// are not told: to them it looks as if you had declined.
#[utoipa::path(
    post, path = "/api/v1/contacts/{user_id}/block", tag = tag::CONTACTS,
    params(Somebody),
    responses((status = 200, description = "They are blocked.", body = Contact), ErrorResponses<(NotFound, Invalid, RateLimited)>),
)]
async fn block_user(
    State(web): State<Arc<AppState>>,
    caller: Caller,
    Path(Somebody { user_id }): Path<Somebody>,
) -> Result<Json<Contact>, Problem> {
    web.guard.rates.check(Quota::BlocksPerAccount, &caller.0.user)?;
    act(&web, caller, ContactAct::Block, &user_id).await
}

/// Unblock somebody
///
/// You are strangers then. A request that they sent meanwhile is void.
#[utoipa::path(
    post, path = "/api/v1/contacts/{user_id}/unblock", tag = tag::CONTACTS,
    params(Somebody),
    responses((status = 200, description = "They are no longer blocked.", body = Contact), ErrorResponses<(NotFound, Invalid)>),
)]
async fn unblock_user(
    State(web): State<Arc<AppState>>,
    caller: Caller,
    Path(Somebody { user_id }): Path<Somebody>,
) -> Result<Json<Contact>, Problem> {
    act(&web, caller, ContactAct::Unblock, &user_id).await
}

/// Remove a contact or a request
///
/// Requests of either side. Somebody whom you blocked stays blocked: unblock them instead.
#[utoipa::path(
    delete, path = "/api/v1/contacts/{user_id}", tag = tag::CONTACTS,
    params(Somebody),
    responses((status = 204, description = "You are strangers now."), ErrorResponses<(NotFound, Invalid)>),
)]
async fn remove_contact(
    State(web): State<Arc<AppState>>,
    caller: Caller,
    Path(Somebody { user_id }): Path<Somebody>,
) -> Result<StatusCode, Problem> {
    act(&web, caller, ContactAct::Remove, &user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OpenDirectRoom {
    /// The id of the contact.
    #[schema(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    user_id: String,
}

/// Open the direct room with a contact
///
/// Two contacts have one direct room, whoever of them opens it.
#[utoipa::path(
    post, path = "/api/v1/direct", tag = tag::CONTACTS,
    responses(
        (status = 201, description = "The room was created.", body = Room),
        (status = 200, description = "The room existed already.", body = Room),
        ErrorResponses<(NotContacts, NotFound, Invalid)>,
    ),
)]
async fn open_direct_room(
    State(web): State<Arc<AppState>>,
    caller: Caller,
    Json(OpenDirectRoom { user_id }): Json<OpenDirectRoom>,
) -> Result<Response, Problem> {
    let other = somebody_else(caller, user_id.parse().map_err(|_| no_such_user())?, "user_id")?;
    let (room, made) = web.contacts.direct(caller.0.user, other).await?;
    let status = if made { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(room)).into_response())
}
