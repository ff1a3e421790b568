//! What goes over wires: `client` frames of quick rooms and requests of the `live` socket (JSON), `peer` frames between
//! nodes (bincode).
//! Pure text and bytes; who may send what is decided elsewhere.

pub mod client;
pub mod live;
pub mod peer;
