//! Tables: columns fitted to the terminal, the widest cells cut first.

use std::io;

use crate::output::Format;
use crate::term::Io;
use crate::text::{clean, cut};

/// Rows under headings. Every row has as many cells as there are headings.
#[derive(Debug, Default)]
pub(crate) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    empty: &'static str,
}

impl Table {
    /// A table that says `empty` when it has no row.
    pub(crate) fn new(heads: &[&'static str], empty: &'static str) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new(), empty }
    }

    /// Adds a row; the cells are made safe for a terminal here and nowhere else.
    pub(crate) fn row<I: IntoIterator<Item = String>>(&mut self, cells: I) {
        let cells: Vec<_> = cells.into_iter().map(|c| clean(&c)).collect();
        debug_assert_eq!(cells.len(), self.heads.len(), "a row has as many cells as headings");
        self.rows.push(cells);
    }

    pub(crate) fn write(&self, io: &mut Io<'_>, format: Format) -> io::Result<()> {
        if format == Format::Plain {
            for row in &self.rows {
                writeln!(io.out, "{}", row.join("\t"))?;
            }
            return Ok(());
        }
        if self.rows.is_empty() {
            return writeln!(io.out, "{}", self.empty);
        }
        let room = if format == Format::Wide { usize::MAX } else { io.width };
        let widths = self.fit(room);
        let paint = io.paint();
        let heads = self.heads.iter().map(|h| h.to_uppercase());
        writeln!(io.out, "{}", paint.bold(&line(heads, &widths)))?;
        for row in &self.rows {
            writeln!(io.out, "{}", line(row.iter().cloned(), &widths))?;
        }
        Ok(())
    }

    /// Column widths whose sum fits, taking from the widest column first.
    fn fit(&self, room: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heads.iter().map(|h| h.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let gaps = 2 * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > room {
            let Some(widest) = widths.iter_mut().max() else { break };
            if *widest <= 8 {
                break;
            }
            *widest -= 1;
        }
        widths
    }
}

fn line(cells: impl Iterator<Item = String>, widths: &[usize]) -> String {
    let mut out = String::new();
    for (cell, width) in cells.zip(widths) {
        if !out.is_empty() {
            out.push_str("  ");
        }
        let cell = cut(&cell, *width);
        let pad = width.saturating_sub(cell.chars().count());
        out.push_str(&cell);
        out.push_str(&" ".repeat(pad));
    }
    out.trim_end().to_owned()
}
