//! Tables of what became of kernels, as JSON, and their comparison: what the planner chooses may not spill, use scratch or lose multiply-adds beyond what
//! the table has.

use crate::numbers::Numbers;
use serde::{Deserialize, Serialize};

/// A report: a table for each chip.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The library's version.
    pub version: String,
    /// The tables.
    pub chips: Vec<Table>,
}

/// What became of kernels on a chip.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The chip's code name.
    pub chip: String,
    /// What compiled.
    pub driver: String,
    /// Why nothing compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_measured: Option<String>,
    /// The kernels, in the order of the layers.
    pub kernels: Vec<Row>,
}

/// What became of a kernel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its label.
    pub kernel: String,
    /// The layers whose plans have it.
    pub layers: Vec<String>,
    /// Whether the planner chooses it; else it is a candidate of the tuner's.
    pub chosen: bool,
    /// Its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
    /// Why it was not compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_compiled: Option<String>,
}

/// The share of multiply-adds among the vector instructions of an innermost loop that a kernel may lose: compilers place an address here or there.
pub const LOSS: f64 = 0.02;

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Kernels compared with the one that the table has in their place.
    pub compared: usize,
    /// What is worse than the table: one sentence each.
    pub worse: Vec<String>,
    /// What is better: the table can be written anew.
    pub better: Vec<String>,
}

fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|e| e.to_string())
}

impl Document {
    /// The document of a file.
    ///
    /// # Errors
    /// What serde says.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    /// As JSON with a line for each kernel: changes of a kernel are changes of its line.
    ///
    /// # Errors
    /// What serde says.
    pub fn text(&self) -> Result<String, String> {
        let mut text = format!("{{\"version\": {}, \"chips\": [", json(&self.version)?);
        for (number, table) in self.chips.iter().enumerate() {
            text.push_str(if number == 0 { "\n" } else { ",\n" });
            text.push_str(&format!("{{\"chip\": {}, \"driver\": {}, ", json(&table.chip)?, json(&table.driver)?));
            if let Some(why) = &table.not_measured {
                text.push_str(&format!("\"not_measured\": {}, ", json(why)?));
            }
            let rows = table.kernels.iter().map(json).collect::<Result<Vec<_>, _>>()?;
            let rows = if rows.is_empty() { String::new() } else { format!("\n{}\n", rows.join(",\n")) };
            text.push_str(&format!("\"kernels\": [{rows}]}}"));
        }
        text.push_str("\n]}\n");
        Ok(text)
    }
}

/// The source of a kernel: its label without the numbers.
fn source(label: &str) -> &str {
    label.split('[').next().unwrap_or_default()
}

impl Table {
    /// The row in whose place `row` stands: the kernel of the same label, or one of the same source that computes one of its layers.
    fn counterpart(&self, row: &Row) -> Option<&Row> {
        let shares_layer = |own: &&Row| source(&own.kernel) == source(&row.kernel) && own.layers.iter().any(|layer| row.layers.contains(layer));
        self.kernels.iter().find(|own| own.kernel == row.kernel).or_else(|| self.kernels.iter().filter(|own| own.chosen).find(shares_layer))
    }

    /// Compares the kernels that the planner chooses now with those of this table. What the table does not have may neither spill nor use scratch.
    /// Shares of multiply-adds are compared where both are of one driver: another version places other instructions in a loop.
    pub fn compare(&self, now: &Table) -> Verdict {
        let mut verdict = Verdict::default();
        if let Some(why) = &now.not_measured {
            verdict.worse.push(format!("{} was not measured: {why}", now.chip));
            return verdict;
        }
        for row in now.kernels.iter().filter(|row| row.chosen) {
            let before = self.counterpart(row);
            verdict.compared += usize::from(before.is_some());
            verdict.row(before, row, self.driver == now.driver);
        }
        if verdict.compared == 0 {
            verdict.worse.push(format!("{}: no kernel of the table is planned: is it a table of other layers?", now.chip));
        }
        verdict
    }
}

