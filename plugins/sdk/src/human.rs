//! Numbers and texts as people say them.

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// A length of time, exact enough for a sentence: `340 ms`, `12.3 s`, `4 min 10 s`, `3 h 5 min`, `2 d 4 h`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        _ if seconds.is_nan() => "an unknown time".to_owned(),
        _ if seconds < 0.0 => format!("-{}", duration(-seconds)),
        _ if seconds < 0.0095 => format!("{:.1} ms", seconds * 1000.0),
        _ if seconds < 0.9995 => format!("{:.0} ms", seconds * 1000.0),
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        _ if seconds.round() < MINUTE => format!("{seconds:.0} s"),
        _ if seconds.round() < HOUR => pair(seconds, MINUTE, "min", 1.0, "s"),
        _ if seconds < DAY - MINUTE / 2.0 => pair(seconds, HOUR, "h", MINUTE, "min"),
        _ => pair(seconds, DAY, "d", HOUR, "h"),
    }
}

/// Two neighbouring units; rounding in the smaller one must not give 60 of it.
fn pair(seconds: f64, large: f64, large_name: &str, small: f64, small_name: &str) -> String {
    let rounded = (seconds / small).round() * small;
    let (whole, rest) = ((rounded / large).floor(), (rounded % large / small).round());
    if rest == 0.0 {
        format!("{whole:.0} {large_name}")
    } else {
        format!("{whole:.0} {large_name} {rest:.0} {small_name}")
    }
}

/// An amount of memory or data in binary units: `512 B`, `1.5 GiB`.
pub fn bytes(amount: f64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if amount.is_nan() {
        return "an unknown size".to_owned();
    }
    if amount.abs() < 1023.5 {
        return format!("{amount:.0} B");
    }
    let mut scaled = amount / 1024.0;
    let mut unit = "KiB";
    for next in UNITS.into_iter().skip(1) {
        if scaled.abs() < 1023.95 {
            break;
        }
        (scaled, unit) = (scaled / 1024.0, next);
    }
    if scaled.abs() < 9.95 { format!("{scaled:.1} {unit}") } else { format!("{scaled:.0} {unit}") }
}

/// A number of hundredths: `93 %`, or `0.4 %` where a whole number would hide it.
pub fn percent(hundredths: f64) -> String {
    let hidden = hundredths != 0.0 && hundredths.abs() < 0.95;
    if hidden { format!("{hundredths:.1} %") } else { format!("{hundredths:.0} %") }
}

/// `part` of `whole` in hundredths; 0 when there is no whole.
pub fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole * 100.0 } else { 0.0 }
}

/// A count with its noun: `1 connection`, `3 connections`. Nouns in -y, -s, -x and -h are bent as usual.
pub fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {}", bend(noun)) }
}

pub(crate) fn bend(noun: &str) -> String {
    let before_y = noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']));
    match before_y {
        Some(stem) => format!("{stem}ies"),
        None if noun.ends_with(['s', 'x']) || noun.ends_with("ch") => format!("{noun}es"),
        None => format!("{noun}s"),
    }
}

/// One line of at most `max` characters: white space collapsed, control characters dropped, the cut shown. Marks that
/// turn the direction of writing go as well: by them a key or an application name could disguise a line.
pub fn shorten(text: &str, max: usize) -> String {
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let printable: String = text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect();
    let line = printable.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= max {
        return line;
    }
    let kept: String = line.chars().take(max.saturating_sub(1)).collect();
    format!("{}…", kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_people_say_them() {
        let table = [
            (0.0, "0.0 ms"),
            (0.0004, "0.4 ms"),
            (0.34, "340 ms"),
            (0.9996, "1.0 s"),
            (12.3, "12 s"),
            (59.7, "1 min"),
            (250.0, "4 min 10 s"),
            (3599.6, "1 h"),
            (11_100.0, "3 h 5 min"),
            (86_399.0, "1 d"),
            (187_200.0, "2 d 4 h"),
            (-5.0, "-5.0 s"),
            (f64::NAN, "an unknown time"),
        ];
        for (seconds, text) in table {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn sizes_use_binary_units() {
        let table = [
            (0.0, "0 B"),
            (1023.0, "1023 B"),
            (1024.0, "1.0 KiB"),
            (1_048_575.0, "1.0 MiB"),
            (1.5 * 1024f64.powi(3), "1.5 GiB"),
            (2e18, "1776 PiB"),
            (f64::NAN, "an unknown size"),
        ];
        for (amount, text) in table {
            assert_eq!(bytes(amount), text, "{amount}");
        }
    }

    #[test]
    fn counts_bend_their_nouns() {
        let bent = [(1, "job"), (0, "job"), (2, "query"), (2, "key"), (3, "address"), (2, "batch")]
            .map(|(count, noun)| plural(count, noun));
        assert_eq!(bent, ["1 job", "0 jobs", "2 queries", "2 keys", "3 addresses", "2 batches"]);
    }

    #[test]
    fn small_shares_are_not_rounded_away() {
        assert_eq!([0.0, 0.4, 93.2].map(percent), ["0 %", "0.4 %", "93 %"]);
        assert_eq!((share(1.0, 4.0), share(1.0, 0.0)), (25.0, 0.0));
    }

    proptest! {
        #[test]
        fn a_shortened_text_is_one_line_within_its_limit(text in any::<String>(), max in 1usize..60) {
            let short = shorten(&text, max);
            prop_assert!(short.chars().count() <= max);
            prop_assert!(!short.chars().any(char::is_control));
        }

        #[test]
        fn no_duration_counts_sixty_of_a_smaller_unit(seconds in 0.0..1e7f64) {
            let text = duration(seconds);
            prop_assert!(!text.contains("60 s") && !text.contains("60 min") && !text.contains("24 h"), "{}", text);
        }
    }
}
