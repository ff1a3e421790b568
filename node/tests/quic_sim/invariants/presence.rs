//! Promise 7: every node shows who is present; presence ends with its session, or within 5 s of the death or the silence
//! of the node that held it.

use std::collections::BTreeMap;

use crate::world::World;

/// The longest time for which a ghost may stay.
const GHOST_MS_MAX: u64 = 5_000;
/// The time in which a paused node must catch up.
const AWAKE_MS: u64 = 1_000;

/// The history of sessions and nodes.
#[derive(Default)]
pub struct PresenceWatch {
    /// The processes (host, start) that held sessions, and the time when each was last seen alive.
    held: BTreeMap<usize, BTreeMap<(usize, u32), u64>>,
    /// The time since which a node has run without a pause.
    awake_since: BTreeMap<usize, u64>,
}

impl PresenceWatch {
    /// A client begins a session on a start of a machine.
    pub fn hold(&mut self, client: usize, host: usize, start: u32, now: u64) {
        self.held.entry(client).or_default().insert((host, start), now);
    }
}

/// Finds a guest that a node shows although it has heard none of the guest's nodes for too long.
pub fn ghost(world: &mut World) -> Option<String> {
    let now = world.now;
    let mut watch = std::mem::take(&mut world.presence);
    for held in watch.held.values_mut() {
        for ((host, start), alive) in held {
            let host = &world.hosts[*host];
            if host.run.is_some() && host.starts == *start {
                *alive = now;
            }
        }
    }
    let mut ghost = None;
    for host in &world.hosts {
        let Some((_, core)) = host.serving() else {
            watch.awake_since.remove(&host.number);
            continue;
        };
        let awake_since = *watch.awake_since.entry(host.number).or_insert(now);
        if now < awake_since + AWAKE_MS {
            continue;
        }
        for (number, client) in world.clients.iter().enumerate() {
            let Some(&room) = world.rooms.get(client.room) else { continue };
            let shown = core.web.presence.users(room).contains(&client.name());
            let holder = |(&(holder, start), &alive): (&(usize, u32), &u64)| {
                let here = (holder, start) == (host.number, host.starts);
                let heard = world.network.heard(host.number, holder);
                here || now.min(alive + GHOST_MS_MAX) >= now && now < heard + GHOST_MS_MAX
            };
            if shown && !watch.held.get(&number).is_some_and(|held| held.iter().any(holder)) {
                ghost = Some(format!("node {} shows the ghost of {}", host.number, client.name()));
            }
        }
    }
    world.presence = watch;
    ghost
}

pub fn unwell(world: &World) -> Option<String> {
    for (number, room) in world.rooms.iter().enumerate() {
        let here = world.clients.iter().filter(|client| client.room == number && client.session.is_some());
        let expected: Vec<_> = here.map(crate::clients::Client::name).collect();
        for host in &world.hosts {
            let users = host.core()?.web.presence.users(*room);
            if users != expected {
                return Some(format!("node {} shows {users:?}, not {expected:?}", host.number));
            }
        }
    }
    None
}
