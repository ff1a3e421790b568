//! The QUIC endpoint: one UDP socket for all links, with every buffer and wait bounded.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quinn::{
    AsyncUdpSocket, ClientConfig, ConnectError, Connecting, Connection, ConnectionId, ConnectionIdGenerator,
    Endpoint, EndpointConfig, IdleTimeout, ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use ring::hmac;
use rustls::pki_types::{CertificateDer, UnixTime};
use starling_protocol::{NodeId, event::SecretFingerprint};

use super::{
    keys::{CLUSTER_NAME, HeldKeys, KeyError},
    own_certificate::OwnCertificate,
    trust::{PeerVerifier, Tls},
};
use crate::environment::Environment;

/// A link ends after this silence. QUIC itself waits for three probe timeouts at least, which is long on a slow path, so
/// `links` checks for silence, too.
pub(super) const IDLE_MS: u32 = 3_000;
/// The interval of packets on a quiet link; a third of the longest silence.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Bytes that a peer may send ahead on the one stream, and on the connection.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Bytes of datagrams (gossip) that wait; the oldest are dropped beyond it.
const DATAGRAM_BUFFER_BYTES: usize = 64 * 1024;
/// Connections that wait to be accepted, at most.
const INCOMING_MAX: usize = 256;
/// The length of connection ids: enough to be unique.
const CONNECTION_ID_BYTES: usize = 8;

/// Makes the endpoint on a bound socket; `own` is the operator's certificate, if there is one.
pub fn open(
    environment: &Arc<dyn Environment>,
    socket: Arc<dyn AsyncUdpSocket>,
    keys: &HeldKeys,
    own: Option<OwnCertificate>,
    node: NodeId,
) -> Result<PeerEndpoint, KeyError> {
    let accepts = Accepts { keys: keys.clone(), retired: BTreeSet::new(), own: own.map(Arc::new) };
    let (server, trust) = configure(environment, accepts, node)?;
    // Derived, not random: after a restart on the same port, packets of old connections are answered by resets
    // that the peers believe. Quinn's own ids would not do: it drops packets with an id that it did not make itself.
    // Each node has its own key, or one node could be made to reset a connection of another (RFC 9000, section 21.11).
    // It is that of the secret in use at the start, and stays so.
    let of_node = hmac::sign(&keys.active.reset_key, &node.0);
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, of_node.as_ref());
    let mut endpoint_config = EndpointConfig::new(Arc::new(reset_key));
    let ids = Arc::clone(environment);
    endpoint_config.cid_generator(move || Box::new(RandomIds(Arc::clone(&ids))));
    endpoint_config.rng_seed(Some(environment.random()));
    let runtime = Arc::new(TokioRuntime);
    let mut endpoint = Endpoint::new_with_abstract_socket(endpoint_config, Some(server), socket, runtime)
        .expect("a bound UDP socket inside the runtime makes an endpoint");
    endpoint.set_default_client_config(trust.client.clone());
    let (trust, replaced) = (Mutex::new(trust), AtomicU64::new(0));
    Ok(PeerEndpoint { environment: Arc::clone(environment), endpoint, node, trust, replaced })
}

/// The endpoint, whose trust can be replaced: while the cluster's secret is rotated, and when an operator's certificate is
/// renewed.
pub struct PeerEndpoint {
    environment: Arc<dyn Environment>,
    /// The QUIC endpoint on the UDP socket.
    pub endpoint: Endpoint,
    node: NodeId,
    trust: Mutex<Trust>,
    /// How often it was replaced.
    replaced: AtomicU64,
}

/// The certificates that a node shows and accepts.
#[derive(Clone)]
struct Accepts {
    keys: HeldKeys,
    /// Nodes that have only these secrets are refused.
    retired: BTreeSet<SecretFingerprint>,
    /// The operator's certificate, if there is one.
    own: Option<Arc<OwnCertificate>>,
}

/// The configuration of new connections, and what it was made from.
struct Trust {
    accepts: Accepts,
    client: ClientConfig,
    verifier: PeerVerifier,
}

impl PeerEndpoint {
    /// Uses other keys for new connections. Nodes that have only `retired` secrets are refused.
    pub fn replace_keys(
        &self,
        keys: &HeldKeys,
        retired: &BTreeSet<SecretFingerprint>,
    ) -> Result<(), KeyError> {
        self.replace(|accepts| Accepts { keys: keys.clone(), retired: retired.clone(), ..accepts })
    }

    /// Shows another certificate of an operator's CA on new connections, and verifies those of other nodes under its CA.
    pub(super) fn replace_certificate(&self, own: OwnCertificate) -> Result<(), KeyError> {
        self.replace(|accepts| Accepts { own: Some(Arc::new(own)), ..accepts })
    }

    /// Whether other nodes would accept the operator's certificate at this time; true without one.
    pub(super) fn certificate_is_valid_at(&self, time: UnixTime) -> bool {
        let own = self.trust().accepts.own.clone();
        own.is_none_or(|own| own.is_valid_at(time))
    }

    fn replace(&self, change: impl FnOnce(Accepts) -> Accepts) -> Result<(), KeyError> {
        // Held for as long as it takes to sign a certificate: two changes at once must not undo each other.
        let mut trust = self.trust();
        let (server, changed) = configure(&self.environment, change(trust.accepts.clone()), self.node)?;
        self.endpoint.set_server_config(Some(server));
        *trust = changed;
        self.replaced.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn trust(&self) -> MutexGuard<'_, Trust> {
        self.trust.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often keys or certificate were replaced: nodes that turned this one away may accept it after each time.
    pub(super) fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// Dials a node.
    pub(super) fn connect(&self, address: SocketAddr) -> Result<Connecting, ConnectError> {
        let client = self.trust().client.clone();
        self.endpoint.connect_with(client, address, CLUSTER_NAME)
    }

    /// Whether the peer of a connection would be accepted today.
    pub(super) fn trusts(&self, connection: &Connection) -> bool {
        let verifier = Arc::clone(&self.trust().verifier);
        let Some(identity) = connection.peer_identity() else { return false };
        let Ok(chain) = identity.downcast::<Vec<CertificateDer<'static>>>() else { return false };
        let Some((leaf, intermediates)) = chain.split_first() else { return false };
        let now = Duration::from_millis(self.environment.now_ms());
        verifier.verify_client_cert(leaf, intermediates, UnixTime::since_unix_epoch(now)).is_ok()
    }
}

/// Returns the configuration for accepted links, and all that dialled ones need.
fn configure(
    environment: &Arc<dyn Environment>,
    accepts: Accepts,
    node: NodeId,
) -> Result<(ServerConfig, Trust), KeyError> {
    let Accepts { keys, retired, own } = &accepts;
    let (leaf, offers) = (environment.random(), environment.wire_offers());
    let Tls { server, client, verifier } = Tls::new(keys, retired, own.as_deref(), node, &leaf, &offers)?;
    let transport = Arc::new(transport());
    let mut server = ServerConfig::with_crypto(Arc::new(server));
    server.transport_config(Arc::clone(&transport)).max_incoming(INCOMING_MAX);
    let mut client = ClientConfig::new(Arc::new(client));
    client.transport_config(transport);
    Ok((server, Trust { accepts, client, verifier }))
}

/// Random connection ids.
struct RandomIds(Arc<dyn Environment>);

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&self.0.random::<CONNECTION_ID_BYTES>())
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER_BYTES))
        .datagram_send_buffer_size(DATAGRAM_BUFFER_BYTES);
    transport
}
