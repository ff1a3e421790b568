//! The faults of a node: it dies, hangs, loses its disk, runs out of space, is restarted, joins or leaves. Each function
//! breaks it, lets the load go on, mends it if possible, and returns a description.

use std::time::{Duration, Instant};

use rand::RngExt as _;

use crate::rules::dropped_twice;
use crate::run::Run;

/// Longer than any node needs to catch up.
pub(crate) const CATCH_UP: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeFault {
    Kill,
    Hang,
    FullDisk,
    EmptyDisk,
    RollingRestart,
    Join,
    Leave,
    Vanish,
}

impl NodeFault {
    pub(crate) const ALL: [Self; 8] = [
        Self::Kill,
        Self::Hang,
        Self::FullDisk,
        Self::EmptyDisk,
        Self::RollingRestart,
        Self::Join,
        Self::Leave,
        Self::Vanish,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9 and restart",
            Self::Hang => "hang (SIGSTOP)",
            Self::FullDisk => "full disk",
            Self::EmptyDisk => "kill -9, restart with an emptied directory",
            Self::RollingRestart => "rolling restart",
            Self::Join => "join",
            Self::Leave => "leave for good (SIGTERM)",
            Self::Vanish => "leave for good (kill -9)",
        }
    }

    /// Whether it needs a network without faults: only the effects of this fault are counted.
    pub(crate) fn stands_alone(self) -> bool {
        matches!(self, Self::FullDisk | Self::RollingRestart | Self::Leave)
    }

    /// Breaks and mends; returns a description.
    pub(crate) async fn pass(self, run: &mut Run, lasts: Duration) -> String {
        match self {
            Self::Kill => kill(run, lasts).await,
            Self::Hang => hang(run).await,
            Self::FullDisk => crate::full_disk::pass(run, lasts).await,
            Self::EmptyDisk => lose_disk(run, lasts).await,
            Self::RollingRestart => restart_all(run).await,
            Self::Join => join(run, lasts).await,
            Self::Leave => leave(run, lasts).await,
            Self::Vanish => vanish(run, lasts).await,
        }
    }
}

async fn kill(run: &mut Run, lasts: Duration) -> String {
    let x = run.pick();
    run.load.ledger().places.shake(x);
    run.cluster[x].kill9().await;
    run.load.goes_on(lasts).await;
    let ready = run.start(x).await;
    format!("{} killed, ready {ready:.1?} after its start", run.name(x))
}

async fn hang(run: &mut Run) -> String {
    let x = run.pick();
    let lasts = Duration::from_millis(run.rng.random_range(1_000..=run.hang_ms_max));
    run.cluster[x].pause();
    run.load.goes_on(lasts).await;
    run.cluster[x].resume();
    format!("{} hung for {lasts:.1?}", run.name(x))
}

async fn lose_disk(run: &mut Run, lasts: Duration) -> String {
    let x = run.pick();
    run.load.ledger().places.shake(x);
    run.cluster[x].kill9().await;
    run.load.goes_on(lasts).await;
    run.new_disk(x, false);
    let ready = run.start(x).await;
    format!("{} lost its disk, ready {ready:.1?} after its start", run.name(x))
}

async fn restart_all(run: &mut Run) -> String {
    let begin = Instant::now();
    let before = run.load.ledger().dropped.len();
    let (mut stopping, mut starting) = (Duration::ZERO, Duration::ZERO);
    let nodes = run.running();
    for &x in &nodes {
        stopping = stopping.max(run.stop(x).await);
        starting = starting.max(run.start(x).await);
    }
    let mut ledger = run.load.ledger();
    let dropped = &ledger.dropped[before..];
    let (sessions, in_flight) =
        (dropped.len(), dropped.iter().map(|dropped| dropped.in_flight).sum::<usize>());
    let twice = dropped_twice(&ledger, begin);
    ledger.needless.extend(twice);
    run.rolling.restarts += nodes.len();
    run.rolling.sessions += sessions;
    run.rolling.in_flight += in_flight;
    format!(
        "{} nodes one after the other, stopped within {stopping:.1?}, ready within {starting:.1?}, \
         {sessions} sessions handed over with {in_flight} posts in flight",
        nodes.len()
    )
}

async fn join(run: &mut Run, lasts: Duration) -> String {
    let free = (0..run.cluster.nodes.len()).find(|&at| !run.cluster[at].is_running());
    let x = free.expect("the schedule lets a node join only where one is free");
    run.load.ledger().places.shake(x);
    run.load.ledger().places.set_open(x, true);
    let ready = run.start(x).await;
    run.load.goes_on(lasts).await;
    format!("{} joined, ready {ready:.1?} after its start", run.name(x))
}

async fn leave(run: &mut Run, lasts: Duration) -> String {
    let x = run.pick_leaving();
    run.load.ledger().places.set_open(x, false);
    let stopped = run.stop(x).await;
    // It has handed its log over: its disk is not needed any more.
    run.new_disk(x, true);
    run.load.goes_on(lasts).await;
    format!("{} left within {stopped:.1?}", run.name(x))
}

async fn vanish(run: &mut Run, lasts: Duration) -> String {
    let x = run.pick_leaving();
    run.load.ledger().places.shake(x);
    run.load.ledger().places.set_open(x, false);
    run.cluster[x].kill9().await;
    run.new_disk(x, false);
    run.load.goes_on(lasts).await;
    format!("{} gone for ever", run.name(x))
}
