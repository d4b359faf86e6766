//! What came of each request, and the table of it.

use std::io::{self, IsTerminal as _, Write};

use serde::Serialize;

use crate::access_log::Entry;

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The scenario's name.
    pub scenario: String,
    /// What the scenario or its step is about.
    pub title: String,
    /// Who asked.
    pub who: String,
    /// Over which listener.
    pub over: String,
    /// What was asked.
    pub asks: String,
    /// What should come of it.
    pub expected: String,
    /// What came.
    pub seen: String,
    /// Whether everything was as the scenario says.
    pub ok: bool,
    /// What was not.
    pub problems: Vec<String>,
    /// The gateway's access log line.
    #[serde(skip)]
    pub entry: Option<Entry>,
}

/// Prints the rows for people; colour only on a terminal.
///
/// # Errors
/// When standard output is closed.
pub fn print_table(rows: &[Row]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let colour = out.is_terminal();
    let paint =
        |code: &str, text: &str| if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
    // Each scenario has columns of its own width: one long name would make all of them too wide to read.
    for scenario in rows.chunk_by(|one, next| one.scenario == next.scenario) {
        let width = |of: fn(&Row) -> &str, head: &str| {
            scenario.iter().map(|row| of(row).chars().count()).max().unwrap_or(0).max(head.len())
        };
        let (who, over) = (width(|row| &row.who, "who"), width(|row| &row.over, "over"));
        let (asks, expected) = (width(|row| &row.asks, "asks"), width(|row| &row.expected, "expected"));
        let mut title = "";
        for row in scenario {
            if row.title != title {
                writeln!(out, "\n{}", paint("1", &format!("{}  {}", row.scenario, row.title)))?;
                if title.is_empty() {
                    let head = format!(
                        "     {:who$}  {:over$}  {:asks$}  {:expected$}  seen",
                        "who", "over", "asks", "expected"
                    );
                    writeln!(out, "{}", paint("2", &head))?;
                }
                title = &row.title;
            }
            let mark = if row.ok { paint("32", "ok  ") } else { paint("31", "FAIL") };
            let line = format!(
                "{:who$}  {:over$}  {:asks$}  {:expected$}  {}",
                row.who, row.over, row.asks, row.expected, row.seen
            );
            writeln!(out, "{mark} {}", line.trim_end())?;
            for problem in &row.problems {
                writeln!(out, "       {}", paint("31", problem))?;
            }
        }
    }
    let failed = rows.iter().filter(|row| !row.ok).count();
    writeln!(out)?;
    if failed == 0 {
        writeln!(out, "{}", paint("32", &format!("All {} answers are as expected.", rows.len())))
    } else {
        writeln!(out, "{}", paint("31", &format!("{failed} of {} answers are not as expected.", rows.len())))
    }
}
