//! The status of a node: collected from its parts, and formatted for people.

use std::{fmt, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use starling_protocol::frame::wire::WireVersion;
use starling_web::{
    drain::{Drain, Serving},
    metrics::WebMetrics,
    service::Operations,
};

use crate::{
    cluster::{DriverHandle, Links, Phase, PresenceMap},
    disk_space::DiskSpace,
    logging::{LastErrors, Logged},
    services::{
        MembershipService,
        secret_rotation::{RotationStatus, SecretRotation},
    },
    store::Store,
    texts,
    writer::WriterHandle,
};

/// The parts of a node that its status comes from.
pub struct StatusSource {
    /// The id of the node.
    pub node: String,
    /// The address of the public listener.
    pub http: String,
    /// The file of the store.
    pub store_file: PathBuf,
    /// The log and its views.
    pub store: Arc<Store>,
    /// The free space of the disk, and its reserve.
    pub space: DiskSpace,
    /// The queue of the writer.
    pub writer: WriterHandle,
    /// The replication driver.
    pub driver: DriverHandle,
    /// The other nodes, if there is a cluster.
    pub links: Option<Arc<Links>>,
    /// The rotation of the cluster's secret, if there is a cluster.
    pub rotation: Option<Arc<SecretRotation>>,
    /// Knows whether the node is leaving.
    pub membership: Arc<MembershipService>,
    /// Counts the people present.
    pub presence: Arc<PresenceMap>,
    /// The health of the node.
    pub operations: Arc<dyn Operations>,
    /// Whether users are served.
    pub drain: Drain,
    /// Counts the sessions.
    pub web: WebMetrics,
}

/// The status of a node, as `starling status --json` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The id of the node.
    pub node: String,
    /// The version of Starling.
    pub version: String,
    /// The id of the process.
    pub pid: u32,
    /// The address of the public listener.
    pub http: String,
    /// `ready`, `not ready` or `stopping`.
    pub state: String,
    /// The reasons why the node is not ready.
    pub reasons: Vec<String>,
    /// Problems that don't keep the node from serving.
    pub troubles: Vec<String>,
    /// The id of the cluster, once it is drawn.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The rotation of the cluster's secret: its phase or what stops it, and whom it waits for.
    #[serde(default)]
    pub rotation: Option<String>,
    /// The reason why the node waits before it leaves the cluster, if it was told to.
    #[serde(default)]
    pub leaving: Option<String>,
    /// The other known nodes, linked or not.
    pub peers: Vec<PeerStatus>,
    /// Pairs of running nodes without a link, as far as this node knows: a split.
    #[serde(default)]
    pub unlinked_pairs: Vec<(String, String)>,
    /// Join addresses at which no node was found for more than 5 s, each with the reason.
    #[serde(default)]
    pub join_problems: Vec<(String, String)>,
    /// Origins with events that this node lacks, and the number of these events.
    pub missing: Vec<(String, u64)>,
    /// The lengths of queues.
    pub queues: Queues,
    /// Open WebSockets.
    pub sessions: i64,
    /// Entries of presence in quick rooms, on all linked nodes; somebody in two rooms counts twice.
    pub people_present: usize,
    /// The size and digest of the store.
    pub store: StoreStatus,
    /// The last warnings and errors of this process, newest last.
    pub last_errors: Vec<Logged>,
}

/// Another node, as this one sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerStatus {
    /// The id of the node.
    pub node: String,
    /// The addresses that the node gives, separated by commas.
    pub address: String,
    /// The addresses that its packets came from, newest first.
    #[serde(default)]
    pub observed_addresses: Vec<String>,
    /// Whether this node has a link to it.
    pub linked: bool,
    /// Whether it is in sync.
    pub in_sync: bool,
    /// Events here that the node has not confirmed; 0 if it isn't linked.
    pub lag_events: u64,
    /// Shards, of 256, in which the node's views are known to equal those of this one.
    pub shards_equal: usize,
    /// Shards in which its views differ although it has applied the same events.
    pub shards_diverged: usize,
    /// The wire version of the link, such as `starling/2`.
    #[serde(default)]
    pub wire: Option<String>,
    /// The version of Starling that it runs.
    #[serde(default)]
    pub version: Option<String>,
    /// Its open WebSockets.
    #[serde(default)]
    pub sessions: Option<u64>,
    /// Free bytes on the disk of its store.
    #[serde(default)]
    pub free_bytes: Option<u64>,
    /// Whether it is leaving the cluster.
    #[serde(default)]
    pub leaving: bool,
}

