//! Keeps dialling the members and join addresses that are not linked: join addresses every few seconds for ever, members
//! with pauses that grow. A member that cannot be linked at its
//! announced address is dialled at the address from which it was heard.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use starling_protocol::NodeId;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Links, Members, PeerEndpoint,
    absence::Absence,
    admission::Dialled,
    join_addresses::{AddressState, JoinAddresses},
    targets::{ExpectedNode, Target},
};
use crate::{environment::Environment, supervisor::SupervisedTask};

/// How often the dialler looks for missing links.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The interval at which names are resolved again, and the longest time for it.
const RESOLVE_EVERY: Duration = Duration::from_secs(2);
const RESOLVE_MAX: Duration = Duration::from_secs(10);
/// After this time without a link, a member is also dialled at the address from which it was heard.
const DIAL_OBSERVED_AFTER: Duration = Duration::from_secs(1);

/// The end of an attempt: its address, outcome and duration.
type Ended = (SocketAddr, Dialled, Duration);
/// A name, and the node that should be there.
type Name = (String, Option<ExpectedNode>);

/// The task that dials.
pub struct Dialer {
    environment: Arc<dyn Environment>,
    endpoint: Arc<PeerEndpoint>,
    links: Arc<Links>,
    members: Arc<Members>,
    /// The version of the members at the last look.
    seen: u64,
    /// How often the keys were replaced, at the last look.
    seen_keys: u64,
    join: Vec<String>,
    join_addresses: JoinAddresses,
    targets: BTreeMap<SocketAddr, Target>,
    attempts: JoinSet<Ended>,
    /// Names that are being resolved: a slow one does not delay others.
    resolving: BTreeSet<Name>,
    lookups: JoinSet<(Name, Option<Vec<SocketAddr>>)>,
    /// The members without a link.
    absent: BTreeMap<NodeId, Absence>,
}

impl Dialer {
    /// Dials `join` and `members` from an endpoint.
    pub fn new(
        environment: Arc<dyn Environment>,
        endpoint: Arc<PeerEndpoint>,
        links: Arc<Links>,
        members: Arc<Members>,
        join: Vec<String>,
    ) -> Self {
        Self {
            environment,
            endpoint,
            links,
            seen: 0,
            seen_keys: 0,
            members,
            join_addresses: JoinAddresses::new(&join),
            join,
            targets: BTreeMap::new(),
            attempts: JoinSet::new(),
            resolving: BTreeSet::new(),
            lookups: JoinSet::new(),
            absent: BTreeMap::new(),
        }
    }
}

impl SupervisedTask for Dialer {
    fn name(&self) -> &'static str {
        "dialer"
    }

    async fn run(&mut self) {
        let mut resolve_at = Instant::now();
        loop {
            while let Some(ended) = self.attempts.try_join_next() {
                if let Ok(ended) = ended {
                    self.ended(ended);
                }
            }
            // A member that has moved is dialled at once.
            let version = self.members.version();
            if version != self.seen || Instant::now() >= resolve_at {
                self.seen = version;
                resolve_at = Instant::now() + RESOLVE_EVERY;
                self.resolve();
            }
            while let Some(resolved) = self.lookups.try_join_next() {
                if let Ok((name, addresses)) = resolved {
                    self.resolving.remove(&name);
                    // A cancelled lookup has no result.
                    self.on_resolved(addresses.as_deref(), &name);
                }
            }
            let replaced = self.endpoint.replaced();
            if std::mem::replace(&mut self.seen_keys, replaced) != replaced {
                self.targets.values_mut().for_each(Target::dial_at_once);
            }
            self.dial();
            let ipv6 = self.has_ipv6();
            let problems = {
                let (join, targets, links) = (&mut self.join_addresses, &self.targets, &self.links);
                join.problems(|address| match targets.get(&address) {
                    Some(target) => target.address_state(links),
                    None if can_send(ipv6, address) => AddressState::Forgotten,
                    None => AddressState::Unusable,
                })
            };
            self.links.set_join_problems(problems);
            sleep(LOOK_EVERY).await;
        }
    }
}

