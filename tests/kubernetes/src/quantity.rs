//! Amounts of resources, such as `500m` and `2Gi`, as far as validation and quotas have to compare them.

use std::cmp::Ordering;

/// An amount, in thousandths of its unit. Amounts finer than that are rounded up, as the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

const SUFFIXES: [(&str, i128); 14] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
    ("m", -1_000),
    ("", 1),
];

impl Quantity {
    /// Reads an amount; the error is the server's message.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refusal =
            || "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".to_owned();
        let (sign, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let digits_end = unsigned.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(digits_end);
        let thousandths = thousandths(number).ok_or_else(refusal)?;
        Ok(Quantity(sign * scale(thousandths, suffix).ok_or_else(refusal)?))
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.0.cmp(&0) == Ordering::Less
    }

    /// Whether it is a whole number of its unit.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.0 % 1_000 == 0
    }

    /// The whole units in it.
    #[must_use]
    pub fn units(self) -> i128 {
        self.0 / 1_000
    }
}

/// `1.5` is 1500.
fn thousandths(number: &str) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let kept: String = fraction.chars().chain("000".chars()).take(3).collect();
    let rest = fraction.chars().skip(3).any(|digit| digit != '0');
    Some(whole * 1_000 + kept.parse::<i128>().ok()? + i128::from(rest))
}

fn scale(thousandths: i128, suffix: &str) -> Option<i128> {
    if let Some((_, factor)) = SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return if *factor < 0 { divide(thousandths, 1_000) } else { thousandths.checked_mul(*factor) };
    }
    match suffix {
        "u" => divide(thousandths, 1_000_000),
        "n" => divide(thousandths, 1_000_000_000),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { divide(thousandths, power) } else { thousandths.checked_mul(power) }
        }
    }
}

fn divide(thousandths: i128, by: i128) -> Option<i128> {
    thousandths.checked_add(by - 1).map(|sum| sum / by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_compare_across_their_spellings() {
        let cases = [
            ("1Gi", "1024Mi", Ordering::Equal),
            ("500m", "0.5", Ordering::Equal),
            ("1e3", "1k", Ordering::Equal),
            ("64Mi", "32Mi", Ordering::Greater),
            ("-1Gi", "0", Ordering::Less),
            ("231746n", "1m", Ordering::Equal),
        ];
        for (left, right, order) in cases {
            let (left_amount, right_amount) = (Quantity::parse(left).unwrap(), Quantity::parse(right).unwrap());
            assert_eq!(left_amount.cmp(&right_amount), order, "{left} and {right}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["2GB", "", "ten", "1.2.3", "1 Gi", "Gi"] {
            assert!(Quantity::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn two_thousandths_of_a_byte_are_not_whole() {
        assert!(!Quantity::parse("2m").unwrap().is_whole());
    }
}
