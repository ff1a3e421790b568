//! The machine of a measurement: its description, the choice of cores, the time of its disk, and what others use of it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

use crate::latency::{Latency, Quantiles};
use crate::number::nanos;

/// Synced writes to measure a disk with, and the longest time for them.
const SYNCS: usize = 500;
const SYNCS_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of each: a page.
const SYNC_BYTES: usize = 4096;

/// The cores of the server and of the generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    /// The server and all its threads run on the first, the generator on the second.
    Pinned(usize, usize),
    /// There is one core only, or it was not wanted.
    Shared,
}

/// A description of the machine, for reports.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    model: String,
    kernel: String,
    pinned: Option<(usize, usize)>,
}

impl Cores {
    /// The first two cores that this process may use, with itself on the second; or those given.
    pub(crate) fn choose(given: Option<(usize, usize)>) -> io::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let chosen = given.or_else(|| usable.next().zip(usable.next()));
        let Some((server, generator)) = chosen else { return Ok(Self::Shared) };
        pin(generator)?;
        Ok(Self::Pinned(server, generator))
    }

    /// Calls `start` on the server's core, so that the process that it starts stays there with all its threads.
    pub(crate) fn on_server_core<T>(self, start: impl FnOnce() -> T) -> io::Result<T> {
        let Self::Pinned(server, generator) = self else { return Ok(start()) };
        pin(server)?;
        let started = start();
        pin(generator)?;
        Ok(started)
    }
}

fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

impl Machine {
    /// Describes this machine.
    pub(crate) fn describe(cores: Cores) -> Self {
        let uname = rustix::system::uname();
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let models = info.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let models: Vec<_> = models.map(|(_, model)| model).collect();
        Self {
            cores: models.len().max(1),
            model: (*models.first().unwrap_or(&"unknown processor")).to_owned(),
            kernel: uname.release().to_string_lossy().into_owned(),
            pinned: match cores {
                Cores::Pinned(server, generator) => Some((server, generator)),
                Cores::Shared => None,
            },
        }
    }

    /// In words.
    pub(crate) fn text(&self) -> String {
        let pinned = match self.pinned {
            Some((server, generator)) => format!("server on core {server}, generator on core {generator}"),
            None => "server and generator share the cores".into(),
        };
        format!("{} cores ({}), Linux {}; {pinned}", self.cores, self.model, self.kernel)
    }
}

/// The time of `fdatasync` after a write of a page to a growing file in `folder`.
pub(crate) fn measure_fdatasync(folder: &Path) -> io::Result<Quantiles> {
    let mut file = tempfile::tempfile_in(folder)?;
    let mut latency = Latency::new();
    let began = Instant::now();
    for _ in 0..SYNCS {
        if began.elapsed() > SYNCS_TIME_MAX {
            break;
        }
        sync_page(&mut file, &mut latency)?;
    }
    Ok(latency.quantiles())
}

fn sync_page(file: &mut File, latency: &mut Latency) -> io::Result<()> {
    file.write_all(&[0x5a; SYNC_BYTES])?;
    let begin = Instant::now();
    file.sync_data()?;
    latency.record_ns(nanos(begin.elapsed()));
    Ok(())
}

/// CPU time that all processes of the machine used so far, without interrupts, which belong to nobody.
pub(crate) fn busy_time() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks = busy_ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second().max(1)))
}

/// User, nice and system time of a `/proc/stat`.
fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    line.split_ascii_whitespace().take(3).map(|ticks| ticks.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_text_is_read() {
        assert_eq!(busy_ticks("cpu  10 2 30 400 5 6 7 0 0 0\ncpu0 1 1 1 1"), Some(42));
        assert_eq!(busy_ticks("cpu0 10 2 30"), None);
    }

    /// A process that is started on the server's core stays there, and the generator is back on its own.
    #[test]
    fn servers_start_on_their_core() {
        let allowed = sched_getaffinity(None).unwrap();
        let Cores::Pinned(server, generator) = Cores::choose(None).unwrap() else { return };
        let cores = Cores::Pinned(server, generator);
        let run = || std::process::Command::new("cat").arg("/proc/self/status").output().unwrap();
        let status = String::from_utf8(cores.on_server_core(run).unwrap().stdout).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        assert_eq!(line.trim(), server.to_string());
        let own = sched_getaffinity(None).unwrap();
        assert!(own.is_set(generator) && own.count() == 1);
        sched_setaffinity(None, &allowed).unwrap();
    }

    #[test]
    fn a_disk_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let measured = measure_fdatasync(folder.path()).unwrap();
        assert!(measured.count > 0 && measured.p50_ms <= measured.p99_ms);
    }
}
