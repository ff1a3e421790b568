//! The form pages: log in, register, set up, choose a new password, accept an invite, log out. Forms are checked like the JSON
//! calls of the API; a browser's session is a cookie that scripts can't read.

mod form;
mod invite;
mod reset;
mod services;
mod setup;
pub mod visitor;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Deserialize;
use starling_protocol::{ErrorCode, limits::ID_CHARS_MAX, text::TextError};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    form::{Form, error_page, logged_in, redirect, show_again},
    services::FormServices,
    visitor::Visitor,
};
use super::{
    api::{
        Query,
        accounts::{Register, client, limit_login_attempts, parse_registration},
    },
    html::html_page,
    service_url::ServiceUrl,
};
use crate::{
    guard::{ClientAddress, Quota},
    openapi::{
        errors::{
            BadCredentials, BadRequest, ErrorResponses, Forbidden, HtmlErrorResponses, Invalid, RateLimited,
            RegistrationClosed, TooLarge, Unavailable, UnsupportedMediaType, UsernameTaken,
        },
        tag,
    },
    pages::{self, Filled},
    problem::Problem,
    service::{Refusal, RegistrationMode, RegistrationSource, Secret},
    state::{AppState, WebSettings},
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(login_page, log_in))
        .routes(routes!(register_page, register_by_form))
        .merge(setup::routes())
        .merge(reset::routes())
        .merge(invite::routes())
        .routes(routes!(log_out))
}

#[derive(Deserialize, IntoParams)]
#[serde(default)]
#[derive(Default)]
struct FormQuery {
    /// The path of this service to go to afterwards.
    #[param(max_length = 2000)]
    next: String,
    /// The username of an account whose password was just changed.
    #[param(max_length = 64)]
    changed: String,
    /// An invite code.
    #[param(max_length = 64)]
    invite: String,
}

impl FormQuery {
    /// Refuses values that are longer than any in our own links.
    fn check(&self) -> Result<(), Problem> {
        for (name, text, most) in [
            ("next", &self.next, NEXT_CHARS_MAX),
            ("changed", &self.changed, ID_CHARS_MAX),
            ("invite", &self.invite, ID_CHARS_MAX),
        ] {
            if text.chars().count() > most {
                let detail = format!("{name} {}", TextError::TooLong(most));
                return Err(Problem::new(ErrorCode::BadRequest, detail));
            }
        }
        Ok(())
    }
}

/// The longest path to go to after a login, in characters.
const NEXT_CHARS_MAX: usize = 2_000;

/// The form to log in
#[utoipa::path(
    get, path = "/login", tag = tag::PAGES, params(FormQuery),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html"),
        (status = 303, description = "You are logged in already.", headers(("location" = String))),
        ErrorResponses<BadRequest>,
    ),
    security(()),
)]
async fn login_page(
    State(services): State<FormServices>,
    visitor: Visitor,
    Query(query): Query<FormQuery>,
) -> Result<Response, Problem> {
    query.check()?;
    if visitor.me.is_some() {
        return Ok(redirect(local(&query.next)));
    }
    let filled = Filled { username: &query.changed, next: &query.next, ..Filled::default() };
    let markup = pages::login(filled, !query.changed.is_empty(), may_register(&services.settings));
    Ok(visitor.mark_private(html_page(StatusCode::OK, markup)))
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
struct LoginForm {
    username: String,
    #[schema(format = Password)]
    password: String,
    next: String,
}

/// Log in with the form
///
/// Starts a session with a cookie that is valid for 30 days. Ends the session that the browser had before.
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
    State(services): State<FormServices>,
    Extension(address): Extension<ClientAddress>,
    service: ServiceUrl,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Response {
    let LoginForm { username, password, next } = form;
    let login = services.accounts.login_browser(client(address, &headers), &username, Secret(password));
    match limit_login_attempts(
        &*services.accounts,
        &services.guard.rates,
        address,
        &username,
        login,
        |session| &session.me,
    )
    .await
    {
        Ok(session) => logged_in(&services, &service, &headers, &session, local(&next)).await,
        Err(refusal) => show_again(&refusal.into(), |problem| {
            let filled = Filled { username: &username, next: &next, problem, ..Filled::default() };
            pages::login(filled, false, may_register(&services.settings))
        }),
    }
}

/// The form to register
#[utoipa::path(
    get, path = "/register", tag = tag::PAGES, params(FormQuery),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html"),
        (status = 303, description = "You are logged in already.", headers(("location" = String))),
        HtmlErrorResponses<RegistrationClosed>,
        ErrorResponses<BadRequest>,
    ),
    security(()),
)]
async fn register_page(
    State(services): State<FormServices>,
    visitor: Visitor,
    Query(query): Query<FormQuery>,
) -> Result<Response, Problem> {
    query.check()?;
    if visitor.me.is_some() {
        return Ok(redirect(local(&query.next)));
    }
    if !may_register(&services.settings) {
        return Ok(closed());
    }
    let filled = Filled { invite: &query.invite, next: &query.next, ..Filled::default() };
    Ok(visitor.mark_private(html_page(
        StatusCode::OK,
        pages::register(filled, requires_invite(&services.settings)),
    )))
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
    /// Returns the input, to show it again, and the request for an account.
    fn read(&self) -> (Filled<'_>, Register) {
        let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let Self { username, password, display_name, invite, next } = self;
        let filled = Filled { username, display_name, invite, next, problem: None };
        let (username, password) = (username.clone(), password.clone());
        (filled, Register { username, password, display_name: some(display_name), invite: some(invite) })
    }
}

