//! Promise 13: a rebuild of the views that is aborted at any write leaves the log's vector and its folds as they are, and the
//! next start finishes it. Only some histories try this, since it takes as long as all other checks.

use rand::RngExt;
use starling_node::store::Store;

use crate::world::World;

/// One history in this many tries it.
const SAMPLED: u32 = 8;
/// A rebuild is aborted this often.
const ABORTED: u32 = 2;
/// Writes before the disk fails, at most.
const WRITES_MAX: u32 = 80;

pub fn check(world: &mut World) -> Result<(), String> {
    if !world.rng.random_ratio(1, SAMPLED) {
        return Ok(());
    }
    let node = world.nodes.iter().position(|machine| machine.run.is_some()).expect("somebody runs");
    let text = |error: starling_node::store::StoreError| error.to_string();
    let run = world.nodes[node].run.as_ref().expect("it runs");
    let (vector, digest) = (run.store.vector().map_err(text)?, run.store.digest().map_err(text)?);
    world.end(node);
    for _ in 0..ABORTED {
        let disk = world.nodes[node].disk.clone();
        let store = Store::open_backend(disk.clone(), disk.journal()).map_err(text)?;
        disk.fail_after(world.rng.random_range(0..WRITES_MAX));
        let aborted = store.rebuild(|_| ());
        // The disk first: a store that closes in order would write.
        world.nodes[node].disk = disk.crash(&mut world.rng);
        drop((store, aborted));
    }
    let disk = &world.nodes[node].disk;
    let store = Store::open_backend(disk.clone(), disk.journal()).map_err(text)?;
    let verified = store.verify().map_err(|error| format!("after an aborted rebuild: {error}"))?;
    if verified.digest != digest {
        return Err("after an aborted rebuild the views are others".to_owned());
    }
    let after = store.vector().map_err(text)?;
    if after == vector { Ok(()) } else { Err(format!("after an aborted rebuild {vector:?} is {after:?}")) }
}
