//! The command line and the environment, unvalidated. Flags win over the environment.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use starling_web::service::RegistrationMode;

use super::{LogFormat, auth::AuthFlags, limits::LimitFlags, listen, storage::StorageFlags};

/// Starling: a self-hosted chat server in one binary.
#[derive(Debug, Parser)]
#[command(name = "starling", version, about, args_conflicts_with_subcommands = true)]
pub struct Flags {
    /// The command; `serve` by default.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of `serve`.
    #[command(flatten)]
    pub serve: ServeFlags,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node (the default).
    Serve(Box<ServeFlags>),
    /// Show the status of a running node: state, peers, lag, queues, last errors.
    Status(StatusFlags),
    /// Check a node, running or not: its log, and its views against a rebuild; print a digest of all views.
    Verify(VerifyFlags),
    /// Create and change accounts on a running node, in any registration mode.
    #[command(subcommand)]
    User(UserCommand),
    /// Let a running node leave its cluster: it hands its data over, then ends.
    Leave(LeaveFlags),
    /// Set up a cluster, and remove nodes that are gone from it.
    #[command(subcommand)]
    Cluster(ClusterCommand),
}

/// Create and change accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Create an account; asks for its password.
    Add {
        /// Make the account an administrator.
        #[arg(long)]
        admin: bool,
        /// The source of the password.
        #[command(flatten)]
        password: PasswordFlags,
        /// The account.
        #[command(flatten)]
        user: UserFlags,
    },
    /// Set an account's password, and log it out everywhere; asks for the password.
    Password {
        /// The source of the password.
        #[command(flatten)]
        password: PasswordFlags,
        /// The account.
        #[command(flatten)]
        user: UserFlags,
    },
    /// Make an account an administrator.
    Promote(UserFlags),
    /// Print a link with which an account's owner can choose a new password, once, within 24 hours.
    Reset(UserFlags),
}

/// An account on a node.
#[derive(Args, Debug)]
pub struct UserFlags {
    /// Username of the account.
    pub name: String,
    /// Data directory of the node.
    #[arg(long, env = "STARLING_DATA_DIR", value_name = "DIR", default_value = "starling-data")]
    pub data_dir: PathBuf,
}

/// The source of a password.
#[derive(Args, Clone, Copy, Debug)]
pub struct PasswordFlags {
    /// Read the password from the first line of standard input instead of the terminal.
    #[arg(long)]
    pub password_stdin: bool,
}

/// Set up a cluster, and remove nodes that are gone from it.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Print a new secret for a cluster, or write it to a file.
    #[command(args_conflicts_with_subcommands = true)]
    Secret {
        /// Write the secret to this new file, which only its owner can read.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// A command about the secret of a running cluster.
        #[command(subcommand)]
        command: Option<SecretCommand>,
    },
    /// Remove a node that is gone from the cluster for ever. No data is lost.
    Forget {
        /// Id of the node, as `starling status` shows it.
        node: String,
        /// Forget it even if it runs or was heard in the last 10 minutes: it joins again under a new id.
        #[arg(long)]
        force: bool,
        /// Data directory of a node that remains.
        #[arg(long, env = "STARLING_DATA_DIR", value_name = "DIR", default_value = "starling-data")]
        data_dir: PathBuf,
    },
}

/// `starling leave`
#[derive(Args, Debug)]
pub struct LeaveFlags {
    /// Data directory of the node.
    #[arg(long, env = "STARLING_DATA_DIR", value_name = "DIR", default_value = "starling-data")]
    pub data_dir: PathBuf,
}

/// Change the secret of a running cluster.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Switch a running cluster to a new secret, once every node has it in the first line of its secret file, and the old
    /// one in the second.
    Rotate(RotateFlags),
}

/// `starling cluster secret rotate`
#[derive(Args, Debug)]
pub struct RotateFlags {
    /// Don't wait for nodes that have not reported the new secret: they are refused until they are given it.
    #[arg(long)]
    pub go_on: bool,
    /// Data directory of a node of the cluster.
    #[arg(long, env = "STARLING_DATA_DIR", value_name = "DIR", default_value = "starling-data")]
    pub data_dir: PathBuf,
}

