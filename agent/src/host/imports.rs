//! What a component asks for: read from its bytes before anything of it is compiled, or from what was compiled of it before.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::component_types::{ComponentEntityType, ComponentItem};
use wasmparser::types::{Types, TypesRef};
use wasmparser::{BinaryReaderError, Parser, Payload, ValidPayload, Validator, WasmFeatures};

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem as Compiled;

use crate::domain::{Interface, Operation, PluginName};
use crate::policy::{self, Grants};

/// The package and version that this host offers.
const PACKAGE: &str = "paramedic:plugin/";
const VERSION: semver::Version = semver::Version::new(0, 1, 0);

/// The parts of WASI that an inert context satisfies.
const WASI: &[&str] = &[
    "wasi:io/",
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:random/",
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
    "wasi:sockets/",
];

/// The interfaces of the package that a component imports, each with the functions that it imports of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imports(BTreeMap<Interface, BTreeSet<String>>);

/// Why a component cannot be a plugin of this agent, or not with its grants.
#[derive(Debug, thiserror::Error)]
pub enum ImportsError {
    /// The bytes are no valid component.
    #[error("not a valid WebAssembly component")]
    Invalid(#[source] BinaryReaderError),
    /// The bytes are a core module.
    #[error("a core WebAssembly module, not a component; build it for wasm32-wasip2")]
    CoreModule,
    /// It does not export the interface of plugins.
    #[error("the component does not export `paramedic:plugin/plugin@0.1`")]
    NoPlugin,
    /// It exports or imports another generation of the package.
    #[error("`{name}` is of a version that this agent does not offer; it offers 0.1")]
    Version {
        /// The import or export.
        name: String,
    },
    /// It imports something that no plugin gets.
    #[error("the component imports `{name}`, which is not offered to plugins")]
    Forbidden {
        /// The import.
        name: String,
    },
    /// It imports an interface that its grants do not cover.
    #[error("the component imports `{interface}` ({functions}), which is not granted; add {line}")]
    NotGranted {
        /// The interface.
        interface: Interface,
        /// The functions that it imports of it.
        functions: String,
        /// The line to add.
        line: String,
    },
}

impl Imports {
    /// Read the component and validate all but the code in it, without compiling it. Code is validated when it is compiled.
    pub fn read(component: &[u8]) -> Result<Self, ImportsError> {
        refuse_core_module(component)?;
        Self::of(Root::read(component)?)
    }

    /// The same of a component that was read and compiled before, which takes a hundredth of the time.
    pub fn of_compiled(engine: &Engine, component: &Component) -> Result<Self, ImportsError> {
        Self::of(Root::of_compiled(engine, component))
    }

    fn of(root: Root) -> Result<Self, ImportsError> {
        let Root { imports, exports } = root;
        if !exports.iter().any(|name| name.starts_with("paramedic:plugin/plugin@")) {
            return Err(ImportsError::NoPlugin);
        }
        for name in exports.iter().filter(|name| name.starts_with(PACKAGE)) {
            package_interface(name)?;
        }
        let mut found: BTreeMap<Interface, BTreeSet<String>> = BTreeMap::new();
        for (name, functions) in imports {
            if WASI.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let Some(short) = package_interface(&name)? else { continue };
            match (Interface::from_name(short), functions) {
                (Some(interface), Some(functions)) => found.entry(interface).or_default().extend(functions),
                _ => return Err(ImportsError::Forbidden { name }),
            }
        }
        Ok(Self(found))
    }

    /// The interfaces, in the order of [`Interface`].
    pub fn interfaces(&self) -> impl Iterator<Item = Interface> {
        self.0.keys().copied()
    }

    /// The interfaces, each with the functions that are imported of it.
    pub fn functions(&self) -> impl Iterator<Item = (Interface, &BTreeSet<String>)> {
        self.0.iter().map(|(interface, functions)| (*interface, functions))
    }

    /// Compare the imports with the grants of the plugin. An interface of which nothing is granted is refused here, and is
    /// not linked either.
    ///
    /// A plugin may do well without some of what it imports, which only its description tells, and that is in the code. So an
    /// interface that only reads is let through as absent while there is another of which something is granted: what is linked in
    /// its place answers `denied` and has nothing behind it, and whoever loads the plugin compares it with the description.
    pub fn judge(&self, plugin: &PluginName, grants: &Grants) -> Result<BTreeSet<Interface>, ImportsError> {
        let granted = |interface: &Interface| interface.system().is_some() && grants.covers(*interface);
        let is_of_use = self.0.keys().any(granted);
        let lacking = self.0.keys().copied().filter(|interface| !grants.covers(*interface));
        let (absent, refused) = lacking.partition::<BTreeSet<_>, _>(|interface| is_of_use && !interface.acts());
        match refused.first() {
            Some(interface) => Err(self.refusal(plugin, *interface)),
            None => Ok(absent),
        }
    }

