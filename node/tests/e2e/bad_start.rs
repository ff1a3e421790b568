//! A start that cannot succeed ends with exit code 2 and one line on stderr that says what to do.
//! Nothing on disk is changed by it, and whoever runs already is not disturbed.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

use harness::cluster::new_secret;
use harness::folder::{copy, largest_file, listing};
use harness::http::create_room;
use harness::process::{free_port, run, starling};
use harness::{Client, Cluster, Node};

#[tokio::test]
async fn a_wrong_cluster_secret_is_refused() {
    let cluster = Cluster::start(2).await;
    let secret = new_secret().await;
    let mut newcomer = Node::new("newcomer", &["--cluster-secret", &secret]);
    newcomer.add_args(&["--cluster-listen", &local(free_port())]);
    newcomer.add_args(&["--join", &cluster.network.front(0).to_string()]);
    newcomer.add_args(&["--join", &cluster.network.front(1).to_string()]);
    // With a fresh directory, and with one that was in use before.
    check_refused(newcomer.command(), &newcomer.data_dir(), &["secret"]).await;
    make_store(&newcomer.data_dir()).await;
    check_refused(newcomer.command(), &newcomer.data_dir(), &["secret"]).await;
    serves_on(&cluster).await;
}

#[tokio::test]
async fn a_copied_data_directory_is_refused_while_the_original_runs() {
    let mut cluster = Cluster::start(3).await;
    assert_eq!(cluster[0].stop().await, Some(0));
    let copied = cluster[0].beside("copied");
    copy(&cluster[0].data_dir(), &copied);
    cluster[0].restart().await;
    cluster.linked().await;
    for joined in [0, 1] {
        let mut command = starling(&["serve", "--listen", &local(free_port()), "--data-dir"]);
        command.arg(&copied).args(["--cluster-secret", &cluster.secret]);
        command.args(["--cluster-listen", &local(free_port())]);
        command.args(["--join", &cluster.network.front(joined).to_string()]);
        check_refused(command, &copied, &["copied"]).await;
    }
    serves_on(&cluster).await;
}

#[tokio::test]
async fn an_unreadable_data_directory_is_refused() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let data = |name: &str| home.path().join(name);
    fs::write(data("a file"), "no folder").expect("a file can be written");
    fs::create_dir(data("foreign")).expect("a folder can be made");
    fs::write(data("foreign").join("notes.txt"), "somebody's notes").expect("a file can be written");
    make_store(&data("garbage")).await;
    let store = largest_file(&data("garbage"));
    let length = usize::try_from(fs::metadata(&store).expect("there is a store").len()).expect("it is small");
    fs::write(&store, "garbage ".repeat(length / 8)).expect("a file can be written");
    for case in ["a file", "foreign", "garbage", "a file/below"] {
        let command = serve(&data(case), &[]);
        check_refused(command, &data(case), &[&data(case).display().to_string()]).await;
    }
}

#[tokio::test]
async fn a_data_directory_serves_one_process_at_a_time() {
    let mut node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    let mut ann = Client::join(node.http, &room, "Ann").await;
    ann.post("before").await;
    let ended = run(serve(&node.data_dir(), &[])).await;
    assert_refusal(&ended, &[&node.data_dir().display().to_string()]);
    // Nor may one that is refused make the directory another cluster's.
    let identity = || fs::read(node.data_dir().join("node.json")).expect("there is an identity");
    let (before, secret) = (identity(), new_secret().await);
    let listen = local(free_port());
    let other = serve(&node.data_dir(), &["--cluster-secret", &secret, "--cluster-listen", &listen]);
    assert_refusal(&run(other).await, &[&node.data_dir().display().to_string()]);
    assert_eq!(identity(), before);
    ann.post("after").await;
    drop(ann);
    assert_eq!(node.stop().await, Some(0));
}

#[tokio::test]
async fn a_busy_port_is_refused() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let tcp = TcpListener::bind(local(0)).expect("a port can be held");
    let udp = UdpSocket::bind(local(0)).expect("a port can be held");
    let secret = new_secret().await;
    let [tcp, udp] = [tcp.local_addr(), udp.local_addr()].map(|held: Result<SocketAddr, _>| {
        let held = held.expect("a socket has an address");
        (held.to_string(), held.port().to_string())
    });
    let fresh = home.path().join("data");
    let busy_http = {
        let mut command = starling(&["serve", "--listen", &tcp.0, "--data-dir"]);
        command.arg(&fresh);
        command
    };
    let busy_udp = serve(&fresh, &["--cluster-secret", &secret, "--cluster-listen", &udp.0]);
    for (command, port) in [(busy_http, tcp.1), (busy_udp, udp.1)] {
        check_refused(command, &fresh, &[&port]).await;
    }
}

