use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::clock::ManualClock;

const NOW: Timestamp = Timestamp::from_millis(1_772_334_855_926);

fn after(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

fn token(claims: &str) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

#[test]
fn only_what_has_the_shape_of_a_web_token_is_carried_to_a_cluster() {
    let longest = format!("a.b.{}", "c".repeat(MAX_TOKEN - 4));
    for good in ["a.b.c", "e30.e30.c2ln", "A-_9.0.z", &longest] {
        assert_eq!(web_token(good.as_bytes()), Some(good));
    }
    let too_long = format!("{longest}c");
    for bad in
        ["", "a", "a.b", "a.b.", ".b.c", "a..c", "a.b.c.d", "a.b.c=", "a.b+.c", "a.b.c/", "a b.c.d", "é.b.c", &too_long]
    {
        assert_eq!(web_token(bad.as_bytes()), None, "{bad}");
    }
    assert_eq!(web_token(b"a.b.\xff"), None);
}

#[test]
fn a_token_tells_when_it_ends() {
    assert_eq!(
        expiry(&token(r#"{"aud":["paramedic"],"exp":1772334900}"#)),
        Some(Timestamp::from_millis(1_772_334_900_000))
    );
    assert_eq!(expiry(&token(&format!(r#"{{"exp":{}}}"#, u64::MAX))), Some(Timestamp::from_millis(u64::MAX)));
    for claims in ["{}", "[]", "", "no", r#"{"exp":null}"#, r#"{"exp":-1}"#, r#"{"exp":"1772334900"}"#] {
        assert_eq!(expiry(&token(claims)), None, "{claims}");
    }
    assert_eq!(expiry("a.=.c"), None);
}

#[test]
fn an_answer_is_remembered_until_it_ends() {
    let remembered = Remembered::default();
    remembered.put("ann", 1, NOW, after(10));
    for (seconds, expected) in [(0, Some(1)), (9, Some(1)), (10, None), (60, None)] {
        assert_eq!(remembered.get(&"ann", after(seconds)), expected, "{seconds}");
    }
    assert_eq!(remembered.get(&"bob", NOW), None);
    assert_eq!(remembered.get(&"ann", NOW.before(Duration::from_secs(1))), None, "the clock was set back");
    remembered.put("ann", 2, after(5), after(15));
    assert_eq!(remembered.get(&"ann", after(12)), Some(2));
}

#[test]
fn no_more_than_so_many_answers_are_remembered_and_the_first_to_end_makes_room() {
    let remembered = Remembered::default();
    remembered.put(0, "yes", NOW, after(60));
    for key in 1..2 * MOST {
        remembered.put(key, "no", NOW, after(10));
        assert!(remembered.lock().len() <= MOST);
    }
    assert_eq!(remembered.get(&0, NOW), Some("yes"), "what is nobody's crowds nobody out");
    remembered.put(2 * MOST, "yes", after(10), after(70));
    assert_eq!(remembered.lock().len(), 2, "what has ended goes first");
    for key in 2 * MOST..4 * MOST {
        remembered.kept_or(&key, after(10), after(70), || "yes");
        assert!(remembered.lock().len() <= MOST);
    }
}

#[test]
fn what_is_used_is_kept() {
    let remembered = Remembered::default();
    assert_eq!(remembered.kept_or(&"ann", NOW, after(10), || 1), 1);
    assert_eq!(remembered.kept_or(&"ann", after(9), after(19), || 2), 1);
    assert_eq!(remembered.kept_or(&"ann", after(18), after(28), || 3), 1);
}

/// A cluster that answers each question when it is let. It knows whose token ends with `good`.
struct Gate {
    open: Semaphore,
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Reviewer for Gate {
    async fn identify(&self, token: &str, _: &str) -> Result<Option<Identity>, CallError> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.open.acquire().await.unwrap().forget();
        self.now.fetch_sub(1, Ordering::SeqCst);
        let somebody = || Identity { username: token.to_owned(), ..Identity::default() };
        Ok(token.ends_with("good").then(somebody))
    }

    async fn permits(&self, _: &Identity, _: PluginVerb, _: Option<&PluginName>) -> Result<bool, CallError> {
        Ok(false)
    }
}

impl Gate {
    fn closed() -> Arc<Self> {
        Arc::new(Self { open: Semaphore::new(0), now: AtomicUsize::new(0), most: AtomicUsize::new(0) })
    }

    fn let_answer(&self, questions: usize) {
        self.open.add_permits(questions);
    }
}

fn reviews(gate: &Arc<Gate>) -> Arc<Reviews> {
    let cluster = Cluster {
        reviewer: gate.clone(),
        audience: "paramedic".to_owned(),
        namespace: "shop".to_owned(),
        rate: Rate::DEFAULT,
    };
    Arc::new(Reviews::new(cluster, Arc::new(ManualClock::at(NOW)), None))
}

/// Whether each of so many callers is let in, every other one with a token that is nobody's.
async fn ask(reviews: &Arc<Reviews>, gate: &Gate, callers: usize, answers: usize) -> Vec<Result<(), ApiError>> {
    let ask = |n: usize| {
        let (reviews, sign) = (reviews.clone(), if n.is_multiple_of(2) { "good" } else { "bad" });
        // Of this time, so that nothing of it is known.
        let token = format!("e{n}.{answers}.{sign}");
        tokio::spawn(async move { reviews.identify(token.as_bytes()).await.map(drop) })
    };
    let asking: Vec<_> = (0..callers).map(ask).collect();
    tokio::task::yield_now().await;
    gate.let_answer(answers);
    let mut told = Vec::new();
    for asked in asking {
        told.push(asked.await.unwrap());
    }
    told
}

#[tokio::test(start_paused = true)]
async fn more_callers_than_a_cluster_is_asked_about_at_a_time_wait_for_their_turn() {
    let gate = Gate::closed();
    let told = ask(&reviews(&gate), &gate, 3 * AT_ONCE, 3 * AT_ONCE).await;
    for (n, told) in told.iter().enumerate() {
        match n.is_multiple_of(2) {
            true => assert!(told.is_ok(), "{n}: {told:?}"),
            false => assert!(matches!(told, Err(ApiError::RefusedToken { .. })), "{n}: {told:?}"),
        }
    }
    assert_eq!(gate.most.load(Ordering::SeqCst), AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_too_long_is_refused_and_the_next_are_not() {
    let gate = Gate::closed();
    let reviews = reviews(&gate);
    // The cluster answers none of them.
    let silent: Vec<_> = (0..AT_ONCE)
        .map(|n| {
            let reviews = reviews.clone();
            tokio::spawn(async move { reviews.identify(format!("s{n}.b.good").as_bytes()).await.map(drop) })
        })
        .collect();
    tokio::task::yield_now().await;
    let began = tokio::time::Instant::now();
    let told = ask(&reviews, &gate, AT_ONCE, 0).await;
    assert!(told.iter().all(|told| matches!(told, Err(ApiError::Unreviewed))), "{told:?}");
    assert!((PATIENCE..PATIENCE * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    // Whoever goes away gives back their turn, whether they were answered or not.
    for asked in &silent {
        asked.abort();
    }
    let told = ask(&reviews, &gate, AT_ONCE, AT_ONCE).await;
    assert_eq!(told.iter().filter(|told| told.is_ok()).count(), AT_ONCE / 2, "{told:?}");
    assert!(!told.iter().any(|told| matches!(told, Err(ApiError::Unreviewed))), "{told:?}");
}
