//! One WebSocket of an account: everything that concerns its user, from the lanes of all their rooms. A welcome, what
//! the client lacks, then the live lanes, until either side ends it or the account's session is over.

mod catch_up;
mod lane_set;
mod live;
mod requests;
#[cfg(test)]
mod tests;

use starling_protocol::Pos;

use self::live::AccountSession;
use super::{
    deps::SessionDeps,
    end::{End, Never},
    frames::ClientEnd,
    lifecycle,
    outbox::Outbox,
    participant::ResumePoint,
    socket::Socket,
};
use crate::service::Identity;

/// The user, and what the client brought from an earlier connection.
pub struct Account {
    /// The user and the session of their account.
    pub identity: Identity,
    /// The client's end of the socket.
    pub client: ClientEnd,
    /// The point from which the client resumes.
    pub resume_point: ResumePoint,
    /// The greatest position that the client presented or was acked.
    pub after: Option<Pos>,
}

/// Runs the session of an account to its end and closes the socket.
pub async fn run<S: Socket>(deps: SessionDeps, account: Account, socket: S) {
    lifecycle::run(&deps, socket, async |outbox| serve(&deps, account, outbox).await).await;
}

async fn serve<S: Socket>(
    deps: &SessionDeps,
    account: Account,
    outbox: &mut Outbox<S>,
) -> Result<Never, End> {
    let mut live = AccountSession::begin(deps, account, outbox).await?;
    live.run(outbox).await
}
