//! Starling's pure core: ids, events, merge rules, frames, the codec and the replication state machine.
//! `web` uses it to talk to clients, `node` to store and replicate, and the simulator runs it on a virtual network.
//! It never opens a socket, reads a clock or draws randomness: time and random bytes are arguments.

pub mod clock_majority;
pub mod codec;
pub mod cursor;
pub mod digest;
pub mod error_code;
pub mod event;
pub mod frame;
pub mod hlc;
pub mod id;
pub mod limits;
pub mod merge;
pub mod pos;
pub mod refusal;
pub mod replica;
pub mod seq;
pub mod settings;
pub mod text;
pub mod texts;
pub mod version_vector;

pub use cursor::{Cursor, CursorKey, CursorOwner};
pub use digest::{Digest, ScopeDigest};
pub use error_code::ErrorCode;
pub use event::{
    Event, EventBody, EventDraft, MessageKey, MessagePosted, NameShared, QuickRoomCreated, Scope, Sender,
};
pub use hlc::{Clock, Hlc};
pub use id::{
    FileId, GuestId, HookId, InviteCode, InviteId, MessageId, NodeId, OriginId, RoomId, SessionId, UserId,
};
pub use pos::Pos;
pub use refusal::Refusal;
pub use seq::Seq;
pub use settings::Settings;
pub use text::{DisplayName, Emoji, GuestName, MessageText, RoomName, Topic, Username};
pub use version_vector::VersionVector;
