//! A real browser without a screen, driven by WebDriver as the W3C describes it: Chromium by chromedriver, or where that is not there,
//! WebKitGTK by WebKitWebDriver on a display of its own. It keeps everything in a temporary directory, and ends with its handle or
//! with the process that holds it.
//!
//! The client is the few commands that tests need: JSON over HTTP, one after the other.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::process::{self, Server, StopSignal};
use crate::{ports, wait};

/// Longer than any command of a driver takes, the start of a browser included.
const PATIENCE: Duration = Duration::from_secs(60);

/// What WebDriver calls the id of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// What a browser without a screen and without a person is started with: it asks nobody for anything that it was not told to.
const QUIET: [&str; 10] = [
    "--headless=new",
    // Ends with the driver, however that ends.
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
];

/// A running browser with one window.
#[derive(Debug)]
pub struct Browser {
    driver: Driver,
    session: String,
}

/// The program that drives the browser.
#[derive(Debug)]
struct Driver {
    kind: Kind,
    address: String,
    server: Server,
    /// Where it draws, if it cannot do without. After the driver, because it outlives who draws on it.
    _display: Option<Server>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Chromium,
    WebKit,
}

impl Browser {
    /// Starts one that remembers nothing.
    pub fn start() -> anyhow::Result<Self> {
        let driver = match (program("chromedriver"), program("WebKitWebDriver"), program("Xvfb")) {
            (Some(program), ..) => ports::with_free(|port| Driver::chromium(&program, port))?,
            (None, Some(program), Some(display)) => ports::with_free(|port| Driver::webkit(&program, &display, port))?,
            (None, ..) => bail!(
                "there is no browser to look at the page with: install chromium and chromium-driver, or where those are not \
                 packaged, webkit2gtk-driver and xvfb; `./dev test` does"
            ),
        };
        let wanted = json!({ "capabilities": { "alwaysMatch": driver.capabilities() } });
        let answer = driver.ask("POST", "/session", &wanted).context("the browser does not start")?;
        let session = answer.get("sessionId").and_then(Value::as_str).context("a session without an id")?.to_owned();
        Ok(Self { driver, session })
    }

    /// Goes to this address.
    pub fn open(&self, url: &str) -> anyhow::Result<()> {
        self.post("url", &json!({ "url": url })).map(drop)
    }

