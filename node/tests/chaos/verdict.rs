//! The end of a run: checks each promise on every node, line by line.

use std::time::{Duration, Instant};

use crate::link_fault::LinkFault;
use crate::node_fault::NodeFault;
use crate::rules::{different, excused, gaps, wrong_lists};
use crate::run::Run;
use harness::http::{self, try_list_all};
use harness::process::{run as run_command, starling};

/// The longest time until all nodes agree at the end, on a busy machine.
const SETTLE: Duration = Duration::from_mins(1);

/// The gauges of equal and of diverged shards of the views, by peer.
const EQUAL: &str = "starling_digest_shards_equal{";
const DIVERGED: &str = "starling_digest_shards_diverged{";

/// A promise and its violations; none if it holds.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) wrong: Vec<String>,
}

fn line(what: impl Into<String>, wrong: Vec<String>) -> Line {
    Line { what: what.into(), wrong }
}

/// Ends the load, makes all checks, and stops all nodes.
pub(crate) async fn reach(run: &mut Run, acked_at_least: usize) -> Vec<Line> {
    run.load.quiet(SETTLE).await;
    let sent = run.load.ledger().sent;
    run.merged().await;
    let nodes = run.running();
    let (listed, wrong_lists) = compare_lists(run, &nodes).await;
    let gaps = run.load.until_right(SETTLE, gaps).await;
    let own_digests = own_digests(run, &nodes).await;
    run.load.end().await;
    let digests = digests(run, &nodes).await;

    let ledger = run.load.ledger();
    assert_eq!(ledger.sent, sent, "nobody posts after the end of the load: the lists were read before");
    let (acked, lost) = (ledger.acked, excused(&ledger));
    let few = if acked < acked_at_least { vec![format!("only {acked}")] } else { Vec::new() };
    vec![
        line(format!("at least {acked_at_least} messages were acked: {acked} of {} sent", ledger.sent), few),
        line(
            format!(
                "every acked message is listed exactly once on each of {} nodes, as it was sent, in one order, and in \
                 the order of its sender; {listed} are listed, and {lost} that were acked with one copy may have been \
                 lost with the only disk that held them",
                nodes.len()
            ),
            wrong_lists,
        ),
        line("every guest was shown every one of them in their room", gaps),
        line("every node finds its views equal to those of every other", own_digests),
        line("starling verify gives the same events, origins and digest for all nodes", digests),
        line("no guest saw what nobody sent, or was told what must not be said", ledger.complaints.clone()),
        line(
            "no session was dropped, and nobody turned away, without need; a restart costs a guest one session at most",
            ledger.needless.clone(),
        ),
    ]
}

/// Checks the digests that the running nodes report.
async fn own_digests(run: &Run, nodes: &[usize]) -> Vec<String> {
    let end = Instant::now() + SETTLE;
    loop {
        let mut said = Vec::new();
        for &at in nodes {
            let answer = http::get(run.cluster[at].http, "/metrics").await;
            said.push((run.name(at), answer.map(|answer| answer.text()).unwrap_or_default()));
        }
        let wrong = unequal_parts(&said);
        if wrong.is_empty() || Instant::now() > end {
            return wrong;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every node must find the same number of shards equal with every peer (empty shards are not counted), and none diverged.
fn unequal_parts(said: &[(&str, String)]) -> Vec<String> {
    let series = |metrics: &str, name: &str| -> Vec<String> {
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| Some(line.rsplit_once(' ')?.1.to_owned())).collect()
    };
    let mut wrong = Vec::new();
    let expected = said.iter().find_map(|(_, metrics)| series(metrics, EQUAL).into_iter().next());
    let expected = expected.unwrap_or_default();
    for (name, metrics) in said {
        let (equal, diverged) = (series(metrics, EQUAL), series(metrics, DIVERGED));
        let all =
            equal.len() == said.len() - 1 && equal.iter().all(|equal| *equal == expected && equal != "0");
        if !all || diverged.iter().any(|diverged| diverged != "0") {
            wrong.push(format!(
                "{name} finds {equal:?} shards equal, not {expected}, and {diverged:?} diverged"
            ));
        }
    }
    wrong
}

async fn compare_lists(run: &mut Run, nodes: &[usize]) -> (usize, Vec<String>) {
    let mut found = Vec::new();
    let mut listed = 0;
    let rooms = run.load.ledger().rooms.clone();
    for (number, room) in rooms.iter().enumerate() {
        let mut lists = Vec::new();
        for &at in nodes {
            lists.push(try_list_all(run.cluster[at].http, room).await.expect("a node that is well lists"));
        }
        listed += lists[0].len();
        found.extend(wrong_lists(&run.load.ledger(), number, &lists));
    }
    for &at in nodes {
        found.extend(run.wrong_markers(at).await);
    }
    (listed, found)
}

/// Ends all nodes at once, and asks each store for its digest. One that outlives the others may write a fold, since their
/// processes have ended.
async fn digests(run: &mut Run, nodes: &[usize]) -> Vec<String> {
    let mut said = Vec::new();
    for &at in nodes {
        run.cluster[at].kill9().await;
    }
    for &at in nodes {
        let mut verify = starling(&["verify", "--data-dir"]);
        verify.arg(run.cluster[at].data_dir());
        let ended = run_command(verify).await;
        if ended.code != Some(0) {
            return vec![format!("{}: {ended:?}", run.name(at))];
        }
        eprintln!("{}: {}", run.name(at), ended.stdout.trim().replace('\n', ", "));
        said.push((run.name(at).to_owned(), ended.stdout));
    }
    different(&said)
}

/// Returns the kinds of fault that never came.
pub(crate) fn never_came(run: &Run, nodes: &[NodeFault]) -> Vec<String> {
    let node = |fault: &&NodeFault| !run.passed.iter().any(|passed| passed.round.node == Some(**fault));
    let link = |fault: &LinkFault| !run.passed.iter().any(|passed| passed.round.link == Some(*fault));
    let nodes = nodes.iter().filter(node).map(|fault| fault.name());
    let links = LinkFault::ALL.into_iter().filter(link).map(LinkFault::name);
    nodes.chain(links).map(|name| format!("{name} never came")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_finds_a_peer_different_is_found() {
        let wrong = |figures: &[&[(u32, u32)]]| {
            let text = |peers: &&[(u32, u32)]| {
                let lines = peers.iter().enumerate().map(|(peer, (equal, diverged))| {
                    format!("{EQUAL}peer=\"{peer}\"}} {equal}\n{DIVERGED}peer=\"{peer}\"}} {diverged}\n")
                });
                lines.collect::<String>()
            };
            unequal_parts(&figures.iter().map(|peers| ("A", text(peers))).collect::<Vec<_>>()).len()
        };
        assert_eq!(wrong(&[&[(7, 0), (7, 0)], &[(7, 0), (7, 0)], &[(7, 0), (7, 0)]]), 0);
        assert_eq!(wrong(&[&[(7, 0), (7, 0)], &[(7, 0), (6, 0)], &[(7, 0), (7, 0)]]), 1);
        assert_eq!(wrong(&[&[(7, 0), (7, 0)], &[(7, 0), (7, 1)], &[(7, 0), (7, 0)]]), 1);
        assert_eq!(wrong(&[&[(7, 0), (7, 0)], &[(7, 0)], &[(7, 0), (7, 0)]]), 1);
        assert_eq!(wrong(&[&[(0, 0)], &[(0, 0)]]), 2);
        assert_eq!(wrong(&[&[], &[]]), 2);
    }
}
