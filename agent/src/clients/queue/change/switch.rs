//! Pause and resume: the switch of a whole queue.

use std::sync::Arc;

use async_trait::async_trait;

use super::super::super::resp::{Answers, Command};
use super::super::overview::{ANSWER_BYTES, meta_questions, read_meta};
use super::super::{Library, Queue};
use super::{Right, Silence, as_conflict, library_fact, objection, run, script, stop};
use crate::domain::{CallError, CallLimits, ChangeCall, Difference, Done, Fact, Inverse, Operation, Preview, Undo};
use crate::journal::{Change, Halt, Performed, Settled};
use crate::policy::{Permit, op};

const PAUSED: &str = "paused";

pub(in super::super) fn pause(queue: &Arc<Queue>, permit: Permit<op::QueuePause>) -> Arc<dyn Change> {
    Arc::new(Switch { queue: queue.clone(), right: Right::Pause(permit), to: Position::Paused })
}

pub(in super::super) fn resume(queue: &Arc<Queue>, permit: Permit<op::QueueResume>) -> Arc<dyn Change> {
    Arc::new(Switch { queue: queue.clone(), right: Right::Resume(permit), to: Position::Running })
}

/// How the switch of a queue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Paused,
    Running,
}

impl Position {
    const fn of(paused: bool) -> Self {
        if paused { Self::Paused } else { Self::Running }
    }

    const fn other(self) -> Self {
        match self {
            Self::Paused => Self::Running,
            Self::Running => Self::Paused,
        }
    }

    /// The value of `paused`.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "true",
            Self::Running => "false",
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Paused => "pause",
            Self::Running => "resume",
        }
    }
}

#[derive(Debug)]
struct Switch {
    queue: Arc<Queue>,
    right: Right,
    to: Position,
}

/// What a look at the queue tells.
#[derive(Debug)]
struct Look {
    position: Position,
    active: u64,
    waiting: u64,
    /// Jobs in the list from which workers take them.
    ready: u64,
    /// Jobs in the list of the paused ones.
    held: u64,
}

impl Look {
    fn read(queue: &Queue, answers: &mut Answers) -> Result<Self, CallError> {
        let meta = read_meta(queue, answers)?;
        let active = answers.take()?;
        let (ready, held, prioritized): (u64, u64, u64) = (answers.take()?, answers.take()?, answers.take()?);
        let position = Position::of(meta.is_paused());
        Ok(Self { position, active, waiting: ready + held + prioritized, ready, held })
    }

    /// True for a pause that only turned the switch, where it has to move the jobs as well.
    fn is_half_paused(&self, library: Library) -> bool {
        self.position == Position::Paused && library.moves_paused_jobs() && self.ready > 0
    }

    /// What there is to do so that the queue stands at `to`.
    fn need(&self, to: Position) -> Need {
        match (to, self.position) {
            (Position::Paused, Position::Running) | (Position::Running, Position::Paused) => Need::Turn,
            (Position::Running, Position::Running) if self.held > 0 => Need::TakeUp,
            (Position::Running, Position::Running) | (Position::Paused, Position::Paused) => Need::Nothing,
        }
    }

    fn notes(&self, to: Position) -> Vec<String> {
        match to {
            Position::Paused => vec![
                format!("{} active jobs will finish; no worker begins another one", self.active),
                format!("{} jobs wait, and stay with those that are added until the queue resumes", self.waiting),
            ],
            Position::Running => vec![format!("{} jobs wait, and workers begin them at once", self.waiting)],
        }
    }
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Turn the switch.
    Turn,
    /// The switch stands as it should, but a pause of another version, or one that broke off, left jobs in a list from which
    /// nobody takes them.
    TakeUp,
    Nothing,
}

impl Need {
    /// What a plan says, by what it rests on.
    fn planned(planned: &Preview, to: Position) -> Self {
        let was = planned.ground.iter().find(|fact| fact.name == PAUSED);
        if was.is_some_and(|fact| fact.value == to.as_str()) { Self::TakeUp } else { Self::Turn }
    }
}

impl Switch {
    async fn look(&self, limits: &CallLimits) -> Result<Look, CallError> {
        let keys = &self.queue.keys;
        let mut questions = meta_questions(keys);
        questions.extend([
            Command::new("LLEN").arg(keys.key("active")),
            Command::new("LLEN").arg(keys.key("wait")),
            Command::new("LLEN").arg(keys.key("paused")),
            Command::new("ZCARD").arg(keys.key("prioritized")),
        ]);
        let mut answers = self.queue.server.ask(limits, &questions, ANSWER_BYTES).await?;
        Look::read(&self.queue, &mut answers).map_err(as_conflict)
    }

    fn script(&self, need: Need) -> Command {
        let library = self.queue.library;
        let script = match self.to {
            Position::Paused => script::pause(library),
            Position::Running => script::resume(library),
        };
        let stands = if need == Need::TakeUp { self.to } else { self.to.other() };
        script::call(&script, &self.queue.keys, library).arg(stands.as_str())
    }

    fn differences(&self, need: Need, held: u64) -> Vec<Difference> {
        let (field, before, after) = match need {
            Need::Nothing => return Vec::new(),
            Need::Turn => (PAUSED, self.to.other().as_str().to_owned(), self.to.as_str()),
            Need::TakeUp => ("jobs left in the list of the paused ones", held.to_string(), "0"),
        };
        vec![Difference { field: field.to_owned(), before: Some(before), after: Some(after.to_owned()) }]
    }

