//! `/v1/audit`: the chain of records; its head, all of its links, and whether everything is as it was recorded.

use std::io;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::accept::Format;
use super::body::Body;
use super::card::{self, Paint};
use super::problem::{ApiError, BadField, Problems};
use super::query::ExportQuery;
use super::{Shared, shape};
use crate::domain::Anchor;
use crate::store::{Link, Store, StoreError};

/// Links that are held in memory at a time.
const PAGE: u32 = 500;

const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// The head of the chain of records.
///
/// Kept where nobody can reach it who can reach the agent's store, it tells later whether the end of the chain was cut off, or
/// all of it was written anew. The agent writes it to its log, too.
#[utoipa::path(
    get, path = "/v1/audit/head", operation_id = "auditHead", tag = "audit",
    responses(
        (status = 200, description = "The last link.",
            content((shape::ChainHead = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn head(State(app): Shared, format: Format) -> Result<Response, ApiError> {
    // One without a chain is a store that somebody worked on; `verify` says so.
    let head = app.parts.store.chain_head().await?.map(shape::ChainHead::from).unwrap_or_default();
    Ok(format.answer(&head, |head| card::chain_head(head, Paint::Plain)))
}

/// Compare all records with what the chain says of them.
///
/// With `head`, a link that was the head once, as the log or `GET /v1/audit/head` told it, that link has to be there too. What is
/// recorded meanwhile is left to the next time.
#[utoipa::path(
    post, path = "/v1/audit/verify", operation_id = "auditVerify", tag = "audit",
    request_body(content = shape::AuditRequest, description = "What was noted elsewhere."),
    responses(
        (status = 200, description = "It was compared, whatever was found.",
            content((shape::Audit = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn verify(
    State(app): Shared,
    format: Format,
    Body(wanted): Body<shape::AuditRequest>,
) -> Result<Response, ApiError> {
    let anchor = wanted.head.as_deref().map(str::parse::<Anchor>).transpose().map_err(|error| {
        ApiError::BadFields(vec![BadField { pointer: "/head".to_owned(), message: error.to_string() }])
    })?;
    let verified = app.parts.store.verify_chain(anchor).await?;
    if let Some(broken) = &verified.broken {
        tracing::error!(chain.seq = broken.seq, why = broken.why, "the records are not as they were recorded");
    }
    Ok(format.answer(&shape::Audit::from(verified), |audit| card::audit(audit, Paint::Plain)))
}

/// All links of the chain, one a line, the oldest first.
///
/// A line is canonical JSON (RFC 8785) with `body`, `hash`, `kind`, `prev`, `run`, `seq` and `time` in milliseconds. Without its
/// `hash` it has that SHA-256, and its `prev` is the `hash` of the line before.
#[utoipa::path(
    get, path = "/v1/audit/export", operation_id = "auditExport", tag = "audit",
    params(ExportQuery),
    responses(
        (status = 200, description = "The links.", body = String, content_type = "application/x-ndjson"),
        Problems
    )
)]
pub(super) async fn export(State(app): Shared, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let after = ExportQuery::read(query.as_deref().unwrap_or_default())?.from()?.saturating_sub(1);
    let mut export = Export { store: app.parts.store.clone(), after, is_over: false };
    // While there can be another answer yet.
    let first = export.next().await?;
    let rest = stream::unfold(export, async |mut export| match export.next().await {
        Ok(None) => None,
        Ok(Some(lines)) => Some((Ok(lines), export)),
        Err(error) => {
            tracing::error!(%error, "an export of the chain broke off");
            export.is_over = true;
            Some((Err(io::Error::other(error)), export))
        }
    });
    let lines = stream::iter(first.map(Ok::<_, io::Error>));
    let body = axum::body::Body::from_stream(futures_util::StreamExt::chain(lines, rest));
    Ok(([(CONTENT_TYPE, LINES)], body).into_response())
}

/// An export under way.
struct Export {
    store: Arc<dyn Store>,
    after: u64,
    is_over: bool,
}

impl Export {
    /// The lines of the next page; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.is_over {
            return Ok(None);
        }
        let links = self.store.links(self.after, PAGE).await?;
        let Some(last) = links.last() else { return Ok(None) };
        self.after = last.seq;
        Ok(Some(links.iter().map(line).collect::<String>().into()))
    }
}

/// A link as it is exported. The names stand in the order of canonical JSON, and the body is canonical already.
fn line(link: &Link) -> String {
    let Link { seq, time, kind, run, hash, prev, body } = link;
    let kind = serde_json::Value::from(kind.as_str());
    let run = run.map_or_else(|| "null".to_owned(), |run| format!("\"{run}\""));
    let (hash, prev, time) = (hash.hex(), prev.hex(), time.as_millis());
    format!(
        "{{\"body\":{body},\"hash\":\"{hash}\",\"kind\":{kind},\"prev\":\"{prev}\",\"run\":{run},\"seq\":{seq},\"time\":{time}}}\n"
    )
}
