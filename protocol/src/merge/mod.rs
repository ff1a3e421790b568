//! Merge rules: pure functions from a state and an event to the next state. Applying the same events in any
//! order, any number of times, gives the same states; each rule's test permutes and repeats.
//! `store` keeps the states in its views and asks no other question about merging.

pub mod contact;
pub mod guest_name;
pub mod invite;
pub mod member;
pub mod message;
pub mod read_mark;
pub mod register;
pub mod room;
pub mod service_key;
pub mod session;
#[cfg(test)]
mod tests;
pub mod user;
