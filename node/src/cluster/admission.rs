//! Decides which connections become links: both sides say hello, certificates must name the speaker, of two links
//! between a pair one stays, and a second process with a running node's identity is turned away.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use quinn::{Connection, Incoming};
use rustls::pki_types::CertificateDer;
use starling_protocol::{
    Fold, NodeId,
    frame::{
        peer::{Hello, Member, PROTOCOL_VERSION, PeerFrame},
        wire::WireVersion,
    },
};
use tokio::time::timeout;

use super::{
    Links,
    acceptor::HandshakePermit,
    alerts::shares_no_version,
    close_code::CloseCode,
    description::canonical,
    keys::node_of,
    link::{FrameError, LinkReceiver, LinkSender, agreed_version},
    links::Entry,
};

/// The longest wait for a peer's hello; its admission may ping for a second.
pub(super) const HELLO_MAX: Duration = Duration::from_secs(4);
/// The longest wait for the older of two processes with one identity.
const PING_MAX: Duration = Duration::from_secs(1);

/// The contents of this node's hello that it must remember.
pub(super) struct OwnHello {
    /// The descriptions of members in it.
    pub(super) members: Vec<Member>,
    /// The folds that it named.
    pub(super) folds: Vec<Arc<Fold>>,
}

/// The reason why a connection that this node opened did not become a link, and the node that answered.
#[derive(Default)]
struct Refused {
    code: Option<CloseCode>,
    peer: Option<NodeId>,
    other_secret: bool,
}

/// The outcome of dialling an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialled {
    /// The node with this id answered: there is, or was, a link to it.
    Answered(NodeId),
    /// A node that refuses links with this one.
    TurnedAway(TurnedAway),
    /// No node answered.
    Nobody,
}

/// The reason why a node at an address refuses links with this one, until an operator changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnedAway {
    /// It has a different cluster secret.
    OtherSecret,
    /// It knows a running process with this node's identity.
    IsCopy,
    /// It speaks none of the wire versions that this node speaks.
    NoCommonVersion,
    /// It has forgotten this node.
    Forgotten,
}

impl Links {
    /// Handles a connection that another node opens, to its end. The permit `handshake` is returned after the decision.
    pub async fn incoming(self: Arc<Self>, incoming: Incoming, handshake: HandshakePermit) {
        let from = incoming.remote_address();
        let connection = match timeout(HELLO_MAX, incoming.into_future()).await {
            Ok(Ok(connection)) => connection,
            Err(_) => return,
            Ok(Err(error)) => {
                self.log_refusal(from, &error);
                return;
            }
        };
        let Some(version) = agreed_version(&connection) else {
            return connection.close(CloseCode::NoCommonVersion.number(), self.wire_offers.as_bytes());
        };
        let greeted = timeout(HELLO_MAX, async {
            let (send, receive) = connection.accept_bi().await.ok()?;
            let mut receiver = LinkReceiver::new(receive, version);
            let hello = self.read_hello(&connection, &mut receiver).await?;
            Some((send, receiver, hello))
        });
        let Ok(Some((send, receiver, hello))) = greeted.await else { return };
        let sender = LinkSender::start(connection.clone(), send, version);
        let peer = hello.me.node;
        if let Err(code) = self.admit(&hello, &sender, peer).await {
            tracing::debug!(%peer, ?code, "link not admitted");
            if code == CloseCode::Copy {
                self.record_that_this_is_a_copy(canonical(from));
            }
            return connection.close(code.number(), b"");
        }
        let own = self.send_hello(&sender);
        drop(handshake);
        self.serve(hello, sender, receiver, own).await;
    }

