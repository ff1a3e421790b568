//! The floor: the least that delivery costs on this kernel. One thread and one epoll; all frames that came since the last
//! look are one run of bytes, and each reader of the room gets it in one `write`.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::http::{HEAD_BYTES_MAX, head_end};
use crate::ws::{ACCEPT, KEY, frame};

/// Events taken from the kernel at once.
const EVENTS: usize = 1_024;
const READ_BYTES: usize = 64 * 1024;
/// Bytes that wait for a reader; beyond it the connection is closed.
const WAITING_MAX: usize = 64 * 1024 * 1024;
/// Stands for the listener.
const LISTENER: u64 = u64::MAX;

struct Floor {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    /// Indices of connections that ended.
    free: Vec<usize>,
    rooms: Vec<Room>,
    numbers: HashMap<String, usize>,
    /// Rooms that have something for their readers.
    ready: Vec<usize>,
}

struct Connection {
    stream: TcpStream,
    /// `None` until the WebSocket is open.
    room: Option<usize>,
    /// The beginning of a request or frame.
    held: Vec<u8>,
    /// Bytes that the kernel did not take yet.
    waiting: Vec<u8>,
}

#[derive(Default)]
struct Room {
    members: Vec<usize>,
    /// Frames for all members.
    run: Vec<u8>,
}

/// Serves until it is ended by a signal.
pub(super) fn serve(address: SocketAddr) -> io::Result<()> {
    let mut floor = Floor::bind(TcpListener::bind(address)?)?;
    loop {
        floor.turn()?;
    }
}

impl Floor {
    fn bind(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        Ok(Self {
            epoll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            rooms: Vec::new(),
            numbers: HashMap::new(),
            ready: Vec::new(),
        })
    }

    /// Waits for events, reads all, then writes to all.
    fn turn(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        if let Err(error) = epoll::wait(&self.epoll, spare_capacity(&mut events), None)
            && error != rustix::io::Errno::INTR
        {
            return Err(error.into());
        }
        for event in &events {
            let (data, flags) = (event.data, event.flags);
            if data.u64() == LISTENER {
                self.accept()?;
                continue;
            }
            let index = usize::try_from(data.u64()).expect("the index of a connection");
            let has_input = flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR);
            if has_input && !self.read(index)? {
                self.close(index);
            } else if flags.contains(EventFlags::OUT) {
                self.write(index, &[])?;
            }
        }
        for room in std::mem::take(&mut self.ready) {
            let run = std::mem::take(&mut self.rooms[room].run);
            for place in 0..self.rooms[room].members.len() {
                let member = self.rooms[room].members[place];
                self.write(member, &run)?;
            }
            // Keeps its memory for the next run.
            self.rooms[room].run = run;
            self.rooms[room].run.clear();
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or(self.connections.len());
            let data = EventData::new_u64(u64::try_from(index).expect("64 bits"));
            epoll::add(&self.epoll, &stream, data, EventFlags::IN)?;
            let connection = Connection { stream, room: None, held: Vec::new(), waiting: Vec::new() };
            if index == self.connections.len() {
                self.connections.push(None);
            }
            self.connections[index] = Some(connection);
        }
    }

    /// Reads once and takes what is whole; false if the connection is to be closed.
    fn read(&mut self, index: usize) -> io::Result<bool> {
        let Some(connection) = self.connections[index].as_mut() else { return Ok(true) };
        let held = connection.held.len();
        connection.held.resize(held + READ_BYTES, 0);
        let read = match connection.stream.read(&mut connection.held[held..]) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return Ok(false),
        };
        connection.held.truncate(held + read);
        let bytes = std::mem::take(&mut connection.held);
        let used = match connection.room {
            Some(room) => self.take_frames(room, &bytes),
            None => self.answer(index, &bytes)?,
        };
        let Some(used) = used else { return Ok(false) };
        if let Some(connection) = self.connections[index].as_mut()
            && used < bytes.len()
        {
            connection.held = bytes[used..].to_vec();
        }
        Ok(true)
    }

    /// Adds all whole frames of text to the room's run. Returns their length; `None` if the client says goodbye.
    fn take_frames(&mut self, number: usize, bytes: &[u8]) -> Option<usize> {
        let room = &mut self.rooms[number];
        let was_empty = room.run.is_empty();
        let mut start = 0;
        while let Some((opcode, mask, payload, length)) = frame::parse_masked(&bytes[start..]) {
            match opcode {
                frame::TEXT => frame::write_unmasked(&mut room.run, mask, payload),
                frame::CLOSE => return None,
                _ => {}
            }
            start += length;
        }
        if was_empty && !room.run.is_empty() {
            self.ready.push(number);
        }
        Some(start)
    }

    /// Answers a request. Returns its length; `None` if the connection is to be closed.
    fn answer(&mut self, index: usize, bytes: &[u8]) -> io::Result<Option<usize>> {
        let Some(end) = head_end(bytes) else {
            return Ok((bytes.len() <= HEAD_BYTES_MAX).then_some(0));
        };
        let head = String::from_utf8_lossy(&bytes[..end]);
        let path = head.split(' ').nth(1).unwrap_or_default();
        if head.starts_with("POST /create-room") {
            let room = format!("room{}", self.rooms.len());
            self.numbers.insert(room.clone(), self.rooms.len());
            self.rooms.push(Room::default());
            let body = format!("{{\"roomID\":\"{room}\"}}");
            let answer = format!(
                "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            self.write(index, answer.as_bytes())?;
            return Ok(None);
        }
        let query = path.strip_prefix("/ws?").unwrap_or_default();
        let room = query.split('&').find_map(|pair| pair.strip_prefix("roomID="));
        let room = room.and_then(|room| self.numbers.get(room).copied());
        // The answer to one key is known: so this server needs no SHA-1, and serves this generator only.
        let Some(room) = room.filter(|_| head.contains(KEY)) else {
            self.write(index, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
            return Ok(None);
        };
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
        );
        self.write(index, answer.as_bytes())?;
        if let Some(connection) = self.connections[index].as_mut() {
            connection.room = Some(room);
            self.rooms[room].members.push(index);
        }
        Ok(Some(end))
    }

    /// Writes what waits for a connection, then `bytes`; what the kernel does not take waits.
    fn write(&mut self, index: usize, bytes: &[u8]) -> io::Result<()> {
        let Some(connection) = self.connections[index].as_mut() else { return Ok(()) };
        let was_waiting = !connection.waiting.is_empty();
        if was_waiting {
            connection.waiting.extend_from_slice(bytes);
            let waiting = std::mem::take(&mut connection.waiting);
            let written = write_some(&connection.stream, &waiting);
            connection.waiting = waiting[written..].to_vec();
        } else {
            let written = write_some(&connection.stream, bytes);
            connection.waiting.extend_from_slice(&bytes[written..]);
        }
        let is_waiting = !connection.waiting.is_empty();
        if connection.waiting.len() > WAITING_MAX {
            self.close(index);
        } else if is_waiting != was_waiting {
            let flags = if is_waiting { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            let data = EventData::new_u64(u64::try_from(index).expect("64 bits"));
            epoll::modify(&self.epoll, &connection.stream, data, flags)?;
        }
        Ok(())
    }

    fn close(&mut self, index: usize) {
        let Some(connection) = self.connections[index].take() else { return };
        if let Some(room) = connection.room {
            self.rooms[room].members.retain(|&member| member != index);
        }
        self.free.push(index);
    }
}

/// Writes what the kernel takes. Broken connections take all: their reading side reports them.
fn write_some(mut stream: &TcpStream, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(some) => written += some,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => return bytes.len(),
        }
    }
    written
}