impl Verdict {
    fn row(&mut self, before: Option<&Row>, row: &Row, same_driver: bool) {
        let of = format!("{} ({})", row.kernel, row.layers.join(", "));
        let Some(numbers) = &row.numbers else {
            if before.is_none_or(|before| before.numbers.is_some()) {
                self.worse.push(format!("{of} is not compiled: {}", row.not_compiled.as_deref().unwrap_or_default()));
            }
            return;
        };
        let old = before.and_then(|before| before.numbers.as_ref());
        let mut count = |what: &str, number: fn(&Numbers) -> Option<u64>| {
            let (was, is) = (old.and_then(number).unwrap_or(0), number(numbers).unwrap_or(0));
            match is.cmp(&was) {
                std::cmp::Ordering::Greater => self.worse.push(format!("{of}: {is} {what}, {was} in the table")),
                std::cmp::Ordering::Less => self.better.push(format!("{of}: {is} {what}, {was} in the table")),
                std::cmp::Ordering::Equal => {}
            }
        };
        count("spills", |numbers| numbers.spills);
        count("bytes of scratch", |numbers| numbers.scratch);
        // A loop that is gone has no multiply-adds.
        let Some(was) = old.and_then(Numbers::share).filter(|_| same_driver) else { return };
        let is = numbers.share().unwrap_or(0.0);
        let line =
            format!("{of}: {:.1} % of the innermost loop's vector instructions are multiply-adds, {:.1} % in the table", 100.0 * is, 100.0 * was);
        if is + LOSS < was {
            self.worse.push(line);
        } else if was + LOSS < is {
            self.better.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine_code::Loop;

    fn row(kernel: &str, layer: &str, spills: u64, fma: u64) -> Row {
        let innermost = Some(Loop { vector: 100, fma, ..Loop::default() });
        let numbers = Numbers { spills: Some(spills), scratch: Some(0), innermost, ..Numbers::default() };
        Row { kernel: kernel.into(), layers: vec![layer.into()], chosen: true, numbers: Some(numbers), not_compiled: None }
    }

    fn table(kernels: &[Row]) -> Table {
        Table { chip: "navi31".into(), driver: "radv".into(), not_measured: None, kernels: kernels.to_vec() }
    }

    fn worse(before: &Table, now: &[Row]) -> String {
        before.compare(&table(now)).worse.join("\n")
    }

    #[test]
    fn what_is_no_worse_than_the_table_passes() {
        let before = table(&[row("a[f32,N=1]", "one", 3, 90), row("b[f32]", "two", 0, 0)]);
        assert_eq!(before.compare(&before), Verdict { compared: 2, ..Verdict::default() });
        let better = before.compare(&table(&[row("a[f32,N=1]", "one", 0, 95)]));
        assert_eq!((better.compared, better.worse.len(), better.better.len()), (1, 0, 2));
        assert_eq!(worse(&before, &[row("a[f32,N=1]", "one", 3, 88)]), "", "a loss of two in a hundred is allowed");
    }

    #[test]
    fn spills_scratch_and_lost_multiply_adds_fail() {
        let before = table(&[row("a[f32,N=1]", "one", 3, 90)]);
        assert_eq!(worse(&before, &[row("a[f32,N=1]", "one", 4, 90)]), "a[f32,N=1] (one): 4 spills, 3 in the table");
        let lost = worse(&before, &[row("a[f32,N=1]", "one", 3, 87)]);
        assert!(lost.ends_with("87.0 % of the innermost loop's vector instructions are multiply-adds, 90.0 % in the table"), "{lost}");
        let other = Table { driver: "radv of another version".into(), ..table(&[row("a[f32,N=1]", "one", 4, 50)]) };
        assert_eq!(before.compare(&other).worse, ["a[f32,N=1] (one): 4 spills, 3 in the table"], "spills alone are compared between drivers");
        let mut scratch = row("a[f32,N=1]", "one", 3, 90);
        scratch.numbers.as_mut().unwrap().scratch = Some(16);
        assert!(worse(&before, &[scratch]).ends_with("16 bytes of scratch, 0 in the table"));
        let mut gone = row("a[f32,N=1]", "one", 3, 90);
        gone.numbers.as_mut().unwrap().innermost = None;
        assert!(worse(&before, &[gone]).contains("0.0 % of"), "a loop that is gone");
        let refused = Row { numbers: None, not_compiled: Some("no".into()), ..row("a[f32,N=1]", "one", 0, 0) };
        assert_eq!(worse(&before, &[refused]), "a[f32,N=1] (one) is not compiled: no");
    }

    /// Another tile in the same place is held to what the table has there; what is new there may not spill at all.
    #[test]
    fn a_kernel_that_takes_the_place_of_another_is_held_to_it() {
        let before = table(&[row("a[f32,N=1]", "one", 3, 90), row("b[f32]", "two", 0, 50)]);
        assert!(worse(&before, &[row("a[f32,N=2]", "one", 3, 60)]).contains("60.0 %"));
        assert_eq!(worse(&before, &[row("a[f32,N=2]", "one", 3, 90)]), "");
        assert_eq!(worse(&before, &[row("b[f32]", "two", 0, 50), row("c[f32]", "one", 1, 10)]), "c[f32] (one): 1 spills, 0 in the table");
        let candidate = Row { chosen: false, ..row("b[f32]", "two", 9, 0) };
        assert_eq!(worse(&before, &[row("b[f32]", "two", 0, 50), candidate]), "", "candidates of the tuner may spill");
    }

    #[test]
    fn a_comparison_of_nothing_fails() {
        let before = table(&[row("a[f32]", "one", 0, 90)]);
        assert!(worse(&before, &[]).contains("no kernel of the table"));
        assert!(worse(&before, &[row("b[f32]", "two", 0, 90)]).contains("no kernel of the table"));
        let now = Table { not_measured: Some("no driver".into()), ..table(&[]) };
        assert_eq!(before.compare(&now).worse, ["navi31 was not measured: no driver"]);
    }

    #[test]
    fn a_document_comes_back_as_it_was() {
        let gone = Table { not_measured: Some("\"why\"".into()), ..table(&[]) };
        let document = Document { version: "0.1.0".into(), chips: vec![table(&[row("a[f32]", "one", 3, 90), row("b[f32]", "two", 0, 0)]), gone] };
        let text = document.text().unwrap();
        assert_eq!(Document::read(&text).unwrap(), document);
        assert_eq!(text.lines().filter(|line| line.starts_with("{\"kernel\"")).count(), 2, "{text}");
        assert!(Document::read(&text.replace("\"spills\"", "\"spilled\"")).is_err(), "a name that nobody knows");
        assert!(Document::read("{}").is_err());
    }
}
