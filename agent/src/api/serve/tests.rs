use std::net::SocketAddr;

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::api::tls::TlsFiles;

struct Served {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn served(router: Router) -> Served {
    served_with(None, router).await
}

async fn served_with(tls: Option<Arc<Tls>>, router: Router) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = watch::channel(false);
    Served { address, stop, task: tokio::spawn(serve(listener, tls, router, stopping)) }
}

/// Send `request` and read to the end of the connection.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn fine() -> Router {
    Router::new().route("/", get(async || "fine"))
}

#[tokio::test]
async fn a_request_is_answered() {
    let served = served(fine()).await;
    let answer = exchange(served.address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("fine"), "{answer}");
}

/// With the clock paused, time passes as soon as everybody waits.
#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_is_cut_off() {
    let served = served(fine()).await;
    for beginning in ["", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let answer = exchange(served.address, beginning).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let served = served(fine()).await;
    let many: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x-large: {}\r\n", "y".repeat(MAX_HEAD));
    for headers in [many, large] {
        let answer = exchange(served.address, &format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

#[tokio::test]
async fn requests_under_way_are_answered_before_the_end_and_new_ones_are_not_taken() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, leave) = (entered.clone(), leave.clone());
        async move || {
            entered.notify_one();
            leave.notified().await;
            "late"
        }
    };
    let served = served(Router::new().route("/", get(handler))).await;
    let request = tokio::spawn(exchange(served.address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    // A connection without a request must not hold up the end.
    let idle = TcpStream::connect(served.address).await.unwrap();
    entered.notified().await;
    served.stop.send_replace(true);
    wait_until_closed(served.address).await;
    assert!(!served.task.is_finished());
    leave.notify_one();
    let answer = request.await.unwrap();
    assert!(answer.ends_with("late"), "{answer}");
    served.task.await.unwrap();
    drop(idle);
}

async fn wait_until_closed(address: SocketAddr) {
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), closed).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_end_is_cut_off_in_the_end() {
    let entered = Arc::new(Notify::new());
    let handler = {
        let entered = entered.clone();
        async move || {
            entered.notify_one();
            std::future::pending::<&'static str>().await
        }
    };
    let served = served(Router::new().route("/", get(handler))).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    entered.notified().await;
    let begun = tokio::time::Instant::now();
    served.stop.send_replace(true);
    served.task.await.unwrap();
    assert!(begun.elapsed() >= FAREWELL && begun.elapsed() < FAREWELL * 2);
}

/// A certificate for `localhost` in two files of `folder`, and those who trust it.
fn certified(folder: &std::path::Path) -> (TlsFiles, tokio_rustls::TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key") };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    // Who resumes a session is not shown the certificate again.
    config.resumption = rustls::client::Resumption::disabled();
    (files, tokio_rustls::TlsConnector::from(Arc::new(config)))
}

async fn encrypted(address: SocketAddr, trusting: &tokio_rustls::TlsConnector) -> std::io::Result<String> {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = trusting.connect("localhost".try_into().unwrap(), stream).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn a_request_over_tls_is_answered_and_one_in_the_clear_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (files, trusting) = certified(folder.path());
    let served = served_with(Some(Arc::new(Tls::load(files).unwrap())), fine()).await;
    let answer = encrypted(served.address, &trusting).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("fine"), "{answer}");
    let mut clear = TcpStream::connect(served.address).await.unwrap();
    clear.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // An alert and the end; or, where we were still writing, only the end.
    let _ = clear.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
}

#[tokio::test]
async fn those_who_connect_after_a_renewal_are_shown_the_new_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (files, before) = certified(folder.path());
    let tls = Arc::new(Tls::load(files).unwrap());
    let served = served_with(Some(tls.clone()), fine()).await;
    let (_, after) = certified(folder.path());
    assert!(encrypted(served.address, &before).await.is_ok());
    assert!(tls.reload().unwrap());
    assert!(encrypted(served.address, &after).await.unwrap().ends_with("fine"));
    assert!(encrypted(served.address, &before).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_greeting_that_does_not_come_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = certified(folder.path());
    let served = served_with(Some(Arc::new(Tls::load(files).unwrap())), fine()).await;
    assert_eq!(exchange(served.address, "").await, "");
}
