//! A document as GitHub Markdown: the facts of the machine and the run, a row for each layer, then a row for each algorithm timed.

use super::compare::Comparison;
use super::document::{Document, Record};
use super::table::{Column, NETWORK_HEADER, START_HEADER, START_NOTE, VERIFIED, network_cells, network_notes, start_cells, training_notes};

/// The whole file; `asked` are the columns that are wanted, or all that say something.
pub fn markdown(document: &Document, asked: &[Column], comparison: Option<&Comparison<'_>>) -> String {
    let columns = Column::of(document, asked);
    let mut text = String::from("# wgconv bench\n\n");
    for (name, value) in document.facts() {
        text += &format!("- {name}: {}\n", if name == "Command" { code(&value) } else { plain(&value) });
    }
    text.extend(document.noise().map(|noise| format!("\n**{}**\n", plain(&noise))));
    text += &table(&columns, document.picks());
    text.extend(training_notes(document).iter().map(|note| format!("\n{}\n", plain(note))));
    if document.has_gpu() {
        text += &format!("\nMedians; ± is half the distance between the 10th and the 90th percentile. {VERIFIED}\n");
    }
    if document.has_candidates() {
        text += "\n## Every algorithm\n\nThe planner's choice in bold.\n";
        text += &table(&columns, document.layers.iter());
    }
    if !document.networks.is_empty() {
        text += "\n## Whole networks\n\nAll ops in one submit.\n";
        text += &figures(&NETWORK_HEADER, 1, document.networks.iter().map(|network| network_cells(network).to_vec()));
        text.extend(network_notes(document).iter().map(|note| format!("\n{}\n", plain(note))));
    }
    if !document.starts.is_empty() {
        text += "\n## Time to the first output\n";
        text += &figures(&START_HEADER, 2, document.starts.iter().map(|start| start_cells(start).to_vec()));
        text += &format!("\n{}\n", plain(START_NOTE));
    }
    if let Some(comparison) = comparison {
        text += &format!("\n## {}\n", plain(&comparison.title()));
        text.extend(comparison.warnings().iter().map(|warning| format!("\n{}\n", plain(warning))));
        text += &figures(&comparison.header().each_ref().map(String::as_str), 3, comparison.rows().into_iter().map(|row| row.to_vec()));
        text.extend(comparison.notes().iter().map(|note| format!("\n{}\n", plain(note))));
    }
    if let Some(why) = &document.ended_early {
        text += &format!("\nThe run ended before its last layer: {}.\n", plain(why));
    }
    if !document.failed.is_empty() {
        text += "\n## Not timed\n\n";
        text.extend(document.failed.iter().map(|why| format!("- {}\n", plain(why))));
    }
    text
}

/// A table of these records, or nothing of none. Where records of several algorithms are among them, the choices are in bold.
fn table<'a>(columns: &[Column], records: impl Iterator<Item = &'a Record>) -> String {
    let records: Vec<&Record> = records.collect();
    if records.is_empty() {
        return String::new();
    }
    let several = records.iter().any(|record| !record.picked);
    let rule = columns.iter().map(|column| if column.is_word() { "---" } else { "---:" }.to_string());
    let mut text = format!("\n{}{}", row(columns.iter().map(|column| column.header().to_string())), row(rule));
    for record in records {
        text += &row(columns.iter().map(|column| match (column.is_word(), column.cell(record)) {
            (true, cell) if several && record.picked && *column == Column::Algorithm => format!("**{}**", code(&cell)),
            (true, cell) => code(&cell),
            (false, cell) => plain(&cell),
        }));
    }
    text
}

