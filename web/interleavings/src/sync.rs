//! loom's primitives under the names in `web/src/sync.rs`. What loom lacks is built from its locks: tokio checks its own
//! `watch` and `Notify` with loom; here they are what their documentation promises.

use std::{
    future::poll_fn,
    ops::Deref,
    task::{Poll, Waker},
};

pub use loom::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU64, Ordering},
};

/// As `std::sync::OnceLock`. A value lives until the process ends, which is soon.
#[derive(Debug)]
pub struct OnceLock<T: 'static>(Mutex<Option<&'static T>>);

impl<T> OnceLock<T> {
    pub fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub fn get(&self) -> Option<&T> {
        *self.0.lock().unwrap()
    }

    pub fn get_or_init(&self, value: impl FnOnce() -> T) -> &T {
        self.0.lock().unwrap().get_or_insert_with(|| Box::leak(Box::new(value())))
    }
}

/// As `tokio::sync::Notify`, for one waiting task.
#[derive(Debug, Default)]
pub struct Notify(Mutex<(bool, Option<Waker>)>);

impl Notify {
    pub fn notify_one(&self) {
        let waker = {
            let mut state = self.0.lock().unwrap();
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub async fn notified(&self) {
        poll_fn(|context| {
            let mut state = self.0.lock().unwrap();
            if std::mem::take(&mut state.0) {
                return Poll::Ready(());
            }
            state.1 = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// As `tokio::sync::watch`; a borrow is a copy.
pub mod watch {
    use std::sync::Arc;

    use super::{Deref, Mutex, Poll, Waker, poll_fn};

    #[derive(Debug)]
    struct State<T> {
        value: T,
        version: u64,
        waiting: Vec<Waker>,
    }

    #[derive(Debug)]
    struct Shared<T>(Mutex<State<T>>);

    impl<T: Clone> Shared<T> {
        fn borrow(&self) -> Ref<T> {
            Ref(self.0.lock().unwrap().value.clone())
        }

        fn modify(&self, modify: impl FnOnce(&mut T) -> bool) {
            let wakers = {
                let mut state = self.0.lock().unwrap();
                if !modify(&mut state.value) {
                    return;
                }
                state.version += 1;
                std::mem::take(&mut state.waiting)
            };
            for waker in wakers {
                waker.wake();
            }
        }
    }

    #[derive(Debug)]
    pub struct Ref<T>(T);

    impl<T> Deref for Ref<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    #[derive(Debug)]
    pub struct Closed;

    #[derive(Debug)]
    pub struct Sender<T>(Arc<Shared<T>>);

    #[derive(Clone, Debug)]
    pub struct Receiver<T>(Arc<Shared<T>>);

    impl<T: Clone> Sender<T> {
        pub fn new(value: T) -> Self {
            let state = State { value, version: 0, waiting: Vec::new() };
            Self(Arc::new(Shared(Mutex::new(state))))
        }

        pub fn send_replace(&self, value: T) {
            self.0.modify(|current| {
                *current = value;
                true
            });
        }

        pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) {
            self.0.modify(modify);
        }

        pub fn borrow(&self) -> Ref<T> {
            self.0.borrow()
        }

        pub fn subscribe(&self) -> Receiver<T> {
            Receiver(Arc::clone(&self.0))
        }
    }

    impl<T: Clone> Receiver<T> {
        pub async fn wait_for(&mut self, mut is_met: impl FnMut(&T) -> bool) -> Result<Ref<T>, Closed> {
            // Like tokio's, it looks at a value once: what is changed without notice stays unseen.
            let mut seen = None;
            poll_fn(|context| {
                let mut state = self.0.0.lock().unwrap();
                if seen.replace(state.version) != Some(state.version) && is_met(&state.value) {
                    return Poll::Ready(Ok(Ref(state.value.clone())));
                }
                state.waiting.push(context.waker().clone());
                Poll::Pending
            })
            .await
        }
    }
}
