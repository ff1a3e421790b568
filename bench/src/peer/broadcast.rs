//! The broadcast server of axum's tutorial on chats (`examples/chat`): a task for each reader, and one channel for each room.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use axum::extract::{Query, State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast;

/// Messages that a reader may be behind; then its task ends, as in the tutorial, which has 100.
const BEHIND_MAX: usize = 1_024;

#[derive(Default)]
struct Rooms {
    made: AtomicU64,
    channels: Mutex<HashMap<String, broadcast::Sender<Utf8Bytes>>>,
}

#[derive(Deserialize)]
struct Enter {
    #[serde(rename = "roomID")]
    room: String,
}

/// Serves on as many threads as there are cores for it, which is one when it is pinned.
pub(super) fn serve(address: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let app = Router::new()
            .route("/create-room", post(create_room))
            .route("/ws", get(enter))
            .with_state(Arc::new(Rooms::default()));
        let listener = tokio::net::TcpListener::bind(address).await?;
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await
    })
}

async fn create_room(State(rooms): State<Arc<Rooms>>) -> Response {
    let number = rooms.made.fetch_add(1, Ordering::Relaxed);
    (StatusCode::CREATED, Json(json!({"roomID": format!("room{number}")}))).into_response()
}

async fn enter(
    State(rooms): State<Arc<Rooms>>,
    Query(Enter { room }): Query<Enter>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let channel = {
        let mut channels = rooms.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.entry(room).or_insert_with(|| broadcast::channel(BEHIND_MAX).0).clone()
    };
    upgrade.on_upgrade(move |socket| take_part(socket, channel))
}

async fn take_part(socket: WebSocket, channel: broadcast::Sender<Utf8Bytes>) {
    let (mut sink, mut stream) = socket.split();
    let mut messages = channel.subscribe();
    let mut sending = tokio::spawn(async move {
        while let Ok(text) = messages.recv().await {
            if sink.send(Message::Text(text)).await.is_err() {
                break;
            }
        }
    });
    let mut receiving = tokio::spawn(async move {
        while let Some(Ok(Message::Text(text))) = stream.next().await {
            let _ = channel.send(text);
        }
    });
    tokio::select! {
        _ = &mut sending => receiving.abort(),
        _ = &mut receiving => sending.abort(),
    }
}
