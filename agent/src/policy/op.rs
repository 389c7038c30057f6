//! Operations as types, so that a permit for one cannot be used for another.

use std::fmt;

use crate::domain::{Grant, KeyPattern, Operation, PathPattern};

/// An operation as a type. Implemented here for each [`Operation`] and nowhere else.
pub trait Op: sealed::Sealed + Send + Sync + 'static {
    /// The operation as a value.
    const OPERATION: Operation;

    /// What a grant of it is bounded by; `()` for operations that only a target bounds.
    type Bounds: Clone + fmt::Debug + Send + Sync;

    /// The bounds that several grant lines give together.
    fn bounds<'a>(lines: impl Iterator<Item = &'a Grant>) -> Self::Bounds;
}

mod sealed {
    pub trait Sealed {}
}

/// Key patterns of a permit; none means no key.
#[derive(Clone, Debug)]
pub struct Keys(pub(super) Vec<KeyPattern>);

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0)
    }
}

/// Path patterns of a permit; none means no path.
#[derive(Clone, Debug)]
pub struct Paths(pub(super) Vec<PathPattern>);

impl fmt::Display for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0)
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        write!(f, "{separator}`{item}`")?;
    }
    Ok(())
}

macro_rules! ops {
    ($( $name:ident: $bounds:ty = |$lines:ident| $collect:expr; )+) => {$(
        #[doc = concat!("[`Operation::", stringify!($name), "`] as a type.")]
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl sealed::Sealed for $name {}

        impl Op for $name {
            const OPERATION: Operation = Operation::$name;
            type Bounds = $bounds;

            fn bounds<'a>($lines: impl Iterator<Item = &'a Grant>) -> $bounds {
                $collect
            }
        }
    )+};
}

ops! {
    PostgresInspect: () = |_lines| ();
    PostgresSessions: () = |_lines| ();
    PostgresStatements: () = |_lines| ();
    PostgresReplication: () = |_lines| ();
    PostgresQuery: () = |_lines| ();
    RedisPing: () = |_lines| ();
    RedisInfo: () = |_lines| ();
    RedisScan: Keys = |lines| keys(lines);
    RedisUsage: Keys = |lines| keys(lines);
    RedisSlowLog: () = |_lines| ();
    RedisRead: Keys = |lines| keys(lines);
    QueueInspect: () = |_lines| ();
    QueueListFailures: () = |_lines| ();
    HttpGet: Paths = |lines| paths(lines);
    HttpHead: Paths = |lines| paths(lines);
}

fn keys<'a>(lines: impl Iterator<Item = &'a Grant>) -> Keys {
    Keys(lines.flat_map(|line| line.keys.iter().cloned()).collect())
}

fn paths<'a>(lines: impl Iterator<Item = &'a Grant>) -> Paths {
    Paths(lines.flat_map(|line| line.paths.iter().cloned()).collect())
}
