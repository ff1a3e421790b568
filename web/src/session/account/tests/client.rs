//! Ann's client, which checks that no cursor covers a message that was not sent.

use std::{collections::BTreeSet, sync::Arc};

use starling_protocol::{Cursor, CursorOwner, Hlc, SessionId};
use tokio::sync::watch;

use super::world::{ANN, World, short};
use crate::{
    drain::{Drain, Serving},
    metrics::WebMetrics,
    service::Identity,
    session::{
        ResumePoint,
        account::{self, Account},
        tests::{
            line::Line,
            support::{self, Memory, ORIGIN},
        },
    },
};

pub fn cursor(n: u64) -> ResumePoint {
    let vector = [(ORIGIN, n)].into_iter().collect();
    ResumePoint::Cursor(Cursor { owner: CursorOwner::User(ANN), vector, greatest: Hlc(0) }, n.to_string())
}

/// Ann's client. It keeps an eye on the cursors: none may cover what was not sent.
pub struct Client {
    pub world: Arc<World>,
    pub memory: Arc<Memory>,
    pub metrics: WebMetrics,
    pub drain: watch::Sender<Serving>,
    pub line: Line,
    /// All up to here was there before.
    covered: u64,
    /// The messages that came.
    pub got: BTreeSet<u64>,
}

impl Client {
    /// Connects to a world of so many messages.
    pub fn connect(history: u64, resume_point: ResumePoint) -> Self {
        let world = World::new(history);
        let (memory, metrics) = (Arc::new(Memory::default()), WebMetrics::default());
        let (drain, draining) = Drain::new();
        let mut app = support::app_state(&memory, &world.lanes, metrics.clone(), draining);
        let shared = Arc::get_mut(&mut app).unwrap();
        shared.authentication = world.clone();
        shared.live = world.clone();
        shared.messages = world.clone();
        let covered = match &resume_point {
            ResumePoint::Cursor(cursor, _) => cursor.vector.get(ORIGIN),
            _ => history,
        };
        let identity = Identity { user: ANN, session: SessionId([1; 16]), admin: false, personal: false };
        let (line, wire) = Line::new();
        let client = support::client_end();
        tokio::spawn(account::run(app, Account { identity, client, resume_point, after: None }, wire));
        Self { world, memory, metrics, drain, line, covered, got: BTreeSet::new() }
    }

    /// Connected to a world without any messages.
    pub async fn connected() -> Self {
        let mut client = Self::connect(0, ResumePoint::Nothing);
        client.expect(&["welcome 0", "cursor 0"]).await;
        client
    }

    /// The next frame, in short.
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
        let context = self.world.around();
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
