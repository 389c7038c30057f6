//! The HTTP client against servers on loopback: honest, slow, broken and hostile ones.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers below are tests as well")]

#[path = "http_client/authority.rs"]
mod authority;
#[path = "http_client/changes.rs"]
mod changes;
#[path = "http_client/server.rs"]
mod server;
#[path = "http_client/target.rs"]
mod target;

use std::sync::Arc;
use std::time::{Duration, Instant};

use authority::{Authority, EXPIRED, NOT_YET, VALID, valid_until};
use paramedic::clients::http::{Credential, Http, InvalidSettings, Request, Settings};
use paramedic::clock::{Clock, SystemClock};
use paramedic::domain::{CallError, CallLimits, DenialReason, Secret, Severity};
use paramedic_tests::wait;
use server::{Part, Server, answer, chunked, path_of, raw};
use target::*;

/// A limit that a test runs into.
const SHORT: Duration = Duration::from_millis(300);

/// What may pass until a limit of [`SHORT`] has shown, on a machine that is busy.
const SOON: Duration = Duration::from_secs(10);

// Requests and answers.

#[tokio::test]
async fn a_get_goes_below_the_base_with_what_the_host_adds() {
    let server = Server::plain(answer("200 OK", &["X-Mixed: a", "x-mixed: b"], "fine")).await;
    let http = target(bearer(&format!("{}/api/", server.url())));
    let headers = vec![field("Accept", "application/json"), field("X-Trace", "1"), field("x-trace", "2")];
    let request = Request { path: "/%68ealth/../health?full=1&a=%2f".into(), headers, timeout: None };
    let response = http.get(&may_get(&["/health"]), &limits(AMPLE), request).await.unwrap();

    assert_eq!((response.status, response.body.as_slice()), (200, &b"fine"[..]));
    let mixed: Vec<_> = response.headers.iter().filter(|header| header.name == "x-mixed").collect();
    assert_eq!(mixed, [&field("x-mixed", "a"), &field("x-mixed", "b")]);
    assert!(response.latency > 0.0 && response.latency < AMPLE.as_secs_f64());
    assert_eq!(response.certificate_remaining, None);

    let head = server.heads().remove(0);
    let mut lines: Vec<_> = head.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.remove(0), "GET /api/health?full=1&a=%2f HTTP/1.1");
    lines.sort_unstable();
    let (user_agent, host) = (format!("user-agent: paramedic/{}", env!("CARGO_PKG_VERSION")), server.port());
    let host = format!("host: 127.0.0.1:{host}");
    let authorization = format!("authorization: Bearer {TOKEN}");
    let expected = [
        "accept-encoding: identity",
        "accept: application/json",
        &authorization,
        &host,
        &user_agent,
        "x-trace: 1",
        "x-trace: 2",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_head_has_no_body_and_follows_redirects_as_a_head() {
    let server = Server::start(None, |head| match path_of(head) {
        "/old" => raw("HTTP/1.1 303 See Other\r\nlocation: /new\r\ncontent-length: 9\r\n\r\n"),
        _ => raw("HTTP/1.1 200 OK\r\ncontent-length: 123456789\r\ncontent-encoding: gzip\r\n\r\n"),
    })
    .await;
    let permit = may_head(&["/old", "/new"]);
    let response = target(settings(&server.url())).head(&permit, &limits(AMPLE), request("/old")).await.unwrap();
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert_eq!(header(&response, "content-length"), Some("123456789"));
    assert!(server.heads().iter().all(|head| head.starts_with("HEAD /")), "{:?}", server.heads());
}

#[tokio::test]
async fn every_status_is_an_answer_and_every_byte_of_a_body_arrives() {
    let bytes: Vec<u8> = (0..=255).collect();
    for status in ["200 OK", "404 Not Found", "418 I'm a teapot", "500 Oops", "503 Later", "599 Beyond"] {
        let server = Server::plain(answer(status, &[], &bytes)).await;
        let response = get(&target(bearer(&server.url())), "/").await.unwrap();
        assert_eq!((response.status.to_string().as_str(), response.body), (&status[..3], bytes.clone()));
    }
    let server = Server::plain(raw("HTTP/1.1 204 No Content\r\n\r\n")).await;
    assert_eq!(get(&target(settings(&server.url())), "/").await.unwrap().status, 204);
}

#[tokio::test]
async fn cookies_are_neither_shown_nor_kept_and_no_connection_is_reused() {
    let server = Server::plain(answer("200 OK", &["Set-Cookie: sid=1; Path=/", "set-cookie2: x=y"], "")).await;
    let http = target(settings(&server.url()));
    for _ in 0..2 {
        let response = get(&http, "/").await.unwrap();
        assert_eq!(header(&response, "set-cookie").or(header(&response, "set-cookie2")), None);
    }
    assert!(server.heads().iter().all(|head| !head.contains("cookie")), "{:?}", server.heads());
    assert_eq!(server.connections(), 2);
}

/// Runs another test of this binary with proxies in the environment that lead nowhere.
#[test]
fn proxies_of_the_environment_are_not_used() {
    let name = "a_get_goes_below_the_base_with_what_the_host_adds";
    let nowhere = "http://127.0.0.1:1";
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .envs([("HTTP_PROXY", nowhere), ("http_proxy", nowhere), ("ALL_PROXY", nowhere), ("all_proxy", nowhere)])
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.success() && output.contains("1 passed"), "{output}");
}

