//! The process that came before this one, as this one sees it.

use std::io::{self, IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::{Handed, HandoverError, Inherited, Role, SOCKETS_A_MESSAGE, VARIABLE, words};
use crate::surroundings::Surroundings;

/// A process that waits for this one to take over.
pub struct Predecessor {
    talk: BufReader<tokio::net::UnixStream>,
}

impl Predecessor {
    /// The one that started this process, if one did, and what it hands on.
    pub fn of_this_process(surroundings: &Surroundings) -> Result<Option<(Self, Inherited)>, HandoverError> {
        if surroundings.variable(VARIABLE).is_none() {
            return Ok(None);
        }
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        // The sockets are sent at once. Whoever set the variable by hand sends none, and must not be waited for.
        stream.set_read_timeout(Some(PATIENCE))?;
        let inherited = Inherited::from_predecessor(receive(&stream)?);
        stream.set_nonblocking(true)?;
        let talk = BufReader::new(tokio::net::UnixStream::from_std(stream)?);
        Ok(Some((Self { talk }, inherited)))
    }

    /// Says that this process can serve as soon as it has the store, and waits until it is let go.
    pub async fn let_go(&mut self) -> Result<(), HandoverError> {
        self.say(words::PREPARED).await?;
        let mut line = String::new();
        match self.talk.read_line(&mut line).await? {
            0 => Err(HandoverError::Ended),
            _ if line.trim_end() == words::YOURS => Ok(()),
            _ => Err(HandoverError::Foreign),
        }
    }

    /// Says that this process serves.
    pub async fn serving(mut self) -> Result<(), HandoverError> {
        self.say(words::SERVING).await
    }

    async fn say(&mut self, word: &str) -> Result<(), HandoverError> {
        Ok(self.talk.get_mut().write_all(format!("{word}\n").as_bytes()).await?)
    }
}

fn receive(stream: &UnixStream) -> Result<Vec<Handed>, HandoverError> {
    let mut line = Vec::new();
    // Byte by byte: the first one after the line comes with descriptors.
    loop {
        let mut byte = [0];
        (&*stream).read_exact(&mut byte)?;
        match byte {
            [b'\n'] => break,
            [byte] => line.push(byte),
        }
    }
    let roles: Vec<Option<Role>> = serde_json::from_slice(&line).map_err(|_| HandoverError::Foreign)?;
    let mut handed = Vec::new();
    while handed.len() < roles.len() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_A_MESSAGE))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let received =
            recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
                .map_err(io::Error::from)?;
        if received.bytes == 0 {
            return Err(HandoverError::Ended);
        }
        for message in ancillary.drain() {
            let RecvAncillaryMessage::ScmRights(descriptors) = message else { continue };
            for descriptor in descriptors {
                let role = *roles.get(handed.len()).ok_or(HandoverError::Foreign)?;
                handed.push(Handed { role, socket: Arc::new(TcpListener::from(descriptor)) });
            }
        }
    }
    Ok(handed)
}

const PATIENCE: Duration = Duration::from_secs(10);
