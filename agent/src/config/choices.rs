//! Lists of what would have been right, with the nearest one pointed out.

/// Ends a message about `word` with the valid choices: `; choose from a, b (did you mean `a`?)`.
pub(super) fn choose_from<'a>(word: &str, choices: impl IntoIterator<Item = &'a str>) -> String {
    let choices: Vec<&str> = choices.into_iter().collect();
    let hint = match closest(word, &choices) {
        Some(choice) => format!(" (did you mean `{choice}`?)"),
        None => String::new(),
    };
    format!("; choose from {}{hint}", choices.join(", "))
}

/// The choice that a slip of the finger turns into `word`: at most one change for three letters. Two letters that
/// changed places are one slip.
fn closest<'a>(word: &str, choices: &[&'a str]) -> Option<&'a str> {
    let longest = choices.iter().map(|choice| choice.len()).max()?;
    // Nothing this long is a slip, and comparing it would cost time.
    if word.is_empty() || word.len() > 2 * longest {
        return None;
    }
    let word = word.to_lowercase();
    let (distance, choice) = choices.iter().map(|choice| (slips(&word, choice), *choice)).min()?;
    (distance <= (choice.chars().count() / 3).max(1)).then_some(choice)
}

fn slips(from: &str, to: &str) -> usize {
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    match distance(from, to) {
        2 if sorted(from) == sorted(to) => 1,
        distance => distance,
    }
}

/// Levenshtein distance: letters to add, drop or change.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, b) in row.iter_mut().skip(1).zip(&to) {
            let change = diagonal + usize::from(a != *b);
            diagonal = *above;
            left = change.min(left + 1).min(*above + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        let table = [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("flaw", "lawn", 2)];
        for (from, to, expected) in table {
            assert_eq!(distance(from, to), expected, "{from} to {to}");
        }
    }

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let verbs = ["inspect", "sessions", "statements", "replication", "query"];
        let table = [
            ("inspekt", Some("inspect")),
            ("Query", Some("query")),
            ("statement", Some("statements")),
            ("sesions", Some("sessions")),
            ("qurey", Some("query")),
            ("terminate", None),
            ("", None),
        ];
        for (word, expected) in table {
            assert_eq!(closest(word, &verbs), expected, "{word}");
        }
        assert_eq!(closest(&"x".repeat(1_000_000), &verbs), None);
        assert_eq!(closest("x", &[]), None);
    }
}
