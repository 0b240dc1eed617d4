//! The report as a picture: for each workload, the CPU time per query on the left and the latency
//! on the right.

use std::fmt::Write;

use crate::{
    report::{Cell, Figures, Report},
    servers::WorkloadSupport,
    statistics::MedianRange,
};

const WIDTH: f64 = 1080.0;
const ROW: f64 = 22.0;
/// The space above the rows of a workload, for its title.
const TITLE: f64 = 40.0;
/// The space below the rows, for the scales.
const SCALE: f64 = 26.0;
const HEAD: f64 = 92.0;

const USER: &str = "#1f5fa8";
const SYSTEM: &str = "#a6c8ec";
const INK: &str = "#1d2530";
const FAINT: &str = "#6b7684";
const LINE: &str = "#e1e5ea";

/// The scale of a column, from its left edge to its right edge.
struct Axis {
    left: f64,
    right: f64,
    least: f64,
    most: f64,
    is_logarithmic: bool,
}

impl Axis {
    /// The horizontal position of a value.
    fn position(&self, value: f64) -> f64 {
        let value = value.clamp(self.least, self.most);
        let share = match self.is_logarithmic {
            true => (value / self.least).ln() / (self.most / self.least).ln(),
            false => (value - self.least) / (self.most - self.least),
        };
        self.left + share * (self.right - self.left)
    }

    /// The values of grid lines: powers of ten, or at most six even steps.
    fn ticks(&self) -> Vec<f64> {
        let step = match self.is_logarithmic {
            true => {
                return (0..8)
                    .map(|power| 10_f64.powi(power))
                    .filter(|tick| self.holds(*tick))
                    .collect();
            }
            false => [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]
                .into_iter()
                .find(|step| self.most / step <= 6.0),
        };
        let step = step.unwrap_or(self.most);
        (0..=6).map(|index| f64::from(index) * step).filter(|tick| self.holds(*tick)).collect()
    }

    fn holds(&self, value: f64) -> bool {
        (self.least..=self.most).contains(&value)
    }
}

/// The report as an SVG document.
pub(crate) fn draw(report: &Report) -> String {
    let (cost, latency) = axes(report);
    let mut body = String::new();
    let mut top = HEAD;
    for workload in report.workloads() {
        let cells: Vec<&Cell> = report.cells_of(workload).collect();
        text(
            &mut body,
            20.0,
            top + 18.0,
            14,
            INK,
            "start",
            &format!("<tspan font-weight=\"600\">{}</tspan>", workload.title()),
        );
        let (first, last) = (top + TITLE - 8.0, top + TITLE + ROW * cells.len() as f64);
        scale(&mut body, &cost, first, last);
        scale(&mut body, &latency, first, last);
        for (index, cell) in cells.into_iter().enumerate() {
            row(&mut body, cell, top + TITLE + ROW * index as f64, &cost, &latency);
        }
        top = last + SCALE;
    }
    let height = top + 14.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}{body}</svg>\n",
        head(report, &cost, &latency)
    )
}

/// The scales of both columns. All workloads share them, so that they can be compared.
fn axes(report: &Report) -> (Axis, Axis) {
    let most = |figure: fn(&Figures) -> f64| {
        report.cells.iter().filter_map(|cell| cell.figures.as_ref()).map(figure).fold(1.0, f64::max)
    };
    let least = |figure: fn(&Figures) -> f64| {
        report
            .cells
            .iter()
            .filter_map(|cell| cell.figures.as_ref())
            .map(figure)
            .fold(f64::MAX, f64::min)
    };
    let cost = Axis {
        left: 110.0,
        right: 420.0,
        least: 0.0,
        most: most(|figures| figures.cost.most) * 1.02,
        is_logarithmic: false,
    };
    let latency = Axis {
        left: 600.0,
        right: 940.0,
        least: least(|figures| figures.p50.least).clamp(1.0, 1e6) * 0.8,
        most: most(|figures| figures.p999.median) * 1.25,
        is_logarithmic: true,
    };
    (cost, latency)
}

/// The head of the picture, which explains columns and colours.
fn head(report: &Report, cost: &Axis, latency: &Axis) -> String {
    let mut body = String::new();
    let subtitle = format!(
        "{} · one core for the server, one for the load · medians of rounds ({}), lines from least to most",
        report.machine.processor, report.settings.rounds
    );
    text(
        &mut body,
        20.0,
        28.0,
        18,
        INK,
        "start",
        "<tspan font-weight=\"600\">portolan beside its peers</tspan>",
    );
    text(&mut body, 20.0, 47.0, 12, FAINT, "start", &subtitle);
    text(&mut body, cost.left, 78.0, 12, INK, "start", "CPU per query, as fast as it goes:");
    swatch(&mut body, cost.left + 220.0, USER, "user");
    swatch(&mut body, cost.left + 275.0, SYSTEM, "system");
    let title = format!("Latency at {} queries/s:", report.settings.rate);
    text(&mut body, latency.left, 78.0, 12, INK, "start", &title);
    for (left, mark, name) in [
        (188.0, QuantileMark::P50, "p50"),
        (236.0, QuantileMark::P99, "p99"),
        (280.0, QuantileMark::P999, "p99.9"),
    ] {
        mark.draw(&mut body, latency.left + left, 74.0);
        text(&mut body, latency.left + left + 9.0, 78.0, 12, INK, "start", name);
    }
    text(&mut body, latency.right + 12.0, 78.0, 12, INK, "start", "p50 · p99");
    body
}