// What a plugin may ask for.

#[tokio::test]
async fn a_path_outside_the_grant_is_denied_before_anything_connects() {
    let server = Server::plain(answer("200 OK", &[], "")).await;
    let http = target(settings(&server.url()));
    let permit = may_get(&["/health", "/status/*"]);
    for path in [
        "/",
        "/admin",
        "/health/",
        "/healthz",
        "/health/../admin",
        "/health/%2e%2e/admin",
        "/status/../admin",
        "/status/a/b",
        "/%61dmin",
        "/status",
        "/./admin?/health",
        "/HEALTH",
    ] {
        match http.get(&permit, &limits(AMPLE), request(path)).await {
            Err(CallError::Denied(denial)) => assert_eq!(denial.reason, DenialReason::OutOfBounds, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn hostile_paths_and_headers_are_invalid_before_anything_connects() {
    let server = Server::plain(answer("200 OK", &[], "")).await;
    let http = target(Settings {
        credentials: vec![Credential::Header { name: "x-api-key".parse().unwrap(), value: Secret::new(TOKEN) }],
        ..settings(&server.url())
    });
    let refused = async |request: Request| match http.get(&may_get(&["/**"]), &limits(AMPLE), request.clone()).await {
        Err(CallError::Invalid(message)) => message,
        other => panic!("{request:?}: {other:?}"),
    };
    for path in [
        "",
        "health",
        "//evil.example/",
        "http://evil.example/",
        "@evil.example/",
        "/..",
        "/a/../../b",
        "/a//b",
        "/a%2fb",
        "/a%5cb",
        "/a\\b",
        "/a%00",
        "/a\0",
        "/a\r\nx: y",
        "/a b",
        "/%252e%252e",
        "/..;/a",
        "/u@h",
        "/a#b",
        "/a?b c",
        "/a?b\nc",
        "/caf\u{e9}",
        "/%c0%af",
    ] {
        refused(request(path)).await;
    }
    for name in [
        "Host",
        "Authorization",
        "COOKIE",
        "cookie2",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "Upgrade",
        "HTTP2-Settings",
        "Proxy-Authorization",
        "proxy-anything",
        "TE",
        "Trailer",
        "Forwarded",
        "X-Forwarded-For",
        "x-forwarded-host",
        "X-Forwarded-Anything",
        "Via",
        "X-Real-IP",
        "Expect",
        "User-Agent",
        "Accept-Encoding",
        "Content-Encoding",
        "Range",
        "If-Range",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Envoy-Original-Path",
        "X-API-Key",
    ] {
        let headers = vec![field("accept", "*/*"), field(name, "1")];
        let message = refused(Request { headers, ..request("/") }).await;
        assert_eq!(message, format!("the header `{name}` is the host's to set"));
    }
    for name in ["", " ", "a b", "a:", "a\r\nx", "host ", "x_forwarded_for", "x_api_key", "content_length", "h\u{f6}st"]
    {
        let message = refused(Request { headers: vec![field(name, "1")], ..request("/") }).await;
        assert!(message.ends_with("is no header name: use letters, digits and `-`"), "{message}");
    }
    for value in ["a\r\nhost: evil", "a\nb", "a\0", "\u{e9}", "\u{7f}"] {
        refused(Request { headers: vec![field("x-a", value)], ..request("/") }).await;
    }
    refused(Request { headers: vec![field("x-a", "1"); 33], ..request("/") }).await;
    refused(Request { headers: vec![field("x-a", &"a".repeat(8 << 10))], ..request("/") }).await;
    assert_eq!(server.connections(), 0);
}

// Credentials.

#[tokio::test]
async fn an_echo_of_a_credential_never_reaches_the_plugin() {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(format!("Authorization: Bearer {TOKEN}"));
    let percent: String = TOKEN.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let json = TOKEN.replace('/', "\\/");
    let body = format!("raw {TOKEN}, url {percent}, json \"{json}\", base64 {base64}.");
    let echo = format!("x-echo: you sent {TOKEN}");
    let authorization = format!("Authorization: Bearer {TOKEN}");
    let location = format!("Location: https://user:pass@elsewhere.example/?token={percent}");
    let fields = [
        echo.as_str(),
        &authorization,
        &location,
        "Authentication-Info: nextnonce=1",
        "Proxy-Authenticate: Basic",
        "WWW-Authenticate: Bearer realm=\"api\"",
    ];
    let server = Server::plain(answer("302 Found", &fields, &body)).await;
    let response = get(&target(bearer(&server.url())), "/").await.unwrap();

    let text = String::from_utf8(response.body.clone()).unwrap();
    assert!(text.starts_with("raw [redacted], url [redacted], json \"[redacted]\", base64 QXV0aG9yaXphdGlvbjo"));
    assert!(text.ends_with("[redacted]."), "{text}");
    assert_eq!(header(&response, "x-echo"), Some("you sent [redacted]"));
    assert_eq!(header(&response, "location"), Some("https://elsewhere.example/?token=[redacted]"));
    assert_eq!(header(&response, "www-authenticate"), Some("Bearer realm=\"api\""));
    for hidden in ["authorization", "authentication-info", "proxy-authenticate"] {
        assert_eq!(header(&response, hidden), None);
    }
    assert!(!format!("{response:?}").contains("t0k3n"));
}

#[tokio::test]
async fn an_echo_across_chunks_is_found() {
    let bytes: Vec<Vec<u8>> = format!("<{TOKEN}>").bytes().map(|byte| vec![byte]).collect();
    let server = Server::plain(chunked(&bytes.iter().map(Vec::as_slice).collect::<Vec<_>>())).await;
    let response = get(&target(bearer(&server.url())), "/").await.unwrap();
    assert_eq!(response.body, b"<[redacted]>");
}

#[tokio::test]
async fn an_echo_in_a_large_body_is_found() {
    let body = format!("{}{TOKEN}{}", "a".repeat(300 << 10), "b".repeat(300 << 10));
    let server = Server::plain(answer("200 OK", &[], &body)).await;
    let response = get(&target(bearer(&server.url())), "/").await.unwrap();
    assert_eq!(response.body, body.replace(TOKEN, "[redacted]").as_bytes());
}

#[tokio::test]
async fn basic_and_header_credentials_are_sent_and_their_parts_scrubbed() {
    let basic = Credential::Basic { user: "probe".into(), password: Secret::new("hunter2") };
    let key = Credential::Header { name: "x-api-key".parse().unwrap(), value: Secret::new("key-4711") };
    let body = "cHJvYmU6aHVudGVyMg== probe:hunter2 hunter2 key-4711 probe";
    let server = Server::plain(answer("200 OK", &["X-Api-Key: other"], body)).await;
    let http = target(Settings { credentials: vec![basic, key], ..settings(&server.url()) });
    let response = get(&http, "/").await.unwrap();
    assert_eq!(response.body, b"[redacted] [redacted] [redacted] [redacted] probe");
    assert_eq!(header(&response, "x-api-key"), None);
    let head = server.heads().remove(0);
    assert!(head.contains("authorization: Basic cHJvYmU6aHVudGVyMg==\r\n") && head.contains("x-api-key: key-4711\r\n"));
}

// Redirects.

#[tokio::test]
async fn redirects_within_the_target_are_followed_with_credentials() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let server = Server::start(None, move |head| {
            let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
            match path_of(head) {
                "/api/a" => answer(status, &["location: b?x=1"], "moved"),
                "/api/b?x=1" => answer(status, &[&format!("location: http://{host}/api/./c")], ""),
                "/api/c" => answer(status, &["location: /api/d#fragment"], ""),
                "/api/d" => answer("200 OK", &[], "here"),
                other => panic!("nobody should ask for {other}"),
            }
        })
        .await;
        let http = target(bearer(&format!("{}/api", server.url())));
        let permit = may_get(&["/a", "/b", "/c", "/d"]);
        let response = http.get(&permit, &limits(AMPLE), request("/a")).await.unwrap();
        assert_eq!((response.status, response.body.as_slice()), (200, &b"here"[..]));
        let heads = server.heads();
        assert_eq!(heads.len(), 4);
        assert!(heads.iter().all(|head| head.contains(TOKEN) && !head.contains("referer")), "{heads:?}");
    }
}

#[tokio::test]
async fn a_redirect_out_of_the_grant_is_denied_and_not_sent() {
    for location in ["/admin", "/health/../admin", "/health/%2e%2e/admin", "\\admin", "./admin", "/ad\tmin"] {
        let server = Server::start(None, move |_| answer("302 Found", &[&format!("location: {location}")], "")).await;
        let http = target(settings(&server.url()));
        match http.get(&may_get(&["/health"]), &limits(AMPLE), request("/health")).await {
            Err(CallError::Denied(denial)) => assert_eq!(denial.reason, DenialReason::OutOfBounds),
            // A tab has no place in a header that is followed.
            Ok(response) if location.contains('\t') => assert_eq!(response.status, 302),
            other => panic!("{location}: {other:?}"),
        }
        assert_eq!(server.heads().len(), 1, "{location}");
    }
}

#[tokio::test]
async fn a_redirect_out_of_the_target_is_passed_on_and_not_followed() {
    let elsewhere = Server::plain(answer("200 OK", &[], "stolen")).await;
    let other_port = format!("{}/api/b", elsewhere.url());
    for location in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "http://metadata.google.internal/",
        "//169.254.169.254/",
        "/\\169.254.169.254/",
        "https://127.0.0.1/api/b",
        "file:///etc/passwd",
        "data:text/plain,x",
        "/outside",
        "/apix/b",
        "/api/../outside",
        "/api/%2e%2e/outside",
        "/api/..%2foutside",
        "/api/..;/outside",
        "/api//b",
        "http://[::1",
        other_port.as_str(),
    ] {
        let field = format!("location: {location}");
        let server = Server::start(None, move |_| answer("302 Found", &[&field], "moved")).await;
        let response = get(&target(bearer(&format!("{}/api", server.url()))), "/a").await.unwrap();
        assert_eq!((response.status, response.body.as_slice()), (302, &b"moved"[..]), "{location}");
        assert_eq!(header(&response, "location"), Some(location));
        assert_eq!(server.connections(), 1, "{location}");
    }
    let server = Server::start(None, |head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        answer("302 Found", &[&format!("location: http://user:pass@{host}/b")], "")
    })
    .await;
    let response = get(&target(bearer(&server.url())), "/a").await.unwrap();
    assert_eq!(header(&response, "location"), Some(format!("{}/b", server.url()).as_str()));
    assert_eq!((server.connections(), elsewhere.connections()), (1, 0));
}