    /// Handles a connection that this node has opened, to its end.
    pub(super) async fn outgoing(self: Arc<Self>, connecting: quinn::Connecting, to: SocketAddr) -> Dialled {
        let connection = match connecting.await {
            Ok(connection) => connection,
            Err(error) if self.record_if_wrong_secret(to, &error) => {
                return Dialled::TurnedAway(TurnedAway::OtherSecret);
            }
            Err(error) if shares_no_version(&error) => {
                self.record_no_common_version(to, "unknown".into());
                return Dialled::TurnedAway(TurnedAway::NoCommonVersion);
            }
            Err(_) => return Dialled::Nobody,
        };
        let Some(version) = agreed_version(&connection) else {
            self.on_no_common_version(to, connection).await;
            return Dialled::TurnedAway(TurnedAway::NoCommonVersion);
        };
        self.verdicts.send_modify(|verdicts| verdicts.deciding += 1);
        let greeted = self.greet(connection, to, version).await;
        self.verdicts.send_modify(|verdicts| {
            verdicts.deciding -= 1;
            match &greeted {
                // The other link between the pair does the same.
                Ok(_) | Err(Refused { code: Some(CloseCode::Duplicate), .. }) => verdicts.admitted += 1,
                Err(Refused { code: Some(CloseCode::NodeIdInUse), .. }) => verdicts.node_id_in_use = Some(to),
                Err(Refused { code: Some(CloseCode::Forgotten), .. }) => verdicts.forgotten_by = Some(to),
                Err(_) => {}
            }
        });
        match greeted {
            Ok((hello, sender, receiver, own)) => {
                let peer = hello.me.node;
                self.serve(hello, sender, receiver, own).await;
                Dialled::Answered(peer)
            }
            Err(Refused { code: Some(CloseCode::NodeIdInUse), .. }) => {
                self.record_that_this_is_a_copy(to);
                Dialled::TurnedAway(TurnedAway::IsCopy)
            }
            Err(Refused { code: Some(CloseCode::Forgotten), peer, .. }) => {
                self.on_told_forgotten(peer);
                Dialled::TurnedAway(TurnedAway::Forgotten)
            }
            Err(Refused { other_secret: true, .. }) => Dialled::TurnedAway(TurnedAway::OtherSecret),
            Err(Refused { peer, .. }) => peer.map_or(Dialled::Nobody, Dialled::Answered),
        }
    }

    /// Records that an older process with this node's identity is running, as a connection with `reported_by` showed.
    fn record_that_this_is_a_copy(&self, reported_by: SocketAddr) {
        self.set_copy_reported_by(Some(reported_by));
        self.verdicts.send_modify(|verdicts| verdicts.node_id_in_use = Some(reported_by));
        if let Some(times) = self.copy_log.note(reported_by) {
            tracing::error!(
                peer = %reported_by,
                times,
                "another running node has this node's identity: was its data directory copied? Stop one of the two, \
                 and start it with an empty --data-dir"
            );
        }
    }

    /// Sends a hello over a connection that this node has opened, and reads the peer's.
    async fn greet(
        &self,
        connection: Connection,
        to: SocketAddr,
        version: WireVersion,
    ) -> Result<(Hello, LinkSender, LinkReceiver, OwnHello), Refused> {
        let named = named_by_certificate(&connection);
        // Several addresses may lead to one node, and one address to another node than expected: keep the link that
        // exists.
        if named.is_some_and(|peer| self.has(peer)) {
            connection.close(CloseCode::Duplicate.number(), b"");
            return Err(Refused { code: Some(CloseCode::Duplicate), peer: named, ..Refused::default() });
        }
        let opened = connection.open_bi().await;
        let (send, receive) = opened.map_err(|error| Refused {
            code: CloseCode::of(&error),
            peer: None,
            other_secret: self.record_if_wrong_secret(to, &error),
        })?;
        let sender = LinkSender::start(connection.clone(), send, version);
        let own = self.send_hello(&sender);
        let mut receiver = LinkReceiver::new(receive, version);
        let hello = timeout(HELLO_MAX, self.read_hello(&connection, &mut receiver)).await;
        let Ok(Some(hello)) = hello else {
            let reason = connection.close_reason();
            // With TLS 1.3 the side that dials is done before it learns that its certificate was refused.
            let other_secret = reason.as_ref().is_some_and(|error| self.record_if_wrong_secret(to, error));
            connection.close(CloseCode::Protocol.number(), b"no hello");
            let code = reason.as_ref().and_then(CloseCode::of);
            let peer = if other_secret { None } else { named };
            return Err(Refused { code, peer, other_secret });
        };
        match self.admit(&hello, &sender, self.me()).await {
            Ok(()) => Ok((hello, sender, receiver, own)),
            Err(code) => {
                connection.close(code.number(), b"");
                // Here it is the peer that was forgotten.
                let code = Some(code).filter(|code| *code != CloseCode::Forgotten);
                Err(Refused { code, peer: named, other_secret: false })
            }
        }
    }

