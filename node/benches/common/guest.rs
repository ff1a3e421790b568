//! Guests who post at a steady rate, whatever happens, and note what reached them and when. One who loses their
//! connection comes back as the page does: after the same back-off, with their cursor, and resends what was not acked.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval_at, sleep};
use uuid::Uuid;

use super::preload::BODY_CHARS;
use harness::client::post_frame;
use harness::http::try_list_all;
use harness::{Client, Frame, Posted, Refused};

/// As in `web/assets/backoff.js`.
const BACKOFF_FIRST_MS: u64 = 200;
const BACKOFF_MAX_MS: u64 = 5_000;

/// A message: who posted it, and its number among theirs.
pub type Number = (u32, u32);

#[derive(Debug, Clone)]
pub struct Guest {
    pub name: String,
    pub room: String,
    /// The nodes to connect to, beginning with the first; after a lost connection or a failed attempt the next, as a
    /// balancer would choose.
    pub nodes: Vec<SocketAddr>,
    /// Messages a second; `None` for one who only reads.
    pub rate_hz: Option<f64>,
}

/// A message that reached somebody live.
#[derive(Debug, Clone, Copy)]
pub struct Receipt {
    pub from: u32,
    /// The planned time of its post.
    pub due: Duration,
    pub latency_ms: f64,
}

/// A return after a lost connection.
#[derive(Debug, Clone)]
pub struct Return {
    pub welcomed: Instant,
    /// The time at which they had received all that they missed.
    pub caught_up: Instant,
    /// The name under which they are shown.
    pub name: String,
    pub resync: bool,
}

/// The record of one guest.
#[derive(Debug, Default)]
pub struct Noted {
    pub receipts: Vec<Receipt>,
    /// All messages that they received, live or after a return.
    pub shown: HashSet<Number>,
    /// Shown more than once on one connection.
    pub doubled: usize,
    /// The number of messages that they have posted.
    pub posted: u32,
    /// Their own, by number: `pos` and copies of the first ack.
    pub acked: BTreeMap<u32, (String, u32)>,
    pub returns: Vec<Return>,
    /// The guests who left, with the time.
    pub left: Vec<(String, Instant)>,
}

/// All guests, while they are there.
pub struct Load {
    pub began: Instant,
    pub guests: Vec<Guest>,
    notes: Vec<Arc<Mutex<Noted>>>,
    posting: watch::Sender<bool>,
    running: JoinSet<()>,
}

impl Load {
    /// Lets them in, and begins to post once all are there. A guest's number is their place in `guests`.
    pub async fn start(guests: Vec<Guest>) -> Self {
        let (posting, phase) = watch::channel(true);
        let mut clients = Vec::new();
        for guest in &guests {
            clients.push(Client::join(guest.nodes[0], &guest.room, &guest.name).await);
        }
        let mut load = Self {
            began: Instant::now(),
            notes: guests.iter().map(|_| Arc::default()).collect(),
            guests,
            posting,
            running: JoinSet::new(),
        };
        for (number, client) in (0..).zip(clients) {
            let guest = load.guests[number as usize].clone();
            let memory = Memory { number, next: 0, unacked: BTreeMap::new() };
            let notes = load.notes[number as usize].clone();
            let present = Present { guest, began: load.began, posting: phase.clone(), memory, notes };
            load.running.spawn(present.run(client));
        }
        load
    }

