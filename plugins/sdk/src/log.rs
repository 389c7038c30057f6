//! Messages for humans. The host drops what exceeds its limits and says so; a message never fails.

use crate::Label;
#[cfg(target_arch = "wasm32")]
use crate::bindings::paramedic::plugin::log as host;

pub use crate::bindings::paramedic::plugin::log::Level;

/// Only of interest while developing the check.
pub fn debug(message: &str) {
    emit(Level::Debug, message, &[]);
}

/// Normal course of events.
pub fn info(message: &str) {
    emit(Level::Info, message, &[]);
}

/// Something unexpected that the check copes with.
pub fn warn(message: &str) {
    emit(Level::Warn, message, &[]);
}

/// Something that keeps the check from doing its work.
pub fn error(message: &str) {
    emit(Level::Error, message, &[]);
}

/// Write one message with fields to the log of the run.
pub fn emit(level: Level, message: &str, fields: &[Label]) {
    #[cfg(target_arch = "wasm32")]
    host::emit(level, message, fields);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::logged(level, message, fields);
}

/// Tell how far the run has come; a `total` of 0 means that it is not known.
pub fn progress(done: u32, total: u32, message: &str) {
    #[cfg(target_arch = "wasm32")]
    host::progress(done, total, message);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::logged(Level::Info, &format!("{done}/{total} {message}"), &[]);
}
