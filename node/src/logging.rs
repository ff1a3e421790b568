//! Logging to stderr: text on a terminal, JSON otherwise. The last warnings and errors are kept in memory for
//! `starling status`.

use std::{
    collections::VecDeque,
    fmt::{self, Write},
    io::{IsTerminal, stderr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use starling_protocol::{Hlc, frame::client};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, Targets},
    fmt as lines,
    layer::Context,
    prelude::*,
};

use crate::{config::LogFormat, console::LossyStderr};

/// Warnings and errors kept, at most.
const KEPT_MAX: usize = 16;
/// Bytes kept of each, at most.
const TEXT_BYTES_MAX: usize = 500;

/// A warning or an error of this process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Logged {
    /// The time: RFC 3339 in UTC.
    pub at: String,
    /// `WARN` or `ERROR`.
    pub level: String,
    /// The message and its fields.
    pub text: String,
}

/// The last warnings and errors of this process.
#[derive(Clone, Copy, Debug)]
pub struct LastErrors;

static KEPT: Mutex<VecDeque<Logged>> = Mutex::new(VecDeque::new());

fn kept() -> MutexGuard<'static, VecDeque<Logged>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LastErrors {
    /// All that are kept, newest last.
    pub fn all() -> Vec<Logged> {
        kept().iter().cloned().collect()
    }
}

impl<S: Subscriber> Layer<S> for LastErrors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        let mut text = Text::default();
        event.record(&mut text);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = client::format_time(Hlc::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(0)));
        let mut kept = kept();
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(Logged { at, level: level.to_string(), text: text.0 });
    }
}

/// The message of a log line, then its fields.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        let end = self.0.floor_char_boundary(TEXT_BYTES_MAX);
        self.0.truncate(end);
        written.unwrap_or_default();
    }
}

/// Starts logging to stderr.
///
/// # Errors
/// Returns a line for the operator if the filter cannot be parsed.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("the log filter '{filter}' is wrong: {error}"))?;
    let human = match format {
        LogFormat::Auto => stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // The layer would report a failed write by `eprintln!`, which panics on a full disk.
    let lines = lines::layer().with_writer(|| LossyStderr).log_internal_errors(false);
    let lines = if human {
        lines.with_ansi(stderr().is_terminal()).with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    // Each layer has a filter: one without would enable every span of every library.
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        // Quinn's warnings about packets that can't be sent, one a minute, would push out all others.
        .with(LastErrors.with_filter(
            Targets::new().with_default(LevelFilter::WARN).with_target("quinn_udp", LevelFilter::OFF),
        ))
        .init();
    Ok(())
}
