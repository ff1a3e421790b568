//! The accept loop: HTTP/1 connections with a limit on their number, on the time that a request's head may take,
//! and on idling. `axum::serve` has none of these: half-sent requests would stay for ever.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use crate::drain::Drain;

/// How the listener treats its connections.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Connections at once, WebSockets included; further ones wait to be accepted.
    pub connections_max: usize,
    /// How long the head of a request may take, and how long a connection may idle between requests.
    pub header_timeout: Duration,
}

/// How long to wait after an accept failed for want of files or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How long connections may take to end once the node drains.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Serves until `drain` becomes true, then lets connections finish for at most 5 s.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    connections: Gauge,
    mut drain: Drain,
) {
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            Some(_) = tasks.join_next() => continue,
            () = drain.begun() => break,
        };
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let (router, drain, connections) = (router.clone(), drain.clone(), connections.clone());
        let header_timeout = limits.header_timeout;
        tasks.spawn(async move {
            connections.inc();
            connection(stream, router, header_timeout, drain).await;
            connections.dec();
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN_MAX, async { while tasks.join_next().await.is_some() {} }).await;
}

/// Cancellation safety: a connection is accepted or it is not.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

async fn connection(stream: TcpStream, router: Router, header_timeout: Duration, mut drain: Drain) {
    // Frames are flushed when they are complete; Nagle's algorithm would only hold them back.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(32 * 1024);
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = drain.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}
