//! Binds the UDP socket of the cluster on this machine.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Kernel buffers of the socket.
const SOCKET_BUFFER_BYTES: usize = 2 * 1024 * 1024;

/// Binds a UDP socket. A socket for all IPv6 addresses also takes IPv4; where IPv6 is disabled, it takes IPv4 alone.
pub(super) fn bind(listen: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let all_ipv6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, listen.port()));
    match bind_one(listen) {
        Err(error) if listen == all_ipv6 && is_without_ipv6(&error) => {
            tracing::info!("IPv6 is disabled here: the cluster's listener is for IPv4 alone");
            bind_one(SocketAddr::from((Ipv4Addr::UNSPECIFIED, listen.port())))
        }
        bound => bound,
    }
}

/// Whether a socket could not be bound because this machine has no IPv6.
fn is_without_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn bind_one(listen: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // The kernel may give less; that only costs speed.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    if listen.is_ipv6() {
        socket.set_only_v6(!listen.ip().is_unspecified())?;
    }
    socket.bind(&listen.into())?;
    Ok(socket.into())
}
