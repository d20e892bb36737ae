//! A document as one HTML page that needs nothing else: no script, no font, no picture from elsewhere, and no network.
//!
//! It is well-formed XML, so that tests can read it as a browser would. Charts come in two widths, of which a style shows one.

use super::axis::escape;
use super::bars::bars;
use super::compare::Comparison;
use super::document::{Document, Record};
use super::roofline::roofline;
use super::table::{
    Column, NETWORK_HEADER, START_HEADER, START_NOTE, VERIFIED, figure, network_cells, network_notes, number, share, start_cells, time,
    training_notes,
};

/// What the page may fetch: nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
const STYLE: &str = include_str!("page.css");
/// Widths and heights of a roofline; bar charts are as high as they need be.
const SIZES: [(&str, f64, f64); 2] = [("wide", 1000.0, 520.0), ("narrow", 360.0, 380.0)];

/// The whole file; `asked` are the columns that are wanted, or all that say something.
pub fn page(document: &Document, asked: &[Column], comparison: Option<&Comparison<'_>>) -> String {
    let machine = document.adapter.as_ref().map_or("the CPU engine alone", |adapter| adapter.name.as_str());
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>wgconv bench: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>wgconv bench</h1>\n<p class=\"lead\">{}</p>\n</header>\n",
        escape(machine),
        escape(&summary(document))
    );
    html += "<dl>\n";
    for (name, value) in document.facts() {
        let value = if name == "Command" { format!("<code>{}</code>", escape(&value)) } else { escape(&value) };
        html += &format!("<dt>{name}</dt><dd>{value}</dd>\n");
    }
    html += "</dl>\n<main>\n";
    html.extend(document.noise().map(|noise| format!("<p class=\"noise\">{}</p>\n", escape(&noise))));
    html.extend(document.ended_early.as_ref().map(|why| format!("<p class=\"noise\">The run ended before its last layer: {}.</p>\n", escape(why))));
    html += &comparison.map_or(String::new(), comparison_section);
    html += &network_section(document);
    html.extend(training_notes(document).iter().map(|note| format!("<p class=\"note\">{}</p>\n", escape(note))));
    if !document.layers.is_empty() {
        html += "<section>\n<h2>Time of each layer</h2>\n<figure>\n";
        for (class, width, _) in SIZES {
            html += &format!("<div class=\"{class}\">{}</div>\n", bars(document, width, &format!("bars-{class}")));
        }
        html += "</figure>\n</section>\n";
        html += &roof_section(document);
        html += &layer_section(document, &Column::of(document, asked));
        html += &algorithm_section(document);
    }
    if !document.failed.is_empty() {
        html += "<section>\n<h2>Not timed</h2>\n<ul>\n";
        html.extend(document.failed.iter().map(|why| format!("<li>{}</li>\n", escape(why))));
        html += "</ul>\n</section>\n";
    }
    html + &format!("</main>\n<footer>Written by wgconv {}.</footer>\n</body>\n</html>\n", escape(&document.version))
}

/// The run in a sentence: who is faster, and by how much in the mean.
fn summary(document: &Document) -> String {
    let (layers, networks) = (document.picks().count(), document.networks.len());
    let what = match (layers, networks) {
        (_, 0) => format!("{layers} layers"),
        (0, _) => format!("{networks} runs of a whole network"),
        _ => format!("{layers} layers and {networks} runs of the whole network"),
    };
    let ratios: Vec<f64> = document.picks().filter_map(|record| record.cpu_over_gpu).filter(|ratio| ratio.is_normal() && *ratio > 0.0).collect();
    if ratios.is_empty() {
        let who = if document.has_gpu() { "the GPU" } else { "the CPU engine" };
        return format!("{what} on {who}.");
    }
    let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
    let faster = ratios.iter().filter(|ratio| **ratio > 1.0).count();
    format!(
        "The GPU is faster than the CPU engine in {faster} of {} layers; CPU time over GPU time is {} in the geometric mean.",
        ratios.len(),
        figure(mean)
    )
}

