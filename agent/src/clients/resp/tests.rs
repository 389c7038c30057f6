//! Peers that are no Redis: silent, slow, talkative, broken. Real servers are met in the tests of the clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const GREETING: &[u8] = b"%1\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n";

/// Serve every connection with `peer`; the number says which connection it is, from 0.
async fn serve<F>(peer: impl Fn(TcpStream, usize) -> F + Send + 'static) -> (Server, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://monitor:hunter2@{}", listener.local_addr().unwrap());
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(peer(stream, counter.fetch_add(1, Ordering::SeqCst)));
        }
    });
    (server(&url), seen)
}

fn server(url: &str) -> Server {
    let settings = Settings { connections: 2, ..Settings::new(Secret::new(url)) };
    Server::new(System::Redis, "cache".parse().unwrap(), settings).unwrap()
}

impl Server {
    /// The same with less patience; for peers that do not answer anyway.
    fn hasty(mut self, patience: Duration) -> Self {
        self.settings = Settings { connect_timeout: patience, answer_timeout: patience, ..self.settings };
        self
    }
}

fn limits() -> CallLimits {
    CallLimits { deadline: Instant::now() + Duration::from_secs(30), answer_bytes: 1 << 20 }
}

fn ping() -> [Command; 1] {
    [Command::new("PING")]
}

async fn hear(stream: &mut TcpStream) {
    let mut buffer = [0; 1024];
    let _ = stream.read(&mut buffer).await;
}

async fn answer_all(mut stream: TcpStream, first: &[u8], then: &[u8]) {
    hear(&mut stream).await;
    let _ = stream.write_all(first).await;
    hear(&mut stream).await;
    let _ = stream.write_all(then).await;
    hear(&mut stream).await;
}

