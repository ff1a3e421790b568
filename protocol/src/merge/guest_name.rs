//! Guest names. If several guests have one name in a room at the same time, the first one is shown with the plain name
//! and the others as `name~xx`. A guest who takes a name that nobody uses any more is also shown with the plain name.
//!
//! A guest's span with a name reaches from their first claim to their last. A claim is a message, or a session during
//! which another guest had the name too ([`crate::event::NameShared`]). Guests whose spans overlap, directly or through
//! others, form one group. The guest of a group whose span begins first (on a tie the smallest id) is unsuffixed. In other
//! words: a guest is unsuffixed if no span that begins earlier reaches theirs. So the groups of a name are the union of
//! its spans, and the result depends only on the set of claims.

use serde::{Deserialize, Serialize};

use crate::{GuestId, GuestName, Hlc};

/// Digits and letters that people don't confuse.
const SUFFIX_DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A group of guests with overlapping spans. The groups of a name are disjoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlapGroup {
    /// The stamp of the first claim.
    pub start: Hlc,
    /// The guest who made the first claim: shown unsuffixed.
    pub holder: GuestId,
    /// The stamp of the last claim.
    pub end: Hlc,
}

/// The effects of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The new group of the claiming guest.
    pub group: OverlapGroup,
    /// The groups that it replaces.
    pub absorbed: Vec<OverlapGroup>,
    /// The guests whose shown name changes. Guests without a claim to the name are shown unsuffixed.
    pub renamed: Vec<GuestId>,
}

/// The claims of one guest to a name, as the log has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameClaim {
    /// The stamp of the guest's first claim.
    pub first: Hlc,
    /// The guest's group.
    pub group: OverlapGroup,
}

impl OverlapGroup {
    /// Returns a guest's span as a group of its own: from their first claim (`first`; `None` if this is it) to this
    /// claim, which reaches from `one` to `other`, in either order.
    pub fn span(guest: GuestId, first: Option<Hlc>, one: Hlc, other: Hlc) -> Self {
        let first = first.unwrap_or(one);
        Self { start: first.min(one).min(other), holder: guest, end: first.max(one).max(other) }
    }
}

/// Applies a claim to a name. `span` is its [`OverlapGroup::span`]. `known` says whether the guest claimed the name
/// before. `earlier` yields the name's groups that start at `span.end` or before, the latest first; it is read only as
/// far as the span reaches.
pub fn apply_claim<E>(
    span: OverlapGroup,
    known: bool,
    earlier: impl IntoIterator<Item = Result<OverlapGroup, E>>,
) -> Result<Claimed, E> {
    let (guest, mut group) = (span.holder, span);
    let mut absorbed = Vec::new();
    for other in earlier {
        let other = other?;
        if other.end < group.start {
            break;
        }
        (group.start, group.holder) = (group.start, group.holder).min((other.start, other.holder));
        group.end = group.end.max(other.end);
        absorbed.push(other);
    }
    let was_unsuffixed = !known || absorbed.iter().any(|before| before.holder == guest);
    let mut renamed: Vec<_> = absorbed.iter().map(|before| before.holder).collect();
    renamed.retain(|&holder| holder != group.holder && holder != guest);
    if was_unsuffixed != (group.holder == guest) {
        renamed.push(guest);
    }
    Ok(Claimed { group, absorbed, renamed })
}

/// Returns a guest's shown name: `name~xx` unless they are `unsuffixed`. The suffix is the same on every node and reveals
/// nothing else about the id. Names of the greatest length get it too.
pub fn shown_name(name: &GuestName, guest: GuestId, unsuffixed: bool) -> String {
    if unsuffixed { name.to_string() } else { format!("{name}{}", suffix(guest)) }
}

/// Returns the name that a guest typed. Programs reconnect with the shown name from `welcome`, so their own suffix is
/// removed.
pub fn strip_suffix(shown: &str, guest: GuestId) -> &str {
    shown.strip_suffix(&suffix(guest)).unwrap_or(shown)
}

