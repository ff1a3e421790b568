//! Tests how flags, environment and file are resolved into one configuration, and which values are refused.

use clap::Parser;

use super::*;

fn resolve(flags: &[&str], toml: &str) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("starling.toml");
    std::fs::write(&path, toml).unwrap();
    let config = ["starling", "--config", path.to_str().unwrap()];
    let flags = Flags::try_parse_from(config.iter().chain(flags)).unwrap();
    Config::resolve(flags.serve)
}

const SECRET: &str = "92f1c07ae86b435dd9a01e6f72c4b853";

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let toml = "data_dir = \"/a\"\n[http]\nlisten = \"127.0.0.1:1\"\n[durability]\nwait_ms = 5";
    let config = resolve(&["--listen", "127.0.0.1:2"], toml).unwrap();
    assert_eq!(config.http.listen.port(), 2);
    assert_eq!(config.data_dir, PathBuf::from("/a"));
    assert_eq!((config.durability.copies, config.durability.wait_ms), (1, 5));
    assert!(config.cluster.is_none());
}

#[test]
fn a_cluster_needs_a_good_secret_and_defaults_to_two_copies() {
    let config = resolve(&["--cluster-secret", SECRET, "--join", "a.example:1"], "").unwrap();
    assert_eq!(config.durability.copies, 2);
    assert_eq!(config.cluster.unwrap().join, ["a.example:1"]);
    assert!(matches!(resolve(&["--join", "a:1"], ""), Err(ConfigError::SecretMissing)));
    assert!(matches!(resolve(&["--cluster-secret", &SECRET[1..]], ""), Err(ConfigError::SecretShort)));
    let both = ["--cluster-secret", SECRET, "--cluster-secret-file", "x"];
    assert!(matches!(resolve(&both, ""), Err(ConfigError::SecretTwice)));
    let missing = ["--cluster-secret-file", "/does/not/exist"];
    assert!(matches!(resolve(&missing, ""), Err(ConfigError::SecretFile(..))));
}

/// The default listener serves IPv4 and IPv6; expecting peers is a setting of a cluster, in file and flags.
#[test]
fn the_cluster_listens_on_both_families_and_expects_peers_if_configured() {
    let cluster = |flags: &[&str], toml: &str| {
        let secret = ["--cluster-secret", SECRET];
        resolve(&[&secret, flags].concat(), toml).unwrap().cluster.unwrap()
    };
    assert_eq!(cluster(&[], "").listen, "[::]:7946".parse().unwrap());
    assert!(!cluster(&[], "").expect_peers);
    let file = "[cluster]\nexpect_peers = true";
    assert!(cluster(&[], file).expect_peers);
    assert!(!cluster(&["--cluster-expect-peers", "false"], file).expect_peers);
    assert!(matches!(resolve(&[], file), Err(ConfigError::SecretMissing)));
}

#[test]
fn flags_win_over_the_file_for_limits_and_lists() {
    let toml = "[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\nallowed_origins = [\"https://a.example\"]\n\
                allowed_hosts = [\"a.example\"]\n\
                [limits]\nrooms_per_address = \"5/m\"\nlogins_per_address = \"0\"";
    let config =
        resolve(&["--limit-rooms-per-address", "7/2h", "--trusted-proxy", "127.0.0.1"], toml).unwrap();
    assert_eq!(config.http.trusted_proxies, ["127.0.0.1".parse().unwrap()]);
    assert_eq!(config.http.allowed_origins, ["https://a.example".parse().unwrap()]);
    assert_eq!(config.http.allowed_hosts, ["a.example".parse().unwrap()]);
    let given = resolve(&["--allowed-host", "b.example,c.example"], toml).unwrap().http.allowed_hosts;
    assert_eq!(given, ["b.example".parse().unwrap(), "c.example".parse().unwrap()]);
    assert_eq!(config.limits.len(), 2);
    assert_eq!(config.limits[&Quota::RoomsPerAddress], "7/2h".parse().unwrap());
    assert_eq!(config.limits[&Quota::LoginsPerAddress], Rate::OFF);
    assert_eq!(resolve(&[], toml).unwrap().http.trusted_proxies.len(), 2);
    let connections = |flags: &[&str], toml| resolve(flags, toml).unwrap().connections_per_address;
    assert_eq!((connections(&[], toml), connections(&["--http-connections-max", "100"], "")), (5_000, 34));
    let file = "[limits]\nconnections_per_address = 7\nrooms_per_address = \"5/m\"";
    assert_eq!(connections(&[], file), 7);
    assert_eq!(connections(&["--limit-connections-per-address", "8"], file), 8);
    assert_eq!(connections(&["--limit-connections-per-address", "0"], file), u32::MAX);
}

