//! The load on nodes: guests with sockets, messages on a schedule, and the account of what became of them.
//! `quick` and `fanout` describe a [`Plan`]; [`drive`] carries it out. All on one thread, to leave the rest to the nodes.

use std::io::{self, IsTerminal as _};
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::check::{Check, Findings, Ledger, Listing, Receipts, compare_lists, judge};
use crate::ids::IdCodec;
use crate::latency::Latency;
use crate::number::{count, grouped, nanos};
use crate::process;
use crate::rooms::{self, RoomError};
use crate::ws::{ConnectError, frame};

mod body;
mod frame_ring;
mod meter;
mod pacer;
mod plan;
mod report;
mod run;
mod schedule;
mod session;
mod state;

pub(crate) use plan::{Pace, Plan};
pub(crate) use report::Report;

use body::Body;
use frame_ring::{FrameRing, Pos};
use meter::Sample;
use run::Run;
use schedule::Schedule;
use state::{COPIES_MAX, Live, NodeFigures, Notes, State};

/// Handshakes under way at a time.
const CONNECTING_MAX: usize = 16;
/// Longest wait for all guests to be welcomed.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(30);
/// Quiet time between the last welcome and the first message, for notices of presence to ebb away.
const SETTLE: Duration = Duration::from_millis(500);
/// Time after the last expected delivery in which a late duplicate would still be noticed.
const LATE: Duration = Duration::from_millis(500);

