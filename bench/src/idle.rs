//! `idle`: measures the server's memory for an idle connection.
//! Opens many connections to small rooms, so that presence frames stay few, and compares resident memory before and after.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use crate::BenchError;
use crate::http::query_escaped;
use crate::node::NodeUrl;
use crate::number::{count, float, grouped, round3};
use crate::options::many;
use crate::process::{self, Process};
use crate::rooms;
use crate::wire::Incoming;
use crate::ws::{self, Outbox, Reader, Scratch, frame};

/// Guests in one room, at most: each hears of all others, which is quadratic.
const ROOM_GUESTS_MAX: usize = 10;
/// Handshakes under way at a time.
const CONNECTING_MAX: usize = 16;
/// Rest after the last welcome, before memory is read.
const REST: Duration = Duration::from_secs(3);
/// Longest wait for the last welcome.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(30);

/// Memory per idle connection
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The node's address
    #[arg(long, value_name = "URL")]
    node: NodeUrl,
    /// The node's process
    #[arg(long, value_name = "PID")]
    pid: u32,
    /// Number of connections
    #[arg(long, default_value = "2000", value_name = "N", value_parser = many)]
    connections: usize,
    /// Number of rooms; more are created so that none has over ten guests
    #[arg(long, default_value = "200", value_name = "N", value_parser = many)]
    rooms: usize,
    /// Fail if a connection costs more
    #[arg(long, value_name = "KIB")]
    max_kib: Option<f64>,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    connections: u64,
    /// Connections that were lost while they rested.
    lost: u64,
    rooms: u64,
    rss_before_kib: u64,
    rss_after_kib: u64,
    kib_per_connection: f64,
    passed: bool,
}

/// The data shared by the tasks of the connections.
struct Shared {
    scratch: RefCell<Scratch>,
    welcomed: Cell<usize>,
    lost: Cell<u64>,
}

/// Runs it; true if within the limit.
pub(crate) async fn run(options: Options) -> Result<bool, BenchError> {
    process::raise_open_files();
    let server = Process(options.pid);
    let needed = options.connections.div_ceil(ROOM_GUESTS_MAX).max(options.rooms);
    let mut room_ids = Vec::with_capacity(needed);
    for _ in 0..needed {
        room_ids.push(rooms::create(&options.node).await?);
    }
    let before = server.rss_kib()?;
    let shared =
        Rc::new(Shared { scratch: RefCell::new(Scratch::new()), welcomed: Cell::new(0), lost: Cell::new(0) });
    stream::iter(0..options.connections)
        .map(|index| open(&options.node, &room_ids[index % room_ids.len()], index))
        .buffer_unordered(CONNECTING_MAX)
        .try_for_each(|(reader, outbox)| {
            tokio::task::spawn_local(rest(Rc::clone(&shared), reader, outbox));
            std::future::ready(Ok(()))
        })
        .await?;
    let started = Instant::now();
    while shared.welcomed.get() < options.connections {
        if started.elapsed() > WELCOME_TIMEOUT {
            return Err(BenchError::NoWelcome(options.connections - shared.welcomed.get()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(REST).await;
    let after = server.rss_kib()?;

    let connections = u64::try_from(options.connections).expect("at most 100,000");
    let each = round3((float(after) - float(before)) / float(connections));
    let report = Report {
        connections,
        lost: shared.lost.get(),
        rooms: count(&room_ids),
        rss_before_kib: before,
        rss_after_kib: after,
        kib_per_connection: each,
        passed: shared.lost.get() == 0 && options.max_kib.is_none_or(|limit| each <= limit),
    };
    crate::options::publish(&report, &report.text(options.max_kib), options.json.as_deref())?;
    Ok(report.passed)
}

impl Report {
    fn text(&self, limit: Option<f64>) -> String {
        format!(
            "idle: {} connections in {} rooms\n\n  RSS before  {} KiB\n  RSS after   {} KiB\n  \
             each        {:.2} KiB{}\n  lost        {}\n\n{}\n",
            grouped(self.connections),
            grouped(self.rooms),
            grouped(self.rss_before_kib),
            grouped(self.rss_after_kib),
            self.kib_per_connection,
            limit.map(|limit| format!(" (limit {limit})")).unwrap_or_default(),
            self.lost,
            if self.passed { "passed" } else { "FAILED" }
        )
    }
}

async fn open(node: &NodeUrl, room: &str, index: usize) -> Result<(Reader, Outbox), BenchError> {
    let path =
        format!("/ws?roomID={}&username={}", query_escaped(room), query_escaped(&format!("idle-{index}")));
    let (reader, write) = ws::connect_patiently(node, &path).await?;
    let outbox = Outbox::default();
    outbox.attach(write);
    Ok((reader, outbox))
}

/// Keeps a connection idle: counts its welcome and answers pings.
async fn rest(shared: Rc<Shared>, mut reader: Reader, outbox: Outbox) {
    loop {
        let turn = poll_fn(|cx| {
            outbox.poll_flush(cx);
            reader.poll_frames(cx, &mut shared.scratch.borrow_mut(), |frame| match frame.opcode {
                frame::PING => outbox.push(frame::PONG, frame.payload),
                frame::TEXT if is_welcome(frame.payload) => shared.welcomed.set(shared.welcomed.get() + 1),
                _ => {}
            })
        });
        if turn.await.is_err() {
            shared.lost.set(shared.lost.get() + 1);
            return;
        }
        outbox.flush();
    }
}

fn is_welcome(frame: &[u8]) -> bool {
    serde_json::from_slice::<Incoming<'_>>(frame).is_ok_and(|incoming| incoming.kind.as_str() == "welcome")
}
