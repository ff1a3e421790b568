//! Configuration in two stages: raw input (`flags`, `file`), then a validated [`Config`] that holds no choice left
//! open. Defaults < TOML file < `STARLING_…` environment < flags. `main` reads it once; nobody else reads any.

mod auth;
mod command_line;
mod environment;
mod error;
mod file;
mod flags;
mod limits;
mod listen;
mod public_url;
mod secret;

use std::{
    collections::BTreeMap, fmt::Display, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration,
};

use starling_protocol::limits::ADDRESS_CHARS_MAX;
use starling_web::{
    guard::{Network, Origin, Quota, Rate},
    service::RegistrationMode,
};

pub use self::{
    auth::AuthConfig,
    command_line::{is_help, one_line},
    environment::warnings as environment_warnings,
    error::ConfigError,
    flags::{ClusterCommand, Command, Flags, ServeFlags, StatusFlags, UserCommand, UserFlags, VerifyFlags},
    listen::{from_elsewhere, openable},
    secret::{ClusterSecret, SECRET_CHARS_MIN},
};

/// Where UDP of the cluster listens unless told otherwise.
const CLUSTER_PORT: u16 = 7946;
/// Connections of an unconfigured node: below the 20,000 files that systems commonly allow a process.
const CONNECTIONS_MAX: usize = 15_000;
/// Default of `http.header_timeout_ms`: longer than browsers idle on a spare connection is not needed.
const HEADER_TIMEOUT_MS: u64 = 30_000;
/// Default of `durability.wait_ms`.
const WAIT_MS: u64 = 200;
/// Default of `storage.reserve_mib`.
const RESERVE_MIB: u64 = 256;

/// What a node is to do. Every value is valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the node keeps everything.
    pub data_dir: PathBuf,
    /// Log filter, as `tracing` reads it (`info`, `starling_node=debug`, …).
    pub log_filter: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The public listener.
    pub http: HttpConfig,
    /// How often anybody may do anything, where the default does not hold.
    pub limits: BTreeMap<Quota, Rate>,
    /// Whether quick rooms are served.
    pub guests_enabled: bool,
    /// Who may make an account.
    pub registration: RegistrationMode,
    /// How passwords are hashed.
    pub auth: AuthConfig,
    /// A listener for `/metrics` alone.
    pub metrics_listen: Option<SocketAddr>,
    /// When a post is acked.
    pub durability: DurabilityConfig,
    /// Free bytes of the disk that are kept for replication; users' writes are refused below it.
    pub storage_reserve_bytes: u64,
    /// The cluster, if the node is to be part of one.
    pub cluster: Option<ClusterConfig>,
}

/// The public listener.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// Where users reach this node, without a slash at its end.
    pub public_url: Option<String>,
    /// The proxies that are believed whom they serve.
    pub trusted_proxies: Vec<Network>,
    /// The sites whose pages may use this server beside its own.
    pub allowed_origins: Vec<Origin>,
    /// How long the head of a request may take, and how long a connection may idle.
    pub header_timeout: Duration,
    /// Connections at once.
    pub connections_max: u32,
}

/// When a post is acked.
#[derive(Clone, Copy, Debug)]
pub struct DurabilityConfig {
    /// On how many nodes it should be durable, this one counted.
    pub copies: usize,
    /// How long to wait for that, in milliseconds; then the ack says how many it are.
    pub wait_ms: u64,
}

