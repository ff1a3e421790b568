//! One WebSocket of an account: everything that concerns its user, from the lanes of all their rooms. A welcome, what
//! the client lacks, then the live lanes, until either side ends it or the account's session is over.

mod catch_up;
mod lane_set;
mod live;
mod requests;
#[cfg(test)]
mod tests;

use std::{future::pending, sync::Arc, time::Duration};

use starling_protocol::Pos;
use tokio::time::timeout;

use self::live::AccountSession;
use super::{ClientEnd, End, Never, Outbox, ResumePoint, Socket, finish};
use crate::{lane::Frame, routes::AppState, service::Identity};

/// A session checks at least this often that the session of its account is alive: it may expire.
const CHECK_EVERY: Duration = Duration::from_secs(30);

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

/// Runs a session to its end and closes the socket.
pub async fn run<S: Socket>(app: Arc<AppState>, account: Account, socket: S) {
    app.metrics.sessions.inc();
    let mut outbox = Outbox::new(socket);
    let ended = serve(&app, account, &mut outbox).await;
    finish(&app, ended, outbox).await;
}

async fn serve<S: Socket>(app: &AppState, account: Account, outbox: &mut Outbox<S>) -> Result<Never, End> {
    let mut live = AccountSession::begin(app, account, outbox).await?;
    live.run(outbox).await
}

/// Waits until the session of an account is over, for sockets that don't follow the user's lane; forever for a guest.
pub(super) async fn wait_for_end(app: &AppState, identity: Option<Identity>) -> End {
    let Some(identity) = identity else { return pending().await };
    let mut lane = app.lanes.subscribe(identity.user);
    let mut frames = Vec::new();
    loop {
        // Also before the first wait: it may have ended before the lane was followed.
        if let Err(end) = is_alive(app, identity).await {
            return end;
        }
        frames.clear();
        let invalidate = async {
            while !frames.iter().any(Frame::is_invalidation) {
                frames.clear();
                lane.changed().await;
                if lane.take(usize::MAX, &mut frames).is_err() {
                    lane.skip_to_end();
                    return;
                }
            }
        };
        let _ = timeout(CHECK_EVERY, invalidate).await;
    }
}

async fn is_alive(app: &AppState, identity: Identity) -> Result<(), End> {
    let alive = app.authentication.is_alive(identity).await.map_err(End::Refused)?;
    if alive { Ok(()) } else { Err(End::LoggedOut) }
}