/// A table whose first `words` columns are words.
fn figures(header: &[&str], words: usize, rows: impl Iterator<Item = Vec<String>>) -> String {
    let rule = (0..header.len()).map(|i| if i < words { "---" } else { "---:" }.to_string());
    let mut text = format!("\n{}{}", row(header.iter().map(|name| name.to_string())), row(rule));
    text.extend(rows.map(|cells| row(cells.iter().map(|cell| plain(cell)))));
    text
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |\n", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

/// Text in which nothing is taken for Markdown or HTML, on one line.
fn plain(text: &str) -> String {
    let mut escaped = String::new();
    for c in crate::one_line(text).chars() {
        match c {
            '<' => escaped += "&lt;",
            '&' => escaped += "&amp;",
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A code span: its fence is longer than any run of backticks within. A pipe is escaped even there, for tables are cut up first.
fn code(text: &str) -> String {
    let text = crate::one_line(text).replace('|', "\\|");
    if text.is_empty() {
        return "` `".into(); // two backticks alone would open a span
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{document, network, record, start};
    use super::*;

    fn markdown_of(document: &Document) -> String {
        markdown(document, &Column::ALL, None)
    }

    #[test]
    fn names_can_neither_open_a_span_nor_act_on_a_terminal() {
        let old = document(vec![record("a|b", "direct", 1.0, 0.0)]);
        let new = document(vec![record("a|b", "direct", 3.0, 0.0), record("", "x", 1.0, 0.9), record("\u{1b}[31m\0", "x", 1.0, 0.0)]);
        let text = markdown(&new, &[], Some(&Comparison::new(&old, &new, "o_l_d.json", 1.1).unwrap()));
        assert!(text.lines().any(|line| line.starts_with("| ` ` | ")) && !text.contains(['\u{1b}', '\0']), "{text}");
        assert!(text.contains("**1 of 3 timings spread over 25 %"), "{text}");
        assert!(text.contains("## Compared with o\\_l\\_d.json") && text.contains("| SLOWER |") && text.contains("Only in this run: "), "{text}");
    }

    /// The cells of a line of a table, cut at the pipes that are not escaped.
    fn cut(line: &str) -> Vec<String> {
        let inside = line.strip_prefix("| ").and_then(|l| l.strip_suffix(" |")).unwrap_or_else(|| panic!("no row: {line}"));
        inside.replace("\\|", "\u{1}").split(" | ").map(|cell| cell.replace('\u{1}', "|")).collect()
    }

    #[test]
    fn the_tables_have_a_rule_and_rows_of_equal_length() {
        let mut slow = record("a|b", "direct", 30.0, 0.1);
        slow.picked = false;
        let text = markdown_of(&document(vec![record("a|b", "tiled `x`", 20.0, 0.02), slow, record("c", "direct", 1.0, 0.0)]));
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(lines.len(), 2 + 2 + 2 + 3, "{text}");
        assert!(lines.iter().all(|line| cut(line).len() == Column::ALL.len()), "{text}");
        for header in [0, 4] {
            assert_eq!(cut(lines[header]), Column::ALL.map(Column::header));
            assert!(cut(lines[header + 1]).iter().enumerate().all(|(i, cell)| cell == if i < 3 { "---" } else { "---:" }), "{text}");
        }
        assert_eq!(cut(lines[2])[..4], ["`a|b`", "`conv n1c3h9w9`", "`` tiled `x` ``", "20.000 ±2%"], "one row a layer comes first");
        assert_eq!(cut(lines[3])[0], "`c`");
        assert_eq!(cut(lines[6])[2], "**`` tiled `x` ``**");
        assert_eq!(cut(lines[7])[2], "`direct`");
    }

    #[test]
    fn a_run_of_choices_has_one_table() {
        let text = markdown_of(&document(vec![record("a", "direct", 1.0, 0.1)]));
        assert!(!text.contains("Every algorithm") && !text.contains("Not timed") && !text.contains("**"), "{text}");
    }

    #[test]
    fn networks_and_first_outputs_have_tables_of_their_own() {
        let mut one = document(vec![]);
        one.networks = vec![network("a|b", 1, 50.0), network("a|b", 16, 400.0)];
        one.starts = vec![start("a|b", "cold", Some(40.0)), start("a|b", "warm", None)];
        let text = markdown_of(&one);
        let lines: Vec<Vec<String>> = text.lines().filter(|line| line.starts_with('|')).map(cut).collect();
        assert_eq!(lines.len(), 2 + 2 + 2 + 2, "{text}");
        assert!(
            lines[..4].iter().all(|cells| cells.len() == NETWORK_HEADER.len()) && lines[4..].iter().all(|cells| cells.len() == START_HEADER.len())
        );
        assert_eq!(lines[2][..6], ["a|b", "1", "50.000 ±10%", "-", "-", "20.0"]);
        assert_eq!(lines[3][8..], ["57", "69", "102"]);
        assert_eq!(lines[6], ["a|b x 1", "cold", "40.0", "26", "10.0", "20.0", "30.0", "100.0"]);
        assert_eq!(lines[7][1..3], ["again, same device", "-"]);
        assert!(
            text.contains("57 of 57 ops held to the reference (large convolutions in two filters); largest difference to the CPU engine 1.5e-6 of the largest output; passes change it by 2.5e-6; 10.2 MB between ops, 1.02 times what is live at once; 152 MB on the device at most; 0.400 ms of the host's time a run."),
            "{text}"
        );
    }

    #[test]
    fn the_facts_come_first() {
        let mut one = document(vec![record("a", "direct", 1.0, 0.1)]);
        one.command.push("--shapes=*<x>.json".into());
        one.failed.push("huge: this machine has no 7 MiB of memory for it".into());
        let text = markdown_of(&one);
        for line in [
            "- Adapter: Test GPU (discrete)",
            "- Driver: testdrv 1.2",
            "- Backend: vulkan",
            "- Measured peaks: 100 GFLOP/s of f32 multiply-adds, 100 GB/s of copies",
            "- GPU clock: the device's timestamps",
            "- CPU engine: not timed",
            "- Versions: wgconv 0.1.0, wgpu 30.0.1",
            "- Date: 2026-11-21 07:40 UTC",
            "- Command: `wgconv bench '--shapes=*<x>.json'`",
            "- huge: this machine has no 7 MiB of memory for it",
        ] {
            assert!(text.lines().any(|l| l == line), "no line \"{line}\" in\n{text}");
        }
        assert!(text.find("- Command") < text.find("| layer"), "{text}");
        assert_eq!(plain("<b>*a*_b_ [c](d) & e|f`\n\\"), r"&lt;b>\*a\*\_b\_ \[c\](d) &amp; e\|f\` \\");
    }
}
