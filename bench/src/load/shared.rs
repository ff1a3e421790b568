//! The data shared by the tasks of a run: nodes, clock, outboxes and state.
//! Used from one thread; no borrow is held across an `.await`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use super::state::State;
use crate::check;
use crate::ids::IdCodec;
use crate::node::NodeUrl;
use crate::number::nanos;
use crate::ws::{Outbox, Scratch, frame};

/// The shared data of a run.
pub(crate) struct Shared {
    /// The nodes, in the order of the command line.
    pub(crate) nodes: Vec<NodeUrl>,
    /// The rooms' ids.
    pub(crate) rooms: Vec<String>,
    /// Whether lost connections are resumed on the next node.
    pub(crate) resume: bool,
    /// Encodes message numbers as ids.
    pub(crate) ids: IdCodec,
    /// The state that frames change.
    pub(crate) state: RefCell<State>,
    /// The read buffer of all sessions.
    pub(super) scratch: RefCell<Scratch>,
    /// Whether the run is over, so that closed connections are no loss.
    pub(super) closing: Cell<bool>,
    outboxes: Vec<Rc<Outbox>>,
    senders: usize,
    started: Instant,
    text: RefCell<Vec<u8>>,
}

impl Shared {
    /// Shared data without connections.
    pub(super) fn new(
        nodes: Vec<NodeUrl>,
        rooms: Vec<String>,
        senders: usize,
        resume: bool,
        state: State,
    ) -> Self {
        Self {
            nodes,
            rooms,
            resume,
            ids: state.ids,
            outboxes: state.receipts.iter().map(|_| Rc::new(Outbox::default())).collect(),
            state: RefCell::new(state),
            scratch: RefCell::new(Scratch::new()),
            closing: Cell::new(false),
            senders,
            started: Instant::now(),
            text: RefCell::new(Vec::new()),
        }
    }

    /// Nanoseconds since the run began.
    pub(crate) fn now_ns(&self) -> u64 {
        nanos(self.started.elapsed())
    }

    /// The number of guests that send. They have the lowest indices.
    pub(crate) fn senders(&self) -> usize {
        self.senders
    }

    /// The writing side of the session of `guest`.
    pub(crate) fn outbox(&self, guest: usize) -> &Rc<Outbox> {
        &self.outboxes[guest]
    }

    /// Enters the next message and queues it for the node; the caller flushes.
    pub(super) fn post(&self, sender: usize, due_ns: u64) {
        let connected = self.outboxes[sender].attached();
        let number = {
            let mut state = self.state.borrow_mut();
            let room = state.receipts[sender].place.room;
            let sender = u32::try_from(sender).expect("fewer senders than open files");
            let first = if connected { check::State::Sent } else { check::State::Due };
            if state.window.contains(&due_ns) {
                state.lag.record_ns(self.now_ns().saturating_sub(due_ns));
            }
            state.ledger.enter(sender, room, due_ns, first)
        };
        if connected {
            self.write(sender, number);
        }
    }

    /// After a reconnect, sends messages that wait for an answer again, and those that fell due meanwhile.
    pub(super) fn post_again(&self, sender: usize) {
        let open = {
            let mut state = self.state.borrow_mut();
            let open = state.ledger.open_of(u32::try_from(sender).expect("fewer senders than open files"));
            for &number in &open {
                let message = state.ledger.get_mut(number).expect("it is in the ledger");
                message.resent |= message.state == check::State::Sent;
                message.state = check::State::Sent;
                state.notes.resent +=
                    u64::from(state.ledger.get(number).is_some_and(|message| message.resent));
            }
            open
        };
        for number in open {
            self.write(sender, number);
        }
        self.outboxes[sender].flush();
    }

    fn write(&self, sender: usize, number: u32) {
        let mut text = self.text.borrow_mut();
        self.state.borrow().body.post(number, &self.ids.encode(number), &mut text);
        self.outboxes[sender].push(frame::TEXT, &text);
    }
}
