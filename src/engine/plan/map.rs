//! A plan as a picture: two maps of the world in SVG, before and after the change. A dot is a group
//! of clients, its area their number, and its colour and form the datacenter that most of them are
//! answered with.
//!
//! The colours are those of Okabe and Ito, which people tell apart with any colour vision;
//! datacenters beyond the seventh have another form.

use std::fmt::Write;

use super::{
    map_labels::{LabelPlace, LabelPoint, place_labels},
    view::{MapDatacenter, MapPlace, MapView, Plan},
};
use crate::number_format::percent_in_column;

/// The colours of Okabe and Ito without black, the best to tell apart first.
const COLOURS: [&str; 7] =
    ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#f0e442"];
/// The colour of clients that are answered with no datacenter.
const NO_COLOUR: &str = "#999999";
const WIDTH: f64 = 1080.0;
const MARGIN: f64 = 20.0;
/// The width of a map: 360 degrees.
const MAP_WIDTH: f64 = WIDTH - 2.0 * MARGIN;
const NORTH: f64 = 78.0;
const SOUTH: f64 = -58.0;
const LEGEND_COLUMNS: usize = 4;
const LEGEND_ROW: f64 = 22.0;
/// A dot with 1 % of the demand has this radius.
const RADIUS_OF_PERCENT: f64 = 7.0;
const MIN_RADIUS: f64 = 2.0;
const MAX_RADIUS: f64 = 26.0;
/// From this share of moved clients on, a dot has a ring.
const MIN_RING_PERCENT: f64 = 10.0;
/// The maximum width of a ring. That of a small dot is a part of its radius.
const MAX_RING_WIDTH: f64 = 1.8;

/// The plan as an SVG document; `None` if it was made without a map.
pub fn render_map(plan: &Plan) -> Option<String> {
    plan.map.as_ref().map(|map| MapWriter { plan, map }.document())
}

/// Writes the parts of the document.
struct MapWriter<'a> {
    plan: &'a Plan,
    map: &'a MapView,
}

/// One of the two maps.
#[derive(Clone, Copy, PartialEq)]
enum MapSide {
    Before,
    After,
}

