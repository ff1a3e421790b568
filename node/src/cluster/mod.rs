//! Links to the other nodes: QUIC with mutual TLS, one connection per pair, membership by gossip, and the driver
//! that runs `protocol`'s replication over them. It knows the store only through the driver.

mod absence;
mod acceptor;
mod admission;
mod close_code;
mod departure;
mod description;
mod dialer;
mod endpoint;
mod join_addresses;
mod keys;
mod link;
mod links;
mod members;
mod membership;
mod mesh;
mod metrics;
mod presence;
mod refusal_log;
mod replication;
mod targets;
mod verdicts;

pub use self::{
    acceptor::Acceptor,
    departure::{HEARD_LATELY, Heard},
    dialer::Dialer,
    endpoint::open,
    join_addresses::{JoinProblem, JoinReason},
    keys::{ClusterKeys, KeyError},
    link::{LinkSender, NotSent},
    links::Links,
    members::{Members, SaveMembers},
    membership::Membership,
    presence::{PresenceMap, PresenceNotifier},
    replication::{
        CaughtUp, Claiming, CommittedClaim, Driver, DriverCore, DriverHandle, DriverInput, DriverParts,
        EndRefill, PeerReport, Report, StartState,
    },
    verdicts::{NoCommonVersion, Verdicts},
};
