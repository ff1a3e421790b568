//! The accept loop for HTTP/1. It limits the connections in total and per client network, the time for the head of a
//! request, and idle time; a WebSocket counts as long as it is open. `axum::serve` has no limits: half-sent requests
//! would stay for ever. Beyond the limits it accepts a few connections for health checks only.

mod accept_errors;
mod client_stream;
mod connection_permits;
mod receive_budget;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tower::ServiceExt;

use self::{accept_errors::AcceptErrors, connection_permits::ConnectionPermits, receive_budget::Metered};
pub use self::{
    client_stream::ClientStream, connection_permits::ConnectionPermit, receive_budget::ReceiveBudget,
};
use crate::{drain::Drain, guard::Guard, metrics::WebMetrics, state::AppState};

/// The limits of a listener.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// The most connections at once, including WebSockets. Further ones may only check health.
    pub connections_max: u32,
    /// The time limit for the head of a request, and for idling between requests.
    pub header_timeout: Duration,
}

/// The parts of a node that a listener uses.
pub struct ServerParts {
    /// The limits of clients.
    pub guard: Arc<Guard>,
    /// The metrics of connections.
    pub metrics: Arc<WebMetrics>,
    /// Says when the listener must close.
    pub drain: Drain,
}

impl From<&AppState> for ServerParts {
    fn from(state: &AppState) -> Self {
        let AppState { guard, metrics, drain, .. } = state;
        Self { guard: Arc::clone(guard), metrics: Arc::clone(metrics), drain: drain.clone() }
    }
}

/// The time that connections have to end when the node stops.
const STOP_MAX: Duration = Duration::from_secs(5);
/// The time limits for a request on a connection for health checks: for its head, and in total.
const HEALTH_HEAD_MAX: Duration = Duration::from_secs(1);
const HEALTH_MAX: Duration = Duration::from_secs(5);
/// The time within which a connection on the spare file descriptor must send something: no other can be accepted before
/// it ends.
const SPARE_FD_SILENT_MAX: Duration = Duration::from_millis(5);
/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Whether the client closed its half of the connection before the server accepted it: the node hung, and the client
/// gave up. An extension of every request.
#[derive(Clone, Copy, Debug)]
pub struct ClosedEarly(pub bool);

/// A listener with its router and limits.
pub struct Server {
    /// `None` once the node is stopping: further connections are refused.
    listener: Option<TcpListener>,
    router: Router,
    limits: ServerLimits,
    connection_permits: ConnectionPermits,
    drain: Drain,
    accept_errors: AcceptErrors,
}

impl Server {
    /// Returns a server of `router` on `listener`; [`Server::run`] serves.
    pub fn new(listener: TcpListener, router: Router, limits: ServerLimits, parts: ServerParts) -> Self {
        let ServerParts { guard, metrics, drain } = parts;
        let connection_permits = ConnectionPermits::new(limits.connections_max, guard, metrics);
        let accept_errors = AcceptErrors::new();
        Self { listener: Some(listener), router, limits, connection_permits, drain, accept_errors }
    }

    /// Serves until the node is stopping, then lets connections and sessions finish for at most 5 s.
    pub async fn run(&mut self) {
        let mut drain = self.drain.clone();
        while let Some(listener) = &self.listener {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = drain.stopping() => {
                    self.listener = None;
                    break;
                }
            };
            match accepted {
                // Without a permit, the connection is closed when it is dropped here.
                Ok((stream, peer)) => {
                    let on_spare_fd = self.accept_errors.on_accepted();
                    if on_spare_fd && !has_spoken(&stream).await {
                        continue;
                    }
                    if let Some(permit) = self.connection_permits.give(peer.ip(), on_spare_fd) {
                        tokio::spawn(self.connection(stream, peer, permit));
                    }
                }
                Err(error) => self.accept_errors.on_error(&error).await,
            }
        }
        let _ = timeout(STOP_MAX, self.connection_permits.all_free()).await;
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        permit: ConnectionPermit,
    ) -> impl Future<Output = ()> + use<> {
        let (router, mut drain, limits) = (self.router.clone(), self.drain.clone(), self.limits.clone());
        // Frames are flushed when they are complete; Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let closed_early = ClosedEarly(is_closed_by_client(&stream));
        let receive_budget = ReceiveBudget::default();
        let stream = ClientStream::new(Metered::new(stream, receive_budget.clone()));
        let health_only = permit.health_only();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(permit.clone());
            request.extensions_mut().insert(closed_early);
            request.extensions_mut().insert(receive_budget.clone());
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some(health_only) = health_only {
                request.extensions_mut().insert(health_only);
            }
            router.clone().oneshot(request)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).max_buf_size(HEAD_BYTES_MAX);
        builder.header_read_timeout(limits.header_timeout);
        if health_only.is_some() {
            builder.header_read_timeout(limits.header_timeout.min(HEALTH_HEAD_MAX)).keep_alive(false);
        }
        let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        async move {
            tokio::pin!(connection);
            let result = tokio::select! {
                result = &mut connection => result,
                () = drain.stopping() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
                () = tokio::time::sleep(HEALTH_MAX), if health_only.is_some() => return,
            };
            if let Err(error) = result {
                tracing::debug!(%error, "connection ended");
            }
        }
    }
}

/// Whether the client has sent something, or does so at once.
async fn has_spoken(stream: &TcpStream) -> bool {
    matches!(timeout(SPARE_FD_SILENT_MAX, stream.peek(&mut [0])).await, Ok(Ok(1..)))
}

fn is_closed_by_client(stream: &TcpStream) -> bool {
    let mut polled = [PollFd::new(stream, PollFlags::RDHUP)];
    let at_once = Timespec::default();
    poll(&mut polled, Some(&at_once)).is_ok() && polled[0].revents().contains(PollFlags::RDHUP)
}