fn swatch(body: &mut String, left: f64, colour: &str, name: &str) {
    let _ = writeln!(
        body,
        "<rect x=\"{left}\" y=\"68\" width=\"11\" height=\"11\" fill=\"{colour}\"/>"
    );
    text(body, left + 15.0, 78.0, 12, INK, "start", name);
}

fn scale(body: &mut String, axis: &Axis, top: f64, bottom: f64) {
    for tick in axis.ticks() {
        let x = axis.position(tick);
        let _ = writeln!(body, "<path d=\"M{x:.1} {top:.1}V{bottom:.1}\" stroke=\"{LINE}\"/>");
        text(body, x, bottom + 14.0, 10, FAINT, "middle", &time(tick));
    }
}

fn row(body: &mut String, cell: &Cell, top: f64, cost: &Axis, latency: &Axis) {
    let base = top + 13.0;
    let note = if cell.support == WorkloadSupport::SourceAddress { " (no ECS)" } else { "" };
    let weight = if cell.server.starts_with("portolan") { "600" } else { "400" };
    let name = format!("<tspan font-weight=\"{weight}\">{}</tspan>{note}", cell.server);
    text(body, cost.left - 8.0, base, 12, INK, "end", &name);
    let Some(figures) = &cell.figures else {
        text(body, cost.left + 6.0, base, 12, FAINT, "start", "cannot");
        return;
    };
    bars(body, figures, top, cost);
    let label =
        format!("{:.2} µs · {:.0} k/s", figures.cost.median, figures.per_second.median / 1e3);
    text(body, cost.position(figures.cost.most) + 8.0, base, 11, INK, "start", &label);
    marks(body, figures, top + 9.0, latency);
}

fn bars(body: &mut String, figures: &Figures, top: f64, axis: &Axis) {
    let MedianRange { median, least, most } = figures.cost;
    // Medians of user and system time need not add up to the median of the total; the bar ends at
    // the total.
    let middle =
        axis.position(median * figures.user.median / (figures.user.median + figures.system.median));
    let (start, end, y) = (axis.left, axis.position(median), top + 2.0);
    for (left, right, colour) in [(start, middle, USER), (middle, end, SYSTEM)] {
        let width = right - left;
        let _ = writeln!(
            body,
            "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"14\" fill=\"{colour}\"/>"
        );
    }
    let (least, most, y) = (axis.position(least), axis.position(most), top + 9.0);
    let _ = writeln!(
        body,
        "<path d=\"M{least:.1} {y:.1}H{most:.1}\" stroke=\"{INK}\" stroke-width=\"1.5\"/>"
    );
}

fn marks(body: &mut String, figures: &Figures, y: f64, axis: &Axis) {
    let [p50, p99, p999] =
        [figures.p50, figures.p99, figures.p999].map(|spread| axis.position(spread.median));
    let _ = writeln!(
        body,
        "<path d=\"M{p50:.1} {y:.1}H{p999:.1}\" stroke=\"{SYSTEM}\" stroke-width=\"3\"/>"
    );
    for (mark, x) in
        [(QuantileMark::P50, p50), (QuantileMark::P99, p99), (QuantileMark::P999, p999)]
    {
        mark.draw(body, x, y);
    }
    let label = format!("{} · {}", time(figures.p50.median), time(figures.p99.median));
    text(body, axis.right + 12.0, y + 4.0, 11, INK, "start", &label);
}

/// The shape of a quantile's mark.
#[derive(Clone, Copy)]
enum QuantileMark {
    P50,
    P99,
    P999,
}

impl QuantileMark {
    fn draw(self, body: &mut String, x: f64, y: f64) {
        let width = match self {
            Self::P50 => {
                let _ = writeln!(
                    body,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{USER}\"/>"
                );
                return;
            }
            Self::P99 => 3.5,
            Self::P999 => 1.0,
        };
        let (top, bottom) = (y - 6.0, y + 6.0);
        let _ = writeln!(
            body,
            "<path d=\"M{x:.1} {top:.1}V{bottom:.1}\" stroke=\"{USER}\" stroke-width=\"{width}\"/>"
        );
    }
}

/// A time in microseconds, printed with a suitable unit.
fn time(us: f64) -> String {
    match us {
        10_000.0.. => format!("{:.0} ms", us / 1e3),
        1_000.0.. => format!("{} ms", (us / 100.0).round() / 10.0),
        10.0.. => format!("{us:.0} µs"),
        _ => format!("{us} µs"),
    }
}

fn text(body: &mut String, x: f64, y: f64, size: u32, colour: &str, anchor: &str, content: &str) {
    let _ = writeln!(
        body,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\" text-anchor=\"{anchor}\">{content}</text>"
    );
}
