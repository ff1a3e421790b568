//! The services that a node takes from its machine in addition to `tokio`: the wall clock, random numbers, threads that may block, name
//! lookup and the network. Simulations bring an environment with virtual time and seeded random numbers.

mod udp;

use std::{
    fmt::Debug,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::future::BoxFuture;
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime};
use starling_protocol::frame::wire::WireVersion;
use tokio::{
    net::lookup_host,
    runtime::Handle,
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
};

/// A nice value: about a tenth of the share of a thread at 0, so that work still goes on while others want every core.
const LOW_PRIORITY: i32 = 10;

/// The environment of a node. Its methods are called inside a `tokio` runtime.
pub trait Environment: Debug + Send + Sync + 'static {
    /// The wall clock, in milliseconds since the Unix epoch; 0 if it is before the epoch.
    fn now_ms(&self) -> u64;

    /// Fills a buffer with cryptographically secure random bytes.
    fn fill_random(&self, bytes: &mut [u8]);

    /// Runs work that may block its thread for a while, such as a read from disk.
    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>);

    /// Runs, on its own thread, a task that mostly blocks.
    fn spawn_thread(&self, name: &'static str, task: BoxFuture<'static, ()>) -> JoinHandle<()>;

    /// Blocks the calling thread for a moment, more exactly than a timer could wait. Does nothing in simulations, which have no
    /// threads.
    fn block_for(&self, _time: Duration) {}

    /// Lowers the priority of the calling thread for good. Does nothing in simulations, which have no threads.
    fn lower_priority(&self) {}

    /// All addresses of a `HOST:PORT`; none if the lookup fails.
    fn resolve(&self, name: String) -> BoxFuture<'static, Vec<SocketAddr>>;

    /// Binds a UDP socket.
    fn bind_udp(&self, listen: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>>;

    /// The names of the wire versions that this node offers to others, the preferred first. Simulations offer older ones.
    fn wire_offers(&self) -> Vec<&'static str> {
        WireVersion::offers().collect()
    }

    /// This machine's address from which packets to `to` are sent; `None` if unknown.
    fn source_address(&self, _to: SocketAddr) -> Option<IpAddr> {
        None
    }

    /// Whether the address is one of this machine's at present.
    fn has_address(&self, _address: IpAddr) -> bool {
        true
    }
}

impl dyn Environment {
    /// Cryptographically secure random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill_random(&mut bytes);
        bytes
    }

    /// A cryptographically secure random number.
    pub fn random_u64(&self) -> u64 {
        u64::from_le_bytes(self.random())
    }

    /// Runs work that may block its thread, and waits for it; `None` if it panics.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, done) = oneshot::channel();
        self.run_blocking(Box::new(move || {
            let _ = sender.send(work());
        }));
        done.await.ok()
    }
}

/// The real environment of this process.
#[derive(Debug)]
pub struct ThisMachine;

impl Environment for ThisMachine {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        rand::fill(bytes);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        spawn_blocking(work);
    }

    fn spawn_thread(&self, name: &'static str, task: BoxFuture<'static, ()>) -> JoinHandle<()> {
        let runtime = Handle::current();
        let (sender, ended) = oneshot::channel::<()>();
        thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                let _dropped_at_the_end = sender;
                runtime.block_on(task);
            })
            .expect("the system starts a thread");
        tokio::spawn(async move {
            let _ = ended.await;
        })
    }

    fn block_for(&self, time: Duration) {
        thread::sleep(time);
    }

    fn lower_priority(&self) {
        // On Linux it applies to one thread. If it is refused, the priority stays as it is.
        let _ = rustix::process::setpriority_process(None, LOW_PRIORITY);
    }

    fn resolve(&self, name: String) -> BoxFuture<'static, Vec<SocketAddr>> {
        Box::pin(async move { lookup_host(name).await.into_iter().flatten().collect() })
    }

    fn bind_udp(&self, listen: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(udp::bind(listen)?)
    }

    fn source_address(&self, to: SocketAddr) -> Option<IpAddr> {
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        // Connecting a UDP socket sends nothing; it only asks the routing table.
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    }

    fn has_address(&self, address: IpAddr) -> bool {
        UdpSocket::bind((address, 0)).is_ok()
    }
}
