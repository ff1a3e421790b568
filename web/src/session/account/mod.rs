//! One WebSocket of an account, which sends everything that concerns its user, from the lanes of all their rooms. It sends a
//! welcome, what the client lacks, then the live lanes, until either side ends it or the account's session is over.

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

/// The user of a session, and the point from which their client resumes.
pub struct Account {
    /// The user and their account's session.
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
    let mut session = AccountSession::begin(deps, account, outbox).await?;
    session.run(outbox).await
}
