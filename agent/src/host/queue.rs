//! `queue` and `queue-actions`: looking at a job queue, and changing it.

use super::RunState;
use super::bindings::paramedic::plugin::types::{Error, Receipt};
use super::bindings::paramedic::plugin::{queue as wit, queue_actions as actions, queue_types};
use super::targets::client;
use crate::clients::queue::{FailureGroup, Failures, JobCount, JobSelection, JobState, Overview};
use crate::journal::Arguments;
use crate::policy::op;

impl wit::Host for RunState {
    async fn inspect(&mut self, target: String) -> wasmtime::Result<Result<wit::Overview, Error>> {
        self.read::<op::QueueInspect, _, _, _>(&target, self.arguments(), overview, async |targets, permit, limits| {
            client(&targets.queue, &permit)?.inspect(&permit, &limits).await
        })
        .await
    }

    async fn list_failures(&mut self, target: String, limit: u32) -> wasmtime::Result<Result<wit::Failures, Error>> {
        let arguments = self.arguments().plain("limit", limit);
        self.read::<op::QueueListFailures, _, _, _>(&target, arguments, failures, async |targets, permit, limits| {
            client(&targets.queue, &permit)?.list_failures(&permit, &limits, limit).await
        })
        .await
    }
}

impl actions::Host for RunState {
    async fn pause(&mut self, target: String) -> wasmtime::Result<Result<Receipt, Error>> {
        self.change::<op::QueuePause, _>(&target, self.arguments(), |targets, permit| {
            client(&targets.queue, &permit)?.pause(permit)
        })
        .await
    }

    async fn resume(&mut self, target: String) -> wasmtime::Result<Result<Receipt, Error>> {
        self.change::<op::QueueResume, _>(&target, self.arguments(), |targets, permit| {
            client(&targets.queue, &permit)?.resume(permit)
        })
        .await
    }

    async fn clean_failed(
        &mut self,
        target: String,
        selection: actions::Selection,
    ) -> wasmtime::Result<Result<Receipt, Error>> {
        self.change::<op::QueueCleanFailed, _>(
            &target,
            selection_arguments(self.arguments(), &selection),
            |targets, permit| client(&targets.queue, &permit)?.clean_failed(permit, decode_selection(selection)),
        )
        .await
    }

    async fn retry_failed(
        &mut self,
        target: String,
        selection: actions::Selection,
    ) -> wasmtime::Result<Result<Receipt, Error>> {
        self.change::<op::QueueRetryFailed, _>(
            &target,
            selection_arguments(self.arguments(), &selection),
            |targets, permit| client(&targets.queue, &permit)?.retry_failed(permit, decode_selection(selection)),
        )
        .await
    }
}

fn selection_arguments(arguments: Arguments, selection: &actions::Selection) -> Arguments {
    arguments
        .plain("min-age", selection.min_age)
        .optional_text("job-name", selection.job_name.as_deref())
        .optional_text("reason", selection.reason.as_deref())
        .plain("limit", selection.limit)
}

fn decode_selection(selection: actions::Selection) -> JobSelection {
    JobSelection {
        min_age: selection.min_age,
        job_name: selection.job_name,
        reason: selection.reason,
        limit: selection.limit,
    }
}

fn overview(overview: Overview) -> wit::Overview {
    wit::Overview {
        version: overview.version,
        bull: overview.bull,
        counts: overview.counts.into_iter().map(job_count).collect(),
        paused: overview.paused,
        oldest_waiting: overview.oldest_waiting,
        overdue: overview.overdue,
        stalled: overview.stalled,
        workers: overview.workers,
        rate_limited: overview.rate_limited,
    }
}

fn job_count(count: JobCount) -> wit::JobCount {
    wit::JobCount { state: job_state(count.state), count: count.count }
}

const fn job_state(state: JobState) -> queue_types::JobState {
    match state {
        JobState::Waiting => queue_types::JobState::Waiting,
        JobState::Paused => queue_types::JobState::Paused,
        JobState::Prioritized => queue_types::JobState::Prioritized,
        JobState::Active => queue_types::JobState::Active,
        JobState::Delayed => queue_types::JobState::Delayed,
        JobState::Failed => queue_types::JobState::Failed,
        JobState::Completed => queue_types::JobState::Completed,
        JobState::WaitingChildren => queue_types::JobState::WaitingChildren,
    }
}

fn failures(failures: Failures) -> wit::Failures {
    wit::Failures {
        groups: failures.groups.into_iter().map(group).collect(),
        examined: failures.examined,
        total: failures.total,
    }
}

fn group(group: FailureGroup) -> wit::FailureGroup {
    wit::FailureGroup {
        job_name: group.job_name,
        reason: group.reason,
        count: group.count,
        newest_id: group.newest_id,
        newest: group.newest,
        oldest: group.oldest,
        max_attempts: group.max_attempts,
    }
}
