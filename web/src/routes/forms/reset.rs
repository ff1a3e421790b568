//! The page on which a reset link lets its account's owner choose a new password.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Deserialize;
use starling_protocol::ErrorCode;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::form::{Form, redirect, shown, turned_away};
use crate::{
    guard::{ClientAddress, Quota},
    openapi::{
        errors::{
            BadRequest, ErrorResponses, Forbidden, HtmlErrorResponses, Invalid, NotFound, RateLimited,
            TooLarge, Unavailable, UnsupportedMediaType,
        },
        tag,
    },
    pages::{self, Filled},
    problem::{self, Problem},
    routes::{
        AppState,
        api::{Path, accounts::client},
        pages::page,
    },
    service::Secret,
};

/// Both.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default().routes(routes!(reset_page, choose_password))
}

/// The form to choose a new password
#[utoipa::path(
    get, path = "/reset/{code}", tag = tag::PAGES,
    params(("code" = String, Path, description = "As it stands in the link.")),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html"),
        HtmlErrorResponses<(NotFound, Unavailable)>,
    ),
    security(()),
)]
async fn reset_page(State(web): State<Arc<AppState>>, code: Result<Path<String>, Problem>) -> Response {
    match reset_code(&web, code).await {
        Ok((code, username)) => {
            page(StatusCode::OK, pages::reset(&code, Filled { username: &username, ..Filled::default() }))
        }
        Err(problem) => turned_away(&problem, NO_SUCH_LINK),
    }
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
struct ResetForm {
    #[schema(format = Password)]
    password: String,
}

/// Choose a new password, by the form
///
/// Ends the link, and all logins and personal tokens of the account.
#[utoipa::path(
    post, path = "/reset/{code}", tag = tag::PAGES,
    params(("code" = String, Path, description = "As it stands in the link.")),
    request_body(content = ResetForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "It holds: log in with it.", headers(("location" = String))),
        HtmlErrorResponses<(Forbidden, NotFound, Invalid, RateLimited, Unavailable)>,
        ErrorResponses<(BadRequest, TooLarge, UnsupportedMediaType)>,
    ),
    security(()),
)]
async fn choose_password(
    State(web): State<Arc<AppState>>,
    code: Result<Path<String>, Problem>,
    Extension(address): Extension<ClientAddress>,
    headers: HeaderMap,
    Form(form): Form<ResetForm>,
) -> Response {
    let (code, username) = match reset_code(&web, code).await {
        Ok(linked) => linked,
        Err(problem) => return turned_away(&problem, NO_SUCH_LINK),
    };
    let chosen = async {
        let mut invalid = problem::Invalid::default();
        let judged = web.accounts.judge_password(&form.password, &username);
        if invalid.check("password", judged).is_none() {
            return Err(invalid.into());
        }
        web.guard.rates.check(Quota::LoginsPerAddress, &address.network())?;
        let client = client(address, &headers);
        Ok::<_, Problem>(web.administration.reset_password(client, &code, Secret(form.password)).await?)
    };
    match chosen.await {
        Ok(name) => redirect(&format!("/login?changed={name}")),
        Err(problem) if problem.code() == ErrorCode::NotFound => turned_away(&problem, NO_SUCH_LINK),
        Err(problem) => shown(&problem, |problem| {
            pages::reset(&code, Filled { username: &username, problem, ..Filled::default() })
        }),
    }
}

const NO_SUCH_LINK: &str = "This link is used up";

/// The code, and under which name its account is shown.
async fn reset_code(
    web: &AppState,
    code: Result<Path<String>, Problem>,
) -> Result<(String, String), Problem> {
    let Path(code) = code?;
    let username = web.administration.reset_for(&code).await?;
    Ok((code, username))
}
