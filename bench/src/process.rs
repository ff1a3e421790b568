//! CPU time, resident memory and written bytes of a process, from `/proc`.
//! Also ends processes by their id, and raises this one's limit of open files.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal};

/// A process under observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(pub(crate) u32);

/// Why nothing is known of a process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// Most likely it has ended.
    #[error("process {pid}: {source}")]
    Io {
        /// Its id.
        pid: u32,
        /// The error of the system.
        source: io::Error,
    },
    /// The kernel's text was not understood.
    #[error("process {pid}: {file} reads differently than expected")]
    Malformed {
        /// Its id.
        pid: u32,
        /// The file in question.
        file: &'static str,
    },
}

impl Process {
    /// This process.
    pub(crate) fn own() -> Self {
        Self(std::process::id())
    }

    /// CPU time used so far, user and system, all threads, also ended ones. In steps of 10 ms.
    pub(crate) fn cpu_time(self) -> Result<Duration, ProcessError> {
        let ticks = cpu_ticks(&self.read("stat")?).ok_or(self.malformed("stat"))?;
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Ok(Duration::from_millis(ticks * 1_000 / per_second))
    }

    /// Resident memory now, in KiB. Exact, unlike that of `status`; readable for the same user only.
    pub(crate) fn rss_kib(self) -> Result<u64, ProcessError> {
        number_of(&self.read("smaps_rollup")?, "Rss:").ok_or(self.malformed("smaps_rollup"))
    }

    /// Bytes that it caused to be written to disk so far.
    pub(crate) fn written_bytes(self) -> Result<u64, ProcessError> {
        number_of(&self.read("io")?, "write_bytes:").ok_or(self.malformed("io"))
    }

    /// Asks it to end, as an operator would.
    pub(crate) fn terminate(self) -> Result<(), ProcessError> {
        let pid = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        let result =
            pid.map_or(Err(rustix::io::Errno::SRCH), |pid| rustix::process::kill_process(pid, Signal::TERM));
        result.map_err(|error| ProcessError::Io { pid: self.0, source: error.into() })
    }

    fn read(self, file: &'static str) -> Result<String, ProcessError> {
        fs::read_to_string(format!("/proc/{}/{file}", self.0))
            .map_err(|source| ProcessError::Io { pid: self.0, source })
    }

    fn malformed(self, file: &'static str) -> ProcessError {
        ProcessError::Malformed { pid: self.0, file }
    }
}

/// Raises the limit of open files as far as it goes; each connection needs one.
pub(crate) fn raise_open_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        eprintln!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}

/// `utime + stime` of a `/proc/PID/stat`. The name in it may hold spaces and brackets: fields count from the last.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The first number of the line that begins with `name`.
fn number_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_text_is_read() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 10 0 0 0 125 50 0 0 20 0 3 0 100 1 2";
        assert_eq!(cpu_ticks(stat), Some(175));
        let rollup = "00400000-7ffd [rollup]\nRss:                5120 kB\nPss:                 600 kB\n";
        assert_eq!(number_of(rollup, "Rss:"), Some(5_120));
        assert_eq!(number_of("rchar: 1\nwchar: 2\nwrite_bytes: 4096\n", "write_bytes:"), Some(4_096));
        assert_eq!(cpu_ticks("nothing"), None);
        assert_eq!(number_of("Pss: 1 kB\n", "Rss:"), None);
    }

    #[test]
    fn this_process_is_visible() {
        assert!(Process::own().rss_kib().unwrap() > 0);
        Process::own().cpu_time().unwrap();
        Process::own().written_bytes().unwrap();
        assert!(Process(u32::MAX).terminate().is_err());
    }
}
