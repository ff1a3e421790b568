//! The commands that start the servers: each as its makers would for many clients of one address.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{Readiness, ServerSpec, StartError};

/// Starling's rate limits (README.md lists them): all clients of a measurement share one address.
const LIMITS: [&str; 25] = [
    "CONNECTIONS_PER_ADDRESS",
    "CALLS_PER_ADDRESS",
    "CALLS_PER_ACCOUNT",
    "ROOMS_PER_ADDRESS",
    "REGISTRATIONS_PER_ADDRESS",
    "LOGINS_PER_ADDRESS",
    "LOGINS_PER_ACCOUNT",
    "LOGINS_PER_ACCOUNT_EVERYWHERE",
    "MESSAGES_PER_SESSION",
    "MESSAGES_PER_ACCOUNT",
    "FLOODING_PER_SESSION",
    "SEARCHES_PER_ACCOUNT",
    "CONTACT_REQUESTS_PER_ACCOUNT",
    "BLOCKS_PER_ACCOUNT",
    "SIGNALS_PER_SESSION",
    "ACCOUNT_CALLS_PER_ADDRESS",
    "NEW_CONNECTIONS_PER_ADDRESS",
    "SOCKETS_PER_ADDRESS",
    "FRAMES_PER_SESSION",
    "FRAMES_PER_ADDRESS",
    "MESSAGES_PER_ADDRESS",
    "BYTES_PER_ADDRESS",
    "BYTES_PER_ACCOUNT",
    "MESSAGES_PER_ROOM",
    "BYTES_PER_ROOM",
];

/// The command that lets this server listen at `address`, and the sign that it is ready. What it needs lies in `home`.
pub(super) fn make(
    spec: &ServerSpec,
    address: SocketAddr,
    home: &Path,
) -> Result<(Command, Readiness), StartError> {
    let own = std::env::current_exe()?;
    let bundled = |kind: &str| {
        let mut command = Command::new(&own);
        command.args(["peer", kind, "--listen", &address.to_string()]);
        (command, Readiness::Accepts)
    };
    Ok(match spec {
        ServerSpec::Floor => bundled("floor"),
        ServerSpec::Axum => bundled("axum"),
        ServerSpec::Nats => {
            let mut command = Command::new("nats-server");
            command.args(["--addr", &address.ip().to_string(), "--port", &address.port().to_string()]);
            (command, Readiness::Accepts)
        }
        ServerSpec::Mosquitto => (mosquitto(address, home)?, Readiness::Accepts),
        ServerSpec::Starling { program, .. } => {
            let beside = own.with_file_name("starling");
            (starling(program.as_deref().unwrap_or(&beside), address, home), Readiness::Readyz)
        }
        ServerSpec::Running { .. } => unreachable!("it is not started here"),
    })
}

fn mosquitto(address: SocketAddr, home: &Path) -> Result<Command, StartError> {
    let file = home.join("mosquitto.conf");
    // It drops messages beyond its queue; the default of 1,000 is for brokers with other cares.
    let (port, host) = (address.port(), address.ip());
    let settings = format!(
        "listener {port} {host}\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 100000\n\
         max_connections -1\npersistence false\nlog_type error\n"
    );
    fs::write(&file, settings)?;
    let mut command = Command::new("mosquitto");
    command.arg("-c").arg(file);
    Ok(command)
}

fn starling(program: &Path, address: SocketAddr, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["serve", "--listen", &address.to_string(), "--data-dir"]).arg(home.join("data"));
    for limit in LIMITS {
        command.env(format!("STARLING_LIMITS_{limit}"), "0");
    }
    command.env("STARLING_HTTP_CONNECTIONS_MAX", "100000");
    // Thousands of accounts are registered before a measurement, which is not about their passwords.
    command.env("STARLING_AUTH_WEAK_HASHES", "true");
    command.env("STARLING_AUTH_MEMORY_KIB", "64").env("STARLING_AUTH_PASSES", "1");
    command
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Otherwise a new limit would be measured instead of the server.
    #[test]
    fn all_limits_of_the_readme_are_lifted() {
        let readme = include_str!("../../../README.md");
        let name = |rest: &'static str| rest.split('`').next().expect("a split has a first part");
        let named: BTreeSet<_> = readme.split("`STARLING_LIMITS_").skip(1).map(name).collect();
        assert_eq!(named, LIMITS.into_iter().collect());
    }
}
