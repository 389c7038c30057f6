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

/// A component as another version: the name of the plugin and its version `0.1.0` stand beside each other in its data. The
/// new version has to be as long.
pub fn as_version(component: &[u8], name: &str, version: &str) -> anyhow::Result<Vec<u8>> {
    replaced(component, format!("{name}0.1.0").as_bytes(), format!("{name}{version}").as_bytes())
}

/// A component in which the one place that holds `old` holds `new`, which has to be as long.
pub fn replaced(component: &[u8], old: &[u8], new: &[u8]) -> anyhow::Result<Vec<u8>> {
    let shown = String::from_utf8_lossy(old);
    anyhow::ensure!(old.len() == new.len(), "what takes the place of `{shown}` has another length");
    let places: Vec<_> =
        component.windows(old.len()).enumerate().filter(|(_, part)| *part == old).map(|(at, _)| at).collect();
    let [at] = *places.as_slice() else { anyhow::bail!("`{shown}` stands at {places:?}, not at one place") };
    let mut changed = component.to_vec();
    changed.splice(at..at + old.len(), new.iter().copied());
    Ok(changed)
}

/// A component with some bytes more that mean nothing: a section of its own with this text.
#[must_use]
pub fn with_note(component: &[u8], note: &str) -> Vec<u8> {
    // A custom section (0) is its size, the length of its name, the name and what it holds. All lengths below 128 are one byte.
    let note: Vec<u8> = note.bytes().take(100).collect();
    let size = u8::try_from(note.len() + 5).unwrap_or(u8::MAX);
    [component, &[0, size, 4], b"note", &note].concat()
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
