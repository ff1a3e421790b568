//! The form pages: a browser logs in, registers, sets the service up, chooses a new password, takes an invite, logs out. What they send
//! is checked as its JSON sister is; a browser's session is a cookie, which no script sees.

mod form;
mod invite;
mod reset;
mod visitor;

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Deserialize;
use starling_protocol::{ErrorCode, limits::ID_CHARS_MAX};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::form::{Form, entered, redirect, shown, turned_away};
pub use self::visitor::Visitor;
use super::{
    AppState,
    api::{
        Path, Query,
        accounts::{Register, client, limited, parse_registration},
    },
    pages::page,
    site::Site,
};
use crate::{
    guard::{ClientAddress, Quota},
    openapi::{
        errors::{
            BadCredentials, BadRequest, ErrorResponses, Forbidden, HtmlErrorResponses, Invalid, NotFound,
            RateLimited, RegistrationClosed, TooLarge, Unavailable, UnsupportedMediaType, UsernameTaken,
        },
        tag,
    },
    pages::{self, Filled},
    problem::Problem,
    service::{Refusal, RegistrationMode, RegistrationSource, Secret},
};

/// All of them.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default()
        .routes(routes!(login_page, log_in))
        .routes(routes!(register_page, register_by_form))
        .routes(routes!(setup_page, set_up))
        .merge(reset::routes())
        .merge(invite::routes())
        .routes(routes!(log_out))
}

#[derive(Deserialize, IntoParams)]
#[serde(default)]
#[derive(Default)]
struct Coming {
    /// Where to go afterwards: a path of this service.
    #[param(max_length = 2000)]
    next: String,
    /// The name of an account whose password was just changed.
    #[param(max_length = 64)]
    changed: String,
    /// An invite.
    #[param(max_length = 64)]
    invite: String,
}

impl Coming {
    /// What is longer than any of ours, no page of ours has asked for.
    fn check(&self) -> Result<(), Problem> {
        for (name, text, most) in [
            ("next", &self.next, NEXT_CHARS_MAX),
            ("changed", &self.changed, ID_CHARS_MAX),
            ("invite", &self.invite, ID_CHARS_MAX),
        ] {
            if text.chars().count() > most {
                let detail = format!("{name} has at most {most} characters");
                return Err(Problem::new(ErrorCode::BadRequest, detail));
            }
        }
        Ok(())
    }
}

/// Characters of the path to which a login leads.
const NEXT_CHARS_MAX: usize = 2_000;

