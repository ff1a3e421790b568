//! The page of a reset link, on which you choose a new password.

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

use super::form::{Form, link_error_page, redirect, show_again};
use super::services::FormServices;
use crate::{
    guard::{ClientAddress, Quota},
    openapi::{
        errors::{
            BadRequest, ErrorResponses, Forbidden, HtmlErrorResponses, Invalid, NotFound, RateLimited,
            TooLarge, Unavailable, UnsupportedMediaType,
        },
        tag,
    },
    pages::{self, Filled, texts::error as texts},
    problem::{self, Problem},
    routes::{
        api::{Path, accounts::client},
        html::html_page,
    },
    service::Secret,
    state::AppState,
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(reset_page, choose_password))
}

/// The form to choose a new password
#[utoipa::path(
    get, path = "/reset/{code}", tag = tag::PAGES,
    params(("code" = String, Path, description = "The code in the link.")),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html"),
        HtmlErrorResponses<(NotFound, Unavailable)>,
    ),
    security(()),
)]
async fn reset_page(State(services): State<FormServices>, code: Result<Path<String>, Problem>) -> Response {
    match reset_code(&services, code).await {
        Ok((code, username)) => html_page(
            StatusCode::OK,
            pages::reset(&code, Filled { username: &username, ..Filled::default() }),
        ),
        Err(problem) => link_error_page(&problem, texts::RESET_INVALID),
    }
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
struct ResetForm {
    #[schema(format = Password)]
    password: String,
}

/// Choose a new password with the form
///
/// Ends the link, and all sessions and personal access tokens of the account.
#[utoipa::path(
    post, path = "/reset/{code}", tag = tag::PAGES,
    params(("code" = String, Path, description = "The code in the link.")),
    request_body(content = ResetForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "Your password was changed: log in with it.", headers(("location" = String))),
        HtmlErrorResponses<(Forbidden, NotFound, Invalid, RateLimited, Unavailable)>,
        ErrorResponses<(BadRequest, TooLarge, UnsupportedMediaType)>,
    ),
    security(()),
)]
async fn choose_password(
    State(services): State<FormServices>,
    code: Result<Path<String>, Problem>,
    Extension(address): Extension<ClientAddress>,
    headers: HeaderMap,
    Form(form): Form<ResetForm>,
) -> Response {
    let (code, username) = match reset_code(&services, code).await {
        Ok(linked) => linked,
        Err(problem) => return link_error_page(&problem, texts::RESET_INVALID),
    };
    let chosen = async {
        let mut invalid = problem::Invalid::default();
        let accepted = services.accounts.validate_new_password(&form.password, &username);
        if invalid.check("password", accepted).is_none() {
            return Err(invalid.into());
        }
        services.guard.rates.check(Quota::LoginsPerAddress, &address.network())?;
        let client = client(address, &headers);
        Ok::<_, Problem>(services.administration.reset_password(client, &code, Secret(form.password)).await?)
    };
    match chosen.await {
        Ok(name) => redirect(&format!("/login?changed={name}")),
        Err(problem) if problem.code() == ErrorCode::NotFound => {
            link_error_page(&problem, texts::RESET_INVALID)
        }
        Err(problem) => show_again(&problem, |problem| {
            pages::reset(&code, Filled { username: &username, problem, ..Filled::default() })
        }),
    }
}

/// Returns the code and the username of its account.
async fn reset_code(
    services: &FormServices,
    code: Result<Path<String>, Problem>,
) -> Result<(String, String), Problem> {
    let Path(code) = code?;
    let username = services.administration.reset_link_username(&code).await?;
    Ok((code, username))
}
