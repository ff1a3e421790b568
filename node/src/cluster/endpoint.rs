//! The QUIC endpoint: one UDP socket for all links, with every buffer and wait bounded.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
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
    let (server, client, verifier) = configure(environment, keys, &BTreeSet::new(), own.as_ref(), node)?;
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
    endpoint.set_default_client_config(client.clone());
    let trust = Mutex::new((client, verifier));
    let replaced = AtomicU64::new(0);
    Ok(PeerEndpoint { environment: Arc::clone(environment), endpoint, node, own, trust, replaced })
}

/// The endpoint, whose trust can be replaced while the cluster's secret is rotated.
pub struct PeerEndpoint {
    environment: Arc<dyn Environment>,
    /// The QUIC endpoint on the UDP socket.
    pub endpoint: Endpoint,
    node: NodeId,
    own: Option<OwnCertificate>,
    trust: Mutex<(ClientConfig, PeerVerifier)>,
    /// How often the keys were replaced.
    replaced: AtomicU64,
}

impl PeerEndpoint {
    /// Uses other keys for new connections. Nodes that have only `retired` secrets are refused.
    pub fn replace_keys(
        &self,
        keys: &HeldKeys,
        retired: &BTreeSet<SecretFingerprint>,
    ) -> Result<(), KeyError> {
        let (server, client, verifier) =
            configure(&self.environment, keys, retired, self.own.as_ref(), self.node)?;
        self.endpoint.set_server_config(Some(server));
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = (client, verifier);
        self.replaced.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How often the keys were replaced: nodes that turned this one away may accept it after each time.
    pub(super) fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// Dials a node.
    pub(super) fn connect(&self, address: SocketAddr) -> Result<Connecting, ConnectError> {
        let client = self.trust.lock().unwrap_or_else(PoisonError::into_inner).0.clone();
        self.endpoint.connect_with(client, address, CLUSTER_NAME)
    }

    /// Whether the peer of a connection would be accepted today.
    pub(super) fn trusts(&self, connection: &Connection) -> bool {
        let verifier = Arc::clone(&self.trust.lock().unwrap_or_else(PoisonError::into_inner).1);
        let Some(identity) = connection.peer_identity() else { return false };
        let Ok(chain) = identity.downcast::<Vec<CertificateDer<'static>>>() else { return false };
        let Some((leaf, intermediates)) = chain.split_first() else { return false };
        let now = Duration::from_millis(self.environment.now_ms());
        verifier.verify_client_cert(leaf, intermediates, UnixTime::since_unix_epoch(now)).is_ok()
    }
}

/// Returns the configurations of both sides of a link.
fn configure(
    environment: &Arc<dyn Environment>,
    keys: &HeldKeys,
    retired: &BTreeSet<SecretFingerprint>,
    own: Option<&OwnCertificate>,
    node: NodeId,
) -> Result<(ServerConfig, ClientConfig, PeerVerifier), KeyError> {
    let Tls { server, client, verifier } =
        Tls::new(keys, retired, own, node, &environment.random(), &environment.wire_offers())?;
    let transport = Arc::new(transport());
    let mut server = ServerConfig::with_crypto(Arc::new(server));
    server.transport_config(Arc::clone(&transport)).max_incoming(INCOMING_MAX);
    let mut client = ClientConfig::new(Arc::new(client));
    client.transport_config(transport);
    Ok((server, client, verifier))
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
