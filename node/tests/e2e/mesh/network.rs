//! Machines of their own: network namespaces on one switch, each with its addresses and its file of host names. Making
//! them needs root; they are removed when the network is dropped, also by a failing test.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The address families of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    pub ipv4: bool,
    pub ipv6: bool,
}

pub struct Machines {
    prefix: String,
    count: usize,
}

impl Machines {
    /// Makes so many machines without addresses; says why if that cannot be.
    pub fn new(count: usize) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("stl{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let machines = Self { prefix, count };
        let switch = machines.switch();
        try_ip(&["netns", "add", &switch])?;
        ip(&["-n", &switch, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &switch, "link", "set", "br0", "up"]);
        for at in 0..count {
            let (name, port) = (machines.name(at), format!("port{at}"));
            ip(&["netns", "add", &name]);
            fs::create_dir_all(machines.etc(at)).expect("a folder can be made");
            // Names that are not in the file of hosts are answered by nobody, at once.
            fs::write(machines.etc(at).join("resolv.conf"), "nameserver 127.0.0.1\n")
                .expect("a file can be written");
            machines.set_hosts(at, "");
            ip(&[
                "-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name,
            ]);
            ip(&["-n", &switch, "link", "set", &port, "master", "br0", "up"]);
            ip(&["-n", &name, "link", "set", "lo", "up"]);
            ip(&["-n", &name, "link", "set", "eth0", "up"]);
        }
        Ok(machines)
    }

    fn switch(&self) -> String {
        format!("{}sw", self.prefix)
    }

    pub fn name(&self, at: usize) -> String {
        format!("{}n{at}", self.prefix)
    }

    fn etc(&self, at: usize) -> PathBuf {
        PathBuf::from("/etc/netns").join(self.name(at))
    }

    /// Writes a machine's file of host names, in place: its processes see it at once.
    pub fn set_hosts(&self, at: usize, text: &str) {
        let text = format!("127.0.0.1 localhost\n::1 localhost\n{text}");
        fs::write(self.etc(at).join("hosts"), text).expect("a file can be written");
    }

    /// Gives a machine the addresses of a number, in place of those that it had.
    pub fn set_addresses(&self, at: usize, families: Families, number: u8) {
        let name = self.name(at);
        ip(&["-n", &name, "addr", "flush", "dev", "eth0", "scope", "global"]);
        if families.ipv4 {
            ip(&["-n", &name, "addr", "add", &format!("{}/24", ipv4(number)), "dev", "eth0"]);
        }
        if families.ipv6 {
            ip(&["-n", &name, "addr", "add", &format!("{}/64", ipv6(number)), "dev", "eth0", "nodad"]);
        } else {
            let disabled = self
                .command(at, Path::new("sysctl"))
                .args(["-q", "-w", "net.ipv6.conf.all.disable_ipv6=1"])
                .output()
                .expect("sysctl can be run");
            let absent = !Path::new("/proc/sys/net/ipv6").exists();
            assert!(absent || disabled.status.success(), "IPv6 stays on: {disabled:?}");
        }
        // As if it had announced itself.
        for other in 0..self.count {
            ip(&["-n", &self.name(other), "neigh", "flush", "all"]);
        }
    }

    /// Lets nothing pass between two machines.
    pub fn cut(&self, pair: (usize, usize), number: impl Fn(usize) -> u8) {
        for (from, to) in [pair, (pair.1, pair.0)] {
            let target = format!("{}/32", ipv4(number(to)));
            ip(&["-n", &self.name(from), "route", "add", "blackhole", &target]);
        }
    }

    /// A command that runs on a machine.
    pub fn command(&self, at: usize, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(at)]).arg(program);
        command
    }

    /// Runs something on a thread whose sockets are a machine's.
    pub fn on<T: Send>(&self, at: usize, work: impl AsyncFnOnce() -> T + Send) -> T {
        let space = File::open(format!("/run/netns/{}", self.name(at))).expect("there is such a machine");
        thread::scope(|scope| {
            let there = scope.spawn(move || {
                move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may move a thread");
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime can be made").block_on(work())
            });
            there.join().expect("what runs on a machine does not panic")
        })
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in (0..self.count).map(|at| self.name(at)).chain([self.switch()]) {
            let _ = try_ip(&["netns", "del", &name]);
            let _ = fs::remove_dir_all(PathBuf::from("/etc/netns").join(name));
        }
    }
}

/// The addresses of a number.
pub fn addresses(families: Families, number: u8) -> Vec<IpAddr> {
    let (ipv4, ipv6) =
        (families.ipv4.then(|| ipv4(number).into()), families.ipv6.then(|| ipv6(number).into()));
    ipv4.into_iter().chain(ipv6).collect()
}

fn ipv4(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, number)
}

fn ipv6(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, number.into())
}

fn try_ip(args: &[&str]) -> Result<(), String> {
    let ended = Command::new("ip").args(args).output().map_err(|error| format!("ip: {error}"))?;
    let said = || format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&ended.stderr).trim());
    if ended.status.success() { Ok(()) } else { Err(said()) }
}

fn ip(args: &[&str]) {
    try_ip(args).expect("the network can be changed");
}
