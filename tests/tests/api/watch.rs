//! `paramedic run --watch`, as a person sees it: on a terminal, and in a pipe.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

use paramedic_tests::agent::program;
use paramedic_tests::{ports, wait};
use rustix::process::{Pid, Signal, kill_process};

use crate::cli::{paramedic, told};
use crate::fixture::{self, TOKEN, agent};

/// The command as it is started here.
fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program().unwrap());
    command.env_clear().env("PARAMEDIC_URL", url).env("PARAMEDIC_TOKEN", TOKEN).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends it as Ctrl-C does, and gives all that it printed after what was read.
fn interrupt(child: Child) -> Output {
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    child.wait_with_output().unwrap()
}

/// Reads lines until so many of them say this.
fn until(lines: &mut impl BufRead, words: &str, times: usize) -> String {
    let (mut text, mut found) = (String::new(), 0);
    while found < times {
        let before = text.len();
        assert_ne!(lines.read_line(&mut text).unwrap(), 0, "it ended before: {text}");
        found += usize::from(text[before..].contains(words));
    }
    text
}

#[test]
fn a_check_is_run_again_and_again_and_ends_with_its_last_verdict() {
    for (plugin, param, headline, code) in [
        ("redis-ping", "target=cache", "OK redis-ping: ", 0),
        ("http-health", "endpoints=[{\"target\": \"api\"}]", "CRITICAL http-health: ", 2),
    ] {
        let mut child = command(&agent().url(), &["run", plugin, "--watch", "0.5", "-p", param]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let printed = until(&mut lines, headline, 3);
        let output = interrupt(child);
        assert_eq!(output.status.code(), Some(code), "{printed}");
        let header = format!("{plugin}, every 0.5 s, at ");
        assert!(printed.starts_with(&header) && printed.matches(&header).count() == 3, "{printed}");
        // One after the other, with a line between them, and nothing that only a terminal knows.
        assert!(printed.matches("\n────").count() == 2 && !printed.contains('\u{1b}'), "{printed}");
    }
}

#[test]
fn a_terminal_is_redrawn_in_place() {
    // `script` is the terminal; what it is told to run is the command itself.
    let program = program().unwrap().display().to_string();
    let line = format!("stty cols 100 rows 30; exec {program} run redis-ping --watch 0.5 -p target=cache");
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
    terminal
        .env("PARAMEDIC_URL", agent().url())
        .env("PARAMEDIC_TOKEN", TOKEN)
        .env("TERM", "xterm")
        .env_remove("NO_COLOR");
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let (mut screen, mut part) = (String::new(), [0; 1024]);
    while screen.matches("OK\u{1b}[0m redis-ping: ").count() < 2 {
        let read = output.read(&mut part).unwrap();
        assert_ne!(read, 0, "it ended before: {screen:?}");
        screen += &String::from_utf8_lossy(&part[..read]);
    }
    // Ctrl-C, as it is typed.
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"\x03").unwrap();
    std::io::copy(&mut output, &mut std::io::sink()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{screen:?}");
    assert!(screen.starts_with("\u{1b}[2J\u{1b}[H"), "{screen:?}");
    assert!(screen.matches("\u{1b}[H").count() >= 2 && screen.contains("\u{1b}[K\r\n") && screen.contains("\u{1b}[J"));
    assert!(!screen.contains("────"), "{screen:?}");
}

#[test]
fn an_agent_that_goes_away_is_waited_for() {
    let agent = fixture::start("max_concurrent_runs: 4").unwrap();
    let mut child =
        command(&agent.url(), &["run", "redis-ping", "--watch", "0.5", "-p", "target=cache"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    until(&mut lines, "OK redis-ping: ", 1);
    drop(agent);
    let printed = until(&mut lines, "OK redis-ping: ", 2);
    let output = interrupt(child);
    // The card of before is still shown, and its verdict is the last one.
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let told = printed.lines().find(|line| line.ends_with("; it is tried again")).unwrap();
    assert!(told.starts_with("cannot reach the agent at ") || told.starts_with("the agent at "), "{told}");
    assert!(printed.contains("\nthis is of 2"), "{printed}");
}

#[test]
fn nobody_there_from_the_start_is_unknown() {
    let url = format!("http://127.0.0.1:{}", ports::free().unwrap());
    let mut child = command(&url, &["run", "redis-ping", "--watch=0.5"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    until(&mut lines, "it is tried again", 2);
    assert_eq!(interrupt(child).status.code(), Some(3));
}

#[test]
fn what_will_never_be_answered_ends_it_at_once() {
    for (arguments, words) in [
        (&["run", "redis-pnig", "--watch"][..], "did you mean redis-ping?"),
        (&["run", "pg-slow-queries", "--watch", "-p", "limit=500"], "greater than the maximum of 100"),
        (&["run", "redis-ping", "--watch", "--follow"], "cannot be used with"),
        (&["run", "redis-ping", "--watch", "0"], "expected 0.5 to 3600 seconds"),
    ] {
        let (code, printed, complaint) = told(paramedic(&agent().url(), TOKEN, arguments));
        assert_eq!((code, printed.as_str()), (Some(3), ""), "{arguments:?}");
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
}

#[test]
fn programs_get_one_line_for_each_run() {
    let mut child = command(&agent().url(), &["run", "redis-ping", "--watch=0.5", "-o", "json", "-p", "target=cache"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let printed = until(&mut lines, "redis-ping", 2);
    assert_eq!(interrupt(child).status.code(), Some(0));
    let ids: Vec<_> =
        printed.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].clone()).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{printed}");
    // They are runs like all others.
    wait::until("the runs to be listed", || {
        let list = fixture::api().get("/v1/runs?plugin=redis-ping&limit=200", &[])?.body;
        Ok(ids.iter().all(|id| list.contains(id.as_str().unwrap_or("?"))).then_some(()))
    })
    .unwrap();
}
