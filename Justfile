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
    cargo test --locked {{ native }} --no-run
    ticks=$(getconf CLK_TCK)
    # What ended children used, theirs included.
    used() { awk -v ticks="$ticks" '{ print int(($16 + $17) / ticks) }' "/proc/$$/stat"; }
    share=$(({{ minutes }} * 60 / 5))
    # Gives new cases to the tests with these names until a fifth of the time is used.
    fuzz() {
        local area=$1 cases=$2 binary=$3 begin rounds=0
        shift 3
        begin=$(used)
        while (($(used) - begin < share)); do
            PROPTEST_CASES=$cases cargo test --locked {{ native }} --quiet $binary -- "$@" >"{{ target }}/fuzz.log" 2>&1 \
                || { cat "{{ target }}/fuzz.log"; exit 1; }
            rounds=$((rounds + 1))
        done
        echo "$area: $rounds times $cases cases for each harness in $(($(used) - begin)) s of processor time, no finding"
    }
    fuzz configuration 5000 --lib config::tests::damaged:: units::tests::any_
    fuzz "component loader" 300 "--test hostile" damaged::
    fuzz "API bodies" 500 "--test api" damaged::
    fuzz thresholds 100000 --lib threshold::tests::any_
    fuzz schedules 10000 --lib cron::damaged:: schedule::tests::any_ query::tests::any_

# Makes trouble in real services and shows the agent finding it; `--once` ends by itself.
demo *args: plugins _bullmq
    cargo build --locked {{ native }}
    "{{ target }}/debug/demo" {{ args }}

# Measures the agent beside what it is built on; arguments are groups of measures, such as `runs api`.
bench *groups: guests
    cargo build --locked --release --package paramedic --package paramedic-bench
    "{{ target }}/release/bench" {{ groups }}

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
