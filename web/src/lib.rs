//! The interface of Starling to its users: HTTP routes, WebSocket sessions, lanes of live events, pages.
//! It defines the services that it needs as traits (`service`). `node` implements and injects them, and pushes committed
//! events into lanes; this crate knows neither the store nor other nodes.

pub mod assets;
mod asyncapi;
mod credentials;
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
mod state;
mod sync;

pub use routes::{describe_pages, metrics_router, router, starting_router};
pub use session::delivery;
pub use state::{AppState, WebSettings};
