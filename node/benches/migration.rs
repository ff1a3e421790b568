//! Measures how long a migration step that changes one small view keeps a large store from starting, and whether a migration
//! that is killed goes on where it was. `cargo bench -p starling-node --bench migration -- --help`

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use common::{Limit, Report};
use starling_node::store::{CACHE_BYTES, Committer, Op, STEPS, Step, Store, StoreError, ViewSet};
use starling_protocol::event::{ReadMarked, SettingsChanged};
use starling_protocol::{
    Event, EventBody, EventDraft, GuestId, GuestName, Hlc, MessageId, MessagePosted, MessageText, NodeId,
    OriginId, Pos, QuickRoomCreated, RoomId, Scope, Sender, Seq, Settings, UserId,
};

/// A store is migrated by a step that changes one small view
#[derive(Debug, Clone, Parser)]
struct Options {
    /// Messages in the store
    #[arg(long, default_value = "1000000", value_name = "N")]
    messages: u64,
    /// People, each with settings and a read mark
    #[arg(long, default_value = "1000", value_name = "N")]
    people: u64,
    /// Also measure a step that changes all views
    #[arg(long)]
    all_views: bool,
    /// Migrates this store, as a process of its own
    #[arg(long, hide = true)]
    store: Option<PathBuf>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Seconds in which a step that changes one small view must be done.
const SMALL_VIEW_MAX: f64 = 10.0;
const ROOMS: u64 = 12;
/// Events in a commit.
const BATCH: usize = 2_000;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(store) = &options.store {
        return migrate(store, options.all_views);
    }
    let title = format!(
        "migration: a store of {} messages and {} people, and a step that derives read marks again",
        options.messages, options.people
    );
    let mut report = Report::new(title);
    measure(&options, &mut report);
    report.finish()
}

/// The step of a version to come.
fn steps(all_views: bool) -> Vec<Step> {
    let views = if all_views { ViewSet::ALL } else { ViewSet::READ_MARKS };
    [STEPS, &[Step::rebuild(views)]].concat()
}

/// Prints the progress, then the seconds that it took and the digest of all views.
fn migrate(file: &Path, all_views: bool) -> ExitCode {
    let began = Instant::now();
    let opened = Store::open_file_with(file, CACHE_BYTES, &steps(all_views), &mut |progress| {
        println!("{} {}", progress.done, progress.total);
    });
    let seconds = began.elapsed().as_secs_f64();
    let digest = opened.and_then(|store| store.digest()).expect("it can be migrated");
    println!("took {seconds} {digest}");
    ExitCode::SUCCESS
}

