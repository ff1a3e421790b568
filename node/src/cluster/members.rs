//! The members that this node knows, and its description of itself: kept on disk, so that a restart needs no join
//! address. Of two descriptions of a node the one with the greater number holds, from any source. A dead node stays until it
//! is forgotten, or until newcomers need its place.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use starling_protocol::{
    NodeId,
    frame::peer::{Member, ObservedAddress},
    limits::{ADDRESS_CHARS_MAX, ADDRESSES_MAX, CLUSTER_MEMBERS_MAX, OBSERVED_ADDRESSES_MAX},
};
use tokio::sync::Notify;

use crate::{data_dir::DataDirError, environment::Environment};

/// Saves the members, this node among them, for the next start.
pub type SaveMembers = Box<dyn Fn(&[Member]) -> Result<(), DataDirError> + Send>;

/// All known members of the cluster.
pub struct Members {
    environment: Arc<dyn Environment>,
    me: NodeId,
    known: Mutex<Known>,
    /// The number of changes of descriptions and links so far.
    version: AtomicU64,
    /// Wakes the tasks that wait for the next change, in the order of their waits, so that simulations are repeatable.
    changed: Notify,
}

struct Known {
    own: Member,
    others: BTreeMap<NodeId, Member>,
    /// The nodes that were ever forgotten: 16 bytes each.
    forgotten: BTreeSet<NodeId>,
    /// Saves the members to disk; `None` until the node may write.
    save: Option<SaveMembers>,
}

