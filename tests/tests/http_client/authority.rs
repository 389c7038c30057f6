//! A certificate authority of the tests, and servers' certificates of every sort.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

/// An authority that a target may be told to trust.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// First and last day of a certificate.
pub type Days = ((i32, u8, u8), (i32, u8, u8));

pub const VALID: Days = ((2000, 1, 1), (2099, 1, 1));
pub const EXPIRED: Days = ((2000, 1, 1), (2020, 1, 1));
pub const NOT_YET: Days = ((2098, 1, 1), (2099, 1, 1));

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.pem.clone()
    }

    /// The settings of a server called `name` whose certificate is valid within `days`.
    pub fn server(&self, name: &str, days: Days) -> ServerConfig {
        let ((year, month, day), (last_year, last_month, last_day)) = days;
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(year, month, day);
        params.not_after = date_time_ymd(last_year, last_month, last_day);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

/// Seconds since 1970 until the certificates called valid expire.
pub fn valid_until() -> i64 {
    let (_, (year, month, day)) = VALID;
    date_time_ymd(year, month, day).unix_timestamp()
}
