//! A control plane from the programs in `KUBEBUILDER_ASSETS`: etcd, kube-apiserver, and kube-controller-manager if it is there.
//!
//! It follows what envtest of controller-runtime does, with two differences: everybody has only the rights that RBAC gives (envtest
//! does that too since 0.10), and the administrator comes with a token instead of a certificate. Meant for Kubernetes 1.28 and newer with
//! the etcd that comes with it, which is 3.5 or newer; older ones of that deliver watch events tens of seconds late.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, anyhow, ensure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::server;
use crate::process::{self, Server, StopSignal};
use crate::{ports, secret};

const ETCD: &str = "etcd";
const API_SERVER: &str = "kube-apiserver";
const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// A running control plane without a node. It lives as long as this process, or as the handle.
#[derive(Debug)]
pub struct ControlPlane {
    kubeconfig: String,
    // Dropped, and so ended, in this order.
    controller_manager: Option<Server>,
    _api_server: Server,
    _etcd: Server,
}

/// The files that these programs share.
struct Files<'a>(&'a Path);

impl Files<'_> {
    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl ControlPlane {
    /// The one of this test binary, on which each scenario takes a namespace of its own.
    pub fn shared(folder: &str) -> anyhow::Result<&'static Self> {
        static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
        let start = || ControlPlane::start(Path::new(folder)).map_err(|error| format!("{error:#}"));
        SHARED.get_or_init(start).as_ref().map_err(|error| anyhow!("the control plane did not start: {error}"))
    }

    /// Starts a private one from the programs in this folder.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let (etcd, api_server) = (program(folder, ETCD)?, program(folder, API_SERVER)?);
        let controller_manager = program(folder, CONTROLLER_MANAGER).ok();
        let (etcd, etcd_port) = ports::with_free(|port| {
            let own = process::temporary_directory("etcd")?;
            let command = etcd_command(&etcd, own.path(), port);
            Ok((Server::start(own, &command, StopSignal::Terminate, |_| listens(port))?, port))
        })?;
        // There, so that they go with it: what is shared by all tests of a program is never dropped.
        let files = Files(etcd.directory());
        let token = secret::random();
        write_credentials(&files, &token)?;
        let (api_server, kubeconfig) = ports::with_free(|port| {
            let own = process::temporary_directory("apiserver")?;
            let command = api_server_command(&api_server, &files, etcd_port, port);
            let kubeconfig = kubeconfig(&files, port, &token)?;
            let client = server::Server::of(&kubeconfig)?;
            Ok((Server::start(own, &command, StopSignal::Terminate, |_| client.is_ready())?, kubeconfig))
        })?;
        fs::write(files.path("kubeconfig"), &kubeconfig).context("cannot write a kubeconfig")?;
        let start = |program: &PathBuf| {
            ports::with_free(|port| {
                let own = process::temporary_directory("controllers")?;
                let command = controller_manager_command(program, &files, port);
                Server::start(own, &command, StopSignal::Terminate, |_| listens(port))
            })
        };
        let controller_manager = controller_manager.as_ref().map(start).transpose()?;
        Ok(ControlPlane { kubeconfig, controller_manager, _api_server: api_server, _etcd: etcd })
    }

    /// Whether somebody makes pods of Deployments here.
    #[must_use]
    pub fn has_controllers(&self) -> bool {
        self.controller_manager.is_some()
    }

    /// The way in of who may do everything.
    #[must_use]
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }
}

fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn program(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    ensure!(
        path.is_file(),
        "KUBEBUILDER_ASSETS is {}, and there is no {name} in it; `setup-envtest use --print path` fetches one and prints its folder",
        folder.display()
    );
    Ok(path)
}

/// The server's certificate with its authority, the key that signs tokens of service accounts, and the administrator's token.
fn write_credentials(files: &Files, token: &str) -> anyhow::Result<()> {
    let key = KeyPair::generate().context("no key for the authority")?;
    let mut params = CertificateParams::new(Vec::new()).context("no authority")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).context("no authority")?.pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().context("no key for the server")?;
    let names = ["127.0.0.1", "localhost"].map(str::to_owned).to_vec();
    let params = CertificateParams::new(names).context("no certificate")?;
    let certificate = params.signed_by(&key, &issuer).context("no certificate")?.pem();
    let accounts = KeyPair::generate().context("no key for service accounts")?.serialize_pem();
    let all = [
        ("ca.crt", authority),
        ("server.crt", certificate),
        ("server.key", key.serialize_pem()),
        ("accounts.key", accounts),
        ("tokens.csv", format!("{token},admin,admin,system:masters\n")),
    ];
    for (name, text) in all {
        fs::write(files.path(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

fn kubeconfig(files: &Files, port: u16, token: &str) -> anyhow::Result<String> {
    let authority = files.path("ca.crt");
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"), "certificate-authority": authority,
        } }],
        "users": [{ "name": "test", "user": { "token": token } }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    });
    serde_json::to_string(&config).context("cannot write a kubeconfig")
}

fn command(program: &Path, flags: &[(&str, String)]) -> Vec<String> {
    let flags = flags.iter().map(|(name, value)| format!("--{name}={value}"));
    std::iter::once(program.display().to_string()).chain(flags).collect()
}

