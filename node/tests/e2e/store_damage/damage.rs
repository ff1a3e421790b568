//! Promise 10: random damage to the store's file. No panic, whatever is opened, checked, read or written; a refusal is one
//! line and exit code 2; a node that cannot read something is not ready any more and says why.
//!
//! `STARLING_DAMAGE_CASES` is how many cases are tried, `STARLING_TEST_SEED` where they begin.

use std::fs;
use std::path::Path;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use super::{MESSAGES, Template, check_refusal, said};
use harness::process::{Ended, run, starling};
use harness::{Node, PATIENCE, http, seed};

const CASES: u64 = 40;
/// Nodes that run at once.
const AT_ONCE: usize = 3;
const CHUNK: usize = 64 * 1024;

/// The outcome of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    /// It served, and what it listed of all messages.
    Served(usize),
    /// It served until something could not be read.
    NotReady,
    /// It ended at a write.
    Ended,
}

/// Damages a file; says how.
fn damage(file: &Path, random: &mut StdRng) -> String {
    let mut bytes = fs::read(file).expect("there is a store");
    let all = bytes.len();
    let flip = |bytes: &mut [u8], at: usize, count: usize| {
        let end = (at + count).min(all);
        bytes[at..end].iter_mut().for_each(|byte| *byte = !*byte);
    };
    let kind = random.random_range(0..8);
    let how = match kind {
        0 => {
            (0..11).for_each(|_| flip(&mut bytes, random.random_range(0..all), CHUNK));
            "64 KiB flipped at 11 places".to_owned()
        }
        1 => {
            let at = random.random_range(0..all);
            flip(&mut bytes, at, CHUNK);
            format!("64 KiB flipped at {at}")
        }
        2 => {
            let places = 1 << random.random_range(0..10);
            (0..places).for_each(|_| flip(&mut bytes, random.random_range(0..all), 1));
            format!("{places} bytes flipped")
        }
        3 => {
            let at = random.random_range(0..320);
            flip(&mut bytes, at, 1);
            format!("a byte of the header flipped at {at}")
        }
        4 => {
            let length = random.random_range(1..all);
            bytes.truncate(length);
            format!("truncated to {length} of {all}")
        }
        5 => {
            let at = random.random_range(0..all / 4_096) * 4_096;
            bytes[at..at + 4_096].fill(0);
            format!("the page at {at} is zero")
        }
        6 => {
            let pages = all / 4_096;
            let [from, to] = [0; 2].map(|_| random.random_range(1..pages) * 4_096);
            bytes.copy_within(from..from + 4_096, to);
            format!("the page at {from} lies also at {to}")
        }
        _ => {
            let at = random.random_range(0..all);
            let mut noise = vec![0; CHUNK.min(all - at)];
            random.fill(&mut noise[..]);
            bytes[at..at + noise.len()].copy_from_slice(&noise);
            format!("64 KiB of noise at {at}")
        }
    };
    fs::write(file, bytes).expect("a file can be written");
    how
}

/// Nothing that a process says may be a panic.
fn no_panic(what: &str, text: &str) -> Result<(), String> {
    match text.lines().find(|line| line.contains("panicked")) {
        Some(line) => Err(format!("{what} panicked: {line}")),
        None => Ok(()),
    }
}

async fn case(template: &Template, seed: u64) -> Result<(String, Outcome), String> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut node = template.copy("damaged");
    let how = damage(&node.data_dir().join("starling.redb"), &mut random);
    let outcome = look(template, &mut node).await.map_err(|error| format!("{how}: {error}"))?;
    Ok((how, outcome))
}

async fn look(template: &Template, node: &mut Node) -> Result<Outcome, String> {
    // The check may mend what redb mends, so it is done on a copy of its own.
    let checked = template.copy("checked");
    fs::copy(node.data_dir().join("starling.redb"), checked.data_dir().join("starling.redb"))
        .map_err(|error| error.to_string())?;
    let mut verify = starling(&["verify", "--data-dir"]);
    verify.arg(checked.data_dir());
    let verified = run(verify).await;
    no_panic("verify", &verified.stderr)?;
    if verified.code != Some(0) {
        check_refusal(&verified, &[])?;
    }
    node.start();
    let ready = until_ready_or_ended(node).await?;
    no_panic("the start", &said(node))?;
    // A node writes soon after its start, with what it needs for it unread until then.
    if ready == Some(Some(1)) && ended_at_a_write(node) {
        return Ok(Outcome::Ended);
    }
    if let Some(code) = ready {
        let ended = Ended { code, stdout: String::new(), stderr: said(node) };
        return check_refusal(&ended, &["starling.redb"]).map(|()| Outcome::Refused);
    }
    let served = use_it(template, node).await;
    no_panic("the node", &said(node))?;
    served
}

