//! Where `just plugins` and `just guests` put the WebAssembly components that tests run.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The component of a plugin, such as `pg-ready`.
pub fn plugin(name: &str) -> anyhow::Result<PathBuf> {
    component("plugins", name)
}

/// The component of a guest program below `tests/guests`, such as `spin`.
pub fn guest(name: &str) -> anyhow::Result<PathBuf> {
    component("guests", name)
}

/// Cargo's target directory: the one this program was built into, wherever the settings put it.
pub fn target_directory() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("this program has no path")?;
    let is_target = |directory: &&Path| directory.join("CACHEDIR.TAG").exists();
    let target = program.ancestors().find(is_target);
    Ok(target.with_context(|| format!("{} is not in a target directory of cargo", program.display()))?.to_owned())
}

/// A program that cargo put where it put this one.
#[must_use]
pub fn beside_this_program(name: &str) -> Option<PathBuf> {
    let this = std::env::current_exe().ok()?;
    // Tests are one folder further down than programs.
    this.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The root of the source tree.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn component(kind: &str, name: &str) -> anyhow::Result<PathBuf> {
    let path = target_directory()?.join(kind).join(format!("{name}.wasm"));
    anyhow::ensure!(path.exists(), "{} is missing; run `just {kind}`", path.display());
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_component_names_the_recipe_that_builds_it() {
        let error = guest("never-written").unwrap_err().to_string();
        assert!(error.contains("guests/never-written.wasm") && error.ends_with("run `just guests`"), "{error}");
    }
}
