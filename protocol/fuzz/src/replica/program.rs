//! Reads the bytes of an input as a program: interesting numbers, and frames from peers.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use starling_protocol::{
    Event, EventBody, EventDraft, Fold, FoldRank, Hlc, NodeId, OriginId, Scope, ScopeDigest, Seq,
    VectorFolded,
    folded_vector::SignedSeq,
    frame::{
        peer::{ClaimAnswer, Confirm, PeerFrame, ReplicaFrame},
        vector_part::{VectorFrame, VectorPart},
    },
    replica::HelloFolds,
};

use super::WALL_MS;

pub const fn origin(n: u8) -> OriginId {
    OriginId { node: NodeId([n; 16]), incarnation: n as u64 }
}

pub fn event(origin: OriginId, seq: Seq) -> Bytes {
    let body = EventBody::Unknown { kind: 999, payload: Bytes::new() };
    let draft = EventDraft { scope: Scope { kind: 0, id: Box::default() }, body, above_hlc: None };
    Event::new(origin, seq, Hlc(seq.0), draft).encoded().clone()
}

/// Returns one of three folds.
pub fn fold(n: u8) -> Arc<Fold> {
    let n = n % 3 + 1;
    let folded = VectorFolded::new(None, (2..=n + 1).map(|peer| (origin(peer), Seq(u64::from(n) * 10))));
    Fold::expand(None, [((origin(2), Seq(1)), folded)]).expect("it has no base")
}

/// Returns the folds in the hellos of a link: the lowest bit says whether there are any.
pub fn hello_folds(choice: u8) -> Option<HelloFolds> {
    let (own, peers) = (fold(choice >> 1), fold(choice >> 2));
    (choice & 1 == 1).then(|| HelloFolds { own: vec![own], peers: vec![peers.rank()] })
}

/// A program: each byte is a choice.
pub struct Program<'a>(pub &'a [u8]);

impl Program<'_> {
    pub fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// Reads a small number, or one near the end of the range.
    pub fn number(&mut self) -> Option<u64> {
        let byte = u64::from(self.byte()?);
        Some(if byte < 250 { byte } else { u64::MAX - (255 - byte) })
    }

    pub fn seq(&mut self) -> Option<Seq> {
        self.number().map(Seq)
    }

    /// Reads an origin of this node or of one of three peers.
    pub fn origin(&mut self) -> Option<OriginId> {
        self.byte().map(|byte| origin(byte % 4 + 1))
    }

    fn entries(&mut self) -> Option<Vec<(OriginId, Seq)>> {
        (0..self.byte()? % 5).map(|_| Some((self.origin()?, self.seq()?))).collect()
    }

    /// Reads one of a few digests, so that contradictions are frequent.
    fn digest(&mut self) -> Option<ScopeDigest> {
        let byte = self.byte()?;
        let mut bytes = [0; 32];
        (bytes[0], bytes[16]) = (byte & 1, byte >> 1 & 1);
        Some(ScopeDigest::from_bytes(&bytes))
    }

    pub fn digests(&mut self) -> Option<Vec<(u8, ScopeDigest)>> {
        (0..self.byte()? % 4).map(|_| Some((self.byte()?, self.digest()?))).collect()
    }

    pub fn scopes(&mut self) -> Option<Vec<(Scope, ScopeDigest)>> {
        let digests = self.digests()?.into_iter();
        Some(digests.map(|(id, digest)| (Scope { kind: 0, id: [id].into() }, digest)).collect())
    }

    /// Reads consecutive events, or unrelated ones, or a malformed one.
    fn events(&mut self) -> Option<Vec<Bytes>> {
        let (origin, first, choice) = (self.origin()?, self.seq()?, self.byte()?);
        let count = u64::from(choice % 4);
        Some(match choice / 64 {
            0 => vec![Bytes::from_static(b"\x01no event")],
            1 => vec![event(origin, first), event(self.origin()?, self.seq()?)],
            _ => (0..count).map(|n| event(origin, first.saturating_add(n))).collect(),
        })
    }

    /// Reads a frame about claims to usernames.
    fn claim_frame(&mut self, kind: u8) -> Option<ReplicaFrame> {
        Some(match kind {
            253 => {
                let peers = self.entries()?.into_iter();
                ReplicaFrame::Peers(
                    peers
                        .map(|(origin, age)| (origin.node, u32::try_from(age.0).unwrap_or(u32::MAX)))
                        .collect(),
                )
            }
            254 => {
                let (origin, seq, flags) = (self.origin()?, self.seq()?, self.byte()?);
                let relay_to = if flags & 1 == 0 { None } else { Some(self.origin()?.node) };
                ReplicaFrame::AskClaim { origin, seq, relay_to }
            }
            _ => {
                let (origin, seq, flags) = (self.origin()?, self.seq()?, self.byte()?);
                let answered_by = if flags & 1 == 0 { None } else { Some(self.origin()?.node) };
                let held = if flags & 2 == 0 { None } else { Some(self.entries()?.into_iter().collect()) };
                let would_wait_for_claimer = flags & 4 != 0;
                ReplicaFrame::ClaimAnswer(ClaimAnswer {
                    origin,
                    seq,
                    answered_by,
                    held,
                    would_wait_for_claimer,
                })
            }
        })
    }

    /// Reads the rank of a fold, or of none that there is.
    fn fold_rank(&mut self) -> Option<FoldRank> {
        let byte = self.byte()?;
        let rank = fold(byte).rank();
        Some(FoldRank { generation: rank.generation + u64::from(byte / 250), ..rank })
    }

    /// Reads a part of a frame with a vector.
    fn vector_part(&mut self) -> Option<ReplicaFrame> {
        let choice = self.byte()?;
        let (origin, seq) = (self.origin()?, self.seq()?);
        let frame = match choice % 4 {
            0 => VectorFrame::Vector,
            1 => VectorFrame::Confirm(Confirm {
                in_sync: choice & 8 != 0,
                wall_ms: WALL_MS,
                ..Confirm::default()
            }),
            2 => VectorFrame::Probed(self.number()?),
            _ => {
                let (answered_by, held) = (None, None);
                let answer = ClaimAnswer { origin, seq, answered_by, held, would_wait_for_claimer: true };
                VectorFrame::ClaimAnswer(answer)
            }
        };
        let fold = if choice & 16 == 0 { None } else { Some(self.fold_rank()?) };
        let sign = |(origin, seq): (_, Seq)| {
            (origin, if seq.0.is_multiple_of(2) { SignedSeq::Above(seq) } else { SignedSeq::Below(seq) })
        };
        let difference: BTreeMap<_, _> = self.entries()?.into_iter().map(sign).collect();
        let entries_max = usize::from(choice / 64) + 1;
        let parts = VectorPart::split(self.number()?, fold, difference, entries_max, &frame);
        let which = usize::from(self.byte()?) % parts.len();
        let mut part = parts.into_iter().nth(which)?;
        if choice & 32 != 0 {
            (part.part, part.parts) = (u32::try_from(self.number()?).unwrap_or(u32::MAX), part.parts);
        }
        Some(ReplicaFrame::VectorPart(part))
    }

    pub fn frame(&mut self) -> Option<ReplicaFrame> {
        let kind = self.byte()?;
        match kind {
            250 => return self.vector_part(),
            251 => {
                let ranks: Option<_> = (0..self.byte()? % 12).map(|_| self.fold_rank()).collect();
                return ranks.map(ReplicaFrame::Folds);
            }
            252 => {
                let origins: Option<_> = (0..self.byte()? % 5).map(|_| self.origin()).collect();
                return origins.map(ReplicaFrame::LiveOrigins);
            }
            _ => {}
        }
        if kind >= 253 {
            return self.claim_frame(kind);
        }
        Some(match kind % 11 {
            0 => ReplicaFrame::Vector(self.entries()?.into_iter().collect()),
            1 => {
                let (new_heads, flags) = (self.entries()?, self.byte()?);
                let own_head = if flags & 2 == 0 { None } else { Some((self.origin()?, self.seq()?)) };
                let wall_ms = if flags & 4 == 0 { WALL_MS } else { self.number()? };
                let (in_sync, stalled, refilling) = (flags & 1 != 0, flags & 8 != 0, flags & 16 != 0);
                ReplicaFrame::Confirm(Confirm { new_heads, own_head, in_sync, stalled, refilling, wall_ms })
            }
            2 => ReplicaFrame::Pull { origin: self.origin()?, from: self.seq()?, to: self.seq()? },
            3 => ReplicaFrame::Push(self.events()?),
            4 => ReplicaFrame::Pulled { origin: self.origin()?, events: self.events()? },
            5 => ReplicaFrame::Probe(self.number()?),
            6 => ReplicaFrame::Probed(self.number()?, self.entries()?.into_iter().collect()),
            7 => ReplicaFrame::Digests(self.digests()?),
            8 => ReplicaFrame::AskScopes(self.byte()?),
            9 => ReplicaFrame::Scopes(self.byte()?, self.scopes()?),
            _ => {
                let length = usize::from(self.byte()?).min(self.0.len());
                let (raw, rest) = self.0.split_at(length);
                self.0 = rest;
                match PeerFrame::decode(raw) {
                    Ok(PeerFrame::Replica(frame)) => frame,
                    _ => ReplicaFrame::Push(Vec::new()),
                }
            }
        })
    }
}

