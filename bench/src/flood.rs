//! `flood`: floods a node with wrong logins from many addresses over distinct names, so that the queue for passwords stays
//! full. Measures the latency of messages in a room, and of right logins.
//! The node must trust this machine as a proxy: the addresses are in `X-Forwarded-For`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::BenchError;
use crate::ids::IdCodec;
use crate::latency::{Latency, Quantiles};
use crate::node::NodeUrl;
use crate::number::{float, nanos};
use crate::options::{many, positive, seconds};
use crate::people::{self, PASSWORD, Person};
use crate::process;
use crate::table::Table;
use crate::ws::{self, Outbox, Reader, Scratch, frame};

/// Wrong logins under way at a time; beyond it none is begun, and that is counted.
const FLOODING_MAX: usize = 2_000;
/// The time within which a right login must succeed.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(15);
/// The wait at the end of a phase for outstanding messages.
const DRAIN: Duration = Duration::from_secs(1);

/// A flood of wrong logins while people write and log in
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The node's address; it must trust this machine as a proxy
    #[arg(long, value_name = "URL")]
    node: NodeUrl,
    /// People writing in one room, each over a live socket
    #[arg(long, default_value = "20", value_name = "N", value_parser = many)]
    people: usize,
    /// Messages a second, of all together
    #[arg(long, default_value = "40", value_parser = positive)]
    rate: f64,
    /// Wrong logins a second
    #[arg(long, default_value = "200", value_parser = positive)]
    flood_rate: f64,
    /// Addresses of the flood
    #[arg(long, default_value = "1000", value_name = "N", value_parser = many)]
    addresses: usize,
    /// Seconds before the flood
    #[arg(long, default_value = "5", value_name = "S", value_parser = seconds)]
    calm: Duration,
    /// Seconds of flood
    #[arg(long, default_value = "20", value_name = "S", value_parser = seconds)]
    duration: Duration,
    /// Fail if the 99th percentile of the delivery latency in the flood is above this
    #[arg(long, value_name = "MS")]
    p99_ms: Option<f64>,
    /// Fail if a right login takes longer
    #[arg(long, value_name = "MS")]
    login_ms: Option<f64>,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    people: usize,
    /// Deliveries before the flood, and in it.
    calm: Quantiles,
    flooded: Quantiles,
    /// Right logins from known addresses, and from new ones, from the first try to the success.
    right_logins: Quantiles,
    right_logins_failed: u64,
    new_address: Quantiles,
    new_address_failed: u64,
    /// Wrong logins by the status of the answer; 0 is no answer.
    wrong_logins: BTreeMap<u16, u64>,
    /// Deliveries that are missing.
    lost: u64,
    passed: bool,
}

/// The data shared by the tasks.
struct Shared {
    node: NodeUrl,
    origin: Instant,
    scratch: RefCell<Scratch>,
    deliveries: RefCell<Latency>,
    delivered: Cell<u64>,
    /// Sockets that were closed.
    closed: Cell<u64>,
    wrong: RefCell<BTreeMap<u16, u64>>,
    flooding: Cell<usize>,
}

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    message: Option<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    body: &'a str,
}

