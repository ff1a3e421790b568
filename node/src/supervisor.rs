//! Keeps the long-lived parts of a node running: one that panics is restarted with back-off and shows in health and
//! metrics while it is down; the others go on. The writer and the driver are no such parts: without them no promise
//! holds, so the process ends with them (see [`EndsProcess`]).

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

/// A long-lived part.
pub trait SupervisedTask: Send + 'static {
    /// What operators call it; no two parts share a name.
    fn name(&self) -> &'static str;

    /// Runs until it is done for good. It is called again if it panics, and must find its way from any state.
    fn run(&mut self) -> impl Future<Output = ()> + Send;
}

/// Which parts are down, and how often any was restarted.
#[derive(Debug, Default)]
pub struct Supervisor {
    down: Mutex<BTreeSet<&'static str>>,
    /// Restarts of any part.
    pub restarts: Counter,
}

impl Supervisor {
    fn down(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts that are down.
    pub fn parts_down(&self) -> Vec<&'static str> {
        self.down().iter().copied().collect()
    }

    /// Runs a part in a task of its own until it is done.
    pub fn start<P: SupervisedTask>(self: &Arc<Self>, mut part: P) -> JoinHandle<()> {
        let supervisor = Arc::clone(self);
        tokio::spawn(async move {
            let (name, mut pause) = (part.name(), BACK_OFF_MIN);
            loop {
                let begun = Instant::now();
                if AssertUnwindSafe(part.run()).catch_unwind().await.is_ok() {
                    return;
                }
                if begun.elapsed() > BACK_OFF_MAX {
                    pause = BACK_OFF_MIN;
                }
                tracing::error!(part = name, restart_in = ?pause, "a part of the node has panicked");
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
            tracing::error!(part = self.0, "no promise holds without it: the process ends");
            std::process::exit(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    /// Panics as often as it is told, and says each time that it runs.
    struct Fragile {
        panics: u32,
        runs: mpsc::UnboundedSender<u32>,
        go_on: Option<oneshot::Receiver<()>>,
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
            self.go_on.take().unwrap().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_part_that_panics_is_restarted_and_shows_while_it_is_down() {
        let supervisor = Arc::new(Supervisor::default());
        let (runs, mut ran) = mpsc::unbounded_channel();
        let (done, go_on) = oneshot::channel();
        let task = supervisor.start(Fragile { panics: 2, runs, go_on: Some(go_on) });
        for left in [2, 1, 0] {
            assert_eq!(ran.recv().await, Some(left));
        }
        assert_eq!(supervisor.restarts.get(), 2);
        assert!(supervisor.parts_down().is_empty(), "it is up again");
        done.send(()).unwrap();
        task.await.unwrap();
    }
}
