//! Environment variables as Compose and Kubernetes set them.

use crate::process::running::Running;
use crate::process::serve;
use harness::process::{run, starling};

/// Compose passes variables that nobody has set as empty ones: they count as unset, each of them.
#[tokio::test]
async fn empty_variables_count_as_unset() {
    let help = run(starling(&["--help"])).await.stdout;
    let names = help.split("[env: ").skip(1).filter_map(|rest| rest.split_once('=')).map(|(name, _)| name);
    let names: Vec<_> = names.collect();
    assert!(names.len() > 30 && names.contains(&"STARLING_LIMITS_ROOMS_PER_ADDRESS"), "{names:?}");
    let mut node = Running::new();
    let mut command = serve(&node.http.to_string(), &node.data());
    command.envs(names.iter().map(|name| (name, "")));
    node.serve(&mut command).await;
    assert!(!node.said("stderr").contains("is not a setting"), "{}", node.said("stderr"));
    assert_eq!(node.stop().await, Some(0));
}

/// A misspelt setting is told with the one that was meant, and never refused: Kubernetes sets names of its own.
#[tokio::test]
async fn misspelt_variables_draw_a_warning() {
    let mut node = Running::new();
    let mut command = serve(&node.http.to_string(), &node.data());
    command.env("STARLING_HTTP_PUBLICURL", "https://chat.example");
    command.env("STARLING_PORT_8080_TCP_ADDR", "10.0.0.1").env("STARLING_PORT", "tcp://10.0.0.1:8080");
    node.serve(&mut command).await;
    let said = node.said("stderr");
    let warnings: Vec<_> = said.lines().filter(|line| line.contains("is not a setting")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("did you mean STARLING_HTTP_PUBLIC_URL?"), "{said}");
    assert!(warnings[0].contains("WARN") && !said.contains("chat.example"), "{said}");
    assert_eq!(node.stop().await, Some(0));
}

/// A wrong value is told with the variable that holds it, not only with the flag that nobody gave.
#[tokio::test]
async fn a_wrong_variable_is_named() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let mut command = starling(&["serve", "--data-dir"]);
    command.arg(home.path().join("data")).env("STARLING_HTTP_LISTEN", "nonsense");
    let ended = run(command).await;
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{ended:?}");
    assert!(ended.stderr.contains("STARLING_HTTP_LISTEN"), "{ended:?}");
}
