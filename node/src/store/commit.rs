//! Group commit: takes a batch of what waits, stamps it, checks again what must still hold, and applies all of
//! it to the log and the views in one transaction with one fsync. Synchronous: the writer thread and the
//! simulator call it. Nothing is told to anybody before it returns.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use redb::{Durability, WriteTransaction};
use starling_protocol::{
    Clock, ErrorCode, Event, EventBody, EventDraft, GuestId, Hlc, MessagePosted, NameShared, NodeId,
    OriginId, Pos, Refusal, RoomCreated, RoomId, RoomName, Scope, ScopeDigest, VersionVector,
    limits::EVENT_BYTES_MAX,
};

use super::{
    Change, Decide, Decision, PostCheck, Store, StoreError,
    apply::{Listed, Tables},
    digests::Parts,
};

/// What can be asked of a commit.
#[derive(Clone, Debug)]
pub enum Op {
    /// Make a room.
    CreateRoom {
        /// Under this id, drawn at random.
        room: RoomId,
        /// What it is called.
        name: Option<RoomName>,
    },
    /// Post a message.
    Post {
        /// Where.
        room: RoomId,
        /// What.
        posted: MessagePosted,
        /// Its stamp is to be above this.
        min_hlc: Option<Hlc>,
        /// Whether the sender may post there.
        check: PostCheck,
    },
    /// Put down that a guest of this node has a name that another has too.
    ShareName {
        /// Where.
        room: RoomId,
        /// Who, under which name, since when.
        shared: NameShared,
        /// Its stamp is to be above this: the beginning of the other's session.
        min_hlc: Hlc,
    },
    /// Whatever is decided at the commit.
    Decide(Decide),
    /// Put stubs in the place of some events of what was deleted as a whole.
    Erase,
    /// Events of other origins, in order per origin.
    Received(Vec<Event>),
}

/// What became of an [`Op`], once its batch is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// It is durable at this place, by this commit or, for a message that was sent again, by an earlier one.
    Done(Pos),
    /// All was as it was wanted.
    Nothing,
    /// It may not be.
    Refused(Refusal),
    /// Some events were erased; whether there are more.
    Erased {
        /// Whether to go on.
        more: bool,
    },
    /// Events of others: those that were next in their origins' logs are durable.
    Received,
}

/// The events of this process in a commit.
#[derive(Clone, Debug)]
pub struct OwnEvents {
    /// Under which origin.
    pub origin: OriginId,
    /// The first's sequence number; the others follow.
    pub first: u64,
    /// Encoded.
    pub events: Vec<Bytes>,
}

/// A batch that is durable now.
#[derive(Debug)]
pub struct Commit {
    /// Counts the commits of this process, from 1.
    pub number: u64,
    /// What the log holds as of this commit.
    pub vector: Arc<VersionVector>,
    /// What became of each op, in order.
    pub results: Vec<OpResult>,
    /// Fresh events of this process.
    pub own: Option<OwnEvents>,
    /// Origins of others that rose, with their new heads.
    pub received: Vec<(OriginId, u64)>,
    /// Messages that are listed now in quick rooms, in the order of their events.
    pub listed: Vec<Listed>,
    /// What else has changed, in the order of the events.
    pub changes: Vec<Change>,
    /// Digests of the parts that have changed.
    pub digests: Vec<(u8, ScopeDigest)>,
    /// Guests who are shown under another name than before, with the rooms in which they are.
    pub renamed: BTreeSet<(RoomId, GuestId)>,
}

impl Commit {
    /// Whether it added events to the log.
    pub fn has_events(&self) -> bool {
        self.own.is_some() || !self.received.is_empty()
    }
}

/// The one writer: knows the clock, and the origin under which this process writes.
#[derive(Debug)]
pub struct Committer {
    store: Arc<Store>,
    node: NodeId,
    clock: Clock,
    /// Opened by the first write, never continued by another process.
    own: Option<OriginId>,
    vector: Arc<VersionVector>,
    number: u64,
    parts: Parts,
}

/// What a transaction has come to.
struct Gathered {
    results: Vec<OpResult>,
    vector: VersionVector,
    own: Option<OwnEvents>,
    received: BTreeMap<OriginId, u64>,
    erased: bool,
    listed: Vec<Listed>,
    changes: Vec<Change>,
    digests: BTreeMap<u8, ScopeDigest>,
    renamed: BTreeSet<(RoomId, GuestId)>,
}

