//! Serves what a page of tests loads: the room's markup with a script of tests in place of its own, the assets, and
//! the scripts beside this file. One thread, a request a connection.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
};

use starling_web::{assets, pages};

/// The room that the pages show.
const ROOM: &str = "0123456789abcdef";

/// It serves until the test program ends.
pub struct Server {
    pub address: SocketAddr,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A browser that goes away in between is no fault.
                let _ = answer(&stream);
            }
        });
        Self { address }
    }
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    // The head to its end: a socket that is closed with something unread resets the connection.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let target = first.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let (status, content_type, body) = match content(path) {
        Some((content_type, body)) => ("200 OK", content_type, body),
        None => ("404 Not Found", "text/plain", Vec::new()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

fn content(path: &str) -> Option<(&'static str, Vec<u8>)> {
    if let Some((version, name)) = path.strip_prefix("/assets/").and_then(|rest| rest.split_once('/')) {
        let asset = assets::serve(version, name)?;
        return Some((asset.content_type, asset.body.to_vec()));
    }
    if let Some(name) = path.strip_prefix("/scripts/") {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/scripts");
        return Some(("text/javascript", std::fs::read(folder.join(name)).ok()?));
    }
    if path == "/favicon.ico" {
        return None;
    }
    let page = pages::room(ROOM, Some("Tea"), None).into_string();
    let (before, rest) = page.split_once("<script type=\"module\" src=\"").expect("the page has a script");
    let (_, after) = rest.split_once('"').expect("an attribute ends");
    let tests = format!("{before}<script type=\"module\" src=\"/scripts{path}.js\"{after}");
    Some(("text/html; charset=utf-8", tests.into_bytes()))
}
