//! WebSocket sessions of both kinds: `quick` (one quick room) and `account` (all rooms of a user), and what they share.
//! Routes start a session after all checks. It is generic over the socket, so that tests can run it over channels.

pub mod account;
mod catch_up_progress;
pub mod close;
mod connection;
mod core;
pub mod delivery;
mod deps;
mod end;
mod frame_limit;
pub mod group;
mod keepalive;
mod lifecycle;
mod login;
mod participant;
mod posts;
pub mod quick;
mod socket;
#[cfg(test)]
pub mod tests;
mod visibility;
mod write_half;

pub use self::{
    deps::SessionDeps,
    frame_limit::ClientConnection,
    keepalive::PING_AFTER,
    participant::{Participant, ResumePoint},
    socket::WebSocket,
};

/// The most frames that a session takes from a lane at once.
const TAKE_FRAMES: usize = 64;
