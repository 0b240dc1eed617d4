//! Line ends of an edited file: lines that were not edited stay octet for octet.

/// The maximum product of the numbers of lines that are compared line by line: 4 million steps take
/// some milliseconds.
const MAX_COMPARISONS: usize = 4_000_000;

/// `edited` with the line ends of `original`. A line that stayed, or whose value was edited, keeps
/// its line end; a new line gets the line end of the first line.
pub(super) fn with_line_endings(edited: &str, original: &str) -> String {
    let new: Vec<&str> = edited.split_inclusive('\n').map(without_line_ending).collect();
    let old: Vec<&str> = original.split_inclusive('\n').collect();
    let usual = if old.first().is_some_and(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" };
    let ends = line_endings(&new, &old);
    let last = new.len().checked_sub(1).filter(|_| !edited.ends_with('\n'));
    let mut text = String::with_capacity(edited.len() + new.len());
    for (index, (line, end)) in new.iter().zip(ends).enumerate() {
        text += line;
        text += if last == Some(index) {
            ""
        } else {
            end.filter(|end| !end.is_empty()).unwrap_or(usual)
        };
    }
    text
}

/// For each new line the line end of the old line that it was; `None` for an added line.
fn line_endings<'o>(new: &[&str], old: &[&'o str]) -> Vec<Option<&'o str>> {
    let same = |(new, old): &(&&str, &&str)| **new == without_line_ending(old);
    let head = new.iter().zip(old).take_while(same).count();
    let tail = new[head..].iter().rev().zip(old[head..].iter().rev()).take_while(same).count();
    let (new_middle, old_middle) = (&new[head..new.len() - tail], &old[head..old.len() - tail]);
    let middle = middle_line_endings(new_middle, old_middle);
    let endings =
        |lines: &[&'o str]| lines.iter().map(|line| Some(line_ending(line))).collect::<Vec<_>>();
    [endings(&old[..head]), middle, endings(&old[old.len() - tail..])].concat()
}

/// The line ends between the first and the last line that differ. Lines of the longest common
/// subsequence stayed; between them, lines with the same key were edited.
fn middle_line_endings<'o>(new: &[&str], old: &[&'o str]) -> Vec<Option<&'o str>> {
    let mut ends = vec![None; new.len()];
    let (mut at, mut from) = (0, 0);
    for (n, o) in longest_common_subsequence(new, old).into_iter().chain([(new.len(), old.len())]) {
        let mut left: Vec<&'o str> = old[from..o].to_vec();
        for (line, place) in new[at..n].iter().zip(&mut ends[at..n]) {
            if let Some(found) = left.iter().position(|old| toml_key(old) == toml_key(line)) {
                *place = Some(line_ending(left.remove(found)));
            }
        }
        if n < new.len() {
            ends[n] = Some(line_ending(old[o]));
        }
        (at, from) = (n + 1, o + 1);
    }
    ends
}

/// The positions of a longest common subsequence; empty if the lists are too long.
fn longest_common_subsequence(new: &[&str], old: &[&str]) -> Vec<(usize, usize)> {
    if new.len().saturating_mul(old.len()) > MAX_COMPARISONS {
        return Vec::new();
    }
    let width = old.len() + 1;
    let mut lengths = vec![0_u32; (new.len() + 1) * width];
    for n in (0..new.len()).rev() {
        for o in (0..old.len()).rev() {
            lengths[n * width + o] = match new[n] == without_line_ending(old[o]) {
                true => lengths[(n + 1) * width + o + 1] + 1,
                false => lengths[(n + 1) * width + o].max(lengths[n * width + o + 1]),
            };
        }
    }
    let (mut n, mut o, mut found) = (0, 0, Vec::new());
    while n < new.len() && o < old.len() {
        if new[n] == without_line_ending(old[o]) {
            found.push((n, o));
            (n, o) = (n + 1, o + 1);
        } else if lengths[(n + 1) * width + o] >= lengths[n * width + o + 1] {
            n += 1;
        } else {
            o += 1;
        }
    }
    found
}

fn without_line_ending(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

fn line_ending(line: &str) -> &str {
    &line[without_line_ending(line).len()..]
}

fn toml_key(line: &str) -> &str {
    line.split('=').next().unwrap_or(line).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_line_keeps_its_line_end_whatever_a_later_equal_line_has() {
        let original = "a = 1\r\nstate = \"active\"\n[b]\r\nstate = \"draining\"\r\n";
        let edited = "a = 1\nstate = \"draining\"\nnew = 1\n[b]\nstate = \"draining\"\n";
        let expected = "a = 1\r\nstate = \"draining\"\nnew = 1\r\n[b]\r\nstate = \"draining\"\r\n";
        assert_eq!(with_line_endings(edited, original), expected);
        assert_eq!(with_line_endings("a = 2", "a = 1"), "a = 2", "without a line end");
        assert_eq!(
            with_line_endings("a = 1\nb = 1\n", "a = 1"),
            "a = 1\nb = 1\n",
            "a line after one without an end"
        );
    }
}
