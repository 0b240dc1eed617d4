//! The figures of one server at several sizes, and their growth.

use super::process::ResourceUsage;

/// The figures of one size.
pub(crate) struct Row {
    /// The number of records or services.
    pub(crate) size: usize,
    /// The cost of the start.
    pub(crate) start: ResourceUsage,
    /// The resident memory once the process is idle, in MiB.
    pub(crate) settled_mib: f64,
    /// The cost of one edit.
    pub(crate) edit: Option<ResourceUsage>,
}

/// The median row, figure by figure.
pub(crate) fn median(rows: &[Row]) -> Option<Row> {
    let middle = |of: &dyn Fn(&Row) -> f64| {
        let mut values: Vec<f64> = rows.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let figures = |of: &dyn Fn(&Row) -> ResourceUsage| ResourceUsage {
        wall_secs: middle(&|row| of(row).wall_secs),
        cpu_secs: middle(&|row| of(row).cpu_secs),
        resident_mib: middle(&|row| of(row).resident_mib),
        peak_mib: middle(&|row| of(row).peak_mib),
    };
    let first = rows.first()?;
    Some(Row {
        size: first.size,
        start: figures(&|row| row.start),
        settled_mib: middle(&|row| row.settled_mib),
        edit: first.edit.map(|_| figures(&|row| row.edit.unwrap_or_default())),
    })
}

/// Prints the rows of a server below a heading.
pub(crate) fn print(server: &str, what: &str, rows: &[Row]) {
    println!("\n{server}");
    println!(
        "  {what:>12}   start s   CPU s   peak MiB   resident MiB   edit s   CPU s   peak MiB   of resident"
    );
    for row in rows {
        let ResourceUsage { wall_secs, cpu_secs, peak_mib, .. } = row.start;
        print!(
            "  {:>12}   {wall_secs:7.3}   {cpu_secs:5.2}   {peak_mib:8.1}   {:12.1}",
            row.size, row.settled_mib
        );
        match row.edit {
            Some(ResourceUsage { wall_secs, cpu_secs, peak_mib, .. }) => {
                println!(
                    "   {wall_secs:6.3}   {cpu_secs:5.2}   {peak_mib:8.1}   {:11.2}",
                    peak_mib / row.settled_mib
                );
            }
            None => println!(),
        }
    }
    for pair in rows.windows(2) {
        let ratio = pair[1].size as f64 / pair[0].size as f64;
        // The growth per tenfold size; 10 is linear.
        let growth = |of: fn(&Row) -> f64| {
            10_f64.powf((of(&pair[1]) / of(&pair[0]).max(1e-9)).log10() / ratio.log10())
        };
        println!(
            "  {} -> {}, per tenfold: start x{:.1}, CPU x{:.1}, resident x{:.1}",
            pair[0].size,
            pair[1].size,
            growth(|row| row.start.wall_secs),
            growth(|row| row.start.cpu_secs.max(0.01)),
            growth(|row| row.settled_mib),
        );
    }
}
