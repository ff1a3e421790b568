//! Groups of readers: one task writes the frames of a lane to all sessions that are up to date and have nothing else to send.
//! So a frame costs one wake for the whole group, and one system call for each reader.
//!
//! `web/interleavings` model-checks the hand-over between a session and its group.

pub mod reader;
pub mod run;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use starling_protocol::{RoomId, frame::client::ServerFrame};
use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep_until},
};

use self::{
    reader::{Delivered, Progress, Reader},
    run::Run,
};
use crate::{
    lane::{Lanes, Subscription, wire},
    metrics::WebMetrics,
    service::Cursors,
};

/// The most time between the last frame and its cursor. While frames flow, a cursor follows this often.
pub const CURSOR_EVERY: Duration = Duration::from_millis(200);
/// A lane gets a further group, up to one for each core, once its groups have this many readers.
const GROUP_READERS: usize = 128;
/// A group lets other tasks run after this many readers.
const READERS_AT_ONCE: usize = 64;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The groups of all rooms with sessions.
#[derive(Debug, Default)]
pub struct ReaderGroups {
    by_room: Mutex<HashMap<RoomId, Vec<Arc<Group>>>>,
}

/// The parts of the state that groups use.
#[derive(Clone)]
pub struct GroupDeps {
    pub lanes: Arc<Lanes>,
    pub cursors: Arc<dyn Cursors>,
    pub metrics: Arc<WebMetrics>,
}

/// The readers that one task writes to.
#[derive(Debug, Default)]
struct Group {
    /// Shared with the task while it goes through them.
    readers: Mutex<Arc<Vec<Arc<Reader>>>>,
    /// Whether its last reader has left.
    is_over: AtomicBool,
    /// Wakes the task for something other than frames.
    wake: Notify,
}

impl Group {
    fn readers(&self) -> Arc<Vec<Arc<Reader>>> {
        Arc::clone(&lock(&self.readers))
    }

    fn len(&self) -> usize {
        lock(&self.readers).len()
    }
}

/// A session's place in a group. It leaves the group when this is dropped.
pub struct Membership {
    groups: Arc<ReaderGroups>,
    room: RoomId,
    group: Arc<Group>,
    reader: Arc<Reader>,
}

impl ReaderGroups {
    /// Adds a reader to a group of a room.
    pub fn join(self: &Arc<Self>, room: RoomId, reader: Reader, deps: &GroupDeps) -> Membership {
        let reader = Arc::new(reader);
        let groups_max = available_parallelism().map_or(1, usize::from);
        let mut by_room = lock(&self.by_room);
        let groups = by_room.entry(room).or_default();
        let smallest = groups.iter().min_by_key(|group| group.len());
        let group = match smallest {
            Some(group) if group.len() < GROUP_READERS || groups.len() >= groups_max => Arc::clone(group),
            _ => {
                let group = Arc::new(Group::default());
                groups.push(Arc::clone(&group));
                tokio::spawn(serve(Arc::clone(&group), deps.lanes.subscribe(room), deps.clone()));
                group
            }
        };
        Arc::make_mut(&mut *lock(&group.readers)).push(Arc::clone(&reader));
        Membership { groups: Arc::clone(self), room, group, reader }
    }
}

impl Membership {
    /// Returns the session's reader.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Lends the session's progress to the group; see [`Reader::lend`].
    pub fn lend(&self, progress: Progress, lane: &Subscription) -> Option<Progress> {
        let needs_cursor = progress.delivery.needs_cursor();
        let kept = self.reader.lend(progress, || lane.end());
        if needs_cursor && kept.is_none() {
            self.group.wake.notify_one();
        }
        kept
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.reader.reclaim();
        let mut by_room = lock(&self.groups.by_room);
        let is_empty = {
            let mut readers = lock(&self.group.readers);
            let readers = Arc::make_mut(&mut readers);
            readers.retain(|reader| !Arc::ptr_eq(reader, &self.reader));
            readers.is_empty()
        };
        if is_empty && let Some(groups) = by_room.get_mut(&self.room) {
            self.group.is_over.store(true, Ordering::Release);
            self.group.wake.notify_one();
            groups.retain(|group| !Arc::ptr_eq(group, &self.group));
            if groups.is_empty() {
                by_room.remove(&self.room);
            }
        }
    }
}

