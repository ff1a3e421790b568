//! A claim on a name: committed, confirmed by every node that is in sync both ways, and withdrawn if another's claim wins
//! or if nobody can know. It runs to its end even if whoever asked has gone.

use starling_protocol::{
    ErrorCode, EventDraft, NodeId, Pos, Scope, UserId, Username,
    event::{ClaimNarrowed, ClaimWithdrawn},
    replica::ClaimOutcome,
};
use starling_web::service::Refusal;

use super::admission::not_the_first;
use crate::{
    services::{ServiceContext, member_rooms::decisions::leaves},
    store::{Decide, Decision, Op, Records, Rows, StoreError, Tables},
};

/// The name belongs to another.
pub fn taken() -> Refusal {
    Refusal::new(ErrorCode::UsernameTaken, "this name belongs to another account; choose another")
}

/// Why a name is not free; nothing if it is.
pub fn refuse_taken<T: Rows>(records: &Records<T>, name: &Username) -> Result<Option<Refusal>, StoreError> {
    Ok(records.holder(name)?.map(|_| taken()))
}

/// Who claims a name.
#[derive(Clone)]
pub struct Claimant {
    /// Their account.
    pub user: UserId,
    /// The name.
    pub name: Username,
    /// Whether the claim must also make them the first administrator.
    pub is_setup: bool,
}

impl Claimant {
    /// Why a claim of theirs does not stand, by what is known here; nothing if it does.
    fn loses<T: Rows>(&self, records: &Records<T>, claim: Pos) -> Result<Option<Refusal>, StoreError> {
        if !records.claim_wins(&self.name, claim)? {
            return Ok(Some(taken()));
        }
        let is_second = self.is_setup && !records.makes_first_administrator(self.user, claim)?;
        Ok(is_second.then(not_the_first))
    }
}

/// Claims a name for a user, by the last event that `decide` comes to if the name is free; it is told for which nodes the
/// claim will wait, which that event must name.
pub async fn claim(
    base: &ServiceContext,
    claimant: Claimant,
    decide: impl FnOnce(Vec<NodeId>) -> Decide + Send + 'static,
) -> Result<Pos, Refusal> {
    let base = base.clone();
    let claimed = tokio::spawn(async move {
        let Some(claiming) = base.driver.begin_claim().await else {
            let detail =
                "this node is still catching up and cannot know whether the name is free; use another";
            return Err(Refusal::new(ErrorCode::Unavailable, detail));
        };
        let waited_for = claiming.waited_for.clone();
        let claim = base.commit(decide(waited_for.clone())).await?.ok_or_else(cannot_know)?;
        let refusal = match claiming.confirmed(claim.origin, claim.seq).await {
            ClaimOutcome::Held(heard) => {
                match stands(&base, claimant.clone(), claim, waited_for, heard).await {
                    Ok(()) => return Ok(claim),
                    Err(refusal) => refusal,
                }
            }
            ClaimOutcome::NotConfirmed | ClaimOutcome::Stalled => cannot_know(),
        };
        withdraw(&base, claimant.user, claimant.name, claim).await;
        Err(refusal)
    });
    claimed.await.unwrap_or_else(|_| Err(cannot_know()))
}

/// Refuses unless the claim stands, now that these nodes were heard.
async fn stands(
    base: &ServiceContext,
    claimant: Claimant,
    claim: Pos,
    waited_for: Vec<NodeId>,
    heard: Vec<NodeId>,
) -> Result<(), Refusal> {
    if heard.len() == waited_for.len() {
        let loses = base.look(move |records| claimant.loses(records, claim)).await?;
        return loses.map_or(Ok(()), Err);
    }
    // Others must not rely on it that this claim waited for them: it says so before it is decided.
    let narrowed = ClaimNarrowed { username: claimant.name.clone(), claim, waited_for: heard };
    let decide = Decide::new(move |tables: &Tables<'_>| {
        Ok(match claimant.loses(&tables.records, claim)? {
            Some(refusal) => Decision::Refuse(refusal),
            None => Decision::one(Scope::user(claimant.user), narrowed.clone()),
        })
    });
    base.commit(decide).await.map(drop)
}

async fn withdraw(base: &ServiceContext, user: UserId, username: Username, claim: Pos) {
    let withdrawn = ClaimWithdrawn { username, claim };
    let decide = Decide::new(move |tables: &Tables<'_>| {
        let records = &tables.records;
        let mut drafts = vec![EventDraft::new(Scope::user(user), withdrawn.clone())];
        // Who never was is in no room, with whatever invite he came.
        if records.account(user)?.is_some_and(|account| account.registered == Some(claim)) {
            for (room, _) in records.rooms_of(user)? {
                drafts.extend(leaves(records, room, user)?);
            }
        }
        Ok(Decision::Write(drafts))
    });
    // As a revocation: also if the disk is full for users.
    if base.revoke(decide.clone()).await.is_err() && !base.writer.try_op(Op::Decide(decide)) {
        tracing::warn!(%user, "a claim on a name could not be withdrawn: nobody can register it");
    }
}

fn cannot_know() -> Refusal {
    let detail = "the other nodes did not confirm in time that the name is free; try again";
    Refusal::new(ErrorCode::Unavailable, detail)
}
