//! Keeps dialling whoever belongs to the cluster and is not linked: join addresses and known members, for ever.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use quinn::Endpoint;
use starling_protocol::NodeId;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{Links, Members, keys::CLUSTER_NAME};
use crate::{machine::Machine, supervisor::Part};

/// How often it is looked who is missing.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Names are resolved anew this often, each for so long at most. After a while it is forgotten that a name led to
/// an address, and who answered there.
const RESOLVE_EVERY: Duration = Duration::from_secs(2);
const RESOLVE_MAX: Duration = Duration::from_secs(10);
const FORGET_AFTER: Duration = Duration::from_mins(1);
/// Pause after the first failed attempt; doubles up to the maximum.
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(2);

/// An address that is being kept linked.
#[derive(Debug)]
struct Target {
    /// Who is said to live there.
    claimed: Option<NodeId>,
    /// Who answered there last, and when: better than a claim, but somebody else may live there by now.
    answered: Option<(NodeId, Instant)>,
    dialling: bool,
    not_before: Option<Instant>,
    failures: u32,
    /// When a name last led to it.
    seen_at: Instant,
}

/// The end of an attempt: where, who answered, how long it lasted.
type Ended = (SocketAddr, Option<NodeId>, Duration);
/// Where a name leads: its addresses, and who is said to live there.
type Resolved = (String, Vec<SocketAddr>, Option<NodeId>);

/// The task that dials.
pub struct Dialer {
    machine: Arc<dyn Machine>,
    endpoint: Endpoint,
    links: Arc<Links>,
    members: Arc<Members>,
    join: Vec<String>,
    targets: BTreeMap<SocketAddr, Target>,
    attempts: JoinSet<Ended>,
    /// Names that are being resolved: a slow one holds up nobody else.
    resolving: BTreeSet<String>,
    lookups: JoinSet<Resolved>,
}

impl Dialer {
    /// Dials `join` and `members` from an endpoint.
    pub fn new(
        machine: Arc<dyn Machine>,
        endpoint: Endpoint,
        links: Arc<Links>,
        members: Arc<Members>,
        join: Vec<String>,
    ) -> Self {
        Self {
            machine,
            endpoint,
            links,
            members,
            join,
            targets: BTreeMap::new(),
            attempts: JoinSet::new(),
            resolving: BTreeSet::new(),
            lookups: JoinSet::new(),
        }
    }
}

impl Part for Dialer {
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
            if Instant::now() >= resolve_at {
                resolve_at = Instant::now() + RESOLVE_EVERY;
                self.resolve();
            }
            while let Some(resolved) = self.lookups.try_join_next() {
                if let Ok((name, addresses, node)) = resolved {
                    self.resolving.remove(&name);
                    self.found(addresses, node);
                }
            }
            self.dial();
            sleep(LOOK_EVERY).await;
        }
    }
}

impl Dialer {
    fn dial(&mut self) {
        let now = Instant::now();
        for (&address, target) in &mut self.targets {
            let answered = target.answered.filter(|(_, at)| at.elapsed() < FORGET_AFTER);
            let node = answered.map(|(node, _)| node).or(target.claimed);
            let needless = node.is_some_and(|node| node == self.links.me() || self.links.has(node));
            let early = target.not_before.is_some_and(|not_before| now < not_before);
            if target.dialling || needless || early {
                continue;
            }
            if let Ok(connecting) = self.endpoint.connect(address, CLUSTER_NAME) {
                target.dialling = true;
                let links = Arc::clone(&self.links);
                self.attempts.spawn(async move {
                    // Whatever happens to one link, its address is dialled again.
                    let attempt = AssertUnwindSafe(links.outgoing(connecting, address)).catch_unwind();
                    (address, attempt.await.unwrap_or(None), now.elapsed())
                });
            }
        }
    }

    fn ended(&mut self, (address, answered, lasted): Ended) {
        let Some(target) = self.targets.get_mut(&address) else { return };
        target.dialling = false;
        target.answered = answered.map(|node| (node, Instant::now())).or(target.answered);
        // A link that lasted was no failure.
        target.failures = if lasted > BACK_OFF_MAX * 2 { 0 } else { (target.failures + 1).min(8) };
        let pause = BACK_OFF_MIN * 2_u32.pow(target.failures.saturating_sub(1));
        target.not_before = Some(Instant::now() + pause.min(BACK_OFF_MAX));
    }

    /// Looks up all addresses of all names, of join addresses and members alike.
    fn resolve(&mut self) {
        let members = self.members.all().into_iter().map(|member| (member.address, Some(member.node)));
        let join = self.join.iter().map(|join| (join.clone(), None));
        for (name, node) in members.chain(join).collect::<Vec<_>>() {
            if let Ok(address) = name.parse() {
                self.found(vec![address], node);
            } else if self.resolving.insert(name.clone()) {
                let lookup = self.machine.resolve(name.clone());
                self.lookups.spawn(async move {
                    (name, timeout(RESOLVE_MAX, lookup).await.unwrap_or_default(), node)
                });
            }
        }
        let now = Instant::now();
        self.targets.retain(|_, target| target.dialling || now < target.seen_at + FORGET_AFTER);
    }

    fn found(&mut self, addresses: Vec<SocketAddr>, node: Option<NodeId>) {
        // An IPv4 socket cannot send to an IPv6 address.
        let ipv6 = self.endpoint.local_addr().is_ok_and(|local| local.is_ipv6());
        for address in addresses.into_iter().filter(|address| ipv6 || address.is_ipv4()) {
            let seen_at = Instant::now();
            let target = self.targets.entry(address).or_insert(Target {
                claimed: None,
                answered: None,
                dialling: false,
                not_before: None,
                failures: 0,
                seen_at,
            });
            target.seen_at = seen_at;
            target.claimed = node.or(target.claimed);
        }
    }
}