    /// Sends this node's hello over a connection.
    fn send_hello(&self, sender: &LinkSender) -> OwnHello {
        let connection = sender.connection();
        self.guess.link_comes_up(connection.remote_address(), connection.local_ip());
        let (members, me) = (self.members.all(), self.members.own());
        let folds = self.folds.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let own = OwnHello { members: members.iter().chain([&me]).cloned().collect(), folds };
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            process: self.process,
            uptime_ms: self.uptime_ms(),
            me,
            members,
            folds: Some(own.folds.iter().map(|fold| fold.rank()).collect()),
        };
        let _ = sender.try_send_extended(&PeerFrame::Hello(hello));
        own
    }

    /// Sets the newest folds that this node can use, for the hellos of further links.
    pub(super) fn set_folds(&self, newest: &[Arc<Fold>]) {
        *self.folds.lock().unwrap_or_else(PoisonError::into_inner) = newest.to_vec();
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Reads a hello and checks that the certificate names its sender.
    async fn read_hello(&self, connection: &Connection, receiver: &mut LinkReceiver) -> Option<Hello> {
        match receiver.next().await {
            Ok(PeerFrame::Hello(hello)) if named_by_certificate(connection) == Some(hello.me.node) => {
                Some(hello)
            }
            Err(FrameError::Over) => None,
            Ok(PeerFrame::Hello(hello)) => {
                self.close_for_violation(hello.me.node, connection, "the certificate names another node");
                None
            }
            Ok(_) | Err(_) => {
                self.metrics.broken.inc();
                tracing::warn!(from = %connection.remote_address(), "closing a link: it does not begin with a hello");
                connection.close(CloseCode::Protocol.number(), b"expected a hello");
                None
            }
        }
    }

    /// Decides whether a connection becomes the link to its peer.
    async fn admit(&self, hello: &Hello, sender: &LinkSender, dialled_by: NodeId) -> Result<(), CloseCode> {
        let peer = hello.me.node;
        if peer == self.me() {
            return Err(match hello.process {
                process if process == self.process => CloseCode::Myself,
                _ if self.uptime_ms() < hello.uptime_ms => CloseCode::Copy,
                _ => CloseCode::NodeIdInUse,
            });
        }
        if self.members.is_forgotten(peer) {
            self.log_forgotten(peer, sender);
            return Err(CloseCode::Forgotten);
        }
        loop {
            let older = {
                let mut links = self.links();
                match links.get(&peer) {
                    Some(old) if old.process != hello.process => old.sender.clone(),
                    Some(old) if old.dialled_by != dialled_by && old.dialled_by < dialled_by => {
                        return Err(CloseCode::Duplicate);
                    }
                    replaced => {
                        if let Some(old) = replaced {
                            old.sender.connection().close(CloseCode::Duplicate.number(), b"");
                        }
                        let (sender, process) = (sender.clone(), hello.process);
                        let public_url = hello.me.public_url.clone();
                        let peer_reports_links_to = None;
                        let status = None;
                        links.insert(
                            peer,
                            Entry { sender, process, dialled_by, public_url, peer_reports_links_to, status },
                        );
                        return Ok(());
                    }
                }
            };
            let nonce = self.next_nonce.fetch_add(1, Ordering::Relaxed);
            if older.answers(nonce, PING_MAX).await {
                return Err(CloseCode::NodeIdInUse);
            }
            older.connection().close(CloseCode::Duplicate.number(), b"");
            self.forget(peer, older.id());
        }
    }
}

fn named_by_certificate(connection: &Connection) -> Option<NodeId> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    // The only one, or the one beside an operator's certificate.
    node_of(chain.last()?)
}
