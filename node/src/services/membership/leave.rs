//! This node leaves the cluster. First it makes sure, while it still serves, that enough nodes remain and hold its log; it
//! can be called back then. After it was drained it hands over the rest, writes that it is no member any more, and waits
//! until enough nodes hold that, too.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use starling_protocol::{NodeId, VersionVector};
use thiserror::Error;
use tokio::time::sleep;

use super::{MembershipService, list};
use crate::{
    cluster::Links,
    store::{Decision, Store, Tables},
    texts,
};

/// How often a leaving node looks at what is missing.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Members named in a line of progress, at most.
const NAMED_MAX: usize = 5;

/// Why a node does not leave. Each text is one line and says what to do.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LeaveRefused {
    /// There is no other member.
    #[error(
        "this node is the only one: nobody else holds its data. To move it, start another node of its cluster first; to \
         end the service, stop it"
    )]
    Alone,
    /// Too few others.
    #[error(
        "{would} would remain, and durability.copies asks for {copies}: start another node first, or start this one with \
         --durability-copies {remaining}",
        would = texts::nodes(*remaining)
    )]
    TooFew {
        /// The number of other members.
        remaining: usize,
        /// The setting.
        copies: usize,
    },
    /// Too few others that stay.
    #[error(
        "{others} leaving too, and {remaining} would remain, while durability.copies asks for {copies}: wait until that is \
         over, then try again",
        others = texts::are(leaving), remaining = texts::nodes(*remaining)
    )]
    OthersLeave {
        /// The others that leave.
        leaving: BTreeSet<NodeId>,
        /// The number of members that stay.
        remaining: usize,
        /// The setting.
        copies: usize,
    },
    /// It leaves already.
    #[error("this node is leaving already: 'starling status' shows what it waits for")]
    Already,
    /// Another node has forgotten it.
    #[error("this node was forgotten meanwhile: it joins again under a new id with its data")]
    Forgotten,
    /// The store cannot be read.
    #[error("the store cannot be read: {0}")]
    Store(String),
}

/// A node has left: it is no member any more, and enough others hold all that it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// The number of others that hold it.
    pub holders: usize,
}

/// The other members, as a node that leaves sees them. Whether it may leave is decided from this alone, here and in the
/// simulator.
#[derive(Debug, Default)]
pub struct OtherMembers {
    /// All, whether they run or not.
    pub members: BTreeSet<NodeId>,
    /// Those that say that they leave: nodes that leave don't count for each other.
    pub leaving: BTreeSet<NodeId>,
    /// Those that hold all that is to be handed over.
    pub holders: BTreeSet<NodeId>,
}

impl OtherMembers {
    fn staying(&self) -> impl Iterator<Item = &NodeId> {
        self.members.difference(&self.leaving)
    }

    /// The number of nodes that stay and hold everything.
    pub fn holders(&self) -> usize {
        self.staying().filter(|node| self.holders.contains(node)).count()
    }

    /// Checks that enough nodes would remain, running or not.
    ///
    /// # Errors
    ///
    /// If there is no other member, or fewer than `copies` stay.
    pub fn check(&self, copies: usize) -> Result<(), LeaveRefused> {
        let remaining = self.staying().count();
        if self.members.is_empty() {
            Err(LeaveRefused::Alone)
        } else if self.members.len() < copies {
            Err(LeaveRefused::TooFew { remaining: self.members.len(), copies })
        } else if remaining < copies {
            let leaving = self.members.intersection(&self.leaving).copied().collect();
            Err(LeaveRefused::OthersLeave { leaving, remaining, copies })
        } else {
            Ok(())
        }
    }
}

/// A node that may leave, because enough others stay and hold its log. It stays if this is dropped.
pub struct LeavePermit {
    service: Arc<MembershipService>,
    links: Arc<Links>,
}

impl Drop for LeavePermit {
    fn drop(&mut self) {
        self.links.set_leaving(false);
        self.service.context.driver.resume_receiving();
        self.service.set_leaving(None);
    }
}

