//! Authenticates the caller of a request. A layer around all of `/api/v1` checks the credentials once. A handler that needs
//! an account takes a [`Caller`]. The document requires a token by default; a handler that needs none says
//! `security(())`.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::request::Parts,
    middleware::Next,
    response::{IntoResponse, Response},
};
use starling_protocol::{ErrorCode, texts};

use crate::{
    credentials::CredentialReader,
    guard::{ClientAddress, Guard, Quota},
    problem::Problem,
    security_log::RequestContext,
    service::{Identity, Refusal},
};

/// A user in an active session. Refuses with `unauthenticated` or `token_expired`.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub Identity);

/// The result of checking the credentials of a request.
#[derive(Clone)]
struct AuthOutcome(Result<Option<Identity>, Refusal>);

/// Adds the caller's identity to the request's extensions, and counts the request against the caller's limits.
pub async fn recognise(
    State(credentials): State<CredentialReader>,
    State(guard): State<Arc<Guard>>,
    mut request: Request,
    next: Next,
) -> Response {
    let outcome = credentials.identity(request.method(), request.headers()).await;
    if let Ok(Some(identity)) = &outcome {
        RequestContext::set_user(identity.user);
        if let Err(refusal) = guard.rates.check(Quota::CallsPerAccount, &identity.user) {
            return Problem::from(refusal).into_response();
        }
        // The request counts by account instead of by address, because many people may share an address.
        if let Some(client) = request.extensions().get::<ClientAddress>() {
            if let Err(refusal) = guard.rates.check(Quota::AccountCallsPerAddress, &client.network()) {
                return Problem::from(refusal).into_response();
            }
            guard.rates.refund(Quota::CallsPerAddress, &client.network());
        }
        request.extensions_mut().insert(*identity);
    }
    request.extensions_mut().insert(AuthOutcome(outcome));
    next.run(request).await
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<AuthOutcome>() {
            Some(AuthOutcome(Ok(Some(identity)))) => Ok(Self(*identity)),
            Some(AuthOutcome(Err(refusal))) => Err(refusal.clone().into()),
            Some(AuthOutcome(Ok(None))) | None => {
                Err(Problem::new(ErrorCode::Unauthenticated, texts::accounts::LOG_IN_FIRST))
            }
        }
    }
}
