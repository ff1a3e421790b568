//! The texts of refusals, in English: what the API, its sockets and the pages say. A second language needs only this folder.
//! Errors about a single value (`must not contain ~`) are defined with its type in `text`, and descriptions in the API's
//! documents with the operations.

#![expect(missing_docs, reason = "a text says what it is about")]

pub mod accounts;
pub mod close;
pub mod node;
pub mod request;
pub mod rooms;
