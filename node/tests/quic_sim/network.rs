//! The virtual network: in-memory UDP sockets for the real quinn, and the faults of packets. It has no segmentation
//! offload, and a path drops packets longer than its MTU.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::Sleep;

use crate::machine::VirtualClock;

/// The shortest latency between two machines. Each machine runs this far ahead of the others: packets that it sends
/// meanwhile cannot arrive earlier.
pub const DELAY_MS_MIN: u64 = 5;
/// The most packets that wait for a machine: the kernel's buffer.
const INBOX_PACKETS_MAX: usize = 1_500;
const PORT: u16 = 7_946;
/// The length of quinn's connection ids.
const CONNECTION_ID_BYTES: usize = 8;

/// A way: (from, to).
pub type Way = (usize, usize);

/// A machine's address.
pub fn address(machine: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(machine + 1).expect("few machines")], PORT))
}

fn machine_at(address: SocketAddr) -> Option<usize> {
    let SocketAddr::V4(address) = address else { return None };
    usize::from(address.ip().octets()[3]).checked_sub(1)
}

/// The faults of the network at present.
#[derive(Debug)]
pub struct Weather {
    /// Ways on which nothing arrives.
    pub cut: BTreeSet<Way>,
    /// Slow ways, with their latency.
    pub slow: BTreeMap<Way, u64>,
    /// The number of packets in a thousand that are lost, and that arrive twice.
    pub lost: u32,
    pub doubled: u32,
    /// The time by which packets overtake each other, in milliseconds.
    pub jitter_ms: u64,
    /// Longer packets are dropped.
    pub mtu_bytes: usize,
    /// For a planted bug: connections cannot be opened.
    pub no_handshakes: bool,
}

impl Weather {
    pub fn calm(mtu_bytes: usize) -> Self {
        let (cut, slow) = (BTreeSet::new(), BTreeMap::new());
        Self { cut, slow, lost: 0, doubled: 0, jitter_ms: 2, mtu_bytes, no_handshakes: false }
    }
}

#[derive(Debug)]
struct Packet {
    from: usize,
    bytes: Vec<u8>,
}

/// A machine's end of the network.
#[derive(Debug, Default)]
struct Port {
    /// The start of the machine that has it open.
    start: Option<u32>,
    /// Packets on their way, by arrival.
    inbox: BTreeMap<(u64, u64), Packet>,
    waker: Option<Waker>,
}

#[derive(Debug)]
pub struct Wires {
    rng: StdRng,
    pub weather: Weather,
    ports: Vec<Port>,
    /// The time at which a machine last heard another: (to, from).
    heard: BTreeMap<Way, u64>,
    /// Connections in use, by the id in packets on a way, with the time of the last packet.
    in_use: BTreeMap<Way, BTreeMap<[u8; CONNECTION_ID_BYTES], u64>>,
    pub packets: u64,
    /// A fingerprint of all packets: time, way and length.
    pub trace: u64,
}

/// The network; clones share it.
#[derive(Clone, Debug)]
pub struct Network(Arc<Mutex<Wires>>);

impl Network {
    pub fn new(seed: u64, machines: usize, mtu_bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Wires {
            rng: StdRng::seed_from_u64(seed),
            weather: Weather::calm(mtu_bytes),
            ports: (0..machines).map(|_| Port::default()).collect(),
            heard: BTreeMap::new(),
            in_use: BTreeMap::new(),
            packets: 0,
            trace: 0,
        })))
    }

    pub fn wires(&self) -> MutexGuard<'_, Wires> {
        self.0.lock().unwrap()
    }

    /// Opens the port of a machine that starts.
    pub fn open(&self, machine: usize, start: u32, clock: VirtualClock) -> Arc<Socket> {
        self.wires().ports[machine] = Port { start: Some(start), ..Port::default() };
        Arc::new(Socket { network: self.clone(), machine, start, clock, alarm: Mutex::new(None) })
    }

    /// Closes the port of a machine whose process is dead.
    pub fn close(&self, machine: usize) {
        self.wires().ports[machine] = Port::default();
    }

    /// Returns the number of connections on which a machine has sent to another since.
    pub fn in_use(&self, from: usize, to: usize, since: u64) -> usize {
        let wires = self.wires();
        let ids = wires.in_use.get(&(from, to)).into_iter().flatten();
        ids.filter(|(_, at)| **at >= since).count()
    }

    /// Returns the time at which a machine last heard another.
    pub fn heard(&self, to: usize, from: usize) -> u64 {
        self.wires().heard.get(&(to, from)).copied().unwrap_or(0)
    }
}

