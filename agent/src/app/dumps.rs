//! Keeps the memory of the agent out of files: it holds credentials, and a core dump would lay them down on a disk.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Not one file system writes a core of one byte, and Linux takes this very limit to mean that a program which collects cores gets
/// none either; a limit of zero would not stop that one.
const NONE: u64 = 1;

/// Have the kernel keep no core dump of this process and of those that it starts.
pub fn forbid_core_dumps() -> io::Result<()> {
    let allowed = getrlimit(Resource::Core).maximum;
    let limit = Some(allowed.map_or(NONE, |most| most.min(NONE)));
    Ok(setrlimit(Resource::Core, Rlimit { current: limit, maximum: limit })?)
}
