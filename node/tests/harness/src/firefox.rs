//! A small client of the browser Firefox: starts its own, opens one page and asks it for the values of expressions.
//! Used by the browser test alone, for what depends on the browser's engine.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

const PROGRAMS: [&str; 2] = ["firefox-esr", "firefox"];
/// The text before the address of its socket in its output.
const LISTENS: &str = "WebDriver BiDi listening on ";
/// The pause between looks at a starting browser.
const LOOK: Duration = Duration::from_millis(20);

/// One headless browser with one page. All that it is asked must be answered before the deadline given at the start.
pub struct Firefox {
    child: Child,
    _home: TempDir,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    page: Value,
    deadline: Instant,
    calls: u64,
}

impl Firefox {
    pub async fn start(deadline: Instant) -> Self {
        let home =
            tempfile::Builder::new().prefix("starling-firefox-").tempdir().expect("a folder can be made");
        let mut child = spawn(&home);
        let output = BufReader::new(child.stderr.take().expect("it is piped"));
        let (lines, said) = mpsc::channel();
        // Reads on, so that the browser can go on writing.
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|line| drop(lines.send(line)));
        });
        let address = loop {
            if let Some(address) =
                said.try_iter().find_map(|line| Some(line.strip_prefix(LISTENS)?.to_owned()))
            {
                break address;
            }
            assert!(Instant::now() < deadline, "Firefox did not start");
            tokio::time::sleep(LOOK).await;
        };
        let connected = connect_async(format!("{address}/session")).await;
        let (socket, _) = connected.expect("Firefox opens its BiDi socket");
        let mut firefox = Self { child, _home: home, socket, page: Value::Null, deadline, calls: 0 };
        firefox.call("session.new", json!({"capabilities": {}})).await;
        let tree = firefox.call("browsingContext.getTree", json!({})).await;
        firefox.page = tree["contexts"][0]["context"].clone();
        firefox
    }

    /// Opens a page and waits until it has loaded.
    pub async fn go(&mut self, address: &str) {
        let options = json!({"context": self.page, "url": address, "wait": "complete"});
        self.call("browsingContext.navigate", options).await;
    }

    /// The text of a JavaScript expression's value.
    pub async fn text(&mut self, expression: &str) -> String {
        let target = json!({"context": self.page});
        let options = json!({"expression": expression, "target": target, "awaitPromise": true});
        let answer = self.call("script.evaluate", options).await;
        let text = answer["result"]["value"].as_str();
        text.unwrap_or_else(|| panic!("{expression}: {answer}")).to_owned()
    }

    async fn call(&mut self, method: &str, options: Value) -> Value {
        self.calls += 1;
        let call = json!({"id": self.calls, "method": method, "params": options});
        self.socket.send(Message::text(call.to_string())).await.expect("Firefox listens");
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let Ok(frame) = timeout(left, self.socket.next()).await else {
                panic!("no answer before the deadline: {call}");
            };
            let frame = frame.expect("Firefox runs").expect("Firefox speaks WebSocket");
            let mut answer: Value = serde_json::from_slice(&frame.into_data()).expect("Firefox speaks JSON");
            if answer["id"] == self.calls {
                assert_eq!(answer["type"], "success", "{call}: {answer}");
                return answer["result"].take();
            }
        }
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        // Its helper processes end with it.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(home: &TempDir) -> Child {
    let started = PROGRAMS.iter().find_map(|program| {
        let mut command = Command::new(program);
        command
            .args(["--headless", "--no-remote", "--remote-debugging-port=0", "--profile"])
            .arg(home.path());
        // Its own home, too: it refuses one that belongs to another user.
        command.env("HOME", home.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().ok()
    });
    started.expect(
        "this test drives a real browser: install Firefox, for example with `apt install firefox-esr`",
    )
}
