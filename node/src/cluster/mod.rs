//! Links to the other nodes: QUIC with mutual TLS, one connection per pair, membership by gossip, and the driver
//! that runs `protocol`'s replication over them. It knows the store only through the driver.

mod admission;
mod dialer;
mod endpoint;
mod keys;
mod link;
mod links;
mod members;
mod membership;
mod presence;
mod replication;

pub use self::{
    dialer::Dialer,
    endpoint::{bind, open},
    keys::{ClusterKeys, KeyError},
    link::{LinkSender, NotSent},
    links::{Links, LinksMetrics, Verdicts},
    members::{KeepMembers, Members},
    membership::Membership,
    presence::{PresenceMap, PresenceNews},
    replication::{Claiming, Driver, DriverHandle, DriverInput, DriverParts, PeerReport, Report, Waiting},
};
