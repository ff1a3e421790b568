//! A client of the live socket of somebody with an account: it keeps its cursor. Frames are shown as they came; every wait
//! has a deadline and fails the test with what it waited for.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::client::upgrade_with;
use super::frames::Refused;
use super::{PATIENCE, http};

pub struct Live {
    /// The first frame.
    pub welcome: Value,
    /// The last cursor received.
    pub cursor: String,
    token: String,
    socket: WebSocketStream<TcpStream>,
}

impl Live {
    /// Opens the socket with an access token or a personal one, and reads the `welcome`.
    pub async fn connect(node: SocketAddr, token: &str, cursor: Option<&str>) -> Result<Self, Refused> {
        let query = cursor.map(|cursor| format!("?cursor={}", http::encode(cursor))).unwrap_or_default();
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let (socket, _) = upgrade_with(node, &format!("/api/v1/live{query}"), &headers, None).await?;
        let (welcome, cursor) = (Value::Null, String::new());
        let mut live = Self { welcome, cursor, token: token.to_owned(), socket };
        live.welcome = live.next().await;
        assert_eq!(live.welcome["type"], "welcome", "{}", live.welcome);
        Ok(live)
    }

    /// Connects for the first time; returns once the cursor has come.
    pub async fn join(node: SocketAddr, token: &str) -> Self {
        let mut live = Self::connect(node, token, None).await.expect("they are let in");
        let marks = live.replay().await;
        // Who comes meanwhile is told as it happens.
        let of_now = |frame: &Value| frame["type"] == "read" || frame["type"] == "presence";
        assert!(marks.iter().all(of_now), "a newcomer loads by pages: {marks:?}");
        live
    }

    /// Drops this connection without a word and resumes on `node`; also gives what was replayed.
    pub async fn resume(self, node: SocketAddr) -> (Self, Vec<Value>) {
        let Self { cursor, token, socket, .. } = self;
        drop(socket);
        let mut live = Self::connect(node, &token, Some(&cursor)).await.expect("they are let in");
        let replayed = live.replay().await;
        (live, replayed)
    }

    /// The frames before the first cursor.
    pub async fn replay(&mut self) -> Vec<Value> {
        let mut frames = Vec::new();
        self.until("the cursor that ends the replay", |frame| {
            frames.push(frame.clone());
            (frame["type"] == "cursor").then_some(())
        })
        .await;
        frames.pop();
        frames
    }

    pub async fn send(&mut self, frame: Value) {
        self.send_raw(Message::text(frame.to_string())).await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        let sent = timeout(PATIENCE, self.socket.send(message)).await;
        sent.expect("a server reads its sockets").expect("an open socket takes a frame");
    }

    /// Posts and waits for the ack and for the message itself; gives the message's id.
    pub async fn post(&mut self, room: &str, body: &str) -> String {
        let id = Uuid::new_v4().to_string();
        self.send(json!({"type": "send", "id": id, "room_id": room, "body": body})).await;
        let (mut acked, mut shown) = (false, false);
        self.until(&format!("ack and message of {body:?}"), |frame| {
            acked |= frame["type"] == "ack" && frame["id"] == id.as_str();
            shown |= frame["type"] == "message" && frame["message"]["id"] == id.as_str();
            assert!(frame["type"] != "error", "{body:?} was refused: {frame}");
            (acked && shown).then_some(())
        })
        .await;
        id
    }

    /// The next frame; the connection's end is `{"type": "closed", "code": …}`.
    ///
    /// Cancellation safety: a frame is returned, or not taken.
    pub async fn advance(&mut self) -> Value {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).expect("frames are JSON");
                    if let Some(cursor) = frame["cursor"].as_str() {
                        cursor.clone_into(&mut self.cursor);
                    }
                    return frame;
                }
                Some(Ok(Message::Close(close))) => {
                    // The answer to it is written only now.
                    let _ = self.socket.flush().await;
                    return json!({"type": "closed", "code": close.map(|close| u16::from(close.code))});
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("the server sent {other:?}"),
                Some(Err(_)) | None => return json!({"type": "closed"}),
            }
        }
    }

    pub async fn next(&mut self) -> Value {
        self.until("a frame", |frame| Some(frame.clone())).await
    }

    /// Reads until `wanted` finds what it looks for.
    pub async fn until<T>(&mut self, what: &str, wanted: impl FnMut(&Value) -> Option<T>) -> T {
        self.until_within(PATIENCE, what, wanted).await
    }

    pub async fn until_within<T>(
        &mut self,
        within: Duration,
        what: &str,
        mut wanted: impl FnMut(&Value) -> Option<T>,
    ) -> T {
        let mut seen = Vec::new();
        let search = async {
            loop {
                let frame = self.advance().await;
                if let Some(found) = wanted(&frame) {
                    return found;
                }
                assert!(frame["type"] != "closed", "waiting for {what}: {frame} after {seen:?}");
                seen.truncate(20);
                seen.insert(0, frame.to_string().chars().take(200).collect::<String>());
            }
        };
        let found = timeout(within, search).await;
        found.unwrap_or_else(|_| panic!("not within {within:?}: {what}; latest frames first: {seen:?}"))
    }

    /// Reads until a frame of this type.
    pub async fn until_type(&mut self, kind: &str) -> Value {
        self.until(&format!("a frame {kind}"), |frame| (frame["type"] == kind).then(|| frame.clone())).await
    }

    /// Reads until the message with this body.
    pub async fn until_message(&mut self, body: &str) -> Value {
        let is_it = |frame: &Value| frame["type"] == "message" && frame["message"]["body"] == body;
        self.until(&format!("the message {body:?}"), |frame| is_it(frame).then(|| frame["message"].clone()))
            .await
    }

    /// Reads until the connection ends, which must come so soon; gives the close code.
    pub async fn closes(&mut self, within: Duration) -> Option<u64> {
        let closed = |frame: &Value| (frame["type"] == "closed").then(|| frame["code"].as_u64());
        self.until_within(within, "the connection's end", closed).await
    }
}