#[tokio::test]
async fn circles_and_long_chains_of_redirects_end() {
    let server = Server::start(None, |head| match path_of(head) {
        "/ping" => answer("302 Found", &["location: /pong"], ""),
        "/pong" => answer("302 Found", &["location: /ping"], ""),
        path => answer("302 Found", &[&format!("location: {path}x")], ""),
    })
    .await;
    let http = target(settings(&server.url()));
    assert_eq!(code(&get(&http, "/ping").await.unwrap_err()), "redirect_loop");
    assert_eq!(server.heads().len(), 2);
    assert_eq!(code(&get(&http, "/x").await.unwrap_err()), "too_many_redirects");
    assert_eq!(server.heads().len(), 2 + 1 + 3);

    let http = target(Settings { max_redirects: 0, ..settings(&server.url()) });
    assert_eq!(get(&http, "/x").await.unwrap().status, 302);
}

// Addresses.

#[tokio::test]
async fn closed_addresses_are_refused_as_written() {
    for host in ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.1", "[::1]", "[::ffff:7f00:1]", "localhost"] {
        let open = Settings::new(format!("http://{host}/").parse().unwrap());
        let refusal = Http::new("api".parse().unwrap(), open.clone()).err();
        assert!(matches!(refusal, Some(InvalidSettings::Address(_))), "{host}: {refusal:?}");
        assert!(Http::new("api".parse().unwrap(), Settings { allow_private: true, ..open }).is_ok(), "{host}");
    }
    for host in ["169.254.169.254", "0xa9fea9fe", "[fe80::1]", "[fd00:ec2::254]", "0.0.0.0", "metadata.google.internal"]
    {
        let refusal = Http::new("api".parse().unwrap(), settings(&format!("http://{host}/"))).err();
        assert!(matches!(refusal, Some(InvalidSettings::Address(_))), "{host}: {refusal:?}");
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_a_closed_address_is_denied_without_a_connection() {
    let server = Server::plain(answer("200 OK", &[], "")).await;
    let base_url = format!("http://api.test:{}/", server.port());
    let public = Settings::new(base_url.parse().unwrap());
    for (settings, address) in [
        (public.clone(), "127.0.0.1"),
        (public.clone(), "::ffff:127.0.0.1"),
        (public, "10.0.0.1"),
        (settings(&base_url), "169.254.169.254"),
        (settings(&base_url), "64:ff9b::a9fe:a9fe"),
        (settings(&base_url), "fd00:ec2::254"),
        (settings(&base_url), "0.0.0.0"),
    ] {
        match get(&named(settings, &Script::new(&[&[address]])), "/").await {
            Err(CallError::Denied(denial)) => {
                assert_eq!((denial.operation.as_str(), denial.target.as_str()), ("http/get", "http/api"));
                assert!(denial.message.ends_with("addresses are not allowed for this target"), "{denial}");
                assert!(!denial.message.contains(address) && !denial.message.contains("api.test"), "{denial}");
            }
            other => panic!("{address}: {other:?}"),
        }
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_is_judged_and_connected_to_by_one_and_the_same_lookup() {
    let server = Server::plain(answer("200 OK", &[], "")).await;
    let names = Script::new(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let http = named(settings(&format!("http://api.test:{}/", server.port())), &names);
    assert_eq!(get(&http, "/").await.unwrap().status, 200);
    assert_eq!(names.asked(), 1);
    // The name has changed its mind by now, which the next exchange notices.
    assert!(matches!(get(&http, "/").await, Err(CallError::Denied(_))));
    assert_eq!((names.asked(), server.connections()), (2, 1));
}

#[tokio::test]
async fn a_name_that_changes_its_mind_in_the_middle_of_a_redirect_is_judged_again() {
    let server = Server::plain(answer("302 Found", &["location: /b"], "")).await;
    let names = Script::new(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let http = named(settings(&format!("http://api.test:{}/", server.port())), &names);
    assert!(matches!(get(&http, "/a").await, Err(CallError::Denied(_))));
    assert_eq!((names.asked(), server.connections()), (2, 1));
}

#[tokio::test]
async fn of_several_addresses_only_open_ones_are_connected_to() {
    let server = Server::plain(answer("200 OK", &[], "")).await;
    let names = Script::new(&[&["169.254.169.254", "0.0.0.0", "127.0.0.1"]]);
    let http = named(settings(&format!("http://api.test:{}/", server.port())), &names);
    assert_eq!(get(&http, "/").await.unwrap().status, 200);
    assert!(server.heads()[0].contains(&format!("host: api.test:{}\r\n", server.port())));
}

#[tokio::test]
async fn the_systems_resolver_is_the_one_that_is_asked() {
    let server = Server::plain(answer("200 OK", &[], "")).await;
    let http = target(settings(&format!("http://localhost:{}/", server.port())));
    assert_eq!(get(&http, "/").await.unwrap().status, 200);
}

// Sizes.

#[tokio::test]
async fn a_body_past_the_cap_is_refused_whether_announced_or_not() {
    let exact = "a".repeat(1000);
    let over = "a".repeat(1001);
    let small = |url: &str| target(Settings { body_bytes: 1000, ..settings(url) });
    let server = Server::plain(answer("200 OK", &[], &exact)).await;
    assert_eq!(get(&small(&server.url()), "/").await.unwrap().body.len(), 1000);
    let endless = [raw("HTTP/1.1 200 OK\r\n\r\n"), vec![Part::Drip(vec![b'a'; 700], Duration::ZERO)]].concat();
    for parts in [answer("200 OK", &[], &over), chunked(&[exact.as_bytes(), b"a"]), endless] {
        let server = Server::plain(parts).await;
        let error = get(&small(&server.url()), "/").await.unwrap_err();
        assert_eq!(error, CallError::TooLarge("the body exceeds 1000 bytes".into()));
    }
}

#[tokio::test]
async fn a_body_announced_as_huge_is_refused_without_reading_it() {
    let huge = [raw("HTTP/1.1 200 OK\r\ncontent-length: 9999999999999\r\n\r\n"), vec![Part::Hold]].concat();
    let server = Server::plain(huge).await;
    assert!(matches!(get(&target(settings(&server.url())), "/").await, Err(CallError::TooLarge(_))));
}

#[tokio::test]
async fn the_limit_of_the_run_counts_the_head_too() {
    let server = Server::plain(answer("200 OK", &[&format!("x-a: {}", "a".repeat(500))], "a".repeat(600))).await;
    let http = target(settings(&server.url()));
    let get = async |answer_bytes| {
        let limits = CallLimits { answer_bytes, ..limits(AMPLE) };
        http.get(&may_get(&["/"]), &limits, request("/")).await
    };
    assert!(get(2000).await.is_ok());
    assert!(matches!(get(1000).await, Err(CallError::TooLarge(_))));
    assert!(matches!(get(100).await, Err(CallError::TooLarge(_))));
}

#[tokio::test]
async fn a_body_that_grows_by_redaction_is_measured_afterwards() {
    let server = Server::plain(answer("200 OK", &[], "hunt".repeat(250))).await;
    let credentials = vec![Credential::Header { name: "x-key".parse().unwrap(), value: Secret::new("hunt") }];
    let http = target(Settings { credentials, body_bytes: 1000, ..settings(&server.url()) });
    assert!(matches!(get(&http, "/").await, Err(CallError::TooLarge(_))));
}

#[tokio::test]
async fn an_encoded_body_is_refused() {
    for encoding in ["gzip", "GZIP", "br", "deflate", "identity, gzip", "zstd"] {
        let field = format!("Content-Encoding: {encoding}");
        let server = Server::plain(answer("200 OK", &[&field], "\x1f\u{8b}")).await;
        assert_eq!(code(&get(&target(settings(&server.url())), "/").await.unwrap_err()), "content_encoding");
    }
    let server = Server::plain(answer("200 OK", &["Content-Encoding: Identity"], "plain")).await;
    assert_eq!(get(&target(settings(&server.url())), "/").await.unwrap().body, b"plain");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let many: Vec<String> = (0..101).map(|i| format!("x-{i}: a")).collect();
    let many = answer("200 OK", &many.iter().map(String::as_str).collect::<Vec<_>>(), "");
    let wide = answer("200 OK", &[&format!("x-a: {}", "a".repeat(33 << 10))], "");
    let endless = [raw("HTTP/1.1 200 OK\r\nx-a: "), vec![Part::Drip(vec![b'a'; 16 << 10], Duration::ZERO)]].concat();
    for (name, parts) in [("many", many), ("wide", wide), ("endless", endless)] {
        let server = Server::plain(parts).await;
        let error = get(&target(settings(&server.url())), "/").await.unwrap_err();
        let expected = CallError::TooLarge("the head of the answer exceeds the host's limit".into());
        assert_eq!(error, expected, "{name}");
    }
}

// Time.

#[tokio::test]
async fn slow_peers_end_with_the_deadline_or_the_requests_own_limit() {
    let drip = |bytes: &[u8]| vec![Part::Drip(bytes.to_vec(), Duration::from_millis(20))];
    let head = || raw("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
    for (name, parts, message) in [
        ("silent", vec![Part::Hold], "no answer within the time limit"),
        ("slow head", [raw("HTTP/1.1 200 OK\r\nx-a: "), drip(b"a")].concat(), "no answer within the time limit"),
        ("slow body", [head(), drip(b"a")].concat(), "the answer did not end within the time limit"),
        ("silent body", [head(), vec![Part::Hold]].concat(), "the answer did not end within the time limit"),
    ] {
        let server = Server::plain(parts).await;
        let http = target(settings(&server.url()));
        for (deadline, timeout) in
            [(SHORT, None), (AMPLE, Some(SHORT)), (SHORT, Some(AMPLE)), (SHORT, Some(Duration::MAX))]
        {
            let started = Instant::now();
            let request = Request { timeout, ..request("/") };
            let error = http.get(&may_get(&["/"]), &limits(deadline), request).await.unwrap_err();
            assert_eq!(error, CallError::TimedOut(message.into()), "{name}");
            assert!(started.elapsed() >= SHORT && started.elapsed() < SOON, "{name}: {:?}", started.elapsed());
        }
        wait::until_async("the client to leave", async || Ok((server.departures() == 4).then_some(()))).await.unwrap();
    }
}

#[tokio::test]
async fn redirects_share_one_time_limit() {
    let server = Server::start(None, |head| match path_of(head) {
        "/a" => answer("302 Found", &["location: /b"], ""),
        _ => vec![Part::Hold],
    })
    .await;
    let started = Instant::now();
    let http = target(settings(&server.url()));
    let error = http.get(&may_get(&["/**"]), &limits(SHORT), request("/a")).await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut(_)) && started.elapsed() < SOON);
}

#[tokio::test]
async fn a_handshake_that_never_ends_runs_into_the_connect_timeout() {
    // The listener takes the connection, and nobody speaks on it.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}", listener.local_addr().unwrap());
    let http = target(Settings { connect_timeout: SHORT, ..settings(&base_url) });
    let started = Instant::now();
    let error = get(&http, "/").await.unwrap_err();
    assert_eq!(error, CallError::TimedOut("no connection within the time limit".into()));
    assert!(started.elapsed() < SOON);
}

#[tokio::test]
async fn a_dropped_call_leaves_the_server() {
    let server = Server::plain(vec![Part::Hold]).await;
    let http = Arc::new(target(settings(&server.url())));
    let call = tokio::spawn({
        let http = Arc::clone(&http);
        async move { get(&http, "/").await }
    });
    wait::until_async("the request", async || Ok((server.heads().len() == 1).then_some(()))).await.unwrap();
    call.abort();
    wait::until_async("the client to leave", async || Ok((server.departures() == 1).then_some(()))).await.unwrap();
}

#[tokio::test]
async fn only_so_many_exchanges_happen_at_once() {
    let server = Server::plain(vec![Part::Hold]).await;
    let http = Arc::new(target(settings(&server.url())));
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let http = Arc::clone(&http);
            tokio::spawn(async move { get(&http, "/").await })
        })
        .collect();
    wait::until_async("eight requests", async || Ok((server.heads().len() == 8).then_some(()))).await.unwrap();
    let ninth = http.get(&may_get(&["/"]), &limits(SHORT), request("/")).await;
    let message = "too many exchanges with this target at the same time";
    assert_eq!(ninth, Err(CallError::TimedOut(message.into())));
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    wait::until_async("all to leave", async || Ok((server.departures() == 8).then_some(()))).await.unwrap();
    let tenth = http.get(&may_get(&["/"]), &limits(SHORT), request("/")).await;
    assert_eq!(tenth, Err(CallError::TimedOut("no answer within the time limit".into())));
}

// Failures.

#[tokio::test]
async fn connections_that_fail_say_how_without_saying_where() {
    let reset = Server::plain(vec![Part::Reset]).await;
    let halfway = [raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), vec![Part::Reset]].concat();
    let halfway = Server::plain(halfway).await;
    for (url, message) in [
        // Nobody listens on tcpmux.
        ("http://127.0.0.1:1/".to_owned(), "the connection was refused"),
        (reset.url(), "the connection was reset"),
        (halfway.url(), "the connection was reset"),
    ] {
        assert_eq!(get(&target(settings(&url)), "/").await, Err(CallError::Unavailable(message.into())), "{url}");
    }
    let unknown = named(settings("http://api.test/"), &Script::new(&[]));
    assert_eq!(get(&unknown, "/").await, Err(CallError::Unavailable("the name does not resolve".into())));
    let nothing = named(settings("http://api.test/"), &Script::new(&[&[]]));
    assert_eq!(get(&nothing, "/").await, Err(CallError::Unavailable("the name has no address".into())));
}

#[tokio::test]
async fn answers_that_are_no_http_are_told_apart_from_no_answer() {
    for garbage in
        ["SSH-2.0-OpenSSH_9.2\r\n\r\n", "\x15\x03\x01\0\x02\x02\x16", "HTTP/1.1 abc\r\n\r\n", "-ERR no\r\n\r\n"]
    {
        let server = Server::plain(raw(garbage)).await;
        let error = get(&target(settings(&server.url())), "/").await.unwrap_err();
        assert_eq!(code(&error), "protocol", "{garbage:?}");
    }
    let server = Server::plain(answer("200 OK", &[], "")).await;
    let https = format!("https://127.0.0.1:{}", server.port());
    // The server waits for a line that a handshake does not have, so it is given up on.
    let http = target(Settings { connect_timeout: SHORT, ..settings(&https) });
    assert!(matches!(get(&http, "/").await, Err(CallError::TimedOut(_))));
}

// Certificates.

#[tokio::test]
async fn a_valid_certificate_tells_how_long_it_lasts() {
    let authority = Authority::new("Authority");
    let server = Server::start(Some(authority.server("api.test", VALID)), |_| answer("200 OK", &[], "fine")).await;
    let ca = Some(authority.pem());
    let settings = Settings { ca, ..bearer(&format!("https://api.test:{}/", server.port())) };
    let response = get(&named(settings, &Script::new(&[&["127.0.0.1"]])), "/").await.unwrap();
    let now = i64::try_from(SystemClock.now().as_millis() / 1000).unwrap();
    let expected = (valid_until() - now) as f64;
    let remaining = response.certificate_remaining.unwrap();
    assert!((remaining - expected).abs() < 60.0, "{remaining} is not {expected}");
    assert!(server.heads()[0].contains(TOKEN));
}

#[tokio::test]
async fn certificates_that_cannot_be_trusted_say_why_and_get_no_request() {
    let (authority, stranger, namesake) =
        (Authority::new("Authority"), Authority::new("Stranger"), Authority::new("Authority"));
    let untrusted = "the server's certificate is signed by nobody that is trusted here";
    for (config, expected, words) in [
        (authority.server("api.test", EXPIRED), "certificate_expired", "the server's certificate expired "),
        (
            authority.server("api.test", NOT_YET),
            "certificate_not_yet_valid",
            "the server's certificate is not valid yet",
        ),
        (
            authority.server("other.test", VALID),
            "certificate_name_mismatch",
            "the server's certificate is for another name",
        ),
        (stranger.server("api.test", VALID), "certificate_unknown_issuer", untrusted),
        (namesake.server("api.test", VALID), "certificate_unknown_issuer", untrusted),
    ] {
        let server = Server::start(Some(config), |_| answer("200 OK", &[], "")).await;
        let settings =
            Settings { ca: Some(authority.pem()), ..bearer(&format!("https://api.test:{}/", server.port())) };
        let error = get(&named(settings, &Script::new(&[&["127.0.0.1"]])), "/").await.unwrap_err();
        assert_eq!(code(&error), expected);
        let CallError::Remote(remote) = error else { unreachable!() };
        assert!(remote.message.starts_with(words) && !remote.message.contains(".test"), "{}", remote.message);
        assert!(server.heads().is_empty());
    }
}

#[tokio::test]
async fn a_ca_that_is_none_is_refused() {
    let authority = Authority::new("Authority");
    let cut = authority.pem().replace("-----END", "-----");
    for pem in ["", "no pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &cut] {
        let settings = Settings { ca: Some(pem.to_owned()), ..settings("https://api.test/") };
        let refusal = Http::new("api".parse().unwrap(), settings).err();
        let is_expected = matches!(refusal, Some(InvalidSettings::AuthorityPem | InvalidSettings::Authority(_)));
        assert!(is_expected, "{pem:?}: {refusal:?}");
    }
}

// The doctor.

#[tokio::test]
async fn the_doctor_says_what_is_wrong_and_how_to_mend_it() {
    let authority = Authority::new("Authority");
    let fine = Server::plain(answer("200 OK", &[], "")).await;
    let refusing = Server::plain(answer("401 Unauthorized", &[], "")).await;
    let failing = Server::plain(answer("500 Oops", &[], "")).await;
    let expired = Server::start(Some(authority.server("api.test", EXPIRED)), |_| answer("200 OK", &[], "")).await;
    let valid = Server::start(Some(authority.server("api.test", VALID)), |_| answer("200 OK", &[], "")).await;
    let here = Script::new(&[&["127.0.0.1"]]);
    let by_name = |scheme: &str, server: &Server| format!("{scheme}://api.test:{}/", server.port());
    let trusting = |server: &Server| Settings { ca: Some(authority.pem()), ..settings(&by_name("https", server)) };
    let public = Settings::new(by_name("http", &fine).parse().unwrap());
    for (http, severity, words) in [
        (target(settings(&fine.url())), Severity::Ok, "answers 200 in "),
        (target(bearer(&refusing.url())), Severity::Warning, "answers 401 in "),
        (target(settings(&failing.url())), Severity::Warning, "answers 500 in "),
        (named(bearer(&by_name("http", &fine)), &here), Severity::Warning, "the credentials are sent over the network"),
        (named(public, &here), Severity::Error, "api.test resolves to loopback addresses, which are closed"),
        (
            named(settings(&by_name("http", &fine)), &Script::new(&[&["127.0.0.1", "169.254.169.254"]])),
            Severity::Warning,
            "some addresses of api.test are never connected to: cloud metadata",
        ),
        (
            named(settings("http://api.test/"), &Script::new(&[])),
            Severity::Error,
            "api.test: the name does not resolve",
        ),
        (named(trusting(&expired), &here), Severity::Error, "the server's certificate expired "),
        (named(trusting(&valid), &here), Severity::Ok, "the server's certificate expires in "),
    ] {
        let findings = http.diagnose().await;
        let found = findings.iter().find(|finding| finding.message.starts_with(words));
        let found = found.unwrap_or_else(|| panic!("{words}: {findings:#?}"));
        assert_eq!((found.severity, found.subject.as_str()), (severity, "http/api"));
        assert_eq!(found.remedy.is_none(), severity == Severity::Ok, "{found:?}");
        assert!(!format!("{findings:?}").contains(TOKEN));
    }
    assert!(fine.heads().iter().all(|head| head.starts_with("HEAD / ")), "{:?}", fine.heads());
}