/// The form to log in
#[utoipa::path(
    get, path = "/login", tag = tag::PAGES, params(Coming),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html"),
        (status = 303, description = "You are logged in already.", headers(("location" = String))),
        ErrorResponses<BadRequest>,
    ),
    security(()),
)]
async fn login_page(
    State(web): State<Arc<AppState>>,
    visitor: Visitor,
    Query(coming): Query<Coming>,
) -> Result<Response, Problem> {
    coming.check()?;
    if visitor.me.is_some() {
        return Ok(redirect(local(&coming.next)));
    }
    let filled = Filled { username: &coming.changed, next: &coming.next, ..Filled::default() };
    let markup = pages::login(filled, !coming.changed.is_empty(), may_register(&web));
    Ok(visitor.answer(page(StatusCode::OK, markup)))
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
struct LoginForm {
    username: String,
    #[schema(format = Password)]
    password: String,
    next: String,
}

/// Log in, by the form
///
/// Opens a session, whose cookie is good for 30 days. A session that the browser had before ends.
#[utoipa::path(
    post, path = "/login", tag = tag::PAGES,
    request_body(content = LoginForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "Logged in.", headers(("location" = String), ("set-cookie" = String))),
        HtmlErrorResponses<(BadCredentials, Forbidden, RateLimited, Unavailable)>,
        ErrorResponses<(BadRequest, TooLarge, UnsupportedMediaType)>,
    ),
    security(()),
)]
async fn log_in(
    State(web): State<Arc<AppState>>,
    Extension(address): Extension<ClientAddress>,
    site: Site,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Response {
    let LoginForm { username, password, next } = form;
    let login = web.accounts.login_browser(client(address, &headers), &username, Secret(password));
    match limited(&web, address, &username, login, |session| &session.me).await {
        Ok(session) => entered(&web, &site, &headers, &session, local(&next)).await,
        Err(refusal) => shown(&refusal.into(), |problem| {
            let filled = Filled { username: &username, next: &next, problem, ..Filled::default() };
            pages::login(filled, false, may_register(&web))
        }),
    }
}

/// The form to register
#[utoipa::path(
    get, path = "/register", tag = tag::PAGES, params(Coming),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html"),
        (status = 303, description = "You are logged in already.", headers(("location" = String))),
        HtmlErrorResponses<RegistrationClosed>,
        ErrorResponses<BadRequest>,
    ),
    security(()),
)]
async fn register_page(
    State(web): State<Arc<AppState>>,
    visitor: Visitor,
    Query(coming): Query<Coming>,
) -> Result<Response, Problem> {
    coming.check()?;
    if visitor.me.is_some() {
        return Ok(redirect(local(&coming.next)));
    }
    if !may_register(&web) {
        return Ok(closed());
    }
    let filled = Filled { invite: &coming.invite, next: &coming.next, ..Filled::default() };
    Ok(visitor.answer(page(StatusCode::OK, pages::register(filled, wants_invite(&web)))))
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
struct RegisterForm {
    username: String,
    #[schema(format = Password)]
    password: String,
    display_name: String,
    invite: String,
    next: String,
}

impl RegisterForm {
    /// As it was typed, and what is asked for.
    fn read(&self) -> (Filled<'_>, Register) {
        let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let Self { username, password, display_name, invite, next } = self;
        let filled = Filled { username, display_name, invite, next, problem: None };
        let (username, password) = (username.clone(), password.clone());
        (filled, Register { username, password, display_name: some(display_name), invite: some(invite) })
    }
}

/// Register, by the form
///
/// Makes an account and logs in.
#[utoipa::path(
    post, path = "/register", tag = tag::PAGES,
    request_body(content = RegisterForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "Registered.", headers(("location" = String), ("set-cookie" = String))),
        HtmlErrorResponses<(Forbidden, RegistrationClosed, UsernameTaken, Invalid, RateLimited, Unavailable)>,
        ErrorResponses<(BadRequest, TooLarge, UnsupportedMediaType)>,
    ),
    security(()),
)]
async fn register_by_form(
    State(web): State<Arc<AppState>>,
    Extension(address): Extension<ClientAddress>,
    site: Site,
    headers: HeaderMap,
    Form(form): Form<RegisterForm>,
) -> Response {
    if !may_register(&web) {
        return closed();
    }
    let (filled, wanted) = form.read();
    match make_account(&web, address, &site, &headers, wanted, None, local(&form.next)).await {
        Ok(response) => response,
        Err(problem) => {
            shown(&problem, |problem| pages::register(Filled { problem, ..filled }, wants_invite(&web)))
        }
    }
}

async fn make_account(
    web: &AppState,
    address: ClientAddress,
    site: &Site,
    headers: &HeaderMap,
    wanted: Register,
    source: Option<RegistrationSource>,
    next: &str,
) -> Result<Response, Problem> {
    let mut registration = parse_registration(web, wanted)?;
    registration.source = source.unwrap_or(registration.source);
    web.guard.rates.check(Quota::RegistrationsPerAddress, &address.network())?;
    let session = web.accounts.register_browser(client(address, headers), registration).await?;
    Ok(entered(web, site, headers, &session, next).await)
}

/// The form to make the first administrator's account
///
/// Its address is printed by a start that knows of no administrator, and is good on every node until there is one.
#[utoipa::path(
    get, path = "/setup/{code}", tag = tag::PAGES,
    params(("code" = String, Path, description = "As it was printed.")),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html"),
        HtmlErrorResponses<(NotFound, Unavailable)>,
    ),
    security(()),
)]
async fn setup_page(State(web): State<Arc<AppState>>, code: Result<Path<String>, Problem>) -> Response {
    match setup_code(&web, code).await {
        Ok(code) => page(StatusCode::OK, pages::setup(&code, Filled::default())),
        Err(problem) => shown_setup(&problem, None),
    }
}

