//! Clears some views in steps, so that they can be derived again.

use redb::{ReadableTableMetadata, TableHandle};
use starling_protocol::{RoomId, Scope};

use super::Tables;
use crate::store::{StoreError, tables, view_set::ViewSet};

impl Tables<'_> {
    /// Removes some rows of some views, and their digests. Looks at `most` rows of each table, and at those of the
    /// records from the key `from` on, which it moves. Returns whether more may be left; it may be called again from
    /// the beginning at any time.
    pub fn clear_some(
        &mut self,
        views: ViewSet,
        from: &mut Option<Vec<u8>>,
        most: usize,
    ) -> Result<bool, StoreError> {
        if let Some(key) = from.take() {
            *from = self.records.clear_rows(&mut self.book, views, &key, most)?;
        }
        let mut more = from.is_some() | self.records.clear_index(views, most)?;
        if views.contains(ViewSet::QUICK_ROOMS) {
            more |= self.clear_quick_rooms(most)?;
        }
        if views.contains(ViewSet::GUEST_NAMES) {
            more |= self.names.clear(&mut self.book, most)?;
        }
        if views.contains(ViewSet::MESSAGES) {
            more |= self.clear_messages(most)?;
        }
        Ok(more)
    }

    fn clear_quick_rooms(&mut self, most: usize) -> Result<bool, StoreError> {
        let name = self.rooms.name().to_owned();
        for _ in 0..most {
            let Some((key, record)) = self.rooms.pop_first()? else { break };
            let scope = Scope::room(RoomId(*key.value()));
            self.book.removed(&scope, &name, key.value(), record.value());
        }
        Ok(!self.rooms.is_empty()?)
    }

    fn clear_messages(&mut self, most: usize) -> Result<bool, StoreError> {
        for _ in 0..most {
            let Some(gone) = self.places.unlist_first()? else { break };
            let scope = Scope::room(tables::timeline_room(&gone));
            self.book.removed(&scope, tables::TIMELINE.name(), &gone, &[]);
        }
        let more = self.places.has_listed()?;
        Ok(self.messages.clear(&mut self.book, most)? || more)
    }

    /// Loses a read mark that the log has.
    #[cfg(test)]
    pub fn forget_read_mark(&mut self, scope: &Scope, room: RoomId) -> Result<(), StoreError> {
        self.records.remove::<crate::store::views::Read>(&mut self.book, scope, &room.0)
    }
}
