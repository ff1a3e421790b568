//! Group commit: stamps a batch of operations, checks each against the current state, and applies all of them to the log
//! and the views in one transaction with one fsync. Synchronous: the writer thread and the simulator call it. Nobody is
//! notified before it returns.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use redb::WriteTransaction;
use starling_protocol::{
    Clock, Event, EventBody, EventDraft, Fold, GuestId, Hlc, MessagePosted, NodeId, OriginId,
    QuickRoomCreated, RoomId, Scope, ScopeDigest, Seq, VersionVector,
};

use super::{
    Change, Decision, Op, OpResult, PostCheck, Store, StoreError,
    apply::{QuickMessage, Tables},
    begin_durable,
    decide::{id_reused, too_long},
    digests::ShardDigests,
    post_cache::PostCache,
};

/// The events of this process in a commit.
#[derive(Clone, Debug)]
pub struct OwnEvents {
    /// The origin of this process.
    pub origin: OriginId,
    /// The sequence number of the first event; the others follow without gaps.
    pub first: Seq,
    /// The encoded events.
    pub events: Vec<Bytes>,
}

/// A durable batch.
#[derive(Debug)]
pub struct Commit {
    /// The number of this commit, counted from 1 for each process.
    pub number: u64,
    /// The log's vector after this commit.
    pub vector: Arc<VersionVector>,
    /// The fold that the vector is now written over, if that has changed.
    pub folded: Option<Arc<Fold>>,
    /// The result of each operation, in order.
    pub results: Vec<OpResult>,
    /// New events of this process.
    pub own: Option<OwnEvents>,
    /// Other origins with new events, and their new heads.
    pub received: Vec<(OriginId, Seq)>,
    /// Messages of quick rooms that are newly listed, have moved, or have another listed id, in the order of their
    /// events.
    pub quick_messages: Vec<QuickMessage>,
    /// All other changes, in the order of their events.
    pub changes: Vec<Change>,
    /// The new digests of the shards that have changed.
    pub digests: Vec<(u8, ScopeDigest)>,
    /// Guests whose shown name has changed, with their rooms.
    pub renamed: BTreeSet<(RoomId, GuestId)>,
}

impl Commit {
    /// Whether it added events to the log.
    pub fn has_events(&self) -> bool {
        self.own.is_some() || !self.received.is_empty()
    }
}

/// The only writer of a store: holds the clock, and the origin of this process.
#[derive(Debug)]
pub struct Committer {
    store: Arc<Store>,
    node: NodeId,
    clock: Clock,
    /// Opened by the first write; no other process continues it.
    own_origin: Option<OriginId>,
    has_old_peers: bool,
    vector: Arc<VersionVector>,
    number: u64,
    shards: ShardDigests,
    cache: PostCache,
}

/// The outcome of a transaction so far.
#[derive(Default)]
struct BatchOutcome {
    results: Vec<OpResult>,
    vector: VersionVector,
    own: Option<OwnEvents>,
    received: BTreeMap<OriginId, Seq>,
    ran_erase: bool,
    quick_messages: Vec<QuickMessage>,
    changes: Vec<Change>,
    digests: BTreeMap<u8, ScopeDigest>,
    renamed: BTreeSet<(RoomId, GuestId)>,
    /// The events as the log has them, in order.
    appended: Vec<Bytes>,
}

/// An open transaction and its outcome so far.
struct Batch<'txn> {
    tables: Tables<'txn>,
    has_old_peers: bool,
    outcome: BatchOutcome,
}

impl Committer {
    /// Continues from the store's state, under a new origin.
    ///
    /// `now_ms` is the wall clock (Unix milliseconds): a clock that was set back while the node was down still
    /// stamps above what it stamped before.
    pub fn new(store: Arc<Store>, node: NodeId, now_ms: u64) -> Result<Self, StoreError> {
        let vector = Arc::new(store.vector()?);
        let greatest = store.greatest_head_hlc(&vector)?;
        let mut clock = Clock::default();
        clock.observe(greatest, now_ms);
        let (shards, cache, own_origin) = (store.shard_digests()?, PostCache::default(), None);
        Ok(Self { store, node, clock, own_origin, has_old_peers: false, vector, number: 0, shards, cache })
    }

