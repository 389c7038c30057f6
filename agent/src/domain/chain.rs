//! The chain of records: its head, and a head that somebody kept elsewhere.

use std::fmt;
use std::str::FromStr;

use super::{Digest, Timestamp};

/// The last link of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// Its number, from 1.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
    /// When it was recorded.
    pub time: Timestamp,
}

/// A link that was the head once, noted where whoever changes the store cannot change it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

/// Why a text is no anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the number of a link, a colon and its hash of 64 hexadecimal digits, as the log gives them")]
pub struct InvalidAnchor;

/// Reads `SEQ:HASH`.
impl FromStr for Anchor {
    type Err = InvalidAnchor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seq, hash) = text.split_once(':').ok_or(InvalidAnchor)?;
        let digits = !seq.is_empty() && seq.bytes().all(|b| b.is_ascii_digit());
        let seq = seq.parse().ok().filter(|seq| digits && *seq > 0).ok_or(InvalidAnchor)?;
        Ok(Self { seq, hash: hash.parse().map_err(|_| InvalidAnchor)? })
    }
}

/// `SEQ:HASH`.
impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash.hex())
    }
}

impl From<ChainHead> for Anchor {
    fn from(head: ChainHead) -> Self {
        Self { seq: head.seq, hash: head.hash }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_reads_as_it_is_written_and_nothing_else_does() {
        let anchor = Anchor { seq: 1042, hash: Digest::of(b"link") };
        assert_eq!(anchor.to_string().parse(), Ok(anchor));
        assert_eq!(format!("1042:{}", anchor.hash).parse(), Ok(anchor), "with the name of the algorithm");
        let hex = anchor.hash.hex();
        for text in ["", ":", "1042", &hex, &format!(":{hex}"), &format!("0:{hex}"), &format!("+1:{hex}"), "1:abc"] {
            assert_eq!(text.parse::<Anchor>(), Err(InvalidAnchor), "{text}");
        }
    }
}
