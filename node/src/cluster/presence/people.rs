//! Who with an account has a live session, here or on a linked node. Pure bookkeeping.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use starling_protocol::{NodeId, UserId};

/// Everybody who is online.
#[derive(Debug, Default)]
pub struct People {
    /// Live sessions of this node.
    here: HashMap<UserId, usize>,
    of_peers: BTreeMap<NodeId, HashSet<UserId>>,
    /// On how many nodes somebody has any.
    nodes: HashMap<UserId, usize>,
    /// Whoever came or went since it was asked last.
    changed: BTreeSet<UserId>,
    /// Who was online then.
    told: HashSet<UserId>,
}

impl People {
    pub fn is_online(&self, user: UserId) -> bool {
        self.nodes.contains_key(&user)
    }

    pub fn here(&self) -> impl Iterator<Item = UserId> {
        self.here.keys().copied()
    }

    /// A session of this node begins; says whether it is his first here.
    pub fn come(&mut self, user: UserId) -> bool {
        let sessions = self.here.entry(user).or_default();
        *sessions += 1;
        let first = *sessions == 1;
        if first {
            self.count(user, true);
        }
        first
    }

    /// A session of this node is over; says whether it was his last here.
    pub fn go(&mut self, user: UserId) -> bool {
        let Some(sessions) = self.here.get_mut(&user) else { return false };
        *sessions -= 1;
        let last = *sessions == 0;
        if last {
            self.here.remove(&user);
            self.count(user, false);
        }
        last
    }

    /// A peer has a session of his, or none any more.
    pub fn at_peer(&mut self, peer: NodeId, user: UserId, online: bool) {
        let there = self.of_peers.entry(peer).or_default();
        let changed = if online { there.insert(user) } else { there.remove(&user) };
        if changed {
            self.count(user, online);
        }
    }

    /// All sessions of a peer are over.
    pub fn peer_gone(&mut self, peer: NodeId) {
        for user in self.of_peers.remove(&peer).into_iter().flatten() {
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

    /// Whether there may be something to tell.
    pub fn has_news(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Who is online now and was not when this was asked last, or the other way round. Who only moved is not.
    pub fn news(&mut self) -> Vec<(UserId, bool)> {
        let mut news = Vec::new();
        for user in std::mem::take(&mut self.changed) {
            let online = self.is_online(user);
            let changed = if online { self.told.insert(user) } else { self.told.remove(&user) };
            if changed {
                news.push((user, online));
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: UserId = UserId([1; 16]);
    const PEER: NodeId = NodeId([2; 16]);

    #[test]
    fn somebody_is_online_while_any_session_anywhere_lives_and_moving_is_no_news() {
        let mut people = People::default();
        assert!(people.come(ANN) && !people.come(ANN));
        assert_eq!(people.news(), [(ANN, true)]);
        people.at_peer(PEER, ANN, true);
        people.at_peer(PEER, ANN, true);
        assert!(!people.go(ANN) && people.go(ANN));
        assert!(people.is_online(ANN) && people.has_news());
        assert_eq!(people.news(), []);
        people.peer_gone(PEER);
        people.at_peer(PEER, ANN, true);
        assert_eq!(people.news(), [], "a peer that tells all afresh tells nothing new");
        people.at_peer(PEER, ANN, false);
        assert!(!people.is_online(ANN) && !people.go(ANN));
        assert_eq!(people.news(), [(ANN, false)]);
        assert!(people.nodes.is_empty() && people.here.is_empty() && people.told.is_empty());
    }
}