/// Why a run could not be carried out; what went wrong within it is in its report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// A room could not be made.
    #[error("no room: {0}")]
    Room(#[from] RoomError),
    /// A guest could not connect.
    #[error("{name} could not connect to {node}: {source}")]
    Connect {
        /// Which guest.
        name: String,
        /// To whom.
        node: String,
        /// Why.
        source: ConnectError,
    },
    /// Guests were connected but not all welcomed.
    #[error("{0} guests were not welcomed within 30 s")]
    NoWelcome(usize),
    /// The timer failed.
    #[error("the timer failed: {0}")]
    Timer(#[from] io::Error),
}

/// Carries out `plan`. To be called within a `LocalSet`.
pub(crate) async fn drive(plan: &Plan) -> Result<Report, LoadError> {
    process::raise_open_files();
    let mut room_ids = Vec::with_capacity(plan.rooms);
    for _ in 0..plan.rooms {
        room_ids.push(rooms::create(&plan.nodes[0]).await?);
    }
    let state = fresh_state(plan, &room_ids);
    let run = Rc::new(Run::new(plan.nodes.clone(), room_ids, plan.senders, plan.resume, state));
    connect_all(&run).await?;
    tokio::time::sleep(SETTLE).await;
    if io::stderr().is_terminal() {
        tokio::task::spawn_local(show_progress(Rc::clone(&run)));
    }

    let start_ns = run.now_ns() + nanos(Duration::from_millis(50));
    let window = start_ns + nanos(plan.warmup)..start_ns + nanos(plan.warmup + plan.duration);
    run.state.borrow_mut().window = window.clone();
    let sending = {
        let (run, plan) = (Rc::clone(&run), plan.clone());
        tokio::task::spawn_local(async move { send(run, &plan, start_ns).await })
    };
    sleep_until(&run, window.start).await;
    let before = Sample::take(&run, &plan.processes);
    sleep_until(&run, window.end).await;
    let after = Sample::take(&run, &plan.processes);
    sending.await.map_err(io::Error::other)??;

    drain(&run, plan.drain).await;
    let unacked = {
        let state = &mut *run.state.borrow_mut();
        judge(&state.ledger, &state.receipts, &mut state.findings)
    };
    if plan.lists {
        check_lists(&run, plan.drain).await;
    }
    close(&run).await;
    let state = &mut *run.state.borrow_mut();
    Ok(Report::new(plan, state, unacked, &before, &after))
}

fn fresh_state(plan: &Plan, room_ids: &[String]) -> State {
    let guests = plan.guests();
    let rings = count(&plan.nodes) * count(room_ids);
    let behind = match plan.pace {
        Pace::Rate(_) => 4_096,
        Pace::Window(window) => window.saturating_mul(16).clamp(4_096, 32_768),
    };
    State {
        ledger: Ledger::new(room_ids.len()),
        live: guests
            .iter()
            .map(|(place, _)| Live {
                node: place.node,
                ring_at: 0,
                greatest: Pos::NONE,
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
        rings: (0..rings).map(|_| FrameRing::new(rings, behind)).collect(),
    }
}

async fn connect_all(run: &Rc<Run>) -> Result<(), LoadError> {
    let guests = run.state.borrow().receipts.len();
    stream::iter(0..guests)
        .map(|who| async move {
            session::open(run, who).await.map_err(|source| {
                let state = run.state.borrow();
                let node = run.nodes[state.live[who].node].to_string();
                LoadError::Connect { name: state.receipts[who].name.clone(), node, source }
            })
        })
        .buffer_unordered(CONNECTING_MAX)
        .try_for_each(|session| {
            tokio::task::spawn_local(session.live());
            std::future::ready(Ok(()))
        })
        .await?;
    let began = Instant::now();
    loop {
        let missing = run.state.borrow().live.iter().filter(|live| !live.welcomed).count();
        match missing {
            0 => return Ok(()),
            _ if began.elapsed() > WELCOME_TIMEOUT => return Err(LoadError::NoWelcome(missing)),
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn send(run: Rc<Run>, plan: &Plan, start_ns: u64) -> io::Result<()> {
    let length = plan.warmup + plan.duration;
    match plan.pace {
        Pace::Rate(rate) => {
            let schedule = Schedule::new(rate, plan.senders, start_ns, length, plan.seed);
            pacer::pace(run, schedule).await
        }
        Pace::Window(window) => {
            sleep_until(&run, start_ns).await;
            run.window.set(window);
            run.window_end_ns.set(start_ns + nanos(length));
            run.top_up(0);
            sleep_until(&run, start_ns + nanos(length)).await;
            Ok(())
        }
    }
}

async fn sleep_until(run: &Run, at_ns: u64) {
    tokio::time::sleep(Duration::from_nanos(at_ns.saturating_sub(run.now_ns()))).await;
}

/// Waits for what is on its way, `limit` at most, and then a moment for what should not come.
async fn drain(run: &Run, limit: Duration) {
    let began = Instant::now();
    while !run.state.borrow().settled() && began.elapsed() < limit {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(LATE).await;
}

/// Compares all nodes' lists. A node may lag behind for a moment: what counts is where it ends within `limit`.
async fn check_lists(run: &Run, limit: Duration) {
    let began = Instant::now();
    loop {
        let mut findings = Findings::default();
        for (room, id) in run.rooms.iter().enumerate() {
            let mut lists = Vec::with_capacity(run.nodes.len());
            for node in &run.nodes {
                match rooms::list(node, id).await {
                    Ok(messages) => lists.push(Listing { node: node.to_string(), messages }),
                    Err(error) => findings.add(Check::ListsAgree, || error.to_string()),
                }
            }
            let state = run.state.borrow();
            let room = u32::try_from(room).expect("fewer rooms than 2^32");
            let members: Vec<_> =
                state.receipts.iter().filter(|receipts| receipts.place.room == room).collect();
            compare_lists(room, &lists, run.ids, &state.ledger, &members, &mut findings);
        }
        if findings.passed() || began.elapsed() >= limit {
            run.state.borrow_mut().findings.merge(&findings);
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn close(run: &Run) {
    run.closing.set(true);
    for who in 0..run.state.borrow().receipts.len() {
        run.outbox(who).push(frame::CLOSE, &1000_u16.to_be_bytes());
        run.outbox(who).flush();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// A line a second on a terminal.
async fn show_progress(run: Rc<Run>) {
    while !run.closing.get() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let state = run.state.borrow();
        let mut delivery = Latency::new();
        for node in &state.nodes {
            delivery.merge(&node.delivery);
        }
        eprint!(
            "\r{:4} s  sent {}  acked {}  open {}  delivered {}  p99 {} ms   ",
            run.now_ns() / 1_000_000_000,
            grouped(state.ledger.len()),
            grouped(state.ledger.acked()),
            grouped(state.ledger.open()),
            grouped(state.delivered),
            delivery.quantile_ms(0.99)
        );
    }
    eprintln!();
}
