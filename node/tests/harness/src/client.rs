//! A client of a quick room over a real WebSocket: it keeps its cursor and the greatest position, as a browser does.
//! Every wait has a deadline and fails the test with what it waited for.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{self, Message};
use uuid::Uuid;

use super::frames::{Frame, Opening, Posted, Refused};
use super::{PATIENCE, http};

pub struct Client {
    pub room: String,
    pub name: String,
    /// The users present at the last `welcome`.
    pub users: Vec<String>,
    /// The last cursor received.
    pub cursor: String,
    /// The greatest position shown or acked.
    pub after: Option<String>,
    /// Every message received on this connection.
    pub messages: Vec<Posted>,
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    /// Opens a room and reads the `welcome`.
    pub async fn connect(
        node: SocketAddr,
        room: &str,
        name: &str,
        cursor: Option<&str>,
        after: Option<&str>,
    ) -> Result<Self, Refused> {
        Self::dial(node, room, name, cursor, after, None).await
    }

    /// Joins as a newcomer, who must be let in; returns when the history has been read.
    pub async fn join(node: SocketAddr, room: &str, name: &str) -> Self {
        let mut client = Self::connect(node, room, name, None, None).await.expect("a newcomer is let in");
        client.opening().await;
        client
    }

    /// As `join`, over a socket that takes only so many bytes before its reader reads.
    pub async fn join_narrow(node: SocketAddr, room: &str, name: &str, buffer_bytes: u32) -> Self {
        let dialled = Self::dial(node, room, name, None, None, Some(buffer_bytes)).await;
        let mut client = dialled.expect("a newcomer is let in");
        client.opening().await;
        client
    }

    /// Drops this connection without a word and resumes on `node`; returns what came until the replay's end.
    pub async fn resume(self, node: SocketAddr) -> (Self, Opening) {
        let Self { room, name, cursor, after, socket, .. } = self;
        drop(socket);
        let resumed = Self::connect(node, &room, &name, Some(&cursor), after.as_deref()).await;
        let mut client = resumed.expect("a guest with a cursor is let in");
        let opening = client.opening().await;
        (client, opening)
    }

    /// Joins as a user, by token.
    pub async fn connect_as(node: SocketAddr, room: &str, token: &str) -> Result<Self, Refused> {
        let bearer = format!("Bearer {token}");
        let target = format!("/ws?roomID={room}");
        let (socket, _) = upgrade_with(node, &target, &[("authorization", &bearer)], None).await?;
        Self::welcomed(socket, None).await
    }

    /// Joins as a newcomer with this address, behind a proxy that the node trusts.
    pub async fn join_from(node: SocketAddr, room: &str, name: &str, address: &str) -> Result<Self, Refused> {
        let target = format!("/ws?roomID={room}&username={}", http::encode(name));
        let (socket, _) = upgrade_with(node, &target, &[("x-forwarded-for", address)], None).await?;
        let mut client = Self::welcomed(socket, None).await?;
        client.opening().await;
        Ok(client)
    }

    async fn dial(
        node: SocketAddr,
        room: &str,
        name: &str,
        cursor: Option<&str>,
        after: Option<&str>,
        buffer_bytes: Option<u32>,
    ) -> Result<Self, Refused> {
        let mut target = format!("/ws?roomID={room}&username={}", http::encode(name));
        for (key, value) in [("cursor", cursor), ("after", after)] {
            target.extend(value.map(|value| format!("&{key}={}", http::encode(value))));
        }
        Self::welcomed(upgrade(node, &target, buffer_bytes).await?, after).await
    }

    async fn welcomed(mut socket: WebSocketStream<TcpStream>, after: Option<&str>) -> Result<Self, Refused> {
        let first = timeout(PATIENCE, next_frame(&mut socket)).await;
        let (first, users, room, username) = match first {
            Ok(Frame::Welcome { cursor, users, room, username, .. }) => (cursor, users, room, username),
            Ok(Frame::Closed(code)) => {
                return Err(Refused { status: 0, code: format!("closed before the welcome: {code:?}") });
            }
            other => panic!("the first frame is not a welcome: {other:?}"),
        };
        let after = after.map(str::to_owned);
        Ok(Self { room, name: username, users, cursor: first, after, messages: Vec::new(), socket })
    }

