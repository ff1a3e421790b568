//! Frames: `client` for quick rooms (JSON), `live` for requests of logged-in clients (JSON), `peer` between nodes
//! (bincode), and `wire`, how these lie on a link. This module only encodes and decodes; permissions are checked elsewhere.

pub mod client;
pub mod live;
pub mod peer;
pub mod vector_part;
pub mod wire;