impl MapWriter<'_> {
    fn document(&self) -> String {
        let map_height = (NORTH - SOUTH) / 360.0 * MAP_WIDTH;
        let legend_rows = self.map.datacenters.len().div_ceil(LEGEND_COLUMNS) + 1;
        let legend_top = 2.0 * (map_height + 48.0) + 40.0;
        let height = legend_top + LEGEND_ROW * legend_rows as f64 + MARGIN;
        let mut svg = String::new();
        let title = self.title();
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\" \
             font-family=\"sans-serif\" font-size=\"13\" fill=\"#1a1a1a\" role=\"img\">\n<title>{title}</title>\n\
             <rect width=\"{WIDTH}\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n\
             <text x=\"{MARGIN}\" y=\"26\" font-size=\"17\" font-weight=\"bold\">{title}</text>"
        );
        for (side, top) in [(MapSide::Before, 40.0), (MapSide::After, 40.0 + map_height + 48.0)] {
            self.push_map(&mut svg, side, top, map_height);
        }
        self.push_legend(&mut svg, legend_top);
        svg + "</svg>\n"
    }

    fn title(&self) -> String {
        let moved = self.plan.movements.iter().map(|movement| {
            format!(
                "{} of {} clients move",
                percent_in_column(movement.moved_percent),
                movement.clients
            )
        });
        let moved: Vec<String> = moved.collect();
        if moved.is_empty() { "no client moves".to_owned() } else { moved.join(", ") }
    }

    fn push_map(&self, svg: &mut String, side: MapSide, top: f64, height: f64) {
        let word = if side == MapSide::Before { "Before" } else { "After" };
        let map_top = top + 22.0;
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{:.0}\" font-size=\"15\" font-weight=\"bold\">{word}</text>\n\
             <svg x=\"{MARGIN}\" y=\"{map_top:.0}\" width=\"{MAP_WIDTH}\" height=\"{height:.1}\" viewBox=\"0 0 {MAP_WIDTH} {height:.1}\">\n\
             <rect width=\"{MAP_WIDTH}\" height=\"{height:.1}\" fill=\"#f5f7f9\" stroke=\"#8a949e\"/>",
            top + 14.0
        );
        push_graticule(svg, height);
        let mut places: Vec<&MapPlace> = self.map.places.iter().collect();
        // Small dots are drawn over large ones.
        places.sort_by(|a, b| b.demand_percent.total_cmp(&a.demand_percent));
        for place in places {
            self.push_place(svg, place, side);
        }
        self.push_datacenters(svg);
        svg.push_str("</svg>\n");
    }

    fn push_place(&self, svg: &mut String, place: &MapPlace, side: MapSide) {
        let name = if side == MapSide::Before { &place.before } else { &place.after };
        let radius =
            (RADIUS_OF_PERCENT * place.demand_percent.sqrt()).clamp(MIN_RADIUS, MAX_RADIUS);
        let (x, y) = position(place.latitude, place.longitude);
        let has_ring = side == MapSide::After && place.moved_percent >= MIN_RING_PERCENT;
        let width = MAX_RING_WIDTH.min(0.45 * radius);
        let ring = match has_ring {
            true => format!("class=\"moved\" stroke=\"#000000\" stroke-width=\"{width:.1}\""),
            false => THIN_STROKE.to_owned(),
        };
        let symbol = self.symbol_of(name);
        let _ = writeln!(
            svg,
            "<g fill-opacity=\"0.85\" {ring}>{}<title>{}: {} of the demand, {} moves</title></g>",
            symbol.shape(x, y, radius),
            escaped(name),
            percent_in_column(place.demand_percent),
            percent_in_column(place.moved_percent)
        );
    }

    fn push_datacenters(&self, svg: &mut String) {
        let point =
            |datacenter: &MapDatacenter| position(datacenter.latitude, datacenter.longitude);
        let points: Vec<LabelPoint<'_>> = self
            .map
            .datacenters
            .iter()
            .map(|datacenter| (datacenter, point(datacenter)))
            .map(|(datacenter, (x, y))| LabelPoint { name: &datacenter.name, x, y })
            .collect();
        for (number, point) in points.iter().enumerate() {
            push_cross(svg, number, point);
        }
        for (point, place) in points.iter().zip(place_labels(&points, MAP_WIDTH)) {
            let Some(LabelPlace { x, y, .. }) = place else { continue };
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-weight=\"bold\" paint-order=\"stroke\" stroke=\"#ffffff\" \
                 stroke-width=\"3\">{}</text>",
                escaped(point.name)
            );
        }
    }

    fn symbol_of(&self, name: &str) -> MapSymbol {
        MapSymbol(self.map.datacenters.iter().position(|known| known.name == name))
    }

    fn push_legend(&self, svg: &mut String, top: f64) {
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{:.0}\">Dot: clients; its area is their demand; a dark ring: at least \
             {MIN_RING_PERCENT} % of them move. Colour and form: the datacenter of most of them. Cross: a datacenter.</text>",
            top + 4.0
        );
        for (number, datacenter) in self.map.datacenters.iter().enumerate() {
            let (column, row) = (number % LEGEND_COLUMNS, number / LEGEND_COLUMNS + 1);
            let x = MARGIN + 8.0 + column as f64 * MAP_WIDTH / LEGEND_COLUMNS as f64;
            let y = top + row as f64 * LEGEND_ROW;
            let load = self.plan.loads.iter().find(|load| load.datacenter == datacenter.name);
            let shares = load.map(|load| {
                let [before, after] =
                    [load.before_percent, load.after_percent].map(percent_in_column);
                format!(" {before} &#8594; {after}")
            });
            let _ = writeln!(
                svg,
                "<g {THIN_STROKE}>{}</g><text x=\"{:.0}\" y=\"{:.0}\">{}{}</text>",
                MapSymbol(Some(number)).shape(x, y, 7.0),
                x + 14.0,
                y + 4.5,
                escaped(&datacenter.name),
                shares.unwrap_or_default()
            );
        }
    }
}

