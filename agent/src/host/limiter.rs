//! Memory and tables that one instance may have.

use wasmtime::ResourceLimiter;

use crate::domain::Limits;

/// Counts all linear memories and all tables of an instance together, and remembers what it refused, because a guest
/// that is refused memory traps a moment later without saying why.
#[derive(Debug)]
pub struct Limiter {
    memory_bytes: usize,
    max_memory_bytes: usize,
    table_elements: usize,
    max_table_elements: usize,
    refused: Option<Refused>,
}

/// What an instance wanted more of than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Linear memory.
    Memory,
    /// Table elements.
    Tables,
}

impl Limiter {
    /// Nothing used yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            memory_bytes: 0,
            max_memory_bytes: limits.memory_bytes,
            table_elements: 0,
            max_table_elements: limits.table_elements,
            refused: None,
        }
    }

    /// Linear memory in use. It never shrinks, so this is also the most that there was.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// What was refused last, if anything was.
    pub fn refused(&self) -> Option<Refused> {
        self.refused
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.max_memory_bytes {
            self.refused = Some(Refused::Memory);
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > self.max_table_elements {
            self.refused = Some(Refused::Tables);
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }
}
