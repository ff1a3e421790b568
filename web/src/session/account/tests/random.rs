//! Random orders of pushes, commits, reads and waits: no cursor covers a message that was not sent, and all messages arrive in
//! the end.

use std::time::Duration;

use tokio::task::yield_now;

use super::{
    client::Client,
    world::{ANN, BOB, EVE, ROOMS, typing},
};

/// A random generator with the same results on every machine (`SplitMix`; Steele et al., 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u8) -> u8 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let below = (mixed ^ (mixed >> 31)) % u64::from(n);
        u8::try_from(below).expect("the remainder is below n")
    }
}

async fn run(seed: u64) {
    let mut random = Random(seed);
    let mut client = Client::connected().await;
    let (mut pushed, mut published) = (0, 0);
    let steps = u16::from(random.below(200)) * 2;
    for _ in 0..steps {
        match random.below(12) {
            0..5 => {
                pushed += 1;
                client.world.lanes.begin_push(pushed);
                let by = [ANN, BOB, EVE][usize::from(random.below(3))];
                client.world.push(pushed, ROOMS[usize::from(random.below(2))], by);
            }
            5 | 6 if published < pushed => {
                let most = u8::try_from(pushed - published).unwrap_or(u8::MAX);
                published += 1 + u64::from(random.below(most));
                client.world.publish(published);
            }
            7 => client.line.allow_frames(usize::from(random.below(20))),
            8 => client.world.invalidate(published),
            9 => client.world.push_ephemeral(ROOMS[0], [ANN, BOB][usize::from(random.below(2))], typing(BOB)),
            // Long enough for a cursor, or not: groups send it, or the session does.
            10 => tokio::time::sleep(Duration::from_millis(u64::from(random.below(250)))).await,
            _ => yield_now().await,
        }
    }
    client.line.allow_frames(usize::MAX);
    pushed += 1;
    client.world.commit(pushed, ROOMS[0], BOB);
    client.until(&format!("cursor {pushed}")).await;
    assert_eq!(client.got.iter().copied().collect::<Vec<_>>(), client.world.messages_up_to(pushed));
}

#[test]
fn no_cursor_runs_ahead_of_what_was_sent() {
    let seeds = std::env::var("STARLING_LIVE_SEED").map_or(0..300, |seed| {
        let seed = seed.parse().unwrap();
        seed..seed + 1
    });
    for seed in seeds {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let ran = std::panic::catch_unwind(|| runtime.block_on(run(seed)));
        assert!(
            ran.is_ok(),
            "repeat it: STARLING_LIVE_SEED={seed} cargo test --release -p starling-web no_cursor_runs_ahead"
        );
    }
}
