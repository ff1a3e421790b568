//! Contacts: search, requests and their answers, blocks, and direct rooms.

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
    text::TextError,
    texts,
};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, RefOr, Type, schema::Schema},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    caller::Caller,
    extract::{Json, Path, Query},
    list::{Limit, List, PageParam},
    presence,
};
use crate::{
    guard::{Guard, Quota},
    objects::{Contact, ContactState, Room, User},
    openapi::{
        errors::{AlreadyExists, ErrorResponses, Invalid, NotContacts, NotFound, RateLimited},
        tag,
    },
    problem::{self, Problem},
    service::{ContactAction, Contacts, Identity, LiveEvents},
    state::AppState,
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
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

/// The states of the contacts to list, separated by commas.
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
            let state = known(word).ok_or_else(|| D::Error::custom(texts::request::no_such_state(word)))?;
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
    Problem::new(ErrorCode::NotFound, texts::accounts::NO_SUCH_USER)
}

/// Returns the user in a field of a request, or a problem if that is the caller.
fn other_user(Caller(caller): Caller, other: UserId, field: &'static str) -> Result<UserId, Problem> {
    let mut invalid = problem::Invalid::default();
    let other = if other == caller.user { Err(texts::accounts::MUST_BE_ANOTHER) } else { Ok(other) };
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
    cursor: Option<PageParam>,
}

/// Search people
///
/// Finds people whose username or display name begins with `q`: at most 20, on all pages together. Type more of the name to
/// find others.
#[utoipa::path(
    get, path = "/api/v1/users", tag = tag::CONTACTS, params(SearchPeople),
    responses(
        (status = 200, description = "People with such a name.", body = List<User>),
        ErrorResponses<(Invalid, RateLimited)>,
    ),
)]
async fn search_people(
    State(guard): State<Arc<Guard>>,
    State(contacts): State<Arc<dyn Contacts>>,
    Caller(caller): Caller,
    Query(query): Query<SearchPeople>,
) -> Result<Json<List<User>>, Problem> {
    let SearchPeople { q, limit, cursor } = query;
    let from = cursor.map(|page| page.parse::<usize>()).transpose()?.unwrap_or(0);
    let (least, most) = (PEOPLE_SEARCH_CHARS.start(), PEOPLE_SEARCH_CHARS.end());
    let fits = PEOPLE_SEARCH_CHARS.contains(&q.chars().count());
    let q = if fits { Ok(q) } else { Err(TextError::Length(*least, *most)) };
    let mut invalid = problem::Invalid::default();
    let Some(q) = invalid.check("q", q) else { return Err(invalid.into()) };
    guard.rates.check(Quota::SearchesPerAccount, &caller.user)?;
    let mut found = contacts.search(caller.user, q, PEOPLE_FOUND_MAX).await?;
    found.drain(..from.min(found.len()));
    Ok(Json(List::page(found, limit, |_| (from + limit.0).to_string())))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListContacts {
    /// The states to list; all four if you leave it out.
    #[serde(default)]
    #[param(style = Form, explode = false, inline)]
    state: States,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    #[param(inline)]
    cursor: Option<PageParam>,
}

/// List your contacts, requests and blocks
#[utoipa::path(
    get, path = "/api/v1/contacts", tag = tag::CONTACTS, params(ListContacts),
    responses((status = 200, description = "A page of contacts, in no particular order.", body = List<Contact>)),
)]
async fn list_contacts(
    State(contacts): State<Arc<dyn Contacts>>,
    State(live): State<Arc<dyn LiveEvents>>,
    Caller(caller): Caller,
    Query(query): Query<ListContacts>,
) -> Result<Json<List<Contact>>, Problem> {
    let ListContacts { state: States(states), limit, cursor } = query;
    let after = cursor.map(|mark| mark.parse::<UserId>()).transpose()?;
    let mut contacts = contacts.list(caller.user, states, after, limit.0 + 1).await?;
    let accepted = contacts.iter_mut().filter(|contact| contact.state == ContactState::Accepted);
    presence::fill(&*live, caller.user, accepted.map(|contact| &mut contact.user)).await?;
    Ok(Json(List::page(contacts, limit, |contact| contact.user.id.clone())))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AskContact {
    /// The username of the person.
    #[schema(min_length = 1, max_length = 64)]
    username: String,
}

/// Send a contact request
///
/// If they have sent you a request before, you become contacts at once.
#[utoipa::path(
    post, path = "/api/v1/contacts", tag = tag::CONTACTS,
    responses(
        (status = 201, description = "The request was sent, or you are contacts now.", body = Contact),
        ErrorResponses<(NotFound, AlreadyExists, Invalid, RateLimited)>,
    ),
)]
async fn request_contact(
    State(guard): State<Arc<Guard>>,
    State(contacts): State<Arc<dyn Contacts>>,
    caller: Caller,
    Json(AskContact { username }): Json<AskContact>,
) -> Result<(StatusCode, Json<Contact>), Problem> {
    let Caller(Identity { user, .. }) = caller;
    let fits = (1..=ID_CHARS_MAX).contains(&username.chars().count());
    let username = if fits { Ok(username) } else { Err(TextError::Length(1, ID_CHARS_MAX)) };
    let mut invalid = problem::Invalid::default();
    let Some(username) = invalid.check("username", username) else { return Err(invalid.into()) };
    guard.rates.check(Quota::ContactRequestsPerAccount, &user)?;
    let other = other_user(caller, contacts.find_by_username(username).await?, "username")?;
    let contact = contacts.act(user, ContactAction::Request, other).await?;
    Ok((StatusCode::CREATED, Json(contact)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct UserPath {
    /// The id of the person.
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    user_id: String,
}

async fn act(
    contacts: &dyn Contacts,
    caller: Caller,
    act: ContactAction,
    other: &str,
) -> Result<Json<Contact>, Problem> {
    let other = other_user(caller, other.parse().map_err(|_| no_such_user())?, "user_id")?;
    Ok(Json(contacts.act(caller.0.user, act, other).await?))
}

/// Accept a request
#[utoipa::path(
    post, path = "/api/v1/contacts/{user_id}/accept", tag = tag::CONTACTS,
    params(UserPath),
    responses((status = 200, description = "You are contacts now.", body = Contact), ErrorResponses<(NotFound, Invalid)>),
)]
async fn accept_contact(
    State(contacts): State<Arc<dyn Contacts>>,
    caller: Caller,
    Path(UserPath { user_id }): Path<UserPath>,
) -> Result<Json<Contact>, Problem> {
    act(&*contacts, caller, ContactAction::Accept, &user_id).await
}

/// Decline a request
#[utoipa::path(
    post, path = "/api/v1/contacts/{user_id}/decline", tag = tag::CONTACTS,
    params(UserPath),
    responses((status = 200, description = "The request was declined.", body = Contact), ErrorResponses<(NotFound, Invalid)>),
)]
async fn decline_contact(
    State(contacts): State<Arc<dyn Contacts>>,
    caller: Caller,
    Path(UserPath { user_id }): Path<UserPath>,
) -> Result<Json<Contact>, Problem> {
    act(&*contacts, caller, ContactAction::Decline, &user_id).await
}