impl MembershipService {
    /// Prepares to leave, while this node goes on serving: waits until enough nodes that stay hold all that it holds. There
    /// is no time limit; `progress` receives what is missing. Cancelled when the future is dropped.
    ///
    /// # Errors
    ///
    /// If too few members would remain, or another node has forgotten this one.
    pub async fn prepare_leave(
        self: &Arc<Self>,
        progress: impl Fn(String),
    ) -> Result<LeavePermit, LeaveRefused> {
        let links = self.links.as_ref().ok_or(LeaveRefused::Alone)?;
        self.others(links, &VersionVector::default()).await.check(self.copies)?;
        let permit = self.begin_leave(links)?;
        let vector = self.vector().await?;
        loop {
            if links.is_forgotten() {
                return Err(LeaveRefused::Forgotten);
            }
            // Of two that leave at once, one at least knows of the other after this.
            let silent = links.confirm_leaving().await;
            let others = self.others(links, &vector).await;
            others.check(self.copies)?;
            if silent.is_empty() && others.holders() >= self.copies {
                return Ok(permit);
            }
            self.report(self.missing(&others), &progress);
            sleep(LOOK_EVERY).await;
        }
    }

    fn begin_leave(self: &Arc<Self>, links: &Arc<Links>) -> Result<LeavePermit, LeaveRefused> {
        let mut leaving = self.leaving.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if leaving.is_some() {
            return Err(LeaveRefused::Already);
        }
        *leaving = Some(texts::LEAVE_BEGINS.to_owned());
        links.set_leaving(true);
        Ok(LeavePermit { service: Arc::clone(self), links: Arc::clone(links) })
    }

    /// Waits until the writer has committed, or failed to, what it was given before.
    async fn pass_writer(&self) {
        let nothing = |_: &Tables<'_>| Ok(Decision::Nothing);
        // A refusal has passed it, too.
        let _ = self.context.commit_and_replicate_from_reserve(nothing).await;
    }

    async fn vector(&self) -> Result<VersionVector, LeaveRefused> {
        let read = self.context.read(Store::vector).await;
        read.map_err(|refusal| LeaveRefused::Store(refusal.detail.to_string()))
    }

    async fn others(&self, links: &Links, vector: &VersionVector) -> OtherMembers {
        let holders = self.context.driver.holders(vector.clone()).await;
        OtherMembers {
            members: links.known().into_iter().map(|member| member.node).collect(),
            leaving: links.leaving_peers(),
            holders: holders.into_iter().collect(),
        }
    }

    /// Returns which nodes that stay lack something, in words.
    fn missing(&self, others: &OtherMembers) -> String {
        let report = self.context.driver.report();
        let lack = others.staying().filter(|node| !others.holders.contains(node)).take(NAMED_MAX);
        let lack = lack.map(|node| match report.peers.iter().find(|peer| peer.peer == *node) {
            None => texts::not_linked(node),
            Some(peer) => texts::lacks_events(node, peer.lag),
        });
        texts::leave_waits(others.holders(), self.copies, &list(lack))
    }

    /// Returns which nodes that stay may lack the end of this node's membership, in words.
    fn missing_end(&self, others: &OtherMembers) -> String {
        let lack = others.staying().filter(|node| !others.holders.contains(node)).take(NAMED_MAX);
        texts::end_waits(others.holders(), self.copies, &list(lack.map(NodeId::to_string)))
    }

    fn report(&self, text: String, progress: &impl Fn(String)) {
        self.set_leaving(Some(&text));
        progress(text);
    }
}

