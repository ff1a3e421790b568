//! Claims on names. A claim is committed, then confirmed by every node that is in sync both ways; it is withdrawn if
//! another claim wins, or if the confirmations don't arrive in time. It runs to its end even if the client disconnects.

use starling_protocol::{
    ErrorCode, EventDraft, NodeId, Pos, Scope, UserId, Username,
    event::{ClaimNarrowed, ClaimWithdrawn},
    replica::ClaimOutcome,
    texts,
};
use starling_web::service::Refusal;

use super::admission::not_the_first;
use crate::{
    permissions::rooms::Denied,
    services::{
        ServiceContext,
        member_rooms::decisions::{decision, leave_drafts},
    },
    store::{Decide, Decision, Op, Records, Rows, Tables},
};

/// The refusal of a name that another account has.
pub fn taken() -> Refusal {
    Refusal::new(ErrorCode::UsernameTaken, texts::accounts::NAME_TAKEN)
}

/// Refuses a name that another account has.
pub fn check_free<T: Rows>(records: &Records<T>, name: &Username) -> Result<(), Denied> {
    if records.holder(name)?.is_some() { Err(taken().into()) } else { Ok(()) }
}

/// An account that claims a name.
#[derive(Clone)]
pub struct Claimant {
    pub user: UserId,
    pub name: Username,
    /// Whether the claim must also make them the first administrator.
    pub is_setup: bool,
}

impl Claimant {
    /// Refuses a claim that has lost, as far as this node knows.
    fn check_won<T: Rows>(&self, records: &Records<T>, claim: Pos) -> Result<(), Denied> {
        if !records.may_grant_claim(&self.name, claim)? {
            return Err(taken().into());
        }
        if self.is_setup && !records.makes_first_administrator(self.user, claim)? {
            return Err(not_the_first().into());
        }
        Ok(())
    }
}

/// Claims a name. `decide` gets the nodes for which the claim will wait, and must name them in the last event that it
/// writes, which is the claim. Returns the position of the claim.
pub async fn claim(
    context: &ServiceContext,
    claimant: Claimant,
    decide: impl FnOnce(Vec<NodeId>) -> Decide + Send + 'static,
) -> Result<Pos, Refusal> {
    let context = context.clone();
    let claimed = tokio::spawn(async move {
        let Some(claiming) = context.driver.begin_claim().await else {
            return Err(Refusal::new(ErrorCode::Unavailable, texts::accounts::NAME_UNKNOWN_HERE));
        };
        let waited_for = claiming.waited_for.clone();
        let claim = context.commit_local(decide(waited_for.clone())).await?.ok_or_else(cannot_know)?;
        let refusal = match claiming.confirmed(claim.origin, claim.seq).await {
            ClaimOutcome::Confirmed(confirmed_by) => {
                match settle_claim(&context, claimant.clone(), claim, waited_for, confirmed_by).await {
                    Ok(()) => return Ok(claim),
                    Err(refusal) => refusal,
                }
            }
            ClaimOutcome::NotConfirmed | ClaimOutcome::Stalled => cannot_know(),
        };
        withdraw(&context, claimant.user, claimant.name, claim).await;
        Err(refusal)
    });
    claimed.await.unwrap_or_else(|_| Err(cannot_know()))
}

/// Refuses a claim that has lost; otherwise narrows it to the nodes that confirmed it.
async fn settle_claim(
    context: &ServiceContext,
    claimant: Claimant,
    claim: Pos,
    waited_for: Vec<NodeId>,
    confirmed_by: Vec<NodeId>,
) -> Result<(), Refusal> {
    if confirmed_by.len() == waited_for.len() {
        return context.query_local(move |store| claimant.check_won(&store.records()?, claim)).await;
    }
    // Written before the outcome: nodes that did not confirm must not rely on this claim having waited for them.
    let narrowed = ClaimNarrowed { username: claimant.name.clone(), claim, confirmed_by };
    let decide = Decide::new(move |tables: &Tables<'_>| {
        let won = claimant.check_won(&tables.records, claim);
        decision(won.map(|()| vec![EventDraft::new(Scope::user(claimant.user), narrowed.clone())]))
    });
    context.commit_local(decide).await.map(drop)
}

async fn withdraw(context: &ServiceContext, user: UserId, username: Username, claim: Pos) {
    let withdrawn = ClaimWithdrawn { username, claim };
    let decide = Decide::new(move |tables: &Tables<'_>| {
        let records = &tables.records;
        let mut drafts = vec![EventDraft::new(Scope::user(user), withdrawn.clone())];
        // An account that never existed must not stay in the room of its invite.
        if records.account_state(user)?.is_some_and(|account| account.registered == Some(claim)) {
            for (room, _) in records.rooms_of(user)? {
                drafts.extend(leave_drafts(records, room, user)?);
            }
        }
        Ok(Decision::Write(drafts))
    });
    // May use the reserve of a full disk.
    if context.commit_and_replicate_from_reserve_without_catch_up(decide.clone()).await.is_err()
        && !context.writer.try_op(Op::Decide(decide))
    {
        tracing::warn!(%user, "a claim on a name could not be withdrawn: nobody can register this name");
    }
}

fn cannot_know() -> Refusal {
    Refusal::new(ErrorCode::Unavailable, texts::accounts::NAME_UNCONFIRMED)
}
