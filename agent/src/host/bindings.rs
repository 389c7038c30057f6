//! The types and traits that wasmtime generates from `wit/`. The only `bindgen!` of the agent.

#![expect(missing_docs, reason = "generated from the WIT package, which is documented")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "everything",
    imports: { default: async | trappable },
    exports: { default: async },
});
