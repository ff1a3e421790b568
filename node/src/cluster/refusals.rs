//! Tells why a handshake was refused, as far as its TLS alert shows it: no common wire version, another cluster secret, or one
//! that the cluster no longer uses. Closes links whose peer would be refused today.

use std::net::SocketAddr;

use quinn::{Connection, ConnectionError};
use tokio::time::timeout;

use super::{
    Links, PeerEndpoint,
    admission::HELLO_MAX,
    alerts::{ACCESS_DENIED, CERTIFICATE_REVOKED, NO_APPLICATION_PROTOCOL, alert},
    close_code::CloseCode,
    description::canonical,
    verdicts::NoCommonVersion,
};

impl Links {
    /// Records that a dialled node belongs to another cluster, or refuses this node for its secret.
    pub(super) fn record_if_wrong_secret(&self, peer: SocketAddr, error: &ConnectionError) -> bool {
        let refused = self.log_refusal(peer, error);
        let is_retired = matches!(alert(error), Some(CERTIFICATE_REVOKED | ACCESS_DENIED))
            && matches!(error, ConnectionError::ConnectionClosed(_));
        if refused {
            self.verdicts.send_modify(|verdicts| {
                verdicts.wrong_secret = Some(peer);
                if is_retired {
                    verdicts.retired_secret = Some(peer);
                }
            });
        }
        refused
    }

    /// Waits until a dialled node without a common wire version has named its versions, and logs them.
    pub(super) async fn on_no_common_version(&self, to: SocketAddr, connection: Connection) {
        let theirs = match timeout(HELLO_MAX, connection.closed()).await {
            Ok(ConnectionError::ApplicationClosed(close)) => {
                String::from_utf8_lossy(&close.reason).into_owned()
            }
            _ => String::new(),
        };
        self.log_no_common_version(to, &theirs);
        self.record_no_common_version(to, theirs);
    }

    pub(super) fn record_no_common_version(&self, to: SocketAddr, theirs: String) {
        let verdict = NoCommonVersion { peer: to, theirs, ours: self.wire_offers.clone() };
        self.verdicts.send_modify(|verdicts| verdicts.no_common_version = Some(verdict));
    }

    fn log_no_common_version(&self, to: SocketAddr, theirs: &str) {
        self.metrics.refused.inc();
        if let Some(times) = self.refusal_log.note(to) {
            let (peer, ours) = (canonical(to), &self.wire_offers);
            tracing::warn!(%peer, times, theirs, ours, "a node speaks no wire version that this one speaks: upgrade the older one");
        }
    }

    /// Logs a handshake that was refused: the nodes share no wire version, or one does not trust the other. Returns whether
    /// it was for trust.
    pub(super) fn log_refusal(&self, peer: SocketAddr, error: &ConnectionError) -> bool {
        let alert = match alert(error) {
            None => return false,
            // A node that does not offer the name for this case can't say which versions it speaks.
            Some(NO_APPLICATION_PROTOCOL) => {
                self.log_no_common_version(peer, "");
                return false;
            }
            Some(alert) => alert,
        };
        self.metrics.refused.inc();
        let Some(times) = self.refusal_log.note(peer) else { return true };
        let peer = canonical(peer);
        match (alert, error) {
            (CERTIFICATE_REVOKED | ACCESS_DENIED, ConnectionError::ConnectionClosed(_)) => {
                tracing::warn!(%peer, times, "refused by a node whose cluster has switched to another secret: {}", crate::texts::LEFT_BEHIND);
            }
            (CERTIFICATE_REVOKED | ACCESS_DENIED, _) => {
                tracing::warn!(%peer, times, "refused a node that only has a cluster secret that was rotated: put the new one into the first line of its secret file");
            }
            _ => {
                tracing::warn!(%peer, times, %error, "handshake refused: does the other node have a different cluster secret, or another [cluster] ca?");
            }
        }
        true
    }

    /// Closes links whose peer would be refused today: the cluster's secret was rotated since they came up. A peer that has the
    /// new secret comes back with it.
    pub fn close_untrusted(&self, peers: &PeerEndpoint) {
        for entry in self.links().values() {
            let connection = entry.sender.connection();
            if !peers.trusts(connection) {
                connection.close(CloseCode::OldSecret.number(), b"made under the old cluster secret");
            }
        }
    }
}