/// Items of a list may be separated by a comma and blanks, and end with a comma.
#[test]
fn lists_may_contain_blanks_and_a_trailing_comma() {
    let flags = ["--cluster-secret", SECRET, "--join", "a.example:1, b.example:2,"];
    assert_eq!(resolve(&flags, "").unwrap().cluster.unwrap().join, ["a.example:1", "b.example:2"]);
}

/// The error names the line of the mistake.
#[test]
fn mistakes_in_the_file_are_reported_with_their_line() {
    for (toml, line) in [
        ("data_dir = 7", 1),
        ("data_dir = \"/a\"\n[http]\nlitsen = \"127.0.0.1:1\"\n", 3),
        ("[http]\n\n# Where\nlisten = \"nonsense\"\n", 4),
        ("[http]\r\nlisten = \"127.0.0.1:1\"\r\npublic_url = 1\r\n", 3),
        ("[http]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"\n", 3),
        ("[http]\nlisten = \n", 2),
        ("# \u{fc}\n[http\n", 2),
    ] {
        let error = resolve(&[], toml).unwrap_err().to_string();
        assert!(error.contains(&format!("line {line}:")), "{toml:?}: {error}");
    }
}

#[test]
fn registration_is_open_by_default() {
    let mode = |flags: &[&str], toml| resolve(flags, toml).unwrap().registration;
    assert_eq!(mode(&[], ""), RegistrationMode::Open);
    let file = "[registration]\nmode = \"invite\"";
    assert_eq!(mode(&[], file), RegistrationMode::Invite);
    assert_eq!(mode(&["--registration-mode", "closed"], file), RegistrationMode::Closed);
}

#[test]
fn the_cost_of_passwords_comes_from_file_and_flags() {
    let auth = resolve(&["--auth-lanes", "2"], "[auth]\nmemory_kib = 65536\nworkers = 3").unwrap().auth;
    assert_eq!((auth.cost.memory_kib, auth.cost.passes, auth.cost.lanes, auth.workers), (65_536, 2, 2, 3));
    let weak = ["--auth-weak-hashes", "true", "--auth-memory-kib", "8", "--auth-passes", "1"];
    assert_eq!(resolve(&weak, "").unwrap().auth.cost.memory_kib, 8);
}

#[test]
fn wrong_values_are_refused_in_one_line() {
    for (flags, toml) in [
        (&["--cluster-secret", SECRET, "--join", "nowhere"][..], ""),
        (&["--cluster-secret", SECRET, "--join", "host:0"], ""),
        (&["--durability-copies", "0"], ""),
        (&["--public-url", "chat.example"], ""),
        (&[], "[http]\nlitsen = \"127.0.0.1:1\""),
        (&[], "data_dir = 7"),
        (&["--trusted-proxy", "proxy.example"], ""),
        (&["--trusted-proxy", "10.0.0.0/33"], ""),
        (&["--allowed-origin", "a.example"], ""),
        (&["--allowed-host", "https://a.example"], ""),
        (&["--allowed-host", "a.example:80"], ""),
        (&[], "[limits]\nrooms_per_day = \"5/d\""),
        (&[], "[limits]\nrooms_per_address = \"many\""),
        (&[], "[limits]\nconnections_per_address = 1000001"),
        (&[], "[limits]\nconnections_per_address = \"7\""),
        (&[], "[registration]\nmode = \"shut\""),
        (&["--auth-memory-kib", "8192"], ""),
        (&["--auth-passes", "0", "--auth-weak-hashes", "true"], ""),
        (&["--auth-workers", "0"], ""),
        (&[], "[auth]\nlanes = 65"),
        (&[], "[cluster"),
    ] {
        let error = resolve(flags, toml).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
    }
}
