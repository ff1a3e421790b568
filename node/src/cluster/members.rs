//! Whom this node knows: kept on disk, so that a restart needs no join address. A dead node is never forgotten.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use starling_protocol::{
    NodeId,
    frame::peer::Member,
    limits::{ADDRESS_CHARS_MAX, MEMBERS_MAX},
};

use crate::data_dir::DataDirError;

/// Keeps the members for the next start.
pub type KeepMembers = Box<dyn Fn(&[Member]) -> Result<(), DataDirError> + Send>;

/// All known members of the cluster but this node.
pub struct Members {
    me: NodeId,
    known: Mutex<Known>,
}

struct Known {
    members: BTreeMap<NodeId, Member>,
    /// How to keep them; not at all until the node has decided that it may write.
    keep: Option<KeepMembers>,
}

impl Members {
    /// Starts with those of the last run.
    pub fn new(me: NodeId, members: Vec<Member>) -> Self {
        let members = members.into_iter().map(|member| (member.node, member)).collect();
        Self { me, known: Mutex::new(Known { members, keep: None }) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, changes are kept on disk.
    pub fn keep(&self, keep: KeepMembers) {
        let mut known = self.known();
        known.keep = Some(keep);
        known.write();
    }

    /// Takes note of members that a peer told of; `trusted` ones spoke for themselves and replace what was known.
    pub fn learn(&self, members: &[Member], trusted: bool) {
        let mut known = self.known();
        let mut changed = false;
        for member in members {
            let fits = !member.address.is_empty() && member.address.len() <= ADDRESS_CHARS_MAX;
            let room = known.members.len() < MEMBERS_MAX || known.members.contains_key(&member.node);
            let news = match known.members.get(&member.node) {
                None => true,
                Some(old) => trusted && old != member,
            };
            if member.node != self.me && fits && room && news {
                changed |= known.members.get(&member.node).is_none_or(|old| old.address != member.address);
                known.members.insert(member.node, member.clone());
            }
        }
        if changed {
            known.write();
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.known().members.len()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Member> {
        self.known().members.values().cloned().collect()
    }
}

impl Known {
    fn write(&self) {
        let Some(keep) = &self.keep else { return };
        let members: Vec<_> = self.members.values().cloned().collect();
        if let Err(error) = keep(&members) {
            tracing::warn!(%error, "cannot keep the list of members; a restart may need --join");
        }
    }
}
