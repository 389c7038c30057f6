//! A configuration that changes while the agent goes on: by request and by signal, and sometimes with a mistake. What was
//! acknowledged is in force, one that was refused has changed nothing, and all that others do goes on meanwhile.

use paramedic_tests::api::Api;
use paramedic_tests::wait;
use rand::RngExt;
use rand::rngs::StdRng;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::callers::{Asker, Caller, Subject, Successor, whole};
use crate::ledger::Totals;
use crate::sweeps::RETIMED;

/// Name of a sweep that comes and goes.
const EXTRA: &str = "extra";

/// The one who edits the configuration.
#[derive(Default)]
pub struct Editor {
    /// What the file says, if it says something that can be put in force.
    wanted: Variant,
    totals: Totals,
}

/// What is different from one configuration to another.
#[derive(Clone, Debug, PartialEq)]
struct Variant {
    /// How many calls a run of a plugin may make.
    calls: u32,
    /// How often a sweep runs.
    every_seconds: u32,
    /// Whether there is another sweep.
    extra: bool,
}

impl Default for Variant {
    fn default() -> Self {
        Variant { calls: 500, every_seconds: 1, extra: false }
    }
}

impl Variant {
    fn any(rng: &mut StdRng) -> Self {
        Variant {
            calls: rng.random_range(1..=500),
            every_seconds: rng.random_range(1..=2),
            extra: rng.random_bool(0.5),
        }
    }

    fn write(&self, configuration: &mut Value) {
        configuration["plugins"]["noop"]["limits"] = json!({ "calls": self.calls });
        configuration["sweeps"][RETIMED]["every"] = json!(format!("{}s", self.every_seconds));
        if self.extra {
            configuration["sweeps"][EXTRA] = json!({ "every": "1s", "checks": ["noop"] });
        }
    }

    /// What an agent has in force.
    fn shown(api: &Api) -> anyhow::Result<Value> {
        let plugin = whole(api.get("/v1/plugins/noop", &[])?)?.json()?;
        let sweep = whole(api.get(&format!("/v1/sweeps/{RETIMED}"), &[])?)?.json()?;
        let extra = whole(api.get(&format!("/v1/sweeps/{EXTRA}"), &[])?)?.status;
        Ok(json!([plugin["limits"]["calls"], sweep["schedule"]["every_seconds"], extra]))
    }

    /// The same as it should be.
    fn expected(&self) -> Value {
        let extra = if self.extra { 200 } else { 404 };
        json!([self.calls, f64::from(self.every_seconds), extra])
    }
}

impl Caller for Editor {
    fn name(&self) -> &str {
        "editor"
    }

    fn subject(&self) -> Subject {
        Subject::Reloads
    }

    fn configure(&self, configuration: &mut Value) {
        self.wanted.write(configuration);
    }

    fn ask_once(&mut self, asker: &mut Asker) -> anyhow::Result<()> {
        match asker.rng.random_range(0..4) {
            0 => self.make_a_mistake(asker)?,
            1 => self.edit_and_hang_up(asker)?,
            _ => self.edit_and_reload(asker)?,
        }
        self.look(&asker.api)
    }

    fn judge(&mut self, successor: &Successor) -> anyhow::Result<()> {
        self.look(&successor.api)
    }

    fn judge_all(&mut self, api: &Api) -> anyhow::Result<()> {
        self.look(api)
    }

    fn totals(&self) -> &Totals {
        &self.totals
    }
}

impl Editor {
    fn edit(&mut self, asker: &mut Asker) -> anyhow::Result<()> {
        self.wanted = Variant::any(&mut asker.rng);
        asker.file.write(|configuration| self.wanted.write(configuration))
    }

    fn edit_and_reload(&mut self, asker: &mut Asker) -> anyhow::Result<()> {
        self.edit(asker)?;
        let answer = whole(asker.api.ask("POST", "/v1/config:reload", &[], "")?)?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.totals.count("reloads acknowledged");
        Ok(())
    }

    fn edit_and_hang_up(&mut self, asker: &mut Asker) -> anyhow::Result<()> {
        self.edit(asker)?;
        kill_process(asker.pid, Signal::HUP)?;
        let expected = self.wanted.expected();
        wait::until(
            "the configuration to be in force",
            || Ok((Variant::shown(&asker.api)? == expected).then_some(())),
        )?;
        self.totals.count("reloads by signal");
        Ok(())
    }

    /// A configuration that is right but for one place.
    fn make_a_mistake(&mut self, asker: &mut Asker) -> anyhow::Result<()> {
        let other = Variant::any(&mut asker.rng);
        asker.file.write(|configuration| {
            other.write(configuration);
            configuration["sweeps"][RETIMED]["checks"] = json!(["nobody"]);
        })?;
        let answer = whole(asker.api.ask("POST", "/v1/config:reload", &[], "")?)?;
        assert_eq!(answer.status, 422, "{}", answer.body);
        self.totals.count("reloads refused");
        Ok(())
    }

    /// What was wanted is in force.
    fn look(&self, api: &Api) -> anyhow::Result<()> {
        assert_eq!(Variant::shown(api)?, self.wanted.expected(), "another configuration is in force");
        Ok(())
    }
}
