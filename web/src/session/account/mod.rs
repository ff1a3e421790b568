//! One WebSocket of an account, which sends everything that concerns its user, from the lanes of all their rooms. It sends a
//! welcome, what the client lacks, then the live lanes, until either side ends it or the login is over.

mod catch_up;
mod lane_set;
mod live;
mod requests;
#[cfg(test)]
mod tests;

use starling_protocol::Pos;

use self::live::AccountSession;
use super::{
    connection::Connection,
    deps::SessionDeps,
    end::{End, Never},
    frame_limit::ClientConnection,
    lifecycle,
    participant::ResumePoint,
    socket::Socket,
};
use crate::service::Identity;

/// The user of a session, and the point from which their client resumes.
pub struct SessionUser {
    /// The user and their login.
    pub identity: Identity,
    /// The client's connection.
    pub client: ClientConnection,
    /// The point from which the client resumes.
    pub resume_point: ResumePoint,
    /// The greatest position of a message that the client has shown or got an ack for.
    pub last_seen_pos: Option<Pos>,
}

/// Runs the session of an account to its end and closes the socket.
pub async fn run<S: Socket>(deps: Box<SessionDeps>, user: Box<SessionUser>, socket: S) {
    lifecycle::run(&deps, socket, async |connection| serve(&deps, user, connection).await).await;
}

async fn serve<S: Socket>(
    deps: &SessionDeps,
    user: Box<SessionUser>,
    connection: &mut Connection<S>,
) -> Result<Never, End> {
    // Whatever happens once, or seldom, has its memory elsewhere, and only meanwhile.
    let mut session = Box::pin(AccountSession::begin(deps, user, connection)).await?;
    let ended = session.run(connection).await;
    // A frame that a group has begun comes before the close frame.
    session.core.reclaim(connection);
    ended
}