/// Returns the origins in a frame.
pub fn named_origins(frame: &ReplicaFrame) -> Vec<OriginId> {
    let event_origin = |bytes: &Bytes| Event::decode(bytes.clone()).ok().map(|event| event.origin);
    match frame {
        ReplicaFrame::Push(events) => events.iter().filter_map(event_origin).collect(),
        ReplicaFrame::Pulled { origin, events } => {
            events.iter().filter_map(event_origin).chain([*origin]).collect()
        }
        ReplicaFrame::Vector(vector) | ReplicaFrame::Probed(_, vector) => {
            vector.iter().map(|(origin, _)| origin).collect()
        }
        ReplicaFrame::Confirm(confirm) => {
            confirm.new_heads.iter().chain(&confirm.own_head).map(|(origin, _)| *origin).collect()
        }
        ReplicaFrame::Pull { origin, .. } | ReplicaFrame::AskClaim { origin, .. } => vec![*origin],
        ReplicaFrame::ClaimAnswer(answer) => {
            let held = answer.held.iter().flat_map(|held| held.iter().map(|(origin, _)| origin));
            held.chain([answer.origin]).collect()
        }
        ReplicaFrame::VectorPart(part) => {
            let claim = match &part.frame {
                VectorFrame::ClaimAnswer(answer) => Some(answer.origin),
                VectorFrame::Confirm(confirm) => confirm.own_head.map(|(origin, _)| origin),
                VectorFrame::Vector | VectorFrame::Probed(_) => None,
            };
            part.entries().map(|(origin, _)| origin).chain(claim).collect()
        }
        ReplicaFrame::LiveOrigins(origins) => origins.clone(),
        ReplicaFrame::Folds(_)
        | ReplicaFrame::Peers(_)
        | ReplicaFrame::Probe(_)
        | ReplicaFrame::Digests(_)
        | ReplicaFrame::AskScopes(_)
        | ReplicaFrame::Scopes(..)
        | ReplicaFrame::Views(_) => Vec::new(),
    }
}
