//! Measures what a durable post costs the store alone: CPU time, bytes written, bytes kept. One thread commits batches of
//! posts over many rooms, half by guests of quick rooms, half by members of rooms, to a store that has messages already.
//! `cargo bench -p starling-node --bench commits -- --help`

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use common::Report;
use redb::{ReadableDatabase, ReadableTableMetadata, TableHandle};
use starling_node::permissions::refuse_post_at_commit;
use starling_node::store::{Committer, Op, OpResult, Store};
use starling_protocol::event::{
    MemberRoomCreated, Membership, MembershipChanged, Role, UserRegistered, Visibility,
};
use starling_protocol::{
    Event, EventBody, EventDraft, GuestId, GuestName, Hlc, MessageId, MessagePosted, MessageText, NodeId,
    OriginId, QuickRoomCreated, RoomId, RoomName, Scope, Sender, Seq, Topic, UserId, Username,
};

/// The cost of a durable post
#[derive(Debug, Clone, Parser)]
struct Options {
    /// Messages in the store before
    #[arg(long, default_value = "100000", value_name = "N")]
    before: u64,
    /// Only one kind of ids: `rising` or `random`
    #[arg(long, value_name = "KIND")]
    ids: Option<String>,
    /// Only batches of this size: 20, 200 or 1000
    #[arg(long, value_name = "N")]
    batch: Option<u64>,
    /// Posts per size of a batch; by default so many that each takes some seconds
    #[arg(long, value_name = "N")]
    posts: Option<u64>,
    /// The folder of the store; by default a temporary one, which may not be on a disk
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Rooms, every second of them a quick room.
const ROOMS: u64 = 64;
/// People who write in each room.
const WRITERS: u64 = 4;
/// Sizes of batches, and the number of posts that are measured with each.
const BATCHES: [(u64, u64); 3] = [(20, 6_000), (200, 40_000), (1_000, 80_000)];
/// Messages in a batch of those that were there before.
const BATCH_BEFORE: u64 = 5_000;
/// The wall clock of the first post, in Unix milliseconds.
const BEGIN_MS: u64 = 1_790_000_000_000;
/// Posts per millisecond of the wall clock.
const POSTS_PER_MS: u64 = 5;

fn main() -> ExitCode {
    let options = Options::parse();
    let mut report = Report::new(format!("durable posts of 128 bytes, after {} messages", options.before));
    for ids in [Ids::Rising, Ids::Random] {
        if options.ids.as_deref().is_none_or(|name| name == ids.name()) {
            measure(&options, ids, &mut report);
        }
    }
    report.finish()
}

/// The ids that clients give to their messages.
#[derive(Debug, Clone, Copy)]
enum Ids {
    /// UUID version 7: they begin with the time.
    Rising,
    /// UUID version 4.
    Random,
}

impl Ids {
    fn name(self) -> &'static str {
        match self {
            Self::Rising => "rising",
            Self::Random => "random",
        }
    }

    fn id(self, n: u64) -> MessageId {
        let mut bytes: [u8; 16] =
            blake3::hash(&n.to_be_bytes()).as_bytes()[..16].try_into().expect("16 of 32");
        if let Self::Rising = self {
            bytes[..6].copy_from_slice(&now_ms(n).to_be_bytes()[2..]);
        }
        MessageId::from_bytes(bytes)
    }
}

fn now_ms(n: u64) -> u64 {
    BEGIN_MS + n / POSTS_PER_MS
}

fn measure(options: &Options, ids: Ids, report: &mut Report) {
    let dir = match &options.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    let dir = dir.expect("a folder can be made");
    let file = dir.path().join("store");
    let store = Arc::new(Store::open_file(&file).expect("a store can be made"));
    let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), BEGIN_MS).expect("it is new");
    committer.commit(BEGIN_MS, 1, &[Op::Received(people_and_rooms())]).expect("they are written");
    let began = Instant::now();
    let mut posts = Posts { committer, ids, next: 0 };
    posts.post(options.before, BATCH_BEFORE);
    report.note(
        &format!("{}: seconds to write the messages before", ids.name()),
        began.elapsed().as_secs_f64(),
    );
    for (batch, count) in BATCHES {
        if options.batch.is_some_and(|only| only != batch) {
            continue;
        }
        let count = options.posts.unwrap_or(count);
        let batches = posts.prepare(count, batch);
        let before = Usage::now(&file);
        posts.commit(&batches);
        let used = Usage::now(&file).since(&before, count);
        let name = format!("{}, batches of {batch}", ids.name());
        report.note(&format!("{name}: CPU µs per post"), used.cpu_us);
        report.note(&format!("{name}: wall µs per post"), used.wall_us);
        report.note(&format!("{name}: bytes written per post"), used.written);
    }
    let messages = posts.next;
    drop((posts, store));
    note_size(&file, ids, messages, report);
}

/// Notes what the file takes, and which tables fill it, per message.
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn note_size(file: &Path, ids: Ids, messages: u64, report: &mut Report) {
    let metadata = fs::metadata(file).expect("it is there");
    let each = |bytes: u64| bytes as f64 / messages as f64;
    let name = ids.name();
    report.note(&format!("{name}: bytes of the file per message"), each(metadata.len()));
    report.note(&format!("{name}: bytes on disk per message"), each(metadata.blocks() * 512));
    let database = redb::Database::open(file).expect("it is a store");
    let transaction = database.begin_read().expect("it can be read");
    let mut all = 0;
    for table in transaction.list_tables().expect("it has tables") {
        let title = table.name().to_owned();
        let table = transaction.open_untyped_table(table).expect("it is there");
        let stats = table.stats().expect("it can be read");
        let bytes = stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
        all += bytes;
        if each(bytes) >= 0.5 {
            println!(
                "    {title}: {:.0} rows, {:.0} stored, {:.0} metadata, {:.0} fragmented per message",
                each(table.len().expect("it can be read") * 100) / 100.0,
                each(stats.stored_bytes()),
                each(stats.metadata_bytes()),
                each(stats.fragmented_bytes()),
            );
        }
    }
    report.note(&format!("{name}: bytes of pages in use per message"), each(all));
}