/// Runs it; true if within the limits.
pub(crate) async fn run(options: Options) -> Result<bool, BenchError> {
    process::raise_open_files();
    let shared = Rc::new(Shared {
        node: options.node.clone(),
        origin: Instant::now(),
        scratch: RefCell::new(Scratch::new()),
        deliveries: RefCell::new(Latency::new()),
        delivered: Cell::new(0),
        closed: Cell::new(0),
        wrong: RefCell::default(),
        flooding: Cell::new(0),
    });
    let people = register_people(&options).await?;
    let room = people[0].make_room(&options.node).await?;
    let mut outboxes = Vec::new();
    for person in &people {
        if !outboxes.is_empty() {
            person.join(&options.node, &room).await?;
        }
        let (reader, write) = ws::connect_with(&options.node, "/api/v1/live", &person.headers()).await?;
        let outbox = Rc::new(Outbox::default());
        outbox.attach(write);
        tokio::task::spawn_local(listen(Rc::clone(&shared), reader, Rc::clone(&outbox)));
        outboxes.push(outbox);
    }
    let mut writers = Writers { room: &room, ids: IdCodec::new(1, &room), outboxes: &outboxes, sent: 0 };
    eprintln!("{} people write; {} s before the flood", people.len(), options.calm.as_secs());
    writers.send_for(&shared, options.rate, options.calm).await;
    let calm = std::mem::replace(&mut *shared.deliveries.borrow_mut(), Latency::new());
    eprintln!("{} wrong logins a second for {} s", options.flood_rate, options.duration.as_secs());
    let flood = tokio::task::spawn_local(flood(Rc::clone(&shared), options.flood_rate, options.addresses));
    let until = Instant::now() + options.duration;
    let right = [true, false].map(|is_known| {
        tokio::task::spawn_local(log_in_correctly(options.node.clone(), people.clone(), is_known, until))
    });
    writers.send_for(&shared, options.rate, options.duration).await;
    // The right logins must finish while the flood goes on.
    let [known, new] = right;
    let (known, new) = (known.await.expect("it does not panic"), new.await.expect("it does not panic"));
    flood.abort();

    let expected = writers.sent * u64::try_from(options.people).expect("at most 100,000");
    let flooded = shared.deliveries.borrow().quantiles();
    let right_logins = known.0.quantiles();
    let lost = expected - shared.delivered.get().min(expected);
    let report = Report {
        people: options.people,
        calm: calm.quantiles(),
        passed: lost == 0
            && shared.closed.get() == 0
            && known.1 == 0
            && right_logins.count > 0
            && options.p99_ms.is_none_or(|limit| flooded.p99_ms <= limit)
            && options.login_ms.is_none_or(|limit| right_logins.max_ms <= limit),
        flooded,
        right_logins,
        right_logins_failed: known.1,
        new_address: new.0.quantiles(),
        new_address_failed: new.1,
        wrong_logins: shared.wrong.borrow().clone(),
        lost,
    };
    crate::options::publish(&report, &report.text(), options.json.as_deref())?;
    Ok(report.passed)
}

impl Report {
    fn text(&self) -> String {
        let mut table = Table::new(&["", "count", "p50 ms", "p99 ms", "max ms"]);
        for (name, shown) in [
            ("delivery, before the flood", self.calm),
            ("delivery, in the flood", self.flooded),
            ("right login, known address", self.right_logins),
            ("right login, new address", self.new_address),
        ] {
            let numbers = [shown.p50_ms, shown.p99_ms, shown.max_ms];
            let numbers = numbers.map(|number| format!("{number:.1}"));
            table.row(name, std::iter::once(shown.count.to_string()).chain(numbers));
        }
        let wrong: Vec<_> =
            self.wrong_logins.iter().map(|(status, count)| format!("{count} with {status}")).collect();
        format!(
            "flood: {} people in one room\n\n{}\n  wrong logins were answered: {}\n  deliveries lost: {}; right \
             logins failed: {}, from new addresses {}\n\n{}\n",
            self.people,
            table.render(),
            wrong.join(", "),
            self.lost,
            self.right_logins_failed,
            self.new_address_failed,
            if self.passed { "passed" } else { "FAILED" }
        )
    }
}

/// Registers all people, each from a different address.
async fn register_people(options: &Options) -> Result<Vec<Person>, BenchError> {
    let mut people = Vec::with_capacity(options.people);
    for number in 0..options.people {
        people.push(Person::register(&options.node, format!("person{number}"), &home_address(number)).await?);
    }
    Ok(people)
}

/// Sends messages, from all people in turn.
struct Writers<'a> {
    room: &'a str,
    ids: IdCodec,
    outboxes: &'a [Rc<Outbox>],
    sent: u64,
}

