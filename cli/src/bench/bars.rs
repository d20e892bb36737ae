//! The bar chart of a page: the times of each layer on both engines, on a logarithmic axis.

use super::axis::{LogAxis, escape, shorten, text_width};
use super::document::{Document, Record};
use super::table::{milliseconds, time};

/// Size of text.
const SIZE: f64 = 12.0;
const BAR: f64 = 11.0;
/// From the top of one bar of a layer to the next one's, and between layers.
const PITCH: f64 = 13.0;
const GAP: f64 = 9.0;
/// Above the bars: the legend and the labels of the axis.
const HEAD: f64 = 46.0;
const FOOT: f64 = 24.0;
/// Below this width names stand above their bars, not beside them.
const NARROW: f64 = 600.0;

/// What the axis and the bars are.
const AXIS: &str = "ms on a logarithmic axis, shorter is faster; thin: 10th to 90th percentile";

/// An engine's look and its figures.
struct Series {
    name: &'static str,
    class: &'static str,
    time: fn(&Record) -> (Option<f64>, Option<f64>),
    stretch: fn(&Record) -> Option<[f64; 2]>,
}

/// The chart, `width` wide. `id` keeps the names of its parts apart from another chart's on the same page.
pub fn bars(document: &Document, width: f64, id: &str) -> String {
    let mut series: Vec<Series> = Vec::new();
    if document.has_gpu() {
        series.push(Series { name: "GPU", class: "gpu", time: |record| (record.gpu_ms, record.gpu_spread), stretch: Record::gpu_stretch });
    }
    if document.has_cpu() {
        series.push(Series { name: "CPU", class: "cpu", time: |record| (record.cpu_ms, record.cpu_spread), stretch: Record::cpu_stretch });
    }
    let picks: Vec<&Record> = document.picks().collect();
    let values = || picks.iter().flat_map(|record| series.iter().filter_map(|one| (one.time)(record).0));
    let names: Vec<String> = picks.iter().enumerate().map(|(i, record)| format!("{} {}", i + 1, record.layer)).collect();

    let above = if width < NARROW { SIZE + 5.0 } else { 0.0 };
    let widest = names.iter().map(|name| text_width(name, SIZE)).fold(0.0, f64::max);
    let left = if above > 0.0 { 4.0 } else { widest.min(0.3 * width) + 10.0 };
    let label = values().map(|ms| text_width(&format!("{} ms", milliseconds(ms)), SIZE)).fold(0.0, f64::max);
    // The axis has room for every spread.
    let ends = picks.iter().flat_map(|record| series.iter().filter_map(|one| (one.stretch)(record))).flatten();
    let axis = LogAxis::over(values().chain(ends), left, width - label - 8.0);
    let group = above + PITCH * series.len() as f64 + GAP;
    let bottom = HEAD + group * picks.len() as f64;

    let who = series.iter().map(|one| one.name).collect::<Vec<_>>().join(" and ");
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {width} {}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n\
         <title id=\"{id}-title\">{who} time of each layer</title>\n\
         <desc id=\"{id}-desc\">Horizontal bars on a logarithmic axis of milliseconds, shorter is faster; the table below has the same figures.</desc>\n",
        bottom + FOOT
    );
    let mut x = left;
    for one in &series {
        svg += &format!("<rect class=\"{}\" x=\"{x:.1}\" y=\"4\" width=\"12\" height=\"12\"/>", one.class);
        svg += &format!("<text x=\"{:.1}\" y=\"14\">{}</text>\n", x + 17.0, one.name);
        x += 60.0;
    }
    svg += &format!("<text class=\"quiet\" x=\"{x:.1}\" y=\"14\">{}</text>\n", if above > 0.0 { "ms, logarithmic; thin: spread" } else { AXIS });
    for (value, label) in axis.ticks(44.0) {
        let x = axis.at(value);
        let class = if label.is_some() { "grid" } else { "grid minor" };
        svg += &format!("<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{:.1}\"/>\n", HEAD - 6.0, bottom);
        if let Some(label) = label {
            for y in [HEAD - 11.0, bottom + 15.0] {
                // Half of the text of the first one would be outside the drawing.
                let x = x.max(text_width(&label, SIZE) / 2.0 + 1.0);
                svg += &format!("<text class=\"quiet\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{label}</text>\n");
            }
        }
    }
    for (i, (record, name)) in picks.iter().zip(&names).enumerate() {
        let top = HEAD + group * i as f64;
        let figures: Vec<String> = series
            .iter()
            .map(|one| {
                let (ms, spread) = (one.time)(record);
                format!("{} {} ms", one.name, time(ms, spread))
            })
            .collect();
        svg += &format!("<g><title>{}: {}</title>\n", escape(&record.layer), figures.join(", "));
        let (x, y, room, anchor) = if above > 0.0 {
            (left, top + SIZE - 1.0, width - left, "start")
        } else {
            (left - 8.0, top + PITCH * series.len() as f64 / 2.0 + 0.33 * SIZE, left - 8.0, "end")
        };
        svg += &format!("<text text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>\n", escape(&shorten(name, room, SIZE)));
        for (j, one) in series.iter().enumerate() {
            let y = top + above + PITCH * j as f64;
            let Some(ms) = (one.time)(record).0 else {
                svg += &format!("<text class=\"value quiet\" x=\"{:.1}\" y=\"{:.1}\">not timed</text>\n", left + 5.0, y + BAR - 1.5);
                continue;
            };
            let end = axis.at(ms);
            svg += &format!("<rect class=\"{}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\"/>", one.class, end - left);
            let reach = whisker(&mut svg, &axis, (one.stretch)(record), y).max(end);
            svg += &format!("<text class=\"value\" x=\"{:.1}\" y=\"{:.1}\">{} ms</text>\n", reach + 5.0, y + BAR - 1.5, milliseconds(ms));
        }
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

/// Draws the stretch of a time as a thin line with ends through its bar, and gives its right end. One without length has none.
fn whisker(svg: &mut String, axis: &LogAxis, stretch: Option<[f64; 2]>, y: f64) -> f64 {
    let Some([low, high]) = stretch.filter(|[low, high]| low < high) else { return 0.0 };
    let (low, high) = (axis.at(low), axis.at(high));
    let (middle, top, bottom) = (y + BAR / 2.0, y + 2.0, y + BAR - 2.0);
    *svg += &format!("<path class=\"spread\" d=\"M{low:.1} {middle:.1}H{high:.1}M{low:.1} {top:.1}V{bottom:.1}M{high:.1} {top:.1}V{bottom:.1}\"/>");
    high
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{document, record};
    use super::*;
    use roxmltree::{Document as Xml, Node};

    fn number(node: Node<'_, '_>, name: &str) -> f64 {
        node.attribute(name).unwrap().parse().unwrap()
    }

    fn both() -> Document {
        let mut layers =
            vec![record("fast <&> \"odd\"", "direct", 0.004, 0.1), record("slow", "direct", 118.2, 0.1), record("alone", "direct", 1.0, 0.1)];
        (layers[0].cpu_ms, layers[1].cpu_ms) = (Some(0.4), Some(11.82));
        document(layers)
    }

    #[test]
    fn every_layer_has_its_bars_within_the_chart() {
        for width in [1000.0, 360.0] {
            let svg = bars(&both(), width, "x");
            let xml = Xml::parse(&svg).unwrap();
            let groups: Vec<Node> = xml.descendants().filter(|node| node.has_tag_name("g")).collect();
            assert_eq!(groups.len(), 3);
            let length = |group: usize, class: &str| {
                let bar = groups[group].children().find(|node| node.attribute("class") == Some(class));
                bar.map(|bar| number(bar, "width"))
            };
            assert!(
                groups[0].text().is_none()
                    && groups[0].descendants().any(|node| node.text() == Some("fast <&> \"odd\": GPU 0.00400 ±10% ms, CPU 0.400 ms"))
            );
            assert!(length(0, "gpu") < length(0, "cpu") && length(1, "gpu") > length(1, "cpu"), "{svg}");
            assert!(
                (length(1, "gpu").unwrap() - length(1, "cpu").unwrap() - (length(0, "cpu").unwrap() - length(0, "gpu").unwrap()) / 2.0).abs() < 0.2,
                "a decade is half of two"
            );
            assert!(length(0, "gpu").unwrap() > 5.0, "the shortest is still seen");
            assert_eq!(length(2, "cpu"), None);
            for text in xml.descendants().filter(|node| node.has_tag_name("text")) {
                let end = number(text, "x")
                    + text_width(text.text().unwrap(), SIZE)
                        * [("middle", 0.5), ("end", 0.0)]
                            .iter()
                            .find(|(anchor, _)| text.attribute("text-anchor") == Some(anchor))
                            .map_or(1.0, |(_, share)| *share);
                assert!(end <= width + 1.0, "{:?} ends at {end} of {width}", text.text());
            }
        }
    }

    #[test]
    fn spreads_are_drawn_within_the_chart() {
        let mut wide = both();
        (wide.layers[0].gpu_spread, wide.layers[1].gpu_spread, wide.layers[2].gpu_spread) = (Some(40.0), Some(0.5), None);
        for width in [1000.0, 360.0] {
            let svg = bars(&wide, width, "x");
            let xml = Xml::parse(&svg).unwrap();
            assert!(svg.contains("logarithmic") && !svg.contains("NaN"), "{svg}");
            let lines: Vec<[f64; 2]> = xml
                .descendants()
                .filter(|node| node.attribute("class") == Some("spread"))
                .map(|node| {
                    let path = node.attribute("d").unwrap();
                    let part = |from: char, to: char| path.split_once(from).unwrap().1.split_once(to).unwrap().0.parse::<f64>().unwrap();
                    [part('M', ' '), part('H', 'M')]
                })
                .collect();
            assert_eq!(lines.len(), 2, "the CPU's and one of the GPU's are not known");
            assert!(lines.iter().all(|[low, high]| *low >= 0.0 && low < high && *high <= width), "{lines:?}");
        }
    }

    #[test]
    fn an_engine_that_was_not_timed_has_no_bars() {
        let svg = bars(&document(vec![record("a", "direct", 1.0, 0.1)]), 1000.0, "x");
        assert!(svg.contains("GPU time of each layer") && !svg.contains("CPU"), "{svg}");
    }
}
