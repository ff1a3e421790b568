//! A small client of Chromium's debugging protocol: starts its own browser, opens people's windows and drives them.
//! Used by the browser test alone. It knows nothing of Starling, and ends no browser but its own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
const FLAGS: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --remote-debugging-port=0";
/// The pause between looks for the file that the browser writes when it is ready.
const LOOK: Duration = Duration::from_millis(10);

/// One headless browser. All that it is asked must be answered before the deadline given at the start.
pub struct Browser {
    child: Child,
    home: TempDir,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    deadline: Instant,
    calls: u64,
    errors: Vec<String>,
}

/// A window of one person, in a browser context of its own: nothing is shared with other windows.
pub struct Window(String);

impl Browser {
    /// Starts a browser that is used until `deadline`.
    pub async fn start(deadline: Instant) -> Self {
        let home =
            tempfile::Builder::new().prefix("starling-browser-").tempdir().expect("a folder can be made");
        let child = spawn(&home);
        let port_file = home.path().join("DevToolsActivePort");
        let address = loop {
            // Two lines: the port, and the path of the browser's own socket.
            let written = std::fs::read_to_string(&port_file).unwrap_or_default();
            if let Some((port, path)) = written.split_once('\n') {
                break format!("ws://127.0.0.1:{port}{path}");
            }
            assert!(Instant::now() < deadline, "Chromium did not start");
            tokio::time::sleep(LOOK).await;
        };
        let (socket, _) = connect_async(address).await.expect("Chromium opens its DevTools socket");
        Self { child, home, socket, deadline, calls: 0, errors: Vec::new() }
    }

    /// Opens an empty window of that size in CSS pixels.
    pub async fn open(&mut self, width: u32, height: u32, mobile: bool) -> Window {
        let context = self.call(None, "Target.createBrowserContext", json!({})).await;
        let options = json!({"url": "about:blank", "browserContextId": context["browserContextId"]});
        let target = self.call(None, "Target.createTarget", options).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.call(None, "Target.attachToTarget", attach).await;
        let window = Window(session["sessionId"].as_str().expect("a session has an id").to_owned());
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.call(Some(&window), domain, json!({})).await;
        }
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.call(Some(&window), "Emulation.setDeviceMetricsOverride", metrics).await;
        window
    }

    pub async fn go(&mut self, window: &Window, address: &str) {
        let answer = self.call(Some(window), "Page.navigate", json!({"url": address})).await;
        assert_eq!(answer["errorText"], Value::Null, "{address} can be opened");
    }

    /// The value of a JavaScript expression.
    pub async fn value(&mut self, window: &Window, expression: &str) -> Value {
        self.evaluate(window, expression).await.unwrap_or_else(|problem| panic!("{expression}: {problem}"))
    }

    /// Waits until a JavaScript expression is true, on whatever page the window comes to.
    pub async fn until(&mut self, window: &Window, expression: &str) {
        let look = format!(
            "new Promise((done) => {{ const look = () => {{ let yes = false; try {{ yes = {expression}; }} catch {{}} \
             yes ? done(true) : setTimeout(look, 15); }}; look(); }})"
        );
        // A page that is left takes its promise with it; the next one is asked anew.
        while self.evaluate(window, &look).await != Ok(Value::Bool(true)) {}
    }

    /// Types into whatever has the focus; `\n` is the Enter key.
    pub async fn write(&mut self, window: &Window, text: &str) {
        for line in text.split_inclusive('\n') {
            let words = line.trim_end_matches('\n');
            self.call(Some(window), "Input.insertText", json!({"text": words})).await;
            for kind in ["keyDown", "keyUp"].iter().filter(|_| line.ends_with('\n')) {
                let key = json!({"type": kind, "key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13});
                self.call(Some(window), "Input.dispatchKeyEvent", key).await;
            }
        }
    }

    /// The errors in the consoles of all windows so far.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    async fn evaluate(&mut self, window: &Window, expression: &str) -> Result<Value, String> {
        let options = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.ask(Some(window), "Runtime.evaluate", options).await?;
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].clone()),
            problem => Err(problem.to_string()),
        }
    }

    async fn call(&mut self, window: Option<&Window>, method: &str, options: Value) -> Value {
        self.ask(window, method, options).await.unwrap_or_else(|problem| panic!("{method}: {problem}"))
    }

    async fn ask(&mut self, window: Option<&Window>, method: &str, options: Value) -> Result<Value, String> {
        self.calls += 1;
        let mut call = json!({"id": self.calls, "method": method, "params": options});
        if let Some(Window(session)) = window {
            call["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(call.to_string())).await.expect("Chromium listens");
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let Ok(frame) = timeout(left, self.socket.next()).await else {
                panic!("no answer before the deadline: {call}\nconsole: {:#?}", self.errors);
            };
            let frame = frame.expect("Chromium runs").expect("Chromium speaks WebSocket");
            let mut frame: Value = serde_json::from_slice(&frame.into_data()).expect("Chromium speaks JSON");
            if frame["id"] == self.calls {
                return match &frame["error"] {
                    Value::Null => Ok(frame["result"].take()),
                    problem => Err(problem.to_string()),
                };
            }
            self.errors.extend(complaint(&frame));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its helper processes end with it.
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(self.home.path()).ok();
    }
}

fn spawn(home: &TempDir) -> Child {
    let started = PROGRAMS.iter().find_map(|program| {
        let mut command = Command::new(program);
        command.args(FLAGS.split_whitespace()).arg(format!("--user-data-dir={}", home.path().display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
    });
    started
        .expect("this test drives a real browser: install Chromium, for example with `apt install chromium`")
}

/// Returns the text of an event that should not happen: an exception, or an error in the console.
fn complaint(event: &Value) -> Option<String> {
    let details = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(details["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" if details["type"] == "error" => Some(details["args"].to_string()),
        "Log.entryAdded" if details["entry"]["level"] == "error" => {
            Some(format!("{} {}", details["entry"]["text"], details["entry"]["url"]))
        }
        _ => None,
    }
}
