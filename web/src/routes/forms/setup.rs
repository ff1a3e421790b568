//! The form on which the first administrator creates their account.

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use starling_protocol::ErrorCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    RegisterForm,
    form::{Form, link_error_page, show_again},
    make_account,
    services::FormServices,
};
use crate::{
    guard::ClientAddress,
    openapi::{
        errors::{
            BadRequest, ErrorResponses, Forbidden, HtmlErrorResponses, Invalid, NotFound, RateLimited,
            TooLarge, Unavailable, UnsupportedMediaType, UsernameTaken,
        },
        tag,
    },
    pages::{self, Filled},
    problem::Problem,
    routes::{api::Path, html::html_page, service_url::ServiceUrl},
    service::RegistrationSource,
    state::AppState,
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(setup_page, set_up))
}

/// The form to create the first administrator's account
///
/// A node without an administrator prints the address when it starts. The address works on every node until there is an
/// administrator.
#[utoipa::path(
    get, path = "/setup/{code}", tag = tag::PAGES,
    params(("code" = String, Path, description = "The code in the link.")),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html"),
        HtmlErrorResponses<(NotFound, Unavailable)>,
    ),
    security(()),
)]
async fn setup_page(State(services): State<FormServices>, code: Result<Path<String>, Problem>) -> Response {
    match setup_code(&services, code).await {
        Ok(code) => html_page(StatusCode::OK, pages::setup(&code, Filled::default())),
        Err(problem) => setup_error(&problem, None),
    }
}

/// Create the first administrator's account with the form
#[utoipa::path(
    post, path = "/setup/{code}", tag = tag::PAGES,
    params(("code" = String, Path, description = "The code in the link.")),
    request_body(content = RegisterForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "Created.", headers(("location" = String), ("set-cookie" = String))),
        HtmlErrorResponses<(Forbidden, NotFound, UsernameTaken, Invalid, RateLimited, Unavailable)>,
        ErrorResponses<(BadRequest, TooLarge, UnsupportedMediaType)>,
    ),
    security(()),
)]
async fn set_up(
    State(services): State<FormServices>,
    code: Result<Path<String>, Problem>,
    Extension(address): Extension<ClientAddress>,
    service: ServiceUrl,
    headers: HeaderMap,
    Form(form): Form<RegisterForm>,
) -> Response {
    let code = match setup_code(&services, code).await {
        Ok(code) => code,
        Err(problem) => return setup_error(&problem, None),
    };
    let (filled, wanted) = form.read();
    match make_account(&services, address, &service, &headers, wanted, Some(RegistrationSource::Setup), "/")
        .await
    {
        Ok(response) => response,
        Err(problem) => setup_error(&problem, Some((&code, filled))),
    }
}

/// Returns the code if it is valid.
async fn setup_code(services: &FormServices, code: Result<Path<String>, Problem>) -> Result<String, Problem> {
    let Path(code) = code?;
    if services.administration.is_setup_code(&code).await? {
        return Ok(code);
    }
    Err(Problem::new(ErrorCode::NotFound, pages::texts::error::SETUP_CLOSED_PROBLEM))
}

fn setup_error(problem: &Problem, filled: Option<(&str, Filled<'_>)>) -> Response {
    match filled {
        Some((code, filled)) if problem.code() != ErrorCode::NotFound => {
            show_again(problem, |problem| pages::setup(code, Filled { problem, ..filled }))
        }
        _ => link_error_page(problem, pages::texts::error::SETUP_CLOSED),
    }
}