/// `starling status`
#[derive(Args, Debug)]
pub struct StatusFlags {
    /// Data directory of the node.
    #[arg(long, env = "STARLING_DATA_DIR", value_name = "DIR", default_value = "starling-data")]
    pub data_dir: PathBuf,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// `starling verify`
#[derive(Args, Debug)]
pub struct VerifyFlags {
    /// Data directory of the node.
    #[arg(long, env = "STARLING_DATA_DIR", value_name = "DIR", default_value = "starling-data")]
    pub data_dir: PathBuf,
    /// Also print the digest of each room.
    #[arg(long)]
    pub rooms: bool,
    /// Rebuild all views from the log first.
    #[arg(long)]
    pub rebuild: bool,
}

/// `starling serve`
#[derive(Args, Debug)]
pub struct ServeFlags {
    /// TOML file with settings; the environment and flags win over it.
    #[arg(long, env = "STARLING_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory for all data of the node [default: starling-data].
    #[arg(long, env = "STARLING_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Log filter, for example info or `starling_node=debug` [default: info].
    #[arg(long, env = "STARLING_LOG_FILTER", value_name = "FILTER")]
    pub log_filter: Option<String>,
    /// Format of log lines: auto is human on a terminal and json elsewhere [default: auto].
    #[arg(long, env = "STARLING_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Address and port for users, or only a port on 127.0.0.1 [default: 127.0.0.1:8080].
    #[arg(long, env = "STARLING_HTTP_LISTEN", value_name = "ADDR:PORT", value_parser = listen::parse)]
    pub listen: Option<SocketAddr>,
    /// Address under which users reach this node, such as `https://chat.example`; links begin with it.
    #[arg(long, env = "STARLING_HTTP_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// Trusted proxy (address or network), whose X-Forwarded-For is used; may be given several times.
    #[arg(long, env = "STARLING_HTTP_TRUSTED_PROXIES", value_name = "NET", value_delimiter = ',')]
    pub trusted_proxy: Vec<String>,
    /// Another site whose pages may use this server, with bearer tokens; may be given several times.
    #[arg(long, env = "STARLING_HTTP_ALLOWED_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub allowed_origin: Vec<String>,
    /// Another host name to answer requests under, if there is a public address; may be given several times.
    #[arg(long, env = "STARLING_HTTP_ALLOWED_HOSTS", value_name = "HOST", value_delimiter = ',')]
    pub allowed_host: Vec<String>,
    /// Timeout for the head of a request and for idle connections, in milliseconds [default: 30000].
    #[arg(long, env = "STARLING_HTTP_HEADER_TIMEOUT_MS", value_name = "MS")]
    pub http_header_timeout_ms: Option<u64>,
    /// Concurrent HTTP connections, WebSockets included [default: 15000].
    #[arg(long, env = "STARLING_HTTP_CONNECTIONS_MAX", value_name = "N")]
    pub http_connections_max: Option<u64>,
    /// Whether to serve quick rooms, which need no account [default: true].
    #[arg(long, env = "STARLING_GUESTS_ENABLED", value_name = "BOOL")]
    pub guests_enabled: Option<bool>,
    /// People who may register: everybody (open), those with an invite to a room (invite), nobody (closed) [default: open].
    #[arg(long, env = "STARLING_REGISTRATION_MODE", value_name = "MODE")]
    pub registration_mode: Option<RegistrationMode>,
    /// Serve /metrics only on this address and port, for example 9100 or 10.0.0.1:9100.
    #[arg(long, env = "STARLING_METRICS_LISTEN", value_name = "ADDR:PORT", value_parser = listen::parse)]
    pub metrics_listen: Option<SocketAddr>,
    /// Nodes on which a message should be durable before it is acknowledged [default: 2 in a cluster, 1 alone].
    #[arg(long, env = "STARLING_DURABILITY_COPIES", value_name = "N")]
    pub durability_copies: Option<u64>,
    /// Time to wait for these copies, in milliseconds; the ack says how many there are [default: 200].
    #[arg(long, env = "STARLING_DURABILITY_WAIT_MS", value_name = "MS")]
    pub durability_wait_ms: Option<u64>,
    /// The store.
    #[command(flatten)]
    pub storage: StorageFlags,
    /// Begin as a new node with an empty store, if the store was lost; refused if there is a store.
    #[arg(long)]
    pub fresh: bool,
    #[allow(rustdoc::broken_intra_doc_links, reason = "an address, no link")]
    /// UDP address and port for other nodes [default: [::]:7946, or
    /// 0.0.0.0:7946 where IPv6 is disabled].
    #[arg(long, env = "STARLING_CLUSTER_LISTEN", value_name = "ADDR:PORT", value_parser = listen::parse_cluster)]
    pub cluster_listen: Option<SocketAddr>,
    /// Address that other nodes should use for this one, if it differs from the one that it listens on.
    #[arg(long, env = "STARLING_CLUSTER_ADVERTISE", value_name = "HOST:PORT")]
    pub cluster_advertise: Option<String>,
    /// Address of a node of the cluster to join; may be given several times.
    #[arg(long, env = "STARLING_CLUSTER_JOIN", value_name = "HOST:PORT", value_delimiter = ',')]
    pub join: Vec<String>,
    /// Serve no users until another node was reached [default: false].
    #[arg(long, env = "STARLING_CLUSTER_EXPECT_PEERS", value_name = "BOOL")]
    pub cluster_expect_peers: Option<bool>,
    /// Secret that all nodes of the cluster share; a file is safer, and is watched for a new one.
    #[arg(long, env = "STARLING_CLUSTER_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub cluster_secret: Option<String>,
    /// File with the secret of the cluster; while it is rotated, the new one in the first line and the old one in the second.
    #[arg(long, env = "STARLING_CLUSTER_SECRET_FILE", value_name = "FILE")]
    pub cluster_secret_file: Option<PathBuf>,
    /// PEM file of an own CA that vouches for all nodes, in addition to the secret; needs --cluster-cert and --cluster-key.
    #[arg(long, env = "STARLING_CLUSTER_CA", value_name = "FILE")]
    pub cluster_ca: Option<PathBuf>,
    /// PEM file with this node's certificate under that CA, for client authentication, followed by intermediate ones.
    #[arg(long, env = "STARLING_CLUSTER_CERT", value_name = "FILE")]
    pub cluster_cert: Option<PathBuf>,
    /// PEM file (PKCS#8) with the private key of that certificate.
    #[arg(long, env = "STARLING_CLUSTER_KEY", value_name = "FILE")]
    pub cluster_key: Option<PathBuf>,
    /// Settings of password hashing.
    #[command(flatten)]
    pub auth: AuthFlags,
    /// Concurrent connections from one client, WebSockets included; 0 for no limit. Clients behind a trusted proxy are
    /// counted separately
    /// [default: a third of all connections].
    #[arg(long, env = "STARLING_LIMITS_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub limit_connections_per_address: Option<u64>,
    /// The rate limits.
    #[command(flatten)]
    pub limits: LimitFlags,
}
