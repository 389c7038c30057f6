//! The one way in: from bytes to a plugin that can run, step by step.
//!
//! ```text
//! size ─► digest ─► signature ─► imports beside grants ─► compile, or the artefact ─► describe ─► name, version, kind
//!      ─► capabilities beside grants ─► schema and defaults ─► a plugin that can run
//! ```
//!
//! Whether the bytes come from a file, the watched folder, an upload or the store makes no difference here. A component
//! that fails a step has changed nothing.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::signing::{MAX_SIGNATURE, Signed};
use super::{Component, Entry, Plugin, PluginError, Surroundings, params};
use crate::domain::{Actor, CapabilityRequest, Digest, Interface, Kind, Limits, Metadata, Operation, Origin, Profile};
use crate::engine::{Engine, LoadError, Program};
use crate::host::{Imports, PluginContext};

/// Longest version, in bytes. It stands in addresses and lists.
pub(super) const MAX_VERSION: usize = 64;

/// How long a schema may take to be compiled and to judge the operator's defaults. References that double with each level
/// take for ever, and the agent is not ready before each plugin was tried.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(5);

/// A component on its way in.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its bytes.
    pub component: Component,
    /// The file that minisign made of its signature.
    pub signature: Option<String>,
    /// The version that the sender says it is.
    pub version: Option<semver::Version>,
    /// The digest that the sender says it has.
    pub digest: Option<Digest>,
    /// Which way it comes.
    pub origin: Origin,
    /// Who brings it.
    pub actor: Option<Actor>,
}

/// What became known of a component on its way, however far it came.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) digest: Option<Digest>,
    pub(super) version: Option<semver::Version>,
    pub(super) signer: Option<String>,
    pub(super) profile: Profile,
}

/// A component whose bytes are those that were meant, and whose signature counts.
pub(super) struct Identified {
    pub(super) digest: Digest,
    signed: Option<Signed>,
}

/// The first steps, which look at the bytes as bytes.
pub(super) async fn identify(
    engine: &Engine,
    entry: &Entry,
    max_bytes: u64,
    delivery: &Delivery,
    seen: &mut Seen,
) -> Result<Identified, PluginError> {
    seen.version.clone_from(&delivery.version);
    if delivery.component.len() as u64 > max_bytes {
        return Err(PluginError::TooLarge { limit: max_bytes });
    }
    let (component, signature) = (delivery.component.clone(), delivery.signature.clone());
    let (trust, name) = (entry.trust.clone(), entry.name.clone());
    let judge = move || (component.digest(), trust.judge(&name, &component, signature.as_deref()));
    let (digest, signed) = engine.aside(judge).await.map_err(PluginError::Internal)?;
    seen.digest = Some(digest);
    if let Some(declared) = delivery.digest.filter(|declared| *declared != digest) {
        return Err(PluginError::OtherDigest { declared, found: digest });
    }
    let signed = signed?;
    if let Some(signed) = &signed {
        seen.signer = Some(signed.signer.clone());
        // The sender is asked first, the signer is believed more.
        seen.version = Some(signed.version.clone());
    }
    Ok(Identified { digest, signed })
}

/// The other steps, which look at what the bytes are.
pub(super) async fn admit(
    engine: &Engine,
    surroundings: &Surroundings,
    entry: &Entry,
    delivery: &Delivery,
    identified: &Identified,
    seen: &mut Seen,
) -> Result<Plugin, PluginError> {
    let examined = engine.examine(delivery.component.bytes(), identified.digest).await?;
    seen.profile.imports = examined.imports().functions().map(|(i, names)| (i, names.clone())).collect();
    let program = engine.prepare(examined, &entry.grants, &entry.name).await?;
    let context = Arc::new(PluginContext {
        name: entry.name.clone(),
        settings: entry.settings.clone(),
        memory: surroundings.memory.clone(),
        targets: surroundings.targets.clone(),
        clock: surroundings.clock.clone(),
        io: surroundings.io.clone(),
    });
    let metadata = engine.describe(&program, context.clone(), &entry.limits).await?;
    seen.profile.metadata = Some(metadata.clone());
    compare_identity(entry, delivery, identified.signed.as_ref(), &metadata)?;
    refuse_acting_check(metadata.kind, program.imports())?;
    seen.version = Some(metadata.version.clone());
    let schema: Value =
        serde_json::from_str(&metadata.params_schema).map_err(|error| PluginError::Schema(error.to_string()))?;
    compare_grants(entry, &metadata, &schema)?;
    compare_absent(entry, &metadata, &program)?;
    let (params, schema) = params(schema, entry.defaults.clone()).await?;
    Ok(plugin(surroundings, entry, delivery, Parts { program, context, metadata, params, schema }, seen))
}

