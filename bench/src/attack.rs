//! `attack`: attacks a node from one address with idle connections, half requests, requests, logins, WebSockets that send
//! pings, fragments, empty frames and the largest messages, and packets to the cluster's port, all at once. It judges
//! nothing: `compose/bench-attack.sh` measures meanwhile how the node serves others.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{sleep, sleep_until, timeout};

use crate::BenchError;
use crate::http::{Head, head_end};
use crate::number::float;
use crate::options::seconds;
use crate::process;
use crate::ws::frame;

/// Connections opened a second that send nothing, or half of a request.
const IDLE_RATE: u64 = 500;
/// Idle connections kept open, at most.
const IDLE_MAX: usize = 15_000;
/// Requests and logins a second.
const REQUEST_RATE: u64 = 300;
const LOGIN_RATE: u64 = 100;
/// Packets a second to the cluster's port, of the size of a handshake's first.
const PACKET_RATE: u64 = 600;
const PACKET_BYTES: usize = 1_200;
/// Requests in flight, at most; beyond it none is started.
const UNDER_WAY_MAX: usize = 500;
/// WebSockets of each kind but the writers.
const SOCKETS: usize = 5;
/// Guests that write messages.
const WRITERS: usize = 20;
/// The pause between two tries to open a WebSocket.
const PAUSE: Duration = Duration::from_millis(20);
/// The time limit of a connection or an answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Bytes written at once to a WebSocket.
const CHUNK_BYTES: usize = 64 * 1024;

/// Attack a node from one address in every way at once
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The node's HTTP address
    #[arg(long, value_name = "ADDR:PORT")]
    node: SocketAddr,
    /// The node's cluster address
    #[arg(long, value_name = "ADDR:PORT")]
    cluster: Option<SocketAddr>,
    /// The local address to attack from
    #[arg(long, default_value = "127.0.0.2", value_name = "ADDR")]
    from: IpAddr,
    /// Seconds of attack
    #[arg(long, default_value = "60", value_name = "S", value_parser = seconds)]
    duration: Duration,
}

/// The results by kind of attack.
#[derive(Debug, Default)]
struct Report {
    /// Requests by path and the status of the answer; 0 is no answer.
    answers: BTreeMap<(&'static str, u16), u64>,
    /// WebSockets, and the megabytes written to them, by the kind of frames.
    sockets: BTreeMap<&'static str, (u64, f64)>,
    idle: u64,
    packets: u64,
}

/// The data shared by the tasks.
struct Attack {
    node: SocketAddr,
    from: IpAddr,
    until: Instant,
    under_way: Cell<usize>,
    report: RefCell<Report>,
}

/// Runs it.
pub(crate) async fn run(options: Options) -> Result<bool, BenchError> {
    process::raise_open_files();
    let attack = Rc::new(Attack {
        node: options.node,
        from: options.from,
        until: Instant::now() + options.duration,
        under_way: Cell::new(0),
        report: RefCell::default(),
    });
    let made = attack.ask("POST", "/create-room", "").await?;
    let made: serde_json::Value = serde_json::from_slice(&made.1).unwrap_or_default();
    let room = made["roomID"].as_str().unwrap_or_default().to_owned();
    let mut tasks = vec![
        tokio::task::spawn_local(Rc::clone(&attack).idle()),
        tokio::task::spawn_local(Rc::clone(&attack).requests(
            REQUEST_RATE,
            "GET",
            "/room-exists?roomID=aaaaaaaaaaaaaaaa",
        )),
        tokio::task::spawn_local(Rc::clone(&attack).requests(LOGIN_RATE, "POST", "/api/v1/login")),
    ];
    if let Some(cluster) = options.cluster {
        tasks.push(tokio::task::spawn_local(Rc::clone(&attack).packets(cluster)));
    }
    for (kind, count) in
        [("pings", SOCKETS), ("fragments", SOCKETS), ("empty frames", SOCKETS), ("messages", WRITERS)]
    {
        for number in 0..count {
            let path = format!("/ws?roomID={room}&username={}-{number}", kind.replace(' ', "-"));
            tasks.push(tokio::task::spawn_local(Rc::clone(&attack).socket(kind, path)));
        }
    }
    for task in tasks {
        let _ = task.await;
    }
    println!("attack: {}", attack.report.borrow().text());
    Ok(true)
}

impl Report {
    fn text(&self) -> String {
        let answers = self.answers.iter().map(|((what, status), count)| format!("{what} {status}: {count}"));
        let sockets =
            self.sockets.iter().map(|(what, (count, mb))| format!("{count} sockets of {what}: {mb:.1} MB"));
        let all: Vec<_> = answers.chain(sockets).collect();
        format!("{} idle connections, {} packets\n  {}", self.idle, self.packets, all.join("\n  "))
    }
}

impl Attack {
    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let socket = if self.from.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind(SocketAddr::new(self.from, 0))?;
        timeout(ANSWER_MAX, socket.connect(self.node)).await?
    }

    /// Calls `turn` at a steady rate a second until the end.
    async fn pace(&self, rate: u64, mut turn: impl FnMut()) {
        let begin = Instant::now();
        for number in 0_u64.. {
            sleep_until((begin + Duration::from_secs_f64(float(number) / float(rate))).into()).await;
            if self.is_over() {
                return;
            }
            turn();
        }
    }

