//! WebSocket connections to nodes: the handshake, then frames in and out.
//! Own framing rather than a library's, so that a delivery costs no allocation and no copy.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use crate::http::{HEAD_BYTES_MAX, Head, REQUEST_TIMEOUT, THROTTLE_TOTAL, head_end};
use crate::node::NodeUrl;

mod connection;
pub(crate) mod frame;
mod outbox;

pub(crate) use connection::{Ended, Reader, Scratch};
pub(crate) use outbox::Outbox;

/// The nonce of RFC 6455's example, whose answer is known: so the answer is checked without SHA-1.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The answer to [`KEY`].
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The node is not there, or closed the connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No answer within [`REQUEST_TIMEOUT`].
    #[error("no answer to the WebSocket handshake within 10 s")]
    Timeout,
    /// The node refused the upgrade.
    #[error("the upgrade was answered with {status}: {body}")]
    Refused {
        /// The status.
        status: u16,
        /// The wait that the node asks for, if it is only busy or limiting.
        retry_after: Option<Duration>,
        /// The beginning of the answer.
        body: String,
    },
    /// The answer is no WebSocket handshake.
    #[error("the answer is no WebSocket handshake")]
    Malformed,
}

/// Opens a WebSocket at `path`: its reading side, and its writing side for an [`Outbox`].
///
/// Cancellation safety: dropping the future closes the connection.
pub(crate) async fn connect(node: &NodeUrl, path: &str) -> Result<(Reader, OwnedWriteHalf), ConnectError> {
    connect_with(node, path, "").await
}

/// As [`connect`], with more header lines, each with its end.
pub(crate) async fn connect_with(
    node: &NodeUrl,
    path: &str,
    headers: &str,
) -> Result<(Reader, OwnedWriteHalf), ConnectError> {
    let (stream, rest) = open(node, path, headers).await?;
    let (read, write) = stream.into_split();
    Ok((Reader::new(read, rest), write))
}

/// As [`connect_with`], but returns the connection itself, and what came after the handshake.
///
/// Cancellation safety: dropping the future closes the connection.
pub(crate) async fn open(
    node: &NodeUrl,
    path: &str,
    headers: &str,
) -> Result<(TcpStream, Vec<u8>), ConnectError> {
    tokio::time::timeout(REQUEST_TIMEOUT, handshake(node, path, headers))
        .await
        .map_err(|_| ConnectError::Timeout)?
}

/// As [`connect`], but waits as long as a node that limits connections asks.
pub(crate) async fn connect_patiently(
    node: &NodeUrl,
    path: &str,
) -> Result<(Reader, OwnedWriteHalf), ConnectError> {
    let began = Instant::now();
    loop {
        match connect(node, path).await {
            Err(ConnectError::Refused { retry_after: Some(pause), .. })
                if began.elapsed() + pause < THROTTLE_TOTAL =>
            {
                tokio::time::sleep(pause).await;
            }
            result => return result,
        }
    }
}

async fn handshake(node: &NodeUrl, path: &str, headers: &str) -> Result<(TcpStream, Vec<u8>), ConnectError> {
    let mut stream = TcpStream::connect(&node.authority).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{headers}\r\n",
        node.authority
    );
    stream.write_all(request.as_bytes()).await?;

    let mut bytes = Vec::with_capacity(1024);
    let end = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match head_end(&bytes) {
            Some(end) => break end,
            None if bytes.len() > HEAD_BYTES_MAX => return Err(ConnectError::Malformed),
            None => {}
        }
    };
    let head = Head::parse(&bytes[..end]).ok_or(ConnectError::Malformed)?;
    let mut rest = bytes.split_off(end);
    if head.status != 101 {
        // The reason is a courtesy of the report: what has arrived of it by now is enough.
        if rest.is_empty() && head.get("content-length") != Some("0") {
            let _ = tokio::time::timeout(Duration::from_millis(100), stream.read_buf(&mut rest)).await;
        }
        return Err(ConnectError::Refused {
            status: head.status,
            retry_after: head.retry_after(),
            body: String::from_utf8_lossy(&rest).chars().take(300).collect(),
        });
    }
    if head.get("sec-websocket-accept") != Some(ACCEPT) {
        return Err(ConnectError::Malformed);
    }
    Ok((stream, rest))
}
