//! The command line: what it understands, what it prints, and how it refuses.

use crate::process::running::Running;
use crate::process::{about, serve};
use harness::process::{free_port, run, starling};

/// A group of commands alone is answered with its own help.
#[tokio::test]
async fn a_group_of_commands_alone_prints_its_help() {
    for (group, subcommand) in [("user", "promote"), ("cluster", "secret")] {
        let ended = run(starling(&[group])).await;
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains(&format!("Usage: starling {group} <COMMAND>")), "{ended:?}");
        assert!(ended.stderr.contains(subcommand), "{ended:?}");
    }
}

/// A port alone and `localhost` are addresses too, for every listener.
#[tokio::test]
async fn listeners_are_written_as_people_write_them() {
    for host in ["", "localhost:"] {
        let mut node = Running::new();
        let mut command = serve(&format!("{host}{}", node.http.port()), &node.data());
        command.args(["--metrics-listen", &format!("{host}{}", free_port())]);
        node.serve(&mut command).await;
        node.until_said(&format!("open http://{}/\n", node.http)).await;
        assert_eq!(node.stop().await, Some(0));
    }
    let home = tempfile::tempdir().expect("a folder can be made");
    for flag in ["--listen", "--metrics-listen", "--cluster-listen"] {
        let mut command = starling(&["serve", flag, ":8080", "--data-dir"]);
        command.arg(home.path().join("data"));
        let ended = run(command).await;
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{ended:?}");
        assert!(ended.stderr.contains(flag) && ended.stderr.contains("for example 127.0.0.1:"), "{ended:?}");
    }
}

/// Promise: the printed address can be opened, and says how other machines reach it; the log has one start line.
#[tokio::test]
async fn a_node_on_all_addresses_prints_one_that_can_be_opened() {
    let mut node = Running::new();
    let port = node.http.port();
    node.serve(&mut serve(&format!("0.0.0.0:{port}"), &node.data())).await;
    node.until_said(&format!("open http://127.0.0.1:{port}/\n")).await;
    node.until_said(&format!("http://127.0.0.1:{port}/setup/")).await;
    assert!(!node.said("stdout").contains("0.0.0.0"));
    let log = node.said("stderr");
    let lines: Vec<_> = log.lines().filter(|line| line.contains("Starling has started")).collect();
    let [line] = lines[..] else { panic!("not one start line: {log}") };
    let line: serde_json::Value = serde_json::from_str(line).expect("log lines are JSON off a terminal");
    let data = node.data().display().to_string();
    for (field, value) in
        [("http", format!("0.0.0.0:{port}")), ("cluster", "alone".into()), ("data_dir", data)]
    {
        assert_eq!(line[field], value, "{line}");
    }
    assert_eq!(line["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(line["node"].as_str().map(str::len), Some(32), "{line}");
    let status = run(about(&["status"], &node.data())).await;
    assert!(status.stdout.contains(&format!("http://127.0.0.1:{port}")), "{status:?}");
    assert_eq!(node.stop().await, Some(0));
}

/// With a public address, that is the one to open.
#[tokio::test]
async fn the_public_address_is_printed_and_must_be_a_root() {
    let mut node = Running::new();
    let mut command = serve(&node.http.to_string(), &node.data());
    node.serve(command.args(["--public-url", "https://chat.example/"])).await;
    node.until_said("open https://chat.example/\n").await;
    assert_eq!(node.stop().await, Some(0));
    for url in
        ["https://chat.example/chat", "https://chat.example/?a", "https://chat.example/#a", "chat.example"]
    {
        let mut command = serve(&node.http.to_string(), &node.data());
        command.args(["--public-url", url]);
        let ended = run(command).await;
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{ended:?}");
        assert!(ended.stderr.contains("http.public_url") && ended.stderr.contains(url), "{ended:?}");
    }
}
