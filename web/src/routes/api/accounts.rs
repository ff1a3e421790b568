//! Registration, login, and staying logged in, for programs. Browsers have pages with forms for it.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use serde::Deserialize;
use starling_protocol::{DisplayName, ErrorCode, InviteCode, Username};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Caller, Json, Query, cursor};
use crate::{
    guard::{ClientAddress, Quota},
    objects::{LoggedIn, Me},
    openapi::{
        errors::{
            BadCredentials, ErrorResponses, Forbidden, Invalid, RateLimited, RegistrationClosed,
            Unauthenticated, UsernameTaken,
        },
        tag,
    },
    problem::{self, Problem},
    routes::AppState,
    security_log::SecurityEvent,
    service::{Client, Refusal, Registration, RegistrationSource, Secret},
};

pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default()
        .routes(routes!(register_account))
        .routes(routes!(log_in_user))
        .routes(routes!(refresh_session))
        .routes(routes!(log_out_user))
}

/// The program that sent a request.
pub fn client(ClientAddress(address): ClientAddress, headers: &HeaderMap) -> Client<'_> {
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Client { address, user_agent: user_agent.unwrap_or_default() }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The username, in any case of letters.
    #[schema(min_length = 3, max_length = 32, pattern = "^[A-Za-z0-9_.-]+$")]
    pub username: String,
    /// The password: 8 characters to 256 bytes, none of the most common, and not made of the username or the name of the
    /// service.
    #[schema(format = Password, min_length = 8, max_length = 256)]
    pub password: String,
    /// The name to show, unless it is the username.
    #[schema(min_length = 1, max_length = 64)]
    pub display_name: Option<String>,
    /// An invite to a room, if registration requires one. You become a member of that room.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    pub invite: Option<String>,
}

/// What somebody asks who wants an account.
pub fn parse_registration(web: &AppState, body: Register) -> Result<Registration, Problem> {
    let mut invalid = problem::Invalid::default();
    let username = invalid.check("username", Username::parse(&body.username));
    let password = invalid.check("password", web.accounts.judge_password(&body.password, &body.username));
    let display_name = body.display_name.map(|name| DisplayName::parse(&name)).transpose();
    let display_name = invalid.check("display_name", display_name);
    // An invite that can be none is as one that is not good any more.
    let invite = body.invite.map(|code| InviteCode::parse(&code)).transpose();
    let invite = invalid.check("invite", invite).map(Option::flatten);
    let (Some(username), Some(()), Some(display_name), Some(invite)) =
        (username, password, display_name, invite)
    else {
        return Err(invalid.into());
    };
    let source = RegistrationSource::Public(invite);
    Ok(Registration { username, password: Secret(body.password), display_name, source })
}

/// Register an account and log in
///
/// When the answer arrives, the name is yours, and the account exists on every reachable node.
#[utoipa::path(
    post, path = "/api/v1/register", tag = tag::ACCOUNTS,
    responses(
        (status = 201, description = "The account was created.", body = LoggedIn),
        ErrorResponses<(RegistrationClosed, UsernameTaken, Invalid)>,
    ),
    security(()),
)]
async fn register_account(
    State(web): State<Arc<AppState>>,
    Extension(address): Extension<ClientAddress>,
    headers: HeaderMap,
    Json(body): Json<Register>,
) -> Result<(StatusCode, Concerns, Json<LoggedIn>), Problem> {
    let registration = parse_registration(&web, body)?;
    web.guard.rates.check(Quota::RegistrationsPerAddress, &address.network())?;
    let logged_in = web.accounts.register(client(address, &headers), registration).await?;
    Ok((StatusCode::CREATED, concerns(&logged_in), Json(logged_in)))
}