#[tokio::test]
async fn a_silent_peer_costs_no_more_than_the_time_limit() {
    let (server, _) = serve(|mut stream, _| async move {
        hear(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let server = server.hasty(Duration::from_millis(200));
    let started = Instant::now();
    let error = server.ask(&limits(), &ping(), 1024).await.unwrap_err();
    assert_eq!(error, CallError::TimedOut("no connection within 0.2 s".to_owned()));
    assert!(started.elapsed() < CONNECT_TIMEOUT, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_peer_that_drips_is_cut_off_and_not_asked_again_on_that_connection() {
    let (server, seen) = serve(|mut stream, number| async move {
        hear(&mut stream).await;
        let _ = stream.write_all(GREETING).await;
        hear(&mut stream).await;
        if number > 0 {
            let _ = stream.write_all(b"+PONG\r\n").await;
            return hear(&mut stream).await;
        }
        while stream.write_all(b"+").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let server = server.hasty(Duration::from_secs(2));
    let error = server.ask(&limits(), &ping(), 1024).await.unwrap_err();
    assert_eq!(error, CallError::TimedOut("no answer within 2.0 s".to_owned()));
    let mut answers = server.ask(&limits(), &ping(), 1024).await.unwrap();
    assert_eq!(answers.take::<String>().unwrap(), "PONG");
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_callers_deadline_is_shorter_than_our_own() {
    let (server, _) = serve(|stream, _| async move {
        answer_all(stream, GREETING, b"").await;
        std::future::pending::<()>().await;
    })
    .await;
    let limits = CallLimits { deadline: Instant::now() + Duration::from_millis(50), answer_bytes: 1024 };
    let started = Instant::now();
    assert!(matches!(server.ask(&limits, &ping(), 1024).await, Err(CallError::TimedOut(_))));
    assert!(started.elapsed() < CONNECT_TIMEOUT, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_flood_is_stopped_where_it_arrives() {
    let (server, _) = serve(|mut stream, _| async move {
        hear(&mut stream).await;
        let _ = stream.write_all(GREETING).await;
        hear(&mut stream).await;
        let _ = stream.write_all(b"$1000000000\r\n").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let error = server.ask(&limits(), &ping(), 10_000).await.unwrap_err();
    assert_eq!(error, CallError::TooLarge("the server sent more than 10000 bytes".to_owned()));
}

#[tokio::test]
async fn a_lost_connection_is_replaced_once_and_only_once() {
    let (first, _) = serve(|mut stream, number| async move {
        hear(&mut stream).await;
        let _ = stream.write_all(GREETING).await;
        hear(&mut stream).await;
        if number > 0 {
            let _ = stream.write_all(b"+PONG\r\n").await;
            hear(&mut stream).await;
        }
    })
    .await;
    assert_eq!(first.ask(&limits(), &ping(), 1024).await.unwrap().take::<String>().unwrap(), "PONG");

    let (always, seen) = serve(|mut stream, _| async move {
        hear(&mut stream).await;
        let _ = stream.write_all(GREETING).await;
        hear(&mut stream).await;
    })
    .await;
    let error = always.ask(&limits(), &ping(), 1024).await.unwrap_err();
    assert_eq!(error, CallError::Unavailable("the server closed the connection".to_owned()));
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

/// A peer that notes what it is told after the greeting. The first connection is closed when the second batch comes; `then`
/// says whether a later one answers.
async fn closing(answers: bool) -> (Server, Arc<std::sync::Mutex<Vec<String>>>) {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let notes = Arc::clone(&told);
    let (server, _) = serve(move |mut stream, number| {
        let notes = Arc::clone(&notes);
        async move {
            hear(&mut stream).await;
            let _ = stream.write_all(GREETING).await;
            let mut left = if number == 0 {
                1
            } else if answers {
                9
            } else {
                0
            };
            let mut buffer = [0; 1024];
            while let Ok(bytes @ 1..) = stream.read(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..bytes]).replace("\r\n", " ");
                notes.lock().unwrap().push(format!("{number}: {text}"));
                if left == 0 {
                    return;
                }
                left -= 1;
                let _ = stream.write_all(b"+PONG\r\n").await;
            }
        }
    })
    .await;
    (server, told)
}

fn change() -> [Command; 1] {
    [Command::new("UNLINK").arg("cache:1")]
}

#[tokio::test]
async fn a_change_goes_out_once_on_a_connection_that_is_known_to_live() {
    let (server, told) = closing(true).await;
    server.ask(&limits(), &ping(), 1024).await.unwrap();
    // The kept connection ends under the question whether it lives, and the change goes to a new one.
    server.tell(&limits(), &change(), 1024).await.unwrap();
    let told = told.lock().unwrap().clone();
    let unlinks: Vec<_> = told.iter().filter(|text| text.contains("UNLINK")).collect();
    assert!(matches!(unlinks.as_slice(), [once] if once.starts_with("1:")), "{told:?}");
}

#[tokio::test]
async fn a_change_whose_connection_ends_is_in_doubt_and_not_sent_again() {
    let (server, told) = closing(false).await;
    server.ask(&limits(), &ping(), 1024).await.unwrap();
    let lost = server.tell(&limits(), &change(), 1024).await.unwrap_err();
    assert_eq!(lost, Lost::Unanswered(CallError::Unavailable("the server closed the connection".to_owned())));
    let told = told.lock().unwrap().clone();
    assert_eq!(told.iter().filter(|text| text.contains("UNLINK")).count(), 1, "{told:?}");
}

#[tokio::test]
async fn a_change_that_never_went_out_is_not_in_doubt() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let lost = server(&format!("redis://{closed}")).tell(&limits(), &change(), 1024).await.unwrap_err();
    assert_eq!(lost, Lost::Unsent(CallError::Unavailable("the server refuses connections".to_owned())));
    let (server, told) = closing(true).await;
    let over = CallLimits { deadline: Instant::now(), answer_bytes: 1024 };
    assert!(matches!(server.tell(&over, &change(), 1024).await, Err(Lost::Unsent(CallError::TimedOut(_)))));
    assert!(told.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_dropped_call_leaves_no_dirty_connection() {
    let (server, seen) = serve(|mut stream, number| async move {
        hear(&mut stream).await;
        let _ = stream.write_all(GREETING).await;
        hear(&mut stream).await;
        if number == 0 {
            // The answer to the dropped call comes late, when somebody else could take it for theirs.
            tokio::time::sleep(Duration::from_millis(30)).await;
            let _ = stream.write_all(b"+LATE\r\n").await;
        } else {
            let _ = stream.write_all(b"+PONG\r\n").await;
        }
        hear(&mut stream).await;
    })
    .await;
    let (limits, commands) = (limits(), ping());
    let call = server.ask(&limits, &commands, 1024);
    assert!(timeout(Duration::from_millis(10), call).await.is_err());
    let mut answers = server.ask(&limits, &commands, 1024).await.unwrap();
    assert_eq!(answers.take::<String>().unwrap(), "PONG");
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_call() {
    let (server, seen) = serve(|mut stream, _| async move {
        hear(&mut stream).await;
        let _ = stream.write_all(GREETING).await;
        loop {
            let mut buffer = [0; 1024];
            match stream.read(&mut buffer).await {
                Ok(1..) => drop(stream.write_all(b"+PONG\r\n").await),
                _ => return,
            }
        }
    })
    .await;
    for _ in 0..5 {
        assert_eq!(server.ask(&limits(), &ping(), 1024).await.unwrap().take::<String>().unwrap(), "PONG");
    }
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_more_connections_than_allowed_are_made() {
    let (server, seen) = serve(|stream, _| async move {
        answer_all(stream, GREETING, b"").await;
        std::future::pending::<()>().await;
    })
    .await;
    let limits = CallLimits { deadline: Instant::now() + Duration::from_millis(100), answer_bytes: 1024 };
    let commands = ping();
    let (a, b, c) = tokio::join!(
        server.ask(&limits, &commands, 1024),
        server.ask(&limits, &commands, 1024),
        server.ask(&limits, &commands, 1024),
    );
    for outcome in [a, b, c] {
        assert!(matches!(outcome, Err(CallError::TimedOut(_))), "{outcome:?}");
    }
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn nobody_at_the_port_is_unavailable_and_the_message_holds_no_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = server(&format!("redis://monitor:hunter2@{address}")).ask(&limits(), &ping(), 1024).await.unwrap_err();
    assert_eq!(error, CallError::Unavailable("the server refuses connections".to_owned()));
    let error = server("redis://monitor:hunter2@no-such-host.invalid").ask(&limits(), &ping(), 1024).await.unwrap_err();
    let CallError::Unavailable(message) = &error else { panic!("{error:?}") };
    assert!(!message.contains("invalid") && !message.contains("hunter2"), "{message}");
}

#[tokio::test]
async fn a_peer_that_is_no_redis_is_unavailable() {
    let (server, _) = serve(|stream, _| async move {
        answer_all(stream, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"").await;
    })
    .await;
    let error = server.ask(&limits(), &ping(), 1024).await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn a_refused_login_keeps_its_code() {
    for (line, code) in [
        (&b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"[..], "WRONGPASS"),
        (b"-NOAUTH HELLO must be called with the client already authenticated\r\n", "NOAUTH"),
        (b"-ERR max number of clients reached\r\n", "ERR"),
    ] {
        let (server, _) = serve(move |stream, _| async move { answer_all(stream, line, b"").await }).await;
        let error = server.ask(&limits(), &ping(), 1024).await.unwrap_err();
        let CallError::Remote(remote) = &error else { panic!("{error:?}") };
        assert_eq!(remote.code, code);
    }
}
