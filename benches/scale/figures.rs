//! The figures of one server at several sizes: a line for each figure, a column for each size, and
//! the growth between sizes.

use std::io;

use super::runs;

/// One figure of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    /// The measured quantity, with its unit.
    pub(crate) heading: &'static str,
    /// `None` if the server does not support it.
    pub(crate) value: Option<f64>,
}

/// The figures of one run; `None` where the server is not installed.
pub(crate) type Measured = io::Result<Option<Vec<Figure>>>;

/// A size, and the medians of its runs.
struct Column {
    size: usize,
    figures: Vec<Figure>,
}

/// Measures a server at each of the sizes and prints the medians of all runs.
pub(crate) fn tabulate(
    server: &str,
    what: &str,
    sizes: &[usize],
    measure: impl Fn(usize) -> Measured,
) -> io::Result<()> {
    let mut columns = Vec::new();
    for &size in sizes {
        match (0..runs()).map(|_| measure(size)).collect::<io::Result<Option<Vec<_>>>>() {
            Ok(Some(found)) => columns.push(Column { size, figures: medians(&found) }),
            Ok(None) => {
                println!("\n{server}: not installed, skipped");
                return Ok(());
            }
            // Larger sizes would take even longer.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                println!("\n{server}, {size} {what}: {error}");
                break;
            }
            Err(error) => return Err(error),
        }
    }
    print(server, what, &columns);
    Ok(())
}

fn medians(runs: &[Vec<Figure>]) -> Vec<Figure> {
    let Some(first) = runs.first() else { return Vec::new() };
    let median = |(index, figure): (usize, &Figure)| {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(index)?.value).collect();
        values.sort_by(f64::total_cmp);
        Figure { value: values.get(values.len() / 2).copied(), ..*figure }
    };
    first.iter().enumerate().map(median).collect()
}

fn print(server: &str, what: &str, columns: &[Column]) {
    let Some(first) = columns.first() else { return };
    print!("\n{server}\n  {what:<36}");
    columns.iter().for_each(|column| print!(" {:>10}", column.size));
    println!("{}", if columns.len() > 1 { "   growth per tenfold" } else { "" });
    for (index, figure) in first.figures.iter().enumerate() {
        print!("  {:<36}", figure.heading);
        for column in columns {
            match column.figures[index].value {
                Some(value) => print!(" {value:>10.3}"),
                None => print!(" {:>10}", "-"),
            }
        }
        columns.windows(2).for_each(|pair| print!("   {}", growth(&pair[0], &pair[1], index)));
        println!();
    }
}

/// The growth of a figure per tenfold size; 10 is linear.
fn growth(smaller: &Column, larger: &Column, index: usize) -> String {
    let ratio = (larger.size as f64 / smaller.size as f64).log10();
    match (smaller.figures[index].value, larger.figures[index].value) {
        // Differences below a millisecond are noise.
        (Some(before), Some(after)) if before > 1e-3 => {
            format!("x{:<5.1}", 10_f64.powf((after / before).log10() / ratio))
        }
        _ => format!("{:<6}", "-"),
    }
}
