//! The phases, and the secrets that a node takes, as decisions.

use clap::Parser;
use starling_protocol::{Hlc, OriginId, Pos, Seq, event::SecretSwitched};

use super::*;
use crate::config::{Config, Flags};

const A: SecretFingerprint = SecretFingerprint([1; 16]);
const B: SecretFingerprint = SecretFingerprint([2; 16]);
const C: SecretFingerprint = SecretFingerprint([3; 16]);

fn node(n: u8) -> NodeId {
    NodeId([n; 16])
}

fn nodes(numbers: &[u8]) -> BTreeSet<NodeId> {
    numbers.iter().map(|&n| node(n)).collect()
}

/// A node with one secret, or with a new and an old one.
fn has(secrets: &[SecretFingerprint], uses: SecretFingerprint) -> SecretsReported {
    SecretsReported { newest: secrets[0], older: secrets.get(1).copied(), uses }
}

fn switched(ms: u64, from: SecretFingerprint, to: SecretFingerprint) -> (Pos, SecretSwitched) {
    let origin = OriginId { node: node(1), incarnation: 1 };
    (Pos { hlc: Hlc(ms << 16), origin, seq: Seq(ms) }, SecretSwitched { from, to })
}

fn log(reports: &[(u8, SecretsReported)], switches: &[(Pos, SecretSwitched)]) -> SecretLog {
    let reports = reports.iter().map(|(n, report)| (node(*n), report.clone())).collect();
    SecretLog { switches: switches.to_vec(), reports }
}

/// Promise: a phase begins when every member has reported the one before; each phase names whom it waits for.
#[test]
fn each_phase_waits_for_every_member() {
    let members = nodes(&[2, 3]);
    let see = |own: &SecretsReported, log: &SecretLog| phase(node(1), own, log, &members);
    let (old, both, new) = (has(&[A], A), has(&[B, A], A), has(&[B], B));
    let taken = has(&[B, A], B);
    assert_eq!(see(&old, &log(&[], &[])), Phase::Settled);
    // Nodes are given the secret one by one; also one that lacks it sees that.
    let distributing = |missing: &[u8]| Phase::Distributing { to: B, missing: nodes(missing) };
    assert_eq!(see(&both, &log(&[], &[])), distributing(&[2, 3]));
    assert_eq!(see(&old, &log(&[(2, both.clone())], &[])), distributing(&[1, 3]));
    assert_eq!(see(&both, &log(&[(2, both.clone()), (3, old.clone())], &[])), distributing(&[3]));
    // One that has the new one alone can't be taken along: it would have to use it already.
    assert_eq!(see(&both, &log(&[(2, both.clone()), (3, has(&[B], A))], &[])), distributing(&[3]));
    let all = [(2, both.clone()), (3, both.clone())];
    assert_eq!(see(&both, &log(&all, &[])), distributing(&[]));
    // A node that is no member is not waited for.
    assert_eq!(phase(node(1), &both, &log(&all[..1], &[]), &nodes(&[2])), distributing(&[]));
    let switch = [switched(1, A, B)];
    let missing = |missing: &[u8]| Phase::Switching { missing: nodes(missing) };
    assert_eq!(see(&both, &log(&all, &switch)), missing(&[1, 2, 3]));
    assert_eq!(see(&taken, &log(&[(2, taken.clone())], &switch)), missing(&[3]), "it has reported nothing");
    let all = [(2, taken.clone()), (3, new.clone())];
    assert_eq!(see(&taken, &log(&all, &switch)), Phase::Removing { holders: nodes(&[1, 2]) });
    assert_eq!(see(&new, &log(&all, &switch)), Phase::Removing { holders: nodes(&[2]) });
    let all = [(2, new.clone()), (3, new.clone())];
    assert_eq!(see(&new, &log(&all, &switch)), Phase::Settled);
    // The next rotation.
    let next = Phase::Distributing { to: C, missing: nodes(&[2, 3]) };
    assert_eq!(see(&has(&[C, B], B), &log(&all, &switch)), next);
}

/// Promise: a node that lacks the new secret after the switch knows why it is refused, and an old secret is not taken again.
#[test]
fn a_node_without_the_new_secret_is_left_behind() {
    let switch = [switched(1, A, B)];
    let see = |own: SecretsReported, switches: &[_]| phase(node(1), &own, &log(&[], switches), &nodes(&[]));
    assert_eq!(see(has(&[A], A), &switch), Phase::LeftBehind);
    assert_eq!(see(has(&[A, B], B), &switch), Phase::Removing { holders: nodes(&[1]) });
    let twice = [switched(1, A, B), switched(2, B, C)];
    assert_eq!(see(has(&[B, A], B), &twice), Phase::LeftBehind);
    assert_eq!(log(&[], &twice).retired(), [A, B].into());
    // Back to the first: it is used, not retired.
    let back = [switched(3, B, A), switched(2, A, B)];
    assert_eq!((log(&[], &back).switched_to(), log(&[], &back).retired()), (Some(A), [B].into()));
}

const OLD: &str = "92f1c07ae86b435dd9a01e6f72c4b853";
const NEW: &str = "c6a3f1de-90b7-4f52-8a1c-7e35d20b94f8";

fn secrets(lines: &[&str]) -> ClusterSecrets {
    let flags = Flags::try_parse_from(["starling", "--cluster-secret", &lines.join("\n")]).unwrap();
    Config::resolve(flags.serve).unwrap().cluster.unwrap().secrets
}

fn fingerprint(secret: &str) -> SecretFingerprint {
    HeldKeys::derive(&secrets(&[secret]), None).unwrap().unwrap().active.fingerprint
}

/// Promise: a node never uses another secret than its cluster does, whatever its file holds, and goes on with what it had
/// if the one in use is removed too early.
#[test]
fn secrets_from_the_file_are_taken_only_with_the_one_in_use() {
    let (old, new) = (fingerprint(OLD), fingerprint(NEW));
    let start = HeldKeys::derive(&secrets(&[OLD]), None).unwrap().unwrap();
    let take = |given: &[&str], switched_to| match adopt(&start, &secrets(given), switched_to).unwrap() {
        Adopted::Keys(keys) => Some(keys.report()),
        Adopted::WithoutTheOneInUse => None,
    };
    assert_eq!(take(&[NEW, OLD], None), Some(has(&[new, old], old)));
    assert_eq!(take(&[OLD, NEW], None), Some(has(&[old, new], old)), "the order of lines is of no matter");
    assert_eq!(take(&[NEW], None), None, "removed too early");
    assert_eq!(take(&[NEW, OLD], Some(new)), Some(has(&[new, old], new)));
    assert_eq!(take(&[NEW], Some(new)), Some(has(&[new], new)));
    let third = "52341662315546231125364415236641352261435241632514";
    assert_eq!(take(&[third], Some(new)), None);
}

/// Promise: a node starts with the secret that it used last; a new node with two lines begins with the old one.
#[test]
fn a_start_uses_the_secret_of_the_last_run() {
    let (old, new) = (fingerprint(OLD), fingerprint(NEW));
    let start = |lines: &[&str], last| {
        HeldKeys::derive(&secrets(lines), last).unwrap().map(|keys| keys.active.fingerprint)
    };
    assert_eq!(start(&[NEW, OLD], None), Some(old));
    assert_eq!(start(&[NEW, OLD], Some(old)), Some(old));
    assert_eq!(start(&[NEW, OLD], Some(new)), Some(new));
    assert_eq!(start(&[NEW], Some(old)), None, "the old line was removed before the switch");
    assert_eq!(start(&[NEW], Some(new)), Some(new));
}
