//! A Starling node: store, writer, cluster, services, configuration, start and stop. Implements `web`'s traits; `node` wires
//! everything.

pub mod auth;
pub mod cluster;
pub mod config;
pub mod console;
pub mod control;
pub mod data_dir;
pub mod disk_space;
pub mod environment;
pub mod key_derivation;
pub mod logging;
pub mod metrics;
pub mod node;
pub mod open_files;
pub mod permissions;
pub mod services;
pub mod stop_signals;
pub mod store;
pub mod supervisor;
pub mod verify;
pub mod writer;
