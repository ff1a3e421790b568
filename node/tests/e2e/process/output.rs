//! Nobody has to read what a process says.

use std::fs::File;
use std::process::Stdio;

use crate::process::running::Running;
use crate::process::{about, serve};
use harness::process::starling;

/// A pipe whose reader has gone.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    writer.into()
}

/// A file on a full disk.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("Linux has /dev/full").into()
}

/// A node serves and stops in order though its output goes nowhere: `| head -1`, a full log volume.
#[tokio::test]
async fn a_node_serves_though_nobody_takes_its_output() {
    for target in [closed, full] {
        let mut node = Running::new();
        let mut command = serve(&node.http.to_string(), &node.data());
        command.args(["--log-filter", "debug"]).stdout(target()).stderr(target());
        node.start(&mut command);
        node.ready().await;
        assert_eq!(node.stop().await, Some(0));
    }
}

/// A reader that has seen enough is no error; a result that is lost on a full disk is one, in one line.
#[tokio::test]
async fn a_command_does_not_panic_when_its_result_cannot_be_written() {
    let mut node = Running::new();
    let listen = node.http.to_string();
    node.serve(&mut serve(&listen, &node.data())).await;
    let data = node.data();
    let commands: [&[&str]; 5] =
        [&["cluster", "secret"], &["--help"], &["status"], &["status", "--json"], &["verify"]];
    for words in commands {
        let command = || match words[0] {
            "status" | "verify" => about(words, &data),
            _ => starling(words),
        };
        let mut run = Running::new();
        let stderr = run.file("stderr");
        run.start(command().stdout(closed()).stderr(stderr));
        assert_eq!((run.exit().await, run.said("stderr").as_str()), (Some(0), ""), "{words:?}");
        let stderr = run.file("stderr");
        run.start(command().stdout(full()).stderr(stderr));
        let (code, said) = (run.exit().await, run.said("stderr"));
        if words[0] != "--help" {
            assert_eq!((code, said.lines().count()), (Some(2), 1), "{words:?}: {said}");
            assert!(said.contains("cannot write the result"), "{words:?}: {said}");
        }
        // What it complains of cannot be written either.
        run.start(command().stdout(full()).stderr(full()));
        assert!(matches!(run.exit().await, Some(0 | 2)), "{words:?}");
    }
    assert_eq!(node.stop().await, Some(0));
}