impl Wires {
    fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.rng.random_range(0..1_000) < per_mille
    }

    fn note(&mut self, numbers: [u64; 4]) {
        for number in numbers {
            self.trace = (self.trace ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(5);
        }
    }

    /// Puts a packet on its way; returns the waker of its receiver.
    fn send(&mut self, now: u64, from: usize, to: usize, bytes: &[u8]) -> Option<Waker> {
        self.packets += 1;
        self.note([now, from as u64, to as u64, bytes.len() as u64]);
        // A short header (RFC 9000, section 17.3): the handshake is over.
        if let Some((0..0x80, rest)) = bytes.split_first()
            && let Some(id) = rest.first_chunk()
        {
            self.in_use.entry((from, to)).or_default().insert(*id, now);
        }
        let (lost, doubled) = (self.chance(self.weather.lost), self.chance(self.weather.doubled));
        // A long header of type 'initial' (RFC 9000, section 17.2).
        let handshake = self.weather.no_handshakes && bytes.first().is_some_and(|byte| byte & 0xb0 == 0x80);
        let way = (from, to);
        if lost || handshake || bytes.len() > self.weather.mtu_bytes || self.weather.cut.contains(&way) {
            return None;
        }
        let slow = self.weather.slow.get(&way).copied().unwrap_or(0);
        for _ in 0..=usize::from(doubled) {
            let delay = DELAY_MS_MIN + slow + self.rng.random_range(0..=self.weather.jitter_ms);
            let port = self.ports.get_mut(to).filter(|port| port.inbox.len() < INBOX_PACKETS_MAX)?;
            port.inbox.insert(
                (now + delay, self.packets * 2 + u64::from(doubled)),
                Packet { from, bytes: bytes.into() },
            );
        }
        self.ports[to].waker.take()
    }
}

/// A machine's UDP socket.
pub struct Socket {
    network: Network,
    machine: usize,
    start: u32,
    clock: VirtualClock,
    /// Fires when the next packet arrives.
    alarm: Mutex<Option<Pin<Box<Sleep>>>>,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Socket({})", self.machine)
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        assert!(transmit.segment_size.is_none(), "there is no segmentation offload");
        let Some(to) = machine_at(transmit.destination) else { return Ok(()) };
        let woken = {
            let mut wires = self.network.wires();
            if wires.ports[self.machine].start != Some(self.start) {
                return Ok(());
            }
            wires.send(self.clock.now_ms(), self.machine, to, transmit.contents)
        };
        woken.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let now = self.clock.now_ms();
            let next = {
                let mut wires = self.network.wires();
                if wires.ports[self.machine].start != Some(self.start) {
                    return Poll::Pending;
                }
                let mut count = 0;
                while count < bufs.len()
                    && let Some(entry) = wires.ports[self.machine].inbox.first_entry()
                    && entry.key().0 <= now
                {
                    let Packet { from, bytes } = entry.remove();
                    bufs[count][..bytes.len()].copy_from_slice(&bytes);
                    let (addr, len) = (address(from), bytes.len());
                    meta[count] = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
                    wires.heard.insert((self.machine, from), now);
                    count += 1;
                }
                if count > 0 {
                    return Poll::Ready(Ok(count));
                }
                let port = &mut wires.ports[self.machine];
                port.waker = Some(cx.waker().clone());
                port.inbox.first_key_value().map(|((at, _), _)| *at)
            };
            let mut alarm = self.alarm.lock().unwrap();
            *alarm = next.map(|at| Box::pin(tokio::time::sleep_until(self.clock.instant(at))));
            match alarm.as_mut().map(|alarm| alarm.as_mut().poll(cx)) {
                Some(Poll::Ready(())) => {}
                Some(Poll::Pending) | None => return Poll::Pending,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(address(self.machine))
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
