//! A machine with its disk and clock, the process on it made of the real parts, and how it starts and crashes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use harness::disk::{Disk, DiskBug, Image};
use rand::RngExt;
use starling_node::{
    cluster::{DriverCore, StartState},
    store::{Committer, RecordsReader, Store, StoreError},
};
use starling_protocol::{
    Fold, NodeId, OriginId, RoomId, VersionVector,
    frame::wire::WireVersion,
    replica::{Millis, Replica},
};
use starling_web::lane::CommitPoint;

use crate::{
    invariants,
    membership::{KnownMembers, Membership},
    mutants::Mutant,
    world::{Event, World},
    writer::{Owed, Request},
};

/// Entries of a vector in one frame, at most: few, so that vectors are sent in parts.
const VECTOR_ENTRIES_MAX: usize = 4;

/// A running process.
#[derive(Debug)]
pub struct Run {
    pub store: Arc<Store>,
    pub committer: Committer,
    /// The last commit that sessions may see.
    pub published: CommitPoint,
    pub core: DriverCore<Owed>,
    pub own: Option<OriginId>,
    pub inbox: VecDeque<Request>,
    pub tick_at: u64,
    pub started_at: u64,
    pub membership: Membership,
    /// Whether the driver knows that a read has failed.
    pub knows_damage: bool,
    /// For a planted bug: the events that each node ever confirmed, on any link.
    pub remembered: BTreeMap<usize, VersionVector>,
}

impl Run {
    /// The state of replication.
    pub fn replica(&self) -> &Replica {
        self.core.replica()
    }

    /// Reads the store; `None` if it is damaged, which the node remembers.
    pub fn read<T>(&self, read: impl FnOnce(&Store) -> Result<T, StoreError>) -> Option<T> {
        self.store.guarded(read).ok()
    }

    /// Whether the node has a room; `None` if it cannot read.
    pub fn has_room(&self, room: RoomId) -> Option<bool> {
        self.read(|store| Ok(store.quick_room(room)?.is_some()))
    }

    /// Reads the views of users.
    pub fn read_records<T>(&self, read: impl FnOnce(&RecordsReader) -> Result<T, StoreError>) -> Option<T> {
        self.read(|store| read(&store.records()?))
    }

    /// Whether a read has failed: the node is not ready until it is restarted.
    pub fn is_damaged(&self) -> bool {
        self.store.damage().is_some()
    }
}

/// The space on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Enough,
    PeersOnly,
    Nothing,
}

/// A copy of a disk.
#[derive(Debug)]
pub struct Backup {
    pub image: Image,
    /// The events that it holds.
    pub durable: VersionVector,
    /// Whether a store was created on it.
    pub has_store: bool,
}

/// A machine.
#[derive(Debug)]
pub struct Node {
    pub id: NodeId,
    /// The ids under which it was forgotten.
    pub former_ids: Vec<NodeId>,
    /// The members that its disk lists.
    pub known: KnownMembers,
    pub disk: Disk,
    pub starts: u32,
    pub skew_ms: i64,
    pub run: Option<Run>,
    pub space: Space,
    /// Whether a store was created on its disk.
    pub has_store: bool,
    /// The start and the end of a time in which the process does nothing.
    pub hung_since: Option<u64>,
    pub hung_until: u64,
    /// The start and the end of a hanging commit.
    pub stalled_since: Option<u64>,
    pub stalled_until: u64,
    /// Whether it is being stopped: it takes no sessions and posts, and ends when others hold its log.
    pub leaving: bool,
    /// Whether it is gone for ever.
    pub gone: bool,
    /// The events that its disk holds.
    pub durable: VersionVector,
    /// The events that its disk held before it was rolled back or lost.
    pub formerly: VersionVector,
    /// The copy to which its disk is rolled back.
    pub backup: Option<Backup>,
    /// For a planted bug: the origin of the last process.
    pub incarnation: Option<u64>,
}

/// Returns an empty disk, with the planted bug if that is one of disks.
fn empty_disk(mutant: Option<Mutant>) -> Disk {
    Disk::new(match mutant {
        Some(Mutant::FsyncSkipped) => Some(DiskBug::SyncSkipped),
        Some(Mutant::AckBeforeJournalSync) => Some(DiskBug::JournalSyncSkipped),
        Some(Mutant::FailedSyncRetried) => Some(DiskBug::SyncRetried),
        _ => None,
    })
}

impl Node {
    /// The folds that its hello names.
    pub fn newest_folds(&self) -> Vec<Arc<Fold>> {
        self.run.as_ref().map_or_else(Vec::new, |run| run.replica().newest_folds().to_vec())
    }

    pub fn new(id: NodeId, mutant: Option<Mutant>) -> Self {
        Self {
            id,
            former_ids: Vec::new(),
            known: KnownMembers::default(),
            disk: empty_disk(mutant),
            starts: 0,
            skew_ms: 0,
            run: None,
            space: Space::Enough,
            has_store: false,
            hung_since: None,
            hung_until: 0,
            stalled_since: None,
            stalled_until: 0,
            leaving: false,
            gone: false,
            durable: VersionVector::default(),
            formerly: VersionVector::default(),
            backup: None,
            incarnation: None,
        }
    }

