//! Suggests the name that was meant by a misspelt one: the nearest by edit distance, if one is
//! near.

use strsim::osa_distance;

/// Finds the nearest names. After a fixed number of comparisons it suggests nothing more, so that a
/// file full of mistakes stays cheap.
#[derive(Debug)]
pub struct SpellingSuggester {
    comparisons_left: usize,
}

impl Default for SpellingSuggester {
    fn default() -> Self {
        Self { comparisons_left: 3_000_000 }
    }
}

/// Names with more octets than this are not compared.
const MAX_NAME_OCTETS: usize = 128;

impl SpellingSuggester {
    /// The known name that is nearest to `name`, at most a third of its length away; the first of
    /// equally near ones. The distance counts insertions, removals, replacements and swaps of
    /// neighbours.
    pub fn suggest<'n>(
        &mut self,
        name: &str,
        known: impl Iterator<Item = &'n str>,
    ) -> Option<&'n str> {
        let name = name.to_lowercase();
        if name.len() > MAX_NAME_OCTETS {
            return None;
        }
        let farthest = (name.chars().count() / 3).clamp(1, 4);
        let mut best: Option<(usize, &str)> = None;
        for candidate in known {
            if self.comparisons_left == 0 {
                break;
            }
            if candidate.len() > MAX_NAME_OCTETS
                || candidate.len().abs_diff(name.len()) > 4 * farthest
            {
                continue;
            }
            self.comparisons_left -= 1;
            let candidate_lower = candidate.to_lowercase();
            // A word that was shortened or lengthened counts as near, however much is missing:
            // drain, draining.
            let is_stem = name.len() >= 3
                && (candidate_lower.starts_with(&name) || name.starts_with(&candidate_lower));
            let distance = if is_stem { 1 } else { osa_distance(&name, &candidate_lower) };
            if distance <= farthest && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, candidate));
            }
        }
        best.map(|(_, candidate)| candidate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_suggests_the_name_that_was_meant() {
        let known = ["interval", "timeout", "rise", "fall", "web-fra", "web-iad"];
        for (slip, meant) in [
            ("intervall", Some("interval")),
            ("tiemout", Some("timeout")),
            ("FALL", Some("fall")),
            ("web-fro", Some("web-fra")),
            ("inter", Some("interval")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(
                SpellingSuggester::default().suggest(slip, known.into_iter()),
                meant,
                "{slip}"
            );
        }
    }
}