/// A client of the committer.
struct Posts {
    committer: Committer,
    ids: Ids,
    next: u64,
}

impl Posts {
    /// Posts so many messages in batches.
    fn post(&mut self, mut count: u64, batch: u64) {
        while count > 0 {
            let some = count.min(batch);
            let batches = self.prepare(some, batch);
            self.commit(&batches);
            count -= some;
        }
    }

    /// Makes the next messages, which isn't measured.
    fn prepare(&mut self, count: u64, batch: u64) -> Vec<(u64, Vec<Op>)> {
        let (begin, size) = (self.next, size(batch));
        self.next += count;
        let ops = |from| (from..self.next).take(size).map(|n| post(n, self.ids)).collect();
        (begin..self.next).step_by(size).map(|from| (from, ops(from))).collect()
    }

    fn commit(&mut self, batches: &[(u64, Vec<Op>)]) {
        for (first, ops) in batches {
            let commit = self.committer.commit(now_ms(*first), 1, ops).expect("it is written");
            let all = commit.results.iter().all(|result| matches!(result, OpResult::Done(_)));
            assert!(all, "all are posted");
        }
    }
}

fn size(batch: u64) -> usize {
    usize::try_from(batch).expect("a batch fits memory")
}

fn room(n: u64) -> RoomId {
    RoomId(
        blake3::hash(&[u8::try_from(n % ROOMS).unwrap_or_default()]).as_bytes()[..10]
            .try_into()
            .expect("10 of 32"),
    )
}

fn is_quick(n: u64) -> bool {
    n.is_multiple_of(2)
}

fn post(n: u64, ids: Ids) -> Op {
    let place = blake3::hash(&(n ^ 0xa5a5_a5a5).to_le_bytes()).as_bytes()[0].into();
    let writer = n % WRITERS;
    let sender = if is_quick(place) {
        let name = GuestName::parse(&format!("guest {writer}")).expect("a name");
        Sender::Guest { id: GuestId([u8::try_from(writer).unwrap_or_default(); 16]), name }
    } else {
        Sender::User(user(writer))
    };
    let text = MessageText::parse(&format!("{n:0>128}")).expect("a text");
    let posted = MessagePosted::new(ids.id(n), sender, text);
    Op::Post { room: room(place), posted, above_hlc: None, check: refuse_post_at_commit }
}

fn user(n: u64) -> UserId {
    UserId((0x1111 * u128::from(n + 1)).to_be_bytes())
}

/// The events of another node that make the writers and their rooms.
fn people_and_rooms() -> Vec<Event> {
    let mut facts: Vec<(Scope, EventBody)> = Vec::new();
    for n in 0..WRITERS {
        let registered = UserRegistered {
            username: Username::parse(&format!("writer{n}")).expect("a name"),
            display_name: None,
            password: None,
            admin: false,
            waited_for: None,
        };
        facts.push((Scope::user(user(n)), registered.into()));
    }
    for n in 0..ROOMS {
        let scope = Scope::room(room(n));
        if is_quick(n) {
            facts.push((scope, QuickRoomCreated { name: None }.into()));
            continue;
        }
        let created = MemberRoomCreated::Named {
            name: RoomName::parse(&format!("room {n}")).expect("a name"),
            topic: Topic::parse("").expect("a topic"),
            visibility: Visibility::Private,
        };
        facts.push((scope.clone(), created.into()));
        for writer in 0..WRITERS {
            let role = if writer == 0 { Role::Owner } else { Role::Member };
            let set = MembershipChanged {
                user: user(writer),
                membership: Membership::Member(role),
                since: None,
                invite: None,
                by: user(0),
            };
            facts.push((scope.clone(), set.into()));
        }
    }
    let origin = OriginId { node: NodeId([8; 16]), incarnation: 1 };
    let event = |(seq, (scope, body))| {
        Event::new(origin, Seq(seq), Hlc::from_unix_ms(BEGIN_MS - 1_000), EventDraft::new(scope, body))
    };
    (1..).zip(facts).map(event).collect()
}

/// The use of resources by this process, which has one thread.
struct Usage {
    cpu_ns: u64,
    at: Instant,
    written: u64,
}

/// The same per post.
struct Used {
    cpu_us: f64,
    wall_us: f64,
    written: f64,
}

impl Usage {
    fn now(file: &Path) -> Self {
        fs::File::open(file).and_then(|file| file.sync_all()).expect("the file can be synced");
        let schedstat = fs::read_to_string("/proc/self/schedstat").expect("the system counts CPU time");
        let cpu_ns =
            schedstat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds come first");
        let io = fs::read_to_string("/proc/self/io").expect("the system counts what is written");
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("it is there");
        Self { cpu_ns, at: Instant::now(), written: written.parse().expect("a number") }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn since(&self, before: &Self, posts: u64) -> Used {
        let each = |total: u64| total as f64 / posts as f64;
        Used {
            cpu_us: each(self.cpu_ns - before.cpu_ns) / 1_000.0,
            wall_us: (self.at - before.at).as_secs_f64() * 1e6 / posts as f64,
            written: each(self.written - before.written),
        }
    }
}
