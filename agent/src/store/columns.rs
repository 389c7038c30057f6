//! Reading columns: what was stored is checked again, and what makes no sense is reported with its table and column.
//!
//! The file is the agent's own, but disks fail, and people open databases by hand. Whatever stands in a row, reading
//! it gives a value or a [`StoreError::Corrupt`], never a panic.

use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

use rusqlite::types::FromSql;
use rusqlite::{Row, Rows, ToSql};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::StoreError;
use crate::domain::{RunId, Timestamp};

/// One row of a known table.
pub(super) struct Columns<'a> {
    table: &'static str,
    row: &'a Row<'a>,
}

#[derive(Debug, thiserror::Error)]
#[error("it holds `{0}`, which is no known label")]
struct UnknownLabel(String);

#[derive(Debug, thiserror::Error)]
#[error("it holds {0}, which is below zero or too large")]
struct OutOfRange(i64);

#[derive(Debug, thiserror::Error)]
#[error("it is empty although the state of the run needs it")]
struct Missing;

/// All rows, read by `read`.
pub(super) fn collect<T>(
    mut rows: Rows<'_>,
    table: &'static str,
    read: impl Fn(&Columns<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(&Columns { table, row })?);
    }
    Ok(all)
}

impl Columns<'_> {
    /// The value as the database gives it.
    pub(super) fn get<T: FromSql>(&self, column: &str) -> Result<T, StoreError> {
        self.row.get(column).map_err(|error| self.corrupt(column, error))
    }

    /// A value that must be there in this row.
    pub(super) fn required<T: FromSql>(&self, column: &str) -> Result<T, StoreError> {
        self.get::<Option<T>>(column)?.ok_or_else(|| self.corrupt(column, Missing))
    }

    /// A number that is not negative.
    pub(super) fn unsigned<T: TryFrom<i64>>(&self, column: &str) -> Result<T, StoreError> {
        let number = self.get::<i64>(column)?;
        T::try_from(number).map_err(|_| self.corrupt(column, OutOfRange(number)))
    }

    pub(super) fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.unsigned(column).map(Timestamp::from_millis)
    }

    pub(super) fn optional_time(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        self.get::<Option<i64>>(column)?.map(|_| self.time(column)).transpose()
    }

    pub(super) fn duration(&self, column: &str) -> Result<Duration, StoreError> {
        self.unsigned(column).map(Duration::from_nanos)
    }

    /// A word of a closed list.
    pub(super) fn label<T>(&self, column: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
        let text = self.get::<String>(column)?;
        read(&text).ok_or_else(|| self.corrupt(column, UnknownLabel(text.chars().take(80).collect())))
    }

    /// Text with a form of its own.
    pub(super) fn parsed<T>(&self, column: &str) -> Result<T, StoreError>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        self.get::<String>(column)?.parse().map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn run_id(&self, column: &str) -> Result<RunId, StoreError> {
        let bytes = self.bytes::<16>(column)?;
        RunId::from_slice(&bytes).ok_or_else(|| self.corrupt(column, Missing))
    }

    pub(super) fn optional_run_id(&self, column: &str) -> Result<Option<RunId>, StoreError> {
        self.get::<Option<[u8; 16]>>(column)?.map(|_| self.run_id(column)).transpose()
    }

    /// Bytes of a fixed length.
    pub(super) fn bytes<const N: usize>(&self, column: &str) -> Result<[u8; N], StoreError> {
        self.get(column)
    }

    /// JSON of ours.
    pub(super) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        let text = self.required::<String>(column)?;
        serde_json::from_str(&text).map_err(|error| self.corrupt(column, error))
    }

    /// JSON of somebody else's, given on as it is.
    pub(super) fn json_text(&self, column: &str) -> Result<String, StoreError> {
        let text = self.get::<String>(column)?;
        serde_json::from_str::<IgnoredAny>(&text).map_err(|error| self.corrupt(column, error))?;
        Ok(text)
    }

    /// The value of a column reads well and makes no sense.
    pub(super) fn damaged(&self, column: &str, source: impl Error + Send + Sync + 'static) -> StoreError {
        self.corrupt(column, source)
    }

    fn corrupt(&self, column: &str, source: impl Error + Send + Sync + 'static) -> StoreError {
        StoreError::corrupt(format!("{}.{column}", self.table), source)
    }
}

/// Values with one before them.
pub(super) fn behind<'a>(first: &'a dyn ToSql, values: &[&'a dyn ToSql]) -> Vec<&'a dyn ToSql> {
    std::iter::once(first).chain(values.iter().copied()).collect()
}

/// A number as the database holds it. No size, count or time of ours reaches 2^63; one that did would stay there.
pub(super) fn integer(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// A time as the database holds it.
pub(super) fn millis(time: Timestamp) -> i64 {
    integer(time.as_millis())
}

/// A length of time as the database holds it: enough for 292 years.
pub(super) fn nanos(duration: Duration) -> i64 {
    integer(duration.as_nanos())
}
