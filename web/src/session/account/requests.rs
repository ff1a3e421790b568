//! What a client asks of its live socket: posts, typing, reading.

use axum::extract::ws::Message;
use starling_protocol::{
    ErrorCode, MessageId, MessagePosted, RoomId, Sender,
    frame::live::{self, LiveRequest, LiveRequestError},
};

use super::{End, Live, Outbox, Socket};
use crate::{
    guard::Quota,
    live_frame::LiveFrame,
    service::{Post, Refusal},
    session::{posts::refuse, pulse::Heard},
};

impl Live<'_> {
    pub(super) async fn incoming<S: Socket>(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        let request = match self.pulse.heard(message)? {
            Heard::Text(text) => live::parse(&text),
            Heard::Binary => Err(LiveRequestError {
                code: ErrorCode::BadRequest,
                detail: "frames must be text".into(),
                id: None,
            }),
            Heard::Nothing => return Ok(()),
        };
        let id = match &request {
            Ok(LiveRequest::Send { id, .. }) => Some(*id),
            Ok(_) => None,
            Err(error) => error.id,
        };
        if let Err(refusal) = self.count(&request) {
            refuse(self.web, outbox, &refusal, id).await?;
            let flooding = self.web.guard.rates.check(Quota::FloodingPerSession, &self.identity.session);
            return flooding.map_err(|_| End::Flooding);
        }
        let answered = match request {
            Ok(request) => self.serve(request, outbox).await?,
            Err(error) => Err(Refusal::new(error.code, error.detail)),
        };
        match answered {
            Ok(()) => Ok(()),
            Err(refusal) => refuse(self.web, outbox, &refusal, id).await,
        }
    }

    /// A frame counts, whether it can be read or not.
    fn count(&self, request: &Result<LiveRequest, LiveRequestError>) -> Result<(), Refusal> {
        let rates = &self.web.guard.rates;
        match request {
            Ok(LiveRequest::Typing { .. } | LiveRequest::Read { .. } | LiveRequest::Ping) => {
                rates.check(Quota::SignalsPerSession, &self.identity.session)
            }
            Ok(LiveRequest::Send { .. }) | Err(_) => {
                rates.check(Quota::MessagesPerSession, &self.identity.session)?;
                rates.check(Quota::MessagesPerAccount, &self.identity.user)
            }
        }
    }

    async fn serve<S: Socket>(
        &mut self,
        request: LiveRequest,
        outbox: &mut Outbox<S>,
    ) -> Result<Result<(), Refusal>, End> {
        let user = self.identity.user;
        Ok(match request {
            LiveRequest::Send { id, room, text, reply_to } => {
                let sender = Sender::User(user);
                self.post(room, MessagePosted { reply_to, ..MessagePosted::new(id, sender, text) }).await
            }
            LiveRequest::Typing { room } if self.tails.follows(room) => {
                let frame = LiveFrame::Typing { room_id: room.to_string(), user: &self.around.user };
                self.web.live.typing(room, user, frame.to_json().into());
                Ok(())
            }
            LiveRequest::Typing { .. } => Err(Refusal::new(ErrorCode::NotFound, "there is no such room")),
            LiveRequest::Read { room, message } => {
                let (web, seen) = (self.web, self.sent.clone());
                self.doing = Some(Box::pin(web.live.read(user, room, message, seen)));
                Ok(())
            }
            LiveRequest::Ping => {
                outbox.feed(LiveFrame::Pong.to_json()).await?;
                outbox.flush().await?;
                Ok(())
            }
        })
    }

    async fn post(&mut self, room: RoomId, message: MessagePosted) -> Result<(), Refusal> {
        self.web.metrics.posts.inc();
        if self.tails.follows(room) && self.floors.insert(room) {
            // Of what he saw before this session, too: he may have loaded all that is here.
            let floor = self.web.live.floor(room, self.after).await?;
            self.saw(room, floor);
        }
        let id: MessageId = message.id;
        let post = Post { room, message, floor: self.greatest.get(&room).copied() };
        self.posts.hand_over(|outcomes| self.web.rooms.post(post, outcomes))?;
        self.posted_in.insert(id, room);
        Ok(())
    }

    /// What a request waited for is done.
    pub(super) async fn done<S: Socket>(
        &mut self,
        done: Result<(), Refusal>,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        self.doing = None;
        match done {
            Ok(()) => Ok(()),
            Err(refusal) => refuse(self.web, outbox, &refusal, None).await,
        }
    }
}
