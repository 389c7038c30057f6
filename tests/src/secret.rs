//! Passwords and tokens that nobody needs to remember.

/// 128 random bits as hexadecimal digits, which need no escaping in a URL, in SQL or in an ACL rule.
#[must_use]
pub fn random() -> String {
    format!("{:032x}", rand::random::<u128>())
}