    /// Sets whether a peer may have a build of wire version 1, for [`MessagePosted::for_peers`].
    pub fn set_has_old_peers(&mut self, has_old_peers: bool) {
        self.has_old_peers = has_old_peers;
    }

    /// The digests of all shards that are not empty.
    pub fn digests(&self) -> Vec<(u8, ScopeDigest)> {
        self.shards.all()
    }

    /// The store that receives the commits.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The log's vector.
    pub fn vector(&self) -> &Arc<VersionVector> {
        &self.vector
    }

    /// Makes a batch durable. `now_ms` is the wall clock (Unix milliseconds). `random` is a random number that nobody knows:
    /// the incarnation of this process's origin if this is its first write.
    ///
    /// # Errors
    /// After an error nothing of the batch is durable, and the disk may no longer work: end the process.
    pub fn commit(&mut self, now_ms: u64, random: u64, ops: &[Op]) -> Result<Commit, StoreError> {
        let store = Arc::clone(&self.store);
        store.guarded(|store| self.commit_to(store, now_ms, random, ops))
    }

    /// Writes what the journal holds to the store's own file, which bounds how much the next open has to apply again.
    ///
    /// # Errors
    /// As of [`Committer::commit`].
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.store.guarded(Store::checkpoint)
    }

    fn commit_to(
        &mut self,
        store: &Store,
        now_ms: u64,
        random: u64,
        ops: &[Op],
    ) -> Result<Commit, StoreError> {
        let own_origin = self.own_origin.unwrap_or(OriginId { node: self.node, incarnation: random });
        let transaction = begin_durable(&store.db)?;
        let outcome = self.apply_all(&transaction, own_origin, now_ms, ops)?;
        let BatchOutcome {
            results,
            vector,
            own: own_events,
            received,
            ran_erase,
            quick_messages,
            changes,
            digests,
            renamed,
            appended,
        } = outcome;
        let (mut changed, mut folded) = (Vec::new(), None);
        if own_events.is_some() || !received.is_empty() {
            // It is public as an incarnation.
            let is_secret = self.own_origin.is_some() || own_events.is_none();
            store.commit_events(transaction, &appended, is_secret.then_some(random))?;
            changed = self.shards.add(digests);
            self.number += 1;
            folded = vector.base().filter(|base| self.vector.base_rank() != Some(base.rank())).cloned();
            self.vector = Arc::new(vector);
            self.own_origin = self.own_origin.or(own_events.as_ref().map(|own| own.origin));
        } else if ran_erase {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(Commit {
            number: self.number,
            vector: Arc::clone(&self.vector),
            folded,
            results,
            own: own_events,
            received: received.into_iter().collect(),
            quick_messages,
            changes,
            digests: changed,
            renamed,
        })
    }

    /// Applies the operations within the transaction.
    fn apply_all(
        &mut self,
        transaction: &WriteTransaction,
        own_origin: OriginId,
        now_ms: u64,
        ops: &[Op],
    ) -> Result<BatchOutcome, StoreError> {
        let mut batch = Batch {
            tables: Tables::open(transaction, &self.store.folds)?,
            has_old_peers: self.has_old_peers,
            outcome: BatchOutcome {
                results: Vec::with_capacity(ops.len()),
                vector: VersionVector::clone(&self.vector),
                ..BatchOutcome::default()
            },
        };
        batch.tables.cache = std::mem::take(&mut self.cache).into();
        for op in ops {
            let result = batch.op(own_origin, &mut self.clock, now_ms, op)?;
            batch.outcome.results.push(result);
        }
        batch.outcome.digests = batch.tables.flush()?;
        batch.outcome.vector = batch.outcome.vector.written_over(batch.tables.log_base());
        batch.outcome.changes = std::mem::take(&mut batch.tables.changes);
        self.cache = batch.tables.cache.take();
        batch.outcome.renamed.clone_from(batch.tables.names.renamed());
        if !batch.outcome.renamed.is_empty() {
            // A later event of the batch may have renamed the sender of an earlier one.
            for (room, message) in &mut batch.outcome.quick_messages {
                message.shown = batch.tables.shown(*room, &message.posted.sender)?;
            }
        }
        Ok(batch.outcome)
    }
}

