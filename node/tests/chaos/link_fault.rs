//! The faults of the network between the nodes. Guests reach all nodes at any time; only peers lose each other.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use harness::Cluster;
use harness::proxy::Rule;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkFault {
    CutPair,
    CutOneWay,
    Isolate,
    Split,
    Loss,
    Slow,
}

const CUT: Rule = Rule { cut: true, loss: 0.0, delay: Duration::ZERO };

impl LinkFault {
    pub(crate) const ALL: [Self; 6] =
        [Self::CutPair, Self::CutOneWay, Self::Isolate, Self::Split, Self::Loss, Self::Slow];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CutPair => "cut pair",
            Self::CutOneWay => "one-way cut",
            Self::Isolate => "isolated node",
            Self::Split => "split in halves",
            Self::Loss => "packet loss",
            Self::Slow => "slow links",
        }
    }

    /// Breaks the network among these nodes; returns a description.
    pub(crate) fn begin(self, cluster: &Cluster, rng: &mut StdRng, among: &[usize]) -> String {
        let mut nodes = among.to_vec();
        nodes.shuffle(rng);
        let (x, y) = (nodes[0], nodes[1]);
        let name = |at: usize| &*cluster[at].name;
        // A bad wire may concern one pair or all.
        let all = rng.random();
        let which =
            if all { "everywhere".to_owned() } else { format!("between {} and {}", name(x), name(y)) };
        let apply = |rule: Rule| {
            let hit = if all { &nodes[..] } else { &nodes[..2] };
            pairs(hit).for_each(|(a, b)| cluster.network.set(a, b, rule));
        };
        match self {
            Self::CutPair => {
                cluster.network.set(x, y, CUT);
                format!("{} and {} cut apart", name(x), name(y))
            }
            Self::CutOneWay => {
                cluster.network.set_one_way(x, y, CUT);
                format!("nothing from {} reaches {}", name(x), name(y))
            }
            Self::Isolate => {
                nodes[1..].iter().for_each(|&other| cluster.network.set(x, other, CUT));
                format!("{} isolated", name(x))
            }
            Self::Split => {
                let (some, others) = nodes.split_at(nodes.len() / 2);
                for (&one, &other) in some.iter().flat_map(|one| others.iter().map(move |other| (one, other)))
                {
                    cluster.network.set(one, other, CUT);
                }
                let names = |nodes: &[usize]| nodes.iter().map(|&at| name(at)).collect::<Vec<_>>().join("");
                format!("{} split from {}", names(some), names(others))
            }
            Self::Loss => {
                let percent: u8 = rng.random_range(5..=20);
                apply(Rule { loss: f64::from(percent) / 100.0, ..Rule::default() });
                format!("{percent} % lost {which}")
            }
            Self::Slow => {
                let delay = Duration::from_millis(rng.random_range(50..=200));
                apply(Rule { delay, ..Rule::default() });
                format!("{} ms one way {which}", delay.as_millis())
            }
        }
    }

    /// Mends all faults.
    pub(crate) fn mend(cluster: &Cluster) {
        let all: Vec<_> = (0..cluster.nodes.len()).collect();
        pairs(&all).for_each(|(a, b)| cluster.heal(a, b));
    }
}

fn pairs(nodes: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    nodes.iter().enumerate().flat_map(|(at, &a)| nodes[at + 1..].iter().map(move |&b| (a, b)))
}
