//! A claim on a name: committed, confirmed by the peers in step, and withdrawn if an earlier one turns up or if nobody
//! can know. It runs to its end even if whoever asked has gone.

use starling_protocol::{
    ErrorCode, EventDraft, Pos, Scope, UserId, Username, event::ClaimWithdrawn, replica::ClaimOutcome,
};
use starling_web::service::Refusal;

use crate::{
    services::{Base, member_rooms::decisions::leaves},
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

/// Claims a name for a user, by the last event that `decide` comes to if the name is free.
pub async fn claim(base: &Base, user: UserId, name: Username, decide: Decide) -> Result<Pos, Refusal> {
    let base = base.clone();
    let claimed = tokio::spawn(async move {
        let Some(claiming) = base.driver.begin_claim() else {
            let detail =
                "this node is still catching up and cannot know whether the name is free; use another";
            return Err(Refusal::new(ErrorCode::Unavailable, detail));
        };
        let claim = base.commit(decide).await?.ok_or_else(cannot_know)?;
        let refusal = match claiming.confirmed(claim.origin, claim.seq).await {
            ClaimOutcome::Held => match is_first(&base, name.clone(), claim).await {
                Ok(true) => return Ok(claim),
                Ok(false) => taken(),
                Err(refusal) => refusal,
            },
            ClaimOutcome::NotConfirmed | ClaimOutcome::Stalled => cannot_know(),
        };
        withdraw(&base, user, name, claim).await;
        Err(refusal)
    });
    claimed.await.unwrap_or_else(|_| Err(cannot_know()))
}

async fn is_first(base: &Base, name: Username, claim: Pos) -> Result<bool, Refusal> {
    base.look(move |records| Ok(records.claims(&name)?.first().is_some_and(|&(first, _)| first == claim)))
        .await
}

async fn withdraw(base: &Base, user: UserId, username: Username, claim: Pos) {
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
