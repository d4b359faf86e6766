//! Words that look like words, for host names that a compressor cannot guess. Drawn by a seed: the same in every run.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stats::Random;

/// How many words there are.
pub const WORDS: usize = 8_000;
const SEED: u64 = 0x00e6_4e55;
const ONSETS: [&str; 16] = ["b", "c", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "tr", "st"];
const VOWELS: [&str; 6] = ["a", "e", "i", "o", "u", "ea"];
const CODAS: [&str; 8] = ["", "n", "r", "l", "s", "t", "m", "ck"];
const ENDINGS: [&str; 6] = ["com", "net", "org", "io", "de", "dev"];

/// The vocabulary: words of one to three syllables, each once.
#[must_use]
pub fn words() -> Vec<String> {
    let mut random = Random::new(SEED);
    let mut words = BTreeSet::new();
    while words.len() < WORDS {
        let syllables = 1 + random.scaled(3);
        let word: String = (0..syllables).map(|_| syllable(&mut random)).collect();
        if word.len() > 2 {
            words.insert(word);
        }
    }
    words.into_iter().collect()
}

fn syllable(random: &mut Random) -> String {
    let mut pick =
        |parts: &[&'static str]| parts.get(random.scaled(parts.len())).copied().unwrap_or_default();
    [pick(&ONSETS), pick(&VOWELS), pick(&CODAS)].concat()
}

/// Policies of one varied host each: two words of the vocabulary. The name is the host's, as people name things.
#[must_use]
pub fn varied(policies: usize) -> Value {
    let words = words();
    let mut random = Random::new(SEED + 1);
    let mut seen = BTreeSet::new();
    let mut word = move || {
        let at = random.scaled(WORDS);
        words.get(at).cloned().unwrap_or_default()
    };
    let mut list = Vec::with_capacity(policies);
    while list.len() < policies {
        let (first, second) = (word(), word());
        let name = format!("{first}-{second}");
        if seen.insert(name.clone()) {
            let ending = ENDINGS.get(list.len() % ENDINGS.len()).copied().unwrap_or_default();
            let host = format!("{name}.{ending}");
            let namespace = format!("team-{}", list.len() % 200);
            list.push(json!({
                "name": name,
                "namespace": namespace,
                "rules": [{"to": [{"operation": {"hosts": [host]}}]}],
            }));
        }
    }
    json!({"policies": list})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vocabulary_is_the_same_everywhere() {
        let words = words();
        assert_eq!(words.len(), WORDS);
        assert_eq!(words[..3], ["back", "backbim", "backgeackrock"].map(str::to_owned));
        // FNV-1a of them all: figures of two machines are of the same bundle.
        let hash =
            words.iter().flat_map(|word| word.bytes()).fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        assert_eq!(hash, 0x65b3_4be9_6242_628d, "{hash:#x}");
    }
}
