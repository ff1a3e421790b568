//! A Starling node: store, writer, cluster, services, configuration, start and stop. `main` only calls it.
//! It implements `web`'s traits and wires everything in `node`. ARCHITECTURE.md has the layers of the modules.

pub mod auth;
pub mod cluster;
pub mod config;
pub mod console;
pub mod control;
pub mod data_dir;
pub mod disk_space;
pub mod environment;
pub mod fan_out;
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
#[expect(missing_docs, reason = "a text says what it is about")]
pub mod texts;
pub mod verify;
pub mod verify_command;
pub mod writer;
