//! Encryption of the API: a certificate and its key from two files, taken anew when these change.
//!
//! Whoever renews a certificate (cert-manager, a cron job) replaces the files and tells nobody, and in a mounted volume
//! not even the files change but a link above them. So the contents are compared, not the times, once in a while. A pair
//! that does not fit together is not taken: the one before stays, and the log says so.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::domain::Digest;

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(10);

/// Largest file that is read. A chain has a few kilobytes.
const MAX_FILE: u64 = 1 << 20;

/// Where the certificate and its key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those above it, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// Why a certificate is not used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{} holds no {what} in PEM", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The two do not fit, or the library cannot use them.
    #[error("the certificate in {} cannot be used with its key", path.display())]
    Unusable {
        /// The file of the certificate.
        path: PathBuf,
        /// What the library said.
        #[source]
        source: rustls::Error,
    },
}

/// The certificate in use, and how to take the next.
pub struct Tls {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

/// What new connections are shown.
#[derive(Debug)]
struct Current(RwLock<(Digest, Arc<CertifiedKey>)>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).1.clone())
    }
}

impl Tls {
    /// Read the files. The agent does not start with a certificate that it cannot show.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(default_provider());
        let current = Arc::new(Current(RwLock::new(read(&files, &provider)?)));
        let unusable = |source| TlsError::Unusable { path: files.certificate.clone(), source };
        let mut config = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { files, provider, current, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Greets those who connect.
    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Take what the files hold now. Tells whether that is something else.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let (digest, key) = read(&self.files, &self.provider)?;
        let mut current = self.current.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = current.0 != digest;
        if is_new {
            *current = (digest, key);
        }
        Ok(is_new)
    }

    /// Look at the files once in a while, until the agent ends.
    pub async fn follow(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut failing = false;
        loop {
            let stop = stopping.wait_for(|stop| *stop);
            if tokio::time::timeout(PERIOD, stop).await.is_ok() {
                return;
            }
            let tls = self.clone();
            let reloaded = tokio::task::spawn_blocking(move || tls.reload()).await;
            match reloaded {
                Ok(Ok(true)) => tracing::info!("a new certificate is in use"),
                Ok(Ok(false)) => {}
                // Said once, not every ten seconds.
                Ok(Err(error)) if !failing => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::error!(%error, cause, "the certificate before stays in use");
                    failing = true;
                    continue;
                }
                Ok(Err(_)) | Err(_) => continue,
            }
            failing = false;
        }
    }
}

/// The digest of both files, and what they hold.
fn read(files: &TlsFiles, provider: &CryptoProvider) -> Result<(Digest, Arc<CertifiedKey>), TlsError> {
    let (certificate, key) = (contents(&files.certificate)?, contents(&files.key)?);
    let digest = Digest::of(&[certificate.as_slice(), key.as_slice()].concat());
    let nothing = |path: &PathBuf, what| TlsError::Nothing { path: path.clone(), what };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificate)
        .collect::<Result<_, _>>()
        .map_err(|_| nothing(&files.certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(nothing(&files.certificate, "certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| nothing(&files.key, "private key"))?;
    let unusable = |source| TlsError::Unusable { path: files.certificate.clone(), source };
    let pair = CertifiedKey::from_der(chain, key, provider).map_err(unusable)?;
    Ok((digest, Arc::new(pair)))
}

fn contents(path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read;

    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(unreadable)?.take(MAX_FILE).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey as Generated, generate_simple_self_signed};

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let place = Self { folder: tempfile::tempdir().unwrap() };
            place.renew();
            place
        }

        fn files(&self) -> TlsFiles {
            let file = |name| self.folder.path().join(name);
            TlsFiles { certificate: file("tls.crt"), key: file("tls.key") }
        }

        fn renew(&self) {
            let Generated { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            std::fs::write(self.files().certificate, cert.pem()).unwrap();
            std::fs::write(self.files().key, signing_key.serialize_pem()).unwrap();
        }
    }

    fn shown(tls: &Tls) -> Vec<u8> {
        tls.current.0.read().unwrap().1.cert[0].to_vec()
    }

    #[test]
    fn a_renewed_certificate_is_taken_and_the_same_one_is_not_new() {
        let place = Place::new();
        let tls = Tls::load(place.files()).unwrap();
        let before = shown(&tls);
        assert!(!tls.reload().unwrap());
        place.renew();
        assert!(tls.reload().unwrap());
        assert_ne!(shown(&tls), before);
    }

    #[test]
    fn a_pair_that_does_not_fit_is_refused_and_the_one_before_stays() {
        let place = Place::new();
        let tls = Tls::load(place.files()).unwrap();
        let before = shown(&tls);
        let key = std::fs::read(place.files().key).unwrap();
        place.renew();
        std::fs::write(place.files().key, key).unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::Unusable { .. })));
        std::fs::write(place.files().certificate, "no certificate").unwrap();
        assert_eq!(
            tls.reload().unwrap_err().to_string(),
            format!("{} holds no certificate in PEM", place.files().certificate.display())
        );
        std::fs::remove_file(place.files().key).unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::Unreadable { .. })));
        assert_eq!(shown(&tls), before);
    }
}
