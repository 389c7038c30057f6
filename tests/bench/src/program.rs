//! The agent as operators run it: the real program, with a configuration in a directory of its own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use paramedic_tests::{agent, http, wait};
use rustix::process::{Pid, Signal, kill_process};

/// The agent as a process of its own, which ends when this is dropped.
pub struct Program(Child);

impl Program {
    /// Start it with the configuration in `home` and wait until it is ready.
    pub fn start(home: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        let log = File::create(home.join("log"))?;
        let mut command = Command::new(agent::program()?);
        command.args(["serve", "--config"]).arg(home.join("paramedic.yaml")).current_dir(home);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut program = Self(command.spawn().context("cannot start the agent")?);
        let patience = Instant::now() + wait::PATIENCE;
        while !http::status(&address.to_string(), "/readyz").is_ok_and(|status| status == 200) {
            if let Some(status) = program.0.try_wait()? {
                bail!("the agent ended with {status}:\n{}", fs::read_to_string(home.join("log"))?);
            }
            ensure!(Instant::now() < patience, "the agent is not ready:\n{}", fs::read_to_string(home.join("log"))?);
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(program)
    }

    /// Physical memory that it holds.
    pub fn resident_mebibytes(&self) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/status", self.0.id());
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process without memory")?;
        let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse().context("a strange VmRSS")?;
        Ok(kibibytes / 1024.0)
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let id = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).context("a process without a number")?;
        kill_process(id, Signal::TERM)?;
        let status = self.0.wait()?;
        ensure!(status.success(), "the agent ended with {status}");
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("bench: {error:#}");
        }
    }
}
