//! What a receipt tells beside its fields.

use crate::{Disposition, Receipt, human};

impl Receipt {
    /// True when something was done, so that there is an effect to wait for.
    pub fn is_applied(&self) -> bool {
        self.disposition == Disposition::Applied
    }

    /// A number of the system's answer, such as that of the `jobs` removed. None while a plan is made.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.part(name)?.as_u64()
    }

    /// A text of the system's answer, such as the name of the `job` that was started. None while a plan is made.
    pub fn text(&self, name: &str) -> Option<String> {
        self.part(name)?.as_str().map(str::to_owned)
    }

    fn part(&self, name: &str) -> Option<serde_json::Value> {
        let mut answer: serde_json::Value = serde_json::from_str(self.answer.as_deref()?).ok()?;
        answer.get_mut(name).map(serde_json::Value::take)
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
    use crate::Receipt;
    use crate::testing::receipt;

    #[test]
    fn numbers_of_the_answer_are_read_where_there_are_some() {
        let answered = |answer: Option<&str>| Receipt { answer: answer.map(str::to_owned), ..receipt("remove jobs") };
        assert_eq!(answered(Some(r#"{"jobs": 40}"#)).number("jobs"), Some(40));
        assert_eq!(answered(Some(r#"{"jobs": 1}"#)).count("jobs", "failed job"), "1 failed job");
        for nothing in [None, Some("40"), Some("{}"), Some(r#"{"jobs": "40"}"#), Some("no JSON")] {
            assert_eq!(answered(nothing).number("jobs"), None, "{nothing:?}");
            assert_eq!(answered(nothing).count("jobs", "failed job"), "failed jobs");
        }
        assert!(receipt("remove jobs").is_applied());
    }

    #[test]
    fn texts_of_the_answer_are_read_where_there_are_some() {
        let answered = |answer: &str| Receipt { answer: Some(answer.to_owned()), ..receipt("start a job") }.text("job");
        assert_eq!(answered(r#"{"job": "restore-1"}"#).as_deref(), Some("restore-1"));
        for nothing in ["{}", r#"{"job": 1}"#, "\"job\"", "no JSON"] {
            assert_eq!(answered(nothing), None, "{nothing}");
        }
    }
}