impl Members {
    /// Starts with the members of the last run. This node may be among them: its new description follows that one.
    pub fn new(environment: Arc<dyn Environment>, own: Member, known: Vec<Member>) -> Self {
        let mut others: BTreeMap<_, _> = known.into_iter().map(|member| (member.node, member)).collect();
        let last = others.remove(&own.node).map_or(0, |last| last.number);
        let number = environment.now_ms().max(last.saturating_add(1));
        let (me, own) = (own.node, Member { number, ..own });
        let known = Mutex::new(Known { own, others, forgotten: BTreeSet::new(), save: None });
        Self { environment, me, known, version: AtomicU64::new(0), changed: Notify::new() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves changes to disk from now on.
    pub fn save_with(&self, save: SaveMembers) {
        let mut known = self.known();
        known.save = Some(save);
        known.write();
    }

    /// This node's id.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// This node's description of itself.
    pub fn own(&self) -> Member {
        self.known().own.clone()
    }

    /// Updates the description of this node if its addresses have changed.
    pub fn set_addresses(&self, addresses: Vec<String>) {
        let mut known = self.known();
        if known.own.addresses != addresses {
            tracing::info!(?addresses, "announcing these addresses to other nodes");
            known.own.addresses = addresses;
            let last = known.own.number;
            self.renumber(&mut known, last);
            self.notify_changed();
        }
    }

    /// Gives this node's description a number above all that are known.
    fn renumber(&self, known: &mut Known, last: u64) {
        known.own.number = self.environment.now_ms().max(last.saturating_add(1));
        known.write();
    }

    /// Removes a node from the members for ever; returns whether that is new.
    pub fn forget(&self, node: NodeId) -> bool {
        let mut known = self.known();
        if !known.forgotten.insert(node) {
            return false;
        }
        if known.others.remove(&node).is_some() {
            known.write();
        }
        self.notify_changed();
        true
    }

    /// Whether a node was forgotten.
    pub fn is_forgotten(&self, node: NodeId) -> bool {
        self.known().forgotten.contains(&node)
    }

    /// Merges descriptions that a peer sent; returns whether anything was new. Forgotten nodes are left out. Where there are
    /// [`CLUSTER_MEMBERS_MAX`], a newcomer takes the place of the member that has given no sign of life for the longest time
    /// and is not among those that `live` returns.
    pub fn learn(&self, members: &[Member], live: impl Fn() -> BTreeSet<NodeId>) -> bool {
        let mut known = self.known();
        let mut news = false;
        let is_member = |member: &&Member| fits(member) && !known.forgotten.contains(&member.node);
        for member in members.iter().filter(is_member).collect::<Vec<_>>() {
            if member.node == self.me {
                // A description from before a disk was lost or rolled back, or of a copy: this process's must hold.
                let own = &known.own;
                let same = member.number == own.number && member.addresses == own.addresses;
                if member.number >= own.number && !same {
                    self.renumber(&mut known, member.number);
                    news = true;
                }
            } else if let Some(old) = known.others.get_mut(&member.node) {
                news |= merge(old, member);
            } else if known.others.len() < CLUSTER_MEMBERS_MAX || known.make_room(member, &live()) {
                let mut member = member.clone();
                keep_newest(&mut member.observed_addresses);
                known.others.insert(member.node, member);
                news = true;
            }
        }
        if news {
            known.write();
            self.notify_changed();
        }
        news
    }

    /// Records that a member was heard from an address.
    pub fn record_observed(&self, node: NodeId, from: SocketAddr) {
        let (at_ms, address) = (self.environment.now_ms(), from.to_string());
        let mut known = self.known();
        let Some(member) = known.others.get_mut(&node) else { return };
        // While it is the newest, the exact time does not matter: no news is sent.
        if member.observed_addresses.first().is_none_or(|newest| newest.address != address)
            && merge_observed(&mut member.observed_addresses, &[ObservedAddress { at_ms, address }])
        {
            known.write();
            self.notify_changed();
        }
    }

    /// The number of other members.
    pub fn count(&self) -> usize {
        self.known().others.len()
    }

    /// All other members.
    pub fn all(&self) -> Vec<Member> {
        self.known().others.values().cloned().collect()
    }

    /// The number of a node's description.
    pub(super) fn number_of(&self, node: NodeId) -> Option<u64> {
        let known = self.known();
        if node == self.me {
            Some(known.own.number)
        } else {
            known.others.get(&node).map(|member| member.number)
        }
    }

    /// Returns the number of changes of descriptions and links so far.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Waits for a change since the version `seen`.
    pub async fn changed_since(&self, seen: u64) {
        loop {
            let changed = self.changed.notified();
            if self.version() != seen {
                return;
            }
            changed.await;
        }
    }

    /// Records a change that peers must learn of.
    pub fn notify_changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }
}

/// Whether a description keeps the limits.
fn fits(member: &Member) -> bool {
    let observed = member.observed_addresses.iter().map(|observed| &observed.address);
    member.addresses.len() <= ADDRESSES_MAX
        && member.addresses.iter().chain(observed).all(|address| address.len() <= ADDRESS_CHARS_MAX)
}

/// Merges news of a member into its description; returns whether anything was new. The result does not depend on the
/// order of the news.
fn merge(old: &mut Member, new: &Member) -> bool {
    let news = merge_observed(&mut old.observed_addresses, &new.observed_addresses);
    // Gossip leaves the URL out.
    let fuller =
        new.number == old.number && (&new.addresses, &new.public_url) > (&old.addresses, &old.public_url);
    if new.number > old.number || fuller {
        *old = Member { observed_addresses: std::mem::take(&mut old.observed_addresses), ..new.clone() };
        return true;
    }
    news
}

fn merge_observed(old: &mut Vec<ObservedAddress>, new: &[ObservedAddress]) -> bool {
    let before = old.clone();
    old.extend_from_slice(new);
    keep_newest(old);
    *old != before
}

/// Keeps the newest addresses, newest first, each once.
fn keep_newest(observed: &mut Vec<ObservedAddress>) {
    observed.sort_by(|a, b| b.cmp(a));
    let mut seen = std::collections::BTreeSet::new();
    observed.retain(|observed| seen.insert(observed.address.clone()));
    observed.truncate(OBSERVED_ADDRESSES_MAX);
}

/// The last time at which a member is known to have run, in Unix milliseconds. A description's number is the time at which it
/// was made.
fn last_sign_ms(member: &Member) -> u64 {
    member.observed_addresses.first().map_or(0, |observed| observed.at_ms).max(member.number)
}

impl Known {
    /// Drops the member that was silent for the longest time, if `newcomer` has given a later sign of life. So nodes that know
    /// more members than fit do not go on sending each other those that they dropped.
    fn make_room(&mut self, newcomer: &Member, live: &BTreeSet<NodeId>) -> bool {
        let rank = |member: &Member| (live.contains(&member.node), last_sign_ms(member), member.node);
        let Some(silent) = self.others.values().min_by_key(|member| rank(member)).map(|member| member.node)
        else {
            return false;
        };
        if live.contains(&silent) || rank(newcomer) < rank(&self.others[&silent]) {
            return false;
        }
        self.others.remove(&silent);
        tracing::info!(node = %silent, "dropped a silent member: there are more than {CLUSTER_MEMBERS_MAX}; forget those that are gone");
        true
    }

    fn write(&self) {
        let Some(save) = &self.save else { return };
        let members: Vec<_> = self.others.values().chain([&self.own]).cloned().collect();
        if let Err(error) = save(&members) {
            tracing::warn!(%error, "cannot save the list of members; a restart may need --join");
        }
    }
}

#[cfg(test)]
mod tests;
