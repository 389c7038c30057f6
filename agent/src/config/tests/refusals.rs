//! Bad files with the exact words they earn.

use super::*;

#[test]
fn each_bad_file_earns_its_message() {
    let table: &[(&str, &str, &[&str])] = &[
        ("no yaml", "server: [", &["1:9: unclosed bracket '['"]),
        (
            "two documents",
            "server: {}\n---\nserver: {}\n",
            &["3:1: only single YAML document expected but multiple found"],
        ),
        ("a list", "- server", &["1:1: expected a mapping, found a list"]),
        (
            "unknown section",
            "plugin: {}",
            &[
                "1:1: plugin: there is no such field; choose from server, auth, store, engine, intake, signing, quarantine, targets, plugins, budgets, scheduler, sweeps, replicas (did you mean `plugins`?)",
            ],
        ),
        (
            "unknown and doubled fields",
            "engine:\n  threads: 2\n  cache: a\n  cache: b\n",
            &[
                "2:3: engine.threads: there is no such field; choose from cache, guest_threads",
                "4:3: engine.cache: given twice; the first is on line 3",
            ],
        ),
        (
            "another machine can reach it",
            "server: { listen: 0.0.0.0:7117 }",
            &[
                "1:19: server.listen: `0.0.0.0:7117` can be reached from other machines and there is no TLS; give `tls` a \
               certificate and its key, listen on a loopback address such as 127.0.0.1:7117, or say `allow_remote: true` in \
               `server`",
            ],
        ),
        (
            "half of what TLS needs, and a path where a pointer belongs",
            "server: { listen: 0.0.0.0:7117, tls: { certificate: tls.crt } }",
            &["1:38: server.tls: `key` is missing", "1:53: server.tls.certificate: expected a mapping, found text"],
        ),
        (
            "a second login and inverses that cannot be meant",
            "targets:\n  postgres:\n    a: { url: { env: PG }, signal_url: { env: KEY }, protected: [\"\"] }\n  http:\n    b:\n      base_url: https://h\n      \
             inverses:\n        - { method: GET, path: /a, undo: { method: DELETE, path: a } }\n        \
             - { method: POST, path: /a/*, undo: { method: DELETE, path: \"/a?b\" } }\n    \
             c: { base_url: \"https://h\", inverses: [ { method: PUT, path: /a, undo: { method: PUT, path: /b } }, { method: PUT, path: /a, undo: { method: PUT, path: /c } } ] }\n",
            &[
                "3:40: targets.postgres.a.signal_url: what this leads to is no postgres URL: it must begin with postgres:// or postgresql://",
                "3:66: targets.postgres.a.protected[0]: must not be empty",
                "8:21: targets.http.b.inverses[0].method: `GET` is no method that changes something; choose from POST, PUT, PATCH, DELETE",
                "8:66: targets.http.b.inverses[0].undo.path: `a` is no exact path: it begins with `/` and has neither `*` nor a query",
                "9:33: targets.http.b.inverses[1].path: `/a/*` is no exact path: it begins with `/` and has neither `*` nor a query",
                "9:69: targets.http.b.inverses[1].undo.path: `/a?b` is no exact path: it begins with `/` and has neither `*` nor a query",
                "10:43: targets.http.c.inverses: `PUT /a` has two inverses",
            ],
        ),
        (
            "a host name",
            "server: { listen: localhost:7117 }",
            &[
                "1:19: server.listen: `localhost:7117` is no address; write an IP address and a port, such as 127.0.0.1:7117",
            ],
        ),
        (
            "numbers that cannot be meant",
            "server: { max_concurrent_runs: 0, max_body_bytes: 1GiB }\nengine: { guest_threads: 2.5 }",
            &[
                "1:32: server.max_concurrent_runs: `0` is out of range; the least is 1, the most 1024",
                "1:51: server.max_body_bytes: `1GiB` is out of range; the least is 1KiB, the most 64MiB",
                "2:26: engine.guest_threads: `2.5` is out of range; the least is 1, the most 64",
            ],
        ),
        (
            "units",
            "store: { retain: { age: 30, size: 1GB } }",
            &[
                "1:25: store.retain.age: `30` has no unit; write a whole number with its unit: 500ms, 10s, 5m, 2h or 30d",
                "1:35: store.retain.size: `1GB` is no size; write a whole number with its unit: 512B, 64KiB, 1MiB or 2GiB",
            ],
        ),
        (
            "a home directory",
            "engine: { cache: ~/cache }",
            &["1:18: engine.cache: `~` is not expanded; write the whole path, or one relative to this file"],
        ),
        (
            "a token instead of its digest",
            "auth: { key: { env: TOKEN_KEY }, tokens: [ { name: al ice, role: viewer, hmac: hunter2 } ] }",
            &[
                "1:52: auth.tokens[0].name: `al ice` is no name for a token: use 1 to 64 letters, digits, `.`, `_`, `@` and `-`",
                "1:80: auth.tokens[0].hmac: expected the digest of the token as 64 hexadecimal digits; \
                 `paramedic token digest` prints it, and `paramedic token new` makes a token with its entry",
            ],
        ),
        (
            "the digest of nothing",
            "auth: { key: { env: TOKEN_KEY }, tokens: [ { name: a, role: viewer, hmac: @EMPTY@ } ] }",
            &["1:75: auth.tokens[0].hmac: this is the digest of an empty token"],
        ),
        (
            "tokens without what they need",
            "auth: { tokens: [ { name: a, sha256: hunter2 } ] }",
            &[
                "1:7: auth: `key` is missing: tokens are known by digests that are made with it; put the output of \
                 `openssl rand -hex 32` into a file and say `key: { file: PATH }`",
                "1:19: auth.tokens[0]: `role` is missing",
                "1:19: auth.tokens[0]: `hmac` is missing",
                "1:30: auth.tokens[0].sha256: there is no such field; choose from name, role, expires, hmac, rate",
            ],
        ),
        (
            "a key in the file, and one that is short",
            "auth: { key: hunter2-hunter2-hunter2-hunter2-hunter2 }\ntargets: {}",
            &[
                "1:14: auth.key: a secret does not belong in this file; point at it with `{ env: NAME }` or `{ file: PATH }`",
            ],
        ),
        (
            "replicas",
            "targets: { kubernetes: { prod: { namespace: shop } } }\n\
             replicas: { kubernetes: qa, name: { env: KEY }, key: { env: KEY }, lease: A_b, term: 1500ms }",
            &[
                "2:25: replicas.kubernetes: there is no kubernetes target `qa`; choose from prod",
                "2:35: replicas.name: what this leads to is no name of a replica: up to 63 lower-case letters, digits, `-` and `.`",
                "2:54: replicas.key: the key has 14 bytes and needs 32 at least; `openssl rand -hex 32` makes a good one",
                "2:75: replicas.lease: `A_b` is no name of an object: up to 63 lower-case letters, digits, `-` and `.`",
                "2:86: replicas.term: `1500ms` is out of range; the least is 3s, the most 5m",
            ],
        ),
        (
            "replicas that lack something",
            "targets: { kubernetes: { prod: { namespace: shop } } }\n\
             replicas: { kubernetes: prod, term: 3500ms }",
            &[
                "2:11: replicas: `name` is missing",
                "2:11: replicas: `key` is missing",
                "2:37: replicas.term: a term is a whole number of seconds",
            ],
        ),
        (
            "a key that is short",
            "auth: { key: { env: KEY } }",
            &["1:14: auth.key: the key has 14 bytes and needs 32 at least; `openssl rand -hex 32` makes a good one"],
        ),
        (
            "roles, times and rates",
            "auth:\n  key: { env: TOKEN_KEY }\n  rate: { per_minute: 0, brust: 1 }\n  tokens:\n    \
             - { name: a, role: admn, expires: tomorrow, hmac: x, rate: { burst: 1000001 } }\n",
            &[
                "3:23: auth.rate.per_minute: `0` is out of range; the least is 1, the most 6000000",
                "3:26: auth.rate.brust: there is no such field; choose from per_minute, burst (did you mean `burst`?)",
                "5:24: auth.tokens[0].role: `admn` is no role; choose from viewer, responder, admin (did you mean `admin`?)",
                "5:39: auth.tokens[0].expires: `tomorrow`: this is no time in RFC 3339; write one such as 2026-12-31T18:00:00Z",
                "5:55: auth.tokens[0].hmac: expected the digest of the token as 64 hexadecimal digits; \
                 `paramedic token digest` prints it, and `paramedic token new` makes a token with its entry",
                "5:73: auth.tokens[0].rate.burst: `1000001` is out of range; the least is 1, the most 1000000",
            ],
        ),
        (
            "a secret in the file",
            "targets: { postgres: { main: { url: \"postgres://u:hunter2@h/d\" } } }",
            &[
                "1:37: targets.postgres.main.url: a secret does not belong in this file; point at it with `{ env: NAME }` or `{ file: PATH }`",
            ],
        ),
        (
            "secrets that lead nowhere",
            "targets:\n  postgres:\n    a: { url: { env: NOPE } }\n    b: { url: { env: EMPTY } }\n    c: { url: { env: BYTES } }\n    \
             d: { url: { env: \"postgres://u:hunter2@h\" } }\n    e: { url: { file: /nowhere/secret } }\n    f: { url: { vault: hunter2 } }\n    g: {}\n    h: { url: { env: REDIS } }\n",
            &[
                "3:22: targets.postgres.a.url.env: the environment variable `NOPE` is not set",
                "4:22: targets.postgres.b.url.env: the secret that this leads to is empty",
                "5:22: targets.postgres.c.url.env: the environment variable `BYTES` does not hold UTF-8",
                "6:22: targets.postgres.d.url.env: this is no name of an environment variable: use letters, digits and `_`",
                "7:23: targets.postgres.e.url.file: `/nowhere/secret` cannot be read: No such file or directory (os error 2)",
                "8:15: targets.postgres.f.url: expected either `{ env: NAME }` or `{ file: PATH }`",
                "9:8: targets.postgres.g: `url` is missing",
                "10:15: targets.postgres.h.url: what this leads to is no postgres URL: it must begin with postgres:// or postgresql://",
            ],
        ),
        (
            "queues",
            "targets:\n  redis: { cache: { url: { env: REDIS } } }\n  queue:\n    a: { redis: cahce, name: a, bullmq: 2 }\n    \
             b: { redis: cache, bull: 4, bullmq: 5 }\n    c: { redis: \"redis://:hunter2@h\", name: c }\n",
            &[
                "4:17: targets.queue.a.redis: there is no redis target `cahce`; choose from cache (did you mean `cache`?)",
                "4:41: targets.queue.a.bullmq: `2` is out of range; the least is 3, the most 6",
                "5:8: targets.queue.b: `name` is missing",
                "5:30: targets.queue.b.bull: a queue has one library; give exactly one of `bullmq: 3` to `bullmq: 6`, or `bull: 4`",
                "6:8: targets.queue.c: its library is missing; give exactly one of `bullmq: 3` to `bullmq: 6`, or `bull: 4`",
                "6:17: targets.queue.c.redis: there is no redis target `<url>`; choose from cache",
            ],
        ),
        (
            "web services",
            "targets:\n  http:\n    a: { base_url: \"https://u:hunter2@h\" }\n    b: { base_url: \"ftp://h\" }\n    c: { base_url: \"https://h/?key=hunter2\" }\n    \
             d: { base_url: \"https://\" }\n    e: { base_url: \"http://h\", headers: { X-Key: hunter2, x-key: { env: BREAK }, Host: { env: KEY }, a b: { env: KEY } } }\n",
            &[
                "3:20: targets.http.a.base_url: a base URL holds no credentials; send them with `headers`",
                "4:20: targets.http.b.base_url: a base URL begins with https:// or http://",
                "5:20: targets.http.c.base_url: a base URL holds no query and no fragment",
                "6:20: targets.http.d.base_url: no URL such as https://api.example.org: empty host",
                "7:50: targets.http.e.headers.X-Key: a secret does not belong in this file; point at it with `{ env: NAME }` or `{ file: PATH }`",
                "7:59: targets.http.e.headers.x-key: given twice; the case of a header's name does not matter",
                "7:66: targets.http.e.headers.x-key: what this leads to cannot be sent in a header: it holds a line break or the like",
                "7:82: targets.http.e.headers.Host: the agent sets this header by itself",
                "7:102: targets.http.e.headers.a b: invalid HTTP header name",
            ],
        ),
        (
            "names",
            "targets: { redis: { Cache: { url: { env: REDIS } } } }\nplugins: { \"redis://:hunter2@h\": { source: { oci: x } } }",
            &[
                "1:21: targets.redis.Cache: `Cache` is no name: use 1 to 64 lower-case letters, digits and single hyphens, beginning with a letter",
                "2:12: plugins.<url>: a URL has no place here",
                "2:44: plugins.<url>.source: `file` is missing",
                "2:46: plugins.<url>.source.oci: there is no such field; choose from file",
            ],
        ),
        (
            "parameters and settings",
            "plugins: { p: { source: { file: p }, params: [1], settings: { port: 5, on: true } } }",
            &[
                "1:46: plugins.p.params: expected a mapping, found a list",
                "1:69: plugins.p.settings.port: expected text, found a number; put it in quotes",
                "1:76: plugins.p.settings.on: expected text, found a boolean; put it in quotes",
            ],
        ),
        (
            "parameters past their own limit",
            "plugins: { p: { source: { file: p }, params: { text: 0123456789 }, limits: { params: 16B } } }",
            &["1:46: plugins.p.params: as JSON these are 21 bytes; the limit `params` allows 16"],
        ),
        (
            "limits",
            "plugins: { p: { source: { file: p }, limits: { deadline: 16m, memory: 257MiB, calls: 0, log: -1, memry: 1 } } }",
            &[
                "1:58: plugins.p.limits.deadline: `16m` is out of range; the least is 1ms, the most 15m",
                "1:71: plugins.p.limits.memory: `257MiB` is out of range; the least is 1B, the most 256MiB",
                "1:86: plugins.p.limits.calls: `0` is out of range; the least is 1, the most 20000",
                "1:94: plugins.p.limits.log: `-1` is no size; write a whole number with its unit: 512B, 64KiB, 1MiB or 2GiB",
                "1:98: plugins.p.limits.memry: there is no such field; choose from deadline, memory, table_elements, calls, \
                 answer, total_answer, log_lines, log, params, outcome (did you mean `memory`?)",
            ],
        ),
    ];
    let empty = token_key().digest(b"").hex();
    for (name, text, expected) in table {
        let text = text.replace("@EMPTY@", &empty);
        assert_eq!(problems_of(&text), *expected, "{name}");
    }
}

