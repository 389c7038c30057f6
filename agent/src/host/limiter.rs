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
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if is_beyond(desired, maximum) {
            return Ok(false);
        }
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.max_memory_bytes {
            self.refused = Some(Refused::Memory);
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if is_beyond(desired, maximum) {
            return Ok(false);
        }
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > self.max_table_elements {
            self.refused = Some(Refused::Tables);
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }
}

/// True for growth beyond what the memory or table says of itself. That fails in any case: it is neither counted nor the
/// fault of our limit.
fn is_beyond(desired: usize, maximum: Option<usize>) -> bool {
    maximum.is_some_and(|maximum| desired > maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_beyond_what_a_memory_declares_is_not_counted() {
        let mut limiter = Limiter::new(&Limits { memory_bytes: 100, table_elements: 100, ..Limits::DEFAULT });
        assert!(limiter.memory_growing(0, 40, Some(50)).unwrap());
        for _ in 0..10 {
            assert!(!limiter.memory_growing(40, 60, Some(50)).unwrap());
            assert!(!limiter.table_growing(0, 60, Some(50)).unwrap());
        }
        assert_eq!((limiter.memory_bytes(), limiter.refused()), (40, None));
        assert!(limiter.table_growing(0, 100, None).unwrap());
    }

    #[test]
    fn all_memories_and_all_tables_count_together() {
        let mut limiter = Limiter::new(&Limits { memory_bytes: 100, table_elements: 100, ..Limits::DEFAULT });
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap());
        assert_eq!(limiter.refused(), Some(Refused::Memory));
        assert!(limiter.table_growing(0, 60, None).unwrap());
        assert!(!limiter.table_growing(60, 120, None).unwrap());
        assert_eq!(limiter.refused(), Some(Refused::Tables));
        assert_eq!(limiter.memory_bytes(), 60);
    }
}
