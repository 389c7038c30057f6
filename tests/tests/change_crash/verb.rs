//! What can be changed: what each function is for, how it is seen on its target, and what the target tells of it later.

use kubernetes_stand_in::Cluster;
use paramedic::clients::queue;
use paramedic_tests::bullmq::{Bullmq, Version};
use paramedic_tests::http::Endpoint;
use paramedic_tests::postgres::{self, Database, Postgres};
use paramedic_tests::redis::Redis;
use paramedic_tests::secret;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// What the plugin looks at once it has made its change contains this word.
pub const AFTER: &str = "after";

/// A function that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Cancel,
    Terminate,
    Remove,
    Expire,
    Pause,
    Resume,
    Clean,
    Retry,
    Send,
    Scale,
}

impl Verb {
    /// A word of what reaches the target for it, and for nothing else.
    pub fn effect(self) -> &'static str {
        match self {
            Self::Cancel => "pg_cancel_backend",
            Self::Terminate => "pg_terminate_backend",
            Self::Remove => "UNLINK",
            Self::Expire => "PEXPIREAT",
            Self::Pause | Self::Resume | Self::Clean | Self::Retry => "EVAL",
            Self::Send => "POST",
            // A dry run has one parameter more.
            Self::Scale => "/scale?fieldManager=paramedic&fieldValidation=Strict HTTP",
        }
    }

    /// What looking at the target tells when it was not done.
    pub fn fate_when_not_done(self) -> &'static str {
        match self {
            Self::Cancel | Self::Terminate | Self::Pause | Self::Resume | Self::Clean | Self::Retry | Self::Scale => {
                "failed"
            }
            // Keys that fit may be new ones, and a service does not tell what it was sent.
            Self::Remove | Self::Expire | Self::Send => "unknown",
        }
    }

    /// What looking at the target tells when it was done.
    pub fn fate_when_done(self) -> &'static str {
        match self {
            Self::Cancel | Self::Terminate | Self::Remove | Self::Pause | Self::Resume | Self::Clean | Self::Scale => {
                "applied"
            }
            // Keys may have got an expiry from others, and jobs may have been retried by hand.
            Self::Expire | Self::Retry | Self::Send => "unknown",
        }
    }
}

/// A system with something in it that the verb is for.
pub struct Patient {
    verb: Verb,
    system: System,
    /// What the agent sends with every request. The service repeats it, as services do that want to be helpful.
    credential: String,
}

enum System {
    Postgres { runtime: Runtime, database: Database, application: String, victims: usize },
    Redis { prefix: String },
    Queue { name: String, bullmq: Bullmq },
    Http { endpoint: Endpoint, requests: usize },
    Kubernetes { cluster: Cluster },
}

/// What is scaled, from three replicas to as many.
const DEPLOYMENT: &str = "api";
const REPLICAS: u32 = 5;

impl Patient {
    pub fn new(verb: Verb) -> Self {
        let mut credential = secret::random();
        let system = match verb {
            Verb::Cancel | Verb::Terminate => {
                let database = Postgres::shared().unwrap().database().unwrap();
                let application = database.application().unwrap();
                System::Postgres { runtime: Runtime::new().unwrap(), database, application, victims: 0 }
            }
            Verb::Remove | Verb::Expire => System::Redis { prefix: Redis::shared().unwrap().prefix() },
            Verb::Pause | Verb::Resume | Verb::Clean | Verb::Retry => {
                let redis = Redis::shared().unwrap();
                let name = format!("crash-{}", redis.prefix().trim_end_matches(':'));
                let bullmq = Bullmq::start(Version::V5, &redis.admin_url(), "bull", &name).unwrap();
                System::Queue { name, bullmq }
            }
            Verb::Send => System::Http {
                endpoint: Endpoint::start("200 OK", &format!("thanks for {credential}")).unwrap(),
                requests: 0,
            },
            Verb::Scale => {
                let cluster = Runtime::new().unwrap().block_on(Cluster::seeded_now()).unwrap();
                cluster.token("admin").clone_into(&mut credential);
                set_replicas(&cluster, 3);
                System::Kubernetes { cluster }
            }
        };
        Self { verb, system, credential }
    }

    /// What the agent sends with every request.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// The port of the system on 127.0.0.1.
    pub fn port(&self) -> u16 {
        match &self.system {
            System::Postgres { .. } => Postgres::shared().unwrap().port(),
            System::Redis { .. } | System::Queue { .. } => Redis::shared().unwrap().port(),
            System::Http { endpoint, .. } => port_of(&endpoint.url()),
            System::Kubernetes { cluster } => port_of(&cluster.url()),
        }
    }

