//! The commands that `read` sends, as data: what their arguments are and how large their answers get.
//!
//! The list is closed: a command that is not on it is refused whatever the grant says. What is on it neither changes
//! data nor blocks, needs no more than one key's worth of work, and gives answers whose size can be bounded before they
//! are asked for. Not on it, though they call themselves reads: `SORT` and `SORT_RO` (patterns reach other keys), `KEYS`,
//! `DUMP`, `LCS`, `XREAD` (blocks), `PFCOUNT` (writes), `GETEX` (writes), `TOUCH`, set algebra (unbounded work), `ROLE` and
//! `CLUSTER` (addresses), everything that evaluates, subscribes, configures or changes the connection.

/// One entry of the list.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Spec {
    /// The command, with its subcommand if it has one.
    pub(in super::super) name: &'static str,
    /// What stands at fixed places behind it.
    pub(super) arguments: &'static [Arg],
    /// What may follow.
    pub(super) options: &'static [Opt],
    /// How large the answer can be.
    pub(super) size: Size,
}

/// An argument at a fixed place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arg {
    /// A key.
    Key,
    /// A key, and any number of further ones.
    Keys,
    /// A field, a member, a limit of a range: any text.
    Text,
    /// A text, and any number of further ones.
    Texts,
    /// A whole number.
    Number,
    /// Where a walk over a key stands.
    Cursor,
}

/// An argument that may be left out. All but `Sample` stand behind the others, each once, in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opt {
    /// A word by itself.
    Flag(&'static str),
    /// `COUNT` and a number up to [`ELEMENTS`].
    Count,
    /// `MATCH` and a pattern.
    Match,
    /// `LIMIT`, how many to skip and how many to take.
    Limit,
    /// `SAMPLES` and a small number.
    Samples,
    /// A number of elements, without a word before it.
    Sample,
    /// Two whole numbers: first and last place.
    Places,
}

/// How large the answer can be, and what to ask beforehand to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Small by its nature.
    Small,
    /// As large as the keys.
    Whole,
    /// As large as the key, which this command counts.
    WholeOf(&'static str),
    /// Small, but the server reads all of the key for it.
    Work,
    /// As large as these fields.
    Fields,
    /// So many of the elements that this command counts.
    Part(&'static str, Part),
}

/// How many elements an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// One.
    One,
    /// From one index to another.
    Indexes,
    /// From one index to another, or with a flag from one value to another.
    IndexesOrValues,
    /// As many as `LIMIT` says; the host says it if the plugin does not.
    Limit,
    /// As many as `COUNT` says; the host says it if the plugin does not.
    Count,
    /// As many as `COUNT` says, which is 10 unless said.
    Step,
    /// As many as the number behind the key says.
    Sample,
}

use Arg::{Cursor, Key, Keys, Number, Text, Texts};

const fn spec(name: &'static str, arguments: &'static [Arg], size: Size) -> Spec {
    Spec { name, arguments, options: &[], size }
}

const fn with(options: &'static [Opt], spec: Spec) -> Spec {
    Spec { options, ..spec }
}

const WALK: &[Opt] = &[Opt::Match, Opt::Count];
const SCORES: Opt = Opt::Flag("WITHSCORES");

