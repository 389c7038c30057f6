//! Requests that may change something: planned without being sent, and sent once.

use std::sync::Arc;

use paramedic::clients::http::{Header, Http, Inverse, Request, ResponseSlot, Settings};
use paramedic::domain::{CallError, DenialReason, Done, Preview, Undo};
use paramedic::journal::{Change, Halt, Performed, Settled};
use paramedic_tests::ports;

use crate::server::{Part, Server, answer, raw};
use crate::target::*;
use crate::{SHORT, SOON};

fn open(settings: Settings) -> Arc<Http> {
    Arc::new(target(settings))
}

fn post(path: &str, headers: Vec<Header>) -> Request {
    Request { path: path.to_owned(), headers, timeout: None }
}

fn sending(http: &Arc<Http>, path: &str, body: &[u8]) -> (Arc<dyn Change>, ResponseSlot) {
    let slot = ResponseSlot::default();
    let json = vec![field("Content-Type", "application/json")];
    let change = http.send(may_send(&["POST"], &["/**"]), "POST", post(path, json), body.to_vec(), slot.clone());
    (change.unwrap(), slot)
}

async fn planned(change: &Arc<dyn Change>) -> Preview {
    change.preview(&limits(AMPLE)).await.unwrap()
}

async fn perform(change: &Arc<dyn Change>) -> Performed {
    let planned = planned(change).await;
    change.perform(&planned, &limits(AMPLE), &Halt::default()).await
}

