//! Watches the files of an operator's CA: takes a renewed certificate without a restart, and warns before one expires.

use std::{sync::Arc, time::Duration};

use rustls::pki_types::UnixTime;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{CertificatePem, OwnCertificate, PeerEndpoint};
use crate::{
    config::{CertificateFiles, WatchedFile},
    environment::Environment,
    supervisor::SupervisedTask,
};

/// The interval of looks at the files. A changed one is taken at the second look.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The time before its end from which on a certificate is warned about: most are renewed with a third of 90 days left.
const WARN_BEFORE: Duration = Duration::from_hours(14 * 24);
/// The interval of these warnings.
const WARN_EVERY: Duration = Duration::from_hours(12);

/// The task that watches.
pub struct CertificateWatch {
    environment: Arc<dyn Environment>,
    peers: Arc<PeerEndpoint>,
    files: CertificateFiles,
    watched: WatchedFile<Result<CertificatePem, String>>,
    /// The time of the last warning.
    warned_at: Option<Instant>,
}

impl CertificateWatch {
    /// The endpoint shows `pem`, which the files held.
    pub fn new(
        environment: Arc<dyn Environment>,
        peers: Arc<PeerEndpoint>,
        files: CertificateFiles,
        pem: CertificatePem,
    ) -> Self {
        let watched = WatchedFile::new(Ok(pem));
        Self { environment, peers, files, watched, warned_at: None }
    }

    async fn look(&mut self) {
        let files = self.files.clone();
        let read = move || CertificatePem::read(&files).map_err(|error| error.to_string());
        let Some(found) = self.environment.blocking(read).await else { return };
        if let Some(changed) = self.watched.look(found) {
            self.take(changed);
        }
        self.warn_of_end();
    }

    /// Shows the certificate that the files hold now. If they are not usable, the one before stays.
    fn take(&mut self, pem: Result<CertificatePem, String>) {
        let replaced = pem.and_then(|pem| {
            let own = OwnCertificate::new(&self.files, &pem, self.time_in(Duration::ZERO));
            let own = own.map_err(|error| error.to_string())?;
            self.peers.replace_certificate(own).map_err(|error| error.to_string())
        });
        let cert = self.files.cert.display();
        match replaced {
            Ok(()) => {
                self.warned_at = None;
                tracing::info!("this node shows the certificate that {cert} holds now on new links");
            }
            Err(reason) => {
                tracing::warn!(
                    "the files of the cluster's CA have changed and are not usable, so this node goes on with what they held \
                     before: {reason}"
                );
            }
        }
    }

    fn warn_of_end(&mut self) {
        let is_due = self.warned_at.is_none_or(|at| at.elapsed() >= WARN_EVERY);
        if !is_due || self.peers.certificate_is_valid_at(self.time_in(WARN_BEFORE)) {
            return;
        }
        self.warned_at = Some(Instant::now());
        let cert = self.files.cert.display();
        if self.peers.certificate_is_valid_at(self.time_in(Duration::ZERO)) {
            let days = WARN_BEFORE.as_secs() / 86_400;
            tracing::warn!(
                "the certificate {cert}, or the CA that issued it, expires within {days} days: renew it; this node takes the new \
                 one without a restart"
            );
        } else {
            tracing::error!(
                "the certificate {cert}, or the CA that issued it, is not valid at this time: links stay, and new ones are refused; \
                 renew it, or check this machine's clock"
            );
        }
    }

    /// The time that it will be then.
    fn time_in(&self, then: Duration) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_millis(self.environment.now_ms()) + then)
    }
}

impl SupervisedTask for CertificateWatch {
    fn name(&self) -> &'static str {
        "cluster certificate"
    }

    async fn run(&mut self) {
        let mut every = interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            self.look().await;
        }
    }
}
