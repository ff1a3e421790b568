//! The documents of the contract and the page that shows them, encoded once at start, as `routes` sends them.

use std::hash::{DefaultHasher, Hasher};

use axum::{body::Bytes, http::HeaderValue};
use serde_json::Value;
use utoipa::openapi::OpenApi;

use crate::{asyncapi, pages};

/// A document, ready to be sent.
pub struct Document {
    /// The text.
    pub json: Bytes,
    /// Its `ETag`: a hash of the text.
    pub etag: HeaderValue,
}

impl Document {
    fn new(value: &Value) -> Self {
        let json = Bytes::from(value.to_string());
        let mut hasher = DefaultHasher::new();
        hasher.write(&json);
        let etag = HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish())).expect("digits in quotes");
        Self { json, etag }
    }
}

/// All of them.
pub struct Documents {
    /// The operations over HTTP.
    pub openapi: Document,
    /// The frames of the two WebSockets.
    pub asyncapi: Document,
    /// The page that shows both.
    pub page: Bytes,
}

impl Documents {
    /// Encodes and renders a complete OpenAPI document and the AsyncAPI document beside it.
    pub fn new(openapi: &OpenApi, public_url: Option<&str>) -> Self {
        let openapi = serde_json::to_value(openapi).expect("a document is made of strings and maps");
        let asyncapi = asyncapi::document(&openapi, public_url);
        Self {
            page: pages::docs(&openapi, &asyncapi).into_string().into(),
            openapi: Document::new(&openapi),
            asyncapi: Document::new(&asyncapi),
        }
    }
}
