//! A child process that a test owns: started, listened to, ended.
//!
//! Everything that it prints is kept, for waiting on a line and for searching it afterwards. Dropping it kills it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::deadline::{Deadline, eventually};

/// A running child process, or one that has ended.
pub struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    output: Arc<Output>,
}

/// A line that a process printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where to.
    pub stream: Stream,
    /// What, without the line's end.
    pub text: String,
}

/// One of the two streams of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Process {
    /// Starts `command`; `name` is what messages call it. Its input is empty, its outputs are ours.
    #[track_caller]
    pub fn start(name: &str, command: Command) -> Self {
        Self::start_with(name, command, Stdio::null())
    }

    /// The same with another input.
    #[track_caller]
    pub fn start_with(name: &str, mut command: Command, input: Stdio) -> Self {
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{name} cannot be started: {error}"),
        };
        let output = Arc::new(Output::default());
        if let Some(stdout) = child.stdout.take() {
            output.collect(Stream::Stdout, stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            output.collect(Stream::Stderr, stderr);
        }
        Self { name: name.to_owned(), child, ended: None, output }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The first line, among all that were and will be printed, that `is_it` accepts. Ends the test if there is none
    /// within `span`, or if the process ends without it.
    #[track_caller]
    pub fn wait_for_line(&self, span: Duration, is_it: impl Fn(&str) -> bool) -> String {
        match self.output.find_line(span, |line| is_it(&line.text).then(|| line.text.clone())) {
            Some(text) => text,
            None => {
                panic!("{} did not print the line within {span:?}; it printed:\n{}", self.name, self.text())
            }
        }
    }

    /// What follows `prefix` in the first line that begins with it.
    #[track_caller]
    pub fn wait_for_prefix(&self, span: Duration, prefix: &str) -> String {
        let line = self.wait_for_line(span, |line| line.trim_start().starts_with(prefix));
        line.trim_start().strip_prefix(prefix).unwrap_or_default().trim_end().to_owned()
    }

    /// Everything that was printed so far.
    pub fn lines(&self) -> Vec<Line> {
        self.output.lock().lines.clone()
    }

    /// The same as one text.
    pub fn text(&self) -> String {
        let lines = self.lines();
        lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child can be asked whether it has ended");
        }
        self.ended
    }

    /// Kills it as a power cut would, and waits until it is gone and all of its output is in.
    pub fn kill9(&mut self) {
        // An error means that it is gone already.
        let _ = self.child.kill();
        self.ended = self.child.wait().ok().or(self.ended);
        self.output.wait_until_closed();
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        if let (None, Ok(id)) = (self.ended, i32::try_from(self.child.id()))
            && let Some(id) = rustix::process::Pid::from_raw(id)
        {
            // Until it was waited for, the id is its own; an error means that it has ended by itself.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
    }

    /// How it ends. Ends the test if it does not within `span`.
    #[track_caller]
    pub fn wait(&mut self, span: Duration) -> ExitStatus {
        match eventually(span, || self.try_wait()) {
            Some(status) => {
                self.output.wait_until_closed();
                status
            }
            None => panic!("{} did not end within {span:?}; it printed:\n{}", self.name, self.text()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// What a process printed, filled by a thread for each stream.
#[derive(Default)]
struct Output {
    printed: Mutex<Printed>,
    changed: Condvar,
}

#[derive(Default)]
struct Printed {
    lines: Vec<Line>,
    open_streams: usize,
}

impl Output {
    /// Reads `from` to its end, on a thread.
    fn collect(self: &Arc<Self>, stream: Stream, from: impl Read + Send + 'static) {
        self.lock().open_streams += 1;
        let output = Arc::clone(self);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(from);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
                bytes.clear();
                output.lock().lines.push(Line { stream, text });
                output.changed.notify_all();
            }
            output.lock().open_streams -= 1;
            output.changed.notify_all();
        });
    }

    fn find_line<T>(&self, span: Duration, look: impl Fn(&Line) -> Option<T>) -> Option<T> {
        let deadline = Deadline::after(span);
        let mut printed = self.lock();
        let mut seen = 0;
        loop {
            if let Some(found) = printed.lines[seen..].iter().find_map(&look) {
                return Some(found);
            }
            seen = printed.lines.len();
            if printed.open_streams == 0 {
                return None;
            }
            let left = deadline.left()?;
            printed = self.changed.wait_timeout(printed, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Not for ever: a grandchild may hold the streams open.
    fn wait_until_closed(&self) {
        let open = |printed: &mut Printed| printed.open_streams > 0;
        drop(self.changed.wait_timeout_while(self.lock(), Duration::from_secs(2), open));
    }

    fn lock(&self) -> MutexGuard<'_, Printed> {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
