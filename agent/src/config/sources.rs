//! What the file only points at: environment variables and other files.
//!
//! Secrets come in here and nowhere else. No message of this file shows a value, not even one that stands where a
//! pointer to it should.

use std::cell::RefCell;
use std::env::VarError;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::domain::Secret;

use super::field::Field;
use super::files::Files;
use super::report::quoted;
use super::yaml::Value;

/// Largest file that a secret or a certificate is read from.
const MAX_FILE_BYTES: u64 = 1 << 20;

const FORM: &str = "`{ env: NAME }` or `{ file: PATH }`";

/// Looks up an environment variable.
pub type Environment = dyn Fn(&str) -> Result<String, VarError>;

/// The environment of this process.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn environment(name: &str) -> Result<String, VarError> {
    std::env::var(name)
}

/// Where the file's pointers lead.
pub(super) struct Sources<'a> {
    /// Directory that relative paths begin at: that of the configuration.
    directory: &'a Path,
    environment: &'a Environment,
    /// The files that were looked into.
    files: RefCell<Files>,
}

impl<'a> Sources<'a> {
    /// Those of the configuration at `path`.
    pub(super) fn below(path: &'a Path, environment: &'a Environment) -> Self {
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut files = Files::default();
        files.note(path.to_owned());
        Self { directory, environment, files: RefCell::new(files) }
    }

    /// The files that were looked into, whether that went well or not.
    pub(super) fn files(self) -> Files {
        self.files.into_inner()
    }

    /// A path, made independent of the directory that the agent was started in.
    pub(super) fn path(&self, field: &Field<'_>) -> Option<PathBuf> {
        let text = field.text()?;
        if text.starts_with('~') {
            return field.refuse("`~` is not expanded; write the whole path, or one relative to this file");
        }
        if text.contains('\0') {
            return field.refuse("a path holds no NUL character");
        }
        Some(self.relative(text))
    }

    /// A path below the directory of the configuration; an absolute one stays as it is.
    pub(super) fn relative(&self, path: &str) -> PathBuf {
        // `components` leaves out the `./` in the middle that joining brings.
        self.directory.join(path).components().collect()
    }

    /// The secret that `{ env: NAME }` or `{ file: PATH }` points at.
    pub(super) fn secret(&self, field: &Field<'_>) -> Option<Secret> {
        let Value::Mapping(pairs) = field.value() else {
            return field.refuse(format!("a secret does not belong in this file; point at it with {FORM}"));
        };
        // What stands here instead of `env` or `file` may be the secret itself, so it is not shown.
        let (pointer, text) = match pairs.as_slice() {
            [(key, node)] if key.name == "env" => {
                let pointer = field.child(&key.name, node);
                let text = self.variable(&pointer)?;
                (pointer, text)
            }
            [(key, node)] if key.name == "file" => {
                let pointer = field.child(&key.name, node);
                let text = self.without_newline(&pointer)?;
                (pointer, text)
            }
            _ => return field.refuse(format!("expected either {FORM}")),
        };
        if text.is_empty() {
            return pointer.refuse("the secret that this leads to is empty");
        }
        Some(Secret::new(text))
    }

    /// The text of the file that `{ file: PATH }` points at.
    pub(super) fn file(&self, field: &Field<'_>) -> Option<String> {
        field.mapping(&["file"])?.required("file", |file| self.contents(file))
    }

    /// The path in `{ file: PATH }`, for a file that is read when it is needed.
    pub(super) fn file_path(&self, field: &Field<'_>) -> Option<PathBuf> {
        field.mapping(&["file"])?.required("file", |file| self.path(file))
    }

    fn variable(&self, field: &Field<'_>) -> Option<String> {
        let name = field.text()?;
        if !is_variable_name(name) {
            return field.refuse("this is no name of an environment variable: use letters, digits and `_`");
        }
        match (self.environment)(name) {
            Ok(value) => Some(value),
            Err(VarError::NotPresent) => field.refuse(format!("the environment variable {} is not set", quoted(name))),
            Err(VarError::NotUnicode(_)) => {
                field.refuse(format!("the environment variable {} does not hold UTF-8", quoted(name)))
            }
        }
    }

    fn without_newline(&self, field: &Field<'_>) -> Option<String> {
        self.contents(field).map(without_newline)
    }

    fn contents(&self, field: &Field<'_>) -> Option<String> {
        let path = self.path(field)?;
        self.files.borrow_mut().note(path.clone());
        match read(&path) {
            Ok(Some(text)) => Some(text),
            Ok(None) => field.refuse(format!("{} is larger than 1 MiB", quoted(&path.to_string_lossy()))),
            Err(error) => field.refuse(format!("{} cannot be read: {error}", quoted(&path.to_string_lossy()))),
        }
    }
}

/// Editors and `echo` end a file with a newline that is no part of the secret.
fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// The secret in the file at `path`, read as `{ file: PATH }` would be.
pub fn secret_file(path: &Path) -> io::Result<Secret> {
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB");
    read(path)?.map(without_newline).map(Secret::new).ok_or_else(too_large)
}

/// Names as shells take them. A URL or a token with other signs that stands here by mistake is not looked up and shown.
fn is_variable_name(text: &str) -> bool {
    text.len() <= 128
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The text of a file; none if it is larger than anything that belongs to a configuration.
pub(super) fn read(path: &Path) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Ok(None);
    }
    String::from_utf8(bytes).map(Some).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}
