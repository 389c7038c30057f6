//! A check that is watched on the page, as on a terminal.

use serde_json::{Value, json};

use crate::ward::Ward;

/// What the card says.
const CARD: &str = "return document.querySelector('.card')?.innerText ?? ''";

/// The page's own clock has gone on by so many milliseconds. For what must not happen: it had the time to.
const LATER: &str =
    "globalThis.begun ??= performance.now(); return performance.now() - globalThis.begun > arguments[0]";

/// Two runs of it were under way at the same time.
fn overlap(runs: &[Value]) -> bool {
    // One that is under way ends after all others.
    let time = |run: &Value, field: &str| run[field].as_str().unwrap_or("later").to_owned();
    let mut times: Vec<_> = runs.iter().map(|run| (time(run, "started"), time(run, "finished"))).collect();
    times.sort();
    times.windows(2).any(|pair| pair[1].0 < pair[0].1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_check_shows_new_figures_in_place_and_stops_when_nobody_looks_or_somebody_says_so() {
    let ward = Ward::start().await;
    let browser = ward.visit("#/check/k8s-top?labels=app%3Dapi&watch=0.5");
    ward.sign_in(&browser, &ward.token);
    browser.resize(420, 700).unwrap();
    browser.press("Watch").unwrap();
    browser.shows("60 MiB").unwrap();
    browser.shows("every 0.5 s; this is of ").unwrap();
    // Somebody scrolls, and reads the table by keyboard.
    browser
        .run(
            "globalThis.marked = document.querySelector('.card'); \
         document.querySelector('.card .scroll').focus({ preventScroll: true }); scrollTo(0, 150)",
            &[],
        )
        .unwrap();
    ward.use_memory("77Mi");
    let card =
        browser.until("the new figure", "return document.querySelector('.card').innerText.includes('77 MiB')", &[]);
    card.unwrap();
    let stayed = "const same = document.querySelector('.card'); return [same === globalThis.marked, \
                  document.activeElement.className, Math.round(scrollY), same.innerText.includes('60 MiB')]";
    assert_eq!(browser.run(stayed, &[]).unwrap(), json!([true, "scroll", 150, false]));
    // The figures are those of the agent's own card.
    let id = "return document.querySelector('.card [data-key=footer] a').textContent.replace('run ', '')";
    let rows = "return [...document.querySelectorAll('[data-key=metrics] tbody tr')].map((row) => \
                [...row.children].map((cell) => cell.textContent).filter(Boolean))";
    let shown =
        browser.run(&format!("{id} + ' ' + JSON.stringify({})", rows.strip_prefix("return ").unwrap()), &[]).unwrap();
    let (id, rows) = shown.as_str().unwrap().split_once(' ').unwrap();
    let rows: Vec<Vec<String>> = serde_json::from_str(rows).unwrap();
    let text = ward.api().get(&format!("/v1/runs/{id}"), &["accept: text/plain"]).unwrap().body;
    assert!(rows.len() > 3, "{rows:?}");
    for row in rows {
        let line = text.lines().find(|line| line.trim_start().starts_with(&row[0])).unwrap();
        let cells: Vec<_> = line.trim().split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let cells = cells.iter().map(|cell| cell.trim_start_matches("warn ").trim_start_matches("critical "));
        assert_eq!(cells.collect::<Vec<_>>(), row, "{text}");
    }

    browser.hide().unwrap();
    browser.until("the pause", "return document.querySelector('.live').textContent.includes('paused')", &[]).unwrap();
    let before = ward.runs("k8s-top").len();
    browser.until("some intervals to pass", LATER, &[json!(2500)]).unwrap();
    assert_eq!(ward.runs("k8s-top").len(), before);
    ward.use_memory("88Mi");
    browser.unhide().unwrap();
    browser.until("it to go on", "return document.querySelector('.card').innerText.includes('88 MiB')", &[]).unwrap();

    browser.press("Stop").unwrap();
    browser.shows("stopped; this is of ").unwrap();
    let before = ward.runs("k8s-top").len();
    browser.run("globalThis.begun = undefined", &[]).unwrap();
    browser.until("some intervals to pass", LATER, &[json!(2500)]).unwrap();
    let runs = ward.runs("k8s-top");
    assert_eq!(runs.len(), before);
    assert!(!overlap(&runs), "{runs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn going_elsewhere_or_signing_out_ends_the_watching() {
    let ward = Ward::start().await;
    for leave in ["Overview", "Sign out"] {
        let browser = ward.visit("#/check/k8s-top?labels=app%3Dapi&watch=0.5");
        ward.sign_in(&browser, &ward.token);
        browser.press("Watch").unwrap();
        browser.shows("this is of ").unwrap();
        browser.press(leave).unwrap();
        browser.shows(if leave == "Overview" { "nothing is frozen" } else { "Token" }).unwrap();
        // One that was asked for before may still come.
        browser.until("some intervals to pass", LATER, &[json!(1000)]).unwrap();
        let before = ward.runs("k8s-top").len();
        browser.run("globalThis.begun = undefined", &[]).unwrap();
        browser.until("some intervals to pass", LATER, &[json!(2500)]).unwrap();
        assert_eq!(ward.runs("k8s-top").len(), before, "{leave}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_goes_away_is_told_of_above_the_card_of_before_and_waited_for() {
    let mut ward = Ward::start().await;
    let browser = ward.visit("#/check/k8s-top?labels=app%3Dapi&watch=0.5");
    ward.sign_in(&browser, &ward.token);
    browser.press("Watch").unwrap();
    browser.shows("60 MiB").unwrap();
    ward.kill_agent();
    browser.shows("does not answer; it is tried again; this is of ").unwrap();
    let line = browser.run("return document.querySelector('.live').textContent", &[]).unwrap();
    let time = line.as_str().unwrap().rsplit_once("this is of ").unwrap().1.to_owned();
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "00:00:00 UTC", "{line}");
    let card = browser.run(CARD, &[]).unwrap();
    assert!(card.as_str().unwrap().contains("60 MiB"), "{card}");
    ward.use_memory("77Mi");
    ward.start_agent();
    browser.shows("77 MiB").unwrap();
    let line = browser.run("return document.querySelector('.live').textContent", &[]).unwrap();
    assert!(line.as_str().unwrap().starts_with("every 0.5 s; this is of "), "{line}");
    assert!(!overlap(&ward.runs("k8s-top")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_good_any_more_ends_the_watching_and_another_one_starts_nothing() {
    let mut ward = Ward::start().await;
    let browser = ward.visit("#/check/k8s-top?labels=app%3Dapi&watch=0.5");
    ward.sign_in(&browser, &ward.token);
    browser.press("Watch").unwrap();
    browser.shows("60 MiB").unwrap();
    ward.kill_agent();
    ward.token = paramedic_tests::secret::random();
    ward.start_agent();
    browser.shows("the token is not one of those configured in `auth.tokens`").unwrap();
    assert_eq!(browser.run("return sessionStorage.length", &[]).unwrap(), json!(0));
    ward.sign_in(&browser, &ward.token);
    browser.shows("Run once").unwrap();
    let given = "return document.getElementById('every').value + ' ' + location.hash";
    assert_eq!(browser.run(given, &[]).unwrap(), json!("0.5 #/check/k8s-top?labels=app%3Dapi&watch=0.5"));
    browser.until("some intervals to pass", LATER, &[json!(2500)]).unwrap();
    assert_eq!(ward.runs("k8s-top"), [json!(null); 0]);
}
