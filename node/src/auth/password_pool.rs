//! A pool of low-priority threads that hash passwords, so that live chat goes first in a flood of logins, behind a queue of
//! bounded length and wait.

use std::{
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use thiserror::Error;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout},
};

use super::login_queue::{Caller, LoginQueue, WAIT_MAX};
use crate::environment::Environment;

/// There are more logins than this node can check; try again after [`RETRY_AFTER_S`](super::RETRY_AFTER_S).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many logins at once; try again shortly")]
pub struct Overloaded;

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads, which end when it is dropped.
pub struct PasswordPool(Arc<Shared>);

struct Shared {
    line: Mutex<Line>,
    more: Notify,
}

struct Line {
    queue: LoginQueue<Job>,
    closed: bool,
}

/// The default number of threads: half of the cores, at least one. The other half is for chat.
pub fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

impl PasswordPool {
    /// Starts the threads, at least one. Called inside a `tokio` runtime.
    pub fn start(environment: &Arc<dyn Environment>, workers: usize) -> Self {
        let queue = LoginQueue::new(environment.random(), Instant::now());
        let line = Mutex::new(Line { queue, closed: false });
        let shared = Arc::new(Shared { line, more: Notify::new() });
        for _ in 0..workers.max(1) {
            let (worker_environment, shared) = (Arc::clone(environment), Arc::clone(&shared));
            let work = async move {
                worker_environment.lower_priority();
                shared.work().await;
            };
            environment.spawn_thread("passwords", Box::pin(work));
        }
        Self(shared)
    }

    /// Does the work when its turn comes. `Overloaded` if it isn't done within 4 s.
    pub async fn run<T: Send + 'static>(
        &self,
        caller: Caller<'_>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        let done = self.submit(caller, work);
        timeout(WAIT_MAX, done).await.ok().and_then(Result::ok).ok_or(Overloaded)
    }

    fn submit<T: Send + 'static>(
        &self,
        caller: Caller<'_>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (reply, done) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Skip the work if its caller has gone or was refused.
            if !reply.is_closed() {
                let _ = reply.send(work());
            }
        });
        let refused = self.0.line().queue.push(caller, Instant::now(), job);
        // Dropping it closes the channel of its caller, which is refused by that.
        drop(refused);
        self.0.more.notify_one();
        done
    }

    /// Remembers that the account has logged in, or was created, from the address: it goes ahead of strangers.
    pub fn remember(&self, address: IpAddr, account: &str) {
        self.0.line().queue.remember(address, account);
    }

    /// Whether the account is remembered to have logged in from the address.
    pub fn is_known(&self, address: IpAddr, account: &str) -> bool {
        self.0.line().queue.is_known(address, account)
    }
}

impl Drop for PasswordPool {
    fn drop(&mut self) {
        self.0.line().closed = true;
        self.0.more.notify_one();
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self) {
        loop {
            let (next, more, closed) = {
                let mut line = self.line();
                let next = line.queue.pop();
                (next, !line.queue.is_empty(), line.closed)
            };
            // Of several notifications without a waiting thread only one is kept: pass it on.
            if more || closed {
                self.more.notify_one();
            }
            match next {
                _ if closed => return,
                // A panic fails the caller of the job, not the pool.
                Some(job) => drop(catch_unwind(AssertUnwindSafe(job))),
                None => self.more.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use tokio::time::sleep;

    use super::*;
    use crate::environment::ThisMachine;

    /// Idle threads end within milliseconds, unless the machine is busy.
    const THREADS_END_MAX: Duration = Duration::from_secs(20);

    /// A pool with one worker, which is busy until the gate is opened.
    async fn held() -> (PasswordPool, mpsc::Sender<()>) {
        let pool = PasswordPool::start(&(Arc::new(ThisMachine) as Arc<dyn Environment>), 1);
        let (open, gate) = mpsc::channel::<()>();
        let (begun, begins) = oneshot::channel();
        let held = pool.submit(Caller::Operator, move || {
            let _ = begun.send(());
            let _ = gate.recv();
        });
        tokio::spawn(held);
        begins.await.expect("the worker takes it");
        (pool, open)
    }

    fn stranger(host: u8) -> Caller<'static> {
        Caller::Stranger { address: [10, 0, 0, host].into(), account: "ada" }
    }

    #[tokio::test]
    async fn jobs_beyond_the_queue_are_refused_at_once_and_the_rest_is_served() {
        let (pool, open) = held().await;
        let waiting: Vec<_> = (0..80).map(|host| pool.submit(stranger(host), move || host)).collect();
        drop(open);
        let mut served = 0;
        for (host, done) in (0..).zip(waiting) {
            match done.await {
                Ok(result) => served += usize::from(result == host),
                Err(_) => assert!(host < 16, "the oldest are refused, not {host}"),
            }
        }
        assert_eq!(served, super::super::login_queue::QUEUE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_limit() {
        let (pool, _open) = held().await;
        let begin = Instant::now();
        assert_eq!(pool.run(stranger(1), || ()).await, Err(Overloaded));
        assert_eq!(begin.elapsed().as_secs(), WAIT_MAX.as_secs());
    }

    #[tokio::test]
    async fn a_panic_fails_its_caller_and_not_the_pool() {
        let pool = PasswordPool::start(&(Arc::new(ThisMachine) as Arc<dyn Environment>), 1);
        let panics: Result<(), _> = pool.run(stranger(1), || panic!("planted")).await;
        assert_eq!(panics, Err(Overloaded));
        assert_eq!(pool.run(stranger(2), || 2).await, Ok(2));
    }

    /// Promise: a node that stops leaves no thread behind.
    #[tokio::test]
    async fn the_threads_end_with_the_pool() {
        let pool = PasswordPool::start(&(Arc::new(ThisMachine) as Arc<dyn Environment>), 3);
        let shared = Arc::downgrade(&pool.0);
        drop(pool);
        let all_end = async {
            while shared.strong_count() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let ended = timeout(THREADS_END_MAX, all_end).await;
        assert_eq!(ended, Ok(()), "{} of 3 threads still run", shared.strong_count());
    }
}
