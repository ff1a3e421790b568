//! Configuration in two stages: raw input (`flags`, `file`), then a validated [`Config`] with every value resolved.
//! Precedence: defaults < TOML file < `STARLING_…` environment < flags. Only `main` reads it, once.

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
mod secret_strength;
mod storage;
mod watched_file;

use std::{
    collections::BTreeMap,
    fmt::Display,
    net::{Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use starling_protocol::limits::ADDRESS_CHARS_MAX;
use starling_web::{
    guard::{HostName, Network, Origin, Quota, Rate},
    service::RegistrationMode,
};

pub use self::{
    auth::AuthConfig,
    command_line::{is_help, one_line},
    environment::warnings as environment_warnings,
    error::ConfigError,
    flags::{
        ClusterCommand, Command, Flags, LeaveFlags, RotateFlags, SecretCommand, ServeFlags, StatusFlags,
        UserCommand, UserFlags, VerifyFlags,
    },
    listen::{openable, remote_address},
    secret::{ClusterSecret, ClusterSecrets, SECRET_CHARS_MIN},
    storage::StorageConfig,
    watched_file::WatchedFile,
};

/// Default UDP port of the cluster.
const CLUSTER_PORT: u16 = 7946;
/// Default of `http.connections_max`: below the 20,000 files that systems commonly allow a process.
const CONNECTIONS_MAX: usize = 15_000;
/// Default of `limits.connections_per_address` is this fraction of all connections: a third, 5,000.
const CONNECTIONS_PER_ADDRESS_DIVISOR: u64 = 3;
/// Default of `http.header_timeout_ms`: about as long as browsers keep a spare connection idle.
const HEADER_TIMEOUT_MS: u64 = 30_000;
/// Default of `durability.wait_ms`.
pub const DURABILITY_WAIT_MS: u64 = 200;

/// The settings of a node, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory for all data of the node.
    pub data_dir: PathBuf,
    /// Log filter, as `tracing` reads it (`info`, `starling_node=debug`, …).
    pub log_filter: String,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// The public listener.
    pub http: HttpConfig,
    /// Rate limits that differ from their defaults.
    pub limits: BTreeMap<Quota, Rate>,
    /// Connections of one client network at once; `u32::MAX` is no limit.
    pub connections_per_address: u32,
    /// Whether quick rooms are served.
    pub guests_enabled: bool,
    /// The people who may register.
    pub registration: RegistrationMode,
    /// How passwords are hashed.
    pub auth: AuthConfig,
    /// The address of a listener for `/metrics` alone.
    pub metrics_listen: Option<SocketAddr>,
    /// When posts are acknowledged.
    pub durability: DurabilityConfig,
    /// The section `[storage]`.
    pub storage: StorageConfig,
    /// Whether to begin with an empty store if the old one was lost.
    pub fresh: bool,
    /// The cluster; `None` for a lone node.
    pub cluster: Option<ClusterConfig>,
}

/// The public listener.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The address and port.
    pub listen: SocketAddr,
    /// The URL under which users reach this node, without a slash at its end.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Network>,
    /// Other sites whose pages may use this server, with bearer tokens.
    pub allowed_origins: Vec<Origin>,
    /// Host names under which this server answers, besides that of its public address.
    pub allowed_hosts: Vec<HostName>,
    /// The time for the head of a request to arrive, and for a connection to idle.
    pub header_timeout: Duration,
    /// Concurrent connections, at most.
    pub connections_max: u32,
}

/// When posts are acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct DurabilityConfig {
    /// Nodes on which a post should be durable first, this one included.
    pub copies: usize,
    /// The time to wait for that, in milliseconds. The acknowledgement then says how many have it.
    pub wait_ms: u64,
}

/// The settings of the cluster.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The UDP address and port.
    pub listen: SocketAddr,
    /// The address that other nodes are told; if missing, it is found out as links come up.
    pub advertise: Option<String>,
    /// Addresses of nodes to join.
    pub join: Vec<String>,
    /// Whether the node is ready only after it has reached another one.
    pub expect_peers: bool,
    /// The secret that all nodes share; two while it is rotated.
    pub secrets: ClusterSecrets,
    /// The file from which the secret was read.
    pub secret_from: Option<PathBuf>,
    /// The file to watch for other secrets, if it holds nothing else.
    pub secret_file: Option<PathBuf>,
    /// The operator's CA and certificate, if there are.
    pub certificate: Option<CertificateFiles>,
}

