//! Names of a queue's keys and of its workers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The names that begin with a queue's prefix and name.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    name: String,
}

impl Keys {
    pub(super) fn new(prefix: String, name: String) -> Self {
        Self { prefix, name }
    }

    /// Prefix and name as an operator reads them.
    pub(super) fn title(&self) -> String {
        format!("{}:{}", self.prefix, self.name)
    }

    /// A key that every queue can have, such as `wait`.
    pub(super) fn key(&self, part: &str) -> String {
        format!("{}:{}:{part}", self.prefix, self.name)
    }

    /// The hash of a job. Ids are bytes: an application chooses them as it likes.
    pub(super) fn job(&self, id: &[u8]) -> Vec<u8> {
        [self.key("").as_bytes(), id].concat()
    }

    /// The lock of a job that is being worked on.
    pub(super) fn lock(&self, id: &[u8]) -> Vec<u8> {
        [self.key("").as_bytes(), id, b":lock"].concat()
    }

    /// How many of the connections in a `CLIENT LIST` are workers of this queue. A worker that was given a name has it
    /// behind that of the queue; listeners for events have another ending.
    pub(super) fn workers_in(&self, client_list: &str) -> u32 {
        let unnamed = format!("{}:{}", self.prefix, STANDARD.encode(&self.name));
        let named = format!("{unnamed}:w:");
        let is_worker = |name: &str| name == unnamed || name.starts_with(&named);
        let names = client_list.lines().filter_map(|line| line.split(' ').find_map(|part| part.strip_prefix("name=")));
        u32::try_from(names.filter(|name| is_worker(name)).count()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_told_by_the_name_of_their_connection() {
        let list = "id=3 addr=10.0.0.1:1 name=bull:ZW1haWw= age=1\n\
             id=4 addr=10.0.0.1:2 name=bull:ZW1haWw=:w:sender-1 age=1\n\
             id=5 addr=10.0.0.1:3 name=bull:ZW1haWw=:qe age=1\n\
             id=6 addr=10.0.0.1:4 name=bull:ZW1haWxz age=1\n\
             id=7 addr=10.0.0.1:5 name=other:ZW1haWw= age=1\n\
             id=8 addr=10.0.0.1:6 name= age=1\n";
        assert_eq!(Keys::new("bull".to_owned(), "email".to_owned()).workers_in(list), 2);
        assert_eq!(Keys::new("bull".to_owned(), "mail".to_owned()).workers_in(list), 0);
    }

    #[test]
    fn keys_are_prefix_name_and_part() {
        let keys = Keys::new("{bull}".to_owned(), "email".to_owned());
        assert_eq!(keys.key("wait"), "{bull}:email:wait");
        assert_eq!(keys.job(b"\xff1"), b"{bull}:email:\xff1");
        assert_eq!(keys.lock(b"7"), b"{bull}:email:7:lock");
    }
}