impl LeavePermit {
    /// Leaves, after this node was drained: hands over the rest, writes that this node is no member any more, and waits until
    /// enough nodes hold that, too. There is no time limit; `progress` receives what is missing.
    ///
    /// # Errors
    ///
    /// If another node has forgotten this one, or the store fails.
    pub async fn finish(self, progress: impl Fn(String)) -> Result<Left, LeaveRefused> {
        let (service, links) = (&self.service, &self.links);
        // A later event would be on this node and on the node that wrote it only, and that node would count two copies.
        service.context.driver.stop_receiving().await;
        service.pass_writer().await;
        let vector = service.vector().await?;
        loop {
            if links.is_forgotten() {
                return Err(LeaveRefused::Forgotten);
            }
            let others = service.others(links, &vector).await;
            if others.holders() >= service.copies {
                break;
            }
            service.report(service.missing(&others), &progress);
            sleep(LOOK_EVERY).await;
        }
        while let Err(refusal) = service.write_forgotten(links.me()).await {
            progress(texts::cannot_write_leave(&refusal.detail));
            sleep(LOOK_EVERY).await;
        }
        // With that event.
        let vector = service.vector().await?;
        loop {
            let mut others = service.others(links, &vector).await;
            // A peer that refuses links for that reason holds an end of this membership: this one, or one that an operator wrote
            // elsewhere. All else was handed over before.
            others.holders.extend(links.forgotten_by());
            if others.holders() >= service.copies {
                return Ok(Left { holders: others.holders() });
            }
            service.report(service.missing_end(&others), &progress);
            sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[u8]) -> BTreeSet<NodeId> {
        ids.iter().map(|&id| NodeId([id; 16])).collect()
    }

    fn others(members: &[u8], leaving: &[u8], holders: &[u8]) -> OtherMembers {
        OtherMembers { members: nodes(members), leaving: nodes(leaving), holders: nodes(holders) }
    }

    /// Bad input: the only node, and a node without which too few remain.
    #[test]
    fn a_node_leaves_only_if_enough_remain() {
        assert_eq!(others(&[], &[], &[]).check(1), Err(LeaveRefused::Alone));
        let too_few = LeaveRefused::TooFew { remaining: 1, copies: 2 };
        assert_eq!(others(&[1], &[], &[1]).check(2), Err(too_few));
        assert_eq!(others(&[1], &[], &[]).check(1), Ok(()));
        assert_eq!(others(&[1, 2], &[], &[]).check(2), Ok(()));
    }

    /// Membership (design, section 3): nodes that leave don't count for each other.
    #[test]
    fn nodes_that_leave_do_not_count_for_each_other() {
        let leave =
            |leaving: &[u8]| LeaveRefused::OthersLeave { leaving: nodes(leaving), remaining: 1, copies: 2 };
        assert_eq!(others(&[1, 2], &[2], &[]).check(2), Err(leave(&[2])));
        assert_eq!(others(&[1, 2, 3], &[2], &[]).check(2), Ok(()));
        // Nor as holders of what is handed over.
        assert_eq!(others(&[1, 2, 3], &[2], &[2, 3]).holders(), 1);
        assert_eq!(others(&[1, 2, 3], &[2], &[1, 2, 3]).holders(), 2);
    }

    /// A linked node that is no member, because it was forgotten, is neither a holder nor a reason to wait.
    #[test]
    fn nodes_that_are_no_members_do_not_count() {
        assert_eq!(others(&[1], &[], &[1, 9]).holders(), 1);
        assert_eq!(others(&[1, 2], &[9], &[]).check(2), Ok(()));
    }

    /// A node that is no member any more learns of no newcomers, so that advice to start another node would not help.
    #[test]
    fn a_leave_that_cannot_end_says_what_to_do() {
        let text = texts::end_waits(1, 2, "abc");
        assert!(
            ["1 of 2", "waiting for abc", "start it again"].iter().all(|words| text.contains(words)),
            "{text}"
        );
        assert!(!text.contains("another node") && !text.contains('\n'), "{text}");
    }

    /// Texts say what happened and what to do.
    #[test]
    fn refusals_say_what_to_do() {
        for (refused, words) in [
            (LeaveRefused::Alone, ["the only one", "start another node"]),
            (
                LeaveRefused::TooFew { remaining: 1, copies: 2 },
                ["1 node would remain", "--durability-copies 1"],
            ),
            (
                LeaveRefused::OthersLeave { leaving: nodes(&[7]), remaining: 1, copies: 2 },
                ["is leaving too", "wait until that is over"],
            ),
        ] {
            let text = refused.to_string();
            assert!(words.iter().all(|word| text.contains(word)) && !text.contains('\n'), "{text}");
        }
    }
}
