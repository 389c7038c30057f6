//! Durations and sizes as people write them.

use std::time::Duration;

const MILLISECONDS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const BYTES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads `500ms`, `10s`, `5m`, `2h` or `30d`.
pub fn duration(text: &str) -> Option<Duration> {
    with_unit(text, &MILLISECONDS).map(Duration::from_millis)
}

/// Reads `64KiB`, `1MiB` or `2GiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    with_unit(text, &BYTES)
}

/// Writes a duration so that [`duration`] reads it, down to milliseconds.
pub(super) fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &MILLISECONDS)
}

/// Writes a size so that [`size`] reads it.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &BYTES)
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(value: u64, units: &[(&str, u64)]) -> String {
    let even = units.iter().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    match even.or(units.last()) {
        Some((unit, factor)) => format!("{}{unit}", value / factor),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_number_and_one_unit() {
        let table = [("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000), ("30d", 2_592_000_000)];
        for (text, ms) in table {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
        for bad in ["", "s", "10", "-1s", "+1s", "1.5s", "1 s", "1S", "1h30m", "10sec", "99999999999999999999s", "٣s"]
        {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(duration(&format!("{}d", u64::MAX)), None);
    }

    #[test]
    fn sizes_are_binary() {
        let table = [("7B", 7), ("64KiB", 65_536), ("1MiB", 1 << 20), ("2GiB", 2 << 30)];
        for (text, bytes) in table {
            assert_eq!(size(text), Some(bytes), "{text}");
            assert_eq!(show_size(bytes), text);
        }
        for bad in ["", "MiB", "1MB", "1kib", "1.5MiB", "-1B", "1M", "18446744073709551615KiB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_is_read_back(value in proptest::prelude::any::<u64>()) {
            proptest::prop_assert_eq!(size(&show_size(value)), Some(value));
            proptest::prop_assert_eq!(duration(&show_duration(Duration::from_millis(value))), Some(Duration::from_millis(value)));
        }

        /// Nothing but digits and a unit is taken, and it stands for their product.
        #[test]
        fn any_text_is_one_number_with_a_unit_or_none(
            number in "[0-9]{0,24}|[-+]?[0-9]{1,3}([.,_e][0-9]{1,2})?| 1|1 |\u{663}", unit in "(ms|s|m|h|d|B|KiB|MiB|GiB| s|S|kB|[a-zA-Z]{0,3})"
        ) {
            let text = format!("{number}{unit}");
            let meant = |units: &[(&str, u64)]| {
                let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
                let digits = number.bytes().all(|b| b.is_ascii_digit());
                number.parse::<u128>().ok().filter(|_| digits)?.checked_mul(u128::from(*factor))?.try_into().ok()
            };
            proptest::prop_assert_eq!(duration(&text), meant(&MILLISECONDS).map(Duration::from_millis));
            proptest::prop_assert_eq!(size(&text), meant(&BYTES));
        }
    }
}
