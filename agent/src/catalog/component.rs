//! The bytes of a component.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use crate::domain::Digest;

/// The bytes of a component, uncompressed. Their digest is computed once, however often it is asked for: at a start from what
/// was compiled before, nothing else takes as long. Cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct Component(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    bytes: Arc<[u8]>,
    digest: OnceLock<Digest>,
}

impl Component {
    /// Bytes whose digest was computed by whoever read them.
    pub(super) fn with_digest(bytes: impl Into<Arc<[u8]>>, digest: Digest) -> Self {
        Self(Arc::new(Inner { bytes: bytes.into(), digest: digest.into() }))
    }

    /// The digest. The first time this takes milliseconds.
    pub fn digest(&self) -> Digest {
        *self.0.digest.get_or_init(|| Digest::of(&self.0.bytes))
    }

    /// The bytes, to be kept.
    pub fn bytes(&self) -> Arc<[u8]> {
        self.0.bytes.clone()
    }
}

impl<B: Into<Arc<[u8]>>> From<B> for Component {
    fn from(bytes: B) -> Self {
        Self(Arc::new(Inner { bytes: bytes.into(), digest: OnceLock::new() }))
    }
}

impl Deref for Component {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}