/// The lengths of queues.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queues {
    /// Requests waiting for the writer.
    pub writer: usize,
    /// Inputs waiting for the replication driver.
    pub driver: usize,
    /// Replies that wait for other nodes.
    pub pending_replies: usize,
}

/// The size and digest of the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Bytes in the file of the store.
    pub bytes: u64,
    /// Free bytes on the disk.
    pub free_bytes: u64,
    /// The digest of all views.
    pub digest: String,
}

impl StatusSource {
    /// Bytes in the file of the store.
    pub fn store_bytes(&self) -> u64 {
        std::fs::metadata(&self.store_file).map_or(0, |file| file.len())
    }

    /// Collects the status of the node.
    pub fn status(&self) -> Status {
        let report = self.driver.report();
        let reasons = self.operations.not_ready();
        let serving = self.drain.serving();
        let state = match serving {
            Serving::Stopping => "stopping",
            Serving::Yes if reasons.is_empty() => "ready",
            Serving::Yes | Serving::DiskFull => "not ready",
        };
        let leaving = self.links.as_ref().map(|links| links.leaving_peers()).unwrap_or_default();
        let known = self.links.iter().flat_map(|links| links.known()).map(|member| {
            let linked = report.peers.iter().find(|peer| peer.peer == member.node);
            let (wire, own) = self.links.as_ref().and_then(|links| links.peer_status(member.node)).unzip();
            let own = own.flatten();
            PeerStatus {
                node: member.node.to_string(),
                address: member.addresses.join(", "),
                observed_addresses: member
                    .observed_addresses
                    .into_iter()
                    .map(|heard| heard.address)
                    .collect(),
                linked: linked.is_some(),
                in_sync: linked.is_some_and(|peer| peer.in_sync),
                lag_events: linked.map_or(0, |peer| peer.lag),
                shards_equal: linked.map_or(0, |peer| peer.shards_equal),
                shards_diverged: linked.map_or(0, |peer| peer.shards_diverged),
                wire: wire.map(|version| version.alpn().to_owned()),
                sessions: own.as_ref().map(|status| status.sessions),
                free_bytes: own.as_ref().map(|status| status.free_bytes),
                version: own.map(|status| status.build.into()),
                leaving: leaving.contains(&member.node),
            }
        });
        let pairs = self.links.iter().flat_map(|links| links.unlinked_pairs());
        let problems = self.links.iter().flat_map(|links| links.join_problems());
        let rotation = self.rotation.as_ref().map(|rotation| rotation.status());
        Status {
            cluster: rotation.as_ref().and_then(|status| status.cluster).map(|id| id.to_string()),
            rotation: rotation.and_then(describe_rotation),
            node: self.node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            http: self.http.clone(),
            state: state.to_owned(),
            reasons,
            troubles: self.operations.problems(),
            leaving: self.membership.leaving(),
            peers: known.collect(),
            unlinked_pairs: pairs.map(|(a, b)| (a.to_string(), b.to_string())).collect(),
            join_problems: problems.map(|problem| (problem.address, problem.reason.to_string())).collect(),
            missing: report.missing.iter().map(|(origin, events)| (origin.to_string(), *events)).collect(),
            queues: Queues {
                writer: self.writer.queued(),
                driver: self.driver.queued(),
                pending_replies: report.pending_replies,
            },
            sessions: self.web.sessions.get(),
            people_present: self.presence.count(),
            store: StoreStatus {
                bytes: self.store_bytes(),
                free_bytes: self.space.free.get(),
                digest: report.digest.to_string(),
            },
            last_errors: LastErrors::all(),
        }
    }
}

