//! The members that this node knows, and its description of itself: kept on disk, so that a restart needs no join
//! address. Of two descriptions of a node the one with the greater number holds, from any source. A dead node is never
//! forgotten.

use std::{
    collections::BTreeMap,
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
        let known = Mutex::new(Known { own, others, save: None });
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

    /// Merges descriptions that a peer sent; returns whether anything was new.
    pub fn learn(&self, members: &[Member]) -> bool {
        let mut known = self.known();
        let mut news = false;
        for member in members.iter().filter(|member| fits(member)) {
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
            } else if known.others.len() < CLUSTER_MEMBERS_MAX {
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

impl Known {
    fn write(&self) {
        let Some(save) = &self.save else { return };
        let members: Vec<_> = self.others.values().chain([&self.own]).cloned().collect();
        if let Err(error) = save(&members) {
            tracing::warn!(%error, "cannot save the list of members; a restart may need --join");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::ThisMachine;

    fn member(node: u8, number: u64, address: &str) -> Member {
        let addresses = vec![address.to_owned()];
        Member {
            node: NodeId([node; 16]),
            number,
            addresses,
            public_url: None,
            observed_addresses: Vec::new(),
        }
    }

    fn members(known: Vec<Member>) -> Members {
        Members::new(Arc::new(ThisMachine), member(0, 0, "me:1"), known)
    }

    /// Membership (design, section 3): the greatest number wins, from any source.
    #[test]
    fn the_newest_description_holds_whoever_tells_it_and_in_any_order() {
        let told = [member(1, 5, "old:1"), member(1, 7, "new:1"), member(1, 6, "between:1")];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            let members = members(Vec::new());
            for at in order {
                members.learn(&[told[at].clone()]);
            }
            assert_eq!(members.all(), [told[1].clone()]);
            assert!(!members.learn(&[told[0].clone()]), "an older one is no news");
        }
    }

    /// A file from before descriptions had numbers is older than any description of a node.
    #[test]
    fn what_was_kept_without_a_number_gives_way() {
        let members = members(vec![member(1, 0, "old:1")]);
        members.learn(&[member(1, 1, "new:1")]);
        assert_eq!(members.all()[0].addresses, ["new:1"]);
    }

    /// The number of a node's own description rises above the last one used and above any that a peer sent, even if the
    /// clock was set back.
    #[test]
    fn ones_own_number_rises_above_all_that_are_known() {
        let far = u64::MAX / 2;
        let members = members(vec![member(0, far, "before:1")]);
        assert_eq!((members.own().number, members.count()), (far + 1, 0));
        members.learn(&[member(0, far + 1, "me:1")]);
        assert_eq!(members.own().number, far + 1, "that is what it says itself");
        members.learn(&[member(0, far + 1, "elsewhere:1")]);
        assert_eq!(members.own().number, far + 2);
        members.learn(&[member(0, far + 9, "elsewhere:1")]);
        assert_eq!((members.own().number, members.own().addresses), (far + 10, vec!["me:1".to_owned()]));
        members.set_addresses(vec!["moved:1".into()]);
        assert_eq!(members.own().number, far + 11);
    }

    /// Descriptions converge: a bounded set that does not depend on the order of news, so that sending ends.
    #[test]
    fn the_newest_addresses_from_which_a_node_was_heard_stay() {
        let heard = |at_ms, address: &str| ObservedAddress { at_ms, address: address.into() };
        let all = [heard(1, "a:1"), heard(2, "b:1"), heard(3, "c:1"), heard(4, "d:1"), heard(5, "a:1")];
        let of = |order: &[usize]| {
            let mut kept = Vec::new();
            for &at in order {
                merge_observed(&mut kept, &all[at..=at]);
            }
            kept
        };
        let kept = of(&[0, 1, 2, 3, 4]);
        assert_eq!(kept, [heard(5, "a:1"), heard(4, "d:1"), heard(3, "c:1")]);
        assert_eq!(of(&[4, 3, 2, 1, 0]), kept);
        assert!(!merge_observed(&mut kept.clone(), &all), "nothing is new");
    }
}
