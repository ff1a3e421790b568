//! Rounds over several servers: their options, and the loop that alternates between the servers, so that a machine whose
//! speed drifts treats all alike.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::BenchError;
use crate::machine::{Cores, Machine};
use crate::node::NodeUrl;
use crate::options::seconds;
use crate::process::{self, Process};
use crate::server::{Server, ServerSpec};

/// Options of all comparisons
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A server to start and measure: starling (the program beside this one), NAME=PATH (another build of it), floor, axum,
    /// nats or mosquitto; may be given several times
    #[arg(long = "server", value_name = "SERVER", default_value = "starling", value_delimiter = ',')]
    servers: Vec<ServerSpec>,
    /// The address of a Starling node that runs already, measured instead of starting any
    #[arg(long, value_name = "URL", requires = "pid", conflicts_with = "servers")]
    node: Option<NodeUrl>,
    /// The process of that node
    #[arg(long, value_name = "PID", requires = "node")]
    pid: Option<u32>,
    /// Rounds over all servers
    #[arg(long, default_value = "3", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// One short round: to see that it works, not what it says
    #[arg(long)]
    pub(crate) short: bool,
    /// Cores of server and generator; without it the first two, if there are two
    #[arg(long, value_name = "CORE,CORE", value_parser = two_cores)]
    cores: Option<(usize, usize)>,
    /// Folder for the servers' data: on a disk, not in memory
    #[arg(long, default_value = "/var/tmp", value_name = "DIR")]
    pub(crate) scratch: PathBuf,
    /// Write the figures of each round as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Lengths of a measurement
#[derive(Debug, Args)]
pub(crate) struct Lengths {
    /// Seconds of measuring
    #[arg(long, default_value = "10", value_name = "S", value_parser = seconds)]
    duration: Duration,
    /// Seconds of load before measuring
    #[arg(long, default_value = "2", value_name = "S", value_parser = seconds)]
    warmup: Duration,
    /// Longest wait at the end for outstanding messages, in seconds
    #[arg(long, default_value = "10", value_name = "S", value_parser = seconds)]
    drain: Duration,
}

/// A server, and what each round measured of it; `None` where the round failed.
#[derive(Debug, Serialize)]
pub(crate) struct Measured<T> {
    /// The server's name.
    pub(crate) name: String,
    /// The rounds, in order.
    pub(crate) rounds: Vec<Option<T>>,
}

/// The servers and the machine of a comparison.
pub(crate) struct Rounds {
    servers: Vec<ServerSpec>,
    count: usize,
    cores: Cores,
    scratch: PathBuf,
    /// The machine.
    pub(crate) machine: Machine,
}

impl Lengths {
    /// The lengths; shortened if asked for.
    pub(crate) fn times(&self, short: bool) -> crate::measure::Times {
        let limit =
            |time: Duration, most: f64| if short { time.min(Duration::from_secs_f64(most)) } else { time };
        crate::measure::Times {
            warmup: limit(self.warmup, 0.5),
            duration: limit(self.duration, 2.0),
            drain: self.drain,
        }
    }
}

impl Rounds {
    /// Chooses the cores, and stays on the generator's from now on.
    pub(crate) fn new(options: &Options) -> Result<Self, BenchError> {
        process::raise_open_files();
        let running = options.node.clone().zip(options.pid);
        let servers = match running {
            Some((node, pid)) => vec![ServerSpec::Running { node, process: Process(pid) }],
            None => options.servers.clone(),
        };
        let cores = Cores::choose(options.cores)?;
        let count = if options.short { 1 } else { usize::try_from(options.rounds).expect("at most 100") };
        Ok(Self {
            servers,
            count,
            cores,
            scratch: options.scratch.clone(),
            machine: Machine::describe(cores),
        })
    }

    /// Refuses servers that acknowledge nothing.
    pub(crate) fn want_starling(&self) -> Result<(), BenchError> {
        let stranger = self.servers.iter().find(|server| !server.is_starling());
        stranger.map_or(Ok(()), |stranger| Err(BenchError::NoAcks(stranger.name().to_owned())))
    }

    /// Measures each server in each round; in the next round the next one comes first. A round that fails is told at
    /// once, and does not end the others.
    pub(crate) fn alternate<T>(
        &self,
        mut measure: impl FnMut(&Starter<'_>) -> Result<T, BenchError>,
    ) -> Vec<Measured<T>> {
        let empty = |spec: &ServerSpec| Measured { name: spec.name().to_owned(), rounds: Vec::new() };
        let mut measured: Vec<_> = self.servers.iter().map(empty).collect();
        for round in 0..self.count {
            for turn in 0..self.servers.len() {
                let index = (round + turn) % self.servers.len();
                let spec = &self.servers[index];
                eprintln!("round {} of {}: {}", round + 1, self.count, spec.name());
                let result = measure(&Starter { rounds: self, spec });
                if let Err(error) = &result {
                    eprintln!("{}: {error}", spec.name());
                }
                measured[index].rounds.push(result.ok());
            }
        }
        measured
    }
}

/// Starts one of the servers, as often as a measurement wants a fresh one.
pub(crate) struct Starter<'a> {
    rounds: &'a Rounds,
    spec: &'a ServerSpec,
}

impl Starter<'_> {
    /// Starts it, measures it, and ends it.
    pub(crate) fn with<T>(
        &self,
        measure: impl FnOnce(&Server) -> Result<T, BenchError>,
    ) -> Result<T, BenchError> {
        let server = Server::start(self.spec, self.rounds.cores, &self.rounds.scratch)?;
        let measured = measure(&server)?;
        server.end()?;
        Ok(measured)
    }
}

fn two_cores(text: &str) -> Result<(usize, usize), String> {
    let cores =
        text.split_once(',').and_then(|(first, second)| Some((first.parse().ok()?, second.parse().ok()?)));
    cores.filter(|(first, second)| first != second).ok_or_else(|| "must be two cores, such as 0,1".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_two() {
        assert_eq!(two_cores("0,1"), Ok((0, 1)));
        assert!(["0", "1,1", "a,b", ""].iter().all(|text| two_cores(text).is_err()));
    }
}