    /// What the function body `script` returns in the page, given `arguments`.
    pub fn run(&self, script: &str, arguments: &[Value]) -> anyhow::Result<Value> {
        self.post("execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// Waits until the function body `script` returns something that is true, and gives that. When it never does, the error has
    /// what the page shows.
    pub fn until(&self, what: &str, script: &str, arguments: &[Value]) -> anyhow::Result<Value> {
        let found = wait::until(what, || {
            let value = self.run(script, arguments)?;
            let is_nothing = value.is_null() || [json!(false), json!(""), json!(0)].contains(&value);
            Ok((!is_nothing).then_some(value))
        });
        found.with_context(|| format!("the page shows: {}", self.text().unwrap_or_default()))
    }

    /// The text that somebody sees.
    pub fn text(&self) -> anyhow::Result<String> {
        let text = self.run("return document.body.innerText", &[])?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until somebody sees this text.
    pub fn shows(&self, text: &str) -> anyhow::Result<()> {
        let script = "return document.body.innerText.includes(arguments[0])";
        self.until(&format!("the page to show `{text}`"), script, &[json!(text)]).map(drop)
    }

    /// Presses the button, or follows the link, whose whole text this is, as somebody with a mouse does.
    pub fn press(&self, text: &str) -> anyhow::Result<()> {
        let script = "return [...document.querySelectorAll('button, a, summary')].find((one) => \
                      one.checkVisibility() && !one.disabled && one.textContent.trim() === arguments[0])";
        let element = self.until(&format!("something to press named `{text}`"), script, &[json!(text)])?;
        self.element(&element, "click", &json!({}))
    }

    /// Types this into the field with that label, in place of what was in it.
    pub fn fill(&self, label: &str, text: &str) -> anyhow::Result<()> {
        let script = "const label = [...document.querySelectorAll('label')].find((one) => one.textContent.trim() === arguments[0]); \
                      const field = label && document.getElementById(label.htmlFor); \
                      return field && field.checkVisibility() ? field : null";
        let element = self.until(&format!("a field named `{label}`"), script, &[json!(label)])?;
        self.element(&element, "clear", &json!({}))?;
        self.element(&element, "value", &json!({ "text": text }))
    }

    fn element(&self, element: &Value, command: &str, body: &Value) -> anyhow::Result<()> {
        let id = element.get(ELEMENT).and_then(Value::as_str).context("this is no element")?;
        self.post(&format!("element/{id}/{command}"), body).map(drop)
    }

    /// Gives the window this size, in pixels.
    pub fn resize(&self, width: u32, height: u32) -> anyhow::Result<()> {
        self.post("window/rect", &json!({ "width": width, "height": height })).map(drop)
    }

    /// Puts the window away, so that nobody sees the page, which goes on.
    pub fn hide(&self) -> anyhow::Result<()> {
        self.post("window/minimize", &json!({}))?;
        self.until("the page to be hidden", "return document.hidden", &[]).map(drop)
    }

    /// Fetches the window again.
    pub fn unhide(&self) -> anyhow::Result<()> {
        self.post("window/rect", &json!({ "x": 0, "y": 0, "width": 1000, "height": 800 }))?;
        self.until("the page to be seen", "return !document.hidden", &[]).map(drop)
    }

    fn post(&self, command: &str, body: &Value) -> anyhow::Result<Value> {
        self.driver.ask("POST", &self.path(command), body)
    }

    fn path(&self, command: &str) -> String {
        format!("/session/{}/{command}", self.session)
    }
}

impl Drop for Browser {
    /// Lets it end by itself, before its directory goes. One that does not, ends with its driver.
    fn drop(&mut self) {
        let _ = self.driver.ask("DELETE", &format!("/session/{}", self.session), &Value::Null);
    }
}

impl Driver {
    fn chromium(program: &Path, port: u16) -> anyhow::Result<Self> {
        let directory = process::temporary_directory("browser")?;
        let command =
            [in_place(directory.path()), vec![program.display().to_string(), format!("--port={port}")]].concat();
        let server = Server::start(directory, &command, StopSignal::Terminate, |_| is_there(port))?;
        Ok(Self { kind: Kind::Chromium, address: format!("127.0.0.1:{port}"), server, _display: None })
    }

    fn webkit(program: &Path, display: &Path, port: u16) -> anyhow::Result<Self> {
        // Any number will do that nobody else has, and the port is nobody else's.
        let number = port % 50_000;
        let socket = PathBuf::from(format!("/tmp/.X11-unix/X{number}"));
        let screen =
            [&display.display().to_string(), &format!(":{number}"), "-nolisten", "tcp", "-screen", "0", "1280x1024x24"];
        let screen = screen.map(String::from);
        let ready = |_: &Path| socket.exists();
        let display = Server::start(process::temporary_directory("display")?, &screen, StopSignal::Terminate, ready)?;
        let directory = process::temporary_directory("browser")?;
        let words = [
            format!("DISPLAY=:{number}"),
            "GDK_BACKEND=x11".to_owned(),
            "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS=1".to_owned(),
        ];
        let program = [program.display().to_string(), "--host=127.0.0.1".to_owned(), format!("--port={port}")];
        let command = [&in_place(directory.path())[..], &words, &program].concat();
        let server = Server::start(directory, &command, StopSignal::Terminate, |_| is_there(port))?;
        Ok(Self { kind: Kind::WebKit, address: format!("127.0.0.1:{port}"), server, _display: Some(display) })
    }

    fn capabilities(&self) -> Value {
        match self.kind {
            Kind::Chromium => {
                let profile = format!("--user-data-dir={}", self.server.directory().join("profile").display());
                // Chromium does not start as root within its sandbox.
                let root = rustix::process::geteuid().is_root().then_some("--no-sandbox");
                let arguments: Vec<&str> = QUIET.into_iter().chain([profile.as_str()]).chain(root).collect();
                json!({ "goog:chromeOptions": { "args": arguments } })
            }
            Kind::WebKit => json!({}),
        }
    }

    /// One command. What the driver refuses is an error with its words.
    fn ask(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.send(method, path, body).with_context(|| format!("{method} {path}"))?;
        let mut answer: Value = serde_json::from_slice(&answer).context("the driver does not answer with JSON")?;
        let value = answer.get_mut("value").map(Value::take).unwrap_or_default();
        ensure!(status == 200, "{method} {path}: {}", value.get("message").unwrap_or(&value));
        Ok(value)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<(u16, Vec<u8>)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(&self.address).context("the driver cannot be reached")?;
        stream.set_read_timeout(Some(PATIENCE)).context("cannot set a timeout")?;
        let (address, length) = (&self.address, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all((head + &body).as_bytes()).context("the driver does not take the command")?;
        answer(BufReader::new(stream)).context("the driver's answer broke off")
    }
}

/// Status and body of an answer that tells its length: the driver may keep the connection.
fn answer(mut stream: impl BufRead) -> anyhow::Result<(u16, Vec<u8>)> {
    let (mut status, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        ensure!(stream.read_line(&mut line)? > 0, "it ended within the head");
        let line = line.trim_end();
        match (line.is_empty(), line.split_once(':')) {
            (true, _) => break,
            (false, Some((name, value))) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse()?
            }
            (false, _) if status.is_none() => status = line.split(' ').nth(1).and_then(|status| status.parse().ok()),
            (false, _) => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((status.context("an answer without a status")?, body))
}

/// Begins a command whose program keeps everything in that directory.
fn in_place(directory: &Path) -> Vec<String> {
    let at = |name: &str| format!("{name}={}", directory.display());
    let names = ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"];
    std::iter::once("env".to_owned()).chain(names.map(at)).collect()
}

fn is_there(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// A program of the search path.
#[expect(clippy::disallowed_methods, reason = "the search path is the machine's, and no setting of the agent")]
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}
