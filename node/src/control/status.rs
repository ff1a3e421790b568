//! How the node is, gathered where it is known, and as people read it.

use std::{fmt, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use starling_web::{
    drain::{Drain, Serving},
    metrics::WebMetrics,
    service::Operations,
};

use crate::{
    cluster::{DriverHandle, Links, PresenceMap},
    disk_space::DiskSpace,
    logging::{LastErrors, Logged},
    store::Store,
    writer::WriterHandle,
};

/// Where it is known.
pub struct StatusSource {
    /// Who the node is.
    pub node: String,
    /// Where users reach it.
    pub http: String,
    /// Its store's file.
    pub store_file: PathBuf,
    /// The log and its views.
    pub store: Arc<Store>,
    /// The disk that they are on.
    pub space: DiskSpace,
    /// The writer's queue.
    pub writer: WriterHandle,
    /// Replication.
    pub driver: DriverHandle,
    /// The other nodes, if there is a cluster.
    pub links: Option<Arc<Links>>,
    /// Who is present.
    pub presence: Arc<PresenceMap>,
    /// Health.
    pub operations: Arc<dyn Operations>,
    /// Whether users are served.
    pub drain: Drain,
    /// Sessions.
    pub web: WebMetrics,
}

/// How a node is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Its id.
    pub node: String,
    /// The version that runs.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Where users reach it.
    pub http: String,
    /// `ready`, `not ready` or `stopping`.
    pub state: String,
    /// Why it is not ready.
    pub reasons: Vec<String>,
    /// What is wrong without keeping it from serving.
    pub troubles: Vec<String>,
    /// The other nodes that it knows, linked or not.
    pub peers: Vec<PeerStatus>,
    /// Pairs of running nodes that have no link, as far as this node was told: until then it is a split.
    #[serde(default)]
    pub unlinked_pairs: Vec<(String, String)>,
    /// Join addresses at which no node was found for more than 5 s, and why.
    #[serde(default)]
    pub join_problems: Vec<(String, String)>,
    /// Per origin that it lacks events of: how many.
    pub missing: Vec<(String, u64)>,
    /// What waits.
    pub queues: Queues,
    /// WebSockets.
    pub sessions: i64,
    /// People on all linked nodes.
    pub people_present: usize,
    /// The store.
    pub store: StoreStatus,
    /// The last warnings and errors of this process, newest last.
    pub last_errors: Vec<Logged>,
}

/// Another node, as this one sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its id.
    pub node: String,
    /// Where it says that it is; several addresses are separated by commas.
    pub address: String,
    /// From where it was heard, newest first.
    #[serde(default)]
    pub heard_at: Vec<String>,
    /// Whether there is a link to it.
    pub linked: bool,
    /// Whether it is in sync.
    pub in_sync: bool,
    /// Events that it is known to lack.
    pub lag_events: u64,
    /// Of 256 parts of all views: those that it is known to show as this node does.
    pub parts_equal: usize,
    /// Those in which it shows something else although the same events were applied.
    pub parts_diverged: usize,
}

/// What waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queues {
    /// Requests to the writer.
    pub writer: usize,
    /// Inputs to the replication driver.
    pub driver: usize,
    /// Answers that wait for other nodes.
    pub pending_replies: usize,
}

/// The store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Bytes of its file.
    pub bytes: u64,
    /// Free bytes on its disk.
    pub free_bytes: u64,
    /// Digest of all views.
    pub digest: String,
}

impl StatusSource {
    /// Bytes of the store's file.
    pub fn store_bytes(&self) -> u64 {
        std::fs::metadata(&self.store_file).map_or(0, |file| file.len())
    }

    /// How the node is now.
    pub fn status(&self) -> Status {
        let report = self.driver.report();
        let reasons = self.operations.not_ready();
        let serving = self.drain.serving();
        let state = match serving {
            Serving::Stopping => "stopping",
            Serving::Yes if reasons.is_empty() => "ready",
            Serving::Yes | Serving::DiskFull => "not ready",
        };
        let known = self.links.iter().flat_map(|links| links.known()).map(|member| {
            let linked = report.peers.iter().find(|peer| peer.peer == member.node);
            PeerStatus {
                node: member.node.to_string(),
                address: member.addresses.join(", "),
                heard_at: member.heard_at.into_iter().map(|heard| heard.address).collect(),
                linked: linked.is_some(),
                in_sync: linked.is_some_and(|peer| peer.in_sync),
                lag_events: linked.map_or(0, |peer| peer.lag),
                parts_equal: linked.map_or(0, |peer| peer.parts_equal),
                parts_diverged: linked.map_or(0, |peer| peer.parts_diverged),
            }
        });
        let pairs = self.links.iter().flat_map(|links| links.unlinked_pairs());
        let problems = self.links.iter().flat_map(|links| links.join_problems());
        Status {
            node: self.node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            http: self.http.clone(),
            state: state.to_owned(),
            reasons,
            troubles: self.operations.troubles(),
            peers: known.collect(),
            unlinked_pairs: pairs.map(|(a, b)| (a.to_string(), b.to_string())).collect(),
            join_problems: problems.map(|problem| (problem.address, problem.reason.to_string())).collect(),
            missing: report.missing.iter().map(|(origin, events)| (origin.to_string(), *events)).collect(),
            queues: Queues {
                writer: self.writer.queued(),
                driver: self.driver.queued(),
                pending_replies: report.waiting,
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

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes / 1024 / 1024;
        writeln!(f, "node      {} (Starling {}, process {})", self.node, self.version, self.pid)?;
        writeln!(f, "state     {}", self.state)?;
        for reason in self.reasons.iter().chain(&self.troubles) {
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
            "waiting   {writer} for the writer, {driver} for replication, {pending_replies} for other nodes"
        )?;
        let StoreStatus { bytes, free_bytes, digest } = &self.store;
        writeln!(f, "store     {} MiB, {} MiB free, digest {digest}", mib(*bytes), mib(*free_bytes))?;
        for peer in &self.peers {
            let link = match peer {
                PeerStatus { in_sync: true, .. } => "in sync",
                PeerStatus { linked: true, .. } => "catching up or silent",
                _ => "not linked",
            };
            write!(f, "peer      {} at {}: {link}", peer.node, peer.address)?;
            if !peer.linked && !peer.heard_at.is_empty() {
                write!(f, ", last heard at {}", peer.heard_at.join(", "))?;
            }
            if peer.linked {
                let PeerStatus { lag_events, parts_equal, parts_diverged, .. } = peer;
                write!(f, ", lacks {lag_events} events, {parts_equal} parts alike")?;
                if *parts_diverged > 0 {
                    write!(f, ", {parts_diverged} DIVERGED")?;
                }
            }
            writeln!(f)?;
        }
        for (a, b) in &self.unlinked_pairs {
            writeln!(f, "no link   between {a} and {b}, although both run")?;
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