#[test]
fn each_bad_grant_earns_its_message() {
    let table: &[(&str, &[&str])] = &[
        (
            "{ postgres: main, verbs: [query, inspekt] }",
            &["3:34: plugins.p.grants[0].verbs[1]: `inspekt` is no verb of postgres; choose from inspect, sessions, \
               statements, replication, query, cancel-query, terminate-session (did you mean `inspect`?)"],
        ),
        ("{ postgres: main, verbs: [query, query] }", &["3:34: plugins.p.grants[0].verbs[1]: given twice"]),
        (
            "{ postgres: main, verbs: [1] }",
            &["3:27: plugins.p.grants[0].verbs[0]: expected text, found a number; put it in quotes"],
        ),
        (
            "{ queue: email, verbs: [] }",
            &[
                "3:24: plugins.p.grants[0].verbs: a grant without verbs allows nothing; choose from inspect, list-failures, pause, resume, \
                 clean-failed, retry-failed",
            ],
        ),
        ("{ queue: email }", &["3:1: plugins.p.grants[0]: `verbs` is missing"]),
        (
            "{ verbs: [ping] }",
            &[
                "3:1: plugins.p.grants[0]: a grant names its target; give one of postgres, redis, queue, http, kubernetes",
            ],
        ),
        (
            "{ postgres: main, redis: cache, verbs: [ping] }",
            &["3:26: plugins.p.grants[0].redis: a grant is for one target; write a second grant for this one"],
        ),
        (
            "{ postgres: mian, verbs: [query] }",
            &[
                "3:13: plugins.p.grants[0].postgres: there is no postgres target `mian`; choose from main (did you mean `main`?)",
            ],
        ),
        (
            "{ postgres: \"*\", verbs: [query] }",
            &["3:13: plugins.p.grants[0].postgres: `*` is no target: each is named by itself; choose from main"],
        ),
        (
            "{ redis: cache, verbs: [ping, scan] }",
            &["3:1: plugins.p.grants[0]: `scan` needs `keys`; add the patterns it may use"],
        ),
        (
            "{ redis: cache, verbs: [ping], keys: [\"*\"] }",
            &["3:38: plugins.p.grants[0].keys: none of the verbs is bounded by `keys`; it is for scan, usage, read, \
               remove-keys, expire-keys"],
        ),
        (
            "{ redis: cache, verbs: [read], keys: [] }",
            &[
                "3:38: plugins.p.grants[0].keys: an empty list allows nothing; name the patterns, or leave out the verbs that need them",
            ],
        ),
        ("{ redis: cache, verbs: [read], keys: [\"\"] }", &["3:39: plugins.p.grants[0].keys[0]: must not be empty"]),
        (
            "{ http: api, verbs: [head], paths: [health] }",
            &["3:37: plugins.p.grants[0].paths[0]: `health` is no path pattern: it must begin with `/`"],
        ),
        (
            "{ http: api, verbs: [get], keys: [a] }",
            &[
                "3:1: plugins.p.grants[0]: `get` needs `paths`; add the patterns it may use",
                "3:34: plugins.p.grants[0].keys: http has no verb that `keys` would bound",
            ],
        ),
        (
            "{ queue: email, verbs: [inspect], paths: [/] }",
            &["3:42: plugins.p.grants[0].paths: queue has no verb that `paths` would bound"],
        ),
        ("postgres/main query", &["3:1: plugins.p.grants[0]: expected a mapping, found text"]),
        (
            "{ kafka: prod, verbs: [get] }",
            &[
                "3:1: plugins.p.grants[0]: a grant names its target; give one of postgres, redis, queue, http, kubernetes",
                "3:3: plugins.p.grants[0].kafka: there is no such field; choose from postgres, redis, queue, http, \
                 kubernetes, verbs, keys, paths, resources, per_run, per_hour, users, applications, min_age, ttl, methods, \
                 objects, replicas, variables, images, cpu, memory",
            ],
        ),
        (
            "{ kubernetes: prod, verbs: [get-object], resources: [secrets] }",
            &[
                "3:54: plugins.p.grants[0].resources[0]: `secrets` is no resource pattern: no plugin ever reads a Secret",
            ],
        ),
        (
            "{ kubernetes: prod, verbs: [list-pods], resources: [pods] }",
            &[
                "3:52: plugins.p.grants[0].resources: none of the verbs is bounded by `resources`; it is for get-object, \
               list-objects",
            ],
        ),
        (
            "{ kubernetes: prod, verbs: [scale], objects: [deployment/api] }",
            &["3:1: plugins.p.grants[0]: `scale` needs `replicas`; add the fewest and the most, such as 2..20"],
        ),
        (
            "{ kubernetes: prod, verbs: [scale], objects: [api], replicas: 20..2 }",
            &[
                "3:47: plugins.p.grants[0].objects[0]: `api` is no object pattern: write kind and name, such as \
                 `deployment/api` or `pod/api-*`; the kinds are deployment, statefulset, daemonset, pod, cronjob and service",
                "3:63: plugins.p.grants[0].replicas: `20..2` is no range of replicas; write the least and the most, such as \
                 2..20",
            ],
        ),
        (
            "{ kubernetes: prod, verbs: [restart], objects: [pod/api] }",
            &["3:48: plugins.p.grants[0].objects: none of the verbs touches a pod, as `pod/api` is"],
        ),
        (
            "{ kubernetes: prod, verbs: [restart, detach-service], objects: [deployment/api] }",
            &[
                "3:64: plugins.p.grants[0].objects: `detach-service` has nothing that it could touch; name an object of the \
                 kind service",
            ],
        ),
        (
            "{ kubernetes: prod, verbs: [set-env], objects: [deployment/api], variables: [\"A=x\"] }",
            &[
                "3:78: plugins.p.grants[0].variables[0]: `A=x` is no variable pattern: after `=` stand the least and the most \
                 whole number, such as `POOL_MAX=1..50`",
            ],
        ),
        (
            "{ kubernetes: prod, verbs: [set-resources], objects: [deployment/api], memory: 8Gi }",
            &["3:80: plugins.p.grants[0].memory: `8Gi` is no range of amounts; write the least and the most, such as \
                 128Mi..8Gi"],
        ),
        (
            "{ queue: email, verbs: [clean-failed] }",
            &["3:1: plugins.p.grants[0]: `clean-failed` needs `per_run`; add how many things it may touch"],
        ),
        (
            "{ queue: email, verbs: [inspect], per_run: 1 }",
            &[
                "3:44: plugins.p.grants[0].per_run: none of the verbs is bounded by `per_run`; it is for pause, resume, \
               clean-failed, retry-failed",
            ],
        ),
        (
            "{ redis: cache, verbs: [expire-keys], keys: [a], per_run: 1, ttl: 1d..1m }",
            &[
                "3:67: plugins.p.grants[0].ttl: `1d..1m` is no range of times; write the shortest and the longest, such as \
               10m..1d",
            ],
        ),
        (
            "{ http: api, verbs: [send], paths: [/a], methods: [GET], per_run: 1 }",
            &[
                "3:52: plugins.p.grants[0].methods[0]: `GET` is no method that changes something; choose from POST, PUT, \
               PATCH, DELETE",
            ],
        ),
        (
            "{ queue: email, verbs: [pause], per_run: 5, per_hour: 2 }",
            &["3:1: plugins.p.grants[0]: `per_hour: 2` would never let `per_run: 5` happen"],
        ),
        (
            "{ queue: email, verbs: [pause], per_run: 0 }",
            &["3:42: plugins.p.grants[0].per_run: `0` is out of range; the least is 1, the most 1000000000"],
        ),
    ];
    for (grant, expected) in table {
        let text = format!("{TARGETS}plugins: {{ p: {{ source: {{ file: p }}, grants: [\n{grant}\n] }} }}\n");
        assert_eq!(problems_of(&text), *expected, "{grant}");
    }
}