    /// Reads up to the first cursor after the `welcome`.
    pub async fn opening(&mut self) -> Opening {
        let before = self.messages.len();
        let mut resync = false;
        self.until("the cursor that ends the history", |frame| {
            resync |= matches!(frame, Frame::Resync { .. });
            matches!(frame, Frame::Cursor { .. }).then_some(())
        })
        .await;
        Opening { messages: self.messages[before..].to_vec(), resync }
    }

    /// Posts and waits for nothing.
    pub async fn send(&mut self, id: &str, body: &str) {
        self.send_raw(post_frame(id, body)).await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        let sent = timeout(PATIENCE, self.try_send(message)).await;
        sent.expect("a server reads its sockets").expect("an open socket takes a frame");
    }

    /// As `send_raw`, where the connection may break at any time.
    pub async fn try_send(&mut self, message: Message) -> Result<(), tungstenite::Error> {
        self.socket.send(message).await
    }

    /// Posts and waits for the ack and for the message itself; returns the message and the copies acked.
    pub async fn post(&mut self, body: &str) -> (Posted, u32) {
        self.post_as(&Uuid::new_v4().to_string(), body).await
    }

    pub async fn post_as(&mut self, id: &str, body: &str) -> (Posted, u32) {
        self.send(id, body).await;
        let mut message = None;
        let mut copies = None;
        self.until(&format!("ack and message of {body:?}"), |frame| {
            match frame {
                Frame::Message(posted) if posted.id == id => message = Some(posted.clone()),
                Frame::Ack { id: acked, copies: count, .. } if acked == id => copies = Some(*count),
                Frame::Error { id: Some(refused), code, detail } if refused == id => {
                    panic!("{body:?} was refused: {code} {detail}")
                }
                _ => {}
            }
            message.clone().zip(copies)
        })
        .await
    }

    /// Posts and waits for the ack alone, which may be that of an earlier post with this id; returns its pos.
    pub async fn resend(&mut self, id: &str, body: &str) -> Result<String, String> {
        self.send(id, body).await;
        self.until(&format!("the ack or refusal of {id}"), |frame| match frame {
            Frame::Ack { id: acked, pos, .. } if acked == id => Some(Ok(pos.clone())),
            Frame::Error { id: Some(refused), code, .. } if refused == id => Some(Err(code.clone())),
            _ => None,
        })
        .await
    }

    /// Brings the cursor to a point that surely covers everything shown up to now, by posting markers.
    /// Returns the body of the last marker, which the cursor need not cover: it alone may come again.
    pub async fn settle(&mut self, copies_wanted: u32) -> String {
        // Once a peer confirmed a post, cursors that are made later cover what the node wrote before it.
        while self.post("marker, covered").await.1 < copies_wanted {}
        let last = format!("last marker of {} {}", self.name, Uuid::new_v4());
        self.send(&Uuid::new_v4().to_string(), &last).await;
        let mut shown = false;
        self.until("a cursor behind the last marker", |frame| {
            shown |= matches!(frame, Frame::Message(posted) if posted.body == last);
            (shown && matches!(frame, Frame::Cursor { .. })).then_some(())
        })
        .await;
        last
    }

    /// The next frame; fails the test if none comes.
    pub async fn next(&mut self) -> Frame {
        self.until("a frame", |frame| Some(frame.clone())).await
    }

    /// The next frame, whenever it comes. Cancellation safety: a frame is noted and returned, or not taken.
    pub async fn advance(&mut self) -> Frame {
        let frame = next_frame(&mut self.socket).await;
        match &frame {
            Frame::Message(posted) => {
                self.see(&posted.pos);
                self.messages.push(posted.clone());
            }
            Frame::Ack { pos, .. } => self.see(pos),
            Frame::Cursor { cursor } | Frame::Resync { cursor } => self.cursor.clone_from(cursor),
            // Again on this connection, when it fell so far behind that comings and goings were lost.
            Frame::Welcome { users, .. } => self.users.clone_from(users),
            _ => {}
        }
        frame
    }

    fn see(&mut self, pos: &str) {
        if self.after.as_deref().is_none_or(|after| after < pos) {
            self.after = Some(pos.to_owned());
        }
    }

