//! The phases of a run: connect, warm up, measure, drain, compare the lists, close.

use std::io::{self, IsTerminal as _};
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::body::Body;
use super::frame_ring::{FrameRing, Pos};
use super::meter::Sample;
use super::shared::Shared;
use super::state::{COPIES_MAX, Live, NodeFigures, Notes, State};
use super::{Plan, Report, pacer, session};
use crate::check::{Check, Findings, Ledger, Listing, Receipts, compare_lists, judge};
use crate::ids::IdCodec;
use crate::latency::Latency;
use crate::number::{count, grouped, nanos};
use crate::process;
use crate::rooms::{self, RoomError};
use crate::schedule::Schedule;
use crate::ws::{ConnectError, frame};

/// Handshakes under way at a time.
const CONNECTING_MAX: usize = 16;
/// The longest wait for all guests to be welcomed.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between the last welcome and the first message, so that presence frames are over.
const SETTLE: Duration = Duration::from_millis(500);
/// Frames kept of each room and node, so that each is parsed once.
const RING_FRAMES: u64 = 4_096;
/// The time after the last expected delivery in which late duplicates are still noticed.
const LATE: Duration = Duration::from_millis(500);

/// The reason why a run could not be carried out. Failures within a run are in its report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// A room could not be created.
    #[error("cannot create a room: {0}")]
    Room(#[from] RoomError),
    /// A guest could not connect.
    #[error("{name} could not connect to {node}: {source}")]
    Connect {
        /// The name of the guest.
        name: String,
        /// The node.
        node: String,
        /// The error.
        source: ConnectError,
    },
    /// Guests were connected but not all welcomed.
    #[error("{0} guests were not welcomed within 30 s")]
    NoWelcome(usize),
    /// The timer failed.
    #[error("the timer failed: {0}")]
    Timer(#[from] io::Error),
}

/// Carries out a plan. Called within a `LocalSet`.
pub(crate) async fn drive(plan: &Plan) -> Result<Report, LoadError> {
    process::raise_open_files();
    let mut room_ids = Vec::with_capacity(plan.rooms);
    for _ in 0..plan.rooms {
        room_ids.push(rooms::create(&plan.nodes[0]).await?);
    }
    let state = new_state(plan, &room_ids);
    let shared = Rc::new(Shared::new(plan.nodes.clone(), room_ids, plan.senders, plan.resume, state));
    connect_all(&shared).await?;
    tokio::time::sleep(SETTLE).await;
    if io::stderr().is_terminal() {
        tokio::task::spawn_local(show_progress(Rc::clone(&shared)));
    }

    let start_ns = shared.now_ns() + nanos(Duration::from_millis(50));
    let window = start_ns + nanos(plan.warmup)..start_ns + nanos(plan.warmup + plan.duration);
    shared.state.borrow_mut().window = window.clone();
    let schedule = Schedule::new(plan.rate, plan.senders, start_ns, plan.warmup + plan.duration, plan.seed);
    let sending = tokio::task::spawn_local(pacer::pace(Rc::clone(&shared), schedule));
    sleep_until(&shared, window.start).await;
    let before = Sample::take(&shared, &plan.processes);
    sleep_until(&shared, window.end).await;
    let after = Sample::take(&shared, &plan.processes);
    sending.await.map_err(io::Error::other)??;

    drain(&shared, plan.drain).await;
    let unacked = {
        let state = &mut *shared.state.borrow_mut();
        judge(&state.ledger, &state.receipts, &mut state.findings)
    };
    if plan.lists {
        check_lists(&shared, plan.drain).await;
    }
    close(&shared).await;
    let state = &mut *shared.state.borrow_mut();
    Ok(Report::new(plan, state, unacked, &before, &after))
}

pub(super) fn new_state(plan: &Plan, room_ids: &[String]) -> State {
    let guests = plan.guests();
    let rings = count(&plan.nodes) * count(room_ids);
    State {
        ledger: Ledger::new(room_ids.len()),
        live: guests
            .iter()
            .map(|(place, _)| Live {
                node: place.node,
                ring_at: 0,
                greatest: Pos::NONE,
                newest: Pos::NONE,
                cursor: None,
                welcomed: false,
                resync: None,
            })
            .collect(),
        receipts: guests.into_iter().map(|(place, name)| Receipts::new(place, name)).collect(),
        nodes: plan
            .nodes
            .iter()
            .map(|_| NodeFigures { delivery: Latency::new(), ack: Latency::new() })
            .collect(),
        window: 0..0,
        delivered: 0,
        lag: Latency::new(),
        findings: Findings::default(),
        notes: Notes::default(),
        copies: [0; COPIES_MAX + 1],
        errors_allowed: plan.errors_allowed,
        ids: IdCodec::new(plan.seed, &room_ids[0]),
        body: Body::new(plan.body_bytes),
        room_ids: room_ids.to_vec(),
        rings: (0..rings).map(|_| FrameRing::new(rings, RING_FRAMES)).collect(),
    }
}

async fn connect_all(shared: &Rc<Shared>) -> Result<(), LoadError> {
    let guests = shared.state.borrow().receipts.len();
    stream::iter(0..guests)
        .map(|guest| async move {
            session::open(shared, guest).await.map_err(|source| {
                let state = shared.state.borrow();
                let node = shared.nodes[state.live[guest].node].to_string();
                LoadError::Connect { name: state.receipts[guest].name.clone(), node, source }
            })
        })
        .buffer_unordered(CONNECTING_MAX)
        .try_for_each(|session| {
            tokio::task::spawn_local(session.live());
            std::future::ready(Ok(()))
        })
        .await?;
    let started = Instant::now();
    loop {
        let missing = shared.state.borrow().live.iter().filter(|live| !live.welcomed).count();
        match missing {
            0 => return Ok(()),
            _ if started.elapsed() > WELCOME_TIMEOUT => return Err(LoadError::NoWelcome(missing)),
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn sleep_until(shared: &Shared, at_ns: u64) {
    tokio::time::sleep(Duration::from_nanos(at_ns.saturating_sub(shared.now_ns()))).await;
}

/// Waits for outstanding messages, `limit` at most, then [`LATE`] for duplicates.
async fn drain(shared: &Shared, limit: Duration) {
    let started = Instant::now();
    while !shared.state.borrow().settled() && started.elapsed() < limit {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(LATE).await;
}

/// Compares the lists of all nodes. As a node may lag for a moment, repeats it until they agree, for `limit` at most.
async fn check_lists(shared: &Shared, limit: Duration) {
    let started = Instant::now();
    loop {
        let mut findings = Findings::default();
        for (room, id) in shared.rooms.iter().enumerate() {
            let mut lists = Vec::with_capacity(shared.nodes.len());
            for node in &shared.nodes {
                match rooms::list(node, id).await {
                    Ok(messages) => lists.push(Listing { node: node.to_string(), messages }),
                    Err(error) => findings.add(Check::ListsAgree, || error.to_string()),
                }
            }
            let state = shared.state.borrow();
            let room = u32::try_from(room).expect("fewer rooms than 2^32");
            let members: Vec<_> =
                state.receipts.iter().filter(|receipts| receipts.place.room == room).collect();
            compare_lists(room, &lists, shared.ids, &state.ledger, &members, &mut findings);
        }
        if findings.passed() || started.elapsed() >= limit {
            shared.state.borrow_mut().findings.merge(&findings);
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn close(shared: &Shared) {
    shared.closing.set(true);
    for guest in 0..shared.state.borrow().receipts.len() {
        shared.outbox(guest).push(frame::CLOSE, &1000_u16.to_be_bytes());
        shared.outbox(guest).flush();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Prints the progress on a terminal, once a second.
async fn show_progress(shared: Rc<Shared>) {
    while !shared.closing.get() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let state = shared.state.borrow();
        let mut delivery = Latency::new();
        for node in &state.nodes {
            delivery.merge(&node.delivery);
        }
        eprint!(
            "\r{:4} s  sent {}  acked {}  open {}  delivered {}  p99 {} ms   ",
            shared.now_ns() / 1_000_000_000,
            grouped(state.ledger.len()),
            grouped(state.ledger.acked()),
            grouped(state.ledger.open()),
            grouped(state.delivered),
            delivery.quantile_ms(0.99)
        );
    }
    eprintln!();
}
