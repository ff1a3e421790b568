//! The command line and the environment, as they are given; clap lets flags win over the environment.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use starling_web::service::RegistrationMode;

use super::{LogFormat, auth::AuthFlags, limits::LimitFlags, listen};

/// Starling: a self-hosted chat server in one binary.
#[derive(Debug, Parser)]
#[command(name = "starling", version, about, args_conflicts_with_subcommands = true)]
pub struct Flags {
    /// What to do; serves if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: ServeFlags,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node (the default).
    Serve(Box<ServeFlags>),
    /// Show how a running node is: state, peers, lag, queues, last errors.
    Status(StatusFlags),
    /// Check a node, running or not: its log, its views against a rebuild, and a digest of all views.
    Verify(VerifyFlags),
    /// Make and change accounts on a running node, whatever the mode of registration.
    #[command(subcommand)]
    User(UserCommand),
    /// Set up a cluster.
    #[command(subcommand)]
    Cluster(ClusterCommand),
}

/// Accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account; asks for its password.
    Add {
        /// Let it administer the service.
        #[arg(long)]
        admin: bool,
        /// How to get the password.
        #[command(flatten)]
        password: PasswordFlags,
        /// Whose.
        #[command(flatten)]
        user: UserFlags,
    },
    /// Set an account's password, which logs it out everywhere; asks for it.
    Password {
        /// How to get the password.
        #[command(flatten)]
        password: PasswordFlags,
        /// Whose.
        #[command(flatten)]
        user: UserFlags,
    },
    /// Let an account administer the service.
    Promote(UserFlags),
    /// Print a link with which an account's owner chooses a new password: once, within 24 hours.
    Reset(UserFlags),
}

/// Which account, on which node.
#[derive(Args, Debug)]
pub struct UserFlags {
    /// The account's username.
    pub name: String,
    /// Where the node keeps everything.
    #[arg(long, env = "STARLING_DATA_DIR", value_name = "DIR", default_value = "starling-data")]
    pub data_dir: PathBuf,
}

/// How to get a password.
#[derive(Args, Clone, Copy, Debug)]
pub struct PasswordFlags {
    /// Read the password from the first line of standard input, instead of asking for it on the terminal.
    #[arg(long)]
    pub password_stdin: bool,
}