/// The PEM files of an operator's own CA.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The certificates of the CA.
    pub ca: PathBuf,
    /// The node's certificate, followed by intermediate ones.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// `Human` on a terminal, `Json` otherwise.
    #[default]
    Auto,
    /// Text for people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Whether the public listener serves `/metrics`: not if they have a listener of their own, and not under a public
    /// address, where everybody could read them.
    pub fn serves_metrics_to_users(&self) -> bool {
        self.metrics_listen.is_none() && self.http.public_url.is_none()
    }

    /// Resolves flags and environment (which clap has merged) over the file over the defaults.
    pub fn resolve(flags: ServeFlags) -> Result<Self, ConfigError> {
        let file = flags.config.as_deref().map(file::File::read).transpose()?.unwrap_or_default();
        let cluster = resolve_cluster(&flags, &file.cluster)?;
        let copies = flags.durability_copies.or(file.durability.copies);
        let copies = copies.unwrap_or(if cluster.is_some() { 2 } else { 1 });
        let http = resolve_http(&flags, &file.http)?;
        let mut limits = file.limits.rates;
        limits.extend(flags.limits.0);
        let connections_per_address = flags
            .limit_connections_per_address
            .or(file.limits.connections_per_address)
            .unwrap_or(u64::from(http.connections_max).div_ceil(CONNECTIONS_PER_ADDRESS_DIVISOR));
        let connections_per_address = in_range(
            "limits.connections_per_address",
            connections_per_address,
            0..=1_000_000,
            "0 to 1000000",
        )?;
        let wait_ms = flags.durability_wait_ms.or(file.durability.wait_ms).unwrap_or(DURABILITY_WAIT_MS);
        Ok(Self {
            data_dir: flags.data_dir.or(file.data_dir).unwrap_or_else(|| "starling-data".into()),
            log_filter: flags.log_filter.or(file.log.filter).unwrap_or_else(|| "info".into()),
            log_format: flags.log_format.or(file.log.format).unwrap_or_default(),
            http,
            limits,
            connections_per_address: match u32::try_from(connections_per_address) {
                Ok(0) | Err(_) => u32::MAX,
                Ok(max) => max,
            },
            guests_enabled: flags.guests_enabled.or(file.guests.enabled).unwrap_or(true),
            auth: AuthConfig::resolve(&flags.auth, &file.auth)?,
            registration: flags.registration_mode.or(file.registration.mode).unwrap_or_default(),
            metrics_listen: flags.metrics_listen.or(file.metrics.listen),
            durability: DurabilityConfig {
                copies: usize::try_from(in_range("durability.copies", copies, 1..=100, "1 to 100")?)
                    .unwrap_or(1),
                wait_ms: in_range("durability.wait_ms", wait_ms, 0..=60_000, "0 to 60000")?,
            },
            storage: StorageConfig::resolve(&flags.storage, &file.storage)?,
            fresh: flags.fresh,
            cluster,
        })
    }
}

