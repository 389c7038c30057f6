use clap::CommandFactory;

use super::*;

fn parsed(arguments: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once(&"paramedic").chain(arguments))
}

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_can_be_typed() {
    for line in [
        "serve",
        "serve --config x.yaml --log debug --log-format json",
        "doctor -c x.yaml",
        "probe",
        "probe healthz --server http://127.0.0.1:7117",
        "rbac",
        "rbac -c x.yaml --service-account ops/agent --target prod",
        "rbac --check --config x.yaml",
        "run pg-ready",
        "run pg-ready -p target=main -p limit=5 --async -o json",
        "run pg-ready --follow -o json",
        "run k8s-top --watch",
        "run k8s-top --watch 2.5 -p target=prod",
        "run k8s-top --watch=10 -o json",
        "run capture-state --archive state.tar.gz --follow",
        "archive 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b -o state.tar.gz",
        "archive 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b --output -",
        "run pg-ready --idempotency-key deploy-42",
        "run pg-ready --params {\"a\":1}",
        "run pg-ready --server http://[::1]:1 --token-file t",
        "--server http://127.0.0.1:1 run pg-ready",
        "runs",
        "runs --plugin pg-ready --state critical --actor alice --since 1h --until 5m -n 3 --cursor 00 -o json",
        "runs show 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b -o json",
        "runs cancel 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b",
        "plugins",
        "plugins pg-ready -o json",
        "plugins push target/wasm32-wasip2/release/pg_outbox.wasm",
        "plugins push x.wasm.gz --name pg-outbox --expect 0.2.0 --signature x.minisig -o json",
        "plugins versions pg-ready",
        "plugins diff pg-ready active waiting",
        "plugins activate pg-ready 0.2.0",
        "plugins rollback pg-ready -o json",
        "plugins forget pg-ready 0.1.0",
        "plugins release pg-ready",
        "plugins close-breaker queue-pause",
        "approve 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b",
        "approve 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b --digest sha256:00 -o json",
        "apply 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b --break-glass everything-is-down",
        "freeze --target queue/email --for 2h --reason maintenance",
        "freeze --plugin queue-pause --for 2h --reason maintenance -o json",
        "freeze --all --for 2h --reason maintenance",
        "freezes -o json",
        "unfreeze 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b",
        "token new --name alice --role responder --expires 90d --key-file k",
        "token digest --key-file k",
        "sweep health",
        "sweep health --async -o json",
        "sweeps",
        "sweeps health -n 5 --cursor 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b -o json",
        "sweeps show health 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b",
        "silence add health --for 2h --reason maintenance --until-ok",
        "silence add --all --for 2h --reason maintenance",
        "silence list -o json",
        "audit verify --head 7:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 -o json",
        "audit export --from 7",
        "audit head",
        "audit check chain.ndjson",
        "silence remove 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b",
    ] {
        let arguments: Vec<_> = line.split(' ').collect();
        assert!(parsed(&arguments).is_ok(), "{line}: {:?}", parsed(&arguments).err());
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "",
        "run",
        "run pg-ready -p target",
        "run pg-ready -p =x",
        "run pg-ready --follow --async",
        "run k8s-top --watch --follow",
        "run k8s-top --watch --async",
        "run k8s-top --watch --archive x",
        "run k8s-top --watch 0.1",
        "run --watch k8s-top",
        "run capture-state --archive x --async",
        "archive",
        "archive 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b",
        "probe /metrics",
        "rbac --service-account agent",
        "rbac --check --service-account ops/agent",
        "runs show",
        "runs cancel",
        "run x -o yaml",
        "plugins a b",
        "plugins push",
        "plugins diff pg-ready active",
        "plugins rollback",
        "apply",
        "plan",
        "undo",
        "leases extend x",
        "leases end",
        "approve",
        "freeze --for 2h --reason maintenance",
        "freeze --all --reason maintenance",
        "freeze --all --for 2h",
        "freeze --all --target queue/email --for 2h --reason maintenance",
        "unfreeze",
        "apply queue-pause --break-glass",
        "token new --name alice --role boss --key-file k",
        "token new --name alice --role admin --expires soon --key-file k",
        "token new --name alice --role admin",
        "audit",
        "audit check",
        "audit verify --head 7",
        "token digest",
        "sweep",
        "silence",
        "silence add health --for 2h",
        "silence add health --reason maintenance",
        "silence add --for 2h --reason maintenance",
        "silence add health --all --for 2h --reason maintenance",
    ] {
        let arguments: Vec<_> = line.split_terminator(' ').collect();
        assert!(parsed(&arguments).is_err(), "{line}");
    }
}

#[test]
fn a_token_cannot_be_an_argument() {
    for line in ["run pg-ready --token x", "--token=x runs"] {
        assert!(parsed(&line.split(' ').collect::<Vec<_>>()).is_err(), "{line}");
    }
    let help = Cli::command().render_long_help().to_string();
    assert!(help.contains("PARAMEDIC_TOKEN holds it") && !help.contains("--token "), "{help}");
}
