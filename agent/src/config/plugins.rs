//! `plugins`: where each comes from, what it may do and how much it may use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::domain::{Grant, Limits};

/// One plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// The component.
    pub source: Source,
    /// What it may do. Empty means nothing.
    pub grants: Vec<Grant>,
    /// Parameters that hold where a request names none.
    pub params: Map<String, Value>,
    /// What the `config` interface answers.
    pub settings: BTreeMap<String, String>,
    /// What a run may use.
    pub limits: Limits,
}

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file on this machine.
    File(PathBuf),
}
