//! The loop of the generator: one thread, one epoll, all connections. Sends what is due on a schedule that is fixed before
//! (open loop), and counts what arrives. The same for all servers and protocols.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::client::{Client, Progress, SCRATCH_BYTES};
use super::stamp::{Body, IdOrder, StampedIds};
use super::tally::Tally;
use crate::BenchError;
use crate::dialect::Dialect;
use crate::number::{count, nanos, splitmix};
use crate::schedule::Schedule;

/// Events taken from the kernel at once. What is due is sent between any two of them.
const EVENTS: usize = 512;
/// Without frames for so long, presence is over.
const QUIET: Duration = Duration::from_millis(300);
/// Longest wait for that: a room of ten thousand hears of a hundred million arrivals.
const SETTLE_MAX: Duration = Duration::from_mins(5);
/// Stands for the timer.
const TIMER: u64 = u64::MAX;

/// The generator.
pub(crate) struct Driver {
    epoll: OwnedFd,
    timer: OwnedFd,
    events: Vec<epoll::Event>,
    /// `None` where the connection was lost.
    clients: Vec<Option<Client>>,
    scratch: Box<[u8]>,
    origin: Instant,
    body: Body,
    ids: StampedIds,
    masks: u64,
    /// The account.
    pub(crate) tally: Tally,
}

/// A fixed schedule, and the connections that send on it.
pub(crate) struct Sending {
    /// The messages that are due.
    pub(crate) schedule: Schedule,
    /// The connection of each sender.
    pub(crate) senders: Vec<usize>,
}