fn roof_section(document: &Document) -> String {
    let drawings: Vec<_> =
        SIZES.into_iter().filter_map(|(class, width, height)| Some((class, roofline(document, width, height, &format!("roof-{class}"))?))).collect();
    if drawings.is_empty() {
        return String::new();
    }
    let mut html = String::from("<section>\n<h2>Roofline</h2>\n<figure>\n");
    for (class, drawing) in &drawings {
        html += &format!("<div class=\"{class}\">{}", drawing.svg);
        if !drawing.unnumbered.is_empty() {
            let numbers: Vec<String> = drawing.unnumbered.iter().map(usize::to_string).collect();
            html += &format!("<p class=\"note\">No room for the numbers of these dots: {}.</p>", numbers.join(", "));
        }
        html += "</div>\n";
    }
    html += "</figure>\n<p class=\"note\">Numbers are those of the layers above and in the table. The roof is what this run measured on the device: \
             a copy of arrays that no cache holds, and multiply-adds in registers.";
    if drawings.iter().any(|(_, drawing)| drawing.above) {
        html += " A dot above the slope is a layer whose arrays stay in a cache.";
    }
    html += "</p>\n";
    if let Some((_, drawing)) = drawings.first().filter(|(_, drawing)| !drawing.left_out.is_empty()) {
        let names = drawing.left_out.join(", ");
        html += &format!("<p class=\"note\">Not drawn, for want of floating-point operations or of a GPU time: {}.</p>\n", escape(&names));
    }
    html + "</section>\n"
}

/// What a column of a table holds.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// The first of them heads its row.
    Word,
    /// A word that may be broken anywhere.
    Shape,
    Figure,
}

/// `words` words and figures behind them.
fn kinds(words: usize, all: usize) -> Vec<Kind> {
    (0..all).map(|i| if i < words { Kind::Word } else { Kind::Figure }).collect()
}

/// A row of a table; `head` cells are headings.
fn row(class: &str, head: bool, cells: &[String], kinds: &[Kind]) -> String {
    let mut html = if class.is_empty() { String::from("<tr>") } else { format!("<tr class=\"{class}\">") };
    let heads_row = kinds.iter().position(|kind| *kind == Kind::Word);
    for (i, (cell, kind)) in cells.iter().zip(kinds).enumerate() {
        let (tag, scope) = if head {
            ("th", " scope=\"col\"")
        } else if Some(i) == heads_row {
            ("th", " scope=\"row\"")
        } else {
            ("td", "")
        };
        let class = match kind {
            Kind::Shape => " class=\"word shape\"",
            Kind::Word if Some(i) == heads_row => " class=\"word name\"",
            Kind::Word => " class=\"word\"",
            Kind::Figure => "",
        };
        let text = if !head && *kind == Kind::Shape { format!("<code>{}</code>", escape(cell)) } else { escape(cell) };
        html += &format!("<{tag}{class}{scope}>{text}</{tag}>");
    }
    html + "</tr>\n"
}

/// A table that scrolls within itself where the page is narrower, and shows it by shadows and a line of text.
fn table(label: &str, header: &[String], kinds: &[Kind], rows: &str) -> String {
    format!(
        "<p class=\"hint\">The table scrolls sideways.</p>\n<div class=\"scroll\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\">\n<table>\n<thead>{}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n",
        row("", true, header, kinds)
    )
}

