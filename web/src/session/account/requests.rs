//! The requests of a client on its live socket: posts, typing, read positions.

use starling_protocol::{
    ErrorCode, VersionVector,
    frame::live::{self, LiveRequest, LiveRequestError},
    texts,
};
use tokio_tungstenite::tungstenite::{self, Message};

use super::live::{AccountSession, RequestOutcome};
use crate::{
    guard::{Quota, RoomWrite},
    live_frame::LiveFrame,
    service::{NewMessage, Refusal},
    session::{connection::Connection, end::End, keepalive::Received, posts::refuse, socket::Socket},
};

impl AccountSession<'_> {
    pub(super) async fn incoming<S: Socket>(
        &mut self,
        message: Option<tungstenite::Result<Message>>,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        self.core.reclaim(connection);
        let (bytes, request) = match self.core.keepalive.on_frame(&self.core.deps.guard.rates, message)? {
            Received::Text(text) => (text.len(), live::parse(&text)),
            Received::Binary => (
                0,
                Err(LiveRequestError {
                    code: ErrorCode::BadRequest,
                    detail: texts::request::FRAMES_MUST_BE_TEXT.into(),
                    id: None,
                }),
            ),
            Received::Nothing => return Ok(()),
        };
        let id = match &request {
            Ok(LiveRequest::Send { id, .. }) => Some(id.to_text()),
            Ok(_) => None,
            Err(error) => error.id.clone(),
        };
        if let Err(refusal) = self.count(&request, bytes) {
            refuse(self.core.deps, connection, &refusal, id).await?;
            let flooding =
                self.core.deps.guard.rates.check(Quota::FloodingPerSession, &self.identity.session);
            return flooding.map_err(|_| End::Flooding);
        }
        match request {
            Ok(request) => self.serve(request, connection).await,
            Err(error) => {
                refuse(self.core.deps, connection, &Refusal::new(error.code, error.detail), id).await
            }
        }
    }

    /// Counts a frame, readable or not, against the limits.
    fn count(&self, request: &Result<LiveRequest, LiveRequestError>, bytes: usize) -> Result<(), Refusal> {
        let (rates, identity, network) = (&self.core.deps.guard.rates, self.identity, self.network);
        let room = match request {
            Ok(LiveRequest::Typing { .. } | LiveRequest::Ping) => {
                return rates.check(Quota::SignalsPerSession, &identity.session);
            }
            Ok(LiveRequest::Read { .. }) => {
                rates.check(Quota::SignalsPerSession, &identity.session)?;
                // A read position is written to the log, like a message.
                return rates.check(Quota::MessagesPerAddress, &network);
            }
            Ok(LiveRequest::Send { room, .. }) => Some(*room).filter(|room| self.lane_set.follows(*room)),
            Err(_) => None,
        };
        rates.check(Quota::MessagesPerSession, &identity.session)?;
        rates.check_room_write(&RoomWrite { network, account: Some(identity.user), room, bytes })
    }

    async fn serve<S: Socket>(
        &mut self,
        request: LiveRequest,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        let (deps, user) = (self.core.deps, self.identity.user);
        match request {
            LiveRequest::Send { id, room, text, reply_to } => {
                deps.metrics.posts.inc();
                let message = NewMessage { id: id.id, text, reply_to, above_hlc: self.above_hlc };
                self.core.posts.note_spelling(&id);
                let prepared = deps.messages.prepare(user, room, message);
                self.pending_request =
                    Some(Box::pin(async move { (Some(id.to_text()), prepared.await.map(Some)) }));
            }
            LiveRequest::Typing { room } if self.context.severed_rooms.contains(&room) => {}
            LiveRequest::Typing { room } if self.lane_set.follows(room) => {
                let frame = LiveFrame::Typing { room_id: room.to_string(), user: &self.context.user };
                deps.live.broadcast(room, user, frame.to_json());
            }
            LiveRequest::Typing { .. } => {
                let refusal = Refusal::new(ErrorCode::NotFound, texts::rooms::NO_SUCH_ROOM);
                return refuse(deps, connection, &refusal, None).await;
            }
            LiveRequest::Read { room, message } => {
                // Frames that the groups have written count as seen, too: a message that the client has must not stay unread.
                self.empty_lanes(connection).await?;
                let seen = VersionVector::clone(&self.core.delivery.sent().vector);
                let read = deps.messages.mark_read(user, room, message, Some(seen));
                self.pending_request = Some(Box::pin(async move { (None, read.await.map(|()| None)) }));
            }
            LiveRequest::Ping => {
                return connection.feed(LiveFrame::Pong.to_json()).await;
            }
        }
        Ok(())
    }

    /// Replies to a finished request.
    pub(super) async fn finish_request<S: Socket>(
        &mut self,
        (id, done): RequestOutcome,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        self.pending_request = None;
        let submitted = match done {
            Ok(Some(post)) => self.core.posts.submit(|outcomes| self.core.deps.posting.post(post, outcomes)),
            Ok(None) => Ok(()),
            Err(refusal) => Err(refusal),
        };
        match submitted {
            Ok(()) => Ok(()),
            Err(refusal) => refuse(self.core.deps, connection, &refusal, id).await,
        }
    }
}
