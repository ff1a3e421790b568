//! Refuses parameters and bodies that an operation does not take, just as `/api/v1` refuses unknown fields. It reads from the
//! document what each operation takes, so no handler repeats it.

use std::{collections::HashMap, sync::Arc};

use axum::{
    body::Bytes,
    extract::{FromRequest, MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use starling_protocol::{ErrorCode, texts};
use utoipa::openapi::{
    OpenApi, RefOr,
    path::{Operation, ParameterIn},
};

use crate::problem::Problem;

/// Whether each operation takes query parameters, and whether it takes a body; by method and path.
pub struct AllowedInputs(HashMap<(Method, String), (bool, bool)>);

impl AllowedInputs {
    /// Reads them from a document.
    pub fn from_document(document: &OpenApi) -> Arc<Self> {
        let mut all = HashMap::new();
        for (path, item) in &document.paths.paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ];
            for (method, operation) in operations {
                if let Some(operation) = operation {
                    let inputs = (takes_query(operation), operation.request_body.is_some());
                    all.insert((method, path.clone()), inputs);
                }
            }
        }
        Arc::new(Self(all))
    }
}

fn takes_query(operation: &Operation) -> bool {
    operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
        RefOr::Ref(_) => false,
    })
}

/// Middleware around all of `/api/v1`. An empty object counts as no body.
pub async fn check(State(allowed): State<Arc<AllowedInputs>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let inputs = path.and_then(|path| allowed.0.get(&(request.method().clone(), path)));
    let Some(&(query, body)) = inputs else { return next.run(request).await };
    if !query && request.uri().query().is_some_and(|query| !query.is_empty()) {
        return refused(texts::request::NO_PARAMETERS);
    }
    if body || request.method().is_safe() {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let read = Bytes::from_request(Request::from_parts(head.clone(), body), &()).await;
    match read.as_deref().map(<[u8]>::trim_ascii) {
        Ok(b"" | b"{}") => next.run(Request::from_parts(head, axum::body::Body::empty())).await,
        _ => refused(texts::request::NO_BODY),
    }
}

fn refused(detail: &'static str) -> Response {
    Problem::new(ErrorCode::BadRequest, detail).into_response()
}