    /// Puts there what the verb is for, unless it is there. The answer is what the plugin is asked to do.
    pub fn plant(&mut self) -> Value {
        let is_done = self.is_done();
        let redis = || Redis::shared().unwrap();
        match &mut self.system {
            System::Postgres { runtime, database, application, victims } => {
                if is_done {
                    *victims += 1;
                    begin_victim(runtime, database, application, *victims);
                }
                let (pid, started) = key_of(database, *victims);
                let verb = if self.verb == Verb::Cancel { "cancel" } else { "terminate" };
                json!({ "do": verb, "pid": pid, "started": started })
            }
            System::Redis { prefix } => {
                redis().command::<()>(&["SET", &format!("{prefix}cache"), "x"]).unwrap();
                let verb = if self.verb == Verb::Remove { "remove" } else { "expire" };
                json!({ "do": verb, "pattern": format!("{prefix}*") })
            }
            System::Queue { name, bullmq } => match self.verb {
                Verb::Pause => {
                    bullmq.resume().unwrap();
                    json!({ "do": "pause" })
                }
                Verb::Resume => {
                    bullmq.pause().unwrap();
                    json!({ "do": "resume" })
                }
                verb => {
                    fail_a_job(redis(), name);
                    json!({ "do": if verb == Verb::Clean { "clean" } else { "retry" } })
                }
            },
            System::Http { endpoint, requests } => {
                *requests = endpoint.requests().len();
                json!({ "do": "send" })
            }
            System::Kubernetes { cluster } => {
                set_replicas(cluster, 3);
                json!({ "do": "scale", "deployment": DEPLOYMENT, "replicas": REPLICAS })
            }
        }
    }

    /// True when what was planted last was changed.
    pub fn is_done(&self) -> bool {
        let redis = || Redis::shared().unwrap();
        match &self.system {
            System::Postgres { database, victims, .. } => {
                let state = if self.verb == Verb::Cancel { "active" } else { "%" };
                let sql = format!(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{}' AND state LIKE '{state}'",
                    victim(database, *victims)
                );
                database.sql(&sql).unwrap().trim() == "0"
            }
            System::Redis { prefix } => {
                let life: i64 = redis().command(&["PTTL", &format!("{prefix}cache")]).unwrap();
                if self.verb == Verb::Remove { life == -2 } else { life > 0 }
            }
            System::Queue { name, bullmq } => match self.verb {
                Verb::Pause => bullmq.is_paused().unwrap(),
                Verb::Resume => !bullmq.is_paused().unwrap(),
                _ => redis().command::<u32>(&["ZCARD", &format!("bull:{name}:failed")]).unwrap() == 0,
            },
            System::Http { endpoint, requests } => sent(endpoint, *requests, "POST") == 1,
            System::Kubernetes { cluster } => deployment(cluster)["spec"]["replicas"] == REPLICAS,
        }
    }

    /// True when it was changed and is again as it was before.
    pub fn is_given_back(&self) -> bool {
        match &self.system {
            System::Http { endpoint, requests } => sent(endpoint, *requests, "DELETE") > 0,
            System::Postgres { .. } | System::Redis { .. } | System::Queue { .. } | System::Kubernetes { .. } => {
                !self.is_done()
            }
        }
    }

    /// The URLs that the agent has in files, by name; those of this system by way of `proxy`.
    pub fn urls(&self, proxy: impl Fn(&str, u16) -> String) -> Vec<(&'static str, String)> {
        let redis = || Redis::shared().unwrap();
        let nobody =
            |scheme: &str, database: &str| format!("{scheme}://nobody:{}@127.0.0.1:1/{database}", self.credential);
        let port = self.port();
        let mut urls = vec![
            ("pg", nobody("postgres", "none")),
            ("signal", nobody("postgres", "none")),
            ("cache", nobody("redis", "0")),
            ("jobs", nobody("redis", "0")),
        ];
        match &self.system {
            System::Postgres { database, .. } => {
                urls[0].1 = proxy(&database.monitor().unwrap(), port);
                urls[1].1 = proxy(&database.signal().unwrap(), port);
            }
            System::Redis { prefix } => urls[2].1 = proxy(&redis().freer(&format!("{prefix}*")).unwrap(), port),
            System::Queue { name, .. } => {
                let rules = queue::acting_rules().replace("PREFIX:NAME", &format!("bull:{name}"));
                let (_, rules) = rules.split_once(">PASSWORD ").unwrap();
                urls[2].1 = proxy(&redis().freer("none:*").unwrap(), port);
                urls[3].1 = proxy(&redis().user(rules).unwrap(), port);
            }
            System::Http { .. } | System::Kubernetes { .. } => {}
        }
        let of_nobody = "http://127.0.0.1:1/".to_owned();
        let hook = match &self.system {
            System::Http { endpoint, .. } => proxy(&format!("{}/", endpoint.url()), port),
            _ => of_nobody.clone(),
        };
        let cluster = match &self.system {
            System::Kubernetes { cluster } => proxy(&format!("{}/", cluster.url()), port),
            _ => of_nobody,
        };
        urls.push(("hook", hook));
        urls.push(("kubeconfig", kubeconfig(cluster.trim_end_matches('/'), &self.credential)));
        urls
    }

