//! Links to the other nodes: QUIC with mutual TLS, one connection per pair, membership by gossip, and the driver
//! that runs `protocol`'s replication over them. It knows the store only through the driver.

mod absence;
mod acceptor;
mod admission;
mod alerts;
mod certificate_watch;
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
mod own_certificate;
mod presence;
mod refusal_log;
mod refusals;
mod replication;
mod rotation;
mod targets;
mod trust;
mod verdicts;

pub use self::{
    acceptor::Acceptor,
    certificate_watch::CertificateWatch,
    departure::{HEARD_LATELY, Heard},
    dialer::Dialer,
    endpoint::{PeerEndpoint, open},
    join_addresses::{JoinProblem, JoinReason},
    keys::{ClusterKeys, HeldKeys, KeyError},
    link::{LinkSender, NotSent},
    links::Links,
    members::{Members, SaveMembers},
    membership::Membership,
    own_certificate::{CertificateError, CertificatePem, OwnCertificate},
    presence::{PresenceMap, PresenceNotifier},
    replication::{
        CaughtUp, Claiming, CommittedClaim, Driver, DriverCore, DriverHandle, DriverInput, DriverParts,
        EndRefill, PeerReport, Report, StartState,
    },
    rotation::{Adopted, Phase, adopt, phase},
    verdicts::{NoCommonVersion, Verdicts},
};
