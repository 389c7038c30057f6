//! `redis` and `redis-actions`: looking at a Redis server, and freeing its memory.

use serde_json::json;

use super::RunState;
use super::bindings::paramedic::plugin::types::{Error, Label, Receipt};
use super::bindings::paramedic::plugin::{redis as wit, redis_actions as actions};
use super::targets::client;
use crate::clients::redis::{Field, KeyPage, KeySelection, KeyUsage, Reply, SlowEntry};
use crate::journal::Arguments;
use crate::policy::op;

impl wit::Host for RunState {
    async fn ping(&mut self, target: String) -> wasmtime::Result<Result<f64, Error>> {
        let encode = |seconds: f64| seconds;
        self.read::<op::RedisPing, _, _, _>(&target, self.arguments(), encode, async |targets, permit, limits| {
            client(&targets.redis, &permit)?.ping(&permit, &limits).await
        })
        .await
    }

    async fn info(&mut self, target: String, section: String) -> wasmtime::Result<Result<Vec<Label>, Error>> {
        let arguments = self.arguments().text("section", &section);
        self.read::<op::RedisInfo, _, _, _>(&target, arguments, fields, async |targets, permit, limits| {
            client(&targets.redis, &permit)?.info(&permit, &limits, &section).await
        })
        .await
    }

    async fn scan(
        &mut self,
        target: String,
        pattern: String,
        after: Option<String>,
        count: u32,
    ) -> wasmtime::Result<Result<wit::KeyPage, Error>> {
        let arguments = self
            .arguments()
            .text("pattern", &pattern)
            .text("after", after.as_deref().unwrap_or_default())
            .plain("count", count);
        self.read::<op::RedisScan, _, _, _>(&target, arguments, key_page, async |targets, permit, limits| {
            client(&targets.redis, &permit)?.scan(&permit, &limits, &pattern, after.as_deref(), count).await
        })
        .await
    }

    async fn usage(
        &mut self,
        target: String,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<wit::KeyUsage>, Error>> {
        let arguments = self.arguments().hidden("keys", keys.len(), || json!(keys));
        self.read::<op::RedisUsage, _, _, _>(&target, arguments, usages, async |targets, permit, limits| {
            client(&targets.redis, &permit)?.usage(&permit, &limits, &keys).await
        })
        .await
    }

    async fn slow_log(&mut self, target: String, limit: u32) -> wasmtime::Result<Result<Vec<wit::SlowEntry>, Error>> {
        let arguments = self.arguments().plain("limit", limit);
        self.read::<op::RedisSlowLog, _, _, _>(&target, arguments, slow_entries, async |targets, permit, limits| {
            client(&targets.redis, &permit)?.slow_log(&permit, &limits, limit).await
        })
        .await
    }

    async fn read(&mut self, target: String, command: Vec<String>) -> wasmtime::Result<Result<wit::Reply, Error>> {
        // The command and its first key; what follows may be data.
        let shown = command.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ");
        let rest = command.get(2..).unwrap_or_default();
        let arguments = self.arguments().text("command", &shown).hidden("arguments", rest.len(), || json!(rest));
        RunState::read::<op::RedisRead, _, _, _>(self, &target, arguments, reply, async |targets, permit, limits| {
            client(&targets.redis, &permit)?.read(&permit, &limits, &command).await
        })
        .await
    }
}

impl actions::Host for RunState {
    async fn remove_keys(
        &mut self,
        target: String,
        selection: actions::Selection,
    ) -> wasmtime::Result<Result<Receipt, Error>> {
        self.change::<op::RedisRemoveKeys, _>(
            &target,
            selection_arguments(self.arguments(), &selection),
            |targets, permit| client(&targets.redis, &permit)?.remove_keys(permit, decode_selection(selection)),
        )
        .await
    }

    async fn expire_keys(
        &mut self,
        target: String,
        selection: actions::Selection,
        ttl: f64,
    ) -> wasmtime::Result<Result<Receipt, Error>> {
        let arguments = selection_arguments(self.arguments(), &selection).plain("ttl", ttl);
        self.change::<op::RedisExpireKeys, _>(&target, arguments, |targets, permit| {
            client(&targets.redis, &permit)?.expire_keys(permit, decode_selection(selection), ttl)
        })
        .await
    }
}

fn selection_arguments(arguments: Arguments, selection: &actions::Selection) -> Arguments {
    arguments.text("pattern", &selection.pattern).plain("min-idle", selection.min_idle).plain("limit", selection.limit)
}

fn decode_selection(selection: actions::Selection) -> KeySelection {
    KeySelection { pattern: selection.pattern, min_idle: selection.min_idle, limit: selection.limit }
}

fn fields(fields: Vec<Field>) -> Vec<Label> {
    fields.into_iter().map(|field| Label { name: field.name, value: field.value }).collect()
}

fn key_page(page: KeyPage) -> wit::KeyPage {
    wit::KeyPage { keys: page.keys, next: page.next }
}

fn usages(usages: Vec<KeyUsage>) -> Vec<wit::KeyUsage> {
    let encode = |usage: KeyUsage| wit::KeyUsage {
        key: usage.key,
        type_name: usage.type_name,
        bytes: usage.bytes,
        ttl: usage.ttl,
    };
    usages.into_iter().map(encode).collect()
}

fn slow_entries(entries: Vec<SlowEntry>) -> Vec<wit::SlowEntry> {
    let encode = |entry: SlowEntry| wit::SlowEntry { command: entry.command, duration: entry.duration, age: entry.age };
    entries.into_iter().map(encode).collect()
}

fn reply(reply: Reply) -> wit::Reply {
    match reply {
        Reply::Nil => wit::Reply::Nil,
        Reply::Integer(number) => wit::Reply::Integer(number),
        Reply::Text(text) => wit::Reply::Text(text),
        Reply::Bytes(bytes) => wit::Reply::Bytes(bytes),
        Reply::Nested(json) => wit::Reply::Nested(json),
    }
}
