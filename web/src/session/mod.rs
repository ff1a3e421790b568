//! One WebSocket of a quick room. It sends a welcome, what the client lacks, then the live lane, until either side ends it.
//! `account` has the socket of an account, which follows all rooms of its user. Routes start a session after all checks. It is
//! generic over the socket, so that tests can run it over channels.

pub mod account;
mod catch_up_progress;
pub mod close;
mod core;
pub mod delivery;
mod deps;
mod end;
mod frames;
mod keepalive;
mod lifecycle;
mod live;
mod login;
mod outbox;
mod participant;
mod posts;
mod replay;
mod socket;
#[cfg(test)]
pub mod tests;

pub use self::{
    deps::SessionDeps,
    frames::ClientEnd,
    keepalive::PING_AFTER,
    participant::{Participant, ResumePoint},
};
use self::{
    end::{End, Never},
    live::QuickSession,
    outbox::Outbox,
    socket::Socket,
};

/// Runs the session of a quick room to its end and closes the socket.
pub async fn run<S: Socket>(deps: SessionDeps, participant: Participant, socket: S) {
    // The session owns its participant: their name is free before the client sees the close frame.
    lifecycle::run(&deps, socket, async |outbox| serve(&deps, participant, outbox).await).await;
}

async fn serve<S: Socket>(
    deps: &SessionDeps,
    mut participant: Participant,
    outbox: &mut Outbox<S>,
) -> Result<Never, End> {
    // Subscribed before the replay: later commits are in the lane, whatever the replay reads.
    let subscription = deps.lanes.subscribe(participant.room);
    let replayed = replay::run(deps, &participant, outbox).await?;
    let after = match participant.after {
        Some(after) => Some(deps.posting.min_hlc(after).await.map_err(End::Refused)?),
        None => None,
    };
    QuickSession::new(deps, &mut participant, subscription, replayed, after).run(outbox).await
}
