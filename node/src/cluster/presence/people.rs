//! The users with a live session, here or on a linked node. Pure bookkeeping.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use starling_protocol::{NodeId, UserId};

/// The online users.
#[derive(Debug, Default)]
pub struct People {
    /// The number of live sessions on this node.
    here: HashMap<UserId, usize>,
    at_peers: BTreeMap<NodeId, HashSet<UserId>>,
    /// The number of nodes on which a user has a session.
    nodes: HashMap<UserId, usize>,
    /// The users who may have changed since [`People::take_changes`] was last called.
    changed: BTreeSet<UserId>,
    /// The users who were online then.
    notified: HashSet<UserId>,
}

impl People {
    pub fn is_online(&self, user: UserId) -> bool {
        self.nodes.contains_key(&user)
    }

    pub fn here(&self) -> impl Iterator<Item = UserId> {
        self.here.keys().copied()
    }

    /// Counts a new session of this node; returns whether it is the first of the user here.
    pub fn session_started(&mut self, user: UserId) -> bool {
        let sessions = self.here.entry(user).or_default();
        *sessions += 1;
        let first = *sessions == 1;
        if first {
            self.count(user, true);
        }
        first
    }

    /// Ends a session of this node; returns whether it was the last of the user here.
    pub fn session_ended(&mut self, user: UserId) -> bool {
        let Some(sessions) = self.here.get_mut(&user) else { return false };
        *sessions -= 1;
        let last = *sessions == 0;
        if last {
            self.here.remove(&user);
            self.count(user, false);
        }
        last
    }

    /// Sets whether a user has a session on a peer.
    pub fn set_at_peer(&mut self, peer: NodeId, user: UserId, online: bool) {
        let there = self.at_peers.entry(peer).or_default();
        let has_changed = if online { there.insert(user) } else { there.remove(&user) };
        if has_changed {
            self.count(user, online);
        }
    }

    /// Forgets all presence on a peer.
    pub fn clear_peer(&mut self, peer: NodeId) {
        for user in self.at_peers.remove(&peer).into_iter().flatten() {
            self.count(user, false);
        }
    }

    fn count(&mut self, user: UserId, more: bool) {
        let nodes = self.nodes.entry(user).or_default();
        *nodes = if more { *nodes + 1 } else { *nodes - 1 };
        if *nodes == 0 {
            self.nodes.remove(&user);
        }
        self.changed.insert(user);
    }

    /// Whether [`People::take_changes`] may return a change.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Returns the users whose state changed since the last call, and whether they are online; a user who only moved to
    /// another node is not among them.
    pub fn take_changes(&mut self) -> Vec<(UserId, bool)> {
        let mut changes = Vec::new();
        for user in std::mem::take(&mut self.changed) {
            let online = self.is_online(user);
            let has_changed = if online { self.notified.insert(user) } else { self.notified.remove(&user) };
            if has_changed {
                changes.push((user, online));
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: UserId = UserId([1; 16]);
    const PEER: NodeId = NodeId([2; 16]);

    #[test]
    fn a_user_is_online_while_any_session_lives_and_moving_is_no_news() {
        let mut people = People::default();
        assert!(people.session_started(ANN) && !people.session_started(ANN));
        assert_eq!(people.take_changes(), [(ANN, true)]);
        people.set_at_peer(PEER, ANN, true);
        people.set_at_peer(PEER, ANN, true);
        assert!(!people.session_ended(ANN) && people.session_ended(ANN));
        assert!(people.is_online(ANN) && people.has_changes());
        assert_eq!(people.take_changes(), []);
        people.clear_peer(PEER);
        people.set_at_peer(PEER, ANN, true);
        assert_eq!(people.take_changes(), [], "a peer that sends everything again brings no news");
        people.set_at_peer(PEER, ANN, false);
        assert!(!people.is_online(ANN) && !people.session_ended(ANN));
        assert_eq!(people.take_changes(), [(ANN, false)]);
        assert!(people.nodes.is_empty() && people.here.is_empty() && people.notified.is_empty());
    }
}
