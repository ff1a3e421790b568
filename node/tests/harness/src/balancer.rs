//! A TCP balancer as plain as can be: each connection goes to the first of the nodes that takes it.
//! Used by tests of clients that stay on one address, as browsers do.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Dropping it ends it and all connections through it.
pub struct Balancer {
    pub address: SocketAddr,
    _task: JoinSet<()>,
}

impl Balancer {
    pub async fn start(nodes: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("a listener accepts");
                connections.spawn(serve(client, nodes.clone()));
            }
        });
        Self { address, _task: task }
    }
}

async fn serve(mut client: TcpStream, nodes: Vec<SocketAddr>) {
    for node in nodes {
        if let Ok(mut stream) = TcpStream::connect(node).await {
            // Whichever side breaks, both are closed.
            let _ = copy_bidirectional(&mut client, &mut stream).await;
            return;
        }
    }
}
