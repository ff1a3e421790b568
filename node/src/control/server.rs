//! The answering side: a part of the node that listens on the socket.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};

use super::{
    Answer, QUESTION_BYTES_MAX, Question, SOCKET, StatusSource, UserCommands, socket_path::SocketPath,
    verify::verify_running,
};
use crate::supervisor::SupervisedTask;

/// Questions that are answered at once, at most.
const CONNECTIONS_MAX: usize = 8;
/// How long a question may take to arrive, and an answer to be taken.
const IO_MAX: Duration = Duration::from_secs(10);
/// How often a caller hears that its answer is being worked on; it waits 10 s at most without a word.
const ALIVE_EVERY: Duration = Duration::from_secs(2);
/// Lines of progress that wait to be sent, at most; progress that comes faster is left out.
const PROGRESS_MAX: usize = 4;

/// The control socket of a running node.
pub struct ControlServer {
    data_dir: PathBuf,
    listener: Option<UnixListener>,
    source: Arc<StatusSource>,
    users: Arc<UserCommands>,
}

impl ControlServer {
    /// Listens in a data directory, whose store this process holds: a socket that lies there is a dead process's.
    pub fn new(data_dir: &Path, source: Arc<StatusSource>, users: Arc<UserCommands>) -> Self {
        let listener = bind(data_dir);
        if let Err(error) = &listener {
            tracing::warn!(%error, "no control socket: 'starling status' will not reach this node");
        }
        Self { data_dir: data_dir.into(), listener: listener.ok(), source, users }
    }
}

/// Makes the socket so that nobody else can use it even for a moment.
fn bind(data_dir: &Path) -> io::Result<UnixListener> {
    const UNFINISHED: &str = "control.new";
    let (path, unfinished) = (data_dir.join(SOCKET), data_dir.join(UNFINISHED));
    let _ = fs::remove_file(&unfinished);
    // By reference: it must outlive the call, which would drop it before it uses the path.
    let socket_path = SocketPath::new(data_dir, UNFINISHED)?;
    let listener = UnixListener::bind(&socket_path)?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
    fs::rename(&unfinished, &path)?;
    Ok(listener)
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.data_dir.join(SOCKET));
    }
}

impl SupervisedTask for ControlServer {
    fn name(&self) -> &'static str {
        "control socket"
    }

    async fn run(&mut self) {
        let Some(listener) = &self.listener else { return };
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let checks = Arc::new(Semaphore::new(1));
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
            let Ok((stream, _)) = listener.accept().await else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (source, data_dir) = (Arc::clone(&self.source), self.data_dir.clone());
            let (users, checks) = (Arc::clone(&self.users), Arc::clone(&checks));
            tokio::spawn(async move {
                // Who asked has gone; there is nobody to tell.
                let _ = answer(stream, &source, users, &data_dir, &checks).await;
                drop(permit);
            });
        }
    }
}

async fn answer(
    stream: UnixStream,
    source: &Arc<StatusSource>,
    users: Arc<UserCommands>,
    data_dir: &Path,
    checks: &Arc<Semaphore>,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(QUESTION_BYTES_MAX));
    timeout(IO_MAX, reader.read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(Question::Status) => Answer::Status(Box::new(source.status())),
        Ok(Question::User { name, act }) => {
            // On its own: what was begun is finished, though nobody may wait for it any more.
            let acting = tokio::spawn(async move { users.act(name, act).await });
            let (_none, told) = mpsc::channel(1);
            match report(&mut writer, told, acting).await? {
                Ok(answer) => answer,
                Err(_) => Answer::Error("the command ended early; see the log of the node".to_owned()),
            }
        }
        Ok(Question::Verify { scopes }) => {
            // The check goes on for a moment if who asked has gone: another must not begin meanwhile.
            let Ok(alone) = Arc::clone(checks).try_acquire_owned() else {
                let running = "a check is running already; wait until it is done";
                return send(&mut writer, &Answer::Error(running.to_owned())).await;
            };
            let (progress, told) = mpsc::channel(PROGRESS_MAX);
            let (source, data_dir) = (Arc::clone(source), data_dir.to_owned());
            let check = tokio::task::spawn_blocking(move || {
                let _alone = alone;
                verify_running(&source, &data_dir, scopes, |text| {
                    let _ = progress.try_send(text);
                    !progress.is_closed()
                })
            });
            match report(&mut writer, told, check).await? {
                Ok(Ok(findings)) => Answer::Verified(findings),
                Ok(Err(error)) => Answer::Error(error.to_string()),
                Err(_) => Answer::Error("the check ended early; see the log of the node".to_owned()),
            }
        }
        Err(error) => Answer::Error(format!("this node does not know the question: {error}")),
    };
    send(&mut writer, &answer).await
}

async fn send(writer: &mut (impl AsyncWriteExt + Unpin), answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    timeout(IO_MAX, writer.write_all(&line)).await?
}

/// Waits for a result. Meanwhile sends the progress that is told, and a sign of life if there is none for a while.
async fn report<T>(
    writer: &mut (impl AsyncWriteExt + Unpin),
    mut told: mpsc::Receiver<String>,
    work: impl Future<Output = T>,
) -> io::Result<T> {
    let mut work = pin!(work);
    let mut last = "working".to_owned();
    loop {
        tokio::select! {
            biased;
            result = &mut work => return Ok(result),
            Some(text) = told.recv() => last = text,
            () = sleep(ALIVE_EVERY) => {}
        }
        send(writer, &Answer::Progress(last.clone())).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A caller gives up after 10 s of silence: one who waits for long work hears something before.
    #[tokio::test(start_paused = true)]
    async fn a_caller_hears_that_the_node_is_alive() {
        let (mut writer, reader) = tokio::io::duplex(4_096);
        let (progress, told) = mpsc::channel(PROGRESS_MAX);
        progress.try_send("checking: 7 events".to_owned()).expect("there is room");
        let work = async move { report(&mut writer, told, sleep(Duration::from_secs(25))).await };
        let listen = async {
            let (mut lines, mut heard) = (BufReader::new(reader).lines(), 0);
            while let Some(line) = timeout(Duration::from_secs(9), lines.next_line())
                .await
                .expect("not silent")
                .expect("no error")
            {
                assert_eq!(line, r#"{"progress":"checking: 7 events"}"#);
                heard += 1;
            }
            heard
        };
        let (result, heard) = tokio::join!(work, listen);
        result.expect("the caller is there");
        assert!(heard > 10, "{heard}");
    }
}
