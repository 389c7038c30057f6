//! A command with its arguments, as bytes.

use ::redis::Cmd;

/// A command. Arguments travel with their length, so nothing in them can end one or begin another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    words: Vec<Vec<u8>>,
}

impl Command {
    /// A command without arguments.
    pub fn new(name: &str) -> Self {
        Self { words: vec![name.as_bytes().to_vec()] }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<[u8]>) -> Self {
        self.words.push(argument.as_ref().to_vec());
        self
    }

    /// With several more arguments.
    #[must_use]
    pub fn args<A: AsRef<[u8]>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.words.extend(arguments.into_iter().map(|argument| argument.as_ref().to_vec()));
        self
    }

    /// With a number as one more argument.
    #[must_use]
    pub fn number(self, argument: impl Into<i128>) -> Self {
        self.arg(argument.into().to_string())
    }

    /// The command and its arguments.
    pub fn words(&self) -> &[Vec<u8>] {
        &self.words
    }

    pub(super) fn to_cmd(&self) -> Cmd {
        let mut cmd = Cmd::new();
        for word in &self.words {
            cmd.arg(word.as_slice());
        }
        cmd
    }
}
