//! `http` and `http-actions`: requests that ask for no change, and requests that may.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::RunState;
use super::bindings::paramedic::plugin::types::{Error, Label};
use super::bindings::paramedic::plugin::{http as wit, http_actions as actions};
use super::support::duration;
use super::targets::client;
use crate::clients::http::{Header, Request, Response, ResponseSlot};
use crate::domain::CallError;
use crate::journal::Arguments;
use crate::policy::op;

impl wit::Host for RunState {
    async fn get(&mut self, request: wit::Request) -> wasmtime::Result<Result<wit::Response, Error>> {
        let (target, arguments) = (request.target.clone(), arguments(self.arguments(), &request));
        self.read::<op::HttpGet, _, _, _>(&target, arguments, response, async |targets, permit, limits| {
            client(&targets.http, &permit)?.get(&permit, &limits, decode(request)?).await
        })
        .await
    }

    async fn head(&mut self, request: wit::Request) -> wasmtime::Result<Result<wit::Response, Error>> {
        let (target, arguments) = (request.target.clone(), arguments(self.arguments(), &request));
        self.read::<op::HttpHead, _, _, _>(&target, arguments, response, async |targets, permit, limits| {
            client(&targets.http, &permit)?.head(&permit, &limits, decode(request)?).await
        })
        .await
    }
}

impl actions::Host for RunState {
    async fn send(
        &mut self,
        method: String,
        request: wit::Request,
        body: Vec<u8>,
    ) -> wasmtime::Result<Result<actions::Exchange, Error>> {
        let target = request.target.clone();
        let arguments =
            arguments(self.arguments(), &request)
                .text("method", &method)
                .hidden("body", body.len(), || Value::String(STANDARD.encode(&body)));
        let answer = ResponseSlot::default();
        let filled = answer.clone();
        let receipt = self
            .change::<op::HttpSend, _>(&target, arguments, |targets, permit| {
                client(&targets.http, &permit)?.send(permit, &method, decode(request)?, body, filled)
            })
            .await?;
        let answer = self.journal.beside(answer.take());
        Ok(receipt.map(|receipt| actions::Exchange { receipt, response: answer.map(response) }))
    }
}

/// The path without its query, which may hold what a person typed, and the names of the header fields.
fn arguments(arguments: Arguments, request: &wit::Request) -> Arguments {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let names = request.headers.iter().map(|header| header.name.as_str()).collect::<Vec<_>>().join(", ");
    let fields = || request.headers.iter().map(|header| json!([header.name, header.value])).collect();
    let arguments = arguments.text("path", path).outlined("headers", &names, fields).plain("timeout", request.timeout);
    if query.is_empty() { arguments } else { arguments.hidden("query", query.split('&').count(), || json!(query)) }
}

/// Inside the call, so that a request that makes no sense is counted and recorded as well.
fn decode(request: wit::Request) -> Result<Request, CallError> {
    let timeout = request.timeout.map(|seconds| duration("timeout", seconds)).transpose()?;
    let headers = request.headers.into_iter().map(|label| Header { name: label.name, value: label.value }).collect();
    Ok(Request { path: request.path, headers, timeout })
}

fn response(response: Response) -> wit::Response {
    wit::Response {
        status: response.status,
        headers: response.headers.into_iter().map(|h| Label { name: h.name, value: h.value }).collect(),
        body: response.body,
        latency: response.latency,
        certificate_remaining: response.certificate_remaining,
    }
}