/// When a group sends cursors: with frames, if the last ones are old enough, and otherwise a while after the frames.
#[derive(Default)]
struct CursorTimer {
    due: Option<Instant>,
    last: Option<Instant>,
}

impl CursorTimer {
    /// Returns whether cursors go with the frames of a run, or follow now that there are none.
    fn is_due(&self, run: &Run, now: Instant) -> bool {
        let is_late = self.due.is_some_and(|due| due <= now);
        let is_old = self.last.is_none_or(|last| now.duration_since(last) >= CURSOR_EVERY);
        is_late || (is_old && !run.is_empty() && run.is_published())
    }

    /// Notes that cursors were sent or not, and whether any reader still needs one.
    fn note(&mut self, were_sent: bool, needed: bool, now: Instant) {
        if were_sent {
            (self.due, self.last) = (None, Some(now));
        }
        if needed {
            self.due.get_or_insert(now + CURSOR_EVERY);
        }
    }
}

/// Writes a lane's frames to the readers of a group, until there are none.
async fn serve(group: Arc<Group>, mut lane: Subscription, deps: GroupDeps) {
    let mut timer = CursorTimer::default();
    while !group.is_over.load(Ordering::Acquire) {
        let due = timer.due;
        let cursors_due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = lane.changed() => {}
            () = group.wake.notified() => {}
            () = cursors_due => {}
        }
        let Ok(run) = Run::take(&mut lane) else {
            skip_to_end(&group, &mut lane);
            continue;
        };
        let now = Instant::now();
        let sends_cursors = timer.is_due(&run, now);
        if run.is_empty() && !sends_cursors {
            // A session has lent its socket before its last frames got a cursor.
            timer.note(false, true, now);
            continue;
        }
        let delivered = deliver(&group, &run, sends_cursors.then_some(now), &deps).await;
        timer.note(sends_cursors, delivered.needs_cursor, now);
        deps.metrics.deliveries.inc_by(delivered.frames);
    }
}

/// Writes a run to all readers, with cursors if `cursors_at` says when.
async fn deliver(group: &Group, run: &Run, cursors_at: Option<Instant>, deps: &GroupDeps) -> Delivered {
    let mut total = Delivered::default();
    let readers = group.readers();
    for (at, reader) in readers.iter().enumerate() {
        if at > 0 && at.is_multiple_of(READERS_AT_ONCE) {
            yield_now().await;
        }
        let Delivered { frames, needs_cursor } = reader.deliver(run, |reader, progress| match cursors_at {
            Some(now) if progress.delivery.needs_cursor() => seal(reader, progress, now, deps),
            _ => Vec::new(),
        });
        total.frames += frames;
        total.needs_cursor |= needs_cursor;
    }
    total
}

/// Seals a cursor for everything that a reader was sent.
fn seal(reader: &Reader, progress: &mut Progress, now: Instant, deps: &GroupDeps) -> Vec<u8> {
    progress.last_cursor_at = now.into_std();
    let sealed = deps.cursors.seal(reader.owner, progress.delivery.sent(), progress.greatest);
    if sealed.complete {
        progress.delivery.note_cursor();
    }
    let mut cursor = Vec::new();
    wire::append_text(&mut cursor, &ServerFrame::Cursor { cursor: &sealed.text }.to_json());
    cursor
}

/// The lane has overtaken the group: the sessions go on by themselves.
fn skip_to_end(group: &Group, lane: &mut Subscription) {
    lane.skip_to_end();
    for reader in group.readers().iter() {
        reader.give_back();
    }
}
