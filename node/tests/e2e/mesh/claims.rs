//! Names in a mesh: of simultaneous registrations of one name exactly one succeeds, soon, and without a 503.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::mesh::network::Machines;
use crate::mesh::node::HTTP;
use harness::account::{PASSWORD, call};

/// Registrations of one name at once.
const AT_ONCE: usize = 20;
/// No claim on a name takes longer.
const CLAIM_MAX: Duration = Duration::from_secs(4);

/// 20 people register one name at once, all over the mesh, whose nodes are all in sync or linked through others: exactly
/// one gets it, nobody waits for more than 4 s, and nobody is told to come again.
pub fn one_gets_the_name(machines: &Machines, nodes: usize, name: &str) {
    let answers: Vec<_> = thread::scope(|scope| {
        let register = |at: usize| {
            scope.spawn(move || {
                machines.on(at % nodes, async || {
                    let begun = Instant::now();
                    let body = json!({"username": name, "password": PASSWORD});
                    let answer = call(HTTP, "POST", "/register", None, Some(body)).await;
                    (at % nodes, answer.status, begun.elapsed())
                })
            })
        };
        let threads: Vec<_> = (0..AT_ONCE).map(register).collect();
        threads.into_iter().map(|thread| thread.join().expect("a request is answered")).collect()
    });
    let made = answers.iter().filter(|(_, status, _)| *status == 201).count();
    assert_eq!(made, 1, "{name} was given {made} times: {answers:?}");
    for (at, status, took) in &answers {
        assert!([201, 409].contains(status), "node {at} answered {status}: {answers:?}");
        assert!(*took < CLAIM_MAX, "node {at} answered after {took:?}");
    }
}
