//! A tiny HTTP client: one request per connection, read to the end.
//! Used for rooms and message lists, never while latencies are taken; `ws` shares its head parser.

use std::io;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::node::NodeUrl;

/// Longest wait for a connection or a whole answer; a node that needs longer is taken for dead.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest head of a response.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Largest body of a response: 200 messages of 8,000 four-byte characters, escaped, stay below it.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The total wait that a node may ask for before we give up.
pub(crate) const THROTTLE_TOTAL: Duration = Duration::from_mins(5);

/// Why a request got no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// The node is not there, or closed the connection early.
    #[error("{node}: {source}")]
    Io {
        /// The node.
        node: String,
        /// The error of the system.
        source: io::Error,
    },
    /// No answer within [`REQUEST_TIMEOUT`].
    #[error("{node}: no answer within 10 s")]
    Timeout {
        /// The node.
        node: String,
    },
    /// The answer is not HTTP.
    #[error("{node}: not an HTTP response")]
    Malformed {
        /// The node.
        node: String,
    },
    /// The node refused, or answered other than its contract says.
    #[error("{node}: {what} was answered with {status}: {body}")]
    Refused {
        /// The node.
        node: String,
        /// The request line.
        what: String,
        /// The status of the answer.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
}

/// The status line and headers of a response.
#[derive(Debug)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head that ends with an empty line; `None` if it is not HTTP/1.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.split("\r\n");
        let mut first = lines.next()?.splitn(3, ' ');
        if !first.next()?.starts_with("HTTP/1.") {
            return None;
        }
        let status = first.next()?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Self { status, headers })
    }

    /// The value of header `name` (lower case).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The wait that a 429 or 503 asks for; 1 s if it does not say.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        matches!(self.status, 429 | 503).then(|| {
            Duration::from_secs(self.get("retry-after").and_then(|value| value.parse().ok()).unwrap_or(1))
        })
    }
}

/// The end of a head within `bytes`: the index after its empty line.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}

/// `GET path`; the body of a 200.
pub(crate) async fn get(node: &NodeUrl, path: &str) -> Result<Vec<u8>, HttpError> {
    patient(node, "GET", path, 200).await
}

/// `POST path` with an empty body; the body of a 201.
pub(crate) async fn post(node: &NodeUrl, path: &str) -> Result<Vec<u8>, HttpError> {
    patient(node, "POST", path, 201).await
}

/// Repeats a request that is limited (429, 503) after the time the node asks for.
async fn patient(node: &NodeUrl, method: &str, path: &str, wanted: u16) -> Result<Vec<u8>, HttpError> {
    let mut paused = Duration::ZERO;
    loop {
        let (head, body) = tokio::time::timeout(REQUEST_TIMEOUT, once(node, method, path))
            .await
            .map_err(|_| HttpError::Timeout { node: node.to_string() })??;
        if head.status == wanted {
            return Ok(body);
        }
        match head.retry_after() {
            Some(pause) if paused + pause <= THROTTLE_TOTAL => {
                if paused.is_zero() {
                    eprintln!("{node} limits {method} {path}: waiting as it asks ({} s)", pause.as_secs());
                }
                paused += pause;
                tokio::time::sleep(pause).await;
            }
            _ => {
                return Err(HttpError::Refused {
                    node: node.to_string(),
                    what: format!("{method} {path}"),
                    status: head.status,
                    body: String::from_utf8_lossy(&body).chars().take(300).collect(),
                });
            }
        }
    }
}

async fn once(node: &NodeUrl, method: &str, path: &str) -> Result<(Head, Vec<u8>), HttpError> {
    exchange(node, &format!("{method} {path}"), "", "").await
}

/// `POST path` with a JSON body and more header lines, each with its end; whatever is answered.
pub(crate) async fn post_json(
    node: &NodeUrl,
    path: &str,
    headers: &str,
    body: &impl Serialize,
) -> Result<(Head, Vec<u8>), HttpError> {
    let body = serde_json::to_string(body).expect("what the generator sends is JSON");
    let headers = format!("Content-Type: application/json\r\n{headers}");
    tokio::time::timeout(REQUEST_TIMEOUT, exchange(node, &format!("POST {path}"), &headers, &body))
        .await
        .map_err(|_| HttpError::Timeout { node: node.to_string() })?
}

/// One request. HTTP/1.0, so that the body is never chunked and its end is the end of the connection.
async fn exchange(
    node: &NodeUrl,
    what: &str,
    headers: &str,
    body: &str,
) -> Result<(Head, Vec<u8>), HttpError> {
    let io_error = |source| HttpError::Io { node: node.to_string(), source };
    let mut stream = TcpStream::connect(&node.authority).await.map_err(io_error)?;
    let request = format!(
        "{what} HTTP/1.0\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        node.authority,
        body.len()
    );
    stream.write_all(request.as_bytes()).await.map_err(io_error)?;
    let mut bytes = Vec::new();
    stream.take(BODY_BYTES_MAX).read_to_end(&mut bytes).await.map_err(io_error)?;
    let malformed = || HttpError::Malformed { node: node.to_string() };
    let end = head_end(&bytes).ok_or_else(malformed)?;
    let head = Head::parse(&bytes[..end]).ok_or_else(malformed)?;
    let body = bytes.split_off(end);
    let cut_short = head.get("content-length").and_then(|length| length.parse().ok()) > Some(body.len());
    if cut_short { Err(io_error(io::ErrorKind::UnexpectedEof.into())) } else { Ok((head, body)) }
}

/// `text` for use inside a query.
pub(crate) fn query_escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read() {
        let bytes = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Type: a/b\r\n\r\nbody";
        let end = head_end(bytes).unwrap();
        let head = Head::parse(&bytes[..end]).unwrap();
        assert_eq!(&bytes[end..], b"body");
        assert_eq!((head.status, head.get("content-type")), (429, Some("a/b")));
        assert_eq!(head.retry_after(), Some(Duration::from_secs(7)));
        assert!(Head::parse(b"SSH-2.0-OpenSSH\r\n\r\n").is_none());
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(query_escaped("aZ9-._~ +&=é"), "aZ9-._~%20%2B%26%3D%C3%A9");
    }
}
