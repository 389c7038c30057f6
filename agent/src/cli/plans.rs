//! `paramedic plan`, `approve`, `apply` and `undo`.

use std::io::{IsTerminal, Write};

use clap::Args;
use serde_json::json;

use super::UNKNOWN;
use super::client::{AskError, Client};
use super::output::{self, Format};
use super::run::{Params, code};
use crate::api::card::{self, Detail};
use crate::api::shape;

/// List what a mitigation would change, and change nothing.
#[derive(Args, Debug)]
pub struct Plan {
    /// The plugin.
    plugin: String,
    #[command(flatten)]
    asked: Params,
    /// How the plan is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

/// Carry out a plan.
#[derive(Args, Debug)]
pub struct Apply {
    /// Id of the plan; or a plugin, of which a plan is made and shown first.
    #[arg(value_name = "PLAN|PLUGIN")]
    what: String,
    #[command(flatten)]
    asked: Params,
    /// Ask nobody; without it a plan that was just made is applied only when somebody at the terminal says yes.
    #[arg(long, short)]
    yes: bool,
    /// Digest of the plan that was looked at; no other one is applied.
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Give the changes back by themselves after this time, such as 45m.
    #[arg(long = "for", value_name = "TIME")]
    time: Option<String>,
    /// Give the changes back when the check of the plugin is worse afterwards.
    #[arg(long)]
    revert_if_worse: bool,
    /// Go past freezes, approvals, cooldowns and breakers, for this reason. Takes an admin, and stays in the record.
    #[arg(long, value_name = "REASON")]
    break_glass: Option<String>,
    /// How the run is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

/// Agree with a plan that somebody else asked for.
#[derive(Args, Debug)]
pub struct Approve {
    /// Id of the plan. It is shown first, and somebody at the terminal has to say yes.
    plan: String,
    /// Digest of the plan that was looked at: nobody is asked, and no other plan is approved.
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// How the plan is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

/// Give back what a run changed.
#[derive(Args, Debug)]
pub struct Undo {
    /// Id of the run.
    run: String,
    /// Ask nobody.
    #[arg(long, short)]
    yes: bool,
    /// How the run is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

impl Plan {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        let run = plan(client, self.plugin, self.asked).await?;
        show(self.output, &run)?;
        Ok(code(&run))
    }
}

impl Apply {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        let wish = shape::ApplyRequest {
            digest: self.digest,
            r#for: self.time,
            revert_if_worse: self.revert_if_worse,
            break_glass: glass(self.break_glass),
        };
        if is_id(&self.what) {
            if !self.asked.is_empty() {
                return Err(AskError::Params("a plan has its parameters; leave --param and --params out".to_owned()));
            }
            return apply(client, &self.what, wish, self.output).await;
        }
        let run = plan(client, self.what, self.asked).await?;
        consider(client, run, wish, self.yes, self.output).await
    }
}

impl Approve {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        let digest = match self.digest {
            Some(digest) => digest,
            None => match self.look(client).await? {
                Some(digest) => digest,
                None => return Ok(UNKNOWN),
            },
        };
        let path = ["v1", "plans", &self.plan, "approve"];
        let run: shape::Run = client.post(&path, &[], &shape::ApproveRequest { digest }).await?;
        show(self.output, &run)?;
        Ok(0)
    }

    /// Show the plan, and tell its digest if somebody agrees.
    async fn look(&self, client: &Client) -> Result<Option<String>, AskError> {
        let run: shape::Run = client.get(&["v1", "plans", &self.plan], &[]).await?;
        show(self.output, &run)?;
        if !std::io::stdin().is_terminal() {
            output::complain(&format_args!(
                "nothing was approved: there is nobody to ask; --digest names the plan that was looked at"
            ));
            return Ok(None);
        }
        if !says_yes("Approve this plan?")? {
            output::complain(&format_args!("nothing was approved"));
            return Ok(None);
        }
        Ok(run.plan.map(|plan| plan.digest))
    }
}

fn glass(reason: Option<String>) -> Option<shape::BreakGlass> {
    reason.map(|reason| shape::BreakGlass { reason })
}

impl Undo {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        let run: shape::Run = client.post(&["v1", "runs", &self.run, "undo"], &[], &json!({})).await?;
        consider(client, run, shape::ApplyRequest::default(), self.yes, self.output).await
    }
}

/// Ids are what no plugin can be named: 36 signs with hyphens at their places.
fn is_id(text: &str) -> bool {
    text.len() == 36 && [8, 13, 18, 23].iter().all(|place| text.as_bytes().get(*place) == Some(&b'-'))
}

async fn plan(client: &Client, plugin: String, asked: Params) -> Result<shape::Run, AskError> {
    let mode = Some(crate::domain::Mode::Plan.into());
    let request = shape::RunRequest { plugin, params: asked.read()?, mode };
    client.post(&["v1", "runs"], &[], &request).await
}

/// Show a plan that was just made, and apply it if somebody wants that.
async fn consider(
    client: &Client,
    run: shape::Run,
    wish: shape::ApplyRequest,
    yes: bool,
    format: Format,
) -> Result<u8, AskError> {
    let Some(plan) = run.plan.as_ref().filter(|plan| !plan.changes.is_empty()) else {
        // There is nothing to do, or no plan: the card says which.
        show(format, &run)?;
        return Ok(code(&run));
    };
    let wish = shape::ApplyRequest { digest: Some(plan.digest.clone()), ..wish };
    if yes {
        return apply(client, &plan.id, wish, format).await;
    }
    show(format, &run)?;
    if !std::io::stdin().is_terminal() {
        output::complain(&format_args!("nothing was done: there is nobody to ask; --yes applies a plan unseen"));
        return Ok(UNKNOWN);
    }
    if !says_yes("Apply this plan?")? {
        output::complain(&format_args!("nothing was done"));
        return Ok(UNKNOWN);
    }
    apply(client, &plan.id, wish, format).await
}

async fn apply(client: &Client, plan: &str, wish: shape::ApplyRequest, format: Format) -> Result<u8, AskError> {
    let run: shape::Run = client.post(&["v1", "plans", plan, "apply"], &[], &wish).await?;
    show(format, &run)?;
    Ok(code(&run))
}

/// Only a whole `yes` is one.
fn says_yes(question: &str) -> Result<bool, AskError> {
    let mut answer = String::new();
    let mut out = anstream::stderr().lock();
    write!(out, "\n{question} Type `yes`: ").and_then(|()| out.flush()).map_err(AskError::Output)?;
    std::io::stdin().read_line(&mut answer).map_err(AskError::Output)?;
    Ok(answer.trim() == "yes")
}

fn show(format: Format, run: &shape::Run) -> Result<(), AskError> {
    output::answer(format, run, |run, paint| card::run(run, Detail::Brief, paint))
}
