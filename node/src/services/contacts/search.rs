//! The search for people by the beginning of a name. It gives a few, never all.

use std::collections::BTreeSet;

use starling_protocol::{
    UserId,
    text::{fold_query, folded},
};
use starling_web::objects::User;

use crate::{
    services::render,
    store::{Records, Rows, StoreError},
};

/// Names examined of either kind, at most: enough to find some even if most belong to hidden accounts.
const NAMES_MAX: usize = 500;

/// People whose username or display name begins with a text, ignoring case. Leaves out the viewer, users who have blocked
/// them, and disabled and deleted accounts.
pub fn people<T: Rows>(
    records: &Records<T>,
    viewer: UserId,
    text: &str,
    limit: usize,
) -> Result<Vec<User>, StoreError> {
    let folded_text = fold_query(text);
    let name = text.to_ascii_lowercase();
    // An account shown as `name~xxxx` has claimed `name`.
    let claimed = name.split('~').next().unwrap_or_default();
    let named = records.users_by_username_prefix(claimed)?.take(NAMES_MAX);
    let shown = records.users_by_display_name_prefix(&folded_text)?.take(NAMES_MAX);
    let (mut found, mut seen) = (Vec::new(), BTreeSet::from([viewer]));
    for user in named.chain(shown) {
        let user = user?;
        if !seen.insert(user) || !may_be_found(records, viewer, user)? {
            continue;
        }
        let user = render::user(records, user)?;
        // The name may have changed since it was indexed.
        if user.username.starts_with(&name) || folded(&user.display_name).starts_with(&*folded_text) {
            found.push(user);
        }
        if found.len() == limit {
            break;
        }
    }
    Ok(found)
}

fn may_be_found<T: Rows>(records: &Records<T>, viewer: UserId, user: UserId) -> Result<bool, StoreError> {
    let here = records.existing_account(user)?.is_some_and(|account| !account.is_disabled());
    Ok(here && !records.sides(viewer, user)?.is_blocked())
}
