//! Registration, login, refresh and logout, for programs. Browsers use the form pages instead.

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

use super::{
    caller::Caller,
    cursor,
    extract::{Json, Query},
};
use crate::{
    guard::{ClientAddress, Guard, Quota, Rates},
    objects::{LoggedIn, Me},
    openapi::{
        errors::{
            BadCredentials, ErrorResponses, Forbidden, Invalid, RateLimited, RegistrationClosed,
            Unauthenticated, UsernameTaken,
        },
        tag,
    },
    problem::{self, Problem},
    security_log::SecurityEvent,
    service::{Accounts, Client, Refusal, Registration, RegistrationSource, Secret},
    state::AppState,
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(register_account))
        .routes(routes!(log_in_user))
        .routes(routes!(refresh_session))
        .routes(routes!(log_out_user))
}

/// Returns the client of a request.
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

/// Validates a request for an account.
pub fn parse_registration(accounts: &dyn Accounts, body: Register) -> Result<Registration, Problem> {
    let mut invalid = problem::Invalid::default();
    let username = invalid.check("username", Username::parse(&body.username));
    let password = invalid.check("password", accounts.validate_new_password(&body.password, &body.username));
    let display_name = body.display_name.map(|name| DisplayName::parse(&name)).transpose();
    let display_name = invalid.check("display_name", display_name);
    // A malformed code counts as no invite, like one that is no longer valid.
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
/// When the response arrives, the name is yours, and the account exists on every reachable node.
#[utoipa::path(
    post, path = "/api/v1/register", tag = tag::ACCOUNTS,
    responses(
        (status = 201, description = "The account was created.", body = LoggedIn),
        ErrorResponses<(RegistrationClosed, UsernameTaken, Invalid)>,
    ),
    security(()),
)]
async fn register_account(
    State(accounts): State<Arc<dyn Accounts>>,
    State(guard): State<Arc<Guard>>,
    Extension(address): Extension<ClientAddress>,
    headers: HeaderMap,
    Json(body): Json<Register>,
) -> Result<(StatusCode, CursorUser, Json<LoggedIn>), Problem> {
    let registration = parse_registration(&*accounts, body)?;
    guard.rates.check(Quota::RegistrationsPerAddress, &address.network())?;
    let logged_in = accounts.register(client(address, &headers), registration).await?;
    Ok((StatusCode::CREATED, cursor_user(&logged_in), Json(logged_in)))
}

/// Counts a login attempt by its address and by the account that it is for. A right password resets the count of failures
/// for that account from that address. `me` returns the account that was logged in to.
pub async fn limit_login_attempts<T>(
    accounts: &dyn Accounts,
    rates: &Rates,
    address: ClientAddress,
    name: &str,
    login: impl Future<Output = Result<T, Refusal>>,
    me: impl Fn(&T) -> &Me,
) -> Result<T, Refusal> {
    let typed = name.trim().to_ascii_lowercase();
    // A login as `name` also tries accounts that are shown as `name~xxxx`, so all spellings share one count.
    let name = typed.split_once('~').map_or(typed.as_str(), |(name, _)| name);
    let by_address_and_name = (address.network(), name);
    let log_refusal = |refusal: Refusal| {
        SecurityEvent::LoginLimited.by(None).record();
        refusal
    };
    rates.check(Quota::LoginsPerAddress, &address.network()).map_err(log_refusal)?;
    rates.check(Quota::LoginsPerAccount, &by_address_and_name).map_err(log_refusal)?;
    let is_stranger = !accounts.is_known(address.0, &typed);
    if is_stranger && let Err(refusal) = rates.check(Quota::LoginsPerAccountEverywhere, name) {
        rates.refund(Quota::LoginsPerAccount, &by_address_and_name);
        return Err(log_refusal(refusal));
    }
    let result = login.await;
    if matches!(&result, Err(refusal) if refusal.code == ErrorCode::BadCredentials) {
        return result;
    }
    // The password was right, or none was checked.
    rates.refund(Quota::LoginsPerAccount, &by_address_and_name);
    if is_stranger {
        rates.refund(Quota::LoginsPerAccountEverywhere, name);
    }
    // A user who was renamed can still log in by the old name. That must not reset the count of their guesses at the
    // password of the account that has the name now.
    if result.as_ref().is_ok_and(|logged_in| me(logged_in).username == name) {
        rates.reset(Quota::LoginsPerAccount, &by_address_and_name);
    }
    result
}

/// Sets the user for whom the response carries a cursor.
type CursorUser = Option<Extension<cursor::CursorFor>>;

