//! The binary: parses flags, then runs a node until a signal, or a command. Reports a failure in one line.

use std::{
    env,
    io::{self, Write},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{self, ExitCode},
    time::Duration,
};

use data_encoding::HEXLOWER;
use rustix::fs::Mode;
use starling_node::{
    config::{
        ClusterCommand, Command, Config, Flags, LeaveFlags, RotateFlags, SecretCommand, ServeFlags,
        StatusFlags, UserCommand, UserFlags, environment_warnings, is_help, one_line, remote_address,
    },
    console::{print_result, print_to_stderr, say},
    control::{self, Answer, AskError, Question, UserAct},
    data_dir::create_private_file,
    logging,
    node::{Departed, Departure, Node, StartError, renew_identity},
    open_files,
    stop_signals::StopSignals,
    texts, verify_command,
};

/// The exit code of a failed command: wrong flags (clap's own code), wrong secret, busy port …
const FAILED: u8 = 2;

/// Signals within this time count as one: Ctrl-C may reach a node from the terminal and from a script.
const SIGNALS_TOGETHER: Duration = Duration::from_secs(1);

/// No file that the program creates is accessible to other users.
const UMASK: Mode = Mode::RWXG.union(Mode::RWXO);

fn main() -> ExitCode {
    rustix::process::umask(UMASK);
    // Memory that is used sparsely, such as that of many idle sessions, would take whole huge pages. Not all kernels have the switch.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let Flags { command, serve } = match Flags::from_process() {
        Ok(flags) => flags,
        // Exits with 0 after `--help` and `--version`, and with 2 where a subcommand is missing.
        Err(error) if is_help(&error) => error.exit(),
        Err(error) => {
            print_to_stderr(texts::failure(one_line(&error)));
            return ExitCode::from(FAILED);
        }
    };
    let result = match command {
        None => run(serve),
        Some(Command::Serve(serve)) => run(*serve),
        Some(Command::Verify(flags)) => verify_command::run(&flags).map_err(Failure::from),
        Some(Command::Status(flags)) => status(&flags),
        Some(Command::User(command)) => user(command),
        Some(Command::Cluster(ClusterCommand::Secret {
            command: Some(SecretCommand::Rotate(flags)),
            ..
        })) => rotate_secret(&flags),
        Some(Command::Cluster(ClusterCommand::Secret { out, command: None })) => new_secret(out.as_deref()),
        Some(Command::Leave(flags)) => leave(&flags),
        Some(Command::Cluster(ClusterCommand::Forget { node, force, data_dir })) => {
            forget(&data_dir, node, force)
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_to_stderr(texts::failure(error));
            ExitCode::from(FAILED)
        }
    }
}

/// The error of a command: one line that says what to do.
type Failure = Box<dyn std::error::Error>;

fn new_secret(out: Option<&Path>) -> Result<(), Failure> {
    let secret = HEXLOWER.encode(&rand::random::<[u8; 32]>());
    let Some(out) = out else {
        return print_result(secret).map_err(Failure::from);
    };
    let write = || {
        let mut file = create_private_file(out)?;
        writeln!(file, "{secret}")?;
        file.sync_all()
    };
    write().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => texts::secret_exists(out),
        _ => texts::cannot_write(out, error),
    })?;
    Ok(())
}

fn rotate_secret(RotateFlags { go_on, data_dir }: &RotateFlags) -> Result<(), Failure> {
    let mut last = String::new();
    let progress = |text: &str| {
        // The same line comes again and again, as a sign of life.
        if last != text {
            print_to_stderr(text);
            text.clone_into(&mut last);
        }
    };
    match control::ask(data_dir, &Question::RotateSecret { go_on: *go_on }, progress)? {
        Answer::Done(text) => print_result(text)?,
        _ => return Err(AskError::OtherAnswer.into()),
    }
    Ok(())
}

fn status(flags: &StatusFlags) -> Result<(), Failure> {
    match control::ask(&flags.data_dir, &Question::Status, |_| ())? {
        Answer::Status(status) if flags.json => print_result(serde_json::to_string_pretty(&status)?)?,
        Answer::Status(status) => print_result(status)?,
        _ => return Err(AskError::OtherAnswer.into()),
    }
    Ok(())
}

