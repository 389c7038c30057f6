//! The agent itself, as a process of its own.

use std::net::TcpStream;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::api::Api;
use crate::process::{self, Server, StopSignal};
use crate::{components, http, ports};

/// A running agent. Its files, the configuration among them, are in a directory that goes when it does.
#[derive(Debug)]
pub struct Agent {
    server: Server,
    address: String,
    scheme: &'static str,
}

/// A place for an agent's configuration and for the secrets that this points at.
#[derive(Debug)]
pub struct Home(TempDir);

impl Home {
    /// An empty one.
    pub fn new() -> anyhow::Result<Self> {
        process::temporary_directory("agent").map(Home)
    }

    /// Writes a file, such as `secrets/redis`, that a configuration can point at by this path.
    pub fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let path = self.0.path().join(path);
        let folder = path.parent().context("a file is in a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Where the files are.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Agent {
    /// Starts the agent with this configuration, whose `server.listen` must be `address`, and waits until it is ready.
    pub fn start(home: Home, configuration: &str, address: &str) -> anyhow::Result<Self> {
        Self::start_with(home, configuration, address, &[])
    }

    /// The same with further arguments, such as `["--log", "debug"]`.
    pub fn start_with(home: Home, configuration: &str, address: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let ready = |_: &Path| http::status(address, "/readyz").is_ok_and(|status| status == 200);
        Self::start_until(home, configuration, address, arguments, ready)
    }

    /// Starts an agent whose configuration has `server.tls`, and waits until it listens.
    pub fn start_encrypted(home: Home, configuration: &str, address: &str) -> anyhow::Result<Self> {
        let listens = |_: &Path| TcpStream::connect(address).is_ok();
        let agent = Self::start_until(home, configuration, address, &[], listens)?;
        Ok(Agent { scheme: "https", ..agent })
    }

    fn start_until(
        home: Home,
        configuration: &str,
        address: &str,
        arguments: &[&str],
        ready: impl Fn(&Path) -> bool,
    ) -> anyhow::Result<Self> {
        home.write("paramedic.yaml", configuration)?;
        let (program, file) = (program()?.display().to_string(), home.path().join("paramedic.yaml"));
        let words = [&program, "serve", "--config", &file.display().to_string()];
        let command: Vec<String> = words.iter().chain(arguments).map(|word| (*word).to_owned()).collect();
        let server = Server::start(home.0, &command, StopSignal::Terminate, ready)?;
        Ok(Agent { server, address: address.to_owned(), scheme: "http" })
    }

    /// Address of the API, such as `http://127.0.0.1:7117`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The API, asked with this token or with none.
    #[must_use]
    pub fn api(&self, token: Option<&str>) -> Api {
        Api::new(&self.address, token)
    }

    /// Where its files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.server.directory()
    }

    /// Has it read its configuration again.
    pub fn hang_up(&self) -> anyhow::Result<()> {
        self.server.hang_up()
    }

    /// Has it stand still, as a machine that swaps would, until [`Agent::go_on`].
    pub fn pause(&self) -> anyhow::Result<()> {
        self.server.pause()
    }

    /// Has it go on, without knowing that time has passed.
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.server.go_on()
    }

    /// Ends it in the middle of whatever it does, as a kernel that is out of memory would.
    pub fn kill(self) -> anyhow::Result<()> {
        self.server.kill()
    }

    /// Writes a file beside its configuration, or that itself, under its eyes.
    pub fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let path = self.directory().join(path);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Everything it logged so far.
    pub fn log(&self) -> anyhow::Result<String> {
        self.server.log().context("cannot read the log of the agent")
    }
}

/// A free address for `server.listen`.
pub fn free_address() -> anyhow::Result<String> {
    Ok(format!("127.0.0.1:{}", ports::free()?))
}

/// The agent's program, built with the profile that built this one.
pub fn program() -> anyhow::Result<PathBuf> {
    components::beside_this_program("paramedic").context("the agent is missing; run `cargo build --package paramedic`")
}
