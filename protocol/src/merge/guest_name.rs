//! Of the guests who had one name in a room at the same time, the one who had it first is shown under it and the
//! others as `name~xx`. Who takes a name that nobody has any more is shown under it as well.
//!
//! A guest's span under a name goes from his first claim to his last: a message, or a session during which somebody
//! else had the name too ([`crate::event::NameShared`]). Guests whose spans overlap, be it through others between
//! them, form one run. Of each run the guest whose span begins first (of equal ones the smallest id) is shown unsuffixed:
//! he is unsuffixed if and only if no span that begins before his reaches it. So the runs of a name are the union of its
//! spans, and who is unsuffixed depends on the set of claims alone.

use serde::{Deserialize, Serialize};

use crate::{GuestId, GuestName, Hlc};

/// Digits and letters that are not mistaken for one another.
const SUFFIX_DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Guests whose spans overlap. The runs of a name are disjoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlapGroup {
    /// The first claim.
    pub start: Hlc,
    /// Who made it: shown unsuffixed.
    pub holder: GuestId,
    /// The last claim.
    pub end: Hlc,
}

/// What a claim leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// His run now.
    pub run: OverlapGroup,
    /// The runs that it replaces.
    pub absorbed: Vec<OverlapGroup>,
    /// The guests who are shown otherwise than before; who had not claimed the name was shown unsuffixed.
    pub renamed: Vec<GuestId>,
}

/// A guest as the log knows him under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameClaim {
    /// His first claim.
    pub first: Hlc,
    /// The run that he belongs to.
    pub run: OverlapGroup,
}

impl OverlapGroup {
    /// The part of a guest's span that is known from a claim between two stamps, and from his first claim before.
    pub fn span(guest: GuestId, first: Option<Hlc>, one: Hlc, other: Hlc) -> Self {
        let first = first.unwrap_or(one);
        Self { start: first.min(one).min(other), holder: guest, end: first.max(one).max(other) }
    }
}

/// Applies a claim to a name. `span` is [`OverlapGroup::span`] of it; `known` says whether its guest claimed the name before;
/// `earlier` gives the name's runs that start at `span.end` or before, the latest first, and is read no further than
/// the span reaches.
pub fn claimed<E>(
    span: OverlapGroup,
    known: bool,
    earlier: impl IntoIterator<Item = Result<OverlapGroup, E>>,
) -> Result<Claimed, E> {
    let (guest, mut run) = (span.holder, span);
    let mut absorbed = Vec::new();
    for touched in earlier {
        let touched = touched?;
        if touched.end < run.start {
            break;
        }
        (run.start, run.holder) = (run.start, run.holder).min((touched.start, touched.holder));
        run.end = run.end.max(touched.end);
        absorbed.push(touched);
    }
    let was_bare = !known || absorbed.iter().any(|before| before.holder == guest);
    let mut renamed: Vec<_> = absorbed.iter().map(|before| before.holder).collect();
    renamed.retain(|&holder| holder != run.holder && holder != guest);
    if was_bare != (run.holder == guest) {
        renamed.push(guest);
    }
    Ok(Claimed { run, absorbed, renamed })
}

/// The name under which a guest is shown: `name~xx` unless he is `unsuffixed`. The suffix is the same everywhere and says
/// nothing else of his id. A name of the greatest length gets it too.
pub fn shown(name: &GuestName, guest: GuestId, unsuffixed: bool) -> String {
    if unsuffixed { name.to_string() } else { format!("{name}{}", suffix(guest)) }
}

/// The name that a guest typed who says under which one they are shown: programs come back with what `welcome` said.
pub fn typed(shown: &str, guest: GuestId) -> &str {
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

    /// A claim: guest, from, to.
    type Claim = (u8, u64, u64);

    /// What a store keeps of one name.
    #[derive(Debug, Default, PartialEq)]
    struct Name {
        firsts: BTreeMap<GuestId, Hlc>,
        runs: BTreeMap<Hlc, OverlapGroup>,
    }

    impl Name {
        fn apply(&mut self, (guest, from, to): Claim) -> Vec<GuestId> {
            let (guest, from, to) = (GuestId([guest; 16]), Hlc(from), Hlc(to));
            let first = self.firsts.get(&guest).copied();
            let span = OverlapGroup::span(guest, first, from, to);
            let earlier = self.runs.range(..=span.end).rev().map(|(_, &run)| Ok::<_, Infallible>(run));
            let Ok(claimed) = claimed(span, first.is_some(), earlier);
            for run in claimed.absorbed {
                self.runs.remove(&run.start);
            }
            self.firsts.insert(guest, span.start);
            self.runs.insert(claimed.run.start, claimed.run);
            claimed.renamed
        }

        fn of(claims: &[Claim]) -> Self {
            let mut name = Self::default();
            for &claim in claims {
                name.apply(claim);
            }
            name
        }

        fn unsuffixed(&self) -> BTreeSet<GuestId> {
            self.runs.values().map(|run| run.holder).collect()
        }
    }

    /// The rule as it is told: nobody whose span begins before his reaches it.
    fn bare_by_the_rule(claims: &[Claim]) -> BTreeSet<GuestId> {
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
            let name = Name::of(&all);
            prop_assert_eq!(&name, &Name::of(&order));
            prop_assert_eq!(name.unsuffixed(), bare_by_the_rule(&all));
        }

        #[test]
        fn exactly_those_who_are_shown_otherwise_are_told(all in claims()) {
            let mut name = Name::default();
            for claim in all {
                // Who has not claimed the name yet is shown unsuffixed.
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
    fn who_takes_a_name_that_nobody_has_any_more_is_bare() {
        let name = Name::of(&[(1, 1, 5), (2, 6, 9)]);
        assert_eq!(name.unsuffixed().len(), 2);
        let name = Name::of(&[(1, 1, 6), (2, 6, 9)]);
        assert_eq!(name.unsuffixed(), [GuestId([1; 16])].into());
    }

    #[test]
    fn the_suffix_is_stable_and_fits_behind_the_longest_name() {
        let name = GuestName::parse(&"ß".repeat(crate::limits::GUEST_NAME_CHARS_MAX)).unwrap();
        assert_eq!(shown(&name, GuestId([7; 16]), true), name.as_str());
        let suffixed = shown(&name, GuestId([7; 16]), false);
        assert_eq!(suffixed, format!("{name}~{}", &suffixed[suffixed.len() - 2..]));
        let ann = shown(&GuestName::parse("Ann").unwrap(), GuestId([7; 16]), false);
        assert_eq!(ann[ann.len() - 2..], suffixed[suffixed.len() - 2..]);
    }
}
