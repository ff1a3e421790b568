//! What goes over wires: `client` frames to browsers and programs (JSON), `peer` frames between nodes (bincode).
//! Pure text and bytes; who may send what is decided elsewhere.

pub mod client;
pub mod peer;