fn etcd_command(program: &Path, directory: &Path, port: u16) -> Vec<String> {
    let url = format!("http://127.0.0.1:{port}");
    let flags = [
        ("data-dir", directory.join("data").display().to_string()),
        ("listen-client-urls", url.clone()),
        ("advertise-client-urls", url),
        ("listen-peer-urls", "http://127.0.0.1:0".to_owned()),
        // What is thrown away need not survive a loss of power.
        ("unsafe-no-fsync", "true".to_owned()),
    ];
    command(program, &flags)
}

fn api_server_command(program: &Path, files: &Files, etcd_port: u16, port: u16) -> Vec<String> {
    let flags = [
        ("etcd-servers", format!("http://127.0.0.1:{etcd_port}")),
        ("bind-address", "127.0.0.1".to_owned()),
        ("advertise-address", "127.0.0.1".to_owned()),
        // An address of this machine alone is refused as an endpoint.
        ("endpoint-reconciler-type", "none".to_owned()),
        ("secure-port", port.to_string()),
        ("cert-dir", files.path("apiserver")),
        ("tls-cert-file", files.path("server.crt")),
        ("tls-private-key-file", files.path("server.key")),
        ("token-auth-file", files.path("tokens.csv")),
        ("authorization-mode", "RBAC".to_owned()),
        ("service-account-issuer", "https://kubernetes.default.svc.cluster.local".to_owned()),
        ("service-account-key-file", files.path("accounts.key")),
        ("service-account-signing-key-file", files.path("accounts.key")),
        ("service-cluster-ip-range", "10.0.0.0/24".to_owned()),
        ("allow-privileged", "true".to_owned()),
        // Without controllers no namespace has the account that it gives to pods.
        ("disable-admission-plugins", "ServiceAccount".to_owned()),
    ];
    command(program, &flags)
}

fn controller_manager_command(program: &Path, files: &Files, port: u16) -> Vec<String> {
    let flags = [
        ("kubeconfig", files.path("kubeconfig")),
        ("bind-address", "127.0.0.1".to_owned()),
        ("secure-port", port.to_string()),
        ("cert-dir", files.path("controllers")),
        ("leader-elect", "false".to_owned()),
        ("root-ca-file", files.path("ca.crt")),
        ("service-account-private-key-file", files.path("accounts.key")),
    ];
    command(program, &flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_are_started_with_these_flags() {
        let files = Files(Path::new("/t"));
        let etcd = etcd_command(Path::new("/a/etcd"), Path::new("/t"), 1).join(" ");
        let expected = "/a/etcd --data-dir=/t/data --listen-client-urls=http://127.0.0.1:1 \
                        --advertise-client-urls=http://127.0.0.1:1 --listen-peer-urls=http://127.0.0.1:0 \
                        --unsafe-no-fsync=true";
        assert_eq!(etcd, expected);
        let api_server = api_server_command(Path::new("/a/kube-apiserver"), &files, 1, 2).join(" ");
        let expected = "/a/kube-apiserver --etcd-servers=http://127.0.0.1:1 --bind-address=127.0.0.1 \
                        --advertise-address=127.0.0.1 --endpoint-reconciler-type=none --secure-port=2 \
                        --cert-dir=/t/apiserver --tls-cert-file=/t/server.crt --tls-private-key-file=/t/server.key \
                        --token-auth-file=/t/tokens.csv --authorization-mode=RBAC \
                        --service-account-issuer=https://kubernetes.default.svc.cluster.local \
                        --service-account-key-file=/t/accounts.key --service-account-signing-key-file=/t/accounts.key \
                        --service-cluster-ip-range=10.0.0.0/24 --allow-privileged=true \
                        --disable-admission-plugins=ServiceAccount";
        assert_eq!(api_server, expected);
        let controllers = controller_manager_command(Path::new("/a/kube-controller-manager"), &files, 3).join(" ");
        let expected = "/a/kube-controller-manager --kubeconfig=/t/kubeconfig --bind-address=127.0.0.1 --secure-port=3 \
                        --cert-dir=/t/controllers --leader-elect=false --root-ca-file=/t/ca.crt \
                        --service-account-private-key-file=/t/accounts.key";
        assert_eq!(controllers, expected);
    }

    #[test]
    fn a_missing_program_is_named_with_what_brings_it() {
        let folder = process::temporary_directory("assets").unwrap();
        let error = ControlPlane::start(folder.path()).unwrap_err().to_string();
        assert!(error.contains("there is no etcd in it") && error.contains("setup-envtest"), "{error}");
        fs::write(folder.path().join("etcd"), "").unwrap();
        let error = ControlPlane::start(folder.path()).unwrap_err().to_string();
        assert!(error.contains("there is no kube-apiserver in it"), "{error}");
    }

    #[test]
    fn the_credentials_are_such_that_a_client_takes_them() {
        let directory = process::temporary_directory("credentials").unwrap();
        let files = Files(directory.path());
        write_credentials(&files, "abc").unwrap();
        let config = kubeconfig(&files, 1, "abc").unwrap();
        let server = server::Server::of(&config).unwrap();
        let own = server.kubeconfig("shop", "xyz").unwrap();
        assert!(own.contains("certificate-authority-data") && own.contains("xyz") && !own.contains("abc"), "{own}");
        let key = fs::read_to_string(files.path("accounts.key")).unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"), "a kind of key that the API server reads");
    }
}
