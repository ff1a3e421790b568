//! How forms are read, and how they are answered: by another page, or by themselves with what is wrong.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Request, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::Markup;
use serde::de::DeserializeOwned;
use starling_protocol::ErrorCode;

use crate::{
    pages,
    problem::Problem,
    routes::{
        AppState,
        api::caller::{COOKIE, HOST_COOKIE, brings_cookie, by_cookie},
        pages::page,
        service_url::ServiceUrl,
    },
    service::BrowserSession,
};

/// How long a browser keeps a session's cookie, in seconds: as long as the session lives.
const COOKIE_S: u64 = 30 * 24 * 3_600;

/// What a form of one of our own pages sends; from any other page it is refused.
pub struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<AppState>> for Form<T> {
    type Rejection = Response;

    async fn from_request(request: Request, web: &Arc<AppState>) -> Result<Self, Response> {
        if let Err(refusal) = web.guard.origins.check_own(request.headers()) {
            return Err(turned_away(&refusal.into(), pages::texts::error::FOREIGN_FORM));
        }
        match axum::Form::from_request(request, web).await {
            Ok(axum::Form(form)) => Ok(Self(form)),
            Err(rejection) => Err(refused(&rejection).into_response()),
        }
    }
}

fn refused(rejection: &FormRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(ErrorCode::TooLarge, "the form is too long"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            let detail = "the body must be application/x-www-form-urlencoded";
            Problem::new(ErrorCode::UnsupportedMediaType, detail)
        }
        _ => Problem::new(ErrorCode::BadRequest, "the form cannot be read"),
    }
}

/// The form once more, with what is wrong.
pub fn shown(problem: &Problem, form: impl FnOnce(Option<&Problem>) -> Markup) -> Response {
    as_page(problem, form(Some(problem)))
}

/// A page without the form.
pub fn turned_away(problem: &Problem, title: &str) -> Response {
    let mut detail = problem.detail().to_owned();
    if let Some(first) = detail.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    as_page(problem, pages::not_found(title, &format!("{detail}.")))
}

fn as_page(problem: &Problem, markup: Markup) -> Response {
    let status = StatusCode::from_u16(problem.code().status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = page(status, markup);
    if let Some(seconds) = problem.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// On to another page.
pub fn redirect(to: &str) -> Response {
    let location = HeaderValue::from_str(to).unwrap_or_else(|_| HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// On to another page, with a session. The one that the browser had before ends: nobody sees it again who would end it.
pub async fn entered(
    web: &AppState,
    service: &ServiceUrl,
    headers: &HeaderMap,
    session: &BrowserSession,
    to: &str,
) -> Response {
    if let Ok(Some(before)) = by_cookie(web, headers).await
        && let Err(refusal) = web.accounts.logout(before, false).await
    {
        tracing::warn!(user = %before.user, detail = %refusal.detail, "a session that another replaced could not be ended");
    }
    let name = if service.https { HOST_COOKIE } else { COOKIE };
    let others = brought(headers).into_iter().filter(|other| *other != name).collect::<Vec<_>>();
    with_cookie(without_cookies(redirect(to), &others), name, &session.cookie.0, COOKIE_S)
}

/// To the front page, without a session.
pub fn left(headers: &HeaderMap) -> Response {
    let brought = brought(headers);
    without_cookies(redirect("/"), if brought.is_empty() { &[COOKIE] } else { &brought })
}

/// The names of the session cookies that a request brings.
pub fn brought(headers: &HeaderMap) -> Vec<&'static str> {
    [HOST_COOKIE, COOKIE].into_iter().filter(|name| brings_cookie(headers, name)).collect()
}

/// Takes these cookies away.
pub fn without_cookies(response: Response, names: &[&'static str]) -> Response {
    names.iter().fold(response, |response, name| with_cookie(response, name, "", 0))
}

fn with_cookie(mut response: Response, name: &str, value: &str, seconds: u64) -> Response {
    // Browsers take the one whose name says so over TLS alone.
    let secure = if name == HOST_COOKIE { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    let cookie = HeaderValue::try_from(cookie).expect("tokens are URL-safe");
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}