/// The node's part in the cluster.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// UDP address and port.
    pub listen: SocketAddr,
    /// Where other nodes reach this one; found out from the way to the first peer if missing.
    pub advertise: Option<String>,
    /// Where to find nodes of the cluster.
    pub join: Vec<String>,
    /// What all nodes share.
    pub secret: ClusterSecret,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Resolves flags and environment (which clap has merged) over the file over the defaults.
    pub fn resolve(flags: ServeFlags) -> Result<Self, ConfigError> {
        let file = flags.config.as_deref().map(file::File::read).transpose()?.unwrap_or_default();
        let secret = secret::resolve(
            flags.cluster_secret.or(file.cluster.secret),
            flags.cluster_secret_file.or(file.cluster.secret_file),
        )?;
        let join = given_or(flags.join, file.cluster.join);
        let join =
            join.into_iter().map(|join| host_port("cluster.join", join)).collect::<Result<Vec<_>, _>>()?;
        let advertise = flags.cluster_advertise.or(file.cluster.advertise);
        let advertise = advertise.map(|advertise| host_port("cluster.advertise", advertise)).transpose()?;
        let listen = flags.cluster_listen.or(file.cluster.listen);
        let cluster = match secret {
            Some(secret) => {
                let listen = listen.unwrap_or(SocketAddr::from(([0, 0, 0, 0], CLUSTER_PORT)));
                Some(ClusterConfig { listen, advertise, join, secret })
            }
            None if listen.is_some() || advertise.is_some() || !join.is_empty() => {
                return Err(ConfigError::SecretMissing);
            }
            None => None,
        };
        let copies = flags.durability_copies.or(file.durability.copies);
        let copies = copies.unwrap_or(if cluster.is_some() { 2 } else { 1 });
        let public_url = flags.public_url.or(file.http.public_url);
        let public_url = public_url.map(|url| public_url::parse(&url)).transpose()?;
        let trusted_proxies = parsed("http.trusted_proxies", flags.trusted_proxy, file.http.trusted_proxies)?;
        let allowed_origins =
            parsed("http.allowed_origins", flags.allowed_origin, file.http.allowed_origins)?;
        let mut limits = file.limits;
        limits.extend(flags.limits.0);
        let header_timeout_ms = within(
            "http.header_timeout_ms",
            flags.http_header_timeout_ms.or(file.http.header_timeout_ms).unwrap_or(HEADER_TIMEOUT_MS),
            100..=3_600_000,
            "100 to 3600000",
        )?;
        let connections_max =
            flags.http_connections_max.or(file.http.connections_max).unwrap_or(CONNECTIONS_MAX as u64);
        let connections_max = within("http.connections_max", connections_max, 1..=1_000_000, "1 to 1000000")?;
        let reserve_mib = flags.storage_reserve_mib.or(file.storage.reserve_mib).unwrap_or(RESERVE_MIB);
        let reserve_mib = within("storage.reserve_mib", reserve_mib, 0..=1_048_576, "0 to 1048576")?;
        let wait_ms = flags.durability_wait_ms.or(file.durability.wait_ms).unwrap_or(WAIT_MS);
        Ok(Self {
            data_dir: flags.data_dir.or(file.data_dir).unwrap_or_else(|| "starling-data".into()),
            log_filter: flags.log_filter.or(file.log.filter).unwrap_or_else(|| "info".into()),
            log_format: flags.log_format.or(file.log.format).unwrap_or_default(),
            http: HttpConfig {
                listen: flags.listen.or(file.http.listen).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
                public_url,
                trusted_proxies,
                allowed_origins,
                header_timeout: Duration::from_millis(header_timeout_ms),
                connections_max: u32::try_from(connections_max).unwrap_or(u32::MAX),
            },
            limits,
            guests_enabled: flags.guests_enabled.or(file.guests.enabled).unwrap_or(true),
            auth: AuthConfig::resolve(&flags.auth, &file.auth)?,
            registration: flags.registration_mode.or(file.registration.mode).unwrap_or_default(),
            metrics_listen: flags.metrics_listen.or(file.metrics.listen),
            durability: DurabilityConfig {
                copies: usize::try_from(within("durability.copies", copies, 1..=100, "1 to 100")?)
                    .unwrap_or(1),
                wait_ms: within("durability.wait_ms", wait_ms, 0..=60_000, "0 to 60000")?,
            },
            storage_reserve_bytes: reserve_mib * 1024 * 1024,
            cluster,
        })
    }
}

fn within(
    setting: &'static str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
    expected: &'static str,
) -> Result<u64, ConfigError> {
    if range.contains(&value) { Ok(value) } else { Err(ConfigError::Number { setting, value, expected }) }
}

/// The list that was given, else the file's.
fn parsed<T: FromStr<Err: Display>>(
    setting: &'static str,
    given: Vec<String>,
    file: Vec<String>,
) -> Result<Vec<T>, ConfigError> {
    let list = given_or(given, file);
    let parse = |value: String| {
        value.parse().map_err(|error: T::Err| ConfigError::Text {
            setting,
            value,
            expected: error.to_string(),
        })
    };
    list.into_iter().map(parse).collect()
}

/// The list that was given, without the blanks and empty items that a trailing comma leaves, else the file's.
fn given_or(given: Vec<String>, file: Vec<String>) -> Vec<String> {
    let given = given.into_iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty());
    let given: Vec<_> = given.collect();
    if given.is_empty() { file } else { given }
}

