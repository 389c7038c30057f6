use super::*;

#[test]
fn every_rule_is_a_valid_pattern() {
    for (pattern, _) in TABLE {
        Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    }
}

#[test]
fn what_can_tell_on_somebody_is_replaced() {
    let table = [
        ("550 mailbox unavailable", "<n> mailbox unavailable"),
        ("550 5.1.1 <jane.doe+x@mail.example.com>: no such user", "<n> <n> <<email>>: no such user"),
        ("user müller@exämple.de unknown", "user <email> unknown"),
        ("connect ECONNREFUSED 10.0.0.7:5432", "connect ECONNREFUSED <ip>"),
        ("connect ECONNREFUSED ::1:6379", "connect ECONNREFUSED <ip>"),
        ("connect to 2001:db8:85a3::8a2e:370:7334 failed", "connect to <ip> failed"),
        ("getaddrinfo ENOTFOUND smtp.mail", "getaddrinfo ENOTFOUND <host>"),
        ("no route to db-1.prod.internal:5432", "no route to <host>"),
        ("GET https://bob:hunter2@api.example.com/v1?token=abc failed", "GET <url> failed"),
        ("postgres://app:hunter2@db/prod is down", "<url> is down"),
        ("job 7f3c1a52-9f0e-4e1b-8c55-0d6f2f1a9b11 is gone", "job <uuid> is gone"),
        ("commit 9fceb02d0ae598e95dc970b74767f19372d61af8 broke it", "commit <hex> broke it"),
        ("pointer 0x7ffdeadbeef", "pointer <hex>"),
        ("Authorization: Bearer abcdef.ghijkl", "Authorization: <secret>"),
        (r#"{"authorization":"Basic dXNlcjpwYXNz"}"#, "{<text>}"),
        ("password=hunter2 rejected", "password=<secret> rejected"),
        ("DB_PASSWORD: 'correct horse' rejected", "DB_PASSWORD=<secret> rejected"),
        ("invalid api_key=sk_live_4eC39HqLyjWDarjtT1zdp7dc", "invalid api_key=<secret>"),
        ("key sk_live_4eC39HqLyjWDarjtT1zdp7dc is revoked", "key <token> is revoked"),
        ("key AKIAIOSFODNN7EXAMPLE is revoked", "key <token> is revoked"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_def expired", "jwt <token> expired"),
        ("-----BEGIN RSA PRIVATE KEY----- MIIEow", "<secret>"),
        ("Cannot find customer \"Jane Doe\"", "Cannot find customer <text>"),
        (
            "Cannot read properties of undefined (reading 'iban')",
            "Cannot read properties of undefined (reading <text>)",
        ),
        (
            "ENOENT: no such file or directory, open '/home/jane/letters/x.pdf'",
            "ENOENT: no such file or directory, open <text>",
        ),
        ("failed at /srv/app/jane/send.js:10:5", "failed at <path>"),
        ("timeout of 3000ms exceeded", "timeout of <n>ms exceeded"),
        ("card 4111 1111 1111 1111 declined", "card <n> <n> <n> <n> declined"),
        ("رقم ٤٥٦٧ مرفوض", "رقم <n> مرفوض"),
        ("Missing lock for job 17. moveToFinished", "Missing lock for job <n>. moveToFinished"),
        ("job stalled more than allowable limit", "job stalled more than allowable limit"),
        ("it's what the user didn't want", "it's what the user didn't want"),
        ("", ""),
    ];
    let wrong: Vec<_> = table.into_iter().filter(|(text, expected)| mask(text) != *expected).collect();
    assert!(wrong.is_empty(), "{:#?}", wrong.iter().map(|(text, expected)| (mask(text), expected)).collect::<Vec<_>>());
}

#[test]
fn texts_that_differ_in_their_particulars_become_one() {
    let first = mask("550 5.1.1 <jane@example.com> mailbox 17 at 10.0.0.1 unavailable");
    let second = mask("554 5.7.1 <joe.public@mail.test> mailbox 99812 at 192.168.7.33 unavailable");
    assert_eq!(first, second);
}

#[test]
fn nothing_in_a_masked_text_is_an_order_to_a_terminal() {
    let table = [
        ("\u{1b}[31mred\u{1b}[0m alert", "red alert"),
        ("\u{1b}]0;owned\u{7}title", "title"),
        ("\u{1b}]8;;http://evil\u{1b}\\click\u{1b}]8;;\u{1b}\\", "click"),
        ("a\u{9b}2Jb", "ab"),
        ("first\r\nsecond\tthird\u{b}\u{c}fourth", "first second third fourth"),
        ("nul\0bell\u{7}back\u{8}del\u{7f}end", "nul bell back del end"),
        ("safe\u{202e}txt.exe\u{202c}", "safetxt.exe"),
        ("zero\u{200b}width\u{feff}", "zerowidth"),
        ("tag\u{e0041}\u{e0042}", "tag"),
        ("line\u{2028}and\u{2029}paragraph", "line and paragraph"),
        ("lonely \u{1b}", "lonely"),
    ];
    for (text, expected) in table {
        assert_eq!(mask(text), expected, "{text:?}");
    }
}

#[test]
fn hiding_characters_do_not_save_a_secret_from_its_rule() {
    assert_eq!(mask("pass\u{200b}word=hun\u{ad}ter2"), "password=<secret>");
    assert_eq!(mask("jane\u{202e}@example.com"), "<email>");
    assert_eq!(mask("10.0.\u{1b}[1m0.7"), "<ip>");
}

#[test]
fn a_megabyte_is_cut_before_it_is_looked_at() {
    let started = std::time::Instant::now();
    for unit in ["x", "1", "\u{1b}[", "a@", "'", "::", "a.", "\u{202e}", "ü"] {
        let masked = mask(&unit.repeat(1 << 20));
        assert!(masked.len() <= SHOWN_BYTES, "{unit:?}: {}", masked.len());
        assert!(masked.ends_with('…'), "{unit:?}: {masked}");
    }
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn a_cut_falls_between_characters_and_shows() {
    assert_eq!(clean("äöü", 6), "äöü");
    assert_eq!(clean("äöüä", 6), "ä…");
    assert_eq!(clean("a  b\n", 10), "a b");
    assert!(mask(&"word ".repeat(100)).ends_with("word wo…"));
}

proptest::proptest! {
    #[test]
    fn a_masked_text_is_one_short_line_of_visible_characters(text in "\\PC{0,40}[\\x00-\\x1f\\u{202a}-\\u{202e}]{0,4}.{0,40}") {
        let masked = mask(&text);
        proptest::prop_assert!(masked.len() <= SHOWN_BYTES);
        proptest::prop_assert!(!masked.chars().any(|c| c.is_control() || is_invisible(c)), "{masked:?}");
    }

    #[test]
    fn no_digit_survives(text in "[a-z0-9 .:@/'=-]{0,80}") {
        let masked = mask(&text);
        proptest::prop_assert!(!masked.chars().any(|c| c.is_ascii_digit()), "{text:?} became {masked:?}");
    }
}