/// What the steps brought about.
struct Parts {
    program: Program,
    context: Arc<PluginContext>,
    metadata: Metadata,
    params: params::Params,
    schema: Value,
}

fn plugin(surroundings: &Surroundings, entry: &Entry, delivery: &Delivery, parts: Parts, seen: &Seen) -> Plugin {
    let Parts { program, context, metadata, params, schema } = parts;
    let deadline = entry.limits.deadline.min(metadata.time_limit);
    Plugin {
        digest: *program.digest(),
        size: delivery.component.len(),
        loaded: surroundings.clock.now(),
        origin: delivery.origin,
        actor: delivery.actor.clone(),
        signer: seen.signer.clone(),
        schema,
        program,
        grants: entry.grants.clone(),
        limits: Limits { deadline, ..entry.limits },
        context,
        params,
        metadata,
    }
}

/// The compiled schema, and the schema. Somebody else wrote it, so this may take long or panic, and then it has to be that
/// plugin's misfortune alone.
async fn params(schema: Value, defaults: Map<String, Value>) -> Result<(params::Params, Value), PluginError> {
    let compile = move || params::Params::new(&schema, defaults).map(|params| (params, schema));
    let compiled = tokio::time::timeout(SCHEMA_PATIENCE, tokio::task::spawn_blocking(compile)).await;
    let late = |_| PluginError::Schema(format!("checking takes longer than {} s", SCHEMA_PATIENCE.as_secs()));
    compiled.map_err(late)?.map_err(PluginError::Internal)?
}

/// The component of a file, with the signature that lies beside it as `FILE.minisig`. It is digested here, where nobody waits
/// for the thread.
pub(super) fn from_file(path: &Path, max_bytes: u64) -> Result<Delivery, PluginError> {
    let component = read_component(path, max_bytes)?.ok_or(PluginError::TooLarge { limit: max_bytes })?;
    let signature = read_signature(&beside(path, ".minisig"))?;
    component.digest();
    Ok(Delivery { component, signature, version: None, digest: None, origin: Origin::File, actor: None })
}

/// The path with something at its end.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The component at `path`; none when it has more bytes than that.
fn read_component(path: &Path, max_bytes: u64) -> Result<Option<Component>, PluginError> {
    let refuse = |source| PluginError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(refuse)?;
    let size = file.metadata().map_err(refuse)?.len();
    if size > max_bytes {
        return Ok(None);
    }
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, usize::try_from(size).unwrap_or_default()).collect();
    // Read to where it stays. What somebody is writing may be shorter or longer by now.
    let place = Arc::get_mut(&mut bytes).unwrap_or_default();
    if (&file).read_exact(place).is_ok() && matches!((&file).read(&mut [0]), Ok(0)) {
        return Ok(Some(bytes.into()));
    }
    read(path, max_bytes).map(|bytes| bytes.map(Component::from))
}

/// The file at `path`; none when it has more bytes than that.
fn read(path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>, PluginError> {
    let refuse = |source| PluginError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(refuse)?;
    at_most(file, max_bytes).map_err(refuse)
}

/// All that `source` has; none when that is more than so many bytes.
pub(super) fn at_most(source: impl Read, max_bytes: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells that there was more, whatever the size was a moment ago.
    source.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max_bytes).then_some(bytes))
}