fn measure(options: &Options, report: &mut Report) {
    let dir = tempfile::tempdir().expect("a folder can be made");
    let [file, killed, all] = ["store", "killed", "all"].map(|name| dir.path().join(name));
    let began = Instant::now();
    let digest = fill(&file, options);
    report.note("seconds to write the store", began.elapsed().as_secs_f64());
    report.note("size of the store, MiB", mib(&file));
    for copy in [&killed, &all] {
        fs::copy(&file, copy).expect("there is room for a copy");
    }
    let run = Run::start(&file, false).finished();
    check(report, &run, &digest, "the migration");
    report.promise(
        "seconds until a store with one small view to derive is open",
        Limit::AtMost(SMALL_VIEW_MAX),
        run.seconds,
    );
    report.note("size of the store afterwards, MiB", mib(&file));
    let downgraded = Store::open_file(&file).map(|_| ());
    match downgraded {
        Err(error @ StoreError::Newer { .. }) => println!("  a downgrade: {error}"),
        other => report.broken(format!("a downgrade gave {other:?}")),
    }

    Run::start(&killed, false).kill_halfway();
    let run = Run::start(&killed, false).finished();
    check(report, &run, &digest, "the migration that was killed");
    note_resumption(report, &run);
    report.note("seconds of the start after kill -9 halfway", run.seconds);
    let store =
        Store::open_file_with(&killed, CACHE_BYTES, &steps(false), &mut |_| ()).expect("it is migrated");
    if let Err(error) = store.verify() {
        report.broken(format!("the store is not sound: {error}"));
    }
    if options.all_views {
        let run = Run::start(&all, true).finished();
        check(report, &run, &digest, "the migration of all views");
        report.note("seconds with all views to derive", run.seconds);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn note_resumption(report: &mut Report, run: &Run) {
    let resumed_at = run.first.unwrap_or_default();
    report.note("events that it found done", resumed_at as f64);
    if resumed_at == 0 {
        report.broken("a killed migration began again".to_owned());
    }
}

fn check(report: &mut Report, run: &Run, digest: &str, what: &str) {
    if run.digest != digest {
        report.broken(format!("{what} has changed the views: {} instead of {digest}", run.digest));
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn mib(file: &Path) -> f64 {
    fs::metadata(file).expect("it is there").len() as f64 / 1024.0 / 1024.0
}

/// A migration in a process of its own.
struct Run {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    /// Events done at the first report.
    first: Option<u64>,
    seconds: f64,
    digest: String,
}

impl Run {
    fn start(file: &Path, all_views: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("the program has a path"));
        command.arg("--store").arg(file).stdout(Stdio::piped());
        if all_views {
            command.arg("--all-views");
        }
        let mut child = command.spawn().expect("it can be run again");
        let lines = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
        Self { child, lines, first: None, seconds: f64::INFINITY, digest: String::new() }
    }

    /// Kills it once half of the events are done.
    fn kill_halfway(mut self) {
        for line in &mut self.lines {
            let line = line.expect("it prints text");
            let (done, total) = line.split_once(' ').expect("it prints its progress");
            let parse = |number: &str| number.parse::<u64>().expect("it prints its progress to the half");
            if parse(done) * 2 >= parse(total) && parse(total) > 0 {
                break;
            }
        }
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is a child");
    }

    fn finished(mut self) -> Self {
        for line in &mut self.lines {
            let line = line.expect("it prints text");
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("took"), Some(seconds), Some(digest)) => {
                    (self.seconds, self.digest) = (seconds.parse().expect("seconds"), digest.to_owned());
                }
                (Some(done), ..) => self.first = self.first.or(done.parse().ok()),
                _ => {}
            }
        }
        assert!(self.child.wait().expect("it is a child").success(), "a migration failed");
        self
    }
}

/// Writes the store, as events of another node; returns the digest of all views.
fn fill(file: &Path, options: &Options) -> String {
    let store = Arc::new(Store::open_file(file).expect("a store can be made"));
    let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), 0).expect("it is new");
    let total = ROOMS + options.messages + 2 * options.people;
    for begin in (1..=total).step_by(BATCH) {
        let events = (begin..=total).take(BATCH).map(|n| event(n, options)).collect();
        committer.commit(0, 1, &[Op::Received(events)]).expect("it is written");
    }
    store.digest().expect("it can be read").to_string()
}

fn event(n: u64, options: &Options) -> Event {
    let room = |n: u64| RoomId([u8::try_from(n % ROOMS).unwrap_or_default(); 10]);
    // The few events of people lie between the many messages.
    let every = (options.messages / options.people.max(1)).max(1) + 2;
    let person = n / every;
    let user = |person: u64| UserId(u128::from(person).to_be_bytes());
    let (scope, body): (Scope, EventBody) = match n {
        n if n <= ROOMS => (Scope::room(room(n)), QuickRoomCreated { name: None }.into()),
        n if n % every == 0 => {
            let marked = ReadMarked {
                room: room(n),
                pos: Pos::MIN,
                seen: [(origin(), Seq(n - 1))].into_iter().collect(),
            };
            (Scope::user(user(person)), marked.into())
        }
        n if n % every == 1 => {
            (Scope::user(user(person)), SettingsChanged { settings: Settings::default() }.into())
        }
        n => {
            let name = GuestName::parse(&format!("guest {}", n % 100)).expect("a name");
            let id = MessageId::from_bytes(random_id(n));
            let sender = Sender::Guest { id: GuestId([u8::try_from(n % 100).unwrap_or_default(); 16]), name };
            let text = MessageText::parse(&format!("message {n} {}", "x".repeat(100))).expect("a text");
            (Scope::room(room(n)), MessagePosted::new(id, sender, text).into())
        }
    };
    let draft = EventDraft { scope, body, above_hlc: None };
    Event::new(origin(), Seq(n), Hlc::from_unix_ms(1_700_000_000_000 + n), draft)
}

fn origin() -> OriginId {
    OriginId { node: NodeId([8; 16]), incarnation: 1 }
}

/// The id of a message: random in its order, as those of clients are.
fn random_id(n: u64) -> [u8; 16] {
    blake3::hash(&n.to_be_bytes()).as_bytes()[..16].try_into().expect("a hash has 32 bytes")
}
