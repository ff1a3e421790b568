//! What a client asks of its live socket: posts, typing, reading.

use axum::extract::ws::Message;
use starling_protocol::{
    ErrorCode, VersionVector,
    frame::live::{self, LiveRequest, LiveRequestError},
};

use super::{
    End, Outbox, Socket,
    live::{AccountSession, Done},
};
use crate::{
    guard::{Quota, Written},
    live_frame::LiveFrame,
    service::{NewMessage, Refusal},
    session::{keepalive::Heard, posts::refuse},
};

impl AccountSession<'_> {
    pub(super) async fn incoming<S: Socket>(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        let (bytes, request) = match self.keepalive.heard(&self.web.guard.rates, message)? {
            Heard::Text(text) => (text.len(), live::parse(&text)),
            Heard::Binary => (
                0,
                Err(LiveRequestError {
                    code: ErrorCode::BadRequest,
                    detail: "frames must be text".into(),
                    id: None,
                }),
            ),
            Heard::Nothing => return Ok(()),
        };
        let id = match &request {
            Ok(LiveRequest::Send { id, .. }) => Some(id.echoed()),
            Ok(_) => None,
            Err(error) => error.id.clone(),
        };
        if let Err(refusal) = self.count(&request, bytes) {
            refuse(self.web, outbox, &refusal, id).await?;
            let flooding = self.web.guard.rates.check(Quota::FloodingPerSession, &self.identity.session);
            return flooding.map_err(|_| End::Flooding);
        }
        match request {
            Ok(request) => self.serve(request, outbox).await,
            Err(error) => refuse(self.web, outbox, &Refusal::new(error.code, error.detail), id).await,
        }
    }

    /// A frame counts, whether it can be read or not.
    fn count(&self, request: &Result<LiveRequest, LiveRequestError>, bytes: usize) -> Result<(), Refusal> {
        let (rates, identity, network) = (&self.web.guard.rates, self.identity, self.network);
        let room = match request {
            Ok(LiveRequest::Typing { .. } | LiveRequest::Ping) => {
                return rates.check(Quota::SignalsPerSession, &identity.session);
            }
            Ok(LiveRequest::Read { .. }) => {
                rates.check(Quota::SignalsPerSession, &identity.session)?;
                // It is written, as a message is.
                return rates.check(Quota::MessagesPerAddress, &network);
            }
            Ok(LiveRequest::Send { room, .. }) => Some(*room).filter(|room| self.lane_set.follows(*room)),
            Err(_) => None,
        };
        rates.check(Quota::MessagesPerSession, &identity.session)?;
        rates.check_written(&Written { network, account: Some(identity.user), room, bytes })
    }

    async fn serve<S: Socket>(&mut self, request: LiveRequest, outbox: &mut Outbox<S>) -> Result<(), End> {
        let (web, user) = (self.web, self.identity.user);
        match request {
            LiveRequest::Send { id, room, text, reply_to } => {
                web.metrics.posts.inc();
                let message = NewMessage { id: id.id, text, reply_to, after: self.min_hlc };
                self.posts.note(&id);
                let prepared = web.messages.prepare(user, room, message);
                self.doing = Some(Box::pin(async move { (Some(id.echoed()), prepared.await.map(Some)) }));
            }
            LiveRequest::Typing { room } if self.around.severed_rooms.contains(&room) => {}
            LiveRequest::Typing { room } if self.lane_set.follows(room) => {
                let frame = LiveFrame::Typing { room_id: room.to_string(), user: &self.around.user };
                web.live.broadcast(room, user, frame.to_json().into());
            }
            LiveRequest::Typing { .. } => {
                let refusal = Refusal::new(ErrorCode::NotFound, "there is no such room");
                return refuse(web, outbox, &refusal, None).await;
            }
            LiveRequest::Read { room, message } => {
                let seen = VersionVector::clone(&self.sent.vector);
                let read = web.messages.read(user, room, message, Some(seen));
                self.doing = Some(Box::pin(async move { (None, read.await.map(|()| None)) }));
            }
            LiveRequest::Ping => {
                outbox.feed(LiveFrame::Pong.to_json()).await?;
                return outbox.flush().await;
            }
        }
        Ok(())
    }

    /// What a request waited for is done.
    pub(super) async fn done<S: Socket>(
        &mut self,
        (id, done): Done,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        self.doing = None;
        let handed_over = match done {
            Ok(Some(post)) => self.posts.hand_over(|outcomes| self.web.rooms.post(post, outcomes)),
            Ok(None) => Ok(()),
            Err(refusal) => Err(refusal),
        };
        match handed_over {
            Ok(()) => Ok(()),
            Err(refusal) => refuse(self.web, outbox, &refusal, id).await,
        }
    }
}
