//! The page, looked at with a real browser: a person signs in, runs checks, watches one live, and is lied to by a plugin.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

#[path = "page/hostile.rs"]
mod hostile;
#[path = "page/live.rs"]
mod live;
#[path = "page/ward.rs"]
mod ward;

use serde_json::json;
use ward::{VIEWER, Ward};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_in_the_agents_words_and_a_right_one_is_forgotten_at_the_end() {
    let ward = Ward::start().await;
    let browser = ward.visit("");
    browser.shows("Sign in").unwrap();
    browser.fill("Token", "wrong").unwrap();
    browser.press("Sign in").unwrap();
    browser.shows("the token is not one of those configured in `auth.tokens`").unwrap();
    assert!(!browser.text().unwrap().contains("Sweeps"));
    // What could not even be sent is told here.
    browser.fill("Token", "té").unwrap();
    browser.press("Sign in").unwrap();
    browser.shows("The token holds signs that no token can have.").unwrap();

    ward.sign_in(&browser, &ward.token);
    for text in
        ["READY it accepts runs", "PENDING\nshop\nruns when asked", "Nothing is held on a lease.", "nothing is frozen"]
    {
        browser.shows(text).unwrap();
    }
    // A reload within the tab asks for nothing.
    browser.open(&ward.url("#/plugins")).unwrap();
    browser.run("location.reload()", &[]).unwrap();
    browser.shows("k8s-top").unwrap();
    let looked = "return [document.documentElement.outerHTML, location.href, document.cookie, JSON.stringify(localStorage), \
                  document.referrer, JSON.stringify(performance.getEntries())].join()";
    let place = browser.run(looked, &[]).unwrap();
    ward.canaries.look("the page", place.as_str().unwrap().as_bytes()).unwrap();
    let kept = browser.run("return JSON.stringify(sessionStorage)", &[]).unwrap();
    assert!(kept.as_str().unwrap().contains(&ward.token), "{kept}");

    browser.press("Sign out").unwrap();
    browser.shows("Sign in").unwrap();
    assert_eq!(browser.run("return sessionStorage.length + localStorage.length", &[]).unwrap(), json!(0));
    browser.run("location.reload()", &[]).unwrap();
    browser.shows("Sign in").unwrap();
    assert!(!browser.text().unwrap().contains("k8s-top"));
    ward.canaries.look("the log", ward.log().as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_fills_the_form_in_and_a_person_starts_it() {
    let ward = Ward::start().await;
    let browser = ward.visit("#/check/k8s-top?labels=app%3Dapi&limit=7&watch=2&colour=red");
    ward.sign_in(&browser, &ward.token);
    browser.shows("The link gives colour, which this plugin does not take.").unwrap();
    let values = "const value = (name) => { \
                    const label = [...document.querySelectorAll('label')].find((one) => one.textContent.trim() === name); \
                    return document.getElementById(label.htmlFor).value; }; \
                  return [value('labels'), value('limit'), value('every'), value('target')]";
    assert_eq!(browser.run(values, &[]).unwrap(), json!(["app=api", "7", "2", ""]));
    // The same link again, as somebody follows it from a chat.
    browser.run("location.hash = '#/plugins'", &[]).unwrap();
    browser.press("k8s-top").unwrap();
    browser.shows("Run once").unwrap();
    assert_eq!(ward.runs("k8s-top"), [json!(null); 0]);
    browser.press("Run once").unwrap();
    browser.shows("OK k8s-top: 6 containers").unwrap();
    assert_eq!(ward.runs("k8s-top").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_parameter_stands_beside_its_field() {
    let ward = Ward::start().await;
    let browser = ward.visit("#/check/k8s-top?limit=500");
    ward.sign_in(&browser, &ward.token);
    browser.press("6 more parameters").unwrap();
    browser.fill("memory_warning", "much").unwrap();
    browser.press("Run once").unwrap();
    let beside = "const label = [...document.querySelectorAll('label')].find((one) => one.textContent.trim() === arguments[0]); \
                  const field = document.getElementById(label.htmlFor); \
                  const wrong = field.getAttribute('aria-describedby').split(' ').map((id) => document.getElementById(id)) \
                    .find((one) => one.className === 'wrong'); \
                  return field.getAttribute('aria-invalid') !== null && wrong.checkVisibility() && wrong.innerText";
    for (field, words) in [("limit", "500 is greater than the maximum of 200"), ("memory_warning", "much")] {
        let told = browser.until("the agent's words", beside, &[json!(field)]).unwrap();
        assert!(told.as_str().unwrap().contains(words), "{field}: {told}");
    }
    assert_eq!(browser.run(beside, &[json!("labels")]).unwrap(), json!(false));
    browser.shows("The parameters do not fit").unwrap();
    assert_eq!(ward.runs("k8s-top"), [json!(null); 0]);
    // Mended, it runs, and nothing is said to be wrong any more.
    browser.fill("memory_warning", "70").unwrap();
    browser.fill("limit", "2").unwrap();
    browser.press("Run once").unwrap();
    browser.shows(" k8s-top: ").unwrap();
    assert!(!browser.text().unwrap().contains("do not fit"));
    let params = &ward.run(&ward.runs("k8s-top")[0])["params"];
    assert_eq!((&params["limit"], &params["memory_warning"]), (&json!(2), &json!(70)), "{params}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_everything_and_is_refused_in_the_agents_words() {
    let ward = Ward::start().await;
    let run = ward.start_run("k8s-top", &json!({ "labels": "app=api" }));
    let browser = ward.visit("#/runs");
    ward.sign_in(&browser, VIEWER);
    browser.press("k8s-top").unwrap();
    browser.shows(run["id"].as_str().unwrap()).unwrap();
    browser.shows("Use of containers").unwrap();
    browser.run("location.hash = '#/check/k8s-top?labels=app%3Dapi'", &[]).unwrap();
    browser.press("Run once").unwrap();
    browser.shows("this needs the role `responder`; the token of `vera` has the role `viewer`").unwrap();
    assert_eq!(ward.runs("k8s-top").len(), 1);
    // Of a mitigation there is the command, and of one that cannot run the reason.
    browser.run("location.hash = '#/mitigation/k8s-scale?replicas=4'", &[]).unwrap();
    browser.shows("paramedic plan k8s-scale -p replicas=4").unwrap();
    browser.run("location.hash = '#/plugins'", &[]).unwrap();
    browser.shows("FAILED\nk8s-pods").unwrap();
    browser.shows("add plugins.k8s-pods.grants").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_under_way_is_followed_to_its_end() {
    let ward = Ward::start().await;
    let browser = ward.visit("#/runs");
    ward.sign_in(&browser, VIEWER);
    // Longer than anything here takes: it ends when it is told to.
    let begun = ward.begin_run("trouble", &json!({ "do": "log-and-wait", "lines": 3, "seconds": 300.0 }));
    let id = begun["id"].as_str().unwrap();
    browser.run("location.hash = `#/runs/${arguments[0]}`", &[json!(id)]).unwrap();
    for text in ["RUNNING trouble: since ", "it is followed while it goes on", "plugin: line 3"] {
        browser.shows(text).unwrap();
    }
    let answer = ward.api().ask("DELETE", &format!("/v1/runs/{id}"), &[], "").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    browser.shows("UNKNOWN trouble: no verdict (cancelled): ").unwrap();
    let gone = "return !document.body.innerText.includes('it is followed')";
    browser.until("the following to end", gone, &[]).unwrap();
    let text = browser.text().unwrap();
    assert!(text.contains("Log, 3 lines"), "{text}");
    assert_eq!(text.matches("plugin: line 2").count(), 1, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_commands_are_those_of_a_terminal() {
    let ward = Ward::start().await;
    let browser = ward.visit("");
    let quantities = json!([
        [45, "1", "45"],
        [0, "1", "0"],
        [-3.5, "1", "-3.5"],
        [1e20, "1", "1e20"],
        [0.000_012, "1", "1.2e-5"],
        [100, "1", "100"],
        [93.256_7, "%", "93.257 %"],
        [45, "{connections}", "45 connections"],
        [12, "{jobs}/s", "12 jobs/s"],
        [0, "By", "0 B"],
        [1023, "By", "1023 B"],
        [1_610_612_736, "By", "1.5 GiB"],
        [16, "MiBy", "16 MiB"],
        [1e15, "By", "909 TiB"],
        [0.012_34, "s", "12.3 ms"],
        [0.000_5, "s", "500 µs"],
        [0.999_9, "s", "1 s"],
        [59.99, "s", "1 min"],
        [30, "s", "30 s"],
        [3599.9, "s", "1 h"],
        [95, "s", "1 min 35 s"],
        [1500, "ms", "1.5 s"],
        [200_000, "s", "2 d 7 h"],
        [-0.5, "s", "-500 ms"],
    ]);
    let commands = json!([
        [{}, "paramedic run x"],
        [{ "target": "main", "limit": 5 }, "paramedic run x -p limit=5 -p target=main"],
        [{ "id": "5" }, r#"paramedic run x -p 'id="5"'"#],
        [{ "why": "it's" }, r"paramedic run x -p 'why=it'\''s'"],
        [{ "a b": 1 }, r#"paramedic run x --params '{"a b":1}'"#],
        [{ "text": "$(reboot); `id`" }, "paramedic run x -p 'text=$(reboot); `id`'"],
        [{ "sign": "\u{1b}[31m\u{202e}\nred" }, r#"paramedic run x -p 'sign="\u001b[31m\u202e\nred"'"#],
    ]);
    let script = "const [{ quantity }, { commandLine }] = await Promise.all( \
                    ['quantity', 'notation'].map((name) => import(`/page/${name}.js`))); \
                  return [...arguments[0].map(([value, unit]) => quantity(value, unit)), \
                          ...arguments[1].map(([params]) => commandLine('run', 'x', params))]";
    let script = format!("return (async function () {{ {script} }}).apply(null, arguments)");
    let told = browser.run(&script, &[quantities.clone(), commands.clone()]).unwrap();
    let cases = [quantities.as_array().unwrap().as_slice(), commands.as_array().unwrap()].concat();
    let expected: Vec<_> = cases.iter().map(|case| case.as_array().unwrap().last().unwrap()).collect();
    assert_eq!(told, json!(expected));
}
