//! One guest of a run: reads its WebSocket for as long as the run lasts.
//! With `--resume` it goes on at the next node with its last cursor, as a real client does.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::tcp::OwnedWriteHalf;

use super::run::Run;
use crate::check::{Check, pos_hash};
use crate::http::query_escaped;
use crate::node::NodeUrl;
use crate::rooms;
use crate::ws::{self, ConnectError, Ended, Reader, frame};

/// Pause between attempts to reconnect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// Opens session `who` for the first time, waiting as long as a limiting node asks.
pub(super) async fn open(run: &Rc<Run>, who: usize) -> Result<Session, ConnectError> {
    let (node, path) = address(run, who);
    let (reader, write) = ws::connect_patiently(node, &path).await?;
    begin(run, who, write);
    Ok(Session { run: Rc::clone(run), who, reader })
}

/// A guest with a connection.
pub(super) struct Session {
    run: Rc<Run>,
    who: usize,
    reader: Reader,
}

impl Session {
    /// Reads until the run closes or, without `--resume`, the connection is lost.
    pub(super) async fn live(mut self) {
        loop {
            let ended = self.read_on().await;
            self.run.outbox(self.who).detach();
            if self.run.closing.get() {
                return;
            }
            self.note_loss(&ended);
            if !self.run.resume {
                return;
            }
            self.reconnect().await;
        }
    }

    async fn read_on(&mut self) -> Ended {
        loop {
            let more = match self.turn().await {
                Ok(more) => more,
                Err(ended) => return ended,
            };
            if self.who < self.run.senders() {
                self.run.top_up(self.who);
            }
            self.follow_resync().await;
            if more {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Takes what one read brings; true if there is probably more.
    async fn turn(&mut self) -> Result<bool, Ended> {
        let Self { run, who, reader } = self;
        let (who, outbox) = (*who, run.outbox(*who));
        let mut pinged = false;
        let result = poll_fn(|cx| {
            outbox.poll_flush(cx);
            let mut state = run.state.borrow_mut();
            // One look at the clock per read: its frames arrived together.
            let mut now_ns = None;
            reader.poll_frames(cx, &mut run.scratch.borrow_mut(), |frame| match frame.opcode {
                frame::TEXT => state.take(who, frame.payload, *now_ns.get_or_insert_with(|| run.now_ns())),
                frame::PING => {
                    outbox.push(frame::PONG, frame.payload);
                    pinged = true;
                }
                _ => {}
            })
        })
        .await;
        if pinged {
            outbox.flush();
        }
        result
    }

    /// After `resync`: loads the room from the node afresh, then goes on from the new cursor.
    async fn follow_resync(&mut self) {
        let (node, cursor) = {
            let mut state = self.run.state.borrow_mut();
            let live = &mut state.live[self.who];
            let Some(cursor) = live.resync.take() else { return };
            (self.run.nodes[live.node].clone(), cursor)
        };
        let room = self.room();
        // If the node dies now, the old cursor stands and the next node says `resync` again.
        let Ok(list) = rooms::list(&node, &self.run.rooms[room]).await else { return };
        let mut state = self.run.state.borrow_mut();
        for listed in &list {
            if let Some(number) = self.run.ids.decode(listed.id.as_bytes()) {
                state.load(self.who, number, pos_hash(&listed.pos));
            }
        }
        state.live[self.who].cursor = Some(cursor);
    }

    fn note_loss(&self, ended: &Ended) {
        let mut state = self.run.state.borrow_mut();
        *state.notes.lost.entry(ended.to_string()).or_default() += 1;
        if !self.run.resume {
            let name = state.receipts[self.who].name.clone();
            let node = &self.run.nodes[state.live[self.who].node];
            state.findings.add(Check::Connected, || format!("{name} at {node}: {ended}"));
        }
    }

    /// Tries one node after the other until one takes the session.
    async fn reconnect(&mut self) {
        loop {
            {
                let mut state = self.run.state.borrow_mut();
                let live = &mut state.live[self.who];
                live.node = (live.node + 1) % self.run.nodes.len();
                live.welcomed = false;
            }
            let (node, path) = address(&self.run, self.who);
            if let Ok((reader, write)) = ws::connect(node, &path).await {
                self.reader = reader;
                begin(&self.run, self.who, write);
                break;
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        {
            let mut state = self.run.state.borrow_mut();
            state.notes.reconnects += 1;
            state.receipts[self.who].reconnected();
        }
        if self.who < self.run.senders() {
            self.run.post_again(self.who);
        }
    }

    fn room(&self) -> usize {
        usize::try_from(self.run.state.borrow().receipts[self.who].place.room).expect("the index of a room")
    }
}

/// Where session `who` connects now, with its cursor if it has one.
fn address(run: &Run, who: usize) -> (&NodeUrl, String) {
    let state = run.state.borrow();
    let (live, receipts) = (&state.live[who], &state.receipts[who]);
    let room = usize::try_from(receipts.place.room).expect("the index of a room");
    let mut path =
        format!("/ws?roomID={}&username={}", query_escaped(&run.rooms[room]), query_escaped(&receipts.name));
    if let Some(cursor) = &live.cursor {
        path = format!("{path}&cursor={}", query_escaped(cursor));
        if !live.greatest.as_str().is_empty() {
            path = format!("{path}&after={}", query_escaped(live.greatest.as_str()));
        }
    }
    (&run.nodes[live.node], path)
}

/// Begins a connection of session `who`: what arrives from now on belongs to it.
fn begin(run: &Run, who: usize, write: OwnedWriteHalf) {
    run.outbox(who).attach(write);
    let mut state = run.state.borrow_mut();
    let ring = state.ring_of(who);
    state.live[who].ring_at = state.rings[ring].head();
}
