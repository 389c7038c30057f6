use super::*;
use crate::domain::{Actor, CallRecord, Decision, Digest, Failure, Mode, Outcome, RunId, Status, Trigger, Usage};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

const POLICY: Policy = Policy { faults: 3, first: Duration::from_secs(60), longest: Duration::from_secs(200) };

fn at(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

fn fault() -> Conduct {
    Conduct::Fault("trap: it broke".to_owned())
}

/// Admit a run and let it end at once.
fn run(quarantine: &mut Quarantine, seconds: u64, conduct: Conduct) -> Option<Change> {
    let pass = quarantine.admit(at(seconds)).unwrap();
    quarantine.settle(pass, conduct, at(seconds))
}

fn held(quarantine: &mut Quarantine) {
    for _ in 0..2 {
        assert_eq!(run(quarantine, 0, fault()), None);
    }
    assert!(matches!(run(quarantine, 0, fault()), Some(Change::Held(_))));
}

#[test]
fn faults_count_only_in_a_row() {
    use Conduct::{Good, Neutral};
    for (what, conducts, is_held) in [
        ("too few", vec![fault(), fault()], false),
        ("enough", vec![fault(), fault(), fault()], true),
        ("broken by a verdict", vec![fault(), fault(), Good, fault(), fault()], false),
        ("what says nothing breaks nothing", vec![fault(), Neutral, fault(), Neutral, fault()], true),
        ("targets that are down", vec![Neutral; 50], false),
    ] {
        let mut quarantine = Quarantine::new(POLICY);
        for conduct in conducts {
            run(&mut quarantine, 0, conduct);
        }
        assert_eq!(quarantine.current().is_some(), is_held, "{what}");
    }
}

#[test]
fn one_run_is_tried_when_the_time_is_over_and_decides() {
    let mut quarantine = Quarantine::new(POLICY);
    held(&mut quarantine);
    let refusal = quarantine.admit(at(59)).unwrap_err();
    assert_eq!((refusal.hold.until, refusal.hold.round, refusal.on_trial), (at(60), 1, false));
    assert_eq!(refusal.hold.reason, "trap: it broke");
    let trial = quarantine.admit(at(60)).unwrap();
    assert!(quarantine.admit(at(61)).unwrap_err().on_trial);
    assert_eq!(quarantine.settle(trial, Conduct::Good, at(62)), Some(Change::Released));
    assert_eq!(quarantine.current(), None);
    // And afterwards it takes as many faults as before.
    held(&mut quarantine);
}

#[test]
fn each_failed_trial_doubles_the_time_up_to_the_longest() {
    let mut quarantine = Quarantine::new(POLICY);
    held(&mut quarantine);
    let mut now = 60;
    for (round, seconds) in [(2, 120), (3, 200), (4, 200), (5, 200)] {
        let Some(Change::Held(hold)) = run(&mut quarantine, now, fault()) else { panic!("round {round}") };
        assert_eq!((hold.round, hold.until), (round, at(now + seconds)));
        now += seconds;
    }
    assert_eq!(Policy { longest: Duration::MAX, ..POLICY }.length(u32::MAX), Duration::from_secs(60) * (1 << 31));
}

#[test]
fn a_trial_that_tells_nothing_is_tried_again() {
    let mut quarantine = Quarantine::new(POLICY);
    held(&mut quarantine);
    assert_eq!(run(&mut quarantine, 60, Conduct::Neutral), None);
    assert_eq!(run(&mut quarantine, 60, Conduct::Good), Some(Change::Released));
}

#[test]
fn runs_that_began_before_the_hold_neither_lengthen_nor_end_it() {
    let mut quarantine = Quarantine::new(POLICY);
    let under_way: Vec<_> = (0..50).map(|_| quarantine.admit(at(0)).unwrap()).collect();
    held(&mut quarantine);
    for (number, pass) in under_way.into_iter().enumerate() {
        let conduct = if number % 2 == 0 { fault() } else { Conduct::Good };
        assert_eq!(quarantine.settle(pass, conduct, at(30)), None);
    }
    assert_eq!(quarantine.current().unwrap().until, at(60));
    // Nor do they speak for the trial.
    let mut quarantine = Quarantine::new(POLICY);
    let early = quarantine.admit(at(0)).unwrap();
    held(&mut quarantine);
    let trial = quarantine.admit(at(60)).unwrap();
    assert_eq!(quarantine.settle(early, Conduct::Good, at(61)), None);
    assert!(quarantine.current().is_some());
    assert_eq!(quarantine.settle(trial, Conduct::Good, at(62)), Some(Change::Released));
}

#[test]
fn it_ends_by_hand_and_with_another_component() {
    let mut quarantine = Quarantine::new(POLICY);
    assert!(!quarantine.forgive());
    held(&mut quarantine);
    let trial = quarantine.admit(at(60)).unwrap();
    assert!(quarantine.forgive());
    assert_eq!(quarantine.settle(trial, fault(), at(61)), None, "the old component counts no more");
    assert_eq!(quarantine.current(), None);
    held(&mut quarantine);
}

#[test]
fn it_goes_on_after_a_restart_and_a_clock_set_back_does_not_make_it_longer() {
    let mut before = Quarantine::new(POLICY);
    held(&mut before);
    let hold = before.current().unwrap().clone();
    let mut after = Quarantine::new(POLICY);
    after.restore(hold.clone());
    assert!(after.admit(at(59)).is_err());
    let Some(Change::Held(next)) = run(&mut after, 60, fault()) else { panic!("it is held again") };
    assert_eq!(next.round, 2);
    // The clock was years ahead when it began.
    let mut after = Quarantine::new(POLICY);
    after.restore(hold);
    assert!(after.admit(START.before(Duration::from_secs(1))).is_ok());
}

fn ended(ending: Ending, calls: u64) -> Run {
    let call = |sequence| CallRecord {
        sequence,
        operation: "postgres/query".to_owned(),
        target: "postgres/main".to_owned(),
        arguments: "{}".to_owned(),
        decision: Decision::Permitted,
        started: START,
        duration: Duration::from_secs(1),
        answer_bytes: 0,
        answer_digest: None,
        error: None,
    };
    Run {
        id: RunId::new(START),
        plugin: "pg-ready".parse().unwrap(),
        version: "0.1.0".to_owned(),
        digest: Digest::of(b"component"),
        mode: Mode::Check,
        trigger: Trigger::Manual,
        actor: Actor("alice".to_owned()),
        sweep_run: None,
        params: "{}".to_owned(),
        started: START,
        finished: Some(at(10)),
        ending: Some(ending),
        usage: Usage { duration: Duration::from_secs(10), ..Usage::default() },
        log: Vec::new(),
        calls: (0..u32::try_from(calls).unwrap()).map(call).collect(),
        changes: crate::domain::RunChanges::default(),
    }
}

fn failed(kind: FailureKind, calls: u64) -> Conduct {
    Conduct::of(&ended(Ending::Failed(Failure { kind, message: "so it was".to_owned() }), calls))
}

#[test]
fn a_plugin_is_to_blame_for_what_its_guest_does_and_not_for_its_targets() {
    use FailureKind as Kind;
    let neutral = [
        Kind::BadParams,
        Kind::HostCall,
        Kind::Plugin,
        Kind::NotInPlan,
        Kind::Capacity,
        Kind::Cancelled,
        Kind::Interrupted,
        Kind::Internal,
    ];
    for kind in Kind::ALL {
        let expected = match neutral.contains(&kind) {
            true => Conduct::Neutral,
            false => Conduct::Fault(format!("{}: so it was", kind.as_str())),
        };
        assert_eq!(failed(kind, 0), expected, "{kind:?}");
    }
    // Five of the ten seconds went to a target; with four it is the guest that was slow.
    assert_eq!(failed(Kind::Deadline, 5), Conduct::Neutral);
    assert_eq!(failed(Kind::Deadline, 4), Conduct::Fault("deadline: so it was".to_owned()));
    assert_eq!(failed(Kind::Trap, 9), Conduct::Fault("trap: so it was".to_owned()));
    let long = Failure { kind: Kind::Trap, message: format!("{}\nand advice", "é".repeat(150)) };
    let Conduct::Fault(reason) = Conduct::of(&ended(Ending::Failed(long), 0)) else { panic!("a trap is a fault") };
    assert_eq!(reason, format!("trap: {}", "é".repeat(100)));
    let verdict = Outcome {
        status: Status::Critical,
        summary: "it is down".to_owned(),
        details: None,
        metrics: Vec::new(),
        findings: Vec::new(),
        suggestions: Vec::new(),
        labels: Vec::new(),
        files: crate::domain::Files::default(),
    };
    assert_eq!(Conduct::of(&ended(Ending::Concluded(verdict), 0)), Conduct::Good);
}
