use super::*;

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