async fn done(change: &Arc<dyn Change>) -> Done {
    match perform(change).await {
        Performed::Done(done) => done,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_post_is_sent_once_with_credentials_and_never_to_make_a_plan() {
    let echo = answer("201 Created", &["x-request: 7"], format!("{{\"token\":\"{TOKEN}\"}}"));
    let server = Server::plain(echo).await;
    let http = open(bearer(&format!("{}/v1", server.url())));
    let (change, slot) = sending(&http, "/incidents?notify=jane", b"{\"title\":\"disk full\"}");

    let preview = planned(&change).await;
    assert_eq!(preview.summary, "POST /incidents?… on api (21 bytes)");
    assert_eq!((preview.objects, preview.differences.len(), preview.ground.len()), (1, 0, 0));
    assert!(preview.notes[0].contains("cannot be known beforehand"), "{preview:?}");
    assert!(matches!(preview.undo, Undo::Impossible(_)));
    let call = change.call();
    for hidden in ["jane", "disk full", TOKEN, "application/json"] {
        assert!(!format!("{call:?}{preview:?}").contains(hidden), "{call:?}");
    }
    assert_eq!(server.connections(), 0);

    let done = done(&change).await;
    assert_eq!((done.objects, &done.answer, &done.incomplete, &done.inverse), (1, &None, &None, &None));
    assert_eq!((done.differences[0].field.as_str(), done.differences[0].after.as_deref()), ("status", Some("201")));
    let response = slot.take().unwrap();
    assert_eq!((response.status, header(&response, "x-request")), (201, Some("7")));
    assert_eq!(String::from_utf8(response.body).unwrap(), "{\"token\":\"[redacted]\"}");
    let [head] = &server.heads()[..] else { panic!("{:?}", server.heads()) };
    assert!(head.starts_with("POST /v1/incidents?notify=jane HTTP/1.1"), "{head}");
    for line in [format!("authorization: Bearer {TOKEN}"), "content-type: application/json".to_owned()] {
        assert!(head.lines().any(|sent| sent == line), "{head}");
    }
    assert_eq!(server.bodies(), [b"{\"title\":\"disk full\"}"]);
    let error = http.recorded(&call).err().unwrap();
    assert!(matches!(&error, CallError::Invalid(text) if text.contains("only digests")), "{error}");
}

#[tokio::test]
async fn equal_requests_ask_for_the_same_and_others_for_another() {
    let http = open(settings("https://api.example"));
    let call = |path: &str, body: &[u8]| sending(&http, path, body).0.call();
    assert_eq!(call("/a/../b", b"x"), call("/b", b"x"));
    assert_ne!(call("/b", b"x"), call("/b", b"y"));
    assert_ne!(call("/b", b"x"), call("/b?x", b"x"));
    assert_ne!(call("/b?x", b"x"), call("/b?y", b"x"));
}

#[tokio::test]
async fn no_redirect_is_followed_and_every_status_is_an_answer() {
    let server = Server::start(None, |head| match crate::server::path_of(head) {
        "/moved" => raw("HTTP/1.1 307 Temporary Redirect\r\nlocation: /here\r\ncontent-length: 0\r\n\r\n"),
        "/broken" => answer("503 Service Unavailable", &[], "later"),
        _ => answer("200 OK", &[], "here"),
    })
    .await;
    let http = open(settings(&server.url()));
    for (path, status) in [("/moved", 307), ("/broken", 503)] {
        let (change, slot) = sending(&http, path, b"x");
        let done = done(&change).await;
        assert_eq!(done.differences[0].after, Some(status.to_string()));
        assert_eq!(slot.take().unwrap().status, status);
    }
    assert_eq!(server.heads().len(), 2);
}

#[tokio::test]
async fn what_lies_outside_of_the_grant_or_of_reason_is_refused_before_anything_connects() {
    let server = Server::plain(answer("200 OK", &[], "")).await;
    let http = open(bearer(&server.url()));
    let ask = |method: &str, path: &str, headers: Vec<Header>, body: usize| {
        let permit = may_send(&["POST", "PUT"], &["/incidents", "/incidents/*"]);
        http.send(permit, method, post(path, headers), vec![0; body], ResponseSlot::default()).err()
    };
    assert_eq!(ask("PUT", "/incidents/7", vec![], 1 << 20), None);
    for (method, path) in [("DELETE", "/incidents"), ("post", "/incidents"), ("GET", "/incidents"), ("", "/incidents")]
    {
        let error = ask(method, path, vec![], 0).unwrap();
        assert!(matches!(&error, CallError::Denied(denial) if denial.reason == DenialReason::OutOfBounds), "{error}");
        assert!(error.to_string().contains("the methods POST, PUT"), "{error}");
    }
    for path in ["/", "/users", "/incidents/7/notes", "/incidents/../users"] {
        let error = ask("POST", path, vec![], 0).unwrap();
        assert!(matches!(&error, CallError::Denied(denial) if denial.reason == DenialReason::OutOfBounds), "{error}");
    }
    let large = ask("POST", "/incidents", vec![], (1 << 20) + 1);
    let climbing = ask("POST", "/incidents/../..", vec![], 0);
    let forging = ask("POST", "/incidents", vec![field("Authorization", "Bearer x")], 0);
    let overriding = ask("POST", "/incidents", vec![field("X-HTTP-Method-Override", "DELETE")], 0);
    for error in [large, climbing, forging, overriding] {
        assert!(matches!(error, Some(CallError::Invalid(_))), "{error:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_service_that_took_the_request_and_gave_no_answer_leaves_it_unknown() {
    let silent = Server::plain(vec![Part::Hold]).await;
    let http = open(settings(&silent.url()));
    let permit = may_send(&["POST"], &["/**"]);
    let request = Request { timeout: Some(SHORT), ..request("/incidents") };
    let change = http.send(permit, "POST", request, b"x".to_vec(), ResponseSlot::default()).unwrap();
    let performed = tokio::time::timeout(SOON, perform(&change)).await.unwrap();
    assert!(matches!(performed, Performed::Unknown(CallError::TimedOut(_))), "{performed:?}");
    let settled = change.settle(&planned(&change).await, &limits(AMPLE)).await;
    assert!(matches!(&settled, Settled::Unknown(place) if place.contains("POST /incidents")), "{settled:?}");

    let rude = Server::plain(vec![Part::Reset]).await;
    let (change, slot) = sending(&open(settings(&rude.url())), "/incidents", b"x");
    let performed = perform(&change).await;
    assert!(matches!(performed, Performed::Unknown(CallError::Unavailable(_))), "{performed:?}");
    assert!(slot.take().is_none());
    for server in [silent, rude] {
        assert_eq!((server.connections(), server.heads().len()), (1, 1), "it is sent once");
    }
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_was_sent_nothing() {
    let closed = ports::free().unwrap();
    let (change, _) = sending(&open(settings(&format!("http://127.0.0.1:{closed}"))), "/incidents", b"x");
    let performed = perform(&change).await;
    assert!(matches!(performed, Performed::Nothing(CallError::Unavailable(_))), "{performed:?}");
    let names = Script::new(&[&["169.254.169.254"]]);
    let (change, _) = sending(&Arc::new(named(settings("http://api.example"), &names)), "/incidents", b"x");
    let performed = perform(&change).await;
    assert!(matches!(performed, Performed::Nothing(CallError::Denied(_))), "{performed:?}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_does_not_hide_that_the_request_was_sent() {
    let server = Server::plain(answer("200 OK", &[], vec![b'x'; 64])).await;
    let http = open(Settings { body_bytes: 32, ..settings(&server.url()) });
    let (change, slot) = sending(&http, "/incidents", b"x");
    let done = done(&change).await;
    assert!(done.incomplete.as_ref().is_some_and(|why| why.contains("the request was sent")), "{done:?}");
    assert!((done.objects, slot.take()) == (1, None));
}

#[tokio::test]
async fn a_run_that_is_over_sends_nothing_any_more() {
    let server = Server::plain(answer("200 OK", &[], "")).await;
    let (change, _) = sending(&open(settings(&server.url())), "/incidents", b"x");
    let halt = Halt::default();
    halt.ask();
    let performed = change.perform(&planned(&change).await, &limits(AMPLE), &halt).await;
    assert!(matches!(performed, Performed::Nothing(_)), "{performed:?}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_declared_inverse_takes_a_request_back_while_the_operator_declares_it() {
    let server = Server::start(None, |head| match head.split(' ').next() {
        Some("PUT") => answer("409 Conflict", &[], ""),
        _ => answer("200 OK", &[], ""),
    })
    .await;
    let line = |method: &str, path: &str| (method.to_owned(), path.to_owned());
    let inverse =
        |method: &str| Inverse { request: line(method, "/maintenance"), undo: line("DELETE", "/maintenance") };
    let declared = Settings { inverses: vec![inverse("POST"), inverse("PUT")], ..bearer(&server.url()) };
    let http = open(declared.clone());
    let send = |http: &Arc<Http>, method: &str, path: &str| {
        let permit = may_send(&["POST", "PUT"], &["/**"]);
        http.send(permit, method, request(path), b"x".to_vec(), ResponseSlot::default()).unwrap()
    };
    let change = send(&http, "POST", "/maintenance");
    let Undo::Possible(how) = planned(&change).await.undo else { panic!() };
    assert!(how.contains("DELETE /maintenance"), "{how}");
    for other in [send(&http, "POST", "/maintenance?now"), send(&http, "POST", "/other")] {
        assert!(matches!(planned(&other).await.undo, Undo::Impossible(_)));
    }
    assert_eq!(done(&send(&http, "PUT", "/maintenance")).await.inverse, None, "it was refused");

    let back = done(&change).await.inverse.unwrap();
    assert!(back.ground.is_empty());
    assert_eq!(back.call.arguments, r#"{"declared":{"method":"DELETE","path":"/maintenance"}}"#);
    let undo = http.recorded(&back.call).unwrap();
    assert_eq!(undo.call(), back.call);
    assert_eq!(done(&undo).await.objects, 1);
    let head = server.heads().pop().unwrap();
    assert!(head.starts_with("DELETE /maintenance ") && head.contains(TOKEN), "{head}");
    let bodies = server.bodies();
    assert!(bodies.last().unwrap().is_empty(), "{bodies:?}");

    let withdrawn = open(Settings { inverses: vec![], ..declared });
    let error = withdrawn.recorded(&back.call).err().unwrap();
    assert!(matches!(&error, CallError::Invalid(text) if text.contains("`inverses`")), "{error}");
}
