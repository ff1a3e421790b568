//! The views of guest names: the first claims, and the guests that shared a name. The rule is `protocol`'s
//! `merge::guest_name`; this stores its state, at most two rows per guest and name.

use std::collections::BTreeSet;

use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableHandle,
    WriteTransaction,
};
use starling_protocol::{
    GuestId, GuestName, Hlc, RoomId, Scope,
    merge::guest_name::{self, NameClaim, OverlapGroup},
};

use super::{
    StoreError,
    apply::{get, parse, put},
    digests::DigestBook,
    tables::{self, NAME_CLAIMS, NAME_GROUPS, NameKey},
};

/// Both tables, writable or read-only.
#[derive(Debug)]
pub struct Names<C, R> {
    claims: C,
    groups: R,
    /// Guests whose shown name has changed in this transaction, with their rooms.
    renamed: BTreeSet<(RoomId, GuestId)>,
}

type Claims<'txn> = Table<'txn, &'static [u8; 42], &'static [u8]>;
type Groups<'txn> = Table<'txn, &'static [u8; 34], &'static [u8]>;

/// Names in a write transaction.
pub type NamesWriter<'txn> = Names<Claims<'txn>, Groups<'txn>>;
/// Names in a read transaction.
pub type NamesReader =
    Names<ReadOnlyTable<&'static [u8; 42], &'static [u8]>, ReadOnlyTable<&'static [u8; 34], &'static [u8]>>;

impl NamesReader {
    pub fn read(transaction: &ReadTransaction) -> Result<Self, StoreError> {
        let (claims, groups) = (transaction.open_table(NAME_CLAIMS)?, transaction.open_table(NAME_GROUPS)?);
        Ok(Self { claims, groups, renamed: BTreeSet::new() })
    }
}

impl<C, R> Names<C, R>
where
    C: ReadableTable<&'static [u8; 42], &'static [u8]>,
    R: ReadableTable<&'static [u8; 34], &'static [u8]>,
{
    /// Reads a guest's claim to a name; `None` if they never claimed it.
    pub fn name_claim(
        &self,
        room: RoomId,
        name: &GuestName,
        guest: GuestId,
    ) -> Result<Option<NameClaim>, StoreError> {
        let key = tables::guest_name_key(room, name);
        let Some(first): Option<Hlc> = get(&self.claims, &tables::name_claim_key(key, guest))? else {
            return Ok(None);
        };
        let group = self.groups_up_to(key, first)?.next().transpose()?;
        let group =
            group.ok_or_else(|| StoreError::Corrupt("a guest name belongs to no overlap group".into()))?;
        Ok(Some(NameClaim { first, group }))
    }

    /// Returns the shown name of a guest in a room.
    pub fn shown(&self, room: RoomId, guest: GuestId, name: &GuestName) -> Result<String, StoreError> {
        let claim = self.name_claim(room, name, guest)?;
        Ok(guest_name::shown_name(name, guest, claim.is_none_or(|claim| claim.group.holder == guest)))
    }

    /// Returns the overlap groups of a name that start at `end` or earlier, the latest first.
    fn groups_up_to(
        &self,
        key: NameKey,
        end: Hlc,
    ) -> Result<impl Iterator<Item = Result<OverlapGroup, StoreError>>, StoreError> {
        let (first, last) = (tables::name_group_key(key, Hlc(0)), tables::name_group_key(key, end));
        let entries = self.groups.range::<&[u8; 34]>(&first..=&last)?;
        Ok(entries.rev().map(|entry| parse(entry?.1.value())))
    }
}

impl<'txn> NamesWriter<'txn> {
    pub fn open(transaction: &'txn WriteTransaction) -> Result<Self, StoreError> {
        let (claims, groups) = (transaction.open_table(NAME_CLAIMS)?, transaction.open_table(NAME_GROUPS)?);
        Ok(Self { claims, groups, renamed: BTreeSet::new() })
    }

    /// Applies a guest's claim between two stamps and updates the digests in `book`; returns the shown name of the
    /// guest.
    pub fn claim(
        &mut self,
        book: &mut DigestBook,
        room: RoomId,
        name: &GuestName,
        guest: GuestId,
        (one, other): (Hlc, Hlc),
    ) -> Result<String, StoreError> {
        let (scope, key) = (Scope::room(room), tables::guest_name_key(room, name));
        let claim_key = tables::name_claim_key(key, guest);
        let first: Option<Hlc> = get(&self.claims, &claim_key)?;
        let span = OverlapGroup::span(guest, first, one, other);
        let claimed = guest_name::apply_claim(span, first.is_some(), self.groups_up_to(key, span.end)?)?;
        if first != Some(span.start) {
            put(&mut self.claims, book, [&scope; 2], &claim_key, &span.start)?;
        }
        for group in claimed.absorbed.iter().filter(|group| group.start != claimed.group.start) {
            let gone = tables::name_group_key(key, group.start);
            let name = self.groups.name().to_owned();
            if let Some(record) = self.groups.remove(&gone)? {
                book.removed(&scope, &name, &gone, record.value());
            }
        }
        if claimed.absorbed != [claimed.group] {
            put(
                &mut self.groups,
                book,
                [&scope; 2],
                &tables::name_group_key(key, claimed.group.start),
                &claimed.group,
            )?;
        }
        self.renamed.extend(claimed.renamed.into_iter().map(|guest| (room, guest)));
        Ok(guest_name::shown_name(name, guest, claimed.group.holder == guest))
    }

    /// Removes at most `most` rows, and their digests; returns whether more may be left.
    pub fn clear(&mut self, book: &mut DigestBook, most: usize) -> Result<bool, StoreError> {
        let name = self.claims.name().to_owned();
        for _ in 0..most {
            let Some((key, record)) = self.claims.pop_first()? else { break };
            book.removed(&Scope::room(tables::name_room(key.value())), &name, key.value(), record.value());
        }
        let name = self.groups.name().to_owned();
        for _ in 0..most {
            let Some((key, record)) = self.groups.pop_first()? else { break };
            book.removed(&Scope::room(tables::name_room(key.value())), &name, key.value(), record.value());
        }
        Ok(!self.claims.is_empty()? || !self.groups.is_empty()?)
    }

    /// The guests that were renamed in this transaction.
    pub fn renamed(&self) -> &BTreeSet<(RoomId, GuestId)> {
        &self.renamed
    }
}
