//! Ends a WebSocket whose login has ended.

use std::{future::pending, time::Duration};

use tokio::time::timeout;

use super::{deps::SessionDeps, end::End};
use crate::{lane::Frame, service::Identity};

/// A socket checks at least this often whether its login has expired.
pub const CHECK_EVERY: Duration = Duration::from_secs(30);

/// Waits until the login has ended, for sockets that don't follow the user's lane. Never returns for a guest, who has no login.
pub async fn wait_for_end(deps: &SessionDeps, identity: Option<Identity>) -> End {
    let Some(identity) = identity else { return pending().await };
    let mut lane = deps.lanes.subscribe(identity.user);
    let mut frames = Vec::new();
    loop {
        // Checked before the first wait too: the login may have ended before the lane was followed.
        if let Err(end) = check_login(deps, identity).await {
            return end;
        }
        frames.clear();
        let invalidated = async {
            while !frames.iter().any(Frame::is_invalidation) {
                frames.clear();
                lane.changed().await;
                if lane.take(usize::MAX, &mut frames).is_err() {
                    lane.skip_to_end();
                    return;
                }
            }
        };
        let _ = timeout(CHECK_EVERY, invalidated).await;
    }
}

/// Returns an error if the login has ended.
pub async fn check_login(deps: &SessionDeps, identity: Identity) -> Result<(), End> {
    let alive = deps.authentication.is_alive(identity).await.map_err(End::Refused)?;
    if alive { Ok(()) } else { Err(End::LoggedOut) }
}
