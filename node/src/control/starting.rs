//! The control socket of a node that migrates its store: reports the progress, and answers no other command yet.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinHandle as Task,
    time::sleep,
};

use super::{
    Answer, Question, Queues, SOCKET, Status, StoreStatus,
    server::{CONNECTIONS_MAX, bind, read_question, send},
};
use crate::{disk_space::free_bytes, logging::LastErrors, store::Progress, texts};

/// The parts of a status that are known before the store is open.
#[derive(Debug)]
pub struct StartingStatus {
    /// The id of the node.
    pub node: String,
    /// The address of the public listener.
    pub http: String,
    /// The file of the store.
    pub store_file: PathBuf,
    done: AtomicU64,
    total: AtomicU64,
}

impl StartingStatus {
    /// Begins with no progress.
    pub fn new(node: String, http: String, store_file: PathBuf) -> Self {
        Self { node, http, store_file, done: AtomicU64::new(0), total: AtomicU64::new(0) }
    }

    /// Records how far the migration is.
    pub fn set(&self, progress: Progress) {
        self.done.store(progress.done, Ordering::Relaxed);
        self.total.store(progress.total, Ordering::Relaxed);
    }

    /// The reason why the node is not ready.
    pub fn reason(&self) -> String {
        texts::migrating(self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    fn answer(&self, question: &Question) -> Answer {
        if !matches!(question, Question::Status) {
            let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
            return Answer::Error(texts::command_while_migrating(done, total));
        }
        Answer::Status(Box::new(Status {
            node: self.node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            http: self.http.clone(),
            state: "migrating".to_owned(),
            reasons: vec![self.reason()],
            troubles: Vec::new(),
            leaving: None,
            cluster: None,
            rotation: None,
            peers: Vec::new(),
            unlinked_pairs: Vec::new(),
            join_problems: Vec::new(),
            missing: Vec::new(),
            queues: Queues { writer: 0, driver: 0, pending_replies: 0 },
            sessions: 0,
            people_present: 0,
            store: StoreStatus {
                bytes: fs::metadata(&self.store_file).map_or(0, |file| file.len()),
                free_bytes: free_bytes(&self.store_file).unwrap_or(0),
                digest: String::new(),
            },
            last_errors: LastErrors::all(),
        }))
    }
}

/// The control socket until the node has started. It ends when this is dropped.
#[derive(Debug)]
pub struct StartingControl {
    socket: PathBuf,
    task: Task<()>,
}

impl StartingControl {
    /// Listens in a data directory whose store this process has locked. Must be called within a runtime.
    pub fn start(data_dir: &Path, status: Arc<StartingStatus>) -> io::Result<Self> {
        let listener = bind(data_dir)?;
        Ok(Self { socket: data_dir.join(SOCKET), task: tokio::spawn(accept(listener, status)) })
    }
}

impl Drop for StartingControl {
    fn drop(&mut self) {
        self.task.abort();
        let _ = fs::remove_file(&self.socket);
    }
}

async fn accept(listener: UnixListener, status: Arc<StartingStatus>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let status = Arc::clone(&status);
        tokio::spawn(async move {
            // An error means that the caller has gone.
            let _ = answer(stream, &status).await;
            drop(permit);
        });
    }
}

async fn answer(stream: UnixStream, status: &StartingStatus) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let answer = match read_question(reader).await? {
        Ok(question) => status.answer(&question),
        Err(error) => Answer::Error(texts::unknown_command(error)),
    };
    send(&mut writer, &answer).await
}
