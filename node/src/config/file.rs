//! The TOML file. Unknown keys are refused, so that a misspelt setting does not silently keep its default.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use starling_web::service::RegistrationMode;

use super::{ConfigError, LogFormat, auth::AuthFile, limits::LimitsFile, listen, storage::StorageFile};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    pub data_dir: Option<PathBuf>,
    pub log: Log,
    pub http: Http,
    pub guests: Guests,
    pub registration: Registration,
    pub auth: AuthFile,
    pub limits: LimitsFile,
    pub metrics: Metrics,
    pub durability: Durability,
    pub storage: StorageFile,
    pub cluster: Cluster,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub filter: Option<String>,
    pub format: Option<LogFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    #[serde(deserialize_with = "listen::deserialize")]
    pub listen: Option<SocketAddr>,
    pub public_url: Option<String>,
    pub trusted_proxies: Vec<String>,
    pub allowed_origins: Vec<String>,
    pub allowed_hosts: Vec<String>,
    pub header_timeout_ms: Option<u64>,
    pub connections_max: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guests {
    pub enabled: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    pub mode: Option<RegistrationMode>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    #[serde(deserialize_with = "listen::deserialize")]
    pub listen: Option<SocketAddr>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Durability {
    pub copies: Option<u64>,
    pub wait_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    #[serde(deserialize_with = "listen::deserialize_cluster")]
    pub listen: Option<SocketAddr>,
    pub advertise: Option<String>,
    pub join: Vec<String>,
    pub expect_peers: Option<bool>,
    pub secret: Option<String>,
    pub secret_file: Option<PathBuf>,
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl File {
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| ConfigError::File(path.into(), error))?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = 1 + before.matches('\n').count();
            let message = error.message().replace('\n', " ");
            ConfigError::Toml(path.into(), format!("line {line}: {message}"))
        })
    }
}