impl Dialer {
    fn has_ipv6(&self) -> bool {
        self.endpoint.endpoint.local_addr().is_ok_and(|local| local.is_ipv6())
    }

    fn dial(&mut self) {
        let now = Instant::now();
        for (&address, target) in &mut self.targets {
            if !target.is_due(now) || target.is_already_linked(&self.links) {
                continue;
            }
            if let Ok(connecting) = self.endpoint.connect(address) {
                target.begin();
                let links = Arc::clone(&self.links);
                self.attempts.spawn(async move {
                    // Even if a link's task panics, its address is dialled again.
                    let attempt = AssertUnwindSafe(links.outgoing(connecting, address)).catch_unwind();
                    (address, attempt.await.unwrap_or(Dialled::Nobody), now.elapsed())
                });
            }
        }
    }

    fn ended(&mut self, (address, dialled, lasted): Ended) {
        if let Some(target) = self.targets.get_mut(&address) {
            target.ended(dialled, lasted, &self.links, self.environment.random_u64());
        }
    }

    /// Looks up all addresses of all names, of join addresses and members alike.
    fn resolve(&mut self) {
        let now = Instant::now();
        let mut names: Vec<Name> = Vec::new();
        let (members, live) = (self.members.all(), self.links.note_live_nodes());
        let ids: BTreeSet<_> = members.iter().map(|member| member.node).collect();
        self.absent.retain(|node, _| ids.contains(node) && !self.links.has(*node));
        for member in members {
            let (node, number) = (member.node, member.number);
            let expected = ExpectedNode { node, number };
            if !self.links.has(node) {
                let absence = self.absent.entry(node).or_insert_with(|| Absence::new(now, number));
                absence.note(now, number, live.contains(&node));
                if !absence.takes_look_up(now) {
                    continue;
                }
                if now >= absence.since + DIAL_OBSERVED_AFTER {
                    let observed = member.observed_addresses.into_iter();
                    names.extend(observed.map(|observed| (observed.address, Some(expected))));
                }
            }
            names.extend(member.addresses.into_iter().map(|address| (address, Some(expected))));
        }
        names.extend(self.join.iter().map(|join| (join.clone(), None)));
        for name in names {
            if let Ok(address) = name.0.parse() {
                self.on_resolved(Some(&[address]), &name);
            } else if self.resolving.insert(name.clone()) {
                let lookup = self.environment.resolve(name.0.clone());
                self.lookups.spawn(async move { (name, timeout(RESOLVE_MAX, lookup).await.ok()) });
            }
        }
        self.targets.values_mut().for_each(|target| target.forget_moved(now, &self.links));
        self.targets.retain(|_, target| target.is_kept(now));
        self.links.set_addresses(self.targets.keys().map(|address| address.ip().to_canonical()).collect());
    }

    fn on_resolved(&mut self, addresses: Option<&[SocketAddr]>, (name, expected): &Name) {
        let Some(addresses) = addresses else { return };
        if expected.is_none() {
            self.join_addresses.resolved(name, addresses);
        }
        let ipv6 = self.has_ipv6();
        for &address in addresses.iter().filter(|&&address| can_send(ipv6, address)) {
            let now = Instant::now();
            let target =
                self.targets.entry(address).or_insert_with(|| Target::new(address.ip().to_canonical(), now));
            target.seen_at = now;
            match *expected {
                None => target.seen_as_join_at = Some(now),
                Some(expected) => {
                    let absence = self.absent.get(&expected.node);
                    target.expect(
                        expected,
                        absence.map_or(Duration::ZERO, |absence| absence.pause(now)),
                        now,
                    );
                }
            }
        }
    }
}

/// Whether a socket can send to an address: one of IPv4 cannot send to IPv6.
fn can_send(ipv6: bool, address: SocketAddr) -> bool {
    ipv6 || address.is_ipv4()
}
