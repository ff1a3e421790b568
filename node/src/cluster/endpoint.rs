//! The QUIC endpoint: one UDP socket for all links, with every buffer and wait bounded.

use std::{sync::Arc, time::Duration};

use quinn::{
    AsyncUdpSocket, ClientConfig, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, IdleTimeout,
    ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use ring::hmac;
use starling_protocol::NodeId;

use super::keys::{ClusterKeys, KeyError};
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

/// Makes the endpoint on a bound socket.
pub fn open(
    environment: &Arc<dyn Environment>,
    socket: Arc<dyn AsyncUdpSocket>,
    keys: &ClusterKeys,
    node: NodeId,
) -> Result<Endpoint, KeyError> {
    let (server, client) = keys.tls(node, environment.random(), &environment.wire_offers())?;
    let transport = Arc::new(transport());
    let mut server = ServerConfig::with_crypto(Arc::new(server));
    server.transport_config(Arc::clone(&transport)).max_incoming(INCOMING_MAX);
    let mut client = ClientConfig::new(Arc::new(client));
    client.transport_config(transport);
    // Derived, not random: after a restart on the same port, packets of old connections are answered by resets
    // that the peers believe. Quinn's own ids would not do: it drops packets with an id that it did not make itself.
    // Each node has its own key, or one node could be made to reset a connection of another (RFC 9000, section 21.11).
    let own = hmac::sign(&keys.reset_key, &node.0);
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, own.as_ref());
    let mut endpoint_config = EndpointConfig::new(Arc::new(reset_key));
    let ids = Arc::clone(environment);
    endpoint_config.cid_generator(move || Box::new(RandomIds(Arc::clone(&ids))));
    endpoint_config.rng_seed(Some(environment.random()));
    let runtime = Arc::new(TokioRuntime);
    let mut endpoint = Endpoint::new_with_abstract_socket(endpoint_config, Some(server), socket, runtime)
        .expect("a bound UDP socket inside the runtime makes an endpoint");
    endpoint.set_default_client_config(client);
    Ok(endpoint)
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
