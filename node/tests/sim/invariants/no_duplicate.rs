//! Promise 2: no message is listed twice, however often it was sent.

use std::collections::BTreeSet;

use super::Listings;

pub fn check(listings: &Listings) -> Result<(), String> {
    for (node, _, messages) in listings.iter() {
        let mut ids = BTreeSet::new();
        let mut texts = BTreeSet::new();
        for message in messages {
            // No client sends the same text twice.
            if !ids.insert(message.listed_id) || !texts.insert(message.posted.body()) {
                return Err(format!("node {node} lists {:?} twice", message.posted));
            }
        }
    }
    Ok(())
}
