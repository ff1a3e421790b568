//! The writing side of a WebSocket: frames are queued here and written at once as far as the kernel takes them.
//! The pacer writes without waiting; what is left over is written by the session when there is room.
//! It is bounded by the run's schedule: an open-loop sender must be able to fall behind.

use std::cell::{Cell, RefCell};
use std::io;
use std::task::{Context, Poll, Waker};

use tokio::net::tcp::OwnedWriteHalf;

use super::frame;
use crate::number::splitmix;

/// Frames on their way to one node. Used from one thread only.
#[derive(Default)]
pub(crate) struct Outbox {
    half: RefCell<Option<OwnedWriteHalf>>,
    bytes: RefCell<Vec<u8>>,
    /// Wakes the session, which alone may wait for room.
    session: RefCell<Option<Waker>>,
    masks: Cell<u64>,
}

impl Outbox {
    /// Begins a connection.
    pub(crate) fn attach(&self, half: OwnedWriteHalf) {
        self.bytes.borrow_mut().clear();
        *self.half.borrow_mut() = Some(half);
    }

    /// Ends the connection; what was not written is forgotten, as it would be in the network.
    pub(crate) fn detach(&self) {
        *self.half.borrow_mut() = None;
        self.bytes.borrow_mut().clear();
    }

    /// Whether there is a connection.
    pub(crate) fn attached(&self) -> bool {
        self.half.borrow().is_some()
    }

    /// Queues a frame; [`Self::flush`] writes it.
    pub(crate) fn push(&self, opcode: u8, payload: &[u8]) {
        let mut state = self.masks.get();
        let [a, b, c, d, ..] = splitmix(&mut state).to_le_bytes();
        self.masks.set(state);
        frame::write(&mut self.bytes.borrow_mut(), opcode, [a, b, c, d], payload);
    }

    /// Writes what the kernel takes now, and leaves the rest to the session.
    pub(crate) fn flush(&self) {
        if !self.write_some()
            && let Some(waker) = self.session.borrow().as_ref()
        {
            waker.wake_by_ref();
        }
    }

    /// Writes on when there is room. Called by the session at each of its turns; never completes by itself.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) {
        {
            let mut session = self.session.borrow_mut();
            if !session.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *session = Some(cx.waker().clone());
            }
        }
        while !self.write_some() {
            let half = self.half.borrow();
            let Some(half) = half.as_ref() else { return };
            if !matches!(half.as_ref().poll_write_ready(cx), Poll::Ready(Ok(()))) {
                return;
            }
        }
    }

    /// True when nothing is left. A broken connection counts as that: the reading side reports it.
    fn write_some(&self) -> bool {
        let mut bytes = self.bytes.borrow_mut();
        let half = self.half.borrow();
        let Some(half) = half.as_ref() else { return true };
        while !bytes.is_empty() {
            match half.try_write(&bytes) {
                Ok(written) => drop(bytes.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => bytes.clear(),
            }
        }
        true
    }
}
