//! Where Postgres is installed, and as whom it may run.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::process;

/// The distribution's account for Postgres, used when we are root, since the server refuses to run as root.
const ACCOUNT: &str = "postgres";

/// The programs of one version.
#[derive(Clone, Debug)]
pub(super) struct Installation {
    bin: PathBuf,
    /// Major version, such as 15.
    pub(super) major: u32,
}

impl Installation {
    /// Looks in the search path, asks `pg_config`, and looks where Debian and Ubuntu hide the server's programs.
    pub(super) fn find() -> anyhow::Result<Self> {
        let candidates = [in_search_path(), told_by_pg_config(), newest_of_distribution()];
        let bin = candidates.into_iter().flatten().find(|bin| bin.join("initdb").exists());
        let bin = bin.context("no Postgres server is installed; `./dev test` installs what is missing")?;
        let version = output(Command::new(bin.join("postgres")).arg("--version"))?;
        Ok(Installation { bin, major: major(&version).with_context(|| format!("unknown version {version:?}"))? })
    }

    /// Path of a program.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// A command line that runs the program as a user whom Postgres accepts.
    pub(super) fn command_line(&self, program: &str, arguments: &[&str]) -> Vec<String> {
        let become_account = ["setpriv", "--reuid", ACCOUNT, "--regid", ACCOUNT, "--init-groups"];
        let prefix = if is_root() { &become_account[..] } else { &[] };
        let program = self.program(program).display().to_string();
        let words = prefix.iter().copied().chain([program.as_str()]).chain(arguments.iter().copied());
        words.map(str::to_owned).collect()
    }

    /// Runs a program to its end.
    pub(super) fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let command_line = self.command_line(program, arguments);
        let (first, rest) = command_line.split_first().context("empty command line")?;
        // Postgres insists on a current directory that its account may read.
        output(Command::new(first).args(rest).current_dir("/"))
    }

    /// A directory that the server may write to.
    pub(super) fn directory(&self) -> anyhow::Result<TempDir> {
        let directory = process::temporary_directory("postgres")?;
        if is_root() {
            output(Command::new("chown").arg(format!("{ACCOUNT}:")).arg(directory.path()))?;
        }
        Ok(directory)
    }
}

/// What a program printed, or what it complained about.
pub(super) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    ensure!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn in_search_path() -> Option<PathBuf> {
    let initdb = output(Command::new("sh").args(["-c", "command -v initdb"])).ok()?;
    // A link in /usr/local/bin leads to the folder where the other programs are.
    Some(std::fs::canonicalize(initdb).ok()?.parent()?.to_owned())
}

fn told_by_pg_config() -> Option<PathBuf> {
    output(Command::new("pg_config").arg("--bindir")).ok().map(PathBuf::from)
}

fn newest_of_distribution() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max()?;
    Some(PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin")))
}

/// From `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    number.split(|end: char| !end.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_releases_and_previews() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major("nothing of the kind"), None);
    }
}
