//! Quantities as Kubernetes writes them: `500m`, `2Gi`, `231746n`, `1e3`.

/// The number that a text stands for; none where it is no quantity.
pub(super) fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(number);
    }
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1024.0 * 1024.0),
        ("Gi", 1024.0 * 1024.0 * 1024.0),
        ("Ti", 1024.0 * 1024.0 * 1024.0 * 1024.0),
        ("Pi", 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0),
        ("Ei", 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let (number, factor) = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)))?;
    let is_digits = number.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
    number.parse::<f64>().ok().filter(|_| is_digits).map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_numbers() {
        let table = [
            ("2", 2.0),
            ("500m", 0.5),
            ("231746n", 0.000_231_746),
            ("96312Ki", 98_623_488.0),
            ("2Gi", 2_147_483_648.0),
            ("1e3", 1_000.0),
            ("1.5M", 1_500_000.0),
            ("0", 0.0),
        ];
        for (text, expected) in table {
            let found = parse(text).unwrap();
            assert!((found - expected).abs() <= expected * 1e-12, "{text}: {found}");
        }
        for text in ["", "m", "two", "1 Gi", "inf", "NaN", "0x10", "1Zi", "e3m"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
