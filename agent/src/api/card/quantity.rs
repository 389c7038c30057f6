//! Numbers with units, as people say them.

const KIB: f64 = 1024.0;

/// A measured value. Units are in UCUM notation; those that people do not think in are turned into ones they do.
pub(super) fn quantity(value: f64, unit: &str) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    let size = value.abs();
    let text = match unit {
        "" | "1" => number(size),
        "By" => bytes(size),
        "KiBy" => bytes(size * KIB),
        "MiBy" => bytes(size * KIB * KIB),
        "us" => seconds(size / 1e6),
        "ms" => seconds(size / 1e3),
        "s" => seconds(size),
        "min" => seconds(size * 60.0),
        "h" => seconds(size * 3600.0),
        "d" => seconds(size * 86_400.0),
        unit => format!("{} {}", number(size), unit.replace(['{', '}'], "")),
    };
    format!("{sign}{text}")
}

/// At most three decimals, and none that are zero.
fn number(value: f64) -> String {
    if value != 0.0 && !(0.001..1e15).contains(&value) {
        return format!("{value:e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < KIB {
            return format!("{} {unit}", rounded(value));
        }
        value /= KIB;
    }
    format!("{} TiB", rounded(value))
}

/// A length of time: with decimals below a minute, in two whole units above.
pub(super) fn seconds(value: f64) -> String {
    match value {
        0.0 => "0 s".to_owned(),
        v if v < 0.000_999_5 => format!("{} µs", rounded(v * 1e6)),
        v if v < 0.999_5 => format!("{} ms", rounded(v * 1e3)),
        v if v < 59.95 => format!("{} s", rounded(v)),
        v => long(v.round()),
    }
}

fn long(seconds: f64) -> String {
    match seconds {
        s if s < 3600.0 => two_units(s, 60.0, "min", 1.0, "s"),
        s if s < 86_400.0 => two_units(s, 3600.0, "h", 60.0, "min"),
        s => two_units(s, 86_400.0, "d", 3600.0, "h"),
    }
}

fn two_units(value: f64, large: f64, large_name: &str, small: f64, small_name: &str) -> String {
    let (whole, rest) = ((value / large).floor(), (value % large / small).floor());
    if rest == 0.0 { format!("{whole} {large_name}") } else { format!("{whole} {large_name} {rest} {small_name}") }
}

/// Three digits that matter.
fn rounded(value: f64) -> String {
    let text = match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_people_say_them() {
        for (value, unit, expected) in [
            (45.0, "1", "45"),
            (0.0, "1", "0"),
            (-3.5, "1", "-3.5"),
            (1e20, "1", "1e20"),
            (0.000_012, "1", "1.2e-5"),
            (100.0, "1", "100"),
            (93.256_7, "%", "93.257 %"),
            (45.0, "{connections}", "45 connections"),
            (12.0, "{jobs}/s", "12 jobs/s"),
            (0.0, "By", "0 B"),
            (1023.0, "By", "1023 B"),
            (1_610_612_736.0, "By", "1.5 GiB"),
            (16.0, "MiBy", "16 MiB"),
            (1e15, "By", "909 TiB"),
            (0.012_34, "s", "12.3 ms"),
            (0.000_5, "s", "500 µs"),
            (0.999_9, "s", "1 s"),
            (59.99, "s", "1 min"),
            (30.0, "s", "30 s"),
            (3599.9, "s", "1 h"),
            (95.0, "s", "1 min 35 s"),
            (3600.0, "s", "1 h"),
            (1500.0, "ms", "1.5 s"),
            (200_000.0, "s", "2 d 7 h"),
            (-0.5, "s", "-500 ms"),
        ] {
            assert_eq!(quantity(value, unit), expected, "{value} {unit}");
        }
    }
}
