//! The accept loop: HTTP/1 connections with a limit on their number, on the time that a request's head may take,
//! and on idling; sessions count as long as they live. `axum::serve` has none of these: half-sent requests would
//! stay for ever.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::drain::Drain;

/// How the listener treats its connections.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Connections at once, WebSockets included; further ones wait to be accepted.
    pub connections_max: u32,
    /// How long the head of a request may take, and how long a connection may idle between requests.
    pub header_timeout: Duration,
}

/// How long to wait after an accept failed for want of files or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How long connections may take to end once the node drains.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long a client may take nothing of what is sent to it, before its connection is dropped.
const WRITE_STALL_MAX: Duration = Duration::from_secs(30);
/// Bytes of a request's head, at most.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// One connection among those allowed. Every request carries it; a WebSocket keeps it beyond its request, because
/// HTTP is done with the connection once it is upgraded.
#[derive(Clone, Debug)]
pub struct ConnectionPermit {
    _shared: Arc<Counted>,
}

/// Whether the client had closed its half of the connection before it was served: its request has waited while the
/// node hung, and the client has given it up. Every request carries it.
#[derive(Clone, Copy, Debug)]
pub struct ClosedEarly(pub bool);

#[derive(Debug)]
struct Counted {
    connections: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionPermit {
    fn new(permit: OwnedSemaphorePermit, connections: Gauge) -> Self {
        connections.inc();
        Self { _shared: Arc::new(Counted { connections, _permit: permit }) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.connections.dec();
    }
}

/// A listener, and how its connections are served.
#[derive(Debug)]
pub struct Server {
    /// `None` once the node drains: further connections are refused.
    listener: Option<TcpListener>,
    router: Router,
    limits: ServerLimits,
    permits: Arc<Semaphore>,
    connections: Gauge,
    drain: Drain,
}

impl Server {
    /// Serves `router` on `listener`, counting into `connections`.
    pub fn new(
        listener: TcpListener,
        router: Router,
        limits: ServerLimits,
        connections: Gauge,
        drain: Drain,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(limits.connections_max as usize));
        Self { listener: Some(listener), router, limits, permits, connections, drain }
    }

    /// Serves until the node drains, then lets connections and sessions finish for at most 5 s.
    pub async fn run(&mut self) {
        while let Some(listener) = &self.listener {
            let accepted = tokio::select! {
                accepted = accept(listener, &self.permits) => accepted,
                () = self.drain.stopping() => {
                    self.listener = None;
                    break;
                }
            };
            match accepted {
                Ok((stream, peer, permit)) => {
                    let permit = ConnectionPermit::new(permit, self.connections.clone());
                    let (router, drain) = (self.router.clone(), self.drain.clone());
                    tokio::spawn(connection(stream, peer, router, self.limits.header_timeout, permit, drain));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
        let _ = timeout(DRAIN_MAX, self.permits.acquire_many(self.limits.connections_max)).await;
    }
}

/// Cancellation safety: a connection is accepted or it is not.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

fn is_closed_by_client(stream: &TcpStream) -> bool {
    let mut polled = [PollFd::new(stream, PollFlags::RDHUP)];
    let at_once = Timespec::default();
    poll(&mut polled, Some(&at_once)).is_ok() && polled[0].revents().contains(PollFlags::RDHUP)
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    header_timeout: Duration,
    permit: ConnectionPermit,
    mut drain: Drain,
) {
    // Frames are flushed when they are complete; Nagle's algorithm would only hold them back.
    let _ = stream.set_nodelay(true);
    let closed_early = ClosedEarly(is_closed_by_client(&stream));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(permit.clone());
        request.extensions_mut().insert(closed_early);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(HEAD_BYTES_MAX);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_STALL_MAX));
    let connection = builder.serve_connection(TokioIo::new(Box::pin(stream)), service).with_upgrades();
    tokio::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = drain.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}
