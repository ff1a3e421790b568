//! The servers that are compared: what they are called on the command line, how each is started on its core, and ended.

mod child;
mod commands;
mod spec;

use std::path::PathBuf;

use tempfile::TempDir;

pub(crate) use child::{Readiness, ServerProcess, StartError, free_address};
pub(crate) use spec::ServerSpec;

use crate::BenchError;
use crate::dialect::Dialect;
use crate::machine::Cores;
use crate::node::NodeUrl;
use crate::process::Process;

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    /// The protocol of quick rooms, or what takes its place.
    pub(crate) dialect: Dialect,
    /// Whether it is a Starling node, which keeps messages and knows accounts.
    pub(crate) is_starling: bool,
    /// The address.
    pub(crate) node: NodeUrl,
    /// The process.
    pub(crate) process: Process,
    /// The folder of its data, if it was started here and keeps any.
    pub(crate) data: Option<PathBuf>,
    /// The process and its folder, if it was started here. The process is dropped first.
    started: Option<(ServerProcess, TempDir)>,
}

impl Server {
    /// Starts it on its core with an empty folder below `scratch`, and waits until it is ready; or takes it as it runs.
    pub(crate) fn start(
        spec: &ServerSpec,
        cores: Cores,
        scratch: &std::path::Path,
    ) -> Result<Self, BenchError> {
        let (dialect, is_starling) = (spec.dialect(), spec.is_starling());
        if let ServerSpec::Running { node, process } = spec {
            let (node, process) = (node.clone(), *process);
            return Ok(Self { dialect, is_starling, node, process, data: None, started: None });
        }
        let home = tempfile::tempdir_in(scratch).map_err(StartError::from)?;
        let address = free_address()?;
        let (command, readiness) = commands::make(spec, address, home.path())?;
        let log = home.path().join("output.log");
        let mut server =
            cores.on_server_core(|| ServerProcess::start(command, address, readiness, log))??;
        server.wait_until_ready()?;
        Ok(Self {
            dialect,
            is_starling,
            node: NodeUrl { authority: address.to_string() },
            process: server.process(),
            data: Some(home.path().join("data")).filter(|data| data.exists()),
            started: Some((server, home)),
        })
    }

    /// Ends it, if it was started here.
    pub(crate) fn end(self) -> Result<(), BenchError> {
        self.started.map_or(Ok(()), |(server, _home)| server.end().map(drop))
    }
}