    fn done(&self, planned: &Preview) -> Done {
        let differences = planned.differences.clone();
        let done = Done { objects: 1, differences, answer: None, incomplete: None, inverse: None };
        match Need::planned(planned, self.to) {
            Need::Turn => Done { inverse: Some(self.inverse()), ..done },
            Need::TakeUp | Need::Nothing => done,
        }
    }

    fn inverse(&self) -> Inverse {
        let operation = match self.to {
            Position::Paused => Operation::QueueResume,
            Position::Running => Operation::QueuePause,
        };
        let call = ChangeCall { operation, ..self.call() };
        let ground = vec![Fact { name: PAUSED.to_owned(), value: self.to.as_str().to_owned() }];
        Inverse { call, ground }
    }

    fn undo(&self, need: Need) -> Undo {
        match need {
            Need::Turn | Need::Nothing => {
                let back = self.to.other().verb();
                Undo::Possible(format!("to {back} the queue gives it back, as long as nobody else did"))
            }
            Need::TakeUp => Undo::Impossible("the jobs are worked on".to_owned()),
        }
    }

    /// How it ended when the script did not say. A script is one step, so that a queue which stands as it was asked to was
    /// changed as a whole; one that broke off has to be looked at by somebody.
    async fn find_out(&self, planned: &Preview, limits: &CallLimits, silence: Silence) -> Performed {
        match silence {
            Silence::Unrun(error) => Performed::Nothing(error),
            Silence::Broken(error) => Performed::Unknown(error),
            Silence::InDoubt(error) => match self.look(limits).await {
                Ok(look) if look.need(self.to) == Need::Nothing => Performed::Done(self.done(planned)),
                Ok(_) | Err(_) => Performed::Unknown(error),
            },
        }
    }

    /// How it ended that no further piece was moved. What resuming moved is worked on, though the queue stands as before.
    fn broke_off(&self, pieces: u64, error: CallError) -> Performed {
        if pieces == 0 || self.to == Position::Paused {
            return Performed::Nothing(error);
        }
        let incomplete = Some(format!("{error}; jobs were moved in {pieces} pieces, and the queue stands as it was"));
        Performed::Done(Done { objects: 1, differences: Vec::new(), answer: None, incomplete, inverse: None })
    }

    fn moved(&self, need: Need) -> CallError {
        let (was, is) = (self.to.other().as_str(), self.to.as_str());
        CallError::Conflict(match need {
            Need::Turn | Need::Nothing => format!("{PAUSED} was {was}, is {is}"),
            Need::TakeUp => "the queue was paused, or the jobs were taken up, since".to_owned(),
        })
    }
}

#[async_trait]
impl Change for Switch {
    fn call(&self) -> ChangeCall {
        self.right.call("{}".to_owned())
    }

    async fn preview(&self, limits: &CallLimits) -> Result<Preview, CallError> {
        let look = self.look(limits).await?;
        let need = look.need(self.to);
        let is_needed = need != Need::Nothing;
        Ok(Preview {
            summary: format!("{} the queue {} ({})", self.to.verb(), self.queue.keys.title(), self.queue.library),
            objects: u64::from(is_needed),
            differences: self.differences(need, look.held),
            ground: vec![
                Fact { name: PAUSED.to_owned(), value: look.position.as_str().to_owned() },
                library_fact(&self.queue),
            ],
            scope: "{}".to_owned(),
            undo: self.undo(need),
            doubt: None,
            notes: if is_needed { look.notes(self.to) } else { Vec::new() },
        })
    }

    async fn perform(&self, planned: &Preview, limits: &CallLimits, halt: &Halt) -> Performed {
        let need = Need::planned(planned, self.to);
        let mut pieces = 0_u64;
        loop {
            if let Some(reason) = stop(limits, halt) {
                return self.broke_off(pieces, CallError::TimedOut(reason));
            }
            let (answer, _, _): (String, u64, u64) = match run(&self.queue, limits, self.script(need)).await {
                Ok(answer) => answer,
                Err(Silence::Unrun(error)) => return self.broke_off(pieces, error),
                Err(silence) => return self.find_out(planned, limits, silence).await,
            };
            match answer.as_str() {
                "done" => return Performed::Done(self.done(planned)),
                "moved" => return self.broke_off(pieces, self.moved(need)),
                "more" => pieces += 1,
                other => return self.broke_off(pieces, objection(&self.queue, other)),
            }
            tokio::time::sleep(super::PAUSE).await;
        }
    }

    async fn settle(&self, planned: &Preview, limits: &CallLimits) -> Settled {
        match self.look(limits).await {
            Ok(look) if self.to == Position::Paused && look.is_half_paused(self.queue.library) => {
                let title = self.queue.keys.title();
                Settled::Unknown(format!(
                    "the queue {title} is paused, and {} jobs were not moved; resume it",
                    look.ready
                ))
            }
            Ok(look) if look.need(self.to) == Need::Nothing => Settled::Done(self.done(planned)),
            Ok(_) => Settled::NotDone,
            Err(error) => {
                let title = self.queue.keys.title();
                Settled::Unknown(format!("look whether the queue {title} is paused: {error}"))
            }
        }
    }
}
