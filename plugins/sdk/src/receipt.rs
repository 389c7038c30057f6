//! What a receipt tells beside its fields.

use crate::{Receipt, human};

impl Receipt {
    /// A number of the system's answer, such as that of the `jobs` removed. None while a plan is made.
    pub fn number(&self, name: &str) -> Option<u64> {
        let answer: serde_json::Value = serde_json::from_str(self.answer.as_deref()?).ok()?;
        answer.get(name)?.as_u64()
    }

    /// That number with its noun: `1 failed job`, `40 failed jobs`; without the number where there is none.
    pub fn count(&self, name: &str, noun: &str) -> String {
        match self.number(name) {
            Some(number) => human::plural(number, noun),
            None => human::bend(noun),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::receipt;
    use crate::{Disposition, Receipt};

    #[test]
    fn numbers_of_the_answer_are_read_where_there_are_some() {
        let answered = |answer: Option<&str>| Receipt { answer: answer.map(str::to_owned), ..receipt("remove jobs") };
        assert_eq!(answered(Some(r#"{"jobs": 40}"#)).number("jobs"), Some(40));
        assert_eq!(answered(Some(r#"{"jobs": 1}"#)).count("jobs", "failed job"), "1 failed job");
        for nothing in [None, Some("40"), Some("{}"), Some(r#"{"jobs": "40"}"#), Some("no JSON")] {
            assert_eq!(answered(nothing).number("jobs"), None, "{nothing:?}");
            assert_eq!(answered(nothing).count("jobs", "failed job"), "failed jobs");
        }
        assert_eq!(receipt("remove jobs").disposition, Disposition::Applied);
    }
}
