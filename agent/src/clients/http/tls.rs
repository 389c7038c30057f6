//! TLS as every target uses it: the system's certificates and the target's own, verified always.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::InvalidSettings;

/// The settings of a connection, and how many roots the system has.
pub struct Tls {
    /// What the HTTP library takes.
    pub config: ClientConfig,
    /// Certificates found in the system's store; 0 means that only the target's own are trusted.
    pub system_roots: usize,
}

/// Prepare TLS that trusts the system's roots and those in `ca`, in PEM.
pub fn prepare(ca: Option<&str>) -> Result<Tls, InvalidSettings> {
    let mut roots = RootCertStore::empty();
    let (system_roots, _) = roots.add_parsable_certificates(system_certificates().iter().cloned());
    for certificate in ca.map(own_certificates).transpose()?.unwrap_or_default() {
        roots.add(certificate).map_err(InvalidSettings::Authority)?;
    }
    // Named, because a process-wide default would depend on who else installs one.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(InvalidSettings::Authority)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Tls { config, system_roots })
}

/// The system's store, read once: it is a file of some hundred kilobytes.
fn system_certificates() -> &'static [CertificateDer<'static>] {
    static CERTIFICATES: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    CERTIFICATES.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "part of the system's certificate store cannot be read");
        }
        found.certs
    })
}

fn own_certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, InvalidSettings> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| InvalidSettings::AuthorityPem)?;
    if certificates.is_empty() { Err(InvalidSettings::AuthorityPem) } else { Ok(certificates) }
}
