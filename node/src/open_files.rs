//! The limit of open files. Each connection needs a file, and the soft limit is commonly 1,024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a node needs in addition to its connections: the store, sockets to peers, name lookups.
const BESIDES_CONNECTIONS: u64 = 256;

/// Raises the soft limit to the hard limit, and warns if that is too low for `connections_max` connections.
pub fn raise(connections_max: u32) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
    }
    let needed = u64::from(connections_max) + BESIDES_CONNECTIONS;
    if let Some(files) = getrlimit(Resource::Nofile).current.filter(|files| *files < needed) {
        tracing::warn!(
            files,
            needed,
            "the limit of open files is too low for http.connections_max: raise it (ulimit -Hn, or LimitNOFILE= of \
             systemd), or lower --http-connections-max"
        );
    }
}
