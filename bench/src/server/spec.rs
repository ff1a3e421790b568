//! Servers as they are named on the command line: `floor`, `axum`, `nats`, `mosquitto`, `starling`, or `NAME=PATH` for
//! another build of Starling.

use std::path::PathBuf;
use std::str::FromStr;

use crate::dialect::Dialect;
use crate::node::NodeUrl;
use crate::process::Process;

/// A server to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServerSpec {
    /// A build of Starling.
    Starling {
        /// Its name in the tables.
        name: String,
        /// The program; `None` for the one beside this.
        program: Option<PathBuf>,
    },
    /// The bare epoll server of this program.
    Floor,
    /// The broadcast server of this program.
    Axum,
    /// `nats-server`.
    Nats,
    /// `mosquitto`.
    Mosquitto,
    /// A Starling node that runs already, on whatever cores.
    Running {
        /// Its address.
        node: NodeUrl,
        /// Its process.
        process: Process,
    },
}

/// Why a server cannot be named so.
#[derive(Debug, thiserror::Error)]
#[error("must be floor, axum, nats, mosquitto, starling or NAME=PATH")]
pub(crate) struct SpecError;

impl FromStr for ServerSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.split_once('=')) {
            ("floor", _) => Ok(Self::Floor),
            ("axum", _) => Ok(Self::Axum),
            ("nats", _) => Ok(Self::Nats),
            ("mosquitto", _) => Ok(Self::Mosquitto),
            ("starling", _) => Ok(Self::Starling { name: text.into(), program: None }),
            (_, Some((name, path))) if !name.is_empty() && !path.is_empty() => {
                Ok(Self::Starling { name: name.into(), program: Some(path.into()) })
            }
            _ => Err(SpecError),
        }
    }
}

impl ServerSpec {
    /// The name in the tables.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Starling { name, .. } => name,
            Self::Floor => "floor",
            Self::Axum => "axum",
            Self::Nats => "nats",
            Self::Mosquitto => "mosquitto",
            Self::Running { .. } => "starling",
        }
    }

    /// The protocol in which all speak with it.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Nats => Dialect::Nats,
            Self::Mosquitto => Dialect::Mqtt,
            _ => Dialect::Quick,
        }
    }

    /// Whether it is a Starling node, which keeps messages and knows accounts.
    pub(crate) fn is_starling(&self) -> bool {
        matches!(self, Self::Starling { .. } | Self::Running { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named() {
        fn check(text: &str, name: Option<&str>) {
            let spec = text.parse::<ServerSpec>().ok();
            assert_eq!(spec.as_ref().map(ServerSpec::name), name, "{text}");
        }
        for name in ["floor", "axum", "nats", "mosquitto", "starling"] {
            check(name, Some(name));
        }
        check("old=/a/b=c", Some("old"));
        check("rabbit", None);
        check("=path", None);
        check("name=", None);
    }
}
