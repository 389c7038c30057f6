//! The kinds of problems: one status, one name for programs and one for people each.

use http::StatusCode;

macro_rules! kinds {
    ($( $variant:ident = $status:ident $slug:literal: $title:literal; )+) => {
        /// Kinds of problems: each has a `type`, a title and a status of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind { $($variant),+ }

        impl Kind {
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$variant),+];

            pub(super) const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            pub(super) const fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug),+ }
            }

            pub(super) const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }
        }
    };
}

kinds! {
    MalformedJson = BAD_REQUEST "malformed-json": "The body is not JSON";
    BodyBroken = BAD_REQUEST "incomplete-body": "The body ended early";
    InvalidHeader = BAD_REQUEST "invalid-header": "A header is not understood";
    InvalidVersion = BAD_REQUEST "invalid-version": "This names no version";
    InvalidQuery = BAD_REQUEST "invalid-query": "The query is not understood";
    Unauthenticated = UNAUTHORIZED "unauthenticated": "Nobody known asks";
    ExpiredToken = UNAUTHORIZED "expired-token": "The token has expired";
    Forbidden = FORBIDDEN "forbidden": "The role does not suffice";
    NotPermitted = FORBIDDEN "not-permitted": "The cluster does not permit it";
    UnknownRoute = NOT_FOUND "unknown-route": "There is nothing here";
    UnknownPlugin = NOT_FOUND "unknown-plugin": "There is no such plugin";
    PluginNotConfigured = NOT_FOUND "plugin-not-configured": "The plugin is not configured";
    UnknownVersion = NOT_FOUND "unknown-version": "There is no such version";
    UnknownPlan = NOT_FOUND "unknown-plan": "There is no such plan";
    UnknownLease = NOT_FOUND "unknown-lease": "Nothing is held there";
    UnknownRun = NOT_FOUND "unknown-run": "There is no such run";
    NotRecorded = NOT_FOUND "not-recorded": "The run was not recorded";
    NoFiles = NOT_FOUND "no-files": "The run has no files";
    UnknownSweep = NOT_FOUND "unknown-sweep": "There is no such sweep";
    UnknownSilence = NOT_FOUND "unknown-silence": "There is no such silence";
    UnknownFreeze = NOT_FOUND "unknown-freeze": "There is no such freeze";
    MethodNotAllowed = METHOD_NOT_ALLOWED "method-not-allowed": "The method does not fit";
    NotAcceptable = NOT_ACCEPTABLE "not-acceptable": "There is no such representation";
    BodyTooSlow = REQUEST_TIMEOUT "slow-body": "The body took too long";
    PluginNotActive = CONFLICT "plugin-not-active": "The plugin cannot run";
    InProgress = CONFLICT "in-progress": "The first of these requests is under way";
    WrongMode = CONFLICT "wrong-mode": "The plugin does not run in this mode";
    PlanEmpty = CONFLICT "plan-empty": "The plan lists no change";
    PlanDiffers = CONFLICT "plan-differs": "The plan is another one";
    PlanExpired = CONFLICT "plan-expired": "The plan has expired";
    PlanTaken = CONFLICT "plan-taken": "The plan is or was applied";
    PlanOutdated = CONFLICT "plan-outdated": "The plan rests on another version or grant";
    TargetBusy = CONFLICT "target-busy": "The target is being changed";
    NotShared = SERVICE_UNAVAILABLE "not-shared": "The other replicas cannot be told";
    Frozen = CONFLICT "frozen": "Changes are frozen";
    NotApproved = CONFLICT "not-approved": "Too few people approved the plan";
    CannotApprove = CONFLICT "cannot-approve": "Somebody else has to approve the plan";
    Cooldown = CONFLICT "cooldown": "The plugin changed the target not long ago";
    BreakerOpen = CONFLICT "breaker-open": "The last applies did not help";
    CannotUndo = CONFLICT "cannot-undo": "Nothing can be given back";
    RunEnded = CONFLICT "run-ended": "The run has ended";
    OtherSource = CONFLICT "other-source": "The plugin comes another way";
    VersionExists = CONFLICT "version-exists": "The version has other bytes";
    VersionInUse = CONFLICT "version-in-use": "The version is active";
    BodyTooLarge = PAYLOAD_TOO_LARGE "body-too-large": "The body is too large";
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE "unsupported-media-type": "The body has the wrong type";
    InvalidBody = UNPROCESSABLE_ENTITY "invalid-body": "The body has the wrong shape";
    KeyReused = UNPROCESSABLE_ENTITY "idempotency-key-reused": "The key stands for something else";
    InvalidParams = UNPROCESSABLE_ENTITY "invalid-params": "The parameters do not fit";
    ConfigRefused = UNPROCESSABLE_ENTITY "config-refused": "The configuration was not put in force";
    VersionRefused = UNPROCESSABLE_ENTITY "version-refused": "The version did not pass a step";
    Busy = TOO_MANY_REQUESTS "busy": "Too many runs are under way";
    TooManyStreams = TOO_MANY_REQUESTS "too-many-streams": "Too many watch runs";
    RateLimited = TOO_MANY_REQUESTS "rate-limited": "The token asks too often";
    Internal = INTERNAL_SERVER_ERROR "internal": "The agent failed";
    PluginQuarantined = SERVICE_UNAVAILABLE "plugin-quarantined": "The plugin is held back";
    PluginLoading = SERVICE_UNAVAILABLE "plugin-loading": "The plugin is being loaded";
    ShuttingDown = SERVICE_UNAVAILABLE "shutting-down": "The agent is shutting down";
    StoreUnavailable = SERVICE_UNAVAILABLE "store-unavailable": "The store does not take or give records";
    Unreviewed = SERVICE_UNAVAILABLE "unreviewed": "The cluster cannot be asked who this is";
    EndUnknown = SERVICE_UNAVAILABLE "end-unknown": "The end of the run is not known";
}

/// What a kind of problem needs beside it.
pub(super) struct Answer {
    pub(super) kind: Kind,
    /// After how many seconds it is worth asking again.
    pub(super) retry_after: Option<u32>,
    /// Whether the text stays with us.
    pub(super) secret: Secrecy,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// The caller's mistake, or nobody's: the text is for them.
    Told,
    /// A failure of ours: the text is for the log.
    Kept,
}

pub(super) const fn told(kind: Kind) -> Answer {
    Answer { kind, retry_after: None, secret: Secrecy::Told }
}

pub(super) const fn later(kind: Kind, seconds: u32) -> Answer {
    Answer { kind, retry_after: Some(seconds), secret: Secrecy::Told }
}

pub(super) const fn kept(kind: Kind) -> Answer {
    Answer { kind, retry_after: None, secret: Secrecy::Kept }
}
