//! The quarantine of a plugin beside its runs: who asks to run gets a ticket, and gives it back with how it went.

use std::sync::Arc;

use super::quarantine::{Change, Conduct, Hold, Pass};
use super::{Catalog, Plugin, Slot, Undelivered};
use crate::clock::Clock;
use crate::domain::{Actor, PluginName, Run, Timestamp};
use crate::store::KeptQuarantine;

/// The right to run a plugin once. One that is dropped tells nothing about the plugin: the run did not begin.
pub struct Ticket {
    slot: Arc<Slot>,
    clock: Arc<dyn Clock>,
    pass: Option<Pass>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.slot.quarantine().settle(pass, Conduct::Neutral, self.clock.now());
        }
    }
}

/// Why a plugin is not run at the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the plugin `{name}` is in quarantine {until}, because its runs kept failing ({reason}); `paramedic plugins release \
     {name}` ends it at once",
    until = if *on_trial { "and on trial: a run under way decides".to_owned() } else { format!("until {}, when one run is tried", hold.until) },
    reason = hold.reason
)]
pub struct Quarantined {
    /// The plugin.
    pub name: PluginName,
    /// Until when, and why.
    pub hold: Hold,
    /// True when a trial is under way.
    pub on_trial: bool,
    /// When it was asked.
    pub now: Timestamp,
}

impl Quarantined {
    /// After how many seconds it is worth asking again.
    pub fn retry_after(&self) -> u32 {
        let left = self.hold.until.since(self.now).as_secs_f64().ceil();
        // Between one and the longest that a quarantine can be.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was clamped before")]
        let seconds = left.clamp(1.0, f64::from(u32::MAX)) as u32;
        seconds
    }
}

impl Catalog {
    /// Ask to run `plugin`, which is active; none when it is configured no more.
    pub fn admit(&self, plugin: &Plugin) -> Option<Result<Ticket, Quarantined>> {
        let name = &plugin.metadata.name;
        let (slot, clock) = (self.find(name)?, self.clock.clone());
        let now = clock.now();
        let admitted = slot.quarantine().admit(now);
        Some(match admitted {
            Ok(pass) => Ok(Ticket { slot, clock, pass: Some(pass) }),
            Err(refusal) => {
                Err(Quarantined { name: name.clone(), hold: refusal.hold, on_trial: refusal.on_trial, now })
            }
        })
    }

    /// Give a ticket back with the run that it was for.
    pub async fn settle(&self, mut ticket: Ticket, run: &Run) {
        let Some(pass) = ticket.pass.take() else { return };
        let change = ticket.slot.quarantine().settle(pass, Conduct::of(run), self.clock.now());
        match &change {
            None => return,
            Some(Change::Held(hold)) => {
                tracing::error!(
                    plugin.name = %run.plugin, until = %hold.until, round = hold.round, reason = %hold.reason,
                    "plugin is in quarantine"
                );
                self.intake.metrics.quarantine_began(&run.plugin);
            }
            Some(Change::Released) => {
                tracing::info!(plugin.name = %run.plugin, "plugin is out of quarantine: its trial went well");
            }
        }
        self.remember_quarantine(&ticket.slot).await;
    }

    /// End the quarantine of a plugin by hand. Tells whether it was in one.
    pub async fn release(&self, name: &PluginName, actor: &Actor) -> Result<bool, Undelivered> {
        let slot = &self.slot(name)?;
        let was_held = slot.quarantine().forgive();
        if was_held {
            tracing::info!(plugin.name = %name, by = actor.0, "plugin is released from quarantine by hand");
            self.remember_quarantine(slot).await;
        }
        Ok(was_held)
    }

    /// Write down how the quarantine is now. It holds also where that fails, until the agent ends.
    pub(super) async fn remember_quarantine(&self, slot: &Slot) {
        let name = &slot.name;
        let hold = slot.quarantine().current().cloned();
        self.intake.metrics.quarantined(name, hold.is_some());
        let digest = slot.active().map(|plugin| plugin.digest);
        let kept = hold.zip(digest).map(|(hold, digest)| {
            let Hold { since, until, round, reason } = hold;
            KeptQuarantine { digest, since, until, round, reason }
        });
        if let Err(error) = self.intake.store.set_quarantine(name, kept).await {
            tracing::warn!(plugin.name = %name, %error, "a quarantine will not be known after a restart");
        }
    }

    /// Go on with the quarantine that a former agent left.
    pub(super) fn restore_quarantine(&self, slot: &Slot, kept: &KeptQuarantine) {
        let (name, KeptQuarantine { since, until, round, reason, .. }) = (&slot.name, kept);
        tracing::warn!(plugin.name = %name, %until, %reason, "plugin is still in quarantine");
        slot.quarantine().restore(Hold { since: *since, until: *until, round: *round, reason: reason.clone() });
        self.intake.metrics.quarantined(name, true);
    }
}
