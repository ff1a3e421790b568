//! Promise 4: the same events give the same views, in whatever order they came; a rebuild changes nothing.

use crate::world::World;

pub fn check(world: &World) -> Result<(), String> {
    let mut digests = Vec::new();
    for node in &world.nodes {
        let store = &node.run.as_ref().expect("healed nodes run").store;
        digests.push(store.verify().map_err(|error| error.to_string())?.digest);
    }
    let store = &world.nodes[0].run.as_ref().expect("healed nodes run").store;
    store.rebuild(|_| ()).map_err(|error| error.to_string())?;
    digests.push(store.digest().map_err(|error| error.to_string())?);
    if digests.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(format!("the digests differ: {digests:?}"));
    }
    Ok(())
}