/// Counts a login under its address and the account that is meant; a right one forgives what was wrong before, from there.
pub async fn limited<T>(
    web: &AppState,
    address: ClientAddress,
    name: &str,
    login: impl Future<Output = Result<T, Refusal>>,
    whose: impl Fn(&T) -> &Me,
) -> Result<T, Refusal> {
    let (rates, typed) = (&web.guard.rates, name.trim().to_ascii_lowercase());
    // Under `name` those are meant, too, who are shown as `name~xxxx`: all spellings count as one.
    let name = typed.split_once('~').map_or(typed.as_str(), |(name, _)| name);
    let from_there = (address.network(), name);
    let limited = |refusal: Refusal| {
        SecurityEvent::LoginLimited.by(None).record();
        refusal
    };
    rates.check(Quota::LoginsPerAddress, &address.network()).map_err(limited)?;
    rates.check(Quota::LoginsPerAccount, &from_there).map_err(limited)?;
    let is_stranger = !web.accounts.is_known(address.0, &typed);
    if is_stranger && let Err(refusal) = rates.check(Quota::LoginsPerAccountEverywhere, name) {
        rates.take_back(Quota::LoginsPerAccount, &from_there);
        return Err(limited(refusal));
    }
    let result = login.await;
    if matches!(&result, Err(refusal) if refusal.code == ErrorCode::BadCredentials) {
        return result;
    }
    // It was right, or no password was looked at.
    rates.take_back(Quota::LoginsPerAccount, &from_there);
    if is_stranger {
        rates.take_back(Quota::LoginsPerAccountEverywhere, name);
    }
    // Who was renamed from a name logs in by it, too, and may not guess its holder's password on and on.
    if result.as_ref().is_ok_and(|logged_in| whose(logged_in).username == name) {
        rates.forgive(Quota::LoginsPerAccount, &from_there);
    }
    result
}

/// Whose cursor the answer carries.
type Concerns = Option<Extension<cursor::For>>;