/// Returns a line about a rotation; `None` if there is none.
fn describe_rotation(RotationStatus { phase, has_new, problem, .. }: RotationStatus) -> Option<String> {
    if problem.is_some() {
        return problem;
    }
    match phase {
        Phase::Settled => None,
        Phase::LeftBehind => Some(texts::LEFT_BEHIND.to_owned()),
        Phase::Distributing { .. } if !has_new => Some(texts::NEW_SECRET_MISSING.to_owned()),
        Phase::Distributing { missing, .. } if missing.is_empty() => {
            Some(texts::NEW_SECRET_EVERYWHERE.to_owned())
        }
        Phase::Distributing { missing, .. } => Some(texts::waiting_for_secret(&missing)),
        Phase::Switching { missing } => Some(texts::waiting_for_switch(&missing)),
        Phase::Removing { holders } => Some(texts::old_secret_held(&holders)),
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes / 1024 / 1024;
        writeln!(f, "node      {} (Starling {}, process {})", self.node, self.version, self.pid)?;
        writeln!(f, "state     {}", self.state)?;
        for reason in self.reasons.iter().chain(&self.troubles).chain(&self.leaving) {
            writeln!(f, "          {reason}")?;
        }
        writeln!(
            f,
            "users     http://{}, {} sessions, {} people",
            self.http, self.sessions, self.people_present
        )?;
        let Queues { writer, driver, pending_replies } = &self.queues;
        writeln!(
            f,
            "queued    {writer} for the writer, {driver} for replication, {pending_replies} replies waiting for other nodes"
        )?;
        let StoreStatus { bytes, free_bytes, digest } = &self.store;
        writeln!(f, "store     {} MiB, {} MiB free, digest {digest}", mib(*bytes), mib(*free_bytes))?;
        if let Some(rotation) = &self.rotation {
            writeln!(f, "secret    {rotation}")?;
        }
        for peer in &self.peers {
            let state = match peer {
                PeerStatus { in_sync: true, .. } => "in sync",
                PeerStatus { linked: true, .. } => "catching up or silent",
                _ => "not linked",
            };
            write!(f, "peer      {} at {}: {state}", peer.node, peer.address)?;
            if !peer.linked && !peer.observed_addresses.is_empty() {
                write!(f, ", last heard at {}", peer.observed_addresses.join(", "))?;
            }
            if peer.linked {
                let PeerStatus { lag_events, shards_equal, shards_diverged, .. } = peer;
                write!(f, ", {lag_events} events unconfirmed, {shards_equal} of 256 shards equal")?;
                if *shards_diverged > 0 {
                    write!(f, ", {shards_diverged} DIVERGED")?;
                }
            }
            if let PeerStatus {
                version: Some(version),
                sessions: Some(sessions),
                free_bytes: Some(free),
                ..
            } = peer
            {
                write!(f, ", {sessions} sessions, {} MiB free, Starling {version}", mib(*free))?;
            }
            if peer.leaving {
                write!(f, ", leaving")?;
            }
            if let Some(wire) = peer.wire.as_deref().filter(|wire| *wire != WireVersion::ALL[0].alpn()) {
                write!(f, ", an older build: {wire}")?;
            }
            writeln!(f)?;
        }
        for (a, b) in &self.unlinked_pairs {
            writeln!(f, "no link   between {a} and {b}, although both are running")?;
        }
        for (address, reason) in &self.join_problems {
            writeln!(f, "join      {address}: {reason}")?;
        }
        for (origin, events) in &self.missing {
            writeln!(f, "missing   {events} events of {origin}")?;
        }
        for logged in &self.last_errors {
            writeln!(f, "{} {:5} {}", logged.at, logged.level, logged.text)?;
        }
        Ok(())
    }
}
