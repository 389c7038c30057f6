use super::*;
use crate::domain::{
    Approval, ChangeCall, Digest, Freeze, FreezeId, Operation, PlannedChange, Preview, RunId, Scope, Target, Undo,
};

const NOW: Timestamp = Timestamp::from_millis(1_772_334_855_926);

fn ago(seconds: u64) -> Timestamp {
    NOW.before(Duration::from_secs(seconds))
}

fn hence(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

fn target(text: &str) -> Target {
    text.parse().unwrap()
}

fn actor(name: &str) -> Actor {
    Actor(name.to_owned())
}

/// `queue-pause` would pause these queues.
fn plan(queues: &[&str]) -> Plan {
    let change = |(position, queue): (u32, &&str)| PlannedChange {
        position,
        gives_back: None,
        call: ChangeCall {
            operation: Operation::QueuePause,
            target: queue.parse().unwrap(),
            arguments: "{}".to_owned(),
        },
        preview: Preview {
            summary: "pause".to_owned(),
            objects: 1,
            differences: Vec::new(),
            ground: Vec::new(),
            scope: "{}".to_owned(),
            undo: Undo::Possible("resume".to_owned()),
            doubt: None,
            notes: Vec::new(),
        },
    };
    Plan {
        run: RunId::new(NOW),
        plugin: "queue-pause".parse().unwrap(),
        component: Digest::of(b"component"),
        grants: Digest::of(b"grants"),
        params: "{}".to_owned(),
        undoes: None,
        made: NOW,
        expires: hence(900),
        changes: (1..).zip(queues).map(change).collect(),
    }
}

fn freeze(scope: Scope, seconds: u64) -> Freeze {
    let id = FreezeId::new(NOW);
    Freeze {
        id,
        scope,
        reason: "a migration".to_owned(),
        creator: actor("carol"),
        created: NOW,
        expires: hence(seconds),
    }
}

fn approval(name: &str) -> Approval {
    Approval { actor: actor(name), time: NOW }
}

fn applied(state: RunState, seconds: u64) -> Applied {
    Applied { run: RunId::new(ago(seconds)), state, finished: ago(seconds), helped: None }
}

/// What alice asked for.
fn facts() -> GuardFacts {
    GuardFacts { requester: Some(actor("alice")), ..GuardFacts::default() }
}

/// The guard that stands against a plan for the queue `email`, and how long one has to wait.
fn refused(rules: PluginRules, facts: &GuardFacts) -> Option<(&'static str, u32)> {
    let refusal = judge(&plan(&["email"]), rules, facts, NOW).err()?;
    let wait = match &refusal {
        PlanRefusal::Frozen { wait, .. }
        | PlanRefusal::Cooldown { wait, .. }
        | PlanRefusal::BreakerOpen { wait, .. } => *wait,
        _ => 0,
    };
    Some((refusal.guard().unwrap(), wait))
}

#[test]
fn a_freeze_stops_what_it_covers() {
    let plugin = |name: &str| Scope::Plugin(name.parse().unwrap());
    for (name, scopes, expected) in [
        ("nothing is frozen", vec![], None),
        ("all", vec![(Scope::All, 60)], Some(("freeze", 60))),
        ("this target", vec![(Scope::Target(target("queue/email")), 1)], Some(("freeze", 1))),
        ("another target", vec![(Scope::Target(target("queue/sms")), 60)], None),
        ("a target of another system", vec![(Scope::Target(target("redis/email")), 60)], None),
        ("this plugin", vec![(plugin("queue-pause"), 60)], Some(("freeze", 60))),
        ("another plugin", vec![(plugin("queue-resume"), 60)], None),
        ("the longer of two", vec![(plugin("queue-pause"), 60), (Scope::All, 90)], Some(("freeze", 90))),
    ] {
        let freezes = scopes.into_iter().map(|(scope, seconds)| freeze(scope, seconds)).collect();
        let facts = GuardFacts { freezes, ..facts() };
        assert_eq!(refused(PluginRules::default(), &facts), expected, "{name}");
    }
    let second = GuardFacts { freezes: vec![freeze(Scope::Target(target("queue/sms")), 60)], ..facts() };
    assert!(judge(&plan(&["email", "sms"]), PluginRules::default(), &second, NOW).is_err());
}

#[test]
fn so_many_others_have_to_approve() {
    for (name, approvers, by, missing) in [
        ("nobody has to", Approvers::None, &[] as &[&str], 0),
        ("one has to", Approvers::One, &[], 1),
        ("one did", Approvers::One, &["bob"], 0),
        ("the one who asked does not count", Approvers::One, &["alice"], 1),
        ("two have to", Approvers::Two, &[], 2),
        ("one of two did", Approvers::Two, &["bob"], 1),
        ("one of two, and the one who asked", Approvers::Two, &["alice", "bob"], 1),
        ("two did", Approvers::Two, &["bob", "carol"], 0),
        ("three did", Approvers::Two, &["bob", "carol", "dave"], 0),
        ("the one who asked, by way of a cluster", Approvers::One, &["kubernetes:alice"], 1),
        ("one person, both ways", Approvers::Two, &["kubernetes:bob", "bob"], 1),
        ("two people, by way of a cluster", Approvers::Two, &["kubernetes:bob", "kubernetes:carol"], 0),
    ] {
        let facts = GuardFacts { approvals: by.iter().map(|name| approval(name)).collect(), ..facts() };
        let rules = PluginRules { approvers, ..PluginRules::default() };
        match judge(&plan(&["email"]), rules, &facts, NOW) {
            Ok(()) => assert_eq!(missing, 0, "{name}"),
            Err(PlanRefusal::NotApproved { missing: found, .. }) => assert_eq!(found, missing, "{name}"),
            Err(other) => panic!("{name}: {other}"),
        }
    }
    let asks = |name: &str| judge_approval(&plan(&["email"]), &actor("alice"), &actor(name));
    assert!(asks("bob").is_ok());
    for name in ["alice", "kubernetes:alice"] {
        assert!(matches!(asks(name), Err(PlanRefusal::OwnPlan { .. })), "{name}");
    }
}

#[test]
fn a_doubt_wants_somebody_else_whatever_the_configuration_says() {
    let mut doubtful = plan(&["email"]);
    doubtful.changes[0].preview.doubt = Some("not proven".to_owned());
    let rules = |approvers| {
        let rules = PluginRules { approvers, ..PluginRules::default() };
        Rules { plugins: [("queue-pause".parse().unwrap(), rules)].into(), budgets: Vec::new() }
    };
    for (configured, needed) in [(Approvers::None, 1), (Approvers::One, 1), (Approvers::Two, 2)] {
        assert_eq!(rules(configured).of(&doubtful).approvers.count(), needed, "{configured:?}");
    }
    assert_eq!(Rules::default().of(&doubtful).approvers, Approvers::One);
    assert_eq!(Rules::default().of(&plan(&["email"])).approvers, Approvers::None);
    // The way back is open.
    let undo = Plan { undoes: Some(RunId::new(NOW)), ..doubtful };
    assert_eq!(rules(Approvers::Two).of(&undo).approvers, Approvers::None);
}

#[test]
fn a_target_cools_down() {
    let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
    for (name, cooldown, changed, expected) in [
        ("no cooldown", None, Some(1), None),
        ("never changed", minutes(5), None, None),
        ("just now", minutes(5), Some(0), Some(("cooldown", 300))),
        ("a moment before", minutes(5), Some(299), Some(("cooldown", 1))),
        ("long enough ago", minutes(5), Some(300), None),
    ] {
        let changed = changed.map(|seconds| (target("queue/email"), ago(seconds))).into_iter().collect();
        let facts = GuardFacts { changed, ..facts() };
        assert_eq!(refused(PluginRules { cooldown, ..PluginRules::default() }, &facts), expected, "{name}");
    }
}

#[test]
fn a_breaker_opens_after_two_applies_in_vain() {
    use RunState::{Concluded, Failed, Interrupted};
    let (good, bad) = (Concluded(Status::Ok), Concluded(Status::Critical));
    for (name, applies, trusted, expected) in [
        ("none yet", vec![], None, None),
        ("one", vec![(Failed, 60)], None, None),
        ("two", vec![(Failed, 60), (bad, 120)], None, Some(("breaker", 3540))),
        ("the last one helped", vec![(good, 60), (Failed, 120)], None, None),
        ("the one before helped", vec![(Failed, 60), (good, 120)], None, None),
        ("nobody knows of one", vec![(Interrupted, 60), (Failed, 120)], None, None),
        ("a warning is a help", vec![(Concluded(Status::Warning), 60), (Failed, 120)], None, None),
        ("an hour ago", vec![(Failed, 3600), (Failed, 7200)], None, None),
        ("almost an hour ago", vec![(Failed, 3599), (Failed, 7200)], None, Some(("breaker", 1))),
        ("trusted again since", vec![(Failed, 60), (Failed, 120)], Some(30), None),
        ("once in vain since", vec![(Failed, 60), (Failed, 120)], Some(90), None),
        ("twice in vain since", vec![(Failed, 60), (Failed, 120)], Some(180), Some(("breaker", 3540))),
    ] {
        let applies = applies.into_iter().map(|(state, seconds)| applied(state, seconds)).collect();
        let facts = GuardFacts { applies, trusted: trusted.map(ago), ..facts() };
        assert_eq!(refused(PluginRules::default(), &facts), expected, "{name}");
    }
}

#[test]
fn whether_an_apply_helped_is_asked_of_its_judgement_first_and_of_its_end_where_there_is_none() {
    let (good, bad) = (RunState::Concluded(Status::Ok), RunState::Concluded(Status::Critical));
    for (state, helped, expected) in [
        (good, None, false),
        (bad, None, true),
        (RunState::Failed, Some(Helped::Unknown), true),
        (good, Some(Helped::Unknown), false),
        (bad, Some(Helped::Helped), false),
        (RunState::Failed, Some(Helped::Helped), false),
        (good, Some(Helped::NoChange), true),
        (good, Some(Helped::Worse), true),
    ] {
        let applied = Applied { helped, ..applied(state, 1) };
        assert_eq!(did_not_help(&applied), expected, "{applied:?}");
    }
}

#[test]
fn the_way_back_is_always_open() {
    let facts = GuardFacts {
        freezes: vec![freeze(Scope::All, 60)],
        changed: vec![(target("queue/email"), NOW)],
        applies: vec![applied(RunState::Failed, 1), applied(RunState::Failed, 2)],
        ..facts()
    };
    let rules =
        PluginRules { approvers: Approvers::Two, cooldown: Some(Duration::from_secs(300)), ..PluginRules::default() };
    let forth = plan(&["email"]);
    assert!(judge(&forth, rules, &facts, NOW).is_err());
    let back = Plan { undoes: Some(RunId::new(NOW)), ..forth };
    assert!(judge(&back, rules, &facts, NOW).is_ok());
    let plugins = BTreeMap::from([(back.plugin.clone(), rules)]);
    let all = Rules { plugins, budgets: Vec::new() };
    assert_eq!(all.of(&back), PluginRules::default());
    assert_eq!(all.of(&plan(&["email"])), rules);
}

#[test]
fn a_refusal_says_who_why_until_when_and_what_to_do() {
    let told = |rules: PluginRules, facts: GuardFacts| {
        let plan = plan(&["email"]);
        let text = judge(&plan, rules, &facts, NOW).unwrap_err().to_string();
        text.replace(&plan.run.to_string(), "PLAN")
    };
    let frozen = GuardFacts { freezes: vec![freeze(Scope::Target(target("queue/email")), 3600)], ..facts() };
    assert_eq!(
        told(PluginRules::default(), frozen),
        "carol has frozen changes of queue/email until 2026-03-01T04:14:15.926Z: a migration; what was changed can still be undone"
    );
    let rules =
        PluginRules { approvers: Approvers::Two, cooldown: Some(Duration::from_secs(300)), ..PluginRules::default() };
    assert_eq!(
        told(rules, facts()),
        "the plan PLAN has to be approved by 2 more people, none of whom asked for it: `paramedic approve PLAN`"
    );
    assert_eq!(
        told(rules, GuardFacts { approvals: vec![approval("bob")], ..facts() }),
        "the plan PLAN has to be approved by 1 more person beside bob, none of whom asked for it: `paramedic approve PLAN`"
    );
    let rules = PluginRules { approvers: Approvers::None, ..rules };
    assert_eq!(
        told(rules, GuardFacts { changed: vec![(target("queue/email"), ago(60))], ..facts() }),
        "the plugin `queue-pause` changed queue/email at 2026-03-01T03:13:15.926Z and leaves it alone until \
         2026-03-01T03:18:15.926Z: see first what came of it"
    );
    let applies = vec![applied(RunState::Failed, 60), applied(RunState::Failed, 120)];
    let last = applies[0].run.to_string();
    assert_eq!(
        told(rules, GuardFacts { applies, ..facts() }).replace(&last, "RUN"),
        "the last two times that `queue-pause` changed queue/email did not help (the last was run RUN), so it is held back \
         until 2026-03-01T04:13:15.926Z; `paramedic plugins close-breaker queue-pause` lets it try again"
    );
}