/// The signature at `path`; none when there is no such file. What is too long or no text is judged later, in its step.
fn read_signature(path: &Path) -> Result<Option<String>, PluginError> {
    match read(path, MAX_SIGNATURE as u64) {
        Ok(Some(bytes)) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Ok(None) => Err(super::SignatureError::TooLong.into()),
        Err(PluginError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Compare who a plugin says it is with who it has to be.
fn compare_identity(
    entry: &Entry,
    delivery: &Delivery,
    signed: Option<&Signed>,
    metadata: &Metadata,
) -> Result<(), PluginError> {
    let described = || metadata.version.clone();
    let length = metadata.version.to_string().len();
    if metadata.name != entry.name {
        let (configured, described) = (entry.name.clone(), metadata.name.clone());
        return Err(PluginError::OtherName { configured, described });
    }
    if length > MAX_VERSION {
        return Err(PluginError::LongVersion { length });
    }
    if let Some(declared) = delivery.version.clone().filter(|declared| *declared != metadata.version) {
        return Err(PluginError::OtherVersion { declared, described: described() });
    }
    if let Some(signed) = signed.filter(|signed| signed.version != metadata.version) {
        return Err(PluginError::SignedAs { signed: signed.version.clone(), described: described() });
    }
    Ok(())
}

/// A check can be given no way to act, whatever its grants say.
fn refuse_acting_check(kind: Kind, imports: &Imports) -> Result<(), PluginError> {
    match imports.interfaces().find(|interface| interface.acts()) {
        Some(interface) if kind == Kind::Check => Err(PluginError::CheckActs { interface }),
        Some(_) | None => Ok(()),
    }
}

/// Compare what a plugin asks for with what the operator granted it.
fn compare_grants(entry: &Entry, metadata: &Metadata, schema: &Value) -> Result<(), PluginError> {
    let mut lines = Vec::new();
    for request in metadata.capabilities.iter().filter(|request| !request.optional) {
        for operation in requested(&request.operation)? {
            if !entry.grants.covers_operation(operation) {
                lines.push(entry.grants.missing_line(operation, &usual_target(&request.target, entry, schema)));
            }
        }
    }
    if lines.is_empty() { Ok(()) } else { Err(PluginError::NotGranted { lines }) }
}

/// Only where a plugin itself says that it can do without an interface is it let in without.
fn compare_absent(entry: &Entry, metadata: &Metadata, program: &Program) -> Result<(), PluginError> {
    for interface in program.absent().iter().copied() {
        let of_it = |request: &CapabilityRequest| {
            request.operation.split_once('/').is_some_and(|(name, _)| name == interface.as_str())
        };
        // That none of them is needed was compared above.
        if !metadata.capabilities.iter().any(of_it) {
            let refusal = program.imports().refusal(&entry.name, interface);
            return Err(LoadError::Imports(refusal).into());
        }
    }
    Ok(())
}

/// The target that a request means when nobody says otherwise: `{name}` stands for a parameter, which has a default in the
/// configuration or in the schema.
fn usual_target(requested: &str, entry: &Entry, schema: &Value) -> String {
    let Some(parameter) = requested.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return if requested == "*" { "<target>".to_owned() } else { requested.to_owned() };
    };
    let in_schema = || schema.pointer(&format!("/properties/{parameter}/default"));
    let default = entry.defaults.get(parameter).or_else(in_schema).and_then(Value::as_str);
    default.unwrap_or("<target>").to_owned()
}

/// The operations that a request names: one, or with `interface/*` all of it.
fn requested(request: &str) -> Result<Vec<Operation>, PluginError> {
    let unknown = || PluginError::UnknownOperation { operation: request.to_owned() };
    let (interface, function) = request.split_once('/').ok_or_else(unknown)?;
    let interface = Interface::from_name(interface).ok_or_else(unknown)?;
    if interface.system().is_none() {
        return Ok(Vec::new());
    }
    let operations: Vec<_> = Operation::ALL
        .iter()
        .copied()
        .filter(|operation| operation.interface() == interface && (function == "*" || operation.verb() == function))
        .collect();
    if operations.is_empty() { Err(unknown()) } else { Ok(operations) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_one_operation_or_all_of_an_interface() {
        assert_eq!(requested("postgres/query").unwrap(), [Operation::PostgresQuery]);
        assert_eq!(requested("queue/*").unwrap(), [Operation::QueueInspect, Operation::QueueListFailures]);
        assert!(requested("log/*").unwrap().is_empty());
        for unknown in ["postgres", "postgres/", "postgres/drop", "postgres-actions/promote", "*/*", ""] {
            assert!(matches!(requested(unknown), Err(PluginError::UnknownOperation { .. })), "{unknown}");
        }
    }

    #[test]
    fn a_file_is_read_up_to_the_limit_and_with_the_signature_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.wasm");
        std::fs::write(&path, b"0123456789").unwrap();
        let delivery = from_file(&path, 10).unwrap();
        assert_eq!((&*delivery.component, delivery.signature), (b"0123456789".as_slice(), None));
        assert!(matches!(from_file(&path, 9), Err(PluginError::TooLarge { limit: 9 })));
        std::fs::write(folder.path().join("p.wasm.minisig"), "signed").unwrap();
        assert_eq!(from_file(&path, 10).unwrap().signature.as_deref(), Some("signed"));
        std::fs::write(folder.path().join("p.wasm.minisig"), "x".repeat(MAX_SIGNATURE + 1)).unwrap();
        let error = from_file(&path, 10).unwrap_err();
        assert_eq!(error.step(), super::super::Step::Signature, "{error}");
        assert!(matches!(from_file(&folder.path().join("none"), 9), Err(PluginError::Read { .. })));
    }

    #[test]
    fn a_file_that_does_not_tell_its_size_is_read_as_any_other() {
        let read = |max_bytes| read_component(Path::new("/proc/version"), max_bytes).unwrap();
        let all = std::fs::read("/proc/version").unwrap();
        assert_eq!(read(4096).as_deref(), Some(all.as_slice()));
        assert!(read(9).is_none());
    }
}