fn cursor_user(LoggedIn { user, .. }: &LoggedIn) -> CursorUser {
    Some(Extension(cursor::CursorFor(user.id.parse().ok()?)))
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
/// Starts a session. The response is the same for an unknown name and for a wrong password.
#[utoipa::path(
    post, path = "/api/v1/login", tag = tag::ACCOUNTS,
    responses(
        (status = 200, description = "You are logged in.", body = LoggedIn),
        ErrorResponses<(BadCredentials, RateLimited)>,
    ),
    security(()),
)]
async fn log_in_user(
    State(accounts): State<Arc<dyn Accounts>>,
    State(guard): State<Arc<Guard>>,
    Extension(address): Extension<ClientAddress>,
    headers: HeaderMap,
    Json(body): Json<Login>,
) -> Result<(CursorUser, Json<LoggedIn>), Problem> {
    let login = accounts.login(client(address, &headers), &body.username, Secret(body.password));
    let logged_in =
        limit_login_attempts(&*accounts, &guard.rates, address, &body.username, login, |logged_in| {
            &logged_in.user
        })
        .await?;
    Ok((cursor_user(&logged_in), Json(logged_in)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    /// The last refresh token that you received.
    refresh_token: String,
}

/// Refresh the session
///
/// Returns the next access token and the next refresh token. The old refresh token returns the same tokens until you use the
/// next one. After that, using the old one ends the session, because somebody else may have it. A session ends 30 days after
/// its last refresh.
#[utoipa::path(
    post, path = "/api/v1/refresh", tag = tag::ACCOUNTS,
    responses(
        (status = 200, description = "The session continues.", body = LoggedIn),
        ErrorResponses<Unauthenticated>,
    ),
    security(()),
)]
async fn refresh_session(
    State(accounts): State<Arc<dyn Accounts>>,
    Json(body): Json<Refresh>,
) -> Result<(CursorUser, Json<LoggedIn>), Problem> {
    let logged_in = accounts.refresh(&body.refresh_token).await?;
    Ok((cursor_user(&logged_in), Json(logged_in)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Logout {
    /// Whether to end all your sessions, not only this one. Personal access tokens stay valid. You can't do this with a
    /// personal access token; log in and use an access token.
    #[serde(default)]
    all: bool,
}

/// Log out
///
/// The response waits until the session has ended on every reachable node, for 250 ms at most.
#[utoipa::path(
    post, path = "/api/v1/logout", tag = tag::ACCOUNTS, params(Logout),
    responses((status = 204, description = "The session has ended."), ErrorResponses<Forbidden>),
)]
async fn log_out_user(
    State(accounts): State<Arc<dyn Accounts>>,
    Caller(who): Caller,
    Query(query): Query<Logout>,
) -> Result<StatusCode, Problem> {
    accounts.logout(who, query.all).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{drain::Drain, lane::Lanes, metrics::WebMetrics, session::tests::support};

    /// Logs in as `ann`. The password is right for an account with the username `right_for`, or wrong if that is `None`.
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
        limit_login_attempts(&*web.accounts, &web.guard.rates, address, typed, async { result }, |me| me)
            .await
            .map(|_| ())
            .map_err(|r| r.code)
    }

    fn web() -> AppState {
        let lanes = Arc::new(Lanes::new(support::point(0)));
        support::app_state(&Arc::default(), &lanes, WebMetrics::default(), Drain::new().1)
    }

    /// Promise: guessing locks out the guesser's address, and other addresses only if they guess too.
    #[tokio::test(start_paused = true)]
    async fn guesses_lock_out_the_address_that_makes_them() {
        let web = web();
        for _ in 0..20 {
            assert_eq!(login(&web, 1, None).await, Err(ErrorCode::BadCredentials));
        }
        assert_eq!(login(&web, 1, Some("ann")).await, Err(ErrorCode::RateLimited));
        assert_eq!(login(&web, 2, Some("ann")).await, Ok(()));
        // Guesses from many addresses together reach a limit as well, even if each address makes few.
        for from in 10..190 {
            assert_eq!(login(&web, from, None).await, Err(ErrorCode::BadCredentials));
        }
        assert_eq!(login(&web, 3, Some("ann")).await, Err(ErrorCode::RateLimited));
    }

    /// Promise: a guesser gets no more guesses by typing the name of an account in different ways.
    #[tokio::test(start_paused = true)]
    async fn all_spellings_of_a_name_share_one_limit() {
        let web = web();
        for guess in 0..20 {
            let typed = ["ann", "ANN~X1Y2", " ann~x1y2", "ann~0000", "Ann "][guess % 5];
            assert_eq!(login_as(typed, &web, 1, None).await, Err(ErrorCode::BadCredentials), "{guess}");
        }
        for typed in ["ann", "ann~x1y2", "ann~9999", "ann~a~b"] {
            assert_eq!(login_as(typed, &web, 1, None).await, Err(ErrorCode::RateLimited), "{typed}");
        }
        // A user who is shown as `ann~x1y2` and knows their own password gets no more guesses at the password of `ann`.
        assert_eq!(login_as("ann~x1y2", &web, 2, Some("ann~x1y2")).await, Ok(()));
        for guess in 0..20 {
            assert_eq!(login_as("ann", &web, 2, None).await, Err(ErrorCode::BadCredentials), "{guess}");
            let _ = login_as("ann~x1y2", &web, 2, Some("ann~x1y2")).await;
        }
        assert_eq!(login_as("ann", &web, 2, None).await, Err(ErrorCode::RateLimited));
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_password_resets_the_limit_only_for_the_holder_of_the_name() {
        let web = web();
        for (right_for, most) in [("ann", 30), ("ann~xxxx", 20)] {
            let mut guesses = 0;
            while guesses < most && login(&web, 1, None).await == Err(ErrorCode::BadCredentials) {
                guesses += 1;
                let _ = login(&web, 1, Some(right_for)).await;
            }
            // A renamed user who enters their own password in between gets no more guesses than anybody.
            assert_eq!(guesses, most, "{right_for}");
        }
        assert_eq!(login(&web, 1, None).await, Err(ErrorCode::RateLimited));
    }
}
