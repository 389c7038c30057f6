//! Credentials that stand nowhere else, and looking for them wherever something of an agent can be seen.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Credentials that must not be found.
#[derive(Debug, Default)]
pub struct Canaries(Vec<Canary>);

#[derive(Debug)]
struct Canary {
    plain: String,
    /// As headers have it, as far as what comes before and after it makes no difference.
    encoded: String,
}

impl Canaries {
    /// These.
    #[must_use]
    pub fn of(secrets: &[&str]) -> Self {
        let mut canaries = Self::default();
        secrets.iter().for_each(|secret| canaries.add(secret));
        canaries
    }

    /// One more.
    pub fn add(&mut self, secret: &str) {
        let encoded = STANDARD.encode(secret).trim_end_matches('=').to_owned();
        self.0.push(Canary { plain: secret.to_owned(), encoded });
    }

    /// Fails when one of them is in what was found at `place`.
    pub fn look(&self, place: &str, bytes: &[u8]) -> anyhow::Result<()> {
        for Canary { plain, encoded } in &self.0 {
            let is_found = holds(bytes, plain) || holds(bytes, encoded);
            ensure!(!is_found, "{plain} is in {place}: {}", String::from_utf8_lossy(bytes));
        }
        Ok(())
    }
}

/// True when the text is among the bytes.
#[must_use]
pub fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The password of a URL.
pub fn password(url: &str) -> anyhow::Result<&str> {
    let rest = url.split_once("://").map(|(_, rest)| rest);
    let login = rest.and_then(|rest| rest.split_once('@')).map(|(login, _)| login);
    login.and_then(|login| login.split_once(':')).map(|(_, password)| password).context("a URL without a password")
}

/// Every file below a folder, with what is in it.
pub fn files_below(folder: &Path) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot look into {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push((path, bytes));
        }
    }
    Ok(files)
}