fn layer_section(document: &Document, columns: &[Column]) -> String {
    let kind = |column: &Column| match column {
        Column::Shape => Kind::Shape,
        column if column.is_word() => Kind::Word,
        _ => Kind::Figure,
    };
    let kinds: Vec<Kind> = std::iter::once(Kind::Figure).chain(columns.iter().map(kind)).collect();
    let header: Vec<String> = std::iter::once("#").chain(columns.iter().map(|column| column.header())).map(String::from).collect();
    let rows: String = document
        .picks()
        .enumerate()
        .map(|(i, record)| {
            let cells: Vec<String> = std::iter::once((i + 1).to_string()).chain(columns.iter().map(|column| column.cell(record))).collect();
            row("", false, &cells, &kinds)
        })
        .collect();
    format!(
        "<section>\n<h2>Layers</h2>\n<p class=\"note\">Medians; ± is half the distance between the 10th and the 90th percentile. {} \
         “Of peak” and “of copy” are shares of the measured multiply-adds and copies.</p>\n{}</section>\n",
        if document.has_gpu() { VERIFIED } else { "" },
        table("Layers", &header, &kinds, &rows)
    )
}

/// How the layers compare with an earlier run.
fn comparison_section(comparison: &Comparison<'_>) -> String {
    let mut kinds = kinds(3, 7);
    kinds[1] = Kind::Shape;
    let rows: String = comparison
        .rows()
        .iter()
        .map(|cells| {
            let class = match cells[6].as_str() {
                "SLOWER" => "slower",
                "faster" => "faster",
                _ => "",
            };
            row(class, false, cells, &kinds)
        })
        .collect();
    let notes = |lines: Vec<String>| -> String { lines.iter().map(|line| format!("<p class=\"note\">{}</p>\n", escape(line))).collect() };
    format!(
        "<section>\n<h2>{}</h2>\n{}{}{}</section>\n",
        escape(&comparison.title()),
        notes(comparison.warnings()),
        table("Comparison", &comparison.header(), &kinds, &rows),
        notes(comparison.notes())
    )
}

/// Whole networks and their first outputs, where there are any.
fn network_section(document: &Document) -> String {
    let mut html = String::new();
    if !document.networks.is_empty() {
        let rows: String = document.networks.iter().map(|network| row("", false, &network_cells(network), &kinds(1, NETWORK_HEADER.len()))).collect();
        let header = NETWORK_HEADER.map(String::from);
        let note = "All ops in one submit. Medians; ± is half the distance between the 10th and the 90th percentile.";
        html += &format!(
            "<h2>Whole networks</h2>\n<p class=\"note\">{note}</p>\n{}",
            table("Whole networks", &header, &kinds(1, NETWORK_HEADER.len()), &rows)
        );
        html.extend(network_notes(document).iter().map(|note| format!("<p class=\"note\">{}</p>\n", escape(note))));
    }
    if !document.starts.is_empty() {
        let rows: String = document.starts.iter().map(|start| row("", false, &start_cells(start), &kinds(2, START_HEADER.len()))).collect();
        html += &format!(
            "<h2>Time to the first output</h2>\n{}",
            table("Time to the first output", &START_HEADER.map(String::from), &kinds(2, START_HEADER.len()), &rows)
        );
        html += &format!("<p class=\"note\">{}</p>\n", escape(START_NOTE));
    }
    if html.is_empty() { html } else { format!("<section>\n{html}</section>\n") }
}

