//! `peer`: servers to compare with. They speak just enough of the contract of quick rooms for the same generator: rooms are
//! made by `POST /create-room` and entered over `/ws?roomID=&username=`; everybody in a room gets each text as it was sent.
//! They keep nothing and check nothing.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

use crate::BenchError;

mod broadcast;
mod floor;

/// Servers to compare with: they deliver, and nothing else
#[derive(Debug, Args)]
pub(crate) struct Options {
    kind: Kind,
    /// The address to listen at
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// One thread and one epoll: the least that delivery costs
    Floor,
    /// axum's tutorial: a task for each reader, and tokio's broadcast channel
    Axum,
}

/// Serves until it is ended by a signal.
pub(crate) fn run(options: &Options) -> Result<bool, BenchError> {
    crate::process::raise_open_files();
    match options.kind {
        Kind::Floor => floor::serve(options.listen)?,
        Kind::Axum => broadcast::serve(options.listen)?,
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::machine::Cores;
    use crate::measure::{Driver, IdOrder, Layout, Mark, Marked as _, Times, join, measure};
    use crate::node::NodeUrl;
    use crate::process::Process;
    use crate::server::{Server, ServerSpec, free_address};

    /// A server in a thread of this process, which ends with it.
    fn serve(kind: Kind) -> Server {
        let listen = free_address().unwrap();
        thread::spawn(move || run(&Options { kind, listen }).unwrap());
        while std::net::TcpStream::connect(listen).is_err() {
            thread::yield_now();
        }
        let node = NodeUrl { authority: listen.to_string() };
        let spec = ServerSpec::Running { node, process: Process::own() };
        Server::start(&spec, Cores::Shared, std::path::Path::new("")).unwrap()
    }

    /// The generator and both servers agree on every single delivery, in rooms of several readers and at a rate at which
    /// frames come in runs.
    #[test]
    fn every_delivery_is_counted_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let times = Times {
            warmup: Duration::from_millis(50),
            duration: Duration::from_millis(250),
            drain: Duration::from_secs(30),
        };
        for kind in [Kind::Floor, Kind::Axum] {
            let server = serve(kind);
            let layout = Layout { rooms: 3, senders: 2, readers: 3, logged_in: false };
            for (body_bytes, rate) in [(22, 300.0), (128, 3_000.0), (1_000, 300.0)] {
                let mut driver = Driver::new(body_bytes, IdOrder::Time).unwrap();
                let senders = runtime.block_on(join(&mut driver, &server, &layout, "test")).unwrap();
                assert_eq!(senders, [0, 1, 5, 6, 10, 11]);
                let measured = measure(&mut driver, &server, &layout, &senders, rate, &times).unwrap();
                let lost = measured.marks().iter().find(|mark| matches!(mark, Mark::Lost(_)));
                assert_eq!(lost, None, "{kind:?} at {rate}");
                let tally = &driver.tally;
                assert_eq!(tally.delivered, tally.sent * 5);
                assert_eq!(tally.delivery.quantiles().count, tally.delivered_of_window);
                // 300 ms in all.
                let wanted = crate::number::float(tally.sent) - rate * 0.3;
                assert!(wanted.abs() <= 6.0, "{} at {rate}", tally.sent);
            }
        }
    }
}
