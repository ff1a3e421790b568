//! The server side of the control socket: a task of the node.

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
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};

use super::{
    Answer, MemberCommands, QUESTION_BYTES_MAX, Question, SOCKET, StatusSource, UserCommands,
    socket_path::SocketPath, verify::verify_running,
};
use crate::{supervisor::SupervisedTask, texts};

/// Questions answered at once, at most.
pub(super) const CONNECTIONS_MAX: usize = 8;
/// The time for a question to arrive, and for an answer to be written.
const IO_MAX: Duration = Duration::from_secs(10);
/// The interval of signs of life while an answer is being worked on; a caller gives up after 10 s of silence.
const ALIVE_EVERY: Duration = Duration::from_secs(2);
/// Lines of progress waiting to be sent, at most; further ones are dropped.
pub(super) const PROGRESS_MAX: usize = 4;

/// The control socket of a running node.
pub struct ControlServer {
    data_dir: PathBuf,
    listener: Option<UnixListener>,
    source: Arc<StatusSource>,
    users: Arc<UserCommands>,
    members: Arc<MemberCommands>,
}

impl ControlServer {
    /// Listens in a data directory. This process holds the store's lock, so an old socket there belongs to a dead process.
    pub fn new(
        data_dir: &Path,
        source: Arc<StatusSource>,
        users: Arc<UserCommands>,
        members: Arc<MemberCommands>,
    ) -> Self {
        let listener = bind(data_dir);
        if let Err(error) = &listener {
            tracing::warn!(%error, "no control socket: 'starling status' will not reach this node");
        }
        Self { data_dir: data_dir.into(), listener: listener.ok(), source, users, members }
    }
}

/// Creates the socket under another name first, so that other users can't connect before its mode is set.
pub(super) fn bind(data_dir: &Path) -> io::Result<UnixListener> {
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
            let commands = (Arc::clone(&self.users), Arc::clone(&self.members));
            let checks = Arc::clone(&checks);
            tokio::spawn(async move {
                // An error means that the caller has gone.
                let _ = answer(stream, &source, commands, &data_dir, &checks).await;
                drop(permit);
            });
        }
    }
}

async fn answer(
    stream: UnixStream,
    source: &Arc<StatusSource>,
    (users, members): (Arc<UserCommands>, Arc<MemberCommands>),
    data_dir: &Path,
    checks: &Arc<Semaphore>,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let answer = match read_question(reader).await? {
        Ok(Question::Status) => Answer::Status(Box::new(source.status())),
        Ok(Question::User { name, act }) => {
            // A task of its own: it finishes even if the caller goes.
            let acting = tokio::spawn(async move { users.act(name, act).await });
            let (_none, mut lines) = mpsc::channel(1);
            match wait_with_progress(&mut writer, &mut lines, acting).await? {
                Ok(answer) => answer,
                Err(_) => Answer::Error(texts::COMMAND_FAILED.to_owned()),
            }
        }
        Ok(Question::RotateSecret { go_on }) => match source.rotation.clone() {
            None => Answer::Error(texts::NO_CLUSTER.to_owned()),
            Some(rotation) => {
                let (progress, mut lines) = mpsc::channel(PROGRESS_MAX);
                // Not a task of its own: it stops waiting when the caller goes.
                match wait_with_progress(&mut writer, &mut lines, rotation.rotate(go_on, progress)).await? {
                    Ok(text) => Answer::Done(text),
                    Err(text) => Answer::Error(text),
                }
            }
        },
        Ok(Question::Leave) => return members.leave(&mut writer).await,
        Ok(Question::Forget { node, force }) => {
            let forgetting = tokio::spawn(async move { members.forget(&node, force).await });
            forgetting.await.unwrap_or_else(|_| Answer::Error(texts::COMMAND_FAILED.to_owned()))
        }
        Ok(Question::Verify { scopes }) => {
            // The check may go on for a moment after its caller has gone: no other may start meanwhile.
            let Ok(check_permit) = Arc::clone(checks).try_acquire_owned() else {
                let running = "a check is already running; wait until it is done";
                return send(&mut writer, &Answer::Error(running.to_owned())).await;
            };
            let (progress, mut lines) = mpsc::channel(PROGRESS_MAX);
            let (source, data_dir) = (Arc::clone(source), data_dir.to_owned());
            let check = tokio::task::spawn_blocking(move || {
                let _check_permit = check_permit;
                verify_running(&source, &data_dir, scopes, |text| {
                    let _ = progress.try_send(text);
                    !progress.is_closed()
                })
            });
            match wait_with_progress(&mut writer, &mut lines, check).await? {
                Ok(Ok(findings)) => Answer::Verified(findings),
                Ok(Err(error)) => Answer::Error(error.to_string()),
                Err(_) => Answer::Error(texts::CHECK_FAILED.to_owned()),
            }
        }
        Err(error) => Answer::Error(texts::unknown_command(error)),
    };
    send(&mut writer, &answer).await
}

/// Reads a question; the inner error is that it is none.
pub(super) async fn read_question(
    reader: impl AsyncRead + Unpin,
) -> io::Result<Result<Question, serde_json::Error>> {
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(QUESTION_BYTES_MAX));
    timeout(IO_MAX, reader.read_line(&mut line)).await??;
    Ok(serde_json::from_str(&line))
}

pub(super) async fn send(writer: &mut (impl AsyncWriteExt + Unpin), answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    timeout(IO_MAX, writer.write_all(&line)).await?
}

/// Waits for a result. Meanwhile sends lines of progress, and repeats the last one as a sign of life.
pub(super) async fn wait_with_progress<T>(
    writer: &mut (impl AsyncWriteExt + Unpin),
    lines: &mut mpsc::Receiver<String>,
    work: impl Future<Output = T>,
) -> io::Result<T> {
    let mut work = pin!(work);
    let mut last = "working".to_owned();
    loop {
        tokio::select! {
            biased;
            result = &mut work => return Ok(result),
            Some(text) = lines.recv() => last = text,
            () = sleep(ALIVE_EVERY) => {}
        }
        send(writer, &Answer::Progress(last.clone())).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A caller gives up after 10 s of silence, so a node at work must send something before.
    #[tokio::test(start_paused = true)]
    async fn a_caller_hears_that_the_node_is_alive() {
        let (mut writer, reader) = tokio::io::duplex(4_096);
        let (progress, mut lines) = mpsc::channel(PROGRESS_MAX);
        progress.try_send("checking: 7 events".to_owned()).expect("there is room");
        let work =
            async move { wait_with_progress(&mut writer, &mut lines, sleep(Duration::from_secs(25))).await };
        let listen = async {
            let (mut lines, mut received) = (BufReader::new(reader).lines(), 0);
            while let Some(line) = timeout(Duration::from_secs(9), lines.next_line())
                .await
                .expect("not silent")
                .expect("no error")
            {
                assert_eq!(line, r#"{"progress":"checking: 7 events"}"#);
                received += 1;
            }
            received
        };
        let (result, received) = tokio::join!(work, listen);
        result.expect("the caller is there");
        assert!(received > 10, "{received}");
    }
}