#[test]
fn each_bad_guard_earns_its_message() {
    let table: &[(&str, &[&str])] = &[
        (
            "plugins: { p: { source: upload, recordings: check } }",
            &[
                "2:45: plugins.p.recordings: `check` does not say which runs are recorded; choose from none, changes, all",
            ],
        ),
        (
            "plugins: { p: { source: upload, approval: three, cooldown: 0s } }",
            &[
                "2:43: plugins.p.approval: `three` is no number of approvals; choose from none, one, two",
                "2:60: plugins.p.cooldown: `0s` is out of range; the least is 1s, the most 7d",
            ],
        ),
        (
            "budgets: [{}]",
            &[
                "2:11: budgets[0]: `target` is missing",
                "2:11: budgets[0]: `verbs` is missing",
                "2:11: budgets[0]: `per_hour` is missing",
            ],
        ),
        (
            "budgets: [{ target: main, verbs: [pause], per_hour: 0 }]",
            &[
                "2:21: budgets[0].target: `main` is no target: a target is written with its system before it, such as \
                 postgres/main or queue/email",
                "2:53: budgets[0].per_hour: `0` is out of range; the least is 1, the most 1000000000",
            ],
        ),
        (
            "budgets: [{ target: postgres/mian, verbs: [query], per_hour: 1 }]",
            &["2:21: budgets[0].target: there is no postgres target `mian`; choose from main (did you mean `main`?)"],
        ),
        (
            "budgets: [{ target: queue/email, verbs: [pause, inspect], per_hour: 1 }]",
            &[
                "2:41: budgets[0].verbs: `inspect` changes nothing, and a budget counts changes; choose from pause, resume, \
               clean-failed, retry-failed",
            ],
        ),
        (
            "budgets: [{ target: queue/email, verbs: [], per_hour: 1 }]",
            &[
                "2:41: budgets[0].verbs: a budget without verbs counts nothing; choose from pause, resume, clean-failed, \
               retry-failed",
            ],
        ),
    ];
    for (text, expected) in table {
        assert_eq!(problems_of(&format!("{TARGETS}{text}\n")), *expected, "{text}");
    }
}

