//! A plugin that writes for whoever takes text for markup.

use serde_json::json;

use crate::ward::Ward;

/// Remembers what the page was kept from doing.
const LISTEN: &str = "globalThis.violations = []; \
    document.addEventListener('securitypolicyviolation', (event) => globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI}`))";

/// What ran, what was kept from running, where anything was asked for, and what elements were made of text.
const TOLD: &str = "return { \
    forged: globalThis.forged ?? null, polluted: ({}).forged ?? null, violations: globalThis.violations, \
    elsewhere: performance.getEntriesByType('resource').map((entry) => entry.name).filter((name) => new URL(name).origin !== location.origin), \
    made: [...document.body.querySelectorAll('img, iframe, script, style, link, object, embed, base, b, svg')].map((one) => one.outerHTML), \
    handlers: [...document.querySelectorAll('*')].flatMap((one) => [...one.attributes]).map((one) => one.name).filter((name) => name.startsWith('on')), \
    links: [...document.querySelectorAll('a')].map((one) => one.getAttribute('href')).filter((place) => !place.startsWith('#/')), \
    odd: [...document.body.innerText].filter((sign) => /[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]/.test(sign)).length \
}";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_says_is_shown_as_text_and_does_nothing() {
    let ward = Ward::start().await;
    let browser = ward.visit("#/plugins");
    ward.sign_in(&browser, &ward.token);
    browser.run(LISTEN, &[]).unwrap();
    browser
        .shows("<img src=x onerror=\"globalThis.forged=1\">user\u{fffd}nimda\u{fffd}\u{fffd}[2J\u{fffd}end")
        .unwrap();
    browser.press("forger").unwrap();
    browser.shows("<img src=x onerror=globalThis.forged=1> \u{fffd}emarap").unwrap();
    browser.press("Run once").unwrap();
    for text in [
        "</script><script>globalThis.forged=1</script>",
        "[a link](javascript:globalThis.forged=1)",
        "<iframe src=\"http://127.0.0.1:9/forged\"></iframe>",
        "user\u{fffd}nimda\u{fffd}\u{fffd}[2J\u{fffd}end",
        "row 100",
        "… and 400 more rows; the JSON has them all",
    ] {
        browser.shows(text).unwrap();
    }
    let rows = browser.run("return document.querySelectorAll('[data-key=table-0] tbody tr').length", &[]).unwrap();
    assert_eq!(rows, json!(100));
    // A suggestion leads to a form and to nothing else.
    browser
        .run(
            "[...document.querySelectorAll('.next button')].find((one) => one.textContent.startsWith('Open')).click()",
            &[],
        )
        .unwrap();
    browser.until("the form", "return location.hash.startsWith('#/check/forger?')", &[]).unwrap();
    browser.shows("Run once").unwrap();
    let id = ward.runs("forger")[0]["id"].as_str().unwrap().to_owned();
    browser.run("location.hash = `#/runs/${arguments[0]}`", &[json!(id)]).unwrap();
    browser.shows("Log, 1 line").unwrap();
    browser
        .run("location.hash = '#/runs?plugin=%3Cimg%20src%3Dx%20onerror%3D%22globalThis.forged%3D1%22%3E'", &[])
        .unwrap();
    browser.shows("Runs").unwrap();
    browser.run("location.hash = '#/runs'", &[]).unwrap();
    browser.shows("forger").unwrap();
    browser
        .run(
            "location.hash = '#/check/k8s-top?%3Cb%3Ex=javascript%3AglobalThis.forged%3D1&labels=%22%3E%3Cscript%3E'",
            &[],
        )
        .unwrap();
    browser.shows("The link gives <b>x").unwrap();
    let told = browser.run(TOLD, &[]).unwrap();
    let nothing = json!({
        "forged": null, "polluted": null, "violations": [], "elsewhere": [], "made": [], "handlers": [], "links": [], "odd": 0,
    });
    assert_eq!(told, nothing);
    assert_eq!(ward.runs("forger").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_would_stop_what_the_page_never_does() {
    let ward = Ward::start().await;
    let browser = ward.visit("");
    browser.run(LISTEN, &[]).unwrap();
    // The policy is in force: markup cannot be made of text, and nobody else can be asked, even by a script of the page.
    let markup =
        browser.run("try { document.body.innerHTML = '<img src=x>'; return 'made' } catch { return 'stopped' }", &[]);
    let is_chromium = browser.run("return 'trustedTypes' in globalThis", &[]).unwrap();
    if is_chromium == json!(true) {
        assert_eq!(markup.unwrap(), json!("stopped"));
    }
    browser.run("const script = document.createElement('script'); script.textContent = 'globalThis.forged = 1'; document.head.append(script)", &[]).ok();
    browser.run("fetch('http://127.0.0.1:9/').catch(() => {})", &[]).unwrap();
    browser
        .until(
            "the browser to stop it",
            "return globalThis.violations.some((one) => one.startsWith('connect-src'))",
            &[],
        )
        .unwrap();
    assert_eq!(browser.run("return globalThis.forged ?? null", &[]).unwrap(), json!(null));
}
