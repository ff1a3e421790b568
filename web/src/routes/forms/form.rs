//! Reads forms and answers them: with a redirect, with the form and its problem, or with an error page. Sets and removes
//! session cookies.

use axum::{
    extract::{FromRequest, Request, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::Markup;
use serde::de::DeserializeOwned;
use starling_protocol::{ErrorCode, texts};

use super::services::FormServices;
use crate::{
    credentials::{COOKIE, HOST_COOKIE, brings_cookie},
    pages,
    problem::Problem,
    routes::{html::html_page, service_url::ServiceUrl},
    service::BrowserSession,
    state::AppState,
};

/// The lifetime of a session and its cookie, in seconds.
const COOKIE_S: u64 = 30 * 24 * 3_600;

/// The input of a form on one of our own pages. Refuses forms on other sites.
pub struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for Form<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Response> {
        if let Err(refusal) = state.guard.origins.check_own(request.headers()) {
            return Err(error_page(&refusal.into(), pages::texts::error::FOREIGN_FORM));
        }
        match axum::Form::from_request(request, state).await {
            Ok(axum::Form(form)) => Ok(Self(form)),
            Err(rejection) => Err(refused(&rejection).into_response()),
        }
    }
}

fn refused(rejection: &FormRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(ErrorCode::TooLarge, texts::request::FORM_TOO_LONG),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::new(ErrorCode::UnsupportedMediaType, texts::request::MUST_BE_FORM)
        }
        _ => Problem::new(ErrorCode::BadRequest, texts::request::FORM_UNREADABLE),
    }
}

/// Answers with the form and its problem.
pub fn show_again(problem: &Problem, form: impl FnOnce(Option<&Problem>) -> Markup) -> Response {
    as_page(problem, form(Some(problem)))
}

/// Answers with an error page for a link: only some errors say that the link itself is invalid.
pub fn link_error_page(problem: &Problem, invalid_link: &str) -> Response {
    error_page(problem, link_error_title(problem, invalid_link))
}

fn link_error_title<'a>(problem: &Problem, invalid_link: &'a str) -> &'a str {
    let is_invalid = matches!(problem.code(), ErrorCode::NotFound | ErrorCode::BadRequest);
    if is_invalid { invalid_link } else { pages::texts::error::NOT_NOW }
}

/// Answers with an error page.
pub fn error_page(problem: &Problem, title: &str) -> Response {
    let mut detail = problem.detail().to_owned();
    if let Some(first) = detail.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    as_page(problem, pages::error(title, &format!("{detail}.")))
}

fn as_page(problem: &Problem, markup: Markup) -> Response {
    let status = StatusCode::from_u16(problem.code().status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = html_page(status, markup);
    if let Some(seconds) = problem.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Redirects to another page.
pub fn redirect(to: &str) -> Response {
    let location = HeaderValue::from_str(to).unwrap_or_else(|_| HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// Redirects to another page with a new session. Ends the browser's previous session: its cookie is replaced, so nobody could
/// end it later.
pub async fn logged_in(
    services: &FormServices,
    service: &ServiceUrl,
    headers: &HeaderMap,
    session: &BrowserSession,
    to: &str,
) -> Response {
    if let Ok(Some(before)) = services.credentials.by_cookie(headers).await
        && let Err(refusal) = services.accounts.logout(before, false).await
    {
        tracing::warn!(user = %before.user, detail = %refusal.detail, "could not end the previous session of a browser");
    }
    let name = if service.https { HOST_COOKIE } else { COOKIE };
    let others = session_cookies(headers).into_iter().filter(|other| *other != name).collect::<Vec<_>>();
    with_cookie(without_cookies(redirect(to), &others), name, &session.cookie.0, COOKIE_S)
}

/// Redirects to the front page without a session.
pub fn logged_out(headers: &HeaderMap) -> Response {
    let brought = session_cookies(headers);
    without_cookies(redirect("/"), if brought.is_empty() { &[COOKIE] } else { &brought })
}

/// Returns the names of the session cookies in a request.
pub fn session_cookies(headers: &HeaderMap) -> Vec<&'static str> {
    [HOST_COOKIE, COOKIE].into_iter().filter(|name| brings_cookie(headers, name)).collect()
}

/// Removes cookies from the browser.
pub fn without_cookies(response: Response, names: &[&'static str]) -> Response {
    names.iter().fold(response, |response, name| with_cookie(response, name, "", 0))
}

fn with_cookie(mut response: Response, name: &str, value: &str, seconds: u64) -> Response {
    // Browsers accept a `__Host-` cookie only with `Secure`.
    let secure = if name == HOST_COOKIE { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    let cookie = HeaderValue::try_from(cookie).expect("tokens are URL-safe");
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: a link is called invalid only if it is, not while the node can't tell.
    #[test]
    fn a_link_is_not_called_invalid_by_a_node_that_cannot_tell() {
        let title = |code| {
            let problem = Problem::new(code, "try again");
            link_error_title(&problem, "This link doesn’t work anymore")
        };
        assert_eq!(title(ErrorCode::NotFound), "This link doesn’t work anymore");
        assert_eq!(title(ErrorCode::Unavailable), pages::texts::error::NOT_NOW);
        assert_eq!(title(ErrorCode::RateLimited), pages::texts::error::NOT_NOW);
    }
}