#[test]
fn each_bad_sweep_earns_its_message() {
    let table: &[(&str, &[&str])] = &[
        ("{}", &["3:13: sweeps.health: `checks` is missing"]),
        (
            "{ checks: [] }",
            &["3:23: sweeps.health.checks: a sweep without checks tells nothing; name the plugins that it runs"],
        ),
        (
            "{ checks: [pg-redy, { plugin: nothing }, { params: 1 }] }",
            &[
                "3:24: sweeps.health.checks[0]: no plugin is named `pg-redy`; choose from pg-ready (did you mean `pg-ready`?)",
                "3:43: sweeps.health.checks[1].plugin: no plugin is named `nothing`; choose from pg-ready",
                "3:54: sweeps.health.checks[2]: `plugin` is missing",
                "3:64: sweeps.health.checks[2].params: expected a mapping, found a number",
            ],
        ),
        (
            "{ checks: [pg-ready], every: 1m, cron: '* * * * *' }",
            &["3:52: sweeps.health.cron: a sweep has one schedule; give either `every` or `cron`"],
        ),
        (
            "{ checks: [pg-ready], cron: '61 * * * *', timezone: Europe/Berln }",
            &[
                "3:41: sweeps.health.cron: `61` is no minute: write 0 to 59, a range such as 0-1, or `*`, each with a step such as `/2`",
                "3:65: sweeps.health.timezone: there is no time zone `Europe/Berln`; write an IANA name such as Europe/Berlin",
            ],
        ),
        (
            "{ checks: [pg-ready], every: 500ms }",
            &["3:42: sweeps.health.every: `500ms` is out of range; the least is 1s, the most 30d"],
        ),
        (
            "{ checks: [pg-ready], every: 1m, timezone: UTC }",
            &["3:56: sweeps.health.timezone: a time zone goes with `cron`; intervals are the same in all of them"],
        ),
        (
            "{ checks: [pg-ready], every: 1m, splay: 2m }",
            &["3:53: sweeps.health.splay: `2m` is out of range; the least is 0ms, the most 1m"],
        ),
        (
            "{ checks: [pg-ready], splay: 2m }",
            &["3:42: sweeps.health.splay: a sweep without a schedule has nothing to spread; give `every` or `cron`"],
        ),
        (
            "{ checks: [pg-ready], overlap: forbid, missed: Skip }",
            &[
                "3:44: sweeps.health.overlap: `forbid` is none of the words for it; choose from skip, queue, replace",
                "3:60: sweeps.health.missed: `Skip` is none of the words for it; choose from skip, once (did you mean `skip`?)",
            ],
        ),
        (
            "{ checks: [pg-ready], failure_threshold: 0, reminder_interval: 1s, low_flap_threshold: 40 }",
            &[
                "3:54: sweeps.health.failure_threshold: `0` is out of range; the least is 1, the most 1000",
                "3:76: sweeps.health.reminder_interval: `1s` is out of range; the least is 1m, the most 30d",
                "3:100: sweeps.health.low_flap_threshold: `low_flap_threshold` is 40 and must not be above `high_flap_threshold`, which is 30",
            ],
        ),
    ];
    for (sweep, expected) in table {
        let text = format!("plugins: {{ pg-ready: {{ source: {{ file: p }} }} }}\nsweeps:\n  {{ health: {sweep} }}\n");
        assert_eq!(problems_of(&text), *expected, "{sweep}");
    }
    let none = "sweeps: { health: { checks: [pg-ready] } }";
    assert_eq!(problems_of(none), ["1:30: sweeps.health.checks[0]: no plugin is named `pg-ready`; `plugins` is empty"]);
    let many = format!(
        "plugins: {{ p: {{ source: {{ file: p }} }} }}\nsweeps: {{ s: {{ checks: [{}] }} }}",
        ["p"; 201].join(",")
    );
    assert_eq!(problems_of(&many), ["2:24: sweeps.s.checks: these are 201 checks; a sweep has at most 200"]);
}
