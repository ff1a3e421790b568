//! A guest's end of a connection, without a runtime: what it costs is not counted. Speaks as much HTTP and WebSocket as
//! the scenarios need.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use serde_json::Value;

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 * 1024;
// RFC 6455, section 5.2.
const FINAL: u8 = 0x80;
const OPCODE_TEXT: u8 = 0x1;
const MASKED: u8 = 0x80;
const LENGTH_OF_16_BITS: u8 = 0x7e;
const LENGTH_OF_64_BITS: u8 = 0x7f;

pub struct Guest {
    stream: TcpStream,
    unread: Vec<u8>,
    upgraded: bool,
    /// Frames that came, by type.
    pub messages: usize,
    pub acks: usize,
    cursor: Option<String>,
}

/// An HTTP connection over which pages are read.
pub struct Reader {
    stream: TcpStream,
    unread: Vec<u8>,
}

fn connect(address: SocketAddr) -> TcpStream {
    // The listener's queue takes it; the node accepts it in its turn.
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

fn read(mut stream: &TcpStream, unread: &mut Vec<u8>) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => unreachable!("the node has closed the connection"),
            Ok(count) => unread.extend(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => unreachable!("{error}"),
        }
    }
}

/// The head of an answer, taken off once it has come whole.
fn take_head(unread: &mut Vec<u8>) -> Option<String> {
    let end = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = unread.drain(..end + 4).collect();
    Some(String::from_utf8(head).unwrap())
}

impl Guest {
    pub fn open(address: SocketAddr, target: &str) -> Self {
        let mut stream = connect(address);
        let head = format!(
            "GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        Self { stream, unread: Vec::new(), upgraded: false, messages: 0, acks: 0, cursor: None }
    }

    /// Writes a message, masked by zeros.
    pub fn post(&mut self, number: u128, text: &str) {
        let id = uuid::Uuid::from_u128(number);
        let payload = serde_json::json!({ "id": id.to_string(), "body": text }).to_string();
        let length = u16::try_from(payload.len()).unwrap();
        let mut frame = vec![FINAL | OPCODE_TEXT, MASKED | LENGTH_OF_16_BITS];
        frame.extend(length.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(payload.as_bytes());
        self.stream.write_all(&frame).unwrap();
    }

    /// Takes what has come.
    pub fn listen(&mut self) {
        read(&self.stream, &mut self.unread);
        if !self.upgraded {
            let Some(head) = take_head(&mut self.unread) else { return };
            assert!(head.starts_with("HTTP/1.1 101"), "{head}");
            self.upgraded = true;
        }
        while let Some(frame) = self.take_frame() {
            match frame["type"].as_str() {
                Some("message") => self.messages += 1,
                Some("ack") => self.acks += 1,
                Some("cursor") => self.cursor = frame["cursor"].as_str().map(str::to_owned),
                Some("welcome" | "joined" | "left") => {}
                other => unreachable!("{other:?}: {frame}"),
            }
        }
    }

    /// The last cursor that came, once there is one.
    pub fn cursor(&mut self) -> Option<String> {
        self.listen();
        self.cursor.clone()
    }

    fn take_frame(&mut self) -> Option<Value> {
        let (&[first, second], rest) = self.unread.split_first_chunk()?;
        assert_eq!(first, FINAL | OPCODE_TEXT, "only whole texts are sent");
        let (length, head) = match second {
            LENGTH_OF_16_BITS => (u16::from_be_bytes(*rest.first_chunk()?).into(), 4),
            LENGTH_OF_64_BITS => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).unwrap(), 10),
            length => (length.into(), 2),
        };
        let frame = self.unread.get(head..head + length)?;
        let frame = serde_json::from_slice(frame).unwrap();
        self.unread.drain(..head + length);
        Some(frame)
    }
}

impl Reader {
    pub fn open(address: SocketAddr) -> Self {
        Self { stream: connect(address), unread: Vec::new() }
    }

    pub fn ask(&mut self, target: &str) {
        let head = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.stream.write_all(head.as_bytes()).unwrap();
    }

    /// The answer, once it has come whole. Heads come with their bodies.
    pub fn answer(&mut self) -> Option<Value> {
        read(&self.stream, &mut self.unread);
        let whole = self.unread.clone();
        let head = take_head(&mut self.unread)?;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let length: usize = length.parse().unwrap();
        if self.unread.len() < length {
            self.unread = whole;
            return None;
        }
        let body: Vec<_> = self.unread.drain(..length).collect();
        Some(serde_json::from_slice(&body).unwrap())
    }
}
