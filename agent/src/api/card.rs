//! Answers as text for a terminal: what a person wants to see at three in the morning.
//!
//! The verdict comes first, in one line; then what it rests on; then what to type next; then how it was found. Whatever
//! came from outside is cleaned on the way, so that a terminal shows it and does not obey it. The API gives cards
//! without colours, the command line the same with them.

mod audit;
mod change;
mod configuration;
mod freezes;
mod leases;
mod notation;
mod page;
mod plugin;
mod quantity;
mod run;
mod runs;
mod silences;
mod sweep;
mod table;
mod text;
mod version;

pub use audit::{audit, chain_head};
pub use configuration::reloaded;
pub use freezes::freezes;
pub use leases::{lease, leases};
pub use notation::{assignment, read_value};
pub use page::Paint;
pub use plugin::{plugin, plugins};
pub use run::{Detail, log_line, run};
pub use runs::runs;
pub use silences::silences;
pub use sweep::{sweep, sweep_run, sweeps};
pub use text::printable_json;
pub use version::{delivered, version_diff, versions};

pub(crate) use page::{Page, Tone};
pub(crate) use text::one_line as clean_line;

/// Columns that a card uses: what a split terminal has, and a chat message.
const WIDTH: usize = 120;
