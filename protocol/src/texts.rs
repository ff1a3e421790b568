//! The texts of refusals, in English: what the API, its sockets and the pages say. A second language needs only this folder.
//! What the texts of values say (`must not contain ~`) stands at their types in `text`, and the descriptions in the API's
//! documents stand at the operations.

#![expect(missing_docs, reason = "a text says what it is about")]

pub mod accounts;
pub mod close;
pub mod node;
pub mod request;
pub mod rooms;
