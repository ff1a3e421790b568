//! The life of a session of either kind: counted, served to its end, and closed with the reason.

use super::{
    connection::Connection,
    deps::SessionDeps,
    end::{End, Never},
    socket::Socket,
};

/// Serves a session to its end and closes the socket.
pub async fn run<S: Socket>(
    deps: &SessionDeps,
    socket: S,
    serve: impl AsyncFnOnce(&mut Connection<S>) -> Result<Never, End>,
) {
    deps.metrics.sessions.inc();
    let mut connection = Connection::new(socket);
    let ended = serve(&mut connection).await;
    Box::pin(finish(deps, ended, connection)).await;
}

/// Closes the socket with the reason.
async fn finish<S: Socket>(deps: &SessionDeps, ended: Result<Never, End>, connection: Connection<S>) {
    let end = match ended {
        Ok(never) => match never {},
        Err(end) => end,
    };
    if matches!(end, End::Lagged) {
        deps.metrics.lagged_sessions.inc();
    }
    match &end {
        End::Refused(refusal) => {
            tracing::warn!(code = refusal.code.as_str(), detail = %refusal.detail, "session cannot continue");
        }
        end => tracing::debug!(?end, "session ended"),
    }
    if let Some((closing, reason)) = end.close_reason() {
        connection.close(closing.code(), reason).await;
    } else if matches!(end, End::Closed) {
        connection.answer_close().await;
    }
    deps.metrics.sessions.dec();
}