/// Register with the form
///
/// Creates an account and logs in.
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
    State(services): State<FormServices>,
    Extension(address): Extension<ClientAddress>,
    service: ServiceUrl,
    headers: HeaderMap,
    Form(form): Form<RegisterForm>,
) -> Response {
    if !may_register(&services.settings) {
        return closed();
    }
    let (filled, wanted) = form.read();
    match make_account(&services, address, &service, &headers, wanted, None, local(&form.next)).await {
        Ok(response) => response,
        Err(problem) => show_again(&problem, |problem| {
            pages::register(Filled { problem, ..filled }, requires_invite(&services.settings))
        }),
    }
}

async fn make_account(
    services: &FormServices,
    address: ClientAddress,
    service: &ServiceUrl,
    headers: &HeaderMap,
    wanted: Register,
    source: Option<RegistrationSource>,
    next: &str,
) -> Result<Response, Problem> {
    let mut registration = parse_registration(&*services.accounts, wanted)?;
    registration.source = source.unwrap_or(registration.source);
    services.guard.rates.check(Quota::RegistrationsPerAddress, &address.network())?;
    let session = services.accounts.register_browser(client(address, headers), registration).await?;
    Ok(logged_in(services, service, headers, &session, next).await)
}

/// Log out with the button
///
/// Ends the browser's session and removes its cookie.
#[utoipa::path(
    post, path = "/logout", tag = tag::PAGES,
    responses(
        (status = 303, description = "Logged out.", headers(("location" = String), ("set-cookie" = String))),
        HtmlErrorResponses<(Forbidden, Unavailable)>,
    ),
    security(()),
)]
async fn log_out(State(services): State<FormServices>, headers: HeaderMap) -> Response {
    let ended = async {
        services.guard.origins.check_own(&headers)?;
        match visitor::identity(&services.credentials, &headers).await {
            Ok(Some(identity)) => services.accounts.logout(identity, false).await,
            Ok(None) => Ok(()),
            Err(refusal) if refusal.code == ErrorCode::Unauthenticated => Ok(()),
            Err(refusal) => Err(refusal),
        }
    };
    match ended.await {
        Ok(()) => form::logged_out(&headers),
        Err(refusal) => error_page(&refusal.into(), pages::texts::error::STILL_LOGGED_IN),
    }
}

fn may_register(settings: &WebSettings) -> bool {
    settings.registration != RegistrationMode::Closed
}

fn requires_invite(settings: &WebSettings) -> bool {
    settings.registration == RegistrationMode::Invite
}

fn closed() -> Response {
    let refusal =
        Refusal::new(ErrorCode::RegistrationClosed, pages::texts::error::REGISTRATION_CLOSED_PROBLEM);
    error_page(&refusal.into(), pages::texts::error::REGISTRATION_CLOSED)
}

/// Returns a path within this service, or `/` if a browser could take `next` for an address elsewhere.
fn local(next: &str) -> &str {
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let within = next.starts_with('/') && !next.starts_with("//");
    if plain && within && next.len() <= NEXT_CHARS_MAX { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn next_never_leads_to_another_site() {
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