    /// Why a plugin is not loaded that imports `interface` without any grant of it.
    pub fn refusal(&self, plugin: &PluginName, interface: Interface) -> ImportsError {
        let none = BTreeSet::new();
        let functions = self.0.get(&interface).unwrap_or(&none);
        ImportsError::NotGranted {
            interface,
            functions: list(functions),
            line: missing_line(plugin, interface, functions),
        }
    }
}

/// What the component itself imports and exports, not what is inside it.
struct Root {
    /// The names of its imports, each with its functions if it is an instance.
    imports: Vec<(String, Option<BTreeSet<String>>)>,
    exports: Vec<String>,
}

impl Root {
    fn read(component: &[u8]) -> Result<Self, ImportsError> {
        let types = types(component).map_err(ImportsError::Invalid)?.ok_or(ImportsError::NoPlugin)?;
        let (imports, exports) = root_names(component)?;
        let with_functions = |name: String| {
            let functions = functions_of(types.as_ref(), &name);
            (name, functions)
        };
        Ok(Self { imports: imports.into_iter().map(with_functions).collect(), exports })
    }

    fn of_compiled(engine: &Engine, component: &Component) -> Self {
        let component = component.component_type();
        let functions = |item: Compiled| {
            let Compiled::ComponentInstance(instance) = item else { return None };
            let is_function = |item: &Compiled| matches!(item, Compiled::ComponentFunc(_));
            let exports = instance.exports(engine).filter(|(_, export)| is_function(&export.ty));
            Some(exports.map(|(name, _)| name.to_owned()).collect())
        };
        Self {
            imports: component.imports(engine).map(|(name, import)| (name.to_owned(), functions(import.ty))).collect(),
            exports: component.exports(engine).map(|(name, _)| name.to_owned()).collect(),
        }
    }
}

/// The types of the component itself, which comes to its end last.
fn types(component: &[u8]) -> Result<Option<Types>, BinaryReaderError> {
    let mut validator = Validator::new_with_features(WasmFeatures::default());
    let mut outermost = None;
    for payload in Parser::new(0).parse_all(component) {
        if let ValidPayload::End(types) = validator.payload(&payload?)? {
            outermost = Some(types);
        }
    }
    Ok(outermost)
}

/// The functions of an imported instance; none when the import is no instance.
fn functions_of(types: TypesRef<'_>, import: &str) -> Option<BTreeSet<String>> {
    let ComponentEntityType::Instance(id) = types.component_item_for_import(import)?.ty else { return None };
    let is_function = |item: &ComponentItem| matches!(item.ty, ComponentEntityType::Func(_));
    let exports = &types.get(id)?.exports;
    Some(exports.iter().filter(|(_, item)| is_function(item)).map(|(name, _)| name.clone()).collect())
}

/// The line that grants `functions` of `interface`; the operator puts in the name of the target.
fn missing_line(plugin: &PluginName, interface: Interface, functions: &BTreeSet<String>) -> String {
    let of_interface =
        |operation: &Operation| operation.interface() == interface && functions.contains(operation.verb());
    let operations: Vec<_> = Operation::ALL.iter().copied().filter(of_interface).collect();
    policy::missing_line(plugin, &operations, "<target>")
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn refuse_core_module(bytes: &[u8]) -> Result<(), ImportsError> {
    // Magic number, then the version: 1 with layer 0 is a core module.
    if bytes.starts_with(b"\0asm\x01\0\0\0") { Err(ImportsError::CoreModule) } else { Ok(()) }
}

/// Names of the imports and exports of the component itself, not of those inside it.
fn root_names(component: &[u8]) -> Result<(Vec<String>, Vec<String>), ImportsError> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(ImportsError::Invalid)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(ImportsError::Invalid)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(ImportsError::Invalid)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

/// The interface's short name when `name` has functions of our package, none when it has only types.
fn package_interface(name: &str) -> Result<Option<&str>, ImportsError> {
    let forbidden = || ImportsError::Forbidden { name: name.to_owned() };
    let rest = name.strip_prefix(PACKAGE).ok_or_else(forbidden)?;
    let (short, version) = rest.split_once('@').ok_or_else(forbidden)?;
    let version: semver::Version = version.parse().map_err(|_| forbidden())?;
    if (version.major, version.minor) != (VERSION.major, VERSION.minor) {
        return Err(ImportsError::Version { name: name.to_owned() });
    }
    if short == "types" || short.ends_with("-types") || short == "plugin" {
        return Ok(None);
    }
    Ok(Some(short))
}
