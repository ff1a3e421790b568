//! Rooms and connections for a measurement: of guests, of people who are logged in, or of clients of another server.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::driver::Driver;
use crate::BenchError;
use crate::dialect::{Dialect, Participant};
use crate::node::NodeUrl;
use crate::people::Person;
use crate::rooms;
use crate::server::Server;

/// Requests or handshakes under way at a time.
const CONNECTING_MAX: usize = 16;
/// Connections made between two rounds of reading, so that presence frames do not pile up.
const CONNECTING_BATCH: usize = 256;

/// The connections of a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// The number of rooms.
    pub(crate) rooms: usize,
    /// Connections in each that send; they also receive.
    pub(crate) senders: usize,
    /// Connections in each that only receive.
    pub(crate) readers: usize,
    /// Whether a Starling node is used by people with accounts, over `/api/v1/live`, rather than by guests.
    pub(crate) logged_in: bool,
}

impl Layout {
    /// Connections of a room, each of which gets each message.
    pub(crate) fn in_room(&self) -> usize {
        self.senders + self.readers
    }

    fn dialect(&self, server: &Server) -> Dialect {
        let is_live = self.logged_in && server.is_starling;
        if is_live { Dialect::Live } else { server.dialect }
    }
}

/// Makes the rooms and the people of a layout. Names begin with `label`, which differs for each call on one server.
pub(crate) async fn prepare(
    server: &Server,
    layout: &Layout,
    label: &str,
) -> Result<Vec<Participant>, BenchError> {
    let make = async |room: usize| -> Result<Vec<Participant>, BenchError> {
        let names = (0..layout.in_room()).map(|member| format!("{label}-{room}-{member}"));
        match layout.dialect(server) {
            Dialect::Live => members(&server.node, names.collect()).await,
            Dialect::Quick => Ok(guests(&rooms::create(&server.node).await?, names)),
            Dialect::Nats | Dialect::Mqtt => Ok(guests(&format!("{label}-{room}"), names)),
        }
    };
    let rooms: Vec<_> =
        stream::iter(0..layout.rooms).map(make).buffered(CONNECTING_MAX).try_collect().await?;
    Ok(rooms.into_iter().flatten().collect())
}

/// Connects all. Returns those that send.
pub(crate) async fn connect(
    driver: &mut Driver,
    server: &Server,
    layout: &Layout,
    participants: Vec<Participant>,
) -> Result<Vec<usize>, BenchError> {
    let dialect = layout.dialect(server);
    let mut connections = Vec::with_capacity(participants.len());
    for batch in participants.chunks(CONNECTING_BATCH) {
        let connected: Vec<_> = stream::iter(batch)
            .map(async |participant| dialect.connect(&server.node, participant).await)
            .buffered(CONNECTING_MAX)
            .try_collect()
            .await?;
        for ((stream, rest), participant) in connected.into_iter().zip(batch) {
            connections.push(driver.add(stream.into_std()?, dialect, participant.room.clone(), rest)?);
        }
        driver.receive_pending()?;
    }
    let is_sender = |&(number, _): &(usize, usize)| number % layout.in_room() < layout.senders;
    Ok(connections.into_iter().enumerate().filter(is_sender).map(|(_, connection)| connection).collect())
}

/// Prepares and connects in one go.
pub(crate) async fn join(
    driver: &mut Driver,
    server: &Server,
    layout: &Layout,
    label: &str,
) -> Result<Vec<usize>, BenchError> {
    let participants = prepare(server, layout, label).await?;
    connect(driver, server, layout, participants).await
}

fn guests(room: &str, names: impl Iterator<Item = String>) -> Vec<Participant> {
    names.map(|name| Participant { room: room.to_owned(), name, headers: String::new() }).collect()
}

/// Registers people; the first makes a room, and the others join it.
async fn members(node: &NodeUrl, names: Vec<String>) -> Result<Vec<Participant>, BenchError> {
    let mut made: Option<String> = None;
    let mut participants = Vec::with_capacity(names.len());
    for name in names {
        let person = Person::register(node, name.clone(), "127.0.0.1").await?;
        let room = match &made {
            Some(room) => {
                person.join(node, room).await?;
                room
            }
            None => &*made.insert(person.make_room(node).await?),
        };
        participants.push(Participant { room: room.clone(), name, headers: person.headers() });
    }
    Ok(participants)
}