/// Block a user
///
/// You no longer see their requests, messages, presence or typing, and they no longer see your presence or typing. They are
/// not notified: to them it looks as if you had declined.
#[utoipa::path(
    post, path = "/api/v1/contacts/{user_id}/block", tag = tag::CONTACTS,
    params(UserPath),
    responses((status = 200, description = "They are blocked.", body = Contact), ErrorResponses<(NotFound, Invalid, RateLimited)>),
)]
async fn block_user(
    State(contacts): State<Arc<dyn Contacts>>,
    State(guard): State<Arc<Guard>>,
    caller: Caller,
    Path(UserPath { user_id }): Path<UserPath>,
) -> Result<Json<Contact>, Problem> {
    guard.rates.check(Quota::BlocksPerAccount, &caller.0.user)?;
    act(&*contacts, caller, ContactAction::Block, &user_id).await
}

/// Unblock a user
///
/// Afterwards you are strangers. A request that they sent in the meantime is discarded.
#[utoipa::path(
    post, path = "/api/v1/contacts/{user_id}/unblock", tag = tag::CONTACTS,
    params(UserPath),
    responses((status = 200, description = "They are no longer blocked.", body = Contact), ErrorResponses<(NotFound, Invalid)>),
)]
async fn unblock_user(
    State(contacts): State<Arc<dyn Contacts>>,
    caller: Caller,
    Path(UserPath { user_id }): Path<UserPath>,
) -> Result<Json<Contact>, Problem> {
    act(&*contacts, caller, ContactAction::Unblock, &user_id).await
}

/// Remove a contact or a request
///
/// Also removes a request, whoever sent it. People whom you blocked stay blocked: unblock them instead.
#[utoipa::path(
    delete, path = "/api/v1/contacts/{user_id}", tag = tag::CONTACTS,
    params(UserPath),
    responses((status = 204, description = "You are strangers now."), ErrorResponses<(NotFound, Invalid)>),
)]
async fn remove_contact(
    State(contacts): State<Arc<dyn Contacts>>,
    caller: Caller,
    Path(UserPath { user_id }): Path<UserPath>,
) -> Result<StatusCode, Problem> {
    act(&*contacts, caller, ContactAction::Remove, &user_id).await?;
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
/// Two contacts have one direct room, whichever of them opens it.
#[utoipa::path(
    post, path = "/api/v1/direct", tag = tag::CONTACTS,
    responses(
        (status = 201, description = "The room was created.", body = Room),
        (status = 200, description = "The room existed already.", body = Room),
        ErrorResponses<(NotContacts, NotFound, Invalid)>,
    ),
)]
async fn open_direct_room(
    State(contacts): State<Arc<dyn Contacts>>,
    caller: Caller,
    Json(OpenDirectRoom { user_id }): Json<OpenDirectRoom>,
) -> Result<Response, Problem> {
    let other = other_user(caller, user_id.parse().map_err(|_| no_such_user())?, "user_id")?;
    let (room, made) = contacts.open_direct_room(caller.0.user, other).await?;
    let status = if made { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(room)).into_response())
}