/// A transaction under way.
struct Batch<'txn> {
    tables: Tables<'txn>,
    gathered: Gathered,
}

impl Committer {
    /// Goes on from what the store holds, under a fresh origin.
    ///
    /// `now_ms` is the wall clock (Unix milliseconds): a clock that was set back while the node was down still
    /// stamps above what it stamped before.
    pub fn new(store: Arc<Store>, node: NodeId, now_ms: u64) -> Result<Self, StoreError> {
        let vector = Arc::new(store.vector()?);
        let greatest = store.greatest(&vector)?;
        let mut clock = Clock::default();
        clock.observe(greatest, now_ms);
        let parts = store.parts()?;
        Ok(Self { store, node, clock, own: None, vector, number: 0, parts })
    }

    /// Digests of all parts of what is shown.
    pub fn digests(&self) -> Vec<(u8, ScopeDigest)> {
        self.parts.all()
    }

    /// What it commits to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What the log holds.
    pub fn vector(&self) -> &Arc<VersionVector> {
        &self.vector
    }

    /// Makes a batch durable. `now_ms` is the wall clock (Unix milliseconds); `fresh` names the origin if this is
    /// the first write: drawn at random by the caller.
    ///
    /// # Errors
    /// After an error nothing of the batch is durable and it is not known whether the disk still works: the
    /// process is to end.
    pub fn commit(&mut self, now_ms: u64, fresh: u64, ops: &[Op]) -> Result<Commit, StoreError> {
        let store = Arc::clone(&self.store);
        store.guarded(|store| self.commit_to(store, now_ms, fresh, ops))
    }

    fn commit_to(
        &mut self,
        store: &Store,
        now_ms: u64,
        fresh: u64,
        ops: &[Op],
    ) -> Result<Commit, StoreError> {
        let own = self.own.unwrap_or(OriginId { node: self.node, incarnation: fresh });
        let mut transaction = store.db.begin_write()?;
        transaction.set_durability(Durability::Immediate).expect("no savepoint forbids it");
        transaction.set_quick_repair(true);
        let gathered = self.gather(&transaction, own, now_ms, ops)?;
        let Gathered {
            results,
            vector,
            own: own_events,
            received,
            erased,
            listed,
            changes,
            digests,
            renamed,
        } = gathered;
        let mut changed = Vec::new();
        if own_events.is_some() || !received.is_empty() {
            transaction.commit()?;
            changed = self.parts.add(digests);
            self.number += 1;
            self.vector = Arc::new(vector);
            self.own = self.own.or(own_events.as_ref().map(|own| own.origin));
        } else if erased {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(Commit {
            number: self.number,
            vector: Arc::clone(&self.vector),
            results,
            own: own_events,
            received: received.into_iter().collect(),
            listed,
            changes,
            digests: changed,
            renamed,
        })
    }

    /// Applies the ops within the transaction.
    fn gather(
        &mut self,
        transaction: &WriteTransaction,
        own: OriginId,
        now_ms: u64,
        ops: &[Op],
    ) -> Result<Gathered, StoreError> {
        let mut batch = Batch {
            tables: Tables::open(transaction)?,
            gathered: Gathered {
                results: Vec::with_capacity(ops.len()),
                vector: VersionVector::clone(&self.vector),
                own: None,
                received: BTreeMap::new(),
                erased: false,
                listed: Vec::new(),
                changes: Vec::new(),
                digests: BTreeMap::new(),
                renamed: BTreeSet::new(),
            },
        };
        for op in ops {
            let result = batch.op(own, &mut self.clock, now_ms, op)?;
            batch.gathered.results.push(result);
        }
        batch.gathered.digests = batch.tables.flush()?;
        batch.gathered.changes = std::mem::take(&mut batch.tables.changes);
        batch.gathered.renamed.clone_from(batch.tables.names.renamed());
        if !batch.gathered.renamed.is_empty() {
            // Who was renamed by a later event of the batch is shown so in all of it.
            for (room, message) in &mut batch.gathered.listed {
                message.shown = batch.tables.shown(*room, &message.posted.sender)?;
            }
        }
        Ok(batch.gathered)
    }
}

impl Batch<'_> {
    fn op(&mut self, own: OriginId, clock: &mut Clock, now_ms: u64, op: &Op) -> Result<OpResult, StoreError> {
        match op {
            Op::CreateRoom { room, name } => {
                let body = EventBody::RoomCreated(RoomCreated { name: name.clone() });
                let draft = EventDraft { scope: Scope::room(*room), body, min_hlc: None };
                self.write(own, clock, now_ms, vec![draft])
            }
            Op::Post { room, posted, min_hlc, check } => {
                self.post(own, clock, now_ms, (*room, posted, *min_hlc), *check)
            }
            Op::Decide(decide) => match decide.decide(&self.tables)? {
                Decision::Write(drafts) => self.write(own, clock, now_ms, drafts),
                Decision::Nothing => Ok(OpResult::Nothing),
                Decision::Refuse(refusal) => Ok(OpResult::Refused(refusal)),
            },
            Op::Erase => {
                let more = self.tables.erase_some()?;
                self.gathered.erased = true;
                Ok(OpResult::Erased { more })
            }
            Op::ShareName { room, shared, min_hlc } => {
                let body = EventBody::NameShared(shared.clone());
                let draft = EventDraft { scope: Scope::room(*room), body, min_hlc: Some(*min_hlc) };
                self.write(own, clock, now_ms, vec![draft])
            }
            Op::Received(events) => {
                for event in events {
                    // What came twice, or behind a gap after a refusal, is not next: the pull brings it again.
                    if event.seq == self.gathered.vector.get(event.origin) + 1 && event.origin != own {
                        clock.observe(event.hlc, now_ms);
                        self.take(event)?;
                        self.gathered.received.insert(event.origin, event.seq);
                    }
                }
                Ok(OpResult::Received)
            }
        }
    }