    /// Whether it cannot read some of its disk, or its process could not.
    pub fn has_rotten_disk(&self) -> bool {
        self.disk.is_rotten() || self.run.as_ref().is_some_and(Run::is_damaged)
    }

    /// Opens the store; on a rotten disk without a cache, which would hide it.
    fn open(&self) -> Result<Store, StoreError> {
        if self.disk.is_rotten() {
            return Store::open_backend_with_cache(self.disk.clone(), self.disk.journal(), 0);
        }
        Store::open_backend(self.disk.clone(), self.disk.journal())
    }

    /// Whether a session may begin here.
    pub fn serves(&self, now: u64) -> bool {
        let is_sound = self.run.as_ref().is_some_and(|run| !run.is_damaged());
        is_sound && !self.is_draining() && self.hung_until <= now
    }

    /// Whether it takes no sessions, because it stops, leaves or was forgotten.
    pub fn is_draining(&self) -> bool {
        self.leaving || self.run.as_ref().is_some_and(|run| run.membership.is_draining())
    }

    /// For a planted bug: loses all that is on its disk.
    pub fn lose_store(&mut self, mutant: Option<Mutant>) {
        (self.disk, self.has_store, self.durable) = (empty_disk(mutant), false, VersionVector::default());
    }
}

impl World {
    /// The wire version of the build that was started: each start may be an upgrade, or one taken back.
    pub fn wire_version(&self, node: usize) -> WireVersion {
        let machine = &self.nodes[node];
        let is_old = (u32::from(machine.id.0[0]) + machine.starts).is_multiple_of(4);
        if is_old && !self.is_upgraded { WireVersion::V1 } else { WireVersion::V2 }
    }

    /// Returns the numbers of the nodes that are not gone for ever.
    pub fn members(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&node| !self.nodes[node].gone).collect()
    }

    pub fn wall_ms(&self, node: usize) -> u64 {
        (Self::EPOCH_MS + self.now).saturating_add_signed(self.nodes[node].skew_ms)
    }

    pub fn start(&mut self, node: usize) {
        let (wall_ms, count, mutant) = (self.wall_ms(node), self.nodes.len(), self.mutant);
        let unfolded_max = self.folds.unfolded_max;
        let machine = &mut self.nodes[node];
        if machine.gone || machine.run.is_some() {
            return;
        }
        let opened = machine.open().and_then(|store| {
            let store = Arc::new(store);
            let committer = store.guarded(|_| Committer::new(Arc::clone(&store), machine.id, wall_ms))?;
            let forgotten = store.guarded(|store| store.records()?.forgotten_nodes())?;
            Ok((store, committer, forgotten))
        });
        let (store, committer, forgotten) = match opened {
            Ok(opened) => opened,
            // The disk failed again while the store was being opened: the next start finds the store.
            Err(_) if machine.disk.is_failing() => {
                self.crash(node);
                let machine = &mut self.nodes[node];
                if !machine.has_store {
                    // The store was being created under another name; the next start creates it again.
                    machine.disk = empty_disk(mutant);
                }
                return;
            }
            Err(error) => return self.violated(format!("node {node} cannot open its store: {error}")),
        };
        machine.has_store = true;
        if forgotten.contains(&machine.id) {
            return self.draw_new_id(node);
        }
        machine.starts += 1;
        self.origins += 1;
        let held = VersionVector::clone(committer.vector());
        let lacks = machine.durable.beyond(&held).next();
        // A failed commit may be durable.
        machine.durable.merge(&held);
        let state = StartState { knows_peers: count > 1, is_clustered: true, is_refilling: false };
        let mut core = DriverCore::new(Millis(self.now), held, committer.digests(), state);
        core.set_unfolded_max(unfolded_max);
        core.set_vector_entries_max(VECTOR_ENTRIES_MAX);
        // A disk that fails, or holds damage, is not checked.
        let is_readable = !machine.has_rotten_disk() && !machine.disk.is_failing();
        let sound = if is_readable { invariants::folds::stored(&store) } else { Ok(()) };
        machine.run = Some(Run {
            store,
            published: CommitPoint { number: 0, vector: Arc::clone(committer.vector()) },
            committer,
            core,
            own: None,
            inbox: VecDeque::new(),
            tick_at: u64::MAX,
            started_at: self.now,
            membership: Membership::new(machine.id, &machine.known, forgotten),
            knows_damage: false,
            remembered: BTreeMap::new(),
        });
        if let Err(violation) = sound {
            self.violated(violation);
        }
        if let Some((origin, seq)) = lacks {
            self.violated(format!("node {node} has forgotten {origin:?}:{seq}, which it had made durable"));
        }
        self.tick_now(node);
    }

    /// Ends the process at once, with all unsynced writes lost, and starts it again after a while.
    pub fn crash(&mut self, node: usize) {
        self.end(node);
        let after = self.rng.random_range(10..3_000);
        self.schedule(after, Event::Start(node));
    }

    pub fn end(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        // The disk first: a store that closes in order would write, and a dead process cannot.
        machine.disk = machine.disk.crash(&mut self.rng);
        machine.run = None;
        (machine.hung_since, machine.stalled_since) = (None, None);
        (machine.hung_until, machine.stalled_until) = (0, 0);
    }
}
