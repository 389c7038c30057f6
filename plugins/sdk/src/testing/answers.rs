//! The table: which call gets which answer.

use crate::{Error, Label};
use std::any::Any;
use std::collections::VecDeque;
use std::marker::PhantomData;

/// A function of the host, with the type of its answer.
#[derive(Debug)]
pub struct Function<A> {
    pub(super) operation: &'static str,
    answer: PhantomData<fn() -> A>,
}

impl<A> Function<A> {
    pub(crate) const fn new(operation: &'static str) -> Self {
        Self { operation, answer: PhantomData }
    }
}

/// A call that the plugin made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The function, written `interface/function`.
    pub operation: &'static str,
    /// Its arguments as text, in order; lists are spread out, and absent options are left out.
    pub arguments: Vec<String>,
}

impl Call {
    /// Operation and arguments on one line.
    pub fn line(&self) -> String {
        format!("{} {}", self.operation, self.arguments.join(" "))
    }

    /// Whether it changes something.
    pub fn is_change(&self) -> bool {
        self.operation.split('/').next().is_some_and(|interface| interface.ends_with("-actions"))
    }

    /// Whether the arguments begin with the words of `pattern`.
    fn begins_with(&self, pattern: &str) -> bool {
        let words: Vec<&str> = pattern.split_whitespace().collect();
        self.arguments.len() >= words.len() && self.arguments.iter().zip(words).all(|(have, want)| have == want)
    }
}

/// An argument of a call in its textual form.
pub trait Argument {
    /// Append it.
    fn write(self, to: &mut Vec<String>);
}

impl Argument for &str {
    fn write(self, to: &mut Vec<String>) {
        to.push(self.to_owned());
    }
}

impl Argument for u32 {
    fn write(self, to: &mut Vec<String>) {
        to.push(self.to_string());
    }
}

impl Argument for f64 {
    fn write(self, to: &mut Vec<String>) {
        to.push(self.to_string());
    }
}

impl<T: Argument> Argument for Option<T> {
    fn write(self, to: &mut Vec<String>) {
        if let Some(value) = self {
            value.write(to);
        }
    }
}

impl Argument for &Option<String> {
    fn write(self, to: &mut Vec<String>) {
        to.extend(self.clone());
    }
}

impl Argument for &[u8] {
    fn write(self, to: &mut Vec<String>) {
        to.push(String::from_utf8_lossy(self).into_owned());
    }
}

impl Argument for &[String] {
    fn write(self, to: &mut Vec<String>) {
        to.extend(self.iter().cloned());
    }
}

/// As `name=value` each.
impl Argument for &[Label] {
    fn write(self, to: &mut Vec<String>) {
        to.extend(self.iter().map(|label| format!("{}={}", label.name, label.value)));
    }
}

type Answer = Box<dyn FnMut(&Call) -> Box<dyn Any>>;

/// Answers to calls of one function with arguments that begin in one way.
struct Row {
    operation: &'static str,
    pattern: String,
    answers: VecDeque<Answer>,
    asked: bool,
}

/// The table of answers.
#[derive(Default)]
pub(super) struct Answers(Vec<Row>);

impl Answers {
    /// A row that exists gets one more answer.
    pub(super) fn add<A: 'static>(
        &mut self,
        function: &Function<A>,
        pattern: &str,
        mut answer: impl FnMut(&Call) -> Result<A, Error> + 'static,
    ) {
        let answer: Answer = Box::new(move |call| Box::new(answer(call)));
        let same = |row: &&mut Row| row.operation == function.operation && row.pattern == pattern;
        match self.0.iter_mut().find(same) {
            Some(row) => row.answers.push_back(answer),
            None => self.0.push(Row {
                operation: function.operation,
                pattern: pattern.to_owned(),
                answers: VecDeque::from([answer]),
                asked: false,
            }),
        }
    }

    /// The next answer of the row that fits best and has at least so many words; the last one of a row stays for good.
    pub(super) fn take<A: 'static>(&mut self, call: &Call, words: usize) -> Option<Result<A, Error>> {
        let has_words = |row: &Row| row.pattern.split_whitespace().count() >= words;
        let fits = |row: &&mut Row| row.operation == call.operation && has_words(row) && call.begins_with(&row.pattern);
        let row = self.0.iter_mut().filter(fits).max_by_key(|row| row.pattern.len())?;
        row.asked = true;
        let boxed = if row.answers.len() > 1 { row.answers.pop_front()?(call) } else { row.answers.front_mut()?(call) };
        // `Function<A>` is the only way in and out, and each operation has one `A`.
        boxed.downcast().ok().map(|answer| *answer)
    }

    /// The rows that no call came for.
    pub(super) fn unasked(&self) -> Vec<String> {
        self.0.iter().filter(|row| !row.asked).map(|row| format!("{} {}", row.operation, row.pattern)).collect()
    }
}
