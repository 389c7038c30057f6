# `./dev <recipe>` installs what a recipe needs before it runs it; see docs/development.md.

target := env_var_or_default("CARGO_TARGET_DIR", justfile_directory() / "target")

# Programs for WebAssembly alone; `just guests` builds them.
native := "--workspace --exclude 'guest-*'"

# Lists the recipes.
_list:
    @just --list --unsorted

# Formats the code.
fmt:
    cargo fmt --all

# Checks format, warnings, and licences and sources of the dependencies.
lint: && _deny
    cargo fmt --all --check
    cargo clippy --locked {{ native }} --all-targets -- --deny warnings

# Runs every test, those against real services too.
test *args: plugins guests _bullmq
    cargo test --locked {{ native }} --no-fail-fast {{ args }}

# Builds the guest programs of the tests into target/guests.
guests: (_components "guests" "tests/guests")

# Builds the plugins into target/plugins.
plugins: (_components "plugins" "plugins")

# Builds the documentation of the code.
doc *args:
    RUSTDOCFLAGS="--deny warnings" cargo doc --locked {{ native }} --no-deps {{ args }}

# Feeds damaged input to every parser of what outsiders send, for so many minutes of processor time; a finding is kept beside its test.
fuzz minutes="60": plugins guests
    #!/usr/bin/env bash
    set -euo pipefail
    folder="{{ target }}/fuzz"
    mkdir -p "$folder"
    built=$(cargo test --locked {{ native }} --no-run --message-format json)
    # Copies, so that what is built meanwhile changes nothing.
    take() {
        local program='select(.target.kind == [$kind] and .target.name == $name and .profile.test == $test) | .executable'
        cp --force "$(jq --raw-output --arg kind "$1" --arg name "$2" --argjson test "$3" "$program" <<<"$built")" "$folder/$2$4"
    }
    take bin paramedic false ""
    take lib paramedic true .lib
    take lib paramedic_sdk true .lib
    take test api true ""
    take test hostile true ""
    ticks=$(getconf CLK_TCK)
    # What ended children used, theirs included.
    used() { awk -v ticks="$ticks" '{ print int(($16 + $17) / ticks) }' "/proc/$$/stat"; }
    declare -A seconds=()
    # Gives so many new cases to each test with these names.
    fuzz() {
        local area=$1 cases=$2 program=$3 since
        shift 3
        since=$(used)
        PROPTEST_CASES=$cases "$folder/$program" --quiet "$@" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
        seconds[$area]=$((${seconds[$area]:-0} + $(used) - since))
    }
    rounds=0 begin=$(used)
    # The counts are such that each area gets about the same time.
    until (($(used) - begin >= {{ minutes }} * 60)); do
        fuzz configuration 5000 paramedic.lib config::tests::damaged:: units::tests::any_
        fuzz "component loader" 100 hostile damaged::
        fuzz "API bodies" 1000 api damaged::
        fuzz thresholds 200000 paramedic_sdk.lib threshold::tests::any_
        fuzz schedules 10000 paramedic.lib cron::damaged:: schedule::tests::any_ query::tests::any_
        rounds=$((rounds + 1))
        echo "round $rounds: no finding in $(($(used) - begin)) s of processor time"
    done
    for area in "${!seconds[@]}"; do echo "$area: ${seconds[$area]} s"; done

# Kills the agent under load so many times, and holds each one to what those before it told; the seed is printed first.
crash rounds="1000": guests
    cargo build --locked {{ native }}
    PARAMEDIC_CRASH_ROUNDS={{ rounds }} cargo test --locked {{ native }} --test crash -- --nocapture

# Kills, cuts off and pauses whichever of three replicas leads, so many times; tells what each round did.
replicas rounds="100": guests plugins
    cargo build --locked {{ native }}
    PARAMEDIC_REPLICA_ROUNDS={{ rounds }} cargo test --locked {{ native }} --test replicas -- --nocapture whatever

# Runs the scenarios of a cluster on the control plane that KUBEBUILDER_ASSETS, or KUBECONFIG and PARAMEDIC_TEST_NAMESPACE, lead to.
cluster *args: _control_plane guests plugins
    cargo build --locked {{ native }}
    cargo test --locked {{ native }} --no-fail-fast --test kubernetes_mitigations --test kubernetes_rbac -- --test-threads 1 {{ if args == "" { "on_a_control_plane::" } else { "on_a_control_plane::" + args } }}

# Makes trouble in real services and shows the agent finding it; `--once` ends by itself.
demo *args: plugins _bullmq
    cargo build --locked {{ native }}
    "{{ target }}/debug/demo" {{ args }}

# Measures the agent beside what it is built on; arguments are groups of measures, such as `runs api`, or `sweeps` and minutes.
bench *groups: guests plugins
    cargo build --locked --release --package paramedic --package paramedic-bench
    "{{ target }}/release/bench" {{ groups }}

# Builds the image of the agent with its plugins, by podman or docker.
image tag="paramedic:0.1.0":
    $(command -v podman || command -v docker || echo podman) build --file deploy/Containerfile --tag {{ tag }} .

# What has to pass before a change is taken, in this order.
ci: lint _advisories test doc (demo "--once")

_deny:
    #!/usr/bin/env bash
    set -euo pipefail
    if command -v cargo-deny >/dev/null; then
        cargo deny --locked check --hide-inclusion-graph bans licenses sources
    else
        echo "the dependencies were not judged: cargo-deny is missing; \`./dev lint\` installs it" >&2
    fi

# New advisories come without a change of ours, and from the network.
_advisories:
    cargo deny --locked check advisories

# Whether the environment names a control plane.
_control_plane:
    #!/usr/bin/env bash
    if [[ -z ${KUBEBUILDER_ASSETS:-} && ( -z ${KUBECONFIG:-} || -z ${PARAMEDIC_TEST_NAMESPACE:-} ) ]]; then
        echo "set KUBEBUILDER_ASSETS, or KUBECONFIG and PARAMEDIC_TEST_NAMESPACE; see docs/development.md" >&2
        exit 1
    fi

# Builds every component below a folder and puts it where the tests and the demo look: <kind>/<name>.wasm.
_components kind folder:
    #!/usr/bin/env bash
    set -euo pipefail
    packages=$(cargo metadata --locked --no-deps --format-version 1 | jq --raw-output --arg folder "$PWD/{{ folder }}/" '
        .packages[]
        | select(.manifest_path | startswith($folder))
        | select(any(.targets[].kind[]; . == "cdylib"))
        | .name')
    [[ -n $packages ]] || { echo "no component below {{ folder }}" >&2; exit 1; }
    cargo build --locked --profile plugin --target wasm32-wasip2 $(printf -- '--package %s ' $packages)
    mkdir -p "{{ target }}/{{ kind }}"
    for package in $packages; do
        cp "{{ target }}/wasm32-wasip2/plugin/${package//-/_}.wasm" "{{ target }}/{{ kind }}/${package#guest-}.wasm"
    done

# Installs the queue libraries into tests/bullmq/node_modules, once for each lock file.
_bullmq:
    #!/usr/bin/env bash
    set -euo pipefail
    cd tests/bullmq
    if ! cmp --silent package-lock.json node_modules/.installed; then
        npm ci --ignore-scripts --no-audit --no-fund
        cp package-lock.json node_modules/.installed
    fi
