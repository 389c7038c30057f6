//! Components written by hand, for what no compiler would produce: tables that grow, lists that overlap, functions of the
//! calling convention that never return.
//!
//! The bodies are WebAssembly text. Offsets of a result follow the canonical layout of `result<outcome, failure>`: the case
//! at 0, then from 4 on the status, and each text or list as address and length.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where [`ANSWER`] puts the outcome; a body that wants it to be wrong changes it afterwards.
pub const OUTCOME: u32 = 128;

/// Body of `run` that answers `ok` with the summary `fine`.
pub const ANSWER: &str = "
    (i32.store (i32.const 136) (i32.const 64))
    (i32.store (i32.const 140) (i32.const 4))
    (i32.const 128)";

/// A body that never ends.
pub const SPIN: &str = "(loop (br 0)) unreachable";

/// The parts of a component that a test replaces.
pub struct Handwritten<'a> {
    /// Imports of the core module.
    pub imports: &'a str,
    /// Its memory, exported as `memory`.
    pub memory: &'a str,
    /// Further definitions.
    pub definitions: &'a str,
    /// Body of `describe`.
    pub describe: &'a str,
    /// Body of the function by which the host asks for memory.
    pub allocate: &'a str,
    /// Body of `run`.
    pub run: &'a str,
    /// Body of what the host calls after it has read the answer of `run`.
    pub after: &'a str,
}

impl Default for Handwritten<'_> {
    /// A plugin that does nothing wrong, except that it does not describe itself.
    fn default() -> Self {
        Self {
            imports: "",
            memory: r#"(memory (export "memory") 1)"#,
            definitions: "",
            describe: "unreachable",
            allocate: "
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
                (global.set $free (i32.add (local.get $at) (local.get 3)))
                (local.get $at)",
            run: ANSWER,
            after: "",
        }
    }
}

impl Handwritten<'_> {
    /// The component of a plugin that may import what every check may.
    pub fn component(&self) -> Vec<u8> {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(paramedic_tests::components::workspace().join("wit")).unwrap();
        self.encode(&resolve, package, "check")
    }

    /// The component of a plugin that also uses the timers of WASI.
    pub fn component_with_timers(&self) -> Vec<u8> {
        let mut resolve = Resolve::default();
        resolve.push_dir(paramedic_tests::components::workspace().join("wit")).unwrap();
        let sources = [
            "package wasi:io@0.2.0; interface poll { resource pollable; }",
            "package wasi:clocks@0.2.0; interface monotonic-clock {
                use wasi:io/poll@0.2.0.{pollable};
                subscribe-duration: func(nanoseconds: u64) -> pollable;
            }",
            "package test:guests; world timers {
                include paramedic:plugin/base@0.1.0;
                import wasi:clocks/monotonic-clock@0.2.0;
            }",
        ];
        let packages = sources.map(|source| resolve.push_str("inline.wit", source).unwrap());
        self.encode(&resolve, packages[2], "timers")
    }

    fn encode(&self, resolve: &Resolve, package: wit_parser::PackageId, world: &str) -> Vec<u8> {
        let mut module = wat::parse_str(self.text()).unwrap();
        let world = resolve.select_world(&[package], Some(world)).unwrap();
        embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
    }

    fn text(&self) -> String {
        let Self { imports, memory, definitions, describe, allocate, run, after } = self;
        format!(
            r#"(module
                {imports}
                {memory}
                (global $free (mut i32) (i32.const 4096))
                (data (i32.const 64) "fine")
                {definitions}
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {allocate})
                (func (export "paramedic:plugin/plugin@0.1.0#describe") (result i32) {describe})
                (func (export "paramedic:plugin/plugin@0.1.0#run")
                    (param i32 i32 i32 i32 i32 i32 i32 i32 i64 f64 i32 i32 i32 i32) (result i32)
                    (local $i i32)
                    {run})
                (func (export "cabi_post_paramedic:plugin/plugin@0.1.0#run") (param i32) {after})
            )"#
        )
    }
}

/// Let a component instantiate its first module, which must import nothing, once more than it does: the further memory
/// and table serve nothing, and have to be made all the same.
pub fn instantiate_once_more(component: &mut Vec<u8>) {
    // A section of core instances (2) of 4 bytes with one entry: instantiate (0) module 0 with no arguments.
    component.extend_from_slice(&[2, 4, 1, 0, 0, 0]);
}
