//! Looks for a way out of its sandbox with all that a standard library offers, and tells as JSON in the details what it
//! found. An error is told as its text; whatever worked is told as `reached`.

use std::fs;
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

use paramedic_sdk::{Context, Description, Failure, Outcome, Plugin};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Parameters of looker.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// An address at which something listens.
    address: String,
    /// A file that exists.
    file: String,
}

/// The check.
pub struct Looker;

paramedic_sdk::export!(Looker);

impl Plugin for Looker {
    type Params = Params;

    fn describe() -> Description {
        Description::check("looker", env!("CARGO_PKG_VERSION"), "Looks for a way out")
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::ok("looked everywhere");
        let found = json!({
            "environment": std::env::vars().collect::<Vec<_>>(),
            "arguments": std::env::args().collect::<Vec<_>>(),
            "input": input(),
            "files": files(&params.file),
            "network": network(&params.address),
        });
        outcome.note(found.to_string());
        Ok(outcome)
    }
}

/// What standard input holds.
fn input() -> Value {
    let mut text = String::new();
    told(io::stdin().read_to_string(&mut text).and_then(|bytes| match bytes {
        0 => Err(io::Error::other("nothing")),
        _ => Ok(()),
    }))
}

fn files(file: &str) -> Value {
    json!({
        "read": told(fs::read(file)),
        "read above": told(fs::read(format!("../../../..{file}"))),
        "list": told(fs::read_dir("/")),
        "list here": told(fs::read_dir(".")),
        "write": told(fs::write("/tmp/guest-was-here", "x")),
        "make": told(fs::create_dir("here")),
        "remove": told(fs::remove_file(file)),
        "link": told(fs::hard_link(file, "link")),
    })
}

fn network(address: &str) -> Value {
    json!({
        "connect": told(TcpStream::connect(address)),
        "listen": told(TcpListener::bind("127.0.0.1:0")),
        "listen everywhere": told(TcpListener::bind("[::]:0")),
        "datagram": told(UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"x", address))),
        "name": told("localhost:80".to_socket_addrs()),
    })
}

fn told<T>(result: io::Result<T>) -> Value {
    match result {
        Ok(_) => json!("reached"),
        Err(error) => json!(error.to_string()),
    }
}
