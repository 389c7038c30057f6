//! How the program is linked.

use std::env;

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script everything in its environment")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let linux = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is("PROFILE", "release") && linux && is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        // Eighty thousand addresses are set at each start. In the short form their table has 30 KB instead of 2 MB, all of which
        // are read and stay in memory. Needs glibc 2.36, so only what is shipped is made like this.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