fn suffix(guest: GuestId) -> String {
    let hash = blake3::derive_key("starling 2026 suffix of a shared guest name", &guest.0);
    let digit = |byte: u8| char::from(SUFFIX_DIGITS[usize::from(byte % 32)]);
    format!("~{}{}", digit(hash[0]), digit(hash[1]))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        convert::Infallible,
    };

    use proptest::{prelude::*, sample::subsequence};

    use super::*;

    /// A claim: (guest, from, to).
    type Claim = (u8, u64, u64);

    /// The stored state of one name.
    #[derive(Debug, Default, PartialEq)]
    struct Name {
        firsts: BTreeMap<GuestId, Hlc>,
        groups: BTreeMap<Hlc, OverlapGroup>,
    }

    impl Name {
        fn apply(&mut self, (guest, from, to): Claim) -> Vec<GuestId> {
            let (guest, from, to) = (GuestId([guest; 16]), Hlc(from), Hlc(to));
            let first = self.firsts.get(&guest).copied();
            let span = OverlapGroup::span(guest, first, from, to);
            let earlier = self.groups.range(..=span.end).rev().map(|(_, &group)| Ok::<_, Infallible>(group));
            let Ok(claimed) = apply_claim(span, first.is_some(), earlier);
            for group in claimed.absorbed {
                self.groups.remove(&group.start);
            }
            self.firsts.insert(guest, span.start);
            self.groups.insert(claimed.group.start, claimed.group);
            claimed.renamed
        }

        fn from_claims(claims: &[Claim]) -> Self {
            let mut name = Self::default();
            for &claim in claims {
                name.apply(claim);
            }
            name
        }

        fn unsuffixed(&self) -> BTreeSet<GuestId> {
            self.groups.values().map(|group| group.holder).collect()
        }
    }

    /// The rule as the module's documentation defines it: no span that begins earlier reaches theirs.
    fn unsuffixed_by_definition(claims: &[Claim]) -> BTreeSet<GuestId> {
        let mut spans = BTreeMap::new();
        for &(guest, from, to) in claims {
            let span = spans.entry(guest).or_insert((from, to));
            *span = (span.0.min(from), span.1.max(to));
        }
        let reaches = |(&one, (from, to)): (&u8, &(u64, u64)), other: u8, start: u64| {
            (*from, one) < (start, other) && *to >= start
        };
        let unsuffixed =
            |&(&guest, &(from, _)): &(&u8, &(u64, u64))| !spans.iter().any(|span| reaches(span, guest, from));
        spans.iter().filter(unsuffixed).map(|(&guest, _)| GuestId([guest; 16])).collect()
    }

    fn claims() -> impl Strategy<Value = Vec<Claim>> {
        let claim =
            (0_u8..5, 0_u64..40, 0_u64..6).prop_map(|(guest, from, length)| (guest, from, from + length));
        prop::collection::vec(claim, 1..12)
    }

    /// Programs reconnect with the name that they were shown, and must not get a second suffix.
    #[test]
    fn only_the_own_suffix_is_removed_from_a_shown_name() {
        let (own, other) = (GuestId([1; 16]), GuestId([2; 16]));
        let shown = shown_name(&GuestName::parse("ann").unwrap(), own, false);
        assert_eq!((strip_suffix(&shown, own), strip_suffix(&shown, other)), ("ann", &shown[..]));
        assert_eq!(strip_suffix("ann", own), "ann");
    }

    /// Every digit occurs: with fewer of them, two guests of one name would often be shown alike.
    #[test]
    fn suffixes_have_all_digits() {
        let suffixes: String = (0..200).map(|n| suffix(GuestId([n; 16]))).collect();
        let digits: BTreeSet<_> = suffixes.bytes().filter(|&byte| byte != b'~').collect();
        assert_eq!(digits, SUFFIX_DIGITS.iter().copied().collect());
    }

    proptest! {
        #[test]
        fn any_order_and_any_repetition_give_one_state_and_the_rule_holds(
            (all, order) in claims().prop_flat_map(|all| {
                let extra = subsequence(all.clone(), 0..=all.len());
                let order = extra.prop_map({
                    let all = all.clone();
                    move |extra| [all.clone(), extra].concat()
                });
                (Just(all), order.prop_shuffle())
            }),
        ) {
            let name = Name::from_claims(&all);
            prop_assert_eq!(&name, &Name::from_claims(&order));
            prop_assert_eq!(name.unsuffixed(), unsuffixed_by_definition(&all));
        }

        #[test]
        fn renamed_lists_exactly_the_guests_whose_shown_name_changes(all in claims()) {
            let mut name = Name::default();
            for claim in all {
                // A guest without a claim is shown unsuffixed.
                let shown_suffixed = |name: &Name| {
                    let unsuffixed = name.unsuffixed();
                    name.firsts.keys().copied().filter(|guest| !unsuffixed.contains(guest)).collect::<BTreeSet<_>>()
                };
                let before = shown_suffixed(&name);
                let renamed: BTreeSet<_> = name.apply(claim).into_iter().collect();
                let after = shown_suffixed(&name);
                prop_assert_eq!(renamed, before.symmetric_difference(&after).copied().collect());
            }
        }
    }

    #[test]
    fn a_guest_who_takes_an_unused_name_is_unsuffixed() {
        let name = Name::from_claims(&[(1, 1, 5), (2, 6, 9)]);
        assert_eq!(name.unsuffixed().len(), 2);
        let name = Name::from_claims(&[(1, 1, 6), (2, 6, 9)]);
        assert_eq!(name.unsuffixed(), [GuestId([1; 16])].into());
    }

    #[test]
    fn the_suffix_depends_on_the_guest_only_and_fits_the_longest_name() {
        let name = GuestName::parse(&"ß".repeat(crate::limits::GUEST_NAME_CHARS_MAX)).unwrap();
        assert_eq!(shown_name(&name, GuestId([7; 16]), true), name.as_str());
        let suffixed = shown_name(&name, GuestId([7; 16]), false);
        assert_eq!(suffixed, format!("{name}~{}", &suffixed[suffixed.len() - 2..]));
        let ann = shown_name(&GuestName::parse("Ann").unwrap(), GuestId([7; 16]), false);
        assert_eq!(ann[ann.len() - 2..], suffixed[suffixed.len() - 2..]);
    }
}
