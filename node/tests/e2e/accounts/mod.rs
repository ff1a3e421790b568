//! Accounts over real nodes: what holds on one holds on all, and what nobody can get by trying.

mod everywhere;
mod names;
mod on_disk;
mod oneself;
mod private_files;
mod quick_rooms;
mod refresh;
mod service_key;
mod stolen_store;
mod thief;
mod tokens;
