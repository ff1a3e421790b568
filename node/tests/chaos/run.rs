//! One run: a cluster, its load, and round after round of faults, each mended and the merge waited for and timed.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::link_fault::LinkFault;
use crate::load::Load;
use crate::node_fault::CATCH_UP;
use crate::schedule::Round;
use harness::http::{create_room, page};
use harness::{Client, Cluster, eventually};

/// The longest time from the end of a fault until all nodes agree.
const MERGE: Duration = Duration::from_secs(40);

/// The node whose data may lie on a small disk; it stays in the cluster.
pub(crate) const SMALL: usize = 0;

/// The sessions that rolling restarts cost the guests.
#[derive(Debug, Default)]
pub(crate) struct Rolling {
    pub(crate) restarts: usize,
    pub(crate) sessions: usize,
    pub(crate) in_flight: usize,
}

/// The facts of a round.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) round: Round,
    pub(crate) began: Duration,
    pub(crate) what: String,
    pub(crate) lasted: Duration,
    /// The time from the end of the faults until all nodes were in sync and held the same events.
    pub(crate) merged: Duration,
    pub(crate) acked: usize,
}

pub(crate) struct Run {
    pub(crate) cluster: Cluster,
    pub(crate) load: Load,
    pub(crate) rng: StdRng,
    pub(crate) began: Instant,
    pub(crate) hang_ms_max: u64,
    pub(crate) rolling: Rolling,
    pub(crate) passed: Vec<Passed>,
    /// The room of the markers that are posted on every node after each round, and the markers so far.
    marker_room: String,
    pub(crate) markers: Vec<String>,
}

impl Run {
    pub(crate) async fn new(cluster: Cluster, load: Load, rng: StdRng, hang_ms_max: u64) -> Self {
        let marker_room = create_room(cluster[SMALL].http).await;
        Self {
            cluster,
            load,
            rng,
            began: Instant::now(),
            hang_ms_max,
            rolling: Rolling::default(),
            passed: Vec::new(),
            marker_room,
            markers: Vec::new(),
        }
    }

    pub(crate) fn running(&self) -> Vec<usize> {
        (0..self.cluster.nodes.len()).filter(|&at| self.cluster[at].is_running()).collect()
    }

    /// Draws a running node.
    pub(crate) fn pick(&mut self) -> usize {
        *self.running().choose(&mut self.rng).expect("some node runs")
    }

    /// Draws a running node that may leave for good.
    pub(crate) fn pick_leaving(&mut self) -> usize {
        let others: Vec<_> = self.running().into_iter().filter(|&at| at != SMALL).collect();
        *others.choose(&mut self.rng).expect("more than one node runs")
    }

    pub(crate) fn name(&self, at: usize) -> &str {
        &self.cluster[at].name
    }

    /// Starts a node and waits until it is ready; returns the time that it took.
    pub(crate) async fn start(&mut self, at: usize) -> Duration {
        let begin = Instant::now();
        let fresh = !self.cluster[at].data_dir().exists();
        let mut others = self.running().into_iter();
        if fresh && others.all(|other| self.cluster.network.is_cut(at, other)) {
            // It serves alone after a second: both sides of a split do.
            self.load.ledger().places.is_told_nothing(at);
        }
        self.cluster[at].start();
        self.cluster[at].wait_ready_within(CATCH_UP).await;
        self.load.ledger().places.calm(at);
        begin.elapsed()
    }

    /// Sends SIGTERM and waits for the end; returns the time that it took.
    pub(crate) async fn stop(&mut self, at: usize) -> Duration {
        let begin = Instant::now();
        self.load.ledger().places.shake(at);
        let code = self.cluster[at].stop().await;
        assert_eq!(code, Some(0), "{} was told to stop", self.cluster[at].name);
        begin.elapsed()
    }

    /// Deletes the data of a node that does not run.
    pub(crate) fn new_disk(&mut self, at: usize, handed_over: bool) {
        self.cluster[at].empty_disk();
        self.load.ledger().places.new_disk(at, handed_over);
    }

    /// Runs one round, at the end of which all nodes agree.
    pub(crate) async fn pass(&mut self, round: Round) {
        let (began, before) = (self.began.elapsed(), self.load.ledger().acked);
        let mut what = Vec::new();
        if let Some(link) = round.link {
            let running = self.running();
            what.push(link.begin(&self.cluster, &mut self.rng, &running));
        }
        if let Some(node) = round.node {
            what.push(node.pass(self, round.lasts).await);
        } else {
            self.load.goes_on(round.lasts).await;
        }
        LinkFault::mend(&self.cluster);
        let lasted = self.began.elapsed().saturating_sub(began);
        let merged = self.merged().await;
        let acked = self.load.ledger().acked - before;
        let what = if what.is_empty() { "nothing breaks".to_owned() } else { what.join("; ") };
        eprintln!("{:>6.1?} {what}; merged in {merged:.1?}, {acked} acked", began.as_secs_f64());
        self.passed.push(Passed { round, began, what, lasted, merged, acked });
    }

    /// Waits until all nodes are in sync and each holds the events that any of them held at the call: a marker that is
    /// posted on a node follows all its earlier events.
    pub(crate) async fn merged(&mut self) -> Duration {
        let begin = Instant::now();
        let running = self.running();
        for &at in &running {
            let marker = format!("marker {} on {}", self.passed.len(), self.cluster[at].name);
            self.post_marker(at, &marker).await;
            self.markers.push(marker);
        }
        let markers = &self.markers[self.markers.len() - running.len()..];
        for &at in &running {
            let node = &self.cluster[at];
            eventually(MERGE, &format!("{} has the markers of all nodes", node.name), async || {
                let page = page(node.http, &self.marker_room, None, 100).await;
                let (listed, _) = page.map_err(|error| error.to_string())?;
                let lacks = |marker: &&String| !listed.iter().any(|posted| posted.body == **marker);
                let lacking: Vec<_> = markers.iter().filter(lacks).collect();
                if lacking.is_empty() { Ok(()) } else { Err(format!("it lacks {lacking:?}")) }
            })
            .await;
        }
        self.cluster.linked().await;
        self.load.ledger().places.all_is_told();
        begin.elapsed()
    }

    async fn post_marker(&self, at: usize, marker: &str) {
        let (http, name) = (self.cluster[at].http, &self.cluster[at].name);
        let mut client = eventually(MERGE, &format!("{name} lets a newcomer in"), async || {
            let joined = Client::connect(http, &self.marker_room, marker, None, None).await;
            joined.map_err(|refused| format!("{refused:?}"))
        })
        .await;
        client.post(marker).await;
    }

    /// Checks the markers that a node lists.
    pub(crate) async fn wrong_markers(&self, at: usize) -> Vec<String> {
        let listed = harness::http::list_all(self.cluster[at].http, &self.marker_room).await;
        let times = |marker: &String| listed.iter().filter(|posted| posted.body == *marker).count();
        let wrong = self.markers.iter().filter(|marker| times(marker) != 1);
        wrong
            .map(|marker| format!("{} lists {marker:?} {} times", self.cluster[at].name, times(marker)))
            .collect()
    }
}