    /// The plugin may do each of them once in an hour.
    pub fn grants(&self) -> Value {
        json!([
            { "postgres": "main", "verbs": ["query"] },
            { "postgres": "main", "verbs": ["cancel-query", "terminate-session"], "per_run": 1, "per_hour": 1 },
            { "redis": "cache", "verbs": ["scan"], "keys": ["*"] },
            { "redis": "cache", "verbs": ["remove-keys"], "keys": ["*"], "per_run": 1, "per_hour": 1 },
            { "redis": "cache", "verbs": ["expire-keys"], "keys": ["*"], "per_run": 1, "per_hour": 1, "ttl": "1m..1d" },
            { "queue": "email", "verbs": ["pause", "resume"], "per_run": 1, "per_hour": 1 },
            { "queue": "email", "verbs": ["clean-failed", "retry-failed"], "per_run": 1, "per_hour": 1 },
            { "http": "hook", "verbs": ["get"], "paths": ["/after"] },
            { "http": "hook", "verbs": ["send"], "methods": ["POST"], "paths": ["/maintenance"], "per_run": 1, "per_hour": 1 },
            { "kubernetes": "prod", "verbs": ["list-pods"] },
            {
                "kubernetes": "prod", "verbs": ["scale"], "objects": [format!("deployment/{DEPLOYMENT}")], "replicas": "1..9",
                "per_run": 1, "per_hour": 1,
            },
        ])
    }

    /// All systems; those that are not this one are never reached.
    pub fn targets(&self, hook: &str) -> Value {
        let name = if let System::Queue { name, .. } = &self.system { name } else { "none" };
        let undo = json!({ "method": "DELETE", "path": "/maintenance" });
        json!({
            "postgres": { "main": { "url": { "file": "pg" }, "signal_url": { "file": "signal" } } },
            "redis": { "cache": { "url": { "file": "cache" } }, "jobs": { "url": { "file": "jobs" } } },
            "kubernetes": { "prod": { "namespace": "shop", "kubeconfig": { "file": "kubeconfig" } } },
            "queue": { "email": { "redis": "jobs", "name": name, "bullmq": 5 } },
            "http": { "hook": {
                "base_url": hook,
                "allow_private": true,
                "headers": { "x-key": { "file": "credential" } },
                "inverses": [{ "method": "POST", "path": "/maintenance", "undo": undo }],
            } },
        })
    }
}

fn port_of(url: &str) -> u16 {
    url.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// The way to a cluster.
fn kubeconfig(server: &str, token: &str) -> String {
    let (context, user) = (json!({ "cluster": "here", "user": "agent" }), json!({ "token": token }));
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "contexts": [{ "name": "here", "context": context }],
        "clusters": [{ "name": "here", "cluster": { "server": server } }],
        "users": [{ "name": "agent", "user": user }],
    })
    .to_string()
}

fn deployment(cluster: &Cluster) -> Value {
    cluster.get("apps/v1/Deployment", "shop", DEPLOYMENT).unwrap()
}

fn set_replicas(cluster: &Cluster, replicas: u32) {
    let mut changed = deployment(cluster);
    changed["spec"]["replicas"] = replicas.into();
    cluster.put(changed);
}

/// What a victim calls itself. A server does not notice at once that the victims of others are gone.
fn victim(database: &Database, number: usize) -> String {
    format!("{}-victim-{number}", database.name())
}

/// A session that has been at one statement for as long as anybody looks.
fn begin_victim(runtime: &Runtime, database: &Database, application: &str, number: usize) {
    let client = runtime.block_on(postgres::connect(application, &victim(database, number))).unwrap();
    // It ends with an error when it is cancelled, and goes on as an idle session.
    runtime.spawn(async move {
        let _ = client.batch_execute("SELECT pg_sleep(3600)").await;
        std::future::pending::<()>().await;
        drop(client);
    });
    paramedic_tests::wait::until("the session to be at work", || {
        let sql = format!("SELECT state FROM pg_stat_activity WHERE application_name = '{}'", victim(database, number));
        Ok((database.sql(&sql)?.trim() == "active").then_some(()))
    })
    .unwrap();
}

/// Process number of a victim, and when it started.
fn key_of(database: &Database, number: usize) -> (i32, u64) {
    let sql = format!(
        "SELECT pid || ' ' || (extract(epoch FROM backend_start) * 1000000)::int8 FROM pg_stat_activity \
         WHERE application_name = '{}'",
        victim(database, number)
    );
    let text = database.sql(&sql).unwrap();
    let (pid, started) = text.trim().split_once(' ').unwrap();
    (pid.parse().unwrap(), started.parse().unwrap())
}

/// A failed job of a version 5 queue, as far as it matters here.
fn fail_a_job(redis: &Redis, name: &str) {
    let job = format!("bull:{name}:1");
    let values =
        ["name", "send", "data", "{}", "timestamp", "1", "opts", "{}", "failedReason", "550", "finishedOn", "2"];
    redis.command::<()>(&[&["HSET", &job][..], &values].concat()).unwrap();
    redis.command::<()>(&["LREM", &format!("bull:{name}:wait"), "0", "1"]).unwrap();
    redis.command::<()>(&["ZADD", &format!("bull:{name}:failed"), "1700000000000", "1"]).unwrap();
}

fn sent(endpoint: &Endpoint, before: usize, method: &str) -> usize {
    endpoint.requests().iter().skip(before).filter(|head| head.starts_with(method)).count()
}