#[tokio::test]
async fn malformed_settings_are_refused() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let file = |name: &str, content: &str| {
        let path = home.path().join(name);
        fs::write(&path, content).expect("a file can be written");
        path.display().to_string()
    };
    let broken = file("broken.toml", "listen = [");
    let unknown = file("unknown.toml", "no_such_setting = 1\n");
    let short = file("short", "tiny");
    let absent = home.path().join("absent").display().to_string();
    let cluster = ["--cluster-listen", &local(free_port())].map(str::to_owned);
    let cases: &[(&[&str], &[&str])] = &[
        (&["--no-such-flag"], &["--no-such-flag"]),
        (&["--listen", "nonsense"], &["listen", "nonsense"]),
        (&["--listen"], &["listen"]),
        (&["--config", &broken], &["broken.toml"]),
        (&["--config", &unknown], &["unknown.toml", "no_such_setting"]),
        (&["--config", &absent], &["absent"]),
        (&["--cluster-secret-file", &absent, &cluster[0], &cluster[1]], &["absent"]),
        (&["--cluster-secret-file", &short, &cluster[0], &cluster[1]], &["secret"]),
        (&["--cluster-secret", "tiny", &cluster[0], &cluster[1]], &["secret"]),
        (&["--cluster-listen", "nonsense", "--cluster-secret", "tiny"], &["cluster"]),
        (&["--http-header-timeout-ms", "soon"], &["http-header-timeout-ms"]),
    ];
    let data = home.path().join("data");
    for (args, words) in cases {
        // A setting may be given once, so `--listen` is left to the case that is about it.
        let mut command = starling(&["serve", "--data-dir"]);
        command.arg(&data).args(*args);
        if args[0] != "--listen" {
            command.args(["--listen", &local(free_port())]);
        }
        check_refused(command, &data, words).await;
    }
    let mut command = starling(&["serve", "--data-dir"]);
    command.arg(&data).env("STARLING_HTTP_LISTEN", "nonsense");
    check_refused(command, &data, &["nonsense"]).await;
    check_refused(starling(&["no-such-command"]), &data, &["no-such-command"]).await;
    check_refused(verify(&absent), Path::new(&absent), &["absent"]).await;
}

fn verify(data: &str) -> Command {
    starling(&["verify", "--data-dir", data])
}

fn serve(data: &Path, args: &[&str]) -> Command {
    let mut command = starling(&["serve", "--listen", &local(free_port()), "--data-dir"]);
    command.arg(data).args(args);
    command
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Fills a data directory as a node that ran for a while leaves it.
async fn make_store(data: &Path) {
    let mut node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    Client::join(node.http, &room, "Ann").await.post("something").await;
    assert_eq!(node.stop().await, Some(0));
    copy(&node.data_dir(), data);
}

/// The command ends with code 2 and one line that has all these words, and changes nothing below `data`.
async fn check_refused(command: Command, data: &Path, words: &[&str]) {
    let before = listing(data);
    let said = format!("{command:?}");
    let ended = run(command).await;
    eprintln!("{said}\n  {}", ended.stderr.trim_end());
    assert_refusal(&ended, words);
    assert_eq!(listing(data), before, "{said} changed the data directory");
}

#[track_caller]
fn assert_refusal(ended: &harness::process::Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(2), "{ended:?}");
    // Log records are JSON; what is meant for a human is not.
    let lines: Vec<_> = ended.stderr.lines().filter(|line| !line.starts_with('{')).collect();
    let [line] = lines[..] else { panic!("not one line: {ended:?}") };
    let lower = line.to_lowercase();
    for word in words {
        assert!(lower.contains(&word.to_lowercase()), "{word:?} is not in {line:?}");
    }
}

/// The nodes that were there before go on as ever.
async fn serves_on(cluster: &Cluster) {
    let room = create_room(cluster[0].http).await;
    let mut ann = Client::join(cluster[0].http, &room, "Ann").await;
    let mut bob = Client::join(cluster[1].http, &room, "Bob").await;
    assert!(ann.post("still here").await.1 >= 2);
    bob.until_message("still here").await;
}
