//! Commands that speak with a node: one that hangs, and one with a long path.

use crate::process::running::Running;
use crate::process::{about, serve};
use harness::Node;
use harness::process::{Ended, run, run_with_input};

/// A node that was suspended lets nobody wait for ever.
#[tokio::test]
async fn commands_give_up_on_a_node_that_hangs() {
    let node = Node::lone(&[]).await;
    let data = node.data_dir();
    node.pause();
    let ended = tokio::join!(
        run(about(&["status"], &data)),
        run(about(&["verify"], &data)),
        run(about(&["user", "promote", "ann"], &data)),
    );
    node.resume();
    for Ended { code, stdout, stderr } in [ended.0, ended.1, ended.2] {
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(2), "", 1), "{stderr}");
        assert!(stderr.contains("has not answered for 10 s"), "{stderr}");
        assert!(stderr.contains(&data.display().to_string()), "{stderr}");
    }
    let ended = run(about(&["status"], &data)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// A socket's path has 108 bytes at most; the data directory may have more.
#[tokio::test]
async fn a_long_data_directory_has_a_control_socket() {
    let mut node = Running::new();
    let data = node.home.path().join("d".repeat(100)).join("e".repeat(155)).join("data");
    assert!(data.as_os_str().len() > 259);
    let listen = node.http.to_string();
    node.serve(&mut serve(&listen, &data)).await;
    assert!(!node.said("stderr").contains("no control socket"), "{}", node.said("stderr"));
    let ended = run(about(&["status"], &data)).await;
    assert!(ended.code == Some(0) && ended.stdout.contains("state     ready"), "{ended:?}");
    let add = about(&["user", "add", "ann", "--password-stdin"], &data);
    let ended = run_with_input(add, b"correct horse battery\n").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(node.stop().await, Some(0));
    assert!(!data.join("control.sock").exists());
}
