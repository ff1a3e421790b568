//! Whether the peers show the same. Every node tells the digests of its parts as they change; where the same events
//! give other views for longer than replication lags, one of the two is wrong, and the scopes in which they differ are
//! asked for. (For a moment they may: an event can change what another scope shows, if one id is used in two rooms.)

use std::collections::{BTreeMap, BTreeSet};

use super::{LinkId, Millis, Output, Replica, link::Link, send};
use crate::{
    NodeId, Scope,
    digest::{SHARDS, ScopeDigest},
    frame::peer::ReplicaFrame,
    limits::SCOPES_MAX,
};

/// A contradiction that lasts for so long is no lag.
const LASTS_MS: Millis = 10_000;

/// This node's digests.
#[derive(Debug)]
pub(super) struct Digests {
    parts: Box<[ScopeDigest; SHARDS]>,
    /// Since the last beat.
    changed: BTreeSet<u8>,
}

impl Default for Digests {
    fn default() -> Self {
        Self { parts: Box::new([ScopeDigest::default(); SHARDS]), changed: BTreeSet::new() }
    }
}

impl Digests {
    pub(super) fn set(&mut self, changed: Vec<(u8, ScopeDigest)>) {
        for (part, digest) in changed {
            self.parts[usize::from(part)] = digest;
            self.changed.insert(part);
        }
    }
}

/// What a peer has told.
#[derive(Debug, Default)]
pub(super) struct PeerDigests {
    parts: BTreeMap<u8, ScopeDigest>,
    /// What it has told since the last beat.
    fresh: BTreeSet<u8>,
    /// Where it contradicts this node, since when.
    contradicts: BTreeMap<u8, Millis>,
    /// Where it has done so for too long. Only a comparison that finds the same clears it.
    diverged: BTreeSet<u8>,
    /// It has been told all parts; only changes follow.
    told: bool,
}

impl PeerDigests {
    /// Something that was told may not have come.
    pub(super) fn resend_all(&mut self) {
        self.told = false;
    }

    /// Says whether the part has just been found to have diverged.
    fn compare(&mut self, now: Millis, part: u8, own: ScopeDigest) -> bool {
        let Some(theirs) = self.parts.get(&part) else { return false };
        if own == *theirs {
            self.diverged.remove(&part);
        }
        if !own.contradicts(*theirs) {
            self.contradicts.remove(&part);
            return false;
        }
        let since = *self.contradicts.entry(part).or_insert(now);
        now >= since + LASTS_MS && self.diverged.insert(part)
    }
}

/// How a peer's views compare with this node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The peer.
    pub peer: NodeId,
    /// Parts that both show alike.
    pub equal: usize,
    /// Parts that the same events led to differ.
    pub diverged: usize,
}

impl Replica {
    /// The digest of everything that this node shows.
    pub fn digest(&self) -> ScopeDigest {
        let mut all = ScopeDigest::default();
        self.digests.parts.iter().for_each(|part| all.add(*part));
        all
    }

    /// How the peers' views compare with this node's. Parts that have not been told, or not applied alike, count
    /// neither as equal nor as diverged.
    pub fn agreements(&self) -> impl Iterator<Item = Agreement> + '_ {
        self.links.values().map(|link| {
            let told = link.digests.parts.iter();
            let equal =
                told.filter(|(part, digest)| self.digests.parts[usize::from(**part)] == **digest).count();
            Agreement { peer: link.peer, equal, diverged: link.digests.diverged.len() }
        })
    }

    /// Every beat: tells what has changed, and compares it with what the peers have told.
    pub(super) fn tell_digests(&mut self, now: Millis, out: &mut Vec<Output>) {
        let parts = *self.digests.parts;
        let with = |part: u8| (part, parts[usize::from(part)]);
        let changed = std::mem::take(&mut self.digests.changed);
        for (&id, link) in &mut self.links {
            let told: Vec<_> = if link.digests.told {
                changed.iter().copied().map(with).collect()
            } else {
                (0..=u8::MAX).map(with).filter(|(_, digest)| *digest != ScopeDigest::default()).collect()
            };
            link.digests.told = true;
            if !told.is_empty() {
                out.push(send(id, ReplicaFrame::Digests(told)));
            }
            let mut suspects = std::mem::take(&mut link.digests.fresh);
            suspects.extend(changed.iter().chain(link.digests.contradicts.keys()));
            for (part, own) in suspects.into_iter().map(with) {
                if link.digests.compare(now, part, own) {
                    out.push(send(id, ReplicaFrame::AskScopes(part)));
                }
            }
        }
    }

    /// A peer has told some of its digests; the next beat compares them.
    pub(super) fn digests_told(&mut self, id: LinkId, told: Vec<(u8, ScopeDigest)>) {
        if let Some(link) = self.links.get_mut(&id) {
            link.digests.fresh.extend(told.iter().map(|&(part, _)| part));
            link.digests.parts.extend(told);
        }
    }

    pub(super) fn scopes_asked(&mut self, id: LinkId, part: u8, out: &mut Vec<Output>) {
        if self.links.get_mut(&id).is_some_and(Link::begin_read) {
            out.push(Output::ReadScopes { link: id, part });
        }
    }

    pub(super) fn scopes_read(
        &mut self,
        id: LinkId,
        part: u8,
        mut scopes: Vec<(Scope, ScopeDigest)>,
        out: &mut Vec<Output>,
    ) {
        if let Some(link) = self.links.get_mut(&id) {
            link.end_read();
            scopes.truncate(SCOPES_MAX);
            out.push(send(id, ReplicaFrame::Scopes(part, scopes)));
        }
    }

    pub(super) fn scopes_told(
        &self,
        id: LinkId,
        part: u8,
        scopes: Vec<(Scope, ScopeDigest)>,
        out: &mut Vec<Output>,
    ) {
        if let Some(link) = self.links.get(&id).filter(|link| link.digests.diverged.contains(&part)) {
            out.push(Output::CompareScopes { peer: link.peer, scopes });
        }
    }
}