/// Every algorithm that was timed, where there are more than the choices.
fn algorithm_section(document: &Document) -> String {
    if !document.has_candidates() {
        return String::new();
    }
    let header = ["layer", "algorithm", "chosen", "GPU ms", "of chosen", "GFLOP/s", "of peak", "GB/s", "of copy"].map(String::from);
    let mut rows = String::new();
    let mut before: Option<&Record> = None;
    let mut chosen = None;
    for record in &document.layers {
        // The records of a layer come together, the choice first.
        let first = before.is_none_or(|before| record.picked || (&before.layer, &before.shape) != (&record.layer, &record.shape));
        if first {
            chosen = record.gpu_ms.filter(|_| record.picked);
        }
        let relative = record.gpu_ms.zip(chosen).map(|(ms, chosen)| ms / chosen);
        let cells = [
            record.layer.clone(),
            record.algorithm.clone().unwrap_or("cpu".into()),
            if record.picked { "✓ chosen".into() } else { String::new() },
            time(record.gpu_ms, record.gpu_spread),
            number(relative),
            number(record.gflops),
            share(record.share_of_peak),
            number(record.gbytes_per_s),
            share(record.share_of_copy),
        ];
        let class = [if first { "first" } else { "" }, if record.picked { "picked" } else { "" }].join(" ");
        rows += &row(class.trim(), false, &cells, &kinds(3, header.len()));
        before = Some(record);
    }
    let note = "Every algorithm that admits a layer; “of chosen” is its time over that of the planner's choice, so that below 1 the choice was not the best.";
    format!(
        "<section>\n<h2>Every algorithm</h2>\n<p class=\"note\">{note}</p>\n{}</section>\n",
        table("Every algorithm", &header, &kinds(3, header.len()), &rows)
    )
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{document, network, record, start};
    use super::*;
    use roxmltree::{Document as Xml, Node, ParsingOptions};

    const HOSTILE: &str = "<script>alert('&\"')</script>";

    fn parse(html: &str) -> Xml<'_> {
        Xml::parse_with_options(html, ParsingOptions { allow_dtd: true, ..Default::default() }).unwrap()
    }

    fn text(node: Node<'_, '_>) -> String {
        node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect()
    }

    fn page_of(document: &Document) -> String {
        page(document, &[], None)
    }

    /// A run with everything: two engines, two algorithms, a layer without operations, a failure, names that are markup.
    fn full() -> Document {
        let mut other = record(HOSTILE, HOSTILE, 1.0, 0.1);
        other.picked = false;
        let mut moves = record("moves", "rows", 0.5, 0.1);
        moves.flops = 0.0;
        let mut document = document(vec![record(HOSTILE, "direct", 2.0, 0.1), other, moves, record("third", "tiled", 30.0, f64::NAN)]);
        for record in &mut document.layers {
            (record.cpu_ms, record.cpu_over_gpu) = (Some(4.0), record.gpu_ms.map(|ms| 4.0 / ms));
        }
        document.networks.push(network(HOSTILE, 16, 5.0));
        document.starts.push(start(HOSTILE, "cold", Some(1.0)));
        document.failed.push(format!("{HOSTILE}: too large"));
        document.command.push(HOSTILE.into());
        if let Some(adapter) = &mut document.adapter {
            (adapter.name, adapter.driver_info) = (HOSTILE.into(), HOSTILE.into());
        }
        document
    }

    #[test]
    fn every_part_is_there_and_every_layer_in_each() {
        let html = page_of(&full());
        let xml = parse(&html);
        let titles: Vec<String> = xml.descendants().filter(|node| node.has_tag_name("h2")).map(text).collect();
        assert_eq!(
            titles,
            ["Whole networks", "Time to the first output", "Time of each layer", "Roofline", "Layers", "Every algorithm", "Not timed"]
        );
        for name in [HOSTILE, "moves", "third"] {
            let within = |tag: &str| xml.descendants().filter(|node| node.has_tag_name(tag)).filter(|node| text(*node).contains(name)).count();
            assert!(within("svg") >= 2 && within("table") == if name == HOSTILE { 4 } else { 2 }, "{name}");
        }
        let roofs = xml.descendants().filter(|node| node.has_tag_name("svg") && text(*node).contains("Roofline")).collect::<Vec<_>>();
        assert!(roofs.len() == 2 && roofs.iter().all(|svg| svg.descendants().filter(|node| node.has_tag_name("circle")).count() == 2));
        assert!(html.contains("Not drawn, for want of floating-point operations or of a GPU time: 2 moves."));
        assert!(text(xml.root()).contains("The GPU is faster than the CPU engine in 2 of 3 layers"));
        for svg in xml.descendants().filter(|node| node.has_tag_name("svg")) {
            let names: Vec<&str> = svg.attribute("aria-labelledby").unwrap().split(' ').collect();
            assert!(names.len() == 2 && names.iter().all(|id| xml.descendants().filter(|node| node.attribute("id") == Some(id)).count() == 1));
        }
    }

    #[test]
    fn the_chosen_algorithm_is_marked_and_the_others_are_measured_by_it() {
        let html = page_of(&full());
        let xml = parse(&html);
        let table = xml.descendants().rfind(|node| node.has_tag_name("table")).unwrap();
        let rows: Vec<Vec<String>> = table
            .descendants()
            .filter(|node| node.has_tag_name("tr"))
            .map(|row| row.children().filter(Node::is_element).map(text).collect())
            .collect();
        let columns: Vec<[&str; 3]> = rows.iter().map(|row| [row[1].as_str(), row[2].as_str(), row[4].as_str()]).collect();
        assert_eq!(
            columns,
            [
                ["algorithm", "chosen", "of chosen"],
                ["direct", "✓ chosen", "1.00"],
                [HOSTILE, "", "0.500"],
                ["rows", "✓ chosen", "1.00"],
                ["tiled", "✓ chosen", "1.00"]
            ]
        );
    }

    #[test]
    fn nothing_is_fetched_or_run_whatever_the_names_are() {
        let html = page_of(&full());
        for part in ["://", "url(", "@import", " src=", " href=", "<script", "<link", "<img", "<iframe", "<object"] {
            assert!(!html.contains(part), "{part}");
        }
        let xml = parse(&html);
        let known = [
            "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "dl", "dt", "dd", "code", "main", "section", "figure", "div",
        ];
        let known = [
            &known[..],
            &[
                "svg", "desc", "rect", "text", "line", "g", "circle", "polygon", "polyline", "path", "table", "thead", "tbody", "tr", "th", "td",
                "ul", "li", "footer",
            ],
        ]
        .concat();
        for node in xml.descendants().filter(Node::is_element) {
            assert!(known.contains(&node.tag_name().name()), "{:?}", node.tag_name());
            assert!(node.attributes().all(|attribute| !attribute.name().starts_with("on")));
        }
        let facts: Vec<String> = xml.descendants().filter(|node| node.has_tag_name("dd")).map(text).collect();
        assert!(facts.contains(&format!("{HOSTILE} (discrete)")) && facts.contains(&format!("testdrv {HOSTILE}")), "{facts:?}");
        assert!(!html.contains("NaN") && !html.contains("inf "), "figures that are none are left out");
    }

    #[test]
    fn runs_with_less_still_give_a_page() {
        let empty = page_of(&document(vec![]));
        assert!(!empty.contains("<svg") && text(parse(&empty).root()).contains("Test GPU"));
        let mut whole = document(vec![]);
        whole.networks.push(network("lenet5", 1, 5.0));
        let html = page_of(&whole);
        assert!(!html.contains("<svg") && html.contains("1 runs of a whole network on the GPU.") && html.contains("Whole networks"), "{html}");
        let mut cpu = document(vec![record("a", "direct", 1.0, 0.1)]);
        (cpu.adapter, cpu.peak, cpu.clock) = (None, None, None);
        (cpu.layers[0].gpu_ms, cpu.layers[0].cpu_ms, cpu.layers[0].algorithm) = (None, Some(3.0), None);
        let html = page_of(&cpu);
        assert!(
            !text(parse(&html).root()).contains("Roofline")
                && html.contains("1 layers on the CPU engine")
                && html.contains("none: the CPU engine alone")
        );
        let mut instant = document(vec![record("a", "direct", 0.0, f64::NAN)]);
        (instant.layers[0].gflops, instant.layers[0].share_of_peak) = (Some(f64::INFINITY), Some(f64::INFINITY));
        parse(&page_of(&instant));
    }
}
