//! One guest of a run: reads its WebSocket for as long as the run lasts.
//! With `--resume` it goes on at the next node with its last cursor, as a real client does.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::tcp::OwnedWriteHalf;

use super::shared::Shared;
use crate::check::{Check, pos_hash};
use crate::http::query_escaped;
use crate::node::NodeUrl;
use crate::rooms;
use crate::ws::{self, ConnectError, Ended, Reader, frame};

/// Pause between attempts to reconnect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// Opens the session of `guest` for the first time, waiting as long as a limiting node asks.
pub(super) async fn open(shared: &Rc<Shared>, guest: usize) -> Result<Session, ConnectError> {
    let (node, path) = address(shared, guest);
    let (reader, write) = ws::connect_patiently(node, &path).await?;
    begin(shared, guest, write);
    Ok(Session { shared: Rc::clone(shared), guest, reader })
}

/// A guest with a connection.
pub(super) struct Session {
    shared: Rc<Shared>,
    guest: usize,
    reader: Reader,
}

impl Session {
    /// Reads until the run closes or, without `--resume`, the connection is lost.
    pub(super) async fn live(mut self) {
        loop {
            let ended = self.read_on().await;
            self.shared.outbox(self.guest).detach();
            if self.shared.closing.get() {
                return;
            }
            self.note_loss(&ended);
            if !self.shared.resume {
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
            self.follow_resync().await;
            if more {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Takes what one read brings; true if there is probably more.
    async fn turn(&mut self) -> Result<bool, Ended> {
        let Self { shared, guest, reader } = self;
        let (guest, outbox) = (*guest, shared.outbox(*guest));
        let mut pinged = false;
        let result = poll_fn(|cx| {
            outbox.poll_flush(cx);
            let mut state = shared.state.borrow_mut();
            // One look at the clock per read: its frames arrived together.
            let mut now_ns = None;
            reader.poll_frames(cx, &mut shared.scratch.borrow_mut(), |frame| match frame.opcode {
                frame::TEXT => {
                    state.take(guest, frame.payload, *now_ns.get_or_insert_with(|| shared.now_ns()));
                }
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
            let mut state = self.shared.state.borrow_mut();
            let live = &mut state.live[self.guest];
            let Some(cursor) = live.resync.take() else { return };
            (self.shared.nodes[live.node].clone(), cursor)
        };
        let room = self.room();
        // If the node dies now, the old cursor stands and the next node says `resync` again.
        let Ok(list) = rooms::list(&node, &self.shared.rooms[room]).await else { return };
        let mut state = self.shared.state.borrow_mut();
        for listed in &list {
            if let Some(number) = self.shared.ids.decode(listed.id.as_bytes()) {
                state.load(self.guest, number, pos_hash(&listed.pos));
            }
        }
        state.live[self.guest].cursor = Some(cursor);
    }

    fn note_loss(&self, ended: &Ended) {
        let mut state = self.shared.state.borrow_mut();
        *state.notes.lost.entry(ended.to_string()).or_default() += 1;
        if !self.shared.resume {
            let name = state.receipts[self.guest].name.clone();
            let node = &self.shared.nodes[state.live[self.guest].node];
            state.findings.add(Check::Connected, || format!("{name} at {node}: {ended}"));
        }
    }

    /// Tries one node after the other until one takes the session.
    async fn reconnect(&mut self) {
        loop {
            {
                let mut state = self.shared.state.borrow_mut();
                let live = &mut state.live[self.guest];
                live.node = (live.node + 1) % self.shared.nodes.len();
                live.welcomed = false;
            }
            let (node, path) = address(&self.shared, self.guest);
            if let Ok((reader, write)) = ws::connect(node, &path).await {
                self.reader = reader;
                begin(&self.shared, self.guest, write);
                break;
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        {
            let mut state = self.shared.state.borrow_mut();
            state.notes.reconnects += 1;
            state.receipts[self.guest].reconnected();
        }
        if self.guest < self.shared.senders() {
            self.shared.post_again(self.guest);
        }
    }

    fn room(&self) -> usize {
        usize::try_from(self.shared.state.borrow().receipts[self.guest].place.room)
            .expect("the index of a room")
    }
}

/// Where the session of `guest` connects now, with its cursor if it has one.
fn address(shared: &Shared, guest: usize) -> (&NodeUrl, String) {
    let state = shared.state.borrow();
    let (live, receipts) = (&state.live[guest], &state.receipts[guest]);
    let room = usize::try_from(receipts.place.room).expect("the index of a room");
    let mut path = format!(
        "/ws?roomID={}&username={}",
        query_escaped(&shared.rooms[room]),
        query_escaped(&receipts.name)
    );
    if let Some(cursor) = &live.cursor {
        path = format!("{path}&cursor={}", query_escaped(cursor));
        if !live.greatest.as_str().is_empty() {
            path = format!("{path}&after={}", query_escaped(live.greatest.as_str()));
        }
    }
    (&shared.nodes[live.node], path)
}

/// Begins a connection of the session of `guest`: what arrives from now on belongs to it.
fn begin(shared: &Shared, guest: usize, write: OwnedWriteHalf) {
    shared.outbox(guest).attach(write);
    let mut state = shared.state.borrow_mut();
    let ring = state.ring_of(guest);
    state.live[guest].ring_at = state.rings[ring].head();
}
