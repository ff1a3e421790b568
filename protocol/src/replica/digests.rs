//! Checks whether all nodes have the same views. Every node sends the digests of its shards when they change. If two
//! nodes have applied the same events but have different views for longer than replication can lag, one of them is wrong,
//! and the node asks for the scopes that differ. Views of different versions differ rightly, so only peers that have said
//! that theirs have this build's version are sent digests. (A short difference is possible: a post can change a message in
//! another room that used the same id, and that room's digest doesn't count the post.)

use std::collections::{BTreeMap, BTreeSet};

use super::{LinkId, Millis, Output, Replica, link::Link, send};
use crate::{
    NodeId, Scope,
    digest::{SHARDS, ScopeDigest, VIEWS_VERSION},
    frame::peer::ReplicaFrame,
    limits::SCOPES_MAX,
};

/// A contradiction that lasts this long is not just lag.
const CONTRADICTION_MS: u64 = 10_000;

/// This node's digests.
#[derive(Debug)]
pub(super) struct Digests {
    shards: Box<[ScopeDigest; SHARDS]>,
    /// The shards that changed since the last heartbeat.
    changed: BTreeSet<u8>,
}

impl Default for Digests {
    fn default() -> Self {
        Self { shards: Box::new([ScopeDigest::default(); SHARDS]), changed: BTreeSet::new() }
    }
}

impl Digests {
    pub(super) fn set(&mut self, changed: Vec<(u8, ScopeDigest)>) {
        for (shard, digest) in changed {
            self.shards[usize::from(shard)] = digest;
            self.changed.insert(shard);
        }
    }
}

/// A peer's digests.
#[derive(Debug, Default)]
pub(super) struct PeerDigests {
    shards: BTreeMap<u8, ScopeDigest>,
    /// The shards that it sent since the last heartbeat.
    fresh: BTreeSet<u8>,
    /// The shards that contradict this node's, each with the time when this was first seen.
    contradicts: BTreeMap<u8, Millis>,
    /// The shards that have contradicted this node's for too long. Only equal digests clear one.
    diverged: BTreeSet<u8>,
    /// Whether the peer's views have the version of this build's.
    are_comparable: bool,
    /// Whether the peer was sent all shards, so that only changes follow.
    sent_all: bool,
}

impl PeerDigests {
    /// Makes the next heartbeat send all shards, because one may have been lost.
    pub(super) fn resend_all(&mut self) {
        self.sent_all = false;
    }

    /// Compares a shard and returns whether it has just been found to have diverged.
    fn compare(&mut self, now: Millis, shard: u8, own: ScopeDigest) -> bool {
        let Some(theirs) = self.shards.get(&shard) else { return false };
        if own == *theirs {
            self.diverged.remove(&shard);
        }
        if !own.contradicts(*theirs) {
            self.contradicts.remove(&shard);
            return false;
        }
        let since = *self.contradicts.entry(shard).or_insert(now);
        now >= since + CONTRADICTION_MS && self.diverged.insert(shard)
    }
}

/// The comparison of a peer's views with this node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The peer.
    pub peer: NodeId,
    /// The number of shards with equal digests.
    pub equal: usize,
    /// The number of shards with different views of the same events.
    pub diverged: usize,
}

impl Replica {
    /// Returns the digest of all shards.
    pub fn digest(&self) -> ScopeDigest {
        let mut all = ScopeDigest::default();
        self.digests.shards.iter().for_each(|shard| all.add(*shard));
        all
    }

    /// Compares the peers' views with this node's. Shards that a peer has not sent, or for which it has applied other
    /// events, count neither as equal nor as diverged.
    pub fn agreements(&self) -> impl Iterator<Item = Agreement> + '_ {
        self.links.values().map(|link| {
            let theirs = link.digests.shards.iter();
            let equal = theirs
                .filter(|(shard, digest)| self.digests.shards[usize::from(**shard)] == **digest)
                .count();
            Agreement { peer: link.peer, equal, diverged: link.digests.diverged.len() }
        })
    }

    /// Sends the changed digests and compares them with those of the peers. Called with every heartbeat.
    pub(super) fn send_digests(&mut self, now: Millis, out: &mut Vec<Output>) {
        let shards = *self.digests.shards;
        let with = |shard: u8| (shard, shards[usize::from(shard)]);
        let changed = std::mem::take(&mut self.digests.changed);
        for (&id, link) in self.links.iter_mut().filter(|(_, link)| link.digests.are_comparable) {
            let updates: Vec<_> = if link.digests.sent_all {
                changed.iter().copied().map(with).collect()
            } else {
                (0..=u8::MAX).map(with).filter(|(_, digest)| *digest != ScopeDigest::default()).collect()
            };
            link.digests.sent_all = true;
            if !updates.is_empty() {
                out.push(send(id, ReplicaFrame::Digests(updates)));
            }
            let mut suspects = std::mem::take(&mut link.digests.fresh);
            suspects.extend(changed.iter().chain(link.digests.contradicts.keys()));
            for (shard, own) in suspects.into_iter().map(with) {
                if link.digests.compare(now, shard, own) {
                    out.push(send(id, ReplicaFrame::AskScopes(shard)));
                }
            }
        }
    }

    /// Stores the version of a peer's views.
    pub(super) fn receive_views_version(&mut self, id: LinkId, version: u32) {
        if let Some(link) = self.links.get_mut(&id) {
            link.digests.are_comparable = version == VIEWS_VERSION;
        }
    }

    /// Stores digests from a peer. The next heartbeat compares them.
    pub(super) fn receive_digests(&mut self, id: LinkId, received: Vec<(u8, ScopeDigest)>) {
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.digests.are_comparable) {
            link.digests.fresh.extend(received.iter().map(|&(shard, _)| shard));
            link.digests.shards.extend(received);
        }
    }

    pub(super) fn read_scopes(&mut self, id: LinkId, shard: u8, out: &mut Vec<Output>) {
        if self.links.get_mut(&id).is_some_and(Link::begin_read) {
            out.push(Output::ReadScopes { link: id, shard });
        }
    }

    pub(super) fn send_scopes(
        &mut self,
        id: LinkId,
        shard: u8,
        mut scopes: Vec<(Scope, ScopeDigest)>,
        out: &mut Vec<Output>,
    ) {
        if let Some(link) = self.links.get_mut(&id) {
            link.end_read();
            scopes.truncate(SCOPES_MAX);
            out.push(send(id, ReplicaFrame::Scopes(shard, scopes)));
        }
    }

    pub(super) fn compare_scopes(
        &self,
        id: LinkId,
        shard: u8,
        scopes: Vec<(Scope, ScopeDigest)>,
        out: &mut Vec<Output>,
    ) {
        if let Some(link) = self.links.get(&id).filter(|link| link.digests.diverged.contains(&shard)) {
            out.push(Output::CompareScopes { peer: link.peer, scopes });
        }
    }
}
