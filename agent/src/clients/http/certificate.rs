//! How long the certificate of a server is still valid.

use std::time::Duration;

use x509_parser::parse_x509_certificate;

use crate::domain::Timestamp;

/// Seconds from `now` until the certificate in `der` expires, negative when it has. None when it cannot be read, which
/// the verification before would not have let pass.
pub fn remaining(der: &[u8], now: Timestamp) -> Option<f64> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let expires = certificate.validity().not_after.timestamp();
    let now = i64::try_from(now.as_millis() / 1000).ok()?;
    Some(expires.saturating_sub(now) as f64)
}

/// A length of time as people say it of certificates.
pub fn in_days(duration: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match duration.as_secs() / DAY {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_days_are_counted() {
        for (seconds, words) in
            [(0, "less than a day"), (86_399, "less than a day"), (86_400, "1 day"), (200_000, "2 days")]
        {
            assert_eq!(in_days(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        assert_eq!(remaining(b"", Timestamp::from_millis(0)), None);
        assert_eq!(remaining(&[0x30, 0x03, 0x02, 0x01, 0x01], Timestamp::from_millis(0)), None);
    }
}