fn concerns(LoggedIn { user, .. }: &LoggedIn) -> Concerns {
    Some(Extension(cursor::For(user.id.parse().ok()?)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// The username. After a rename, the old and the new one work.
    username: String,
    /// The password.
    #[schema(format = Password)]
    password: String,
}

/// Log in
///
/// Starts a session. The answer to an unknown name and to a wrong password is the same.
#[utoipa::path(
    post, path = "/api/v1/login", tag = tag::ACCOUNTS,
    responses(
        (status = 200, description = "You are logged in.", body = LoggedIn),
        ErrorResponses<(BadCredentials, RateLimited)>,
    ),
    security(()),
)]
async fn log_in_user(
    State(web): State<Arc<AppState>>,
    Extension(address): Extension<ClientAddress>,
    headers: HeaderMap,
    Json(body): Json<Login>,
) -> Result<(Concerns, Json<LoggedIn>), Problem> {
    let login = web.accounts.login(client(address, &headers), &body.username, Secret(body.password));
    let logged_in = limited(&web, address, &body.username, login, |logged_in| &logged_in.user).await?;
    Ok((concerns(&logged_in), Json(logged_in)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    /// The last refresh token that you received.
    refresh_token: String,
}

/// Refresh the session
///
/// Gives the next access token and the next refresh token. The old refresh token gets the same answer until the next one is
/// used. Used after that, it ends the session, because somebody else may have it. A session ends 30 days after its last
/// refresh.
#[utoipa::path(
    post, path = "/api/v1/refresh", tag = tag::ACCOUNTS,
    responses(
        (status = 200, description = "The session continues.", body = LoggedIn),
        ErrorResponses<Unauthenticated>,
    ),
    security(()),
)]
async fn refresh_session(
    State(web): State<Arc<AppState>>,
    Json(body): Json<Refresh>,
) -> Result<(Concerns, Json<LoggedIn>), Problem> {
    let logged_in = web.accounts.refresh(&body.refresh_token).await?;
    Ok((concerns(&logged_in), Json(logged_in)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Logout {
    /// Whether to end all sessions, not only this one. Personal access tokens stay. A personal access token may not do
    /// this.
    #[serde(default)]
    all: bool,
}

/// Log out
///
/// When the answer arrives, the session has ended on every reachable node.
#[utoipa::path(
    post, path = "/api/v1/logout", tag = tag::ACCOUNTS, params(Logout),
    responses((status = 204, description = "The session has ended."), ErrorResponses<Forbidden>),
)]
async fn log_out_user(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Query(query): Query<Logout>,
) -> Result<StatusCode, Problem> {
    web.accounts.logout(who, query.all).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{drain::Drain, lane::Lanes, metrics::WebMetrics, session::tests::support};

    /// A login under the name `ann`, which is right for somebody who is shown so, or wrong.
    async fn login(web: &AppState, from: u8, right_for: Option<&str>) -> Result<(), ErrorCode> {
        login_as(" Ann", web, from, right_for).await
    }

    async fn login_as(
        typed: &str,
        web: &AppState,
        from: u8,
        right_for: Option<&str>,
    ) -> Result<(), ErrorCode> {
        let address = ClientAddress([192, 0, 2, from].into());
        let result = right_for.map(|username| Me {
            id: String::new(),
            username: username.to_owned(),
            display_name: String::new(),
            admin: false,
            renamed: false,
            created_at: String::new(),
        });
        let result = result.ok_or_else(|| Refusal::new(ErrorCode::BadCredentials, "wrong"));
        limited(web, address, typed, async { result }, |me| me).await.map(|_| ()).map_err(|r| r.code)
    }

    fn web() -> Arc<AppState> {
        let lanes = Arc::new(Lanes::new(support::point(0)));
        support::app_state(&Arc::default(), &lanes, WebMetrics::default(), Drain::new().1)
    }

    #[tokio::test(start_paused = true)]
    async fn who_guesses_shuts_himself_out_and_no_other() {
        let web = web();
        for _ in 0..20 {
            assert_eq!(login(&web, 1, None).await, Err(ErrorCode::BadCredentials));
        }
        assert_eq!(login(&web, 1, Some("ann")).await, Err(ErrorCode::RateLimited));
        assert_eq!(login(&web, 2, Some("ann")).await, Ok(()));
        // From many addresses together it ends as well, though each has tried little.
        for from in 10..190 {
            assert_eq!(login(&web, from, None).await, Err(ErrorCode::BadCredentials));
        }
        assert_eq!(login(&web, 3, Some("ann")).await, Err(ErrorCode::RateLimited));
    }

    /// Promise: whatever somebody calls the account whose password they guess, they guess as often as anybody.
    #[tokio::test(start_paused = true)]
    async fn all_names_of_an_account_are_one_to_who_guesses() {
        let web = web();
        for guess in 0..20 {
            let typed = ["ann", "ANN~X1Y2", " ann~x1y2", "ann~0000", "Ann "][guess % 5];
            assert_eq!(login_as(typed, &web, 1, None).await, Err(ErrorCode::BadCredentials), "{guess}");
        }
        for typed in ["ann", "ann~x1y2", "ann~9999", "ann~a~b"] {
            assert_eq!(login_as(typed, &web, 1, None).await, Err(ErrorCode::RateLimited), "{typed}");
        }
        // Who is shown as `ann~x1y2` and knows their own password guesses the other's no more often.
        assert_eq!(login_as("ann~x1y2", &web, 2, Some("ann~x1y2")).await, Ok(()));
        for guess in 0..20 {
            assert_eq!(login_as("ann", &web, 2, None).await, Err(ErrorCode::BadCredentials), "{guess}");
            let _ = login_as("ann~x1y2", &web, 2, Some("ann~x1y2")).await;
        }
        assert_eq!(login_as("ann", &web, 2, None).await, Err(ErrorCode::RateLimited));
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_password_forgives_the_holder_of_the_name_alone() {
        let web = web();
        for (right_for, most) in [("ann", 30), ("ann~xxxx", 20)] {
            let mut guesses = 0;
            while guesses < most && login(&web, 1, None).await == Err(ErrorCode::BadCredentials) {
                guesses += 1;
                let _ = login(&web, 1, Some(right_for)).await;
            }
            // With his own password in between, who was renamed guesses no more than anybody.
            assert_eq!(guesses, most, "{right_for}");
        }
        assert_eq!(login(&web, 1, None).await, Err(ErrorCode::RateLimited));
    }
}
