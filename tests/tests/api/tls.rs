//! An agent with a certificate, asked by the command line.

use paramedic_tests::access;
use paramedic_tests::agent::{Agent, Home, free_address};

use crate::cli::{paramedic, told};
use crate::fixture::TOKEN;

/// A self-signed certificate for this machine, and its key, both in PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn the_command_line_trusts_the_authority_that_it_is_told_and_no_other() {
    let (home, address) = (Home::new().unwrap(), free_address().unwrap());
    let (certificate, key) = certificate();
    let (other, _) = self::certificate();
    for (name, text) in [("tls.crt", &certificate), ("tls.key", &key), ("other.crt", &other)] {
        home.write(name, text).unwrap();
    }
    let auth = access::auth(&home, &[("alice", "viewer", TOKEN)]).unwrap();
    let configuration = format!(
        "server: {{ listen: \"{address}\", tls: {{ certificate: {{ file: tls.crt }}, key: {{ file: tls.key }} }} }}\n\
         auth: {auth}\n"
    );
    let agent = Agent::start_encrypted(home, &configuration, &address).unwrap();
    let trusting = |ca: &str| {
        let ca = agent.directory().join(ca).display().to_string();
        told(paramedic(&agent.url(), TOKEN, &["--ca", &ca, "runs"]))
    };
    let (code, _, complaint) = trusting("tls.crt");
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    let (code, _, complaint) = trusting("other.crt");
    assert!(code == Some(3) && complaint.contains("certificate"), "{complaint}");
    let (code, _, complaint) = trusting("tls.key");
    assert!(code == Some(3) && complaint.contains("holds no certificate in PEM"), "{complaint}");
    let (code, _, _) = told(paramedic(&agent.url().replace("https", "http"), TOKEN, &["runs"]));
    assert_eq!(code, Some(3), "asked in the clear");
}
