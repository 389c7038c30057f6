//! Cutting text that others wrote.

/// The longest beginning of `text` that has at most `max` bytes and ends between two characters.
pub fn cut_bytes(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut_bytes("aé", 2), "a");
        assert_eq!(cut_bytes("aé", 3), "aé");
        assert_eq!(cut_bytes("aé", 99), "aé");
        assert_eq!(cut_bytes("é", 0), "");
    }
}
