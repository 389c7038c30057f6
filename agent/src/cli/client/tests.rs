use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use crate::api::shape::{PluginList, RunRequest};

/// An agent that gives one answer to everything, and tells it what it was asked.
async fn agent(status: u16, kind: &'static str, body: &'static str) -> (String, watch::Receiver<Vec<String>>) {
    let (asked, told) = watch::channel(Vec::new());
    let router = Router::new().fallback(async move |request: Request| {
        let of = |name: &str| request.headers().get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
        let line = [request.method().to_string(), request.uri().to_string(), of("authorization"), of("prefer")];
        asked.send_replace(line.to_vec());
        Response::builder().status(status).header("content-type", kind).body(Body::from(body)).unwrap()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(crate::api::serve(listener, None, router, never()));
    (format!("http://{address}"), told)
}

/// Nobody ends this server; the test's runtime does.
fn never() -> watch::Receiver<bool> {
    let (stop, stopping) = watch::channel(false);
    std::mem::forget(stop);
    stopping
}

fn client(server: &str) -> (Client, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret\n").unwrap();
    let connection = Connection { server: server.to_owned(), token_file: Some(file.path().to_owned()), ca: None };
    (Client::new(&connection).unwrap(), file)
}

#[tokio::test]
async fn a_question_carries_the_token_and_its_parameters() {
    let (url, asked) = agent(200, "application/json", r#"{"plugins": [], "added_later": 1}"#).await;
    let (client, _file) = client(&format!("{url}/behind/a/proxy/"));
    let list: PluginList = client.get(&["v1", "plugins", "a/b c"], &[("since", "a+b&c")]).await.unwrap();
    assert!(list.plugins.is_empty());
    let expected = ["GET", "/behind/a/proxy/v1/plugins/a%2Fb%20c?since=a%2Bb%26c", "Bearer s3cret", ""];
    assert_eq!(*asked.borrow(), expected);
    let request = RunRequest { plugin: "x".to_owned(), params: serde_json::Map::new(), mode: None };
    let _: PluginList = client.post(&["v1", "runs"], &[("Prefer", Some("respond-async"))], &request).await.unwrap();
    assert_eq!(*asked.borrow(), ["POST", "/behind/a/proxy/v1/runs", "Bearer s3cret", "respond-async"]);
}

async fn failure(server: &str) -> String {
    let (client, _file) = client(server);
    client.get::<PluginList>(&["v1", "plugins"], &[]).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_problem_is_told_in_plain_words() {
    let problem = r#"{"type": "urn:paramedic:problem:invalid-params", "title": "t", "status": 422,
        "detail": "the parameters do not match the schema of the plugin", "instance": "i", "request_id": "r",
        "errors": [{"pointer": "/params/limit", "message": "500 is greater than the maximum of 100"}]}"#;
    let (url, _) = agent(422, "application/problem+json", problem).await;
    let expected = "the parameters do not match the schema of the plugin\n  \
        /params/limit: 500 is greater than the maximum of 100";
    assert_eq!(failure(&url).await, expected);
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_told_with_the_way_to_it() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let told = failure(&format!("http://127.0.0.1:{port}")).await;
    assert!(
        told.starts_with(&format!("cannot reach the agent at http://127.0.0.1:{port}/: Connection refused")),
        "{told}"
    );
    assert!(told.ends_with("--server or PARAMEDIC_URL names another"), "{told}");
}

#[tokio::test]
async fn something_else_at_the_address_is_recognised() {
    for (status, kind, body) in [
        (200, "text/html", "<html>"),
        (404, "text/plain", "not found"),
        (302, "text/html", ""),
        (200, "application/json", "[]"),
    ] {
        let (url, _) = agent(status, kind, body).await;
        let told = failure(&url).await;
        assert!(told.contains(&status.to_string()) && told.ends_with("is this the agent's address?"), "{told}");
    }
}

#[test]
fn a_connection_without_a_token_or_an_address_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = |server: &str, token_file: Option<&std::path::Path>| {
        let connection =
            Connection { server: server.to_owned(), token_file: token_file.map(ToOwned::to_owned), ca: None };
        Client::new(&connection).err().unwrap().to_string()
    };
    let agent = "http://127.0.0.1:7117";
    assert!(refused(agent, Some(file.path())).starts_with("no token"));
    std::fs::write(file.path(), "two\nlines").unwrap();
    assert!(refused(agent, Some(file.path())).starts_with("the token holds signs"));
    let missing = std::path::Path::new("/nowhere/token");
    assert!(refused(agent, Some(missing)).starts_with("cannot read the token from /nowhere/token: No such file"));
    for odd in ["127.0.0.1:7117", "ftp://x", "", "http://"] {
        assert!(refused(odd, Some(file.path())).contains("is no address of an agent"), "{odd}");
    }
}
