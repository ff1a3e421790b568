//! Keeps dialling whoever belongs to the cluster and is not linked: join addresses and known members, for ever.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use quinn::Endpoint;
use starling_protocol::NodeId;
use tokio::{
    net::lookup_host,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{Links, Members, keys::CLUSTER_NAME};

/// How often it is looked who is missing.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Names are resolved anew this often.
const RESOLVE_EVERY: Duration = Duration::from_secs(2);
/// Pause after the first failed attempt; doubles up to the maximum.
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(2);

/// An address that is being kept linked.
#[derive(Debug, Default)]
struct Target {
    /// Who answered there, or who is said to live there.
    node: Option<NodeId>,
    dialling: bool,
    not_before: Option<Instant>,
    failures: u32,
    /// It is this node itself.
    myself: bool,
}

/// The task that dials.
#[derive(Debug)]
pub struct Dialer {
    endpoint: Endpoint,
    links: Arc<Links>,
    members: Arc<Members>,
    join: Vec<String>,
    targets: BTreeMap<SocketAddr, Target>,
    resolved_at: Option<Instant>,
}

impl Dialer {
    /// Dials `join` and `members` from an endpoint.
    pub fn new(endpoint: Endpoint, links: Arc<Links>, members: Arc<Members>, join: Vec<String>) -> Self {
        Self { endpoint, links, members, join, targets: BTreeMap::new(), resolved_at: None }
    }

    /// Dials until the task is dropped.
    pub async fn run(mut self) {
        let mut attempts: JoinSet<(SocketAddr, bool, Duration)> = JoinSet::new();
        loop {
            while let Some(ended) = attempts.try_join_next() {
                if let Ok((address, myself, lasted)) = ended {
                    self.ended(address, myself, lasted);
                }
            }
            if self.resolved_at.is_none_or(|at| at.elapsed() >= RESOLVE_EVERY) {
                self.resolve().await;
                self.resolved_at = Some(Instant::now());
            }
            let now = Instant::now();
            for (&address, target) in &mut self.targets {
                let linked = target.node.is_some_and(|node| self.links.has(node));
                let early = target.not_before.is_some_and(|not_before| now < not_before);
                if target.dialling || target.myself || linked || early {
                    continue;
                }
                if let Ok(connecting) = self.endpoint.connect(address, CLUSTER_NAME) {
                    target.dialling = true;
                    let links = Arc::clone(&self.links);
                    attempts.spawn(async move {
                        let begun = Instant::now();
                        let myself = links.outgoing(connecting, address).await;
                        (address, myself, begun.elapsed())
                    });
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn ended(&mut self, address: SocketAddr, myself: bool, lasted: Duration) {
        let Some(target) = self.targets.get_mut(&address) else { return };
        target.dialling = false;
        target.myself = myself;
        // A link that lasted was no failure.
        target.failures = if lasted > BACK_OFF_MAX * 2 { 0 } else { (target.failures + 1).min(8) };
        let pause = BACK_OFF_MIN * 2_u32.pow(target.failures.saturating_sub(1));
        target.not_before = Some(Instant::now() + pause.min(BACK_OFF_MAX));
    }

    /// Brings the targets up to date: all addresses of all names, of join addresses and members alike.
    async fn resolve(&mut self) {
        let mut current = BTreeSet::new();
        let ipv6 = self.endpoint.local_addr().is_ok_and(|local| local.is_ipv6());
        let members = self.members.all();
        let members = members.iter().map(|member| (member.address.as_str(), Some(member.node)));
        let join = self.join.iter().map(|join| (join.as_str(), None));
        for (name, node) in members.chain(join) {
            match lookup_host(name).await {
                Ok(addresses) => {
                    // An IPv4 socket cannot send to an IPv6 address.
                    for address in addresses.filter(|address| ipv6 || address.is_ipv4()) {
                        current.insert(address);
                        let target = self.targets.entry(address).or_default();
                        target.node = node.or(target.node);
                    }
                }
                Err(error) => tracing::debug!(name, %error, "cannot resolve"),
            }
        }
        self.targets.retain(|address, target| current.contains(address) || target.dialling);
    }
}
