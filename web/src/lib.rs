//! What Starling's users touch: HTTP routes, WebSocket sessions, live lanes, pages.
//! It defines the services that it needs as traits (`service`); `node` implements them, injects itself and pushes
//! committed frames into lanes. It never sees the store or a peer.

pub mod assets;
mod asyncapi;
mod documents;
pub mod drain;
pub mod guard;
pub mod lane;
pub mod live_frame;
pub mod metrics;
pub mod objects;
pub mod openapi;
pub mod pages;
mod problem;
mod request_log;
mod routes;
pub mod security_log;
pub mod server;
pub mod service;
mod session;
mod sync;

pub use routes::{AppState, WebSettings, describe_pages, metrics_router, router};
