//! A small HTTP/1.1 client, one request per connection, and the quick-room calls made with it.
//! It shows what the server sent as it is: no redirects, no retries.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, Posted};

/// Head and body of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The stable `code` of a problem.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub async fn get(node: SocketAddr, target: &str) -> io::Result<Answer> {
    request(node, "GET", target, &[], b"").await
}

/// Sends one request and reads the answer to its end. The answer is read while the body is still being sent.
pub async fn request(
    node: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let exchange = async {
        let (mut reader, mut writer) = TcpStream::connect(node).await?.into_split();
        let mut head = head(node, method, target, headers);
        header(&mut head, "connection", "close");
        if !body.is_empty() || method == "POST" {
            header(&mut head, "content-length", &body.len().to_string());
        }
        head.push_str("\r\n");
        let send = async {
            writer.write_all(head.as_bytes()).await?;
            writer.write_all(body).await
        };
        // A server that refuses a body need not read it: what counts is what it answers.
        let (_, answer) = tokio::join!(send, read_answer(&mut reader));
        Ok(answer?.0)
    };
    timeout(PATIENCE, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// The first lines of a request, without the empty line that ends them.
pub fn head(node: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {node}\r\n");
    for (name, value) in headers {
        header(&mut head, name, value);
    }
    head
}

fn header(head: &mut String, name: &str, value: &str) {
    head.extend([name, ": ", value, "\r\n"]);
}

/// Reads one answer; whatever came after the head of a 101 is returned beside it.
pub async fn read_answer(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<(Answer, Vec<u8>)> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if reader.read_buf(&mut read).await? == 0 {
            let error = format!("the answer ends in its head: {:?}", String::from_utf8_lossy(&read));
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
        }
    };
    let mut rest = read.split_off(end);
    let head = String::from_utf8_lossy(&read).into_owned();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("not an HTTP answer: {head:?}")))?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    if status == 101 {
        return Ok((answer, rest));
    }
    if let Some(length) = answer.header("content-length").and_then(|text| text.parse().ok()) {
        while rest.len() < length && reader.read_buf(&mut rest).await? > 0 {}
        rest.truncate(length);
    } else {
        reader.read_to_end(&mut rest).await?;
    }
    let chunked = answer.header("transfer-encoding") == Some("chunked");
    answer.body = if chunked { unchunk(&rest) } else { rest };
    Ok((answer, Vec::new()))
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size =
            std::str::from_utf8(&rest[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let (Some(size @ 1..), chunk) = (size, &rest[end + 2..]) else { break };
        body.extend_from_slice(&chunk[..size.min(chunk.len())]);
        rest = chunk.get(size + 2..).unwrap_or_default();
    }
    body
}

/// Percent-encodes a query value.
pub fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(['%', hex(byte >> 4), hex(byte & 0xf)]);
        }
    }
    encoded
}

fn hex(digit: u8) -> char {
    char::from_digit(u32::from(digit), 16).expect("it is below 16").to_ascii_uppercase()
}

/// Makes a quick room and returns its id.
pub async fn create_room(node: SocketAddr) -> String {
    let answer = request(node, "POST", "/create-room", &[], b"").await.expect("create-room is answered");
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["roomID"].as_str().expect("there is a roomID").to_owned()
}

pub async fn room_exists(node: SocketAddr, room: &str) -> bool {
    let answer = get(node, &format!("/room-exists?roomID={room}")).await.expect("room-exists is answered");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["exists"].as_bool().expect("exists is true or false")
}

/// One page of earlier messages, newest first, and whether there are more.
pub async fn page(
    node: SocketAddr,
    room: &str,
    before: Option<&str>,
    limit: usize,
) -> io::Result<(Vec<Posted>, bool)> {
    let before = before.map(|pos| format!("&before={}", encode(pos))).unwrap_or_default();
    let target = format!("/room-messages?roomID={room}&limit={limit}{before}");
    let answer = get(node, &target).await?;
    if answer.status != 200 {
        return Err(io::Error::other(format!("{} {}", answer.status, answer.text())));
    }
    let mut json = answer.json();
    let items = serde_json::from_value(json["items"].take())?;
    Ok((items, !json["next"].is_null()))
}

/// All messages of a room as this node lists them, oldest first.
pub async fn list_all(node: SocketAddr, room: &str) -> Vec<Posted> {
    try_list_all(node, room).await.expect("room-messages is answered")
}

/// As `list_all`, where the node may go away at any time.
pub async fn try_list_all(node: SocketAddr, room: &str) -> io::Result<Vec<Posted>> {
    let mut all: Vec<Posted> = Vec::new();
    loop {
        let before = all.last().map(|message| message.pos.clone());
        let (items, _) = page(node, room, before.as_deref(), 200).await?;
        if items.is_empty() {
            break;
        }
        all.extend(items);
    }
    assert!(all.is_sorted_by(|newer, older| newer.pos > older.pos), "listed out of order: {all:?}");
    all.reverse();
    Ok(all)
}
