//! How forms are read, and how they are answered: by another page, or by themselves with what is wrong.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Request, rejection::FormRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::Markup;
use serde::de::DeserializeOwned;
use starling_protocol::ErrorCode;

use crate::{
    pages,
    problem::Problem,
    routes::{Web, api::caller::COOKIE, pages::page, site::Site},
    service::BrowserSession,
};

/// How long a browser keeps a session's cookie, in seconds: as long as the session lives.
const COOKIE_S: u64 = 30 * 24 * 3_600;

/// What a form of one of our own pages sends; from any other page it is refused.
pub struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Web>> for Form<T> {
    type Rejection = Response;

    async fn from_request(request: Request, web: &Arc<Web>) -> Result<Self, Response> {
        if let Err(refusal) = web.guard.origins.check(request.headers()) {
            return Err(turned_away(&refusal.into(), "Not from there"));
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

/// On to another page, with a session.
pub fn entered(site: &Site, session: &BrowserSession, to: &str) -> Response {
    let secure = if site.https { "; Secure" } else { "" };
    with_cookie(redirect(to), &session.cookie.0, COOKIE_S, secure)
}

/// To the front page, without a session.
pub fn left() -> Response {
    without_cookie(redirect("/"))
}

/// Takes the cookie away.
pub fn without_cookie(response: Response) -> Response {
    with_cookie(response, "", 0, "")
}

fn with_cookie(mut response: Response, value: &str, seconds: u64, secure: &str) -> Response {
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    let cookie = HeaderValue::try_from(cookie).expect("tokens are URL-safe");
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}
