//! The certificate of an encrypted cluster, made when it starts, and the authority that signed it.

use std::sync::Arc;

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What a server shows, and what a client has to trust.
pub struct Identity {
    /// Greets those who connect.
    pub acceptor: TlsAcceptor,
    /// The authority's certificate in PEM.
    pub authority: String,
}

/// A new authority, and a certificate for 127.0.0.1 that it signed.
pub fn make() -> anyhow::Result<Identity> {
    let key = KeyPair::generate().context("no key for the authority")?;
    let mut params = CertificateParams::new(Vec::new()).context("no authority")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).context("no authority")?.pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().context("no key for the server")?;
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let params = CertificateParams::new(names).context("no certificate")?;
    let certificate = params.signed_by(&key, &issuer).context("no certificate")?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("no protocol")?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .context("the certificate does not fit its key")?;
    Ok(Identity { acceptor: TlsAcceptor::from(Arc::new(config)), authority })
}
