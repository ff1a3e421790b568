//! Read marks: those with a plain vector, and those over folds, as one.

use std::sync::Arc;

use starling_protocol::{
    Fold, FoldRank, Pos, RoomId, Scope, UserId, VersionVector, merge::read_mark::ReadMark,
};

use super::{
    Records, RoomReader, Rows, StoreError, Tables,
    views::{FoldedRead, Read},
};

impl<T: Rows> Records<T> {
    /// Reads where a user's read mark in a room is.
    pub fn read_mark_pos(&self, user: UserId, room: RoomId) -> Result<Option<Pos>, StoreError> {
        let plain = self.get::<Read>(&Scope::user(user), &room.0)?.map(|mark| mark.pos);
        let folded = self.get::<FoldedRead>(&Scope::user(user), &room.0)?.map(|mark| mark.pos);
        Ok(plain.max(folded))
    }

    /// Reads a user's read mark in a room: the plain one, and all that `fold` can expand. Written over `base`, if there is
    /// one, it is compared cheaply with the log's vector.
    fn expanded_read_mark(
        &self,
        user: UserId,
        room: RoomId,
        base: Option<&Arc<Fold>>,
        fold: impl Fn(FoldRank) -> Result<Option<Arc<Fold>>, StoreError>,
    ) -> Result<Option<ReadMark>, StoreError> {
        let Some(pos) = self.read_mark_pos(user, room)? else { return Ok(None) };
        let mut seen = VersionVector::default();
        if let Some(folded) = self.get::<FoldedRead>(&Scope::user(user), &room.0)? {
            for vector in folded.seen {
                if let Some(fold) = fold(vector.fold)? {
                    seen.merge(&vector.over(fold));
                }
            }
        }
        if let Some(base) = base {
            seen.rebase(base);
        }
        if let Some(plain) = self.get::<Read>(&Scope::user(user), &room.0)? {
            seen.merge(&plain.seen);
        }
        Ok(Some(ReadMark { pos, seen }))
    }
}

impl RoomReader {
    /// Reads a user's read mark in a room.
    pub fn read_mark(&self, user: UserId, room: RoomId) -> Result<Option<ReadMark>, StoreError> {
        let base = self.folds.base()?;
        self.records().expanded_read_mark(user, room, base.as_ref(), |rank| self.folds.expand(rank))
    }
}

impl Tables<'_> {
    /// Reads a user's read mark in a room.
    pub fn read_mark(&self, user: UserId, room: RoomId) -> Result<Option<ReadMark>, StoreError> {
        self.records.expanded_read_mark(user, room, self.log_base(), |rank| self.heads.expand(rank))
    }

    /// The fold that the log's vector is written over.
    pub fn log_base(&self) -> Option<&Arc<Fold>> {
        self.heads.base()
    }
}