/// A write that fails ends a node: what the disk holds then is unknown.
fn ended_at_a_write(node: &Node) -> bool {
    said(node).contains("cannot write to the store")
}

/// The exit code, if it ended instead of becoming ready.
async fn until_ready_or_ended(node: &mut Node) -> Result<Option<Option<i32>>, String> {
    let begun = Instant::now();
    loop {
        if let Some(status) = node.has_ended() {
            return Ok(Some(status.code()));
        }
        // What a node reads while it starts may be what is damaged.
        if let Ok(answer) = http::get(node.http, "/readyz").await
            && (answer.status == 200 || answer.text().contains("the store cannot be read"))
        {
            return Ok(None);
        }
        if begun.elapsed() > 3 * PATIENCE {
            return Err(format!("neither ready nor ended; it said {}", said(node)));
        }
        tokio::time::sleep(std::time::Duration::from_millis(15)).await;
    }
}

/// Reads all there is and writes a little.
async fn use_it(template: &Template, node: &mut Node) -> Result<Outcome, String> {
    let (mut failed, mut listed, mut page) = (0, 0, String::new());
    let mut targets = vec!["/rooms".to_owned(), "/me".to_owned()];
    loop {
        let next = targets.pop();
        let is_list = next.is_none();
        let list = || format!("/rooms/{}/messages?limit=200{page}", template.room);
        let target = next.unwrap_or_else(list);
        let answer = harness::account::try_call(node.http, "GET", &target, Some(&template.ann.access), None);
        let answer = answer.await.map_err(|error| format!("GET {target}: {error}"))?;
        match answer.status {
            200 if is_list => {
                let json = answer.json();
                listed += json["items"].as_array().map_or(0, Vec::len);
                match json["next"].as_str() {
                    Some(next) if listed <= 2 * usize::try_from(MESSAGES).unwrap_or(0) => {
                        page = format!("&cursor={}", http::encode(next));
                    }
                    _ => break,
                }
            }
            // What is damaged may be the account or the room: then it is not there.
            200 => {}
            401 | 403 | 404 => {
                if is_list {
                    break;
                }
            }
            503 => {
                failed += 1;
                if is_list {
                    break;
                }
            }
            status => return Err(format!("GET {target}: {status} {}", answer.text())),
        }
    }
    let answer = http::get(node.http, "/readyz").await.map_err(|error| error.to_string())?;
    if failed > 0 && (answer.status != 503 || !answer.text().contains("the store cannot be read")) {
        return Err(format!("{failed} reads failed and it says {} {}", answer.status, answer.text()));
    }
    let not_ready = answer.status == 503;
    let body = json!({ "body": "written after the damage" });
    let target = format!("/rooms/{}/messages", template.room);
    let posted =
        harness::account::try_call(node.http, "POST", &target, Some(&template.ann.access), Some(body));
    let status = posted.await.map(|answer| answer.status);
    if !matches!(status, Ok(201 | 401 | 403 | 404 | 503)) {
        let ended = node.wait_exit().await;
        return if ended.code() == Some(1) && ended_at_a_write(node) {
            Ok(Outcome::Ended)
        } else {
            Err(format!("{ended}"))
        };
    }
    match node.stop().await {
        Some(0) if not_ready => Ok(Outcome::NotReady),
        Some(0) => Ok(Outcome::Served(listed)),
        Some(1) if ended_at_a_write(node) => Ok(Outcome::Ended),
        code => Err(format!("it stopped with {code:?}; it said {}", said(node))),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_damage_never_panics_and_leaves_no_ready_node_that_cannot_read() {
    let cases = std::env::var("STARLING_DAMAGE_CASES").ok();
    let cases: u64 = cases.map_or(CASES, |text| text.parse().expect("STARLING_DAMAGE_CASES is a number"));
    let first = seed();
    let template = Template::new(MESSAGES).await;
    let seeds: Vec<_> = (0..cases).map(|n| first.wrapping_add(n)).collect();
    let (mut failed, mut served) = (Vec::new(), 0);
    for seeds in seeds.chunks(AT_ONCE) {
        let template = &template;
        let cases = seeds.iter().map(|&seed| async move { (seed, case(template, seed).await) });
        for (seed, result) in futures_util::future::join_all(cases).await {
            match result {
                Ok((how, outcome)) => {
                    eprintln!("{seed}: {how}: {outcome:?}");
                    served += usize::from(matches!(outcome, Outcome::Served(_)));
                }
                Err(error) => failed.push(format!(
                    "{error}\n    repeat with STARLING_DAMAGE_CASES=1 STARLING_TEST_SEED={seed} cargo test -p \
                     starling-node --test e2e random_damage -- --nocapture"
                )),
            }
        }
    }
    assert!(failed.is_empty(), "{} of {cases} cases: {failed:#?}", failed.len());
    eprintln!("{served} of {cases} served all that was asked");
}
