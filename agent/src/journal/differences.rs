//! What a change makes different, as it stands in a receipt that is measured or taken down.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::Difference;

#[derive(Serialize, Deserialize)]
struct Form {
    field: String,
    before: Option<String>,
    after: Option<String>,
}

pub(super) fn serialize<S: Serializer>(differences: &[Difference], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(differences.iter().cloned().map(|Difference { field, before, after }| Form { field, before, after }))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Difference>, D::Error> {
    let read = |Form { field, before, after }| Difference { field, before, after };
    Ok(Vec::<Form>::deserialize(from)?.into_iter().map(read).collect())
}