/// Setting up a cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Print a new secret for a cluster, or write it into a file.
    Secret {
        /// Write it into this new file, which only its owner can read.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// `starling status`
#[derive(Args, Debug)]
pub struct StatusFlags {
    /// Where the node keeps everything.
    #[arg(long, env = "STARLING_DATA_DIR", value_name = "DIR", default_value = "starling-data")]
    pub data_dir: PathBuf,
    /// As JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// `starling verify`
#[derive(Args, Debug)]
pub struct VerifyFlags {
    /// Where the node keeps everything.
    #[arg(long, env = "STARLING_DATA_DIR", value_name = "DIR", default_value = "starling-data")]
    pub data_dir: PathBuf,
    /// Print the digest of each room, too.
    #[arg(long)]
    pub rooms: bool,
    /// Drop all views first, and derive them from the log again.
    #[arg(long)]
    pub rebuild: bool,
}

/// `starling serve`
#[derive(Args, Debug)]
pub struct ServeFlags {
    /// Read settings from this TOML file; the environment and flags win over it.
    #[arg(long, env = "STARLING_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the node keeps everything [default: starling-data].
    #[arg(long, env = "STARLING_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Which log lines to write, for example info or `starling_node=debug` [default: info].
    #[arg(long, env = "STARLING_LOG_FILTER", value_name = "FILTER")]
    pub log_filter: Option<String>,
    /// How log lines look: auto is human on a terminal, json elsewhere [default: auto].
    #[arg(long, env = "STARLING_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Where users reach the node: address and port, or a port on 127.0.0.1 [default: 127.0.0.1:8080].
    #[arg(long, env = "STARLING_HTTP_LISTEN", value_name = "ADDR:PORT", value_parser = listen::parse)]
    pub listen: Option<SocketAddr>,
    /// The address under which users reach this node, such as `https://chat.example`: links are made from it.
    #[arg(long, env = "STARLING_HTTP_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// A proxy whose X-Forwarded-For is believed: address or network; may be given several times.
    #[arg(long, env = "STARLING_HTTP_TRUSTED_PROXIES", value_name = "NET", value_delimiter = ',')]
    pub trusted_proxy: Vec<String>,
    /// A site whose pages may use this server with a bearer token, beside its own; may be given several times.
    #[arg(long, env = "STARLING_HTTP_ALLOWED_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub allowed_origin: Vec<String>,
    /// With a public address: another host name under which requests are answered; may be given several times.
    #[arg(long, env = "STARLING_HTTP_ALLOWED_HOSTS", value_name = "HOST", value_delimiter = ',')]
    pub allowed_host: Vec<String>,
    /// How long a request's head may take, and a connection may idle, in milliseconds [default: 30000].
    #[arg(long, env = "STARLING_HTTP_HEADER_TIMEOUT_MS", value_name = "MS")]
    pub http_header_timeout_ms: Option<u64>,
    /// HTTP connections at once, WebSockets included [default: 15000].
    #[arg(long, env = "STARLING_HTTP_CONNECTIONS_MAX", value_name = "N")]
    pub http_connections_max: Option<u64>,
    /// Whether quick rooms, which need no account, are served [default: true].
    #[arg(long, env = "STARLING_GUESTS_ENABLED", value_name = "BOOL")]
    pub guests_enabled: Option<bool>,
    /// Who makes an account: everybody (open), whoever has an invite to a room (invite), nobody (closed) [default: open].
    #[arg(long, env = "STARLING_REGISTRATION_MODE", value_name = "MODE")]
    pub registration_mode: Option<RegistrationMode>,
    /// Serve /metrics on this address instead of beside the rest, for example 9100 or 10.0.0.1:9100.
    #[arg(long, env = "STARLING_METRICS_LISTEN", value_name = "ADDR:PORT", value_parser = listen::parse)]
    pub metrics_listen: Option<SocketAddr>,
    /// On how many nodes a message should be durable before it is acked [default: 2 in a cluster, 1 alone].
    #[arg(long, env = "STARLING_DURABILITY_COPIES", value_name = "N")]
    pub durability_copies: Option<u64>,
    /// How long to wait for these copies, in milliseconds; then the ack says how many there are [default: 200].
    #[arg(long, env = "STARLING_DURABILITY_WAIT_MS", value_name = "MS")]
    pub durability_wait_ms: Option<u64>,
    /// Free MiB of the disk that are kept for replication: below it nothing more is taken from users [default: 256].
    #[arg(long, env = "STARLING_STORAGE_RESERVE_MIB", value_name = "MIB")]
    pub storage_reserve_mib: Option<u64>,
    /// How many seconds deleted text may stay in free pages of the store's file [default: 43200].
    #[arg(long, env = "STARLING_STORAGE_SCRUB_AFTER_S", value_name = "S")]
    pub storage_scrub_after_s: Option<u64>,
    /// Begin with an empty store, as a new node, where the store was lost; never where there is one.
    #[arg(long)]
    pub fresh: bool,
    #[allow(rustdoc::broken_intra_doc_links, reason = "an address, no link")]
    /// Where other nodes reach this one: UDP address and port [default: [::]:7946, or
    /// 0.0.0.0:7946 where IPv6 is disabled].
    #[arg(long, env = "STARLING_CLUSTER_LISTEN", value_name = "ADDR:PORT", value_parser = listen::parse_cluster)]
    pub cluster_listen: Option<SocketAddr>,
    /// What to tell other nodes about that, if they see another address.
    #[arg(long, env = "STARLING_CLUSTER_ADVERTISE", value_name = "HOST:PORT")]
    pub cluster_advertise: Option<String>,
    /// A node of the cluster to join; may be given several times.
    #[arg(long, env = "STARLING_CLUSTER_JOIN", value_name = "HOST:PORT", value_delimiter = ',')]
    pub join: Vec<String>,
    /// Be not ready, and answer no user, before another node was reached [default: false].
    #[arg(long, env = "STARLING_CLUSTER_EXPECT_PEERS", value_name = "BOOL")]
    pub cluster_expect_peers: Option<bool>,
    /// The secret that all nodes of the cluster share; better kept in a file.
    #[arg(long, env = "STARLING_CLUSTER_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub cluster_secret: Option<String>,
    /// A file that holds the secret.
    #[arg(long, env = "STARLING_CLUSTER_SECRET_FILE", value_name = "FILE")]
    pub cluster_secret_file: Option<PathBuf>,
    /// How passwords are hashed.
    #[command(flatten)]
    pub auth: AuthFlags,
    /// Connections of one address at once, WebSockets included, 0 for no limit; not of trusted proxies, but of each of
    /// their clients
    /// [default: a third of all connections].
    #[arg(long, env = "STARLING_LIMITS_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub limit_connections_per_address: Option<u64>,
    /// How often anybody may do anything.
    #[command(flatten)]
    pub limits: LimitFlags,
}
