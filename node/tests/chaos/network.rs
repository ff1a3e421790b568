//! The proxies themselves are checked: what a test cuts is cut, in that direction only, until it is healed.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use harness::proxy::{Network, Rule};
use harness::{PATIENCE, eventually, same};

#[tokio::test]
async fn links_are_cut_and_healed_one_by_one() {
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(UdpSocket::bind(("127.0.0.1", 0)).await.expect("a port is free"));
    }
    let nodes = sockets.iter().map(|socket| socket.local_addr().expect("a socket has an address")).collect();
    let network = Network::new(nodes, 0).await;
    let cut = Rule { cut: true, ..Rule::default() };
    for (from, to) in [(0, 1), (1, 0), (2, 0)] {
        network.set_one_way(from, to, cut);
        check(&sockets, &network, (from, to)).await;
        network.set_one_way(from, to, Rule::default());
    }
    network.set_one_way(1, 2, Rule { loss: 1.0, ..Rule::default() });
    check(&sockets, &network, (1, 2)).await;
    network.set(1, 2, Rule { delay: Duration::from_millis(5), ..Rule::default() });
    check(&sockets, &network, (0, 0)).await;
}

/// All nodes send to each other and get answers; only packets on the cut way do not arrive.
async fn check(sockets: &[UdpSocket], network: &Network, cut: (usize, usize)) {
    for (from, to) in (0..3).flat_map(|from| (0..3).map(move |to| (from, to))).filter(|(from, to)| from != to)
    {
        let lost = network.lost();
        let word = format!("from {from} to {to}");
        sockets[from].send_to(word.as_bytes(), network.front(to)).await.expect("a datagram can be sent");
        if (from, to) == cut {
            swallowed(network, lost).await;
            continue;
        }
        let back = receive(&sockets[to], &word).await;
        sockets[to].send_to(b"answer", back).await.expect("a datagram can be sent");
        if (to, from) == cut {
            swallowed(network, lost).await;
        } else {
            assert_eq!(receive(&sockets[from], "answer").await, network.front(to));
        }
    }
}

async fn swallowed(network: &Network, before: u64) {
    eventually(PATIENCE, "a datagram is swallowed", async || same(&network.lost(), &(before + 1))).await;
}

/// Receives this datagram next; returns its source.
async fn receive(socket: &UdpSocket, expected: &str) -> SocketAddr {
    let mut packet = [0; 64];
    let received = timeout(PATIENCE, socket.recv_from(&mut packet)).await.expect("a datagram arrives");
    let (length, from) = received.expect("a datagram arrives");
    assert_eq!(String::from_utf8_lossy(&packet[..length]), expected);
    from
}
