//! Samples that are damaged at random: parts cut out, doubled, and other bytes put in.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// What is done to a sample.
#[derive(Clone, Debug)]
pub struct Damage {
    at: Index,
    cut: usize,
    filling: Vec<u8>,
}

/// One to six damages, with fillings of any bytes or of these words.
pub fn damages(words: &'static [&'static str]) -> impl Strategy<Value = Vec<Damage>> {
    let word = proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec());
    let filling = prop_oneof![vec(any::<u8>(), 0..12), word];
    let damage = (any::<Index>(), 0_usize..48, filling).prop_map(|(at, cut, filling)| Damage { at, cut, filling });
    vec(damage, 1..6)
}

/// The sample after all of them.
pub fn damaged(sample: &[u8], damages: &[Damage]) -> Vec<u8> {
    damages.iter().fold(sample.to_vec(), |mut bytes, damage| {
        let from = damage.at.index(bytes.len() + 1);
        let to = bytes.len().min(from + damage.cut);
        bytes.splice(from..to, damage.filling.iter().copied());
        bytes
    })
}
