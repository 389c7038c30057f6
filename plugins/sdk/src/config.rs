//! Settings that the operator attaches to the installed plugin; unlike parameters they are the same for all runs.

use crate::Label;
#[cfg(target_arch = "wasm32")]
use crate::bindings::paramedic::plugin::config as host;

/// The setting of that name, if there is one.
pub fn get(name: &str) -> Option<String> {
    #[cfg(target_arch = "wasm32")]
    return host::get(name);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::setting(name)
}

/// All settings of this plugin, sorted by name.
pub fn get_all() -> Vec<Label> {
    #[cfg(target_arch = "wasm32")]
    return host::get_all();
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::settings()
}
