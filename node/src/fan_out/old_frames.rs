//! Frees the memory of frames that live sessions no longer need.

use std::{sync::Arc, time::Duration};

use starling_web::lane::Lanes;
use tokio::time::{MissedTickBehavior, interval};

use crate::supervisor::SupervisedTask;

/// A frame stays in its lane for once to twice this time. A session that is further behind reads from the store.
const EVERY: Duration = Duration::from_secs(15);

/// Drops old frames, so that rooms in which nobody posts any more keep none.
pub struct OldFrames(pub Arc<Lanes>);

impl SupervisedTask for OldFrames {
    fn name(&self) -> &'static str {
        "old_frames"
    }

    async fn run(&mut self) {
        let mut every = interval(EVERY);
        // After a process was held up for long, sessions get the time to take what came meanwhile.
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            self.0.drop_old_frames();
        }
    }
}