    async fn idle(self: Rc<Self>) {
        let kept = Rc::new(RefCell::new(VecDeque::new()));
        let turn = || {
            let (attack, kept) = (Rc::clone(&self), Rc::clone(&kept));
            tokio::task::spawn_local(async move {
                let Ok(mut stream) = attack.connect().await else { return };
                attack.report.borrow_mut().idle += 1;
                let is_silent = attack.report.borrow().idle.is_multiple_of(2);
                if !is_silent {
                    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: ").await;
                }
                let mut kept = kept.borrow_mut();
                kept.push_back(stream);
                if kept.len() > IDLE_MAX {
                    kept.pop_front();
                }
            });
        };
        self.pace(IDLE_RATE, turn).await;
    }

    async fn requests(self: Rc<Self>, rate: u64, method: &'static str, path: &'static str) {
        let body = if method == "POST" { r#"{"username":"somebody","password":"wrong horse"}"# } else { "" };
        let turn = || {
            if self.under_way.get() >= UNDER_WAY_MAX {
                return;
            }
            self.under_way.set(self.under_way.get() + 1);
            let attack = Rc::clone(&self);
            tokio::task::spawn_local(async move {
                let answer = timeout(ANSWER_MAX, attack.ask(method, path, body)).await;
                let status = answer.ok().and_then(Result::ok).map_or(0, |(head, _)| head.status);
                *attack.report.borrow_mut().answers.entry((path, status)).or_default() += 1;
                attack.under_way.set(attack.under_way.get() - 1);
            });
        };
        self.pace(rate, turn).await;
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<(Head, Vec<u8>)> {
        let mut stream = self.connect().await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.node,
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        let end = head_end(&bytes).ok_or(io::ErrorKind::InvalidData)?;
        let head = Head::parse(&bytes[..end]).ok_or(io::ErrorKind::InvalidData)?;
        Ok((head, bytes.split_off(end)))
    }

    /// Opens one WebSocket after the other, and sends frames of this kind as fast as the node takes them.
    async fn socket(self: Rc<Self>, kind: &'static str, path: String) {
        let chunk = make_chunk(kind);
        while !self.is_over() {
            match timeout(ANSWER_MAX, self.upgrade(&path)).await {
                Ok(Ok(mut stream)) => {
                    let written = self.flood(&mut stream, &chunk).await;
                    let mut report = self.report.borrow_mut();
                    let (sockets, megabytes) = report.sockets.entry(kind).or_default();
                    *sockets += 1;
                    *megabytes += float(written) / 1e6;
                }
                _ => *self.report.borrow_mut().answers.entry((kind, 0)).or_default() += 1,
            }
            sleep(PAUSE).await;
        }
    }

    /// Writes until the node closes the connection, discarding what it sends.
    async fn flood(&self, stream: &mut TcpStream, chunk: &[u8]) -> u64 {
        let (mut written, mut discarded) = (0, vec![0; CHUNK_BYTES]);
        let (mut reader, mut writer) = stream.split();
        let write = async {
            // The first fragment begins a message, which the others never end.
            while !self.is_over() && writer.write_all(chunk).await.is_ok() {
                written += crate::number::count(chunk);
            }
        };
        let read = async { while reader.read(&mut discarded).await.is_ok_and(|bytes| bytes > 0) {} };
        tokio::select! {
            () = write => {}
            () = read => {}
            () = sleep_until(self.until.into()) => {}
        }
        written
    }

    async fn upgrade(&self, path: &str) -> io::Result<TcpStream> {
        let mut stream = self.connect().await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.node
        );
        stream.write_all(request.as_bytes()).await?;
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await?;
        if begin.ends_with(b" 101") { Ok(stream) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
    }

    /// Sends packets that look like the first of a handshake.
    async fn packets(self: Rc<Self>, cluster: SocketAddr) {
        let Ok(socket) = UdpSocket::bind(SocketAddr::new(self.from, 0)).await else { return };
        let mut packet = vec![0x5a; PACKET_BYTES];
        // A long header, version 1, and connection ids of 8 bytes.
        packet[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
        let turn = || {
            let sent = self.report.borrow().packets;
            packet[6..14].copy_from_slice(&sent.to_be_bytes());
            if socket.try_send_to(&packet, cluster).is_ok() {
                self.report.borrow_mut().packets += 1;
            }
        };
        self.pace(PACKET_RATE, turn).await;
    }
}

/// Frames of one kind, at least [`CHUNK_BYTES`] of them.
fn make_chunk(kind: &str) -> Vec<u8> {
    let message = "x".repeat(8_000);
    let mut chunk = Vec::with_capacity(CHUNK_BYTES + 2 * message.len());
    while chunk.len() < CHUNK_BYTES {
        let begin = chunk.len();
        match kind {
            "pings" => frame::write(&mut chunk, frame::PING, [0; 4], &[0; 125]),
            "messages" => frame::write(&mut chunk, frame::TEXT, [0; 4], message.as_bytes()),
            _ => frame::write(&mut chunk, frame::TEXT, [0; 4], b""),
        }
        if kind == "fragments" {
            // Not the last of its message; all but the first go on with it.
            chunk[begin] = u8::from(begin == 0);
        }
    }
    chunk
}
