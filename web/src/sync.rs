//! The primitives that lanes and sessions synchronise with. `web/interleavings` compiles the same code with loom's
//! instead, and so tries it in every order of steps.

pub(crate) use std::sync::{
    Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU64, Ordering},
};

pub(crate) use tokio::sync::{Notify, watch};
