//! Quantities as Kubernetes writes them: `500m`, `2Gi`, `231746n`, `1e3`.

use std::fmt;
use std::str::FromStr;

/// An amount of a resource. Two that are written differently are equal where they are the same amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    /// The smallest unit that Kubernetes knows.
    nanos: i128,
}

/// The text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no quantity of Kubernetes, such as 500m or 2Gi")]
pub struct InvalidQuantity;

impl Quantity {
    /// The amount in units: cores, bytes.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a double is exact enough for what is shown and compared with measurements"
    )]
    pub fn value(self) -> f64 {
        self.nanos as f64 / 1e9
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNIT: i128 = 1_000_000_000;
        let Self { nanos } = *self;
        let binary = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
        let suffix = binary.into_iter().find(|(_, factor)| nanos != 0 && nanos % (factor * UNIT) == 0);
        match suffix {
            Some((suffix, factor)) => write!(f, "{}{suffix}", nanos / (factor * UNIT)),
            None if nanos % UNIT == 0 => write!(f, "{}", nanos / UNIT),
            None if nanos % (UNIT / 1_000) == 0 => write!(f, "{}m", nanos / (UNIT / 1_000)),
            None => write!(f, "{nanos}n"),
        }
    }
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    #[expect(
        clippy::cast_possible_truncation,
        reason = "what does not fit becomes the largest amount, which nothing allows"
    )]
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let value = parse(text).ok_or(InvalidQuantity)?;
        Ok(Self { nanos: (value * 1e9).round() as i128 })
    }
}

/// The number that a text stands for; none where it is no quantity.
fn parse(text: &str) -> Option<f64> {
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
        assert_eq!("8Gi".parse::<Quantity>(), "8192Mi".parse());
        assert_eq!("0.1".parse::<Quantity>(), "100m".parse());
        assert!("1".parse::<Quantity>().unwrap() < "1001m".parse().unwrap());
        for text in ["2", "500m", "231746n", "96312Ki", "8Gi", "0"] {
            assert_eq!(text.parse::<Quantity>().unwrap().to_string(), text);
        }
        for text in ["", "m", "two", "1 Gi", "inf", "NaN", "0x10", "1Zi", "e3m"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
