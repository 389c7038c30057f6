//! Names, as far as they become parts of paths and queries.

use crate::domain::CallError;

/// A name of a namespace; the text itself where it is none.
pub(super) fn checked_namespace(text: String) -> Result<String, String> {
    if is_label(&text) { Ok(text) } else { Err(text) }
}

/// Refuses what no object is called: names are up to 253 lower-case letters, digits, `-` and `.`. Some kinds allow more (`:` in those
/// of roles), and none of them is looked at here.
pub(super) fn check_name(what: &str, text: &str) -> Result<(), CallError> {
    let is_name = text.len() <= 253 && text.split('.').all(is_label);
    is_name.then_some(()).ok_or_else(|| CallError::Invalid(format!("{what} is no name of an object in Kubernetes")))
}

/// A DNS label.
pub(super) fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Refuses a selector that cannot be one by its length or its letters; the server judges the rest.
pub(super) fn check_selector(what: &str, text: &str) -> Result<(), CallError> {
    let is_plain = text.len() <= 1_000 && !text.chars().any(char::is_control);
    is_plain
        .then_some(())
        .ok_or_else(|| CallError::Invalid(format!("{what} is no selector: it is too long or has control characters")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_leads_elsewhere_is_a_name() {
        for name in ["api", "api-7d4b9c-x2x", "a.b.c", "0"] {
            assert!(check_name("it", name).is_ok(), "{name}");
        }
        let long = "a".repeat(254);
        for name in ["", "..", "a/b", "a?b", "a%2fb", "A", "a b", "-a", "a-", "a..b", "ä", "secrets/../x", &long] {
            assert!(check_name("it", name).is_err(), "{name}");
        }
    }
}