const THIN_STROKE: &str = "stroke=\"#444444\" stroke-width=\"0.5\"";

/// The symbol of a datacenter by its position; `None` for no datacenter.
#[derive(Clone, Copy)]
struct MapSymbol(Option<usize>);

impl MapSymbol {
    /// The colour and the form of the symbol: circle, square, diamond, triangle.
    fn shape(self, x: f64, y: f64, radius: f64) -> String {
        let colour = self.0.map_or(NO_COLOUR, |number| COLOURS[number % COLOURS.len()]);
        let points = |corners: &[(f64, f64)]| {
            let corner =
                |(dx, dy): &(f64, f64)| format!("{:.1},{:.1}", x + dx * radius, y + dy * radius);
            let corners: Vec<String> = corners.iter().map(corner).collect();
            format!("<polygon points=\"{}\" fill=\"{colour}\"/>", corners.join(" "))
        };
        match self.0.map_or(0, |number| number / COLOURS.len() % 4) {
            0 => {
                format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{colour}\"/>")
            }
            1 => points(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
            2 => points(&[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)]),
            _ => points(&[(0.0, -1.3), (1.15, 0.9), (-1.15, 0.9)]),
        }
    }
}

fn push_graticule(svg: &mut String, height: f64) {
    svg.push_str("<g stroke=\"#d5dce3\" stroke-width=\"0.8\">\n");
    for longitude in (-150..=150).step_by(30) {
        let x = position(0.0, f64::from(longitude)).0;
        let _ = writeln!(svg, "<line x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{height:.1}\"/>");
    }
    for latitude in [-30, 0, 30, 60] {
        let y = position(f64::from(latitude), 0.0).1;
        let _ = writeln!(svg, "<line x1=\"0\" y1=\"{y:.1}\" x2=\"{MAP_WIDTH}\" y2=\"{y:.1}\"/>");
    }
    svg.push_str("</g>\n<g font-size=\"10\" fill=\"#5a646e\">\n");
    for latitude in [-30, 0, 30, 60] {
        let y = position(f64::from(latitude), 0.0).1 - 2.0;
        let _ = writeln!(svg, "<text x=\"3\" y=\"{y:.1}\">{latitude}&#176;</text>");
    }
    svg.push_str("</g>\n");
}

/// A cross at the location of a datacenter.
fn push_cross(svg: &mut String, number: usize, point: &LabelPoint<'_>) {
    let &LabelPoint { name, x, y } = point;
    let colour = COLOURS[number % COLOURS.len()];
    let cross =
        format!("M{:.1},{y:.1}H{:.1}M{x:.1},{:.1}V{:.1}", x - 7.0, x + 7.0, y - 7.0, y + 7.0);
    let _ = writeln!(
        svg,
        "<g><path d=\"{cross}\" stroke=\"#ffffff\" stroke-width=\"5\"/><path d=\"{cross}\" stroke=\"#000000\" stroke-width=\"3.4\"/>\
         <path d=\"{cross}\" stroke=\"{colour}\" stroke-width=\"1.6\"/><title>{}</title></g>",
        escaped(name)
    );
}

/// The position of a point in a map: longitude and latitude at the same scale.
fn position(latitude: f64, longitude: f64) -> (f64, f64) {
    let scale = MAP_WIDTH / 360.0;
    ((longitude + 180.0) * scale, (NORTH - latitude.clamp(SOUTH, NORTH)) * scale)
}

/// A text with the characters that XML reserves escaped.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