    fn post(
        &mut self,
        own: OriginId,
        clock: &mut Clock,
        now_ms: u64,
        (room, posted, min_hlc): (RoomId, &MessagePosted, Option<Hlc>),
        check: PostCheck,
    ) -> Result<OpResult, StoreError> {
        if let Some(state) = self.tables.message(posted.sender.key(), posted.id)? {
            let pos = state.pos();
            let first = self.tables.posted_at(pos.origin, pos.seq)?;
            let same_content = first.text == posted.text && first.reply_to == posted.reply_to;
            // What was deleted meanwhile is not told from what is sent again.
            let same = state.room == room && (same_content || first.text.is_none());
            return Ok(if same { OpResult::Done(pos) } else { OpResult::Refused(id_reused()) });
        }
        if let Some(refusal) = check(&self.tables, room, &posted.sender)? {
            return Ok(OpResult::Refused(refusal));
        }
        let body = EventBody::MessagePosted(posted.clone());
        let draft = EventDraft { scope: Scope::room(room), body, min_hlc };
        self.write(own, clock, now_ms, vec![draft])
    }

    /// Writes all of them, or none if one is longer than an event may be: no peer would take it, nor this node at its
    /// next start.
    fn write(
        &mut self,
        own: OriginId,
        clock: &mut Clock,
        now_ms: u64,
        drafts: Vec<EventDraft>,
    ) -> Result<OpResult, StoreError> {
        let first = self.gathered.vector.get(own) + 1;
        let stamped =
            |(seq, draft): (u64, EventDraft)| Event::new(own, seq, clock.stamp(now_ms, draft.min_hlc), draft);
        let events: Vec<_> = (first..).zip(drafts).map(stamped).collect();
        if events.iter().any(|event| event.encoded().len() > EVENT_BYTES_MAX) {
            return Ok(OpResult::Refused(too_long()));
        }
        for event in &events {
            self.take(event)?;
            let own_events =
                self.gathered.own.get_or_insert_with(|| OwnEvents { origin: own, first, events: Vec::new() });
            own_events.events.push(event.encoded().clone());
        }
        Ok(events.last().map_or(OpResult::Nothing, |last| OpResult::Done(last.pos())))
    }

    fn take(&mut self, event: &Event) -> Result<(), StoreError> {
        let kept = self.tables.kept(event)?;
        self.tables.append(&kept)?;
        self.gathered.listed.extend(self.tables.apply(&kept)?);
        self.gathered.vector.advance(event.origin, event.seq);
        Ok(())
    }
}

fn too_long() -> Refusal {
    let detail =
        format!("this is longer than {EVENT_BYTES_MAX} bytes, which is the most that is stored as one");
    Refusal::new(ErrorCode::TooLarge, detail)
}

fn id_reused() -> Refusal {
    Refusal::new(
        ErrorCode::IdReused,
        "you sent another message under this id; choose a new id for every message",
    )
}