    /// Reads until `wanted` finds what it looks for.
    pub async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(&Frame) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let search = async {
            loop {
                let frame = self.advance().await;
                if let Some(found) = wanted(&frame) {
                    return found;
                }
                assert!(!matches!(frame, Frame::Closed(_)), "waiting for {what}: {frame:?} after {seen:?}");
                seen.truncate(20);
                seen.insert(0, format!("{frame:?}").chars().take(200).collect::<String>());
            }
        };
        let found = timeout(PATIENCE, search).await;
        found.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}; latest frames first: {seen:?}"))
    }

    /// Reads until the next message, whichever it is.
    pub async fn next_message(&mut self) -> Posted {
        let wanted = |frame: &Frame| match frame {
            Frame::Message(posted) => Some(posted.clone()),
            _ => None,
        };
        self.until("a message", wanted).await
    }

    pub async fn until_message(&mut self, body: &str) -> Posted {
        let what = format!("the message {body:?}");
        let wanted = |frame: &Frame| match frame {
            Frame::Message(posted) if posted.body == body => Some(posted.clone()),
            _ => None,
        };
        self.until(&what, wanted).await
    }

    /// Reads until every one of these messages has been received on this connection.
    pub async fn until_ids(&mut self, ids: &BTreeSet<String>) {
        let mut missing = ids.clone();
        for message in &self.messages {
            missing.remove(&message.id);
        }
        if missing.is_empty() {
            return;
        }
        let what = format!("{} messages", missing.len());
        let wanted = |frame: &Frame| {
            if let Frame::Message(posted) = frame {
                missing.remove(&posted.id);
            }
            missing.is_empty().then_some(())
        };
        self.until(&what, wanted).await;
    }

    /// Reads until the connection ends and returns the close code.
    pub async fn until_closed(&mut self) -> Option<u16> {
        let wanted = |frame: &Frame| match frame {
            Frame::Closed(code) => Some(*code),
            _ => None,
        };
        self.until("the connection's end", wanted).await
    }

    /// The bodies of all messages received on this connection, in the order of their arrival.
    pub fn bodies(&self) -> Vec<&str> {
        self.messages.iter().map(|message| message.body.as_str()).collect()
    }
}

pub fn post_frame(id: &str, body: &str) -> Message {
    Message::text(json!({"id": id, "body": body}).to_string())
}

/// A WebSocket handshake by hand, so that a refusal can be read whole.
pub async fn upgrade(
    node: SocketAddr,
    target: &str,
    buffer_bytes: Option<u32>,
) -> Result<WebSocketStream<TcpStream>, Refused> {
    Ok(upgrade_with(node, target, &[], buffer_bytes).await?.0)
}

/// As `upgrade`, with more headers; also gives what was answered.
pub async fn upgrade_with(
    node: SocketAddr,
    target: &str,
    more: &[(&str, &str)],
    buffer_bytes: Option<u32>,
) -> Result<(WebSocketStream<TcpStream>, http::Answer), Refused> {
    let broken = |error: std::io::Error| Refused { status: 0, code: error.to_string() };
    let handshake = async {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        let mut stream = socket.connect(node).await?;
        stream.set_nodelay(true)?;
        let mut headers = vec![
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        headers.extend(more);
        let head = http::head(node, "GET", target, &headers) + "\r\n";
        stream.write_all(head.as_bytes()).await?;
        let (answer, rest) = http::read_answer(&mut stream).await?;
        Ok((stream, answer, rest))
    };
    let slow = |_| Refused { status: 0, code: "no answer to the handshake".to_owned() };
    let (stream, answer, rest) = timeout(PATIENCE, handshake).await.map_err(slow)?.map_err(broken)?;
    if answer.status != 101 {
        return Err(Refused { status: answer.status, code: answer.code() });
    }
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    Ok((WebSocketStream::from_partially_read(stream, rest, Role::Client, None).await, answer))
}

async fn next_frame(socket: &mut WebSocketStream<TcpStream>) -> Frame {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let frame = serde_json::from_str(&text);
                return frame.unwrap_or_else(|error| panic!("not a known frame ({error}): {text}"));
            }
            Some(Ok(Message::Close(frame))) => {
                // The answer to it is written only now.
                let _ = socket.flush().await;
                return Frame::Closed(frame.map(|frame| frame.code.into()));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(other)) => panic!("the server sent {other:?}"),
            Some(Err(_)) | None => return Frame::Closed(None),
        }
    }
}