/// Make the first administrator's account, by the form
#[utoipa::path(
    post, path = "/setup/{code}", tag = tag::PAGES,
    params(("code" = String, Path, description = "As it was printed.")),
    request_body(content = RegisterForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "Made.", headers(("location" = String), ("set-cookie" = String))),
        HtmlErrorResponses<(Forbidden, NotFound, UsernameTaken, Invalid, RateLimited, Unavailable)>,
        ErrorResponses<(BadRequest, TooLarge, UnsupportedMediaType)>,
    ),
    security(()),
)]
async fn set_up(
    State(web): State<Arc<AppState>>,
    code: Result<Path<String>, Problem>,
    Extension(address): Extension<ClientAddress>,
    site: Site,
    headers: HeaderMap,
    Form(form): Form<RegisterForm>,
) -> Response {
    let code = match setup_code(&web, code).await {
        Ok(code) => code,
        Err(problem) => return shown_setup(&problem, None),
    };
    let (filled, wanted) = form.read();
    match make_account(&web, address, &site, &headers, wanted, Some(RegistrationSource::Setup), "/").await {
        Ok(response) => response,
        Err(problem) => shown_setup(&problem, Some((&code, filled))),
    }
}

/// The code, if it lets somebody in.
async fn setup_code(web: &AppState, code: Result<Path<String>, Problem>) -> Result<String, Problem> {
    let Path(code) = code?;
    if web.administration.is_setup_code(&code).await? {
        return Ok(code);
    }
    Err(Problem::new(
        ErrorCode::NotFound,
        "the first account was made, or a character of the address is missing",
    ))
}

fn shown_setup(problem: &Problem, filled: Option<(&str, Filled<'_>)>) -> Response {
    match filled {
        Some((code, filled)) if problem.code() != ErrorCode::NotFound => {
            shown(problem, |problem| pages::setup(code, Filled { problem, ..filled }))
        }
        _ => turned_away(problem, "Nothing to set up here"),
    }
}

/// Log out, by the button
///
/// Ends the browser's session and takes its cookie away.
#[utoipa::path(
    post, path = "/logout", tag = tag::PAGES,
    responses(
        (status = 303, description = "Logged out.", headers(("location" = String), ("set-cookie" = String))),
        HtmlErrorResponses<(Forbidden, Unavailable)>,
    ),
    security(()),
)]
async fn log_out(State(web): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    let ended = async {
        web.guard.origins.check_own(&headers)?;
        match visitor::identity(&web, &headers).await {
            Ok(Some(identity)) => web.accounts.logout(identity, false).await,
            Ok(None) => Ok(()),
            Err(refusal) if refusal.code == ErrorCode::Unauthenticated => Ok(()),
            Err(refusal) => Err(refusal),
        }
    };
    match ended.await {
        Ok(()) => form::left(&headers),
        Err(refusal) => turned_away(&refusal.into(), "You are still logged in"),
    }
}

fn may_register(web: &AppState) -> bool {
    web.settings.registration != RegistrationMode::Closed
}

fn wants_invite(web: &AppState) -> bool {
    web.settings.registration == RegistrationMode::Invite
}

fn closed() -> Response {
    let refusal = Refusal::new(
        ErrorCode::RegistrationClosed,
        "accounts are made by the operators of this server; ask them for one",
    );
    turned_away(&refusal.into(), "Registration is closed")
}

/// Where to go: only within this service, whatever a browser makes of the text.
fn local(next: &str) -> &str {
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let within = next.starts_with('/') && !next.starts_with("//");
    if plain && within && next.len() <= NEXT_CHARS_MAX { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn one_goes_on_within_this_service_only() {
        for next in ["/", "/r/abc?x=1#y", "/login?next=//evil.example"] {
            assert_eq!(local(next), next);
        }
        let long = format!("/{}", "a".repeat(2_000));
        for foreign in [
            "",
            "r/abc",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "https://evil.example",
            "/ü",
            &long,
        ] {
            assert_eq!(local(foreign), "/", "{foreign:?}");
        }
    }
}