/// Resolves the settings of the cluster; `None` without a secret.
fn resolve_cluster(flags: &ServeFlags, file: &file::Cluster) -> Result<Option<ClusterConfig>, ConfigError> {
    let secret_from = flags.config.as_ref().filter(|_| file.secret.is_some());
    let secret_file = flags.cluster_secret_file.clone().or(file.secret_file.clone());
    let secret_from = secret_file.as_ref().or(secret_from).cloned();
    let secrets = secret::resolve(flags.cluster_secret.clone().or(file.secret.clone()), secret_file.clone())?;
    let join = list_or(flags.join.clone(), file.join.clone());
    let join = join.into_iter().map(|join| host_port("cluster.join", join)).collect::<Result<Vec<_>, _>>()?;
    let advertise = flags.cluster_advertise.clone().or(file.advertise.clone());
    let advertise = advertise.map(|advertise| host_port("cluster.advertise", advertise)).transpose()?;
    let expect_peers = flags.cluster_expect_peers.or(file.expect_peers).unwrap_or(false);
    let listen = flags.cluster_listen.or(file.listen);
    let certificate = resolve_certificate(flags, file)?;
    Ok(match secrets {
        Some(secrets) => {
            let listen = listen.unwrap_or(SocketAddr::from((Ipv6Addr::UNSPECIFIED, CLUSTER_PORT)));
            Some(ClusterConfig {
                listen,
                advertise,
                join,
                expect_peers,
                secrets,
                secret_from,
                secret_file,
                certificate,
            })
        }
        None if listen.is_some()
            || advertise.is_some()
            || !join.is_empty()
            || expect_peers
            || certificate.is_some() =>
        {
            return Err(ConfigError::SecretMissing);
        }
        None => None,
    })
}

/// Resolves the files of an operator's CA; `None` if none is given.
fn resolve_certificate(
    flags: &ServeFlags,
    file: &file::Cluster,
) -> Result<Option<CertificateFiles>, ConfigError> {
    let ca = flags.cluster_ca.clone().or(file.ca.clone());
    let cert = flags.cluster_cert.clone().or(file.cert.clone());
    let key = flags.cluster_key.clone().or(file.key.clone());
    match (ca, cert, key) {
        (None, None, None) => Ok(None),
        (Some(ca), Some(cert), Some(key)) => Ok(Some(CertificateFiles { ca, cert, key })),
        _ => Err(ConfigError::CertificatePart),
    }
}

/// Resolves the settings of the public listener.
fn resolve_http(flags: &ServeFlags, file: &file::Http) -> Result<HttpConfig, ConfigError> {
    let public_url = flags.public_url.clone().or(file.public_url.clone());
    let public_url = public_url.map(|url| public_url::parse(&url)).transpose()?;
    let trusted_proxies =
        parse_list("http.trusted_proxies", flags.trusted_proxy.clone(), file.trusted_proxies.clone())?;
    let allowed_origins =
        parse_list("http.allowed_origins", flags.allowed_origin.clone(), file.allowed_origins.clone())?;
    let allowed_hosts =
        parse_list("http.allowed_hosts", flags.allowed_host.clone(), file.allowed_hosts.clone())?;
    let header_timeout_ms = in_range(
        "http.header_timeout_ms",
        flags.http_header_timeout_ms.or(file.header_timeout_ms).unwrap_or(HEADER_TIMEOUT_MS),
        100..=3_600_000,
        "100 to 3600000",
    )?;
    let connections_max =
        flags.http_connections_max.or(file.connections_max).unwrap_or(CONNECTIONS_MAX as u64);
    let connections_max = in_range("http.connections_max", connections_max, 1..=1_000_000, "1 to 1000000")?;
    Ok(HttpConfig {
        listen: flags.listen.or(file.listen).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
        public_url,
        trusted_proxies,
        allowed_origins,
        allowed_hosts,
        header_timeout: Duration::from_millis(header_timeout_ms),
        connections_max: u32::try_from(connections_max).unwrap_or(u32::MAX),
    })
}

fn in_range(
    setting: &'static str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
    expected: &'static str,
) -> Result<u64, ConfigError> {
    if range.contains(&value) { Ok(value) } else { Err(ConfigError::Number { setting, value, expected }) }
}

/// Parses a list of flags and environment if there is one, otherwise that of the file.
fn parse_list<T: FromStr<Err: Display>>(
    setting: &'static str,
    given: Vec<String>,
    file: Vec<String>,
) -> Result<Vec<T>, ConfigError> {
    let list = list_or(given, file);
    let parse = |value: String| {
        value.parse().map_err(|error: T::Err| ConfigError::Text {
            setting,
            value,
            expected: error.to_string(),
        })
    };
    list.into_iter().map(parse).collect()
}

/// The list of flags and environment, without blanks and the empty item after a trailing comma; if it is empty, that of the
/// file.
fn list_or(given: Vec<String>, file: Vec<String>) -> Vec<String> {
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
mod tests;
