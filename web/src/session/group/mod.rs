//! Groups of readers: one task writes the frames of a room's lane to all sessions that are up to date and have nothing else to
//! send. So a frame costs one wake for the whole group, and one system call for each reader. The session of an account is in a
//! group of each of its rooms.
//!
//! `web/interleavings` model-checks the hand-over between a session and its group.

mod cursor_timer;
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
};

use starling_protocol::{RoomId, frame::client::ServerFrame};
use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep_until},
};

pub use self::cursor_timer::{CURSOR_AFTER, is_cursor_due};
use self::{
    cursor_timer::{CursorTimer, Due},
    reader::{Delivered, Progress, Reader},
    run::Run,
};
use crate::{
    lane::{Lanes, Position, Subscription, wire},
    metrics::WebMetrics,
    service::Cursors,
};

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
    members: Mutex<Arc<Vec<Member>>>,
    /// Whether its last reader has left.
    is_over: AtomicBool,
    /// Wakes the task to end.
    wake: Notify,
}

/// A reader, and its position in the lane of a group.
#[derive(Clone, Debug)]
struct Member {
    reader: Arc<Reader>,
    position: Position,
}

impl Group {
    fn members(&self) -> Arc<Vec<Member>> {
        Arc::clone(&lock(&self.members))
    }

    fn len(&self) -> usize {
        lock(&self.members).len()
    }
}

/// A session's place in a group. It leaves the group when this is dropped.
pub struct Membership {
    groups: Arc<ReaderGroups>,
    room: RoomId,
    group: Arc<Group>,
    member: Member,
}

impl ReaderGroups {
    /// Adds a reader to a group of a room, whose lane it follows.
    pub fn join(
        self: &Arc<Self>,
        room: RoomId,
        reader: &Arc<Reader>,
        lane: &Subscription,
        deps: &GroupDeps,
    ) -> Membership {
        let member = Member { reader: Arc::clone(reader), position: lane.shared_position().clone() };
        reader.follow(member.position.clone());
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
        Arc::make_mut(&mut *lock(&group.members)).push(member.clone());
        Membership { groups: Arc::clone(self), room, group, member }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.member.reader.leave(&self.member.position);
        let mut by_room = lock(&self.groups.by_room);
        let is_empty = {
            let mut members = lock(&self.group.members);
            let members = Arc::make_mut(&mut members);
            members.retain(|member| !member.position.is(&self.member.position));
            members.is_empty()
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

/// Writes a lane's frames to the readers of a group, until there are none.
async fn serve(group: Arc<Group>, mut lane: Subscription, deps: GroupDeps) {
    let mut timer = CursorTimer::default();
    while !group.is_over.load(Ordering::Acquire) {
        let wake_at = timer.wake_at();
        let cursors_due = async {
            match wake_at {
                Some(wake_at) => sleep_until(wake_at).await,
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
        let due = timer.due(&run, now);
        if run.is_empty() && due.is_none() {
            continue;
        }
        let delivered = deliver(&group, &run, due, now, &deps).await;
        deps.metrics.deliveries.inc_by(delivered.frames);
        timer.note(&run, due, delivered.needs_cursor, now);
    }
}

/// Writes a run to all readers, with the cursors that are due.
async fn deliver(group: &Group, run: &Run, due: Option<Due>, now: Instant, deps: &GroupDeps) -> Delivered {
    let mut total = Delivered::default();
    let members = group.members();
    for (at, Member { reader, position }) in members.iter().enumerate() {
        if at > 0 && at.is_multiple_of(READERS_AT_ONCE) {
            yield_now().await;
        }
        let cursor = due.map(|due| {
            move |reader: &Reader, progress: &mut Progress| {
                let is_due = progress.delivery.needs_cursor() && due.is_after(progress.last_cursor_at, now);
                if is_due { seal(reader, progress, now, deps) } else { Vec::new() }
            }
        });
        let Delivered { frames, needs_cursor } = reader.deliver(position, run, now.into_std(), cursor);
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
    for member in group.members().iter() {
        member.reader.give_back();
    }
}
