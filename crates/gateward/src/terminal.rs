//! The one place that prints: results go to stdout, everything else to stderr.
//!
//! So whatever a program reads from our stdout is a result, whole, or nothing at all.

use std::error::Error;
use std::io::{self, Write};

/// Where results and messages go.
pub struct Terminal<'a> {
    results: &'a mut dyn Write,
    messages: &'a mut dyn Write,
}

impl<'a> Terminal<'a> {
    /// Results go to `results`, messages to `messages`.
    pub fn new(results: &'a mut dyn Write, messages: &'a mut dyn Write) -> Self {
        Self { results, messages }
    }

    /// What was asked for, as it is, and the end of a line.
    pub fn result(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.results, "{text}")?;
        self.results.flush()
    }

    /// A message for the person at the terminal.
    pub fn message(&mut self, text: &str) {
        // If nobody can read it, nobody can be told so either.
        let _ = writeln!(self.messages, "{}", without_control(text));
        let _ = self.messages.flush();
    }

    /// Something that was not quite as it should be, and went on all the same.
    pub fn warning(&mut self, text: &str) {
        self.message(&format!("warning: {text}"));
    }

    /// Why it did not go on, with all that caused it.
    pub fn error(&mut self, error: &dyn Error) {
        self.message(&format!("Error: {}", with_causes(error)));
    }
}

/// `error` and all that caused it, as one sentence.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        // Some say their cause themselves.
        if !text.ends_with(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

/// `text` with nothing in it that could command the terminal: some of it comes from other machines.
fn without_control(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' && character != '\t' {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the gateway said \u{1b}[2Jno")]
    struct Refused(#[source] io::Error);

    #[test]
    fn results_and_messages_go_their_own_ways() {
        let (mut results, mut messages) = (Vec::new(), Vec::new());
        let mut terminal = Terminal::new(&mut results, &mut messages);
        terminal.result("the value").unwrap();
        terminal.warning("mind the gap");
        assert_eq!(results, b"the value\n");
        assert_eq!(messages, b"warning: mind the gap\n");
    }

    #[test]
    fn an_error_is_one_line_with_its_causes_and_commands_no_terminal() {
        let (mut results, mut messages) = (Vec::new(), Vec::new());
        let error = Refused(io::Error::other("the reason"));
        Terminal::new(&mut results, &mut messages).error(&error);
        let expected = "Error: the gateway said \\u{1b}[2Jno: the reason\n";
        assert_eq!(String::from_utf8(messages).unwrap(), expected);
        assert!(results.is_empty());
    }
}