impl Driver {
    /// A generator without connections, for bodies of so many bytes.
    pub(crate) fn new(body_bytes: usize, order: IdOrder) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(Self {
            epoll,
            timer,
            events: Vec::with_capacity(EVENTS),
            clients: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            origin: Instant::now(),
            body: Body::new(body_bytes),
            ids: StampedIds::new(order),
            masks: 1,
            tally: Tally::new(),
        })
    }

    /// Nanoseconds since the driver was made.
    pub(crate) fn now_ns(&self) -> u64 {
        nanos(self.origin.elapsed())
    }

    /// Takes a connection after its handshake; returns its index.
    pub(crate) fn add(
        &mut self,
        stream: TcpStream,
        dialect: Dialect,
        room: String,
        rest: Vec<u8>,
    ) -> io::Result<usize> {
        let client = Client::new(stream, dialect, room, rest)?;
        epoll::add(&self.epoll, client.fd(), EventData::new_u64(count(&self.clients)), EventFlags::IN)?;
        self.clients.push(Some(client));
        Ok(self.clients.len() - 1)
    }

    /// Sends and receives until `until_ns`; what is due then was sent.
    pub(crate) fn run(&mut self, sending: &mut Sending, until_ns: u64) -> io::Result<()> {
        loop {
            let now_ns = self.now_ns();
            self.send_due(sending, now_ns)?;
            if now_ns >= until_ns {
                return Ok(());
            }
            let wake_ns = sending.schedule.peek().map_or(until_ns, |due| due.due_ns.min(until_ns));
            self.turn(wake_ns.saturating_sub(now_ns), |driver| {
                let now_ns = driver.now_ns();
                driver.send_due(sending, now_ns)
            })?;
        }
    }

    /// Sends and receives by this schedule until `until_ns`.
    pub(crate) fn run_all(
        &mut self,
        schedule: Schedule,
        senders: Vec<usize>,
        until_ns: u64,
    ) -> io::Result<()> {
        self.run(&mut Sending { schedule, senders }, until_ns)
    }

    /// Receives until `is_done`, `limit` at most. Returns whether it is.
    pub(crate) fn receive_until(
        &mut self,
        limit: Duration,
        is_done: impl Fn(&Tally) -> bool,
    ) -> io::Result<bool> {
        let end_ns = self.now_ns() + nanos(limit);
        while !is_done(&self.tally) {
            let now_ns = self.now_ns();
            if now_ns >= end_ns {
                return Ok(false);
            }
            self.turn((end_ns - now_ns).min(10_000_000), |_| Ok(()))?;
        }
        Ok(true)
    }

    /// Receives all that is there.
    pub(crate) fn receive_pending(&mut self) -> io::Result<()> {
        while self.turn(0, |_| Ok(()))? {}
        Ok(())
    }

    /// Receives until nothing came for [`QUIET`]. An error tells if that takes too long, or a connection is lost.
    pub(crate) fn settle(&mut self) -> Result<(), BenchError> {
        let begin = Instant::now();
        let mut last = begin;
        while last.elapsed() < QUIET {
            if self.turn(nanos(QUIET), |_| Ok(()))? {
                last = Instant::now();
            }
            if begin.elapsed() > SETTLE_MAX {
                return Err(BenchError::Preparation("it does not become quiet".into()));
            }
        }
        let count = self.tally.lost_connections;
        if count > 0 {
            let trouble = self.tally.trouble.as_deref().unwrap_or_default();
            return Err(BenchError::Preparation(format!("{count} connections were lost: {trouble}")));
        }
        Ok(())
    }

    /// Posts `window` messages of each sender, as many as [`Self::keep_window`] then keeps unacked.
    pub(crate) fn open_window(&mut self, senders: &[usize], window: u32) -> io::Result<()> {
        for &sender in senders {
            if let Some(client) = self.clients[sender].as_mut() {
                client.acks = 0;
            }
            self.post_now(sender, window)?;
        }
        Ok(())
    }

    /// Posts a message for each ack until `until_ns`, but not more than `total` messages. Returns when these are acked, too.
    pub(crate) fn keep_window(&mut self, senders: &[usize], until_ns: u64, total: u64) -> io::Result<()> {
        while self.tally.acked < total && self.tally.lost_connections == 0 {
            let left_ns = until_ns.saturating_sub(self.now_ns());
            if left_ns == 0 {
                break;
            }
            self.turn(left_ns.min(10_000_000), |_| Ok(()))?;
            for &sender in senders {
                let acks = self.clients[sender].as_mut().map_or(0, |client| std::mem::take(&mut client.acks));
                let left = u32::try_from(total.saturating_sub(self.tally.sent)).unwrap_or(u32::MAX);
                self.post_now(sender, acks.min(left))?;
            }
        }
        Ok(())
    }

    /// Posts messages that are due now.
    fn post_now(&mut self, sender: usize, messages: u32) -> io::Result<()> {
        for _ in 0..messages {
            let now_ns = self.now_ns();
            self.post(sender, now_ns, now_ns);
        }
        if messages > 0 { self.flush(sender) } else { Ok(()) }
    }

    /// Waits for events, `wait_ns` at most, and reads all connections that have something. Calls `between` after each.
    /// Returns whether there was something.
    fn turn(
        &mut self,
        wait_ns: u64,
        mut between: impl FnMut(&mut Self) -> io::Result<()>,
    ) -> io::Result<bool> {
        if wait_ns > 0 {
            self.set_timer(wait_ns)?;
        }
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let waited = epoll::wait(&self.epoll, spare_capacity(&mut events), (wait_ns == 0).then_some(&none));
        if let Err(error) = waited
            && error != rustix::io::Errno::INTR
        {
            return Err(error.into());
        }
        let mut is_busy = false;
        for event in &events {
            let data = event.data;
            if data.u64() == TIMER {
                // Rings once; the next setting silences it.
                let _ = rustix::io::read(&self.timer, &mut [0_u8; 8]);
                continue;
            }
            is_busy = true;
            let index = usize::try_from(data.u64()).expect("the index of a connection");
            let flags = event.flags;
            self.serve(index, flags)?;
            between(self)?;
        }
        self.events = events;
        Ok(is_busy)
    }

    fn serve(&mut self, index: usize, flags: EventFlags) -> io::Result<()> {
        let Some(client) = self.clients[index].as_mut() else { return Ok(()) };
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let origin = self.origin;
            let progress = client.read(&mut self.scratch, &mut self.tally, || nanos(origin.elapsed()));
            if let Progress::Ended(reason) = progress {
                self.tally.lose_connection(reason);
                self.clients[index] = None;
                return Ok(());
            }
        }
        self.flush(index)
    }

    fn send_due(&mut self, sending: &mut Sending, now_ns: u64) -> io::Result<()> {
        let mut last = None;
        while let Some(due) = sending.schedule.take_due(now_ns) {
            let sender = sending.senders[due.sender];
            // All that is due goes out in one write, as far as it is of one sender.
            if let Some(last) = last.replace(sender)
                && last != sender
            {
                self.flush(last)?;
            }
            self.post(sender, due.due_ns, now_ns);
        }
        last.map_or(Ok(()), |last| self.flush(last))
    }

    fn post(&mut self, sender: usize, due_ns: u64, now_ns: u64) {
        self.tally.send(due_ns, now_ns);
        let [a, b, c, d, ..] = splitmix(&mut self.masks).to_le_bytes();
        let id = self.ids.make(now_ns);
        if let Some(client) = self.clients[sender].as_mut() {
            client.post(&id, self.body.stamped(due_ns), [a, b, c, d]);
        }
    }

    /// Writes what waits, and asks the kernel to say when it takes more.
    fn flush(&mut self, index: usize) -> io::Result<()> {
        let Some(client) = self.clients[index].as_mut() else { return Ok(()) };
        let was_waiting = client.waits_for_room;
        let is_done = client.flush();
        if is_done == was_waiting {
            client.waits_for_room = !is_done;
            let flags = if is_done { EventFlags::IN } else { EventFlags::IN | EventFlags::OUT };
            let data = EventData::new_u64(u64::try_from(index).expect("64 bits"));
            epoll::modify(&self.epoll, client.fd(), data, flags)?;
        }
        Ok(())
    }

    fn set_timer(&self, wait_ns: u64) -> io::Result<()> {
        let wait = Duration::from_nanos(wait_ns);
        let setting = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(wait.subsec_nanos()),
            },
        };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }
}
