//! Real nodes, as separate processes, from outside: what users, programs and operators rely on. A folder or file per
//! subject; the promises under load and faults are in `chaos`, those of every interleaving in `sim` and `quic_sim`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails by panicking")]

mod accounts;
mod administration;
mod bad_input;
mod bad_start;
mod broken_peer;
mod browser;
mod browser_failover;
mod disk_full;
mod failover;
mod limits;
mod live;
mod members;
mod mesh;
mod messages;
mod openapi;
mod operations;
mod own_ca;
mod process;
mod restarts;
mod resume;
mod resync;
mod rooms;
mod scripts;
mod secret_rotation;
mod shared_names;
mod single;
mod stalls;
mod store_damage;
mod store_versions;
mod three_nodes;
mod upgrade;
