//! Server processes that do not outlive the program that started them.
//!
//! A small shell script stands between us and each server. It waits for either to end: when its stdin reaches the end,
//! because the handle was dropped or because this process is gone, killed or not, it stops the server; when the server
//! has ended it removes the server's directory and ends itself. A signal on the death of a parent would not do, since
//! Linux sends it when the *thread* that started the child ends, and tests are threads.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::wait;

/// $1 is the directory to remove, $2 the signal that asks the server to stop, the rest the server's command line.
const SUPERVISOR: &str = r#"
exec 3<&0 </dev/null
directory=$1 signal=$2
shift 2
"$@" 3<&- &
server=$!
echo "$server" >"$directory/pid"
(
    while read -r _; do :; done
    kill -s "$signal" "$server"
    patience=50
    while [ $((patience -= 1)) -gt 0 ]; do sleep 0.2; done
    kill -s KILL "$server"
) <&3 >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait "$server"
status=$?
kill "$watcher" 2>/dev/null
rm -rf -- "$directory"
exit "$status"
"#;

/// A signal that makes a server stop without delay.
#[derive(Clone, Copy, Debug)]
pub enum StopSignal {
    /// Most servers.
    Terminate,
    /// Postgres without a last checkpoint.
    Quit,
    /// No farewell: what was not durable by then is lost.
    Kill,
}

impl StopSignal {
    fn name(self) -> &'static str {
        match self {
            StopSignal::Terminate => "TERM",
            StopSignal::Quit => "QUIT",
            StopSignal::Kill => "KILL",
        }
    }
}

/// A running server and the directory with all it wrote.
#[derive(Debug)]
pub struct Server {
    supervisor: Child,
    // Kept open because the directory goes when the server does, and a failed start is told from the log.
    log: File,
    directory: TempDir,
}

impl Server {
    /// Starts `command` and waits until `ready` says so, looking at the directory. What the server prints goes to the
    /// file `log` in it.
    pub fn start(
        directory: TempDir,
        command: &[String],
        signal: StopSignal,
        ready: impl Fn(&Path) -> bool,
    ) -> anyhow::Result<Self> {
        let name = command.first().context("a server needs a command")?;
        let (supervisor, log) = supervise(directory.path(), command, signal, Stdio::piped())
            .with_context(|| format!("cannot start {name}"))?;
        let mut server = Server { supervisor, log, directory };
        wait::until(&format!("{name} to start"), || {
            if ready(server.directory.path()) {
                return Ok(Some(()));
            }
            server.check_running(name)?;
            Ok(None)
        })?;
        Ok(server)
    }

    /// Everything the server printed so far.
    pub fn log(&self) -> io::Result<String> {
        let size = usize::try_from(self.log.metadata()?.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; size];
        self.log.read_exact_at(&mut bytes, 0)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Has the server look at its configuration again, as most do on this signal.
    pub fn hang_up(&self) -> anyhow::Result<()> {
        self.signal(Signal::HUP)
    }

    /// Has it stand still, as a machine that swaps would, until [`Server::go_on`].
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Has it go on, without knowing that time has passed.
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ends the server without a farewell.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = std::fs::read_to_string(self.directory().join("pid")).context("who the server is, is not known")?;
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).context("this is no process")?;
        rustix::process::kill_process(pid, signal).context("the server cannot be told")
    }

    /// Where the server keeps its files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn check_running(&mut self, name: &str) -> anyhow::Result<()> {
        let Some(status) = self.supervisor.try_wait().context("cannot watch the server")? else {
            return Ok(());
        };
        bail!("{name} ended with {status} instead of starting:\n{}", self.log()?);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        if let Err(error) = self.supervisor.wait() {
            eprintln!("a server did not stop: {error}");
        }
    }
}

/// A temporary directory whose name tells what it is for.
pub fn temporary_directory(purpose: &str) -> anyhow::Result<TempDir> {
    let prefix = format!("paramedic-{purpose}-");
    tempfile::Builder::new().prefix(&prefix).tempdir().context("cannot make a temporary directory")
}

fn supervise(directory: &Path, command: &[String], signal: StopSignal, life_line: Stdio) -> io::Result<(Child, File)> {
    let path = directory.join("log");
    let output = OpenOptions::new().create(true).append(true).open(&path)?;
    let supervisor = Command::new("sh")
        .args(["-c", SUPERVISOR, "supervisor"])
        .arg(directory)
        .arg(signal.name())
        .args(command)
        .stdin(life_line)
        .stdout(output.try_clone()?)
        .stderr(output)
        // Ctrl-C in a terminal goes to the whole foreground group; a server must outlive its clients' farewell.
        .process_group(0)
        .spawn()?;
    Ok((supervisor, File::open(path)?))
}

#[cfg(test)]
mod tests {
    use std::fs::read_to_string;

    use super::*;

    fn sleeper(directory: TempDir) -> Server {
        let script = "trap 'exit 0' TERM; echo $$ > \"$0\"; while :; do sleep 0.05; done";
        let pid_file = directory.path().join("pid");
        let command = ["sh", "-c", script, pid_file.to_str().unwrap()].map(String::from);
        let wrote_pid = |at: &Path| read_to_string(at.join("pid")).is_ok_and(|pid| pid.ends_with('\n'));
        Server::start(directory, &command, StopSignal::Terminate, wrote_pid).unwrap()
    }

    fn pid(server: &Server) -> String {
        read_to_string(server.directory().join("pid")).unwrap().trim().to_owned()
    }

    fn is_running(pid: &str) -> bool {
        Path::new("/proc").join(pid).exists()
    }

    #[test]
    fn a_dropped_server_is_gone_with_its_directory() {
        let server = sleeper(temporary_directory("process").unwrap());
        let (pid, directory) = (pid(&server), server.directory().to_owned());
        assert!(is_running(&pid));
        drop(server);
        assert!(!is_running(&pid));
        assert!(!directory.exists());
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported_with_what_it_printed() {
        let command = ["sh", "-c", "echo the port is taken; exit 3"].map(String::from);
        let directory = temporary_directory("process").unwrap();
        let error = Server::start(directory, &command, StopSignal::Terminate, |_| false).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("the port is taken"), "{error}");
    }

    #[test]
    fn a_server_ends_when_the_process_that_holds_it_is_killed() {
        let directory = temporary_directory("process").unwrap().keep();
        let pid_file = directory.join("pid");
        let command = ["sh", "-c", "echo $$ > \"$0\"; exec sleep 600", pid_file.to_str().unwrap()].map(String::from);
        let (reader, writer) = std::io::pipe().unwrap();
        let mut holder = Command::new("sleep").arg("600").stdout(writer).spawn().unwrap();
        let (mut supervisor, _log) = supervise(&directory, &command, StopSignal::Terminate, reader.into()).unwrap();
        let pid = wait::until("the server to start", || {
            Ok(read_to_string(&pid_file).ok().and_then(|text| text.strip_suffix('\n').map(str::to_owned)))
        })
        .unwrap();
        assert!(is_running(&pid));
        holder.kill().unwrap();
        holder.wait().unwrap();
        supervisor.wait().unwrap();
        assert!(!is_running(&pid));
        assert!(!directory.exists());
    }
}