    pub fn noted(&self, guest: usize) -> MutexGuard<'_, Noted> {
        locked(&self.notes[guest])
    }

    /// All messages that were acked, with `pos` and copies of the first ack.
    pub fn acked(&self) -> BTreeMap<Number, (String, u32)> {
        let mut all = BTreeMap::new();
        for (from, notes) in (0..).zip(&self.notes) {
            all.extend(locked(notes).acked.iter().map(|(&number, ack)| ((from, number), ack.clone())));
        }
        all
    }

    /// Delivery latencies in ms of messages due within a time.
    pub fn latencies(&self, from: Instant, to: Instant, wanted: impl Fn(usize, u32) -> bool) -> Vec<f64> {
        let due = (from - self.began)..(to - self.began);
        let mut all = Vec::new();
        for (to, notes) in self.notes.iter().enumerate() {
            let notes = locked(notes);
            let within = notes
                .receipts
                .iter()
                .filter(|receipt| due.contains(&receipt.due) && wanted(to, receipt.from));
            all.extend(within.map(|receipt| receipt.latency_ms));
        }
        all
    }

    /// No more posts; the guests stay.
    pub fn stop_posting(&self) {
        self.posting.send_replace(false);
    }

    /// No more posts; waits until all that was posted is acked and has been shown to everybody in its room.
    /// What is still missing after `patience` is returned.
    pub async fn ends_well(&mut self, patience: Duration) -> Result<(), String> {
        self.stop_posting();
        let start = Instant::now();
        loop {
            self.unharmed();
            let missing = self.missing();
            if missing.is_empty() || start.elapsed() > patience {
                return if missing.is_empty() { Ok(()) } else { Err(missing) };
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Counts those of these messages, each in its room, that somebody there has not received.
    pub fn lacking(&self, acked: &BTreeMap<Number, (String, u32)>) -> usize {
        let lacks = |(guest, notes): (&Guest, &Arc<Mutex<Noted>>)| {
            let notes = locked(notes);
            let ours = |from: u32| self.guests[from as usize].room == guest.room;
            acked.keys().filter(|number| ours(number.0) && !notes.shown.contains(number)).count()
        };
        self.guests.iter().zip(&self.notes).map(lacks).sum()
    }

    /// Lists messages that were posted and not acked, or acked and not received by somebody in their room.
    fn missing(&self) -> String {
        let acked = self.acked();
        let posted: u32 = self.notes.iter().map(|notes| locked(notes).posted).sum();
        match (posted as usize - acked.len(), self.lacking(&acked)) {
            (0, 0) => String::new(),
            (unacked, lacking) => {
                format!("{unacked} messages are not acked, {lacking} deliveries are missing")
            }
        }
    }

    /// Fails with a guest's own words if one has failed.
    pub fn unharmed(&mut self) {
        if let Some(Err(error)) = self.running.try_join_next() {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

pub fn locked(notes: &Mutex<Noted>) -> MutexGuard<'_, Noted> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the guest whose message it is, if any: its body begins with their number.
pub fn number_of(posted: &Posted) -> Option<(Number, Duration)> {
    let mut words = posted.body.split(' ');
    let mut word = || words.next()?.parse::<u64>().ok();
    let (from, number, due) = (word()?, word()?, word()?);
    Some(((from.try_into().ok()?, number.try_into().ok()?), Duration::from_micros(due)))
}

/// The state that a guest keeps over connections.
struct Memory {
    number: u32,
    next: u32,
    /// By number: id and body.
    unacked: BTreeMap<u32, (String, String)>,
}

struct Present {
    guest: Guest,
    began: Instant,
    posting: watch::Receiver<bool>,
    memory: Memory,
    notes: Arc<Mutex<Noted>>,
}

impl Present {
    async fn run(mut self, mut client: Client) {
        let mut at = 0;
        let mut pace = self.pace();
        let mut shown_here = HashSet::new();
        loop {
            let code = self.session(&mut client, &mut pace, shown_here).await;
            // 'Resume now', elsewhere or not.
            let mut attempt = if matches!(code, Some(1001 | 4002)) { None } else { Some(0) };
            client = loop {
                sleep(attempt.map_or(Duration::ZERO, backoff)).await;
                attempt = Some(attempt.map_or(0, |attempt| attempt + 1));
                at = (at + 1) % self.guest.nodes.len();
                let Guest { name, room, nodes, .. } = &self.guest;
                match Client::connect(nodes[at], room, name, Some(&client.cursor), client.after.as_deref())
                    .await
                {
                    Ok(back) => break back,
                    Err(Refused { status: 0 | 503, .. }) => {}
                    Err(refused) => panic!("{name} is refused: {refused:?}"),
                }
            };
            let welcomed = Instant::now();
            let opening = client.opening().await;
            shown_here = opening.messages.iter().filter_map(number_of).map(|(number, _)| number).collect();
            let mut notes = locked(&self.notes);
            notes.doubled += opening.messages.len() - shown_here.len();
            notes.shown.extend(&shown_here);
            notes.returns.push(Return {
                welcomed,
                caught_up: Instant::now(),
                name: client.name.clone(),
                resync: opening.resync,
            });
            drop(notes);
            if opening.resync {
                let Guest { room, nodes, .. } = &self.guest;
                tokio::spawn(read_all(nodes[at], room.clone(), self.notes.clone()));
            }
        }
    }

    /// Offsets keep guests from posting all at once.
    fn pace(&self) -> Option<Interval> {
        let period = Duration::from_secs_f64(1.0 / self.guest.rate_hz?);
        let offset = period.mul_f64(f64::from(self.memory.number) * 0.618 % 1.0);
        let mut pace = interval_at((self.began + offset).into(), period);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Some(pace)
    }

    /// Returns when the connection is over, with its close code.
    async fn session(
        &mut self,
        client: &mut Client,
        pace: &mut Option<Interval>,
        mut shown_here: HashSet<Number>,
    ) -> Option<u16> {
        for (id, body) in self.memory.unacked.values() {
            if client.try_send(post_frame(id, body)).await.is_err() {
                return None;
            }
        }
        loop {
            tokio::select! {
                due = tick(pace), if *self.posting.borrow() => {
                    let frame = self.new_post(due);
                    if client.try_send(frame).await.is_err() {
                        return None;
                    }
                }
                frame = client.advance() => match frame {
                    Frame::Message(posted) => {
                        client.messages.clear();
                        self.shown(&posted, &mut shown_here);
                    }
                    Frame::Ack { id, pos, copies, .. } => self.acked(&id, pos, copies),
                    Frame::Left { username } => {
                        locked(&self.notes).left.push((username, Instant::now()));
                    }
                    Frame::Error { code, detail, .. } => panic!("{}: {code} {detail}", self.guest.name),
                    Frame::Closed(code) => return code,
                    _ => {}
                }
            }
        }
    }

    fn new_post(&mut self, due: Instant) -> tokio_tungstenite::tungstenite::Message {
        let number = self.memory.next;
        self.memory.next += 1;
        locked(&self.notes).posted += 1;
        let id = Uuid::new_v4().to_string();
        let due = (due - self.began).as_micros();
        let body = format!("{} {number} {due} ", self.memory.number);
        let body = format!("{body:.<BODY_CHARS$}");
        let frame = post_frame(&id, &body);
        self.memory.unacked.insert(number, (id, body));
        frame
    }

    fn shown(&self, posted: &Posted, shown_here: &mut HashSet<Number>) {
        let Some((number, due)) = number_of(posted) else { return };
        let now = self.began.elapsed();
        let mut notes = locked(&self.notes);
        notes.doubled += usize::from(!shown_here.insert(number));
        notes.shown.insert(number);
        let latency_ms = now.saturating_sub(due).as_secs_f64() * 1e3;
        notes.receipts.push(Receipt { from: number.0, due, latency_ms });
    }

    fn acked(&mut self, id: &str, pos: String, copies: u32) {
        // Not found: a later ack, which may raise the copies.
        let found =
            self.memory.unacked.iter().find(|(_, (unacked, _))| unacked == id).map(|(&number, _)| number);
        if let Some(number) = found {
            self.memory.unacked.remove(&number);
            locked(&self.notes).acked.insert(number, (pos, copies));
        }
    }
}

async fn tick(pace: &mut Option<Interval>) -> Instant {
    match pace {
        Some(pace) => pace.tick().await.into(),
        None => std::future::pending().await,
    }
}

fn backoff(attempt: u32) -> Duration {
    let base = BACKOFF_MAX_MS.min(BACKOFF_FIRST_MS.saturating_mul(2_u64.saturating_pow(attempt)));
    Duration::from_millis(base).mul_f64(rand::random_range(0.5..1.0))
}

/// 'Load afresh': by pages, as much as there is.
async fn read_all(node: SocketAddr, room: String, notes: Arc<Mutex<Noted>>) {
    if let Ok(all) = try_list_all(node, &room).await {
        locked(&notes).shown.extend(all.iter().filter_map(number_of).map(|(number, _)| number));
    }
}