impl Writers<'_> {
    /// Sends at a steady rate for `duration`. A body is the time at which the message was due.
    async fn send_for(&mut self, shared: &Shared, rate: f64, duration: Duration) {
        let begin = Instant::now();
        for turn in 0_u64.. {
            let due = Duration::from_secs_f64(float(turn) / rate);
            if due >= duration {
                break;
            }
            tokio::time::sleep_until((begin + due).into()).await;
            let id = self.ids.encode(u32::try_from(self.sent).expect("a run is shorter"));
            let at = nanos((begin + due).duration_since(shared.origin));
            let id = std::str::from_utf8(&id).expect("an id is ASCII");
            let frame =
                json!({"type": "send", "id": id, "room_id": self.room, "body": at.to_string()}).to_string();
            let person = usize::try_from(self.sent).expect("64 bits") % self.outboxes.len();
            self.outboxes[person].push(frame::TEXT, frame.as_bytes());
            self.outboxes[person].flush();
            self.sent += 1;
        }
        tokio::time::sleep(DRAIN).await;
    }
}

/// Reads the frames of a socket.
async fn listen(shared: Rc<Shared>, mut reader: Reader, outbox: Rc<Outbox>) {
    let take = |payload: &[u8]| {
        let Ok(incoming) = serde_json::from_slice::<Incoming<'_>>(payload) else { return };
        let due = incoming.message.filter(|_| incoming.kind == "message");
        if let Some(due) = due.and_then(|message| message.body.parse::<u64>().ok()) {
            let now = nanos(shared.origin.elapsed());
            shared.deliveries.borrow_mut().record_ns(now.saturating_sub(due));
            shared.delivered.set(shared.delivered.get() + 1);
        } else if incoming.kind == "error" {
            eprintln!("a socket got an error: {}", String::from_utf8_lossy(payload));
        }
    };
    loop {
        let turn = poll_fn(|cx| {
            outbox.poll_flush(cx);
            reader.poll_frames(cx, &mut shared.scratch.borrow_mut(), |frame| match frame.opcode {
                frame::PING => outbox.push(frame::PONG, frame.payload),
                frame::TEXT => take(frame.payload),
                _ => {}
            })
        });
        if let Err(ended) = turn.await {
            eprintln!("a socket was closed: {ended}");
            shared.closed.set(shared.closed.get() + 1);
            return;
        }
        outbox.flush();
    }
}

/// Starts wrong logins at a steady rate, until it is aborted.
async fn flood(shared: Rc<Shared>, rate: f64, addresses: usize) {
    let begin = Instant::now();
    for turn in 0_u64.. {
        tokio::time::sleep_until((begin + Duration::from_secs_f64(float(turn) / rate)).into()).await;
        if shared.flooding.get() == FLOODING_MAX {
            continue;
        }
        shared.flooding.set(shared.flooding.get() + 1);
        let shared = Rc::clone(&shared);
        tokio::task::spawn_local(async move {
            let number = usize::try_from(turn).expect("64 bits") % addresses;
            let from = format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
            let answer = people::login(&shared.node, &format!("nobody{turn}"), "wrong horse", &from).await;
            *shared.wrong.borrow_mut().entry(answer.map_or(0, |head| head.status)).or_default() += 1;
            shared.flooding.set(shared.flooding.get() - 1);
        });
    }
}

/// People log in one after the other, a second apart, from the address of their registration or from a new one. After a
/// refusal they wait as told and try again, as a client does. Returns the latencies, and the number of failures.
async fn log_in_correctly(
    node: NodeUrl,
    people: Vec<Person>,
    is_known: bool,
    until: Instant,
) -> (Latency, u64) {
    let (mut took, mut failed) = (Latency::new(), 0);
    for (turn, person) in people.iter().cycle().enumerate() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if Instant::now() > until {
            break;
        }
        let from =
            if is_known { home_address(turn % people.len()) } else { format!("198.19.0.{}", turn + 1) };
        let begin = Instant::now();
        let succeeded = loop {
            match people::login(&node, &person.username, PASSWORD, &from).await {
                Ok(head) if head.status == 200 => break true,
                Ok(head) if begin.elapsed() < LOGIN_TIMEOUT => match head.retry_after() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => break false,
                },
                _ => break false,
            }
        };
        if succeeded {
            took.record_ns(nanos(begin.elapsed()));
        } else {
            failed += 1;
        }
    }
    (took, failed)
}

/// The address from which a person registers.
fn home_address(number: usize) -> String {
    format!("198.18.{}.{}", number / 250, number % 250 + 1)
}
