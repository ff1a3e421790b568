//! Join addresses that lead to no node, and the reasons: logged once, and shown by `status` as long as they last.

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

use tokio::time::Instant;

/// How long a join address may lead to no node before it is reported.
const PATIENCE: Duration = Duration::from_secs(5);

/// A join address that leads to no node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinProblem {
    /// The address as configured.
    pub address: String,
    /// The reason why no node is found there.
    pub reason: JoinReason,
}

/// Why a join address leads to no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinReason {
    /// No answer to the question for its addresses.
    Unanswered,
    /// The name has no address.
    Unresolved,
    /// It has IPv6 addresses only.
    OnlyIpv6,
    /// A node with a different secret answers.
    OtherSecret,
    /// A node answers that speaks no wire version of this one.
    NoCommonVersion,
    /// Nobody answers at its addresses.
    Nobody,
}

impl fmt::Display for JoinReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unanswered => "DNS has not answered for this name",
            Self::Unresolved => "the name does not resolve",
            Self::OnlyIpv6 => {
                "the name has IPv6 addresses only, but --cluster-listen is an IPv4 address: listen on [::]"
            }
            Self::OtherSecret => "the node there has a different cluster secret",
            Self::NoCommonVersion => {
                "the node there speaks no wire version that this one speaks: upgrade the older one"
            }
            Self::Nobody => "no node answers there (UDP)",
        })
    }
}

/// The state of each join address.
#[derive(Debug)]
pub(super) struct JoinAddresses(BTreeMap<String, Join>);

#[derive(Debug)]
struct Join {
    /// The addresses it resolves to, once resolved.
    resolved: Option<Vec<SocketAddr>>,
    /// The time since which no node is found there.
    missing_since: Instant,
    /// Whether the failure was logged, or a node was found there before.
    is_log_suppressed: bool,
}

/// The outcome at one address of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressState {
    /// A node answered.
    Node,
    /// A node with a different secret answers.
    OtherSecret,
    /// A node answers that speaks no wire version of this one.
    NoCommonVersion,
    /// No node answered yet.
    Nobody,
    /// This node cannot send to the address.
    Unusable,
    /// The name last led there, but has not been answered for a while.
    Forgotten,
}

impl JoinAddresses {
    pub(super) fn new(join: &[String]) -> Self {
        let unknown = || Join { resolved: None, missing_since: Instant::now(), is_log_suppressed: false };
        Self(join.iter().map(|address| (address.clone(), unknown())).collect())
    }

    /// Keeps the addresses of a name.
    pub(super) fn resolved(&mut self, address: &str, to: &[SocketAddr]) {
        if let Some(join) = self.0.get_mut(address) {
            join.resolved = Some(to.to_vec());
        }
    }

    /// Returns the join addresses at which no node was found for a while, and logs the new ones.
    pub(super) fn problems(&mut self, found: impl Fn(SocketAddr) -> AddressState) -> Vec<JoinProblem> {
        let now = Instant::now();
        let mut problems = Vec::new();
        for (address, join) in &mut self.0 {
            let found: Option<Vec<_>> =
                join.resolved.as_ref().map(|to| to.iter().map(|&address| found(address)).collect());
            let reason = match found.as_deref() {
                None => JoinReason::Unanswered,
                Some([]) => JoinReason::Unresolved,
                Some(found) if found.iter().all(|&found| found == AddressState::Forgotten) => {
                    JoinReason::Unanswered
                }
                Some(found) if found.contains(&AddressState::Node) => {
                    (join.missing_since, join.is_log_suppressed) = (now, true);
                    continue;
                }
                Some(found) if found.contains(&AddressState::OtherSecret) => JoinReason::OtherSecret,
                Some(found) if found.contains(&AddressState::NoCommonVersion) => JoinReason::NoCommonVersion,
                Some(found) if found.iter().all(|&found| found == AddressState::Unusable) => {
                    JoinReason::OnlyIpv6
                }
                Some(_) => JoinReason::Nobody,
            };
            if now < join.missing_since + PATIENCE {
                continue;
            }
            if !std::mem::replace(&mut join.is_log_suppressed, true) {
                tracing::warn!(join = address, %reason, "a join address leads to no node; it is tried again and again");
            }
            problems.push(JoinProblem { address: address.clone(), reason });
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOIN: &str = "a.example:7946";

    fn reason(join: &mut JoinAddresses, found: &[AddressState]) -> Option<JoinReason> {
        let address = |at| SocketAddr::from(([192, 0, 2, at], 7946));
        let to: Vec<_> = (0..found.len()).map(|at| address(u8::try_from(at).unwrap())).collect();
        join.resolved(JOIN, &to);
        let problems = join.problems(|address| found[to.iter().position(|to| *to == address).unwrap()]);
        problems.first().map(|problem| problem.reason)
    }

    /// The reason of a failing join address shows after 5 s, not before; a node at any of its addresses is enough.
    #[tokio::test(start_paused = true)]
    async fn each_way_of_failing_has_its_reason_after_a_while() {
        let mut join = JoinAddresses::new(&[JOIN.to_owned()]);
        assert_eq!(join.problems(|_| AddressState::Nobody), []);
        tokio::time::advance(PATIENCE).await;
        assert_eq!(join.problems(|_| AddressState::Nobody)[0].reason, JoinReason::Unanswered);
        for (found, expected) in [
            (&[][..], JoinReason::Unresolved),
            (&[AddressState::Unusable], JoinReason::OnlyIpv6),
            (&[AddressState::Forgotten], JoinReason::Unanswered),
            (&[AddressState::Unusable, AddressState::Nobody], JoinReason::Nobody),
            (&[AddressState::Nobody, AddressState::OtherSecret], JoinReason::OtherSecret),
        ] {
            assert_eq!(reason(&mut join, found), Some(expected));
        }
        assert_eq!(reason(&mut join, &[AddressState::Nobody, AddressState::Node]), None);
        assert_eq!(reason(&mut join, &[AddressState::Nobody]), None, "it may be restarting");
        tokio::time::advance(PATIENCE).await;
        assert_eq!(reason(&mut join, &[AddressState::Nobody]), Some(JoinReason::Nobody));
    }
}
