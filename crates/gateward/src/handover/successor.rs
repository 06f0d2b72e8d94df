//! The process that comes after this one, as this one sees it.

use std::ffi::OsString;
use std::io::{IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::{Handed, HandoverError, LISTEN_VARIABLES, SOCKETS_A_MESSAGE, VARIABLE, words};

/// A successor that was started. Dropped before it serves, it is killed.
pub struct Successor {
    child: Child,
    talk: BufReader<tokio::net::UnixStream>,
    serves: bool,
}

impl Successor {
    /// Starts one as this process was started, and hands it `sockets`. What lies where this process's binary was is
    /// what is started, so that a new version takes over.
    pub fn start(sockets: &[Handed]) -> Result<Self, HandoverError> {
        let (ours, theirs) = UnixStream::pair()?;
        let child = start(theirs)?;
        hand_on(&ours, sockets)?;
        ours.set_nonblocking(true)?;
        let talk = BufReader::new(tokio::net::UnixStream::from_std(ours)?);
        Ok(Self { child, talk, serves: false })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has read its settings and files, and wants the store.
    pub async fn prepared(&mut self) -> Result<(), HandoverError> {
        self.hear(words::PREPARED).await
    }

    /// Tells it that the store is its own, and waits until it serves.
    pub async fn take_over(&mut self) -> Result<(), HandoverError> {
        self.talk.get_mut().write_all(format!("{}\n", words::YOURS).as_bytes()).await?;
        self.hear(words::SERVING).await?;
        self.serves = true;
        Ok(())
    }

    async fn hear(&mut self, word: &'static str) -> Result<(), HandoverError> {
        let mut line = String::new();
        let heard = tokio::time::timeout(PATIENCE, self.talk.read_line(&mut line)).await;
        match heard.map_err(|_late| HandoverError::Late(word))?? {
            0 => Err(HandoverError::Ended),
            _ if line.trim_end() == word => Ok(()),
            _ => Err(HandoverError::Foreign),
        }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.serves {
            // An error means that it has ended by itself.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Starts the binary with the arguments and the environment of this process, and `talk` as its input.
fn start(talk: UnixStream) -> Result<Child, HandoverError> {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let arguments: Vec<OsString> = words.collect();
    let command = |program: PathBuf, input: OwnedFd| {
        let mut command = Command::new(program);
        command.args(&arguments).env(VARIABLE, "stdin").stdin(Stdio::from(input));
        for variable in LISTEN_VARIABLES {
            command.env_remove(variable);
        }
        command
    };
    // By the name that it was called by: where that is a link, a new version is often what it leads to now.
    match command(program.into(), talk.try_clone()?.into()).spawn() {
        Ok(child) => Ok(child),
        Err(_) => Ok(command(std::env::current_exe()?, talk.into()).spawn()?),
    }
}

fn hand_on(stream: &UnixStream, sockets: &[Handed]) -> Result<(), HandoverError> {
    let roles: Vec<_> = sockets.iter().map(|handed| handed.role).collect();
    let roles = serde_json::to_string(&roles).map_err(std::io::Error::other)?;
    (&*stream).write_all(format!("{roles}\n").as_bytes())?;
    for sockets in sockets.chunks(SOCKETS_A_MESSAGE) {
        let descriptors: Vec<_> = sockets.iter().map(|handed| handed.socket.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_A_MESSAGE))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(HandoverError::Foreign);
        }
        // Descriptors go with at least one byte.
        sendmsg(stream, &[IoSlice::new(b"#")], &mut ancillary, SendFlags::empty())
            .map_err(std::io::Error::from)?;
    }
    Ok(())
}

/// How long a successor may take for each of its steps.
const PATIENCE: Duration = Duration::from_secs(60);
