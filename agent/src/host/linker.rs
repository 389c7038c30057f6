//! Puts together what one plugin is linked with: inert WASI, the local interfaces, and those that were granted. In the place of
//! one that was not and that the plugin can do without are refusals alone: see `absent`.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::{HasSelf, Linker};

use super::bindings::paramedic::plugin;
use super::{RunState, absent};
use crate::domain::Interface;

/// Linkers by the interfaces that they hold. Plugins with the same interfaces share one; building it costs more than
/// everything else when an artefact is loaded.
pub struct Linkers {
    engine: wasmtime::Engine,
    by_interfaces: Mutex<HashMap<Links, Arc<Linker<RunState>>>>,
}

/// The interfaces of a linker beside WASI and types.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Links {
    /// Those that are there.
    pub there: BTreeSet<Interface>,
    /// Those in whose place are refusals.
    pub absent: BTreeSet<Interface>,
}

impl Linkers {
    /// No linkers yet.
    pub fn new(engine: wasmtime::Engine) -> Self {
        Self { engine, by_interfaces: Mutex::default() }
    }

    /// The linker that holds exactly these.
    pub fn holding(&self, links: Links) -> wasmtime::Result<Arc<Linker<RunState>>> {
        let mut known = self.by_interfaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(linker) = known.get(&links) {
            return Ok(linker.clone());
        }
        let linker = Arc::new(link(&self.engine, &links)?);
        known.insert(links, linker.clone());
        Ok(linker)
    }
}

fn link(engine: &wasmtime::Engine, links: &Links) -> wasmtime::Result<Linker<RunState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    link_types(&mut linker)?;
    for interface in &links.there {
        link_interface(&mut linker, *interface)?;
    }
    for interface in &links.absent {
        absent::link(&mut linker, *interface)?;
    }
    Ok(linker)
}

// Interfaces that have no functions.
impl plugin::types::Host for RunState {}
impl plugin::postgres_types::Host for RunState {}
impl plugin::queue_types::Host for RunState {}
impl plugin::http_types::Host for RunState {}
impl plugin::kubernetes_types::Host for RunState {}

fn link_types(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    plugin::types::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    plugin::postgres_types::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    plugin::queue_types::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    plugin::http_types::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    plugin::kubernetes_types::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

fn link_interface(linker: &mut Linker<RunState>, interface: Interface) -> wasmtime::Result<()> {
    match interface {
        Interface::Log => plugin::log::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Interface::Config => plugin::config::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Interface::State => plugin::state::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Interface::Clock => plugin::clock::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Interface::Postgres => plugin::postgres::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Interface::Redis => plugin::redis::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Interface::Queue => plugin::queue::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Interface::Http => plugin::http::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Interface::Kubernetes => plugin::kubernetes::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Interface::PostgresActions => plugin::postgres_actions::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Interface::RedisActions => plugin::redis_actions::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Interface::QueueActions => plugin::queue_actions::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Interface::HttpActions => plugin::http_actions::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Interface::KubernetesActions => {
            plugin::kubernetes_actions::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
        }
    }
}