fn user(command: UserCommand) -> Result<(), Failure> {
    let (user, act) = match command {
        UserCommand::Add { admin, password, user } => {
            let password = control::new_password(&user.name, password.password_stdin)?;
            (user, UserAct::Add { password, admin })
        }
        UserCommand::Password { password, user } => {
            let password = control::new_password(&user.name, password.password_stdin)?;
            (user, UserAct::Password { password })
        }
        UserCommand::Promote(user) => (user, UserAct::Promote),
        UserCommand::Reset(user) => (user, UserAct::Reset),
    };
    let UserFlags { name, data_dir } = user;
    match control::ask(&data_dir, &Question::User { name, act }, |_| ())? {
        Answer::Done(text) => print_result(text)?,
        Answer::ResetLink { url, expires_at } => {
            print_result(url)?;
            print_to_stderr(texts::reset_link_expires(expires_at));
        }
        _ => return Err(AskError::OtherAnswer.into()),
    }
    Ok(())
}

fn leave(flags: &LeaveFlags) -> Result<(), Failure> {
    let mut last = String::new();
    let show = |text: &str| {
        if text != last {
            print_to_stderr(text);
            text.clone_into(&mut last);
        }
    };
    match control::ask(&flags.data_dir, &Question::Leave, show)? {
        Answer::Done(text) => print_result(text)?,
        _ => return Err(AskError::OtherAnswer.into()),
    }
    Ok(())
}

fn forget(data_dir: &Path, node: String, force: bool) -> Result<(), Failure> {
    match control::ask(data_dir, &Question::Forget { node, force }, |_| ())? {
        Answer::Done(text) => print_result(text)?,
        _ => return Err(AskError::OtherAnswer.into()),
    }
    Ok(())
}

/// The step after a node has ended.
enum End {
    /// The process ends.
    Stopped,
    /// The process starts again: its node was forgotten and has a new identity.
    StartAgain,
}

/// Runs a node to its end.
fn run(flags: ServeFlags) -> Result<(), Failure> {
    match run_once(flags)? {
        End::Stopped => Ok(()),
        // A fresh process: nothing of the old identity stays in memory, and the store is closed for certain. It returns only
        // if it fails.
        End::StartAgain => {
            let error = process::Command::new("/proc/self/exe").args(env::args_os().skip(1)).exec();
            Err(texts::cannot_start_again(error).into())
        }
    }
}

fn run_once(flags: ServeFlags) -> Result<End, StartError> {
    let config = Config::resolve(flags)?;
    logging::start(&config.log_filter, config.log_format).map_err(StartError::Log)?;
    for warning in environment_warnings() {
        tracing::warn!("{warning}");
    }
    open_files::raise(config.http.connections_max);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the system gives threads and an event queue");
    let result = runtime.block_on(serve(config));
    // Don't wait for blocked reads: nobody needs their results.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(config: Config) -> Result<End, StartError> {
    let mut signals = StopSignals::listen().expect("signals can be received");
    let public_url = config.http.public_url.is_some();
    // A task of its own: a start that rebuilds all views keeps a thread busy, and can still be stopped.
    let starting = tokio::spawn(Node::start(config.clone()));
    let mut node = tokio::select! {
        node = starting => match node.expect("a start does not panic") {
            Err(StartError::Forgotten) => {
                tracing::warn!("{}", texts::FORGOTTEN);
                return tokio::select! {
                    renewed = renew_identity(&config) => renewed.map(|()| End::StartAgain),
                    () = signals.recv() => Ok(End::Stopped),
                };
            }
            node => node?,
        },
        () = signals.recv() => return Ok(End::Stopped),
    };
    say(texts::running(&node.url));
    if let Some(address) = remote_address(node.http).filter(|_| !public_url) {
        say(texts::reachable_at(address));
    }
    let announce_setup = async {
        if let Some(address) = node.setup_address().await {
            say(texts::no_administrator(&address));
        }
        std::future::pending::<()>().await;
    };
    let departure = tokio::select! {
        () = signals.recv() => None,
        () = announce_setup => None,
        departure = node.departure() => Some(departure),
    };
    let departed = match departure {
        None => Departed::Stayed,
        Some(Departure::Forgotten) => Departed::Forgotten,
        Some(Departure::Leave(request)) => tokio::select! {
            departed = node.leave(request) => departed,
            () = signals.recv() => Departed::Stayed,
        },
    };
    if departed == Departed::Forgotten {
        return tokio::select! {
            stopped = node.stop_forgotten() => stopped.map(|()| End::StartAgain),
            () = signals.recv() => Ok(End::Stopped),
        };
    }
    let stop_again = async {
        tokio::time::sleep(SIGNALS_TOGETHER).await;
        signals.clear();
        signals.recv().await;
    };
    tokio::select! {
        () = node.stop() => {}
        () = stop_again => tracing::warn!("got a second signal: stopping at once"),
    }
    Ok(End::Stopped)
}
