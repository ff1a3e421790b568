//! Promise 4: after a split, all nodes hold the same events and show the same views.

use crate::world::World;

pub fn unwell(world: &World) -> Option<String> {
    let mut points = world.hosts.iter().map(|host| Some(host.core()?.web.lanes.commit_point().vector));
    let first = points.next().flatten();
    let differs = points.any(|point| point != first);
    differs.then(|| "the nodes do not hold the same".to_owned())
}

pub fn check(world: &World) -> Result<(), String> {
    let mut digests = Vec::new();
    for host in &world.hosts {
        let store = &host.core().expect("it is well").store;
        digests.push(store.verify().map_err(|error| error.to_string())?.digest);
        if let Some(room) = world.rooms.iter().find(|&&room| !super::has_room(host, room)) {
            return Err(format!("node {} does not know of {room}, which was made", host.number));
        }
    }
    if digests.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(format!("the digests differ: {digests:?}"));
    }
    Ok(())
}