fn host_port(setting: &'static str, value: String) -> Result<String, ConfigError> {
    let valid = value.len() <= ADDRESS_CHARS_MAX
        && value
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    if valid { Ok(value) } else { Err(ConfigError::Address { setting, value }) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn resolve(flags: &[&str], toml: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("starling.toml");
        std::fs::write(&path, toml).unwrap();
        let config = ["starling", "--config", path.to_str().unwrap()];
        let flags = Flags::try_parse_from(config.iter().chain(flags)).unwrap();
        Config::resolve(flags.serve)
    }

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let toml = "data_dir = \"/a\"\n[http]\nlisten = \"127.0.0.1:1\"\n[durability]\nwait_ms = 5";
        let config = resolve(&["--listen", "127.0.0.1:2"], toml).unwrap();
        assert_eq!(config.http.listen.port(), 2);
        assert_eq!(config.data_dir, PathBuf::from("/a"));
        assert_eq!((config.durability.copies, config.durability.wait_ms), (1, 5));
        assert!(config.cluster.is_none());
    }

    #[test]
    fn a_cluster_needs_a_good_secret_and_defaults_to_two_copies() {
        let config = resolve(&["--cluster-secret", SECRET, "--join", "a.example:1"], "").unwrap();
        assert_eq!(config.durability.copies, 2);
        assert_eq!(config.cluster.unwrap().join, ["a.example:1"]);
        assert!(matches!(resolve(&["--join", "a:1"], ""), Err(ConfigError::SecretMissing)));
        assert!(matches!(resolve(&["--cluster-secret", &SECRET[1..]], ""), Err(ConfigError::SecretShort)));
        let both = ["--cluster-secret", SECRET, "--cluster-secret-file", "x"];
        assert!(matches!(resolve(&both, ""), Err(ConfigError::SecretTwice)));
        let missing = ["--cluster-secret-file", "/does/not/exist"];
        assert!(matches!(resolve(&missing, ""), Err(ConfigError::SecretFile(..))));
    }

    #[test]
    fn limits_and_lists_are_taken_from_the_file_unless_given() {
        let toml = "[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\nallowed_origins = [\"https://a.example\"]\n\
                    [limits]\nrooms_per_address = \"5/m\"\nlogins_per_address = \"0\"";
        let config =
            resolve(&["--limit-rooms-per-address", "7/2h", "--trusted-proxy", "127.0.0.1"], toml).unwrap();
        assert_eq!(config.http.trusted_proxies, ["127.0.0.1".parse().unwrap()]);
        assert_eq!(config.http.allowed_origins, ["https://a.example".parse().unwrap()]);
        assert_eq!(config.limits.len(), 2);
        assert_eq!(config.limits[&Quota::RoomsPerAddress], "7/2h".parse().unwrap());
        assert_eq!(config.limits[&Quota::LoginsPerAddress], Rate::OFF);
        assert_eq!(resolve(&[], toml).unwrap().http.trusted_proxies.len(), 2);
    }

    /// Items of a list may be separated by a comma and blanks, and end with a comma.
    #[test]
    fn lists_are_read_as_people_write_them() {
        let flags = ["--cluster-secret", SECRET, "--join", "a.example:1, b.example:2,"];
        assert_eq!(resolve(&flags, "").unwrap().cluster.unwrap().join, ["a.example:1", "b.example:2"]);
    }

    /// The line that is named is the one with the mistake.
    #[test]
    fn mistakes_in_the_file_are_told_with_their_line() {
        for (toml, line) in [
            ("data_dir = 7", 1),
            ("data_dir = \"/a\"\n[http]\nlitsen = \"127.0.0.1:1\"\n", 3),
            ("[http]\n\n# Where\nlisten = \"nonsense\"\n", 4),
            ("[http]\r\nlisten = \"127.0.0.1:1\"\r\npublic_url = 1\r\n", 3),
            ("[http]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"\n", 3),
            ("[http]\nlisten = \n", 2),
            ("# \u{fc}\n[http\n", 2),
        ] {
            let error = resolve(&[], toml).unwrap_err().to_string();
            assert!(error.contains(&format!("line {line}:")), "{toml:?}: {error}");
        }
    }

    #[test]
    fn the_mode_of_registration_is_open_unless_told() {
        let mode = |flags: &[&str], toml| resolve(flags, toml).unwrap().registration;
        assert_eq!(mode(&[], ""), RegistrationMode::Open);
        let file = "[registration]\nmode = \"invite\"";
        assert_eq!(mode(&[], file), RegistrationMode::Invite);
        assert_eq!(mode(&["--registration-mode", "closed"], file), RegistrationMode::Closed);
    }

    #[test]
    fn what_a_password_costs_is_told_by_file_and_flags() {
        let auth = resolve(&["--auth-lanes", "2"], "[auth]\nmemory_kib = 65536\nworkers = 3").unwrap().auth;
        assert_eq!(
            (auth.cost.memory_kib, auth.cost.passes, auth.cost.lanes, auth.workers),
            (65_536, 2, 2, 3)
        );
        let weak = ["--auth-weak-hashes", "true", "--auth-memory-kib", "8", "--auth-passes", "1"];
        assert_eq!(resolve(&weak, "").unwrap().auth.cost.memory_kib, 8);
    }

    #[test]
    fn wrong_values_are_refused_with_their_setting() {
        for (flags, toml) in [
            (&["--cluster-secret", SECRET, "--join", "nowhere"][..], ""),
            (&["--cluster-secret", SECRET, "--join", "host:0"], ""),
            (&["--durability-copies", "0"], ""),
            (&["--public-url", "chat.example"], ""),
            (&[], "[http]\nlitsen = \"127.0.0.1:1\""),
            (&[], "data_dir = 7"),
            (&["--trusted-proxy", "proxy.example"], ""),
            (&["--trusted-proxy", "10.0.0.0/33"], ""),
            (&["--allowed-origin", "a.example"], ""),
            (&[], "[limits]\nrooms_per_day = \"5/d\""),
            (&[], "[limits]\nrooms_per_address = \"many\""),
            (&[], "[registration]\nmode = \"shut\""),
            (&["--auth-memory-kib", "8192"], ""),
            (&["--auth-passes", "0", "--auth-weak-hashes", "true"], ""),
            (&["--auth-workers", "0"], ""),
            (&[], "[auth]\nlanes = 65"),
            (&[], "[cluster"),
        ] {
            let error = resolve(flags, toml).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
