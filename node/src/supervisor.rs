//! Keeps the long-lived tasks of a node running: one that panics is restarted with back-off, and shows in health and
//! metrics while it is down. The writer and the driver are not supervised: a node can't keep its promises without them,
//! so the process ends if one panics (see [`EndsProcess`]).

use std::{
    collections::BTreeSet,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use prometheus_client::metrics::counter::Counter;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// Pause before the first restart; doubles up to the maximum.
const BACK_OFF_MIN: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// A long-lived task.
pub trait SupervisedTask: Send + 'static {
    /// The name that operators see; unique among the tasks.
    fn name(&self) -> &'static str;

    /// Runs until the task is done for good. After a panic it is called again, in whatever state the panic has left.
    fn run(&mut self) -> impl Future<Output = ()> + Send;
}

/// Restarts tasks that panic.
#[derive(Debug, Default)]
pub struct Supervisor {
    down: Mutex<BTreeSet<&'static str>>,
    /// Restarts so far, of all tasks.
    pub restarts: Counter,
}

impl Supervisor {
    fn down(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of the tasks that are down.
    pub fn tasks_down(&self) -> Vec<&'static str> {
        self.down().iter().copied().collect()
    }

    /// Runs a task in the background until it is done.
    pub fn start<T: SupervisedTask>(self: &Arc<Self>, mut task: T) -> JoinHandle<()> {
        let supervisor = Arc::clone(self);
        tokio::spawn(async move {
            let (name, mut pause) = (task.name(), BACK_OFF_MIN);
            loop {
                let started = Instant::now();
                if AssertUnwindSafe(task.run()).catch_unwind().await.is_ok() {
                    return;
                }
                if started.elapsed() > BACK_OFF_MAX {
                    pause = BACK_OFF_MIN;
                }
                tracing::error!(task = name, restart_in = ?pause, "a task of the node has panicked");
                supervisor.down().insert(name);
                sleep(pause).await;
                pause = (pause * 2).min(BACK_OFF_MAX);
                supervisor.restarts.inc();
                supervisor.down().remove(name);
            }
        })
    }
}

/// Ends the process if the thread or task that holds it panics.
#[derive(Debug)]
pub struct EndsProcess(pub &'static str);

impl Drop for EndsProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.0, "the node cannot run without this task: the process ends");
            std::process::exit(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    /// Panics `panics` times, and reports each run.
    struct Fragile {
        panics: u32,
        runs: mpsc::UnboundedSender<u32>,
        resume: Option<oneshot::Receiver<()>>,
    }

    impl SupervisedTask for Fragile {
        fn name(&self) -> &'static str {
            "fragile"
        }

        async fn run(&mut self) {
            self.runs.send(self.panics).unwrap();
            if self.panics > 0 {
                self.panics -= 1;
                panic!("as planned");
            }
            self.resume.take().unwrap().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_task_that_panics_is_restarted_and_shows_while_it_is_down() {
        let supervisor = Arc::new(Supervisor::default());
        let (runs, mut ran) = mpsc::unbounded_channel();
        let (done, resume) = oneshot::channel();
        let task = supervisor.start(Fragile { panics: 2, runs, resume: Some(resume) });
        for left in [2, 1, 0] {
            assert_eq!(ran.recv().await, Some(left));
        }
        assert_eq!(supervisor.restarts.get(), 2);
        assert!(supervisor.tasks_down().is_empty(), "it is up again");
        done.send(()).unwrap();
        task.await.unwrap();
    }
}
