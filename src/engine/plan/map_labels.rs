//! The labels of a map: each name beside its point, where it covers no other label. A name without
//! room is left out; the legend has it.

/// The width of a character of a label, and the height of a line, in units of the map.
const CHARACTER_WIDTH: f64 = 8.0;
const LINE_HEIGHT: f64 = 13.0;
/// The distance of a label from its point.
const GAP: f64 = 9.0;

/// A point with a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct LabelPoint<'a> {
    pub(super) name: &'a str,
    pub(super) x: f64,
    pub(super) y: f64,
}

/// The place of a label: the left end of its baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LabelPlace {
    pub(super) x: f64,
    pub(super) y: f64,
    width: f64,
}

impl LabelPlace {
    fn covers(self, other: Self) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && (self.y - other.y).abs() < LINE_HEIGHT
    }
}

/// The place of each label within a map of this width; `None` if all places near its point are
/// covered.
pub(super) fn place_labels(points: &[LabelPoint<'_>], map_width: f64) -> Vec<Option<LabelPlace>> {
    let mut placed: Vec<LabelPlace> = Vec::new();
    let mut places = Vec::new();
    for point in points {
        let width = CHARACTER_WIDTH * point.name.chars().count() as f64;
        let (left, right) = (point.x - GAP - width, point.x + GAP);
        let (above, below) = (point.y - 4.0, point.y + GAP + 4.0);
        let place = [(right, above), (left, above), (right, below), (left, below)]
            .into_iter()
            .map(|(x, y)| LabelPlace { x, y, width })
            .filter(|place| place.x >= 0.0 && place.x + width <= map_width)
            .find(|place| placed.iter().all(|other| !place.covers(*other)));
        placed.extend(place);
        places.push(place);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_cover_each_other_and_stay_on_the_map() {
        let point = |name, x, y| LabelPoint { name, x, y };
        let points = [
            point("fra", 500.0, 100.0),
            point("ams", 498.0, 101.0),
            point("syd", 990.0, 200.0),
            point("lhr", 499.0, 100.0),
            point("cdg", 501.0, 100.0),
            point("bru", 500.0, 100.0),
        ];
        let places = place_labels(&points, 1000.0);
        let placed: Vec<LabelPlace> = places.iter().copied().flatten().collect();
        for (number, place) in placed.iter().enumerate() {
            assert!(placed[..number].iter().all(|other| !place.covers(*other)), "{places:?}");
        }
        assert!(places[2].is_some_and(|place| place.x < 990.0), "left of its point: {places:?}");
        assert_eq!(places[5], None, "no room is left");
    }
}