impl Batch<'_> {
    fn op(
        &mut self,
        own_origin: OriginId,
        clock: &mut Clock,
        now_ms: u64,
        op: &Op,
    ) -> Result<OpResult, StoreError> {
        match op {
            Op::CreateQuickRoom { room, name } => {
                let body = EventBody::QuickRoomCreated(QuickRoomCreated { name: name.clone() });
                let draft = EventDraft { scope: Scope::room(*room), body, above_hlc: None };
                self.write(own_origin, clock, now_ms, vec![draft])
            }
            Op::Post { room, posted, above_hlc, check } => {
                self.post(own_origin, clock, now_ms, (*room, posted, *above_hlc), *check)
            }
            Op::Decide(decide) => match decide.decide(&self.tables)? {
                Decision::Write(drafts) => self.write(own_origin, clock, now_ms, drafts),
                Decision::Nothing => Ok(OpResult::Nothing),
                Decision::Refuse(refusal) => Ok(OpResult::Refused(refusal)),
            },
            Op::Erase => {
                let more = self.tables.erase_some()?;
                self.outcome.ran_erase = true;
                Ok(OpResult::Erased { more })
            }
            Op::ShareName { room, shared, above_hlc } => {
                let body = EventBody::NameShared(shared.clone());
                let draft = EventDraft { scope: Scope::room(*room), body, above_hlc: Some(*above_hlc) };
                self.write(own_origin, clock, now_ms, vec![draft])
            }
            Op::Received(events) => {
                for event in events {
                    // Skip duplicates and events behind a gap: the pull brings the missing ones.
                    if event.seq == self.outcome.vector.get(event.origin).next() && event.origin != own_origin
                    {
                        clock.observe(event.hlc, now_ms);
                        self.apply(event)?;
                        self.outcome.received.insert(event.origin, event.seq);
                    }
                }
                Ok(OpResult::Received)
            }
        }
    }

    fn post(
        &mut self,
        own_origin: OriginId,
        clock: &mut Clock,
        now_ms: u64,
        (room, posted, above_hlc): (RoomId, &MessagePosted, Option<Hlc>),
        check: PostCheck,
    ) -> Result<OpResult, StoreError> {
        if let Some(state) = self.tables.message(posted.key())? {
            let pos = state.pos();
            let first = self.tables.posted_at(pos.origin, pos.seq)?;
            let same = state.room == room && (first.is_erased() || first.has_same_content(posted));
            return Ok(if same { OpResult::Done(pos) } else { OpResult::Refused(id_reused()) });
        }
        if let Some(refusal) = self.tables.refuse_post(room, &posted.sender, check)? {
            return Ok(OpResult::Refused(refusal));
        }
        let posted = posted.clone().for_peers(self.has_old_peers);
        let draft = EventDraft::new(Scope::room(room), posted).above(above_hlc);
        self.write(own_origin, clock, now_ms, vec![draft])
    }

    /// Writes all events, or none if one is too long: neither peers nor the next start of this node would accept it.
    fn write(
        &mut self,
        own_origin: OriginId,
        clock: &mut Clock,
        now_ms: u64,
        drafts: Vec<EventDraft>,
    ) -> Result<OpResult, StoreError> {
        let first = self.outcome.vector.get(own_origin).next();
        let stamped = |(seq, draft): (Seq, EventDraft)| {
            Event::new(own_origin, seq, clock.stamp(now_ms, draft.above_hlc), draft)
        };
        let events: Vec<_> = (first.0..).map(Seq).zip(drafts).map(stamped).collect();
        if !events.iter().all(Event::is_within_limits) {
            return Ok(OpResult::Refused(too_long()));
        }
        for event in &events {
            self.apply(event)?;
            let own_events = self.outcome.own.get_or_insert_with(|| OwnEvents {
                origin: own_origin,
                first,
                events: Vec::new(),
            });
            own_events.events.push(event.encoded().clone());
        }
        Ok(events.last().map_or(OpResult::Nothing, |last| OpResult::Done(last.pos())))
    }

    fn apply(&mut self, event: &Event) -> Result<(), StoreError> {
        let kept = self.tables.stub_if_deleted(event)?;
        self.tables.append(&kept)?;
        self.outcome.quick_messages.extend(self.tables.apply(&kept)?);
        self.outcome.vector.advance(event.origin, event.seq);
        self.outcome.appended.push(kept.encoded().clone());
        Ok(())
    }
}
