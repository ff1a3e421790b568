//! Says how far a start is while the store is migrated, which may take minutes: at `/readyz` and to `starling status`.

use std::{io, os::fd::AsFd, path::PathBuf, sync::Arc};

use prometheus_client::metrics::counter::Counter;
use starling_web::{
    drain::{Drain, Serving},
    server::{Server, ServerLimits, ServerParts},
    starting_router,
};
use tokio::{net::TcpListener, sync::watch};

use super::services::guard;
use crate::{
    config::Config,
    control::{StartingControl, StartingStatus},
    disk_space::DiskSpace,
    metrics::Metrics,
    store::Progress,
};

/// Answers for a node whose store is being migrated. It stops when it is dropped.
pub(super) struct Starting<'a> {
    config: &'a Config,
    public: &'a TcpListener,
    status: Arc<StartingStatus>,
    space: DiskSpace,
    answering: Option<Answering>,
}

/// The servers that answer meanwhile.
struct Answering {
    _control: Option<StartingControl>,
    serving: watch::Sender<Serving>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        // Requests that are being answered are finished; the node itself accepts the next ones.
        self.serving.send_replace(Serving::Stopping);
    }
}

impl<'a> Starting<'a> {
    /// Prepares to answer, on the node's public listener too, but does not begin.
    pub(super) fn new(
        config: &'a Config,
        node: String,
        public: &'a TcpListener,
        store_file: PathBuf,
        space: DiskSpace,
    ) -> Self {
        let http = public.local_addr().unwrap_or(config.http.listen).to_string();
        let status = Arc::new(StartingStatus::new(node, http, store_file));
        Self { config, public, status, space, answering: None }
    }

    /// Takes note of the progress, and begins to answer if it is the first.
    pub(super) fn on_progress(&mut self, progress: Progress) {
        self.status.set(progress);
        if self.answering.is_none() {
            self.answering = Some(self.answer());
        }
    }

    fn answer(&self) -> Answering {
        let control = StartingControl::start(&self.config.data_dir, Arc::clone(&self.status));
        if let Err(error) = &control {
            tracing::warn!(%error, "no control socket: 'starling status' will not reach this node yet");
        }
        let (serving, drain) = Drain::new();
        match second_listener(self.public) {
            Ok(listener) => self.serve(listener, drain),
            Err(error) => tracing::warn!(%error, "'/readyz' answers only when the store is migrated"),
        }
        Answering { _control: control.ok(), serving }
    }

    fn serve(&self, listener: TcpListener, drain: Drain) {
        let metrics = Metrics::new(&Counter::default(), &self.space);
        let limits = ServerLimits {
            connections_max: self.config.http.connections_max,
            header_timeout: self.config.http.header_timeout,
        };
        let parts = ServerParts {
            guard: Arc::new(guard(self.config, &metrics)),
            metrics: Arc::new(metrics.web.clone()),
            drain,
        };
        let status = Arc::clone(&self.status);
        let mut server = Server::new(listener, starting_router(move || status.reason()), limits, parts);
        tokio::spawn(async move { server.run().await });
    }
}

/// The same listener under another file descriptor: the node's own server takes over without a gap.
fn second_listener(listener: &TcpListener) -> io::Result<TcpListener> {
    TcpListener::from_std(listener.as_fd().try_clone_to_owned()?.into())
}
