//! The client of the user Ann. It checks that no cursor covers a message that was not sent.

use std::{collections::BTreeSet, sync::Arc};

use axum::extract::FromRef as _;
use starling_protocol::{Cursor, CursorOwner, Hlc, Seq, SessionId};
use tokio::sync::watch;

use super::world::{ANN, World, short};
use crate::{
    drain::{Drain, Serving},
    metrics::WebMetrics,
    service::Identity,
    session::{
        ResumePoint, SessionDeps,
        account::{self, SessionUser},
        tests::{
            line::Line,
            support::{self, Memory, ORIGIN},
        },
    },
};

pub fn cursor(n: u64) -> ResumePoint {
    let vector = [(ORIGIN, Seq(n))].into_iter().collect();
    ResumePoint::Cursor(Cursor { owner: CursorOwner::User(ANN), vector, greatest: Hlc(0) }, n.to_string())
}

/// Ann's client. It checks that no cursor covers a message that was not sent.
pub struct Client {
    pub world: Arc<World>,
    pub memory: Arc<Memory>,
    pub metrics: WebMetrics,
    pub drain: watch::Sender<Serving>,
    pub line: Line,
    /// The size of the session's task.
    pub session_bytes: usize,
    /// The messages up to this one need not be sent.
    covered: u64,
    /// The messages that were received.
    pub got: BTreeSet<u64>,
}

impl Client {
    /// Connects to a world of `history` messages.
    pub fn connect(history: u64, resume_point: ResumePoint) -> Self {
        let world = World::new(history);
        let (memory, metrics) = (Arc::new(Memory::default()), WebMetrics::default());
        let (drain, draining) = Drain::new();
        let mut state = support::app_state(&memory, &world.lanes, metrics.clone(), draining);
        state.authentication = world.clone();
        state.live = world.clone();
        state.messages = world.clone();
        let covered = match &resume_point {
            ResumePoint::Cursor(cursor, _) => cursor.vector.get(ORIGIN).0,
            _ => history,
        };
        let identity = Identity { user: ANN, session: SessionId([1; 16]), admin: false, personal: false };
        let (line, wire) = Line::new();
        let client = support::client_connection();
        let user = SessionUser { identity, client, resume_point, last_seen_pos: None };
        let deps = Box::new(SessionDeps::from_ref(&state));
        let session = account::run(deps, Box::new(user), Box::new(wire));
        let session_bytes = size_of_val(&session);
        tokio::spawn(session);
        Self { world, memory, metrics, drain, line, session_bytes, covered, got: BTreeSet::new() }
    }

    /// Connects to a world without messages, and reads the first frames.
    pub async fn connected() -> Self {
        let mut client = Self::connect(0, ResumePoint::Nothing);
        client.expect(&["welcome 0", "cursor 0"]).await;
        client
    }

    /// Returns the next frame in short.
    pub async fn next(&mut self) -> String {
        let frame = match self.line.next().await {
            Ok(frame) => frame,
            Err(code) => return format!("close {code}"),
        };
        if frame["type"] == "message" {
            self.got.insert(frame["n"].as_u64().unwrap());
        }
        if frame["type"] == "cursor" {
            self.check(frame["cursor"].as_str().unwrap().parse().unwrap_or(0));
        }
        short(&frame)
    }

    fn check(&self, cursor: u64) {
        let context = self.world.context();
        let posted = self.world.posted.lock().unwrap();
        let lacked = posted.iter().find(|(n, room, by)| {
            let due = context.rooms.contains(room) && !context.blocked.contains(by);
            due && (self.covered + 1..=cursor).contains(n) && !self.got.contains(n)
        });
        assert_eq!(lacked, None, "cursor {cursor} covers what was not sent");
    }

    pub async fn expect(&mut self, frames: &[&str]) {
        for frame in frames {
            assert_eq!(self.next().await, *frame);
        }
    }

    pub async fn until(&mut self, frame: &str) {
        let last = self.until_or_closed(frame).await;
        assert_eq!(last, frame);
    }

    pub async fn until_or_closed(&mut self, frame: &str) -> String {
        loop {
            let next = self.next().await;
            if next == frame || next.starts_with("close") {
                return next;
            }
        }
    }
}
