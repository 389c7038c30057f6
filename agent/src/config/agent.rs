//! Settings of the agent itself: where it listens, what it keeps and how much it works at once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::field::{Field, Mapping};
use super::report::quoted;
use super::sources::Sources;

/// `server`: the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it listens. A loopback address, unless the operator says `allow_remote`.
    pub listen: SocketAddr,
    /// Largest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// Runs under way at the same time; more are turned away.
    pub max_concurrent_runs: usize,
    /// True when the operator wants it to listen where other machines reach it, without TLS.
    pub allow_remote: bool,
    /// What connections are encrypted with; none to talk in the clear.
    pub tls: Option<ServerTls>,
}

/// `server.tls`: two files in PEM. They are read when the agent starts, and again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The certificate, followed by those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// `store`: the agent's own database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The file.
    pub path: PathBuf,
    /// What is kept.
    pub retain: Retain,
}

/// `store.retain`: finished runs beyond either bound are forgotten, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retain {
    /// Longest time that a finished run is kept.
    pub age: Duration,
    /// Largest size of the database, in bytes.
    pub size_bytes: u64,
}

/// `engine`: how plugins are compiled and run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Directory of compiled components. Nobody but the agent may write there.
    pub cache: PathBuf,
    /// Threads that run plugins.
    pub guest_threads: usize,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Server {
    /// Read `server`.
    pub(super) fn read(root: &Mapping<'_>, sources: &Sources<'_>) -> Option<Self> {
        let fields = ["listen", "max_body_bytes", "max_concurrent_runs", "allow_remote", "tls"];
        let server = root.section("server", &fields)?;
        let allow_remote = server.or("allow_remote", false, Field::boolean);
        let tls = server.or("tls", None, |field| ServerTls::read(field, sources).map(Some));
        // Not judged twice: where one of the two is wrong, that is what has to be mended first.
        let may_be_remote = allow_remote.unwrap_or(true) || tls.as_ref().is_none_or(Option::is_some);
        let listen =
            server.or("listen", SocketAddr::from(([127, 0, 0, 1], 7117)), |field| address(field, may_be_remote));
        let max_body_bytes = server.or("max_body_bytes", 1 << 20, |field| field.size(KIB..=64 * MIB));
        let max_concurrent_runs = server.or("max_concurrent_runs", 64, |field| field.whole(1..=1024));
        Some(Self {
            listen: listen?,
            max_body_bytes: max_body_bytes?,
            max_concurrent_runs: max_concurrent_runs?,
            allow_remote: allow_remote?,
            tls: tls?,
        })
    }
}

impl ServerTls {
    fn read(field: &Field<'_>, sources: &Sources<'_>) -> Option<Self> {
        let tls = field.mapping(&["certificate", "key"])?;
        let certificate = tls.required("certificate", |field| sources.file_path(field));
        let key = tls.required("key", |field| sources.file_path(field));
        Some(Self { certificate: certificate?, key: key? })
    }
}

/// Tokens travel in the clear without TLS, so the agent stays on its own machine unless told otherwise.
fn address(field: &Field<'_>, may_be_remote: bool) -> Option<SocketAddr> {
    let text = field.text()?;
    let Ok(address) = text.parse::<SocketAddr>() else {
        let form = "write an IP address and a port, such as 127.0.0.1:7117";
        return field.refuse(format!("{} is no address; {form}", quoted(text)));
    };
    if may_be_remote || address.ip().to_canonical().is_loopback() {
        return Some(address);
    }
    field.refuse(format!(
        "{} can be reached from other machines and there is no TLS; give `tls` a certificate and its key, listen on a \
         loopback address such as 127.0.0.1:7117, or say `allow_remote: true` in `server`",
        quoted(text)
    ))
}

impl Store {
    /// Read `store`.
    pub(super) fn read(root: &Mapping<'_>, sources: &Sources<'_>) -> Option<Self> {
        let store = root.section("store", &["path", "retain"])?;
        let path = store.or("path", sources.relative("paramedic.db"), |field| sources.path(field));
        let retain = Retain::read(&store);
        Some(Self { path: path?, retain: retain? })
    }
}

impl Retain {
    fn read(store: &Mapping<'_>) -> Option<Self> {
        let retain = store.section("retain", &["age", "size"])?;
        let age = retain.or("age", 30 * DAY, |field| field.duration(Duration::from_secs(60)..=3650 * DAY));
        let size = retain.or("size", 1 << 30, |field| field.size(MIB..=1 << 40));
        Some(Self { age: age?, size_bytes: size? })
    }
}

impl Engine {
    /// Read `engine`.
    pub(super) fn read(root: &Mapping<'_>, sources: &Sources<'_>) -> Option<Self> {
        let engine = root.section("engine", &["cache", "guest_threads"])?;
        let cache = engine.or("cache", sources.relative("cache"), |field| sources.path(field));
        let guest_threads = engine.or("guest_threads", 2, |field| field.whole(1..=64));
        Some(Self { cache: cache?, guest_threads: guest_threads? })
    }
}
