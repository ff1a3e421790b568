//! The views of guest names: the first claims, and the guests that shared a name. The rule is `protocol`'s
//! `merge::guest_name`; this stores its state, at most two rows per guest and name.

use std::collections::{BTreeMap, BTreeSet};

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
    /// The last claims of this transaction.
    known: BTreeMap<(RoomId, GuestId), KnownClaim>,
    /// The last groups of names that were claimed in this transaction.
    last_groups: BTreeMap<NameKey, LastGroup>,
}

/// A claim to a name by a guest who claimed it before.
#[derive(Debug)]
struct KnownClaim {
    name: GuestName,
    key: NameKey,
    first: Hlc,
}

/// The last group of a name. Each message of a guest extends it: that is written at the end of the transaction.
#[derive(Debug)]
struct LastGroup {
    room: RoomId,
    stored: OverlapGroup,
    now: OverlapGroup,
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
        Ok(Self::new(claims, groups))
    }
}

impl<C, R> Names<C, R> {
    fn new(claims: C, groups: R) -> Self {
        let (known, last_groups) = (BTreeMap::new(), BTreeMap::new());
        Self { claims, groups, renamed: BTreeSet::new(), known, last_groups }
    }

    fn known(&self, room: RoomId, name: &GuestName, guest: GuestId) -> Option<&KnownClaim> {
        self.known.get(&(room, guest)).filter(|known| known.name == *name)
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
        if let Some(known) = self.known(room, name, guest)
            && let Some(last) = self.last_groups.get(&known.key)
            && known.first >= last.now.start
        {
            return Ok(guest_name::shown_name(name, guest, last.now.holder == guest));
        }
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
        Ok(Self::new(claims, groups))
    }

    /// Applies a guest's claim between two stamps and updates the digests in `book`.
    pub fn claim(
        &mut self,
        book: &mut DigestBook,
        room: RoomId,
        name: &GuestName,
        guest: GuestId,
        (one, other): (Hlc, Hlc),
    ) -> Result<(), StoreError> {
        let (key, first) = if let Some(known) = self.known(room, name, guest) {
            (known.key, Some(known.first))
        } else {
            let key = tables::guest_name_key(room, name);
            (key, get(&self.claims, &tables::name_claim_key(key, guest))?)
        };
        let span = OverlapGroup::span(guest, first, one, other);
        if first != Some(span.start) || !self.extend_last_group(room, key, span)? {
            self.write_last_group(book, key)?;
            self.claim_in_tables(book, room, key, first, span)?;
        }
        if first != Some(span.start) || self.known(room, name, guest).is_none() {
            self.known.insert((room, guest), KnownClaim { name: name.clone(), key, first: span.start });
        }
        Ok(())
    }

    /// Extends the last group of a name to the end of a span that begins in it: the others then stay as they are, and
    /// nobody is renamed. Returns `false` if the span begins before it.
    fn extend_last_group(
        &mut self,
        room: RoomId,
        key: NameKey,
        span: OverlapGroup,
    ) -> Result<bool, StoreError> {
        if !self.last_groups.contains_key(&key) {
            let last = self.groups_up_to(key, Hlc(u64::MAX))?.next().transpose()?;
            let Some(stored) = last else { return Ok(false) };
            self.last_groups.insert(key, LastGroup { room, stored, now: stored });
        }
        let last = self.last_groups.get_mut(&key).filter(|last| last.now.start <= span.start);
        if let Some(last) = last {
            last.now.end = last.now.end.max(span.end);
            return Ok(true);
        }
        Ok(false)
    }

    /// Writes the last group of a name if it was extended, and forgets it.
    fn write_last_group(&mut self, book: &mut DigestBook, key: NameKey) -> Result<(), StoreError> {
        if let Some(LastGroup { room, stored, now }) = self.last_groups.remove(&key)
            && now != stored
        {
            let row = tables::name_group_key(key, now.start);
            put(&mut self.groups, book, [&Scope::room(room); 2], &row, &now)?;
        }
        Ok(())
    }

    /// Writes the groups that were extended.
    pub fn flush(&mut self, book: &mut DigestBook) -> Result<(), StoreError> {
        while let Some((&key, _)) = self.last_groups.first_key_value() {
            self.write_last_group(book, key)?;
        }
        Ok(())
    }

    fn claim_in_tables(
        &mut self,
        book: &mut DigestBook,
        room: RoomId,
        key: NameKey,
        first: Option<Hlc>,
        span: OverlapGroup,
    ) -> Result<(), StoreError> {
        let (scope, guest) = (Scope::room(room), span.holder);
        let claim_key = tables::name_claim_key(key, guest);
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
        Ok(())
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
