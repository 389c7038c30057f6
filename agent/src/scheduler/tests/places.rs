//! Checks side by side: how many, and where.

use super::*;

fn plugins(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("check-{n}")).collect()
}

fn many(text: &str, count: usize) -> Sweep {
    let plugins = plugins(count);
    let plugins: Vec<&str> = plugins.iter().map(String::as_str).collect();
    Sweep { timetable: None, checks: checks(&plugins), ..sweep(text) }
}

/// Start the sweep and let its checks come and go, two at a time; tells how many ran at most.
async fn most_at_once(place: &Place, agent: &Agent, sweeps: &[&str], count: usize) -> usize {
    let gates: Vec<_> = plugins(count).iter().map(|plugin| place.script.holds(plugin)).collect();
    let mut running = place.script.running.subscribe();
    let mut under_way = Vec::new();
    for sweep in sweeps {
        under_way.push(agent.scheduler.run_now(&name(sweep), Actor("alice".to_owned())).await.unwrap());
    }
    let mut most = 0;
    let mut ended = futures_util::future::join_all(under_way.into_iter().map(UnderWay::finished));
    loop {
        // All that can start has started once nothing changes while others are given their turn.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        most = most.max(running.borrow_and_update().0);
        if futures_util::FutureExt::now_or_never(&mut ended).is_some() {
            return most;
        }
        gates.iter().for_each(|gate| gate.add_permits(1));
        most = most.max(running.borrow_and_update().0);
    }
}

#[tokio::test]
async fn checks_run_side_by_side_up_to_a_bound() {
    for (max_parallel, expected) in [(16, 5), (2, 2), (1, 1)] {
        let place = Place::new(vec![Sweep { max_parallel, ..many("health", 5) }]);
        let agent = place.open().await;
        assert_eq!(most_at_once(&place, &agent, &["health"], 5).await, expected);
        assert_eq!(place.script.orders().len(), 5);
    }
}

#[tokio::test]
async fn checks_of_one_target_are_bounded_in_a_sweep_and_in_all_of_them() {
    for (in_a_sweep, in_all, expected) in [(3, 8, 6), (8, 4, 4), (1, 8, 2)] {
        let in_a_sweep = |sweep| Sweep { max_parallel_per_target: in_a_sweep, ..sweep };
        let place = Place::new(vec![in_a_sweep(many("one", 6)), in_a_sweep(many("two", 6))]);
        let limits = Limits { max_parallel_per_target: in_all, patience: Duration::from_secs(600) };
        let agent = place.open_with(limits).await;
        for plugin in plugins(6) {
            place.script.is_about(&plugin, &["main"]);
        }
        assert_eq!(most_at_once(&place, &agent, &["one", "two"], 6).await, expected);
        assert_eq!(place.script.orders().len(), 12);
    }
}

#[tokio::test]
async fn a_target_that_hangs_holds_up_only_those_who_need_it() {
    let place = Place::new(vec![many("hangs", 3), many("works", 3)]);
    let agent = place.open_with(Limits { max_parallel_per_target: 1, patience: Duration::from_secs(30) }).await;
    for plugin in plugins(3) {
        place.script.is_about(&plugin, &["main"]);
    }
    let gate = place.script.holds("check-0");
    let hangs = agent.scheduler.run_now(&name("hangs"), Actor("alice".to_owned())).await.unwrap();
    place.script.until_running(1).await;
    for plugin in plugins(3) {
        place.script.is_about(&plugin, &["replica"]);
    }
    place.script.held.lock().unwrap().clear();
    let works = agent.ask("works").await;
    assert_eq!(works.status, Some(Status::Ok));
    // Those that wait for the target are turned away in the end, and the sweep says which and why.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    // They notice before the one that hangs makes room.
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    tokio::time::resume();
    gate.add_permits(1);
    let run = hangs.finished().await.unwrap();
    assert_eq!(run.status, Some(Status::Unknown));
    let turned_away: Vec<_> = run
        .checks
        .iter()
        .filter(|check| check.reason == Some(Reason::TurnedAway))
        .map(|check| &*check.summary)
        .collect();
    let expected = "no place at postgres/main became free within 30 s; other checks hold them";
    assert_eq!(turned_away, [expected, expected]);
    assert!(run.checks[1].run.is_none() && run.checks[0].status == Status::Ok);
}
