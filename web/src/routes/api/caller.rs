//! Who asks. A layer around all of `/api/v1` looks at the credentials once; handlers that want somebody with an account
//! take a [`Caller`], and say so in the document with `security(…)`.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::request::Parts,
    middleware::Next,
    response::{IntoResponse, Response},
};
use starling_protocol::ErrorCode;

use crate::{
    credentials::CredentialReader,
    guard::{ClientAddress, Guard, Quota},
    problem::Problem,
    security_log::RequestContext,
    service::{Identity, Refusal},
};

/// Somebody with an account, in a session that lives. Refuses with `unauthenticated` or `token_expired`.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub Identity);

/// What became of the credentials of a request.
#[derive(Clone)]
struct Asked(Result<Option<Identity>, Refusal>);

/// Puts who asks into the request's extensions.
pub async fn recognise(
    State(credentials): State<CredentialReader>,
    State(guard): State<Arc<Guard>>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = credentials.identity(request.method(), request.headers()).await;
    if let Ok(Some(identity)) = &asked {
        RequestContext::set_user(identity.user);
        if let Err(refusal) = guard.rates.check(Quota::CallsPerAccount, &identity.user) {
            return Problem::from(refusal).into_response();
        }
        // It counts under his account instead: many people share an address.
        if let Some(client) = request.extensions().get::<ClientAddress>() {
            if let Err(refusal) = guard.rates.check(Quota::AccountCallsPerAddress, &client.network()) {
                return Problem::from(refusal).into_response();
            }
            guard.rates.take_back(Quota::CallsPerAddress, &client.network());
        }
        request.extensions_mut().insert(*identity);
    }
    request.extensions_mut().insert(Asked(asked));
    next.run(request).await
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Asked>() {
            Some(Asked(Ok(Some(identity)))) => Ok(Self(*identity)),
            Some(Asked(Err(refusal))) => Err(refusal.clone().into()),
            Some(Asked(Ok(None))) | None => {
                Err(Problem::new(ErrorCode::Unauthenticated, "log in first: this wants an account"))
            }
        }
    }
}