/// The list.
pub(in super::super) const LIST: &[Spec] = &[
    // The server as a whole.
    spec("DBSIZE", &[], Size::Small),
    spec("LASTSAVE", &[], Size::Small),
    spec("TIME", &[], Size::Small),
    spec("MEMORY STATS", &[], Size::Small),
    // Keys.
    spec("EXISTS", &[Keys], Size::Small),
    spec("TYPE", &[Key], Size::Small),
    spec("TTL", &[Key], Size::Small),
    spec("PTTL", &[Key], Size::Small),
    spec("EXPIRETIME", &[Key], Size::Small),
    spec("PEXPIRETIME", &[Key], Size::Small),
    spec("OBJECT ENCODING", &[Key], Size::Small),
    spec("OBJECT FREQ", &[Key], Size::Small),
    spec("OBJECT IDLETIME", &[Key], Size::Small),
    spec("OBJECT REFCOUNT", &[Key], Size::Small),
    with(&[Opt::Samples], spec("MEMORY USAGE", &[Key], Size::Small)),
    // Strings.
    spec("GET", &[Key], Size::Whole),
    spec("MGET", &[Keys], Size::Whole),
    spec("GETRANGE", &[Key, Number, Number], Size::Small),
    spec("STRLEN", &[Key], Size::Small),
    spec("GETBIT", &[Key, Number], Size::Small),
    with(&[Opt::Places], spec("BITCOUNT", &[Key], Size::Work)),
    // Hashes.
    spec("HGET", &[Key, Text], Size::Fields),
    spec("HMGET", &[Key, Texts], Size::Fields),
    spec("HGETALL", &[Key], Size::WholeOf("HLEN")),
    spec("HKEYS", &[Key], Size::WholeOf("HLEN")),
    spec("HVALS", &[Key], Size::WholeOf("HLEN")),
    spec("HLEN", &[Key], Size::Small),
    spec("HEXISTS", &[Key, Text], Size::Small),
    spec("HSTRLEN", &[Key, Text], Size::Small),
    with(WALK, spec("HSCAN", &[Key, Cursor], Size::Part("HLEN", Part::Step))),
    with(&[Opt::Sample, Opt::Flag("WITHVALUES")], spec("HRANDFIELD", &[Key], Size::Part("HLEN", Part::Sample))),
    // Lists.
    spec("LLEN", &[Key], Size::Small),
    spec("LINDEX", &[Key, Number], Size::Part("LLEN", Part::One)),
    spec("LRANGE", &[Key, Number, Number], Size::Part("LLEN", Part::Indexes)),
    // Sets.
    spec("SCARD", &[Key], Size::Small),
    spec("SISMEMBER", &[Key, Text], Size::Small),
    spec("SMISMEMBER", &[Key, Texts], Size::Small),
    spec("SMEMBERS", &[Key], Size::WholeOf("SCARD")),
    with(WALK, spec("SSCAN", &[Key, Cursor], Size::Part("SCARD", Part::Step))),
    with(&[Opt::Sample], spec("SRANDMEMBER", &[Key], Size::Part("SCARD", Part::Sample))),
    // Sorted sets.
    spec("ZCARD", &[Key], Size::Small),
    spec("ZCOUNT", &[Key, Text, Text], Size::Small),
    spec("ZLEXCOUNT", &[Key, Text, Text], Size::Small),
    spec("ZSCORE", &[Key, Text], Size::Small),
    spec("ZMSCORE", &[Key, Texts], Size::Small),
    spec("ZRANK", &[Key, Text], Size::Small),
    spec("ZREVRANK", &[Key, Text], Size::Small),
    with(
        &[Opt::Flag("BYSCORE"), Opt::Flag("BYLEX"), Opt::Flag("REV"), Opt::Limit, SCORES],
        spec("ZRANGE", &[Key, Text, Text], Size::Part("ZCARD", Part::IndexesOrValues)),
    ),
    with(&[SCORES], spec("ZREVRANGE", &[Key, Number, Number], Size::Part("ZCARD", Part::Indexes))),
    with(&[SCORES, Opt::Limit], spec("ZRANGEBYSCORE", &[Key, Text, Text], Size::Part("ZCARD", Part::Limit))),
    with(&[SCORES, Opt::Limit], spec("ZREVRANGEBYSCORE", &[Key, Text, Text], Size::Part("ZCARD", Part::Limit))),
    with(&[Opt::Limit], spec("ZRANGEBYLEX", &[Key, Text, Text], Size::Part("ZCARD", Part::Limit))),
    with(&[Opt::Limit], spec("ZREVRANGEBYLEX", &[Key, Text, Text], Size::Part("ZCARD", Part::Limit))),
    with(WALK, spec("ZSCAN", &[Key, Cursor], Size::Part("ZCARD", Part::Step))),
    with(&[Opt::Sample, SCORES], spec("ZRANDMEMBER", &[Key], Size::Part("ZCARD", Part::Sample))),
    // Streams.
    spec("XLEN", &[Key], Size::Small),
    with(&[Opt::Count], spec("XRANGE", &[Key, Text, Text], Size::Part("XLEN", Part::Count))),
    with(&[Opt::Count], spec("XREVRANGE", &[Key, Text, Text], Size::Part("XLEN", Part::Count))),
    spec("XINFO STREAM", &[Key], Size::Small),
    spec("XINFO GROUPS", &[Key], Size::Small),
    spec("XINFO CONSUMERS", &[Key, Text], Size::Small),
    spec("XPENDING", &[Key, Text], Size::Small),
];
