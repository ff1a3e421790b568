//! Merge rules: pure functions from a state and an event to the next state. The same events lead to the same states in
//! any order and with any repetitions; tests permute and repeat them for each rule.
//! The store keeps the states in its views.

pub mod cluster;
pub mod contact;
#[cfg(test)]
mod effect_tests;
pub mod forgotten_node;
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
