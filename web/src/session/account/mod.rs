//! One WebSocket of somebody with an account: all that concerns him, from as many lanes as he is in rooms. Welcome,
//! what he lacks, then live, until either side ends it or the session of his account is over.

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

/// How often it is asked whether the session of the account still lives, if nothing else gives cause to: it may expire.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Who comes, with what he brings from an earlier connection.
pub struct Account {
    /// Who, in which session.
    pub identity: Identity,
    /// Their end of the socket.
    pub client: ClientEnd,
    /// The cursor from which the client resumes.
    pub resume_point: ResumePoint,
    /// The greatest place that he has shown or that was acked to him.
    pub after: Option<Pos>,
}

/// Runs a session to its end and says goodbye.
pub async fn run<S: Socket>(web: Arc<AppState>, account: Account, socket: S) {
    web.metrics.sessions.inc();
    let mut outbox = Outbox::new(socket);
    let ended = serve(&web, account, &mut outbox).await;
    finish(&web, ended, outbox).await;
}

async fn serve<S: Socket>(web: &AppState, account: Account, outbox: &mut Outbox<S>) -> Result<Never, End> {
    let mut live = AccountSession::begin(web, account, outbox).await?;
    live.run(outbox).await
}

/// Resolves when the session of somebody's account is over; never for a guest. For sessions that do not follow his lane.
pub(super) async fn over(web: &AppState, identity: Option<Identity>) -> End {
    let Some(identity) = identity else { return pending().await };
    let mut lane = web.lanes.subscribe(identity.user);
    let mut frames = Vec::new();
    loop {
        // Also before the first wait: it may have ended before the lane was followed.
        if let Err(end) = is_alive(web, identity).await {
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
        let _ = timeout(LOOK_EVERY, invalidate).await;
    }
}

async fn is_alive(web: &AppState, identity: Identity) -> Result<(), End> {
    let alive = web.authentication.is_alive(identity).await.map_err(End::Refused)?;
    if alive { Ok(()) } else { Err(End::LoggedOut) }
}
