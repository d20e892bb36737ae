//! The roofline of a page: each layer's rate over its arithmetic intensity, under what the device can do at most.

use super::axis::{LogAxis, escape, text_width};
use super::document::{Document, Record};
use super::table::{figure, milliseconds, share};
use wgconv::gpu::Peak;

const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 46.0;
/// Radius of a layer's dot.
const DOT: f64 = 4.5;
/// Height of a layer's number, and width of one digit.
const NUMBER: f64 = 12.0;
const DIGIT: f64 = 7.0;

/// A drawing, and what it could not show.
pub struct Roofline {
    pub svg: String,
    /// Layers without floating-point operations or without a time: a logarithmic axis has no place for them.
    pub left_out: Vec<String>,
    /// Numbers for which there was no room beside their dots.
    pub unnumbered: Vec<usize>,
    /// Whether a dot is above the roof.
    pub above: bool,
}

/// A layer's dot.
struct Dot<'a> {
    number: usize,
    record: &'a Record,
    /// Operations a byte, and 10^9 operations a second.
    intensity: f64,
    rate: f64,
    x: f64,
    y: f64,
}

/// An axis-parallel box.
#[derive(Clone, Copy, Debug)]
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    fn around(x: f64, y: f64, width: f64, height: f64) -> Self {
        Self { left: x - width / 2.0, top: y - height / 2.0, right: x + width / 2.0, bottom: y + height / 2.0 }
    }

    fn meets(&self, other: &Area) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn holds(&self, other: &Area) -> bool {
        self.left <= other.left && other.right <= self.right && self.top <= other.top && other.bottom <= self.bottom
    }
}

/// The drawing, where the document has a roof and a layer below it. `id` keeps the names of its parts apart from another drawing's.
pub fn roofline(document: &Document, width: f64, height: f64, id: &str) -> Option<Roofline> {
    let usable = |rate: f64| rate.is_normal() && rate > 0.0;
    let peak = document.peak.filter(|peak| usable(peak.gflops) && usable(peak.gbytes_per_s))?;
    let (mut dots, mut left_out) = (Vec::new(), Vec::new());
    for (i, record) in document.picks().enumerate() {
        let intensity = record.flops / record.bytes as f64;
        let rate = record.gpu_ms.map_or(f64::NAN, |ms| record.flops / ms * 1e-6);
        if usable(intensity) && usable(rate) {
            dots.push(Dot { number: i + 1, record, intensity, rate, x: 0.0, y: 0.0 });
        } else {
            left_out.push(format!("{} {}", i + 1, record.layer));
        }
    }
    if dots.is_empty() {
        return None;
    }
    let ridge = peak.gflops / peak.gbytes_per_s;
    let across = LogAxis::over(dots.iter().map(|dot| dot.intensity).chain([ridge]), LEFT, width - RIGHT);
    let up = LogAxis::over(dots.iter().map(|dot| dot.rate).chain([peak.gflops]), height - BOTTOM, TOP);
    for dot in &mut dots {
        (dot.x, dot.y) = (across.at(dot.intensity), up.at(dot.rate));
    }
    let slope = Slope::new(&peak, &across, &up, &dots);
    let places = place(&dots, &slope.areas, Area { left: LEFT, top: 0.0, right: width, bottom: height - BOTTOM });

    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n\
         <title id=\"{id}-title\">Roofline: the rate of each layer on the GPU under the measured peaks</title>\n\
         <desc id=\"{id}-desc\">Both axes are logarithmic. The roof rises with {} GB/s of copies up to {} GFLOP/s at {} FLOP a byte. \
         Each numbered dot is a layer of the table below.</desc>\n",
        figure(peak.gbytes_per_s),
        figure(peak.gflops),
        figure(ridge)
    );
    svg += &grid(&across, &up, width, height);
    svg += &roof(&peak, &up, width, &slope);
    for (dot, place) in dots.iter().zip(&places) {
        let Dot { number, record, intensity, rate, x, y } = dot;
        svg += &format!(
            "<g><title>{number} {}: {} GFLOP/s ({} of peak) at {} FLOP a byte, {} ms by {}</title>",
            escape(&record.layer),
            figure(*rate),
            share(Some(rate / peak.gflops)),
            figure(*intensity),
            milliseconds(record.gpu_ms.unwrap_or(0.0)),
            escape(record.algorithm.as_deref().unwrap_or("-"))
        );
        if let Some((at_x, at_y)) = place {
            if (at_x - x).hypot(at_y - y) > 2.0 * NUMBER {
                svg += &format!("<line class=\"leader\" x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{at_x:.1}\" y2=\"{at_y:.1}\"/>");
            }
            svg += &format!("<text class=\"number\" text-anchor=\"middle\" x=\"{at_x:.1}\" y=\"{:.1}\">{number}</text>", at_y + 4.0);
        }
        svg += &format!("<circle class=\"gpu dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{DOT}\"/></g>\n");
    }
    let unnumbered = dots.iter().zip(&places).filter(|(_, place)| place.is_none()).map(|(dot, _)| dot.number).collect();
    let above = dots.iter().any(|dot| dot.rate > peak.gflops.min(peak.gbytes_per_s * dot.intensity));
    Some(Roofline { svg: svg + "</svg>\n", left_out, unnumbered, above })
}

/// The lines and labels of both axes.
fn grid(across: &LogAxis, up: &LogAxis, width: f64, height: f64) -> String {
    let (right, bottom) = (width - RIGHT, height - BOTTOM);
    let mut svg = String::new();
    let class = |label: &Option<String>| if label.is_some() { "grid" } else { "grid minor" };
    for (value, label) in across.ticks(44.0) {
        let x = across.at(value);
        svg += &format!("<line class=\"{}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>\n", class(&label));
        if let Some(label) = label {
            svg += &format!("<text class=\"quiet\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>\n", bottom + 16.0);
        }
    }
    for (value, label) in up.ticks(24.0) {
        let y = up.at(value);
        svg += &format!("<line class=\"{}\" x1=\"{LEFT}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n", class(&label));
        if let Some(label) = label {
            svg += &format!("<text class=\"quiet\" text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{label}</text>\n", LEFT - 6.0, y + 4.0);
        }
    }
    let (middle, low) = ((LEFT + right) / 2.0, height - 8.0);
    svg += &format!(
        "<text class=\"quiet\" text-anchor=\"middle\" x=\"{middle:.1}\" y=\"{low:.1}\">arithmetic intensity, FLOP a byte; both axes are logarithmic</text>\n"
    );
    svg += &format!("<text class=\"quiet\" x=\"4\" y=\"{:.1}\">GFLOP/s</text>\n", TOP - 10.0);
    svg
}

/// The roof: what the memory can feed, up to what the arithmetic can do.
fn roof(peak: &Peak, up: &LogAxis, width: f64, slope: &Slope) -> String {
    let (low_y, _) = up.range();
    let Slope { from: (x0, y0), to: (x1, y1), .. } = *slope;
    let (right, floor) = (width - RIGHT, up.at(low_y));
    let mut svg = format!(
        "<polygon class=\"reach\" points=\"{x0:.1},{floor:.1} {x0:.1},{y0:.1} {x1:.1},{y1:.1} {right:.1},{y1:.1} {right:.1},{floor:.1}\"/>\n"
    );
    svg += &format!("<polyline class=\"roof\" points=\"{x0:.1},{y0:.1} {x1:.1},{y1:.1} {right:.1},{y1:.1}\"/>\n");
    svg += &format!(
        "<text class=\"halo\" text-anchor=\"end\" x=\"{right:.1}\" y=\"{:.1}\">{} GFLOP/s of multiply-adds</text>\n",
        y1 - 7.0,
        figure(peak.gflops)
    );
    let (x, y) = slope.middle;
    let angle = (y1 - y0).atan2(x1 - x0).to_degrees();
    svg += &format!(
        "<text class=\"halo\" text-anchor=\"middle\" transform=\"translate({x:.1} {y:.1}) rotate({angle:.1}) translate(0 -7)\">{}</text>\n",
        slope.label
    );
    svg
}

/// The rising part of the roof, and its label where no dot covers it.
struct Slope {
    from: (f64, f64),
    to: (f64, f64),
    label: String,
    /// The middle of the label, on the slope below it.
    middle: (f64, f64),
    /// What the label covers, in small boxes along it.
    areas: Vec<Area>,
}

impl Slope {
    fn new(peak: &Peak, across: &LogAxis, up: &LogAxis, dots: &[Dot<'_>]) -> Self {
        let ((low_x, _), (low_y, _)) = (across.range(), up.range());
        let (start, ridge) = (low_x.max(low_y / peak.gbytes_per_s), peak.gflops / peak.gbytes_per_s);
        let from = (across.at(start), up.at(start * peak.gbytes_per_s));
        let to = (across.at(ridge), up.at(peak.gflops));
        let label = format!("{} GB/s of copies", figure(peak.gbytes_per_s));
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy).max(1.0);
        let half = text_width(&label, NUMBER) / 2.0;
        let areas = |(x, y): (f64, f64)| -> Vec<Area> {
            let along = (0..=20).map(|i| half * (f64::from(i) / 10.0 - 1.0) / length);
            // The text stands 7 above the line and is about 10 high.
            along.map(|t| Area::around(x + t * dx + 12.0 * dy / length, y + t * dy - 12.0 * dx / length, 12.0, 12.0)).collect()
        };
        let covered = |areas: &[Area]| {
            let dots = dots.iter().map(|dot| Area::around(dot.x, dot.y, 2.0 * DOT, 2.0 * DOT));
            dots.filter(|dot| areas.iter().any(|area| area.meets(dot))).count()
        };
        // From the middle outwards as far as the label stays on the slope; the first place of those that cover the fewest dots.
        let room = (0.5 - half / length).max(0.0);
        let places = (0..=20).map(|i| 0.5 + room * f64::from((i + 1) / 2 * if i % 2 == 0 { 1 } else { -1 }) / 10.0);
        let places: Vec<(f64, f64)> = places.map(|t| (from.0 + t * dx, from.1 + t * dy)).collect();
        let middle = places.iter().copied().min_by_key(|place| covered(&areas(*place))).unwrap_or(from);
        Self { from, to, label, middle, areas: areas(middle) }
    }
}

/// Where each dot's number stands: as near as it can without touching a dot or another number, or nowhere in a full drawing.
fn place(dots: &[Dot<'_>], label: &[Area], room: Area) -> Vec<Option<(f64, f64)>> {
    let mut taken: Vec<Area> = label.to_vec();
    taken.extend(dots.iter().map(|dot| Area::around(dot.x, dot.y, 2.0 * DOT, 2.0 * DOT)));
    let farthest = (room.right - room.left).hypot(room.bottom - room.top);
    let mut places = Vec::new();
    for dot in dots {
        let width = DIGIT * dot.number.to_string().len() as f64 + 2.0;
        // Rings round the dot, from the nearest; on each the right side first, then by turns above and below.
        let spots = (0..).map(|ring| DOT + NUMBER / 2.0 + 2.0 + 5.0 * f64::from(ring)).take_while(|radius| *radius < farthest).flat_map(|radius| {
            (0..24).map(move |turn| {
                let angle = f64::from((turn + 1) / 2 * if turn % 2 == 0 { 1 } else { -1 }) * std::f64::consts::TAU / 24.0;
                (radius * angle.cos(), radius * angle.sin())
            })
        });
        let free = |(x, y): &(f64, f64)| {
            let area = Area::around(*x, *y, width, NUMBER);
            room.holds(&area) && !taken.iter().any(|other| other.meets(&area))
        };
        let spot = spots.map(|(dx, dy)| (dot.x + dx, dot.y + dy)).find(free);
        taken.extend(spot.map(|(x, y)| Area::around(x, y, width, NUMBER)));
        places.push(spot);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{document, record};
    use super::*;
    use roxmltree::{Document as Xml, Node};

    fn layer(name: &str, flops: f64, bytes: u64, gpu_ms: f64) -> Record {
        Record { flops, bytes, ..record(name, "direct", gpu_ms, 0.1) }
    }

    fn number(node: Node<'_, '_>, name: &str) -> f64 {
        node.attribute(name).unwrap().parse().unwrap()
    }

    fn named<'a>(xml: &'a Xml<'a>, class: &str) -> Vec<Node<'a, 'a>> {
        xml.descendants().filter(|node| node.attribute("class") == Some(class)).collect()
    }

    /// The fixture's roof: 100 GB/s up to 100 GFLOP/s, so its ridge is at 1 FLOP a byte.
    #[test]
    fn dots_stand_where_their_figures_say() {
        let layers =
            vec![layer("half <roof>", 1e9, 1_000_000_000, 20.0), layer("memory", 1e7, 1_000_000_000, 10.0), layer("ridge", 1e9, 1_000_000_000, 10.0)];
        for (width, height) in [(1000.0, 520.0), (360.0, 380.0)] {
            let drawing = roofline(&document(layers.clone()), width, height, "x").unwrap();
            let xml = Xml::parse(&drawing.svg).unwrap();
            let dots: Vec<(f64, f64)> = named(&xml, "gpu dot").into_iter().map(|dot| (number(dot, "cx"), number(dot, "cy"))).collect();
            let corners: Vec<f64> = named(&xml, "roof")[0].attribute("points").unwrap().split([' ', ',']).map(|n| n.parse().unwrap()).collect();
            assert_eq!(dots.len(), 3);
            assert!((dots[2].0 - corners[2]).hypot(dots[2].1 - corners[3]) < 0.2, "the layer that runs at both peaks is on the ridge");
            // On the slope, two decades left of the ridge and two below it.
            let slope = |x: f64| corners[1] + (x - corners[0]) / (corners[2] - corners[0]) * (corners[3] - corners[1]);
            assert!((slope(dots[1].0) - dots[1].1).abs() < 0.3, "{dots:?} {corners:?}");
            assert!(dots[0].0 == dots[2].0 && dots[0].1 > dots[2].1 + 5.0, "half the rate, the same intensity");
            assert!(
                xml.descendants()
                    .any(|node| node.text().is_some_and(|t| t.starts_with("1 half <roof>: 50.0 GFLOP/s (50% of peak) at 1.00 FLOP a byte"))),
                "{}",
                drawing.svg
            );
            assert!(!drawing.above && drawing.left_out.is_empty() && drawing.unnumbered.is_empty());
        }
    }

    #[test]
    fn numbers_never_overlap_each_other_or_a_dot() {
        let crowd: Vec<Record> = (0..60).map(|i| layer(&format!("l{i}"), 1e9, 50_000_000, 20.0 + f64::from(i % 3))).collect();
        for (width, height) in [(1000.0, 520.0), (360.0, 380.0)] {
            let drawing = roofline(&document(crowd.clone()), width, height, "x").unwrap();
            let xml = Xml::parse(&drawing.svg).unwrap();
            let numbers = named(&xml, "number");
            assert_eq!(numbers.len(), 60);
            let area =
                |text: &Node<'_, '_>| Area::around(number(*text, "x"), number(*text, "y") - 4.0, 6.6 * text.text().unwrap().len() as f64, 11.5);
            let areas: Vec<Area> = numbers.iter().map(area).collect();
            let dots: Vec<Area> = named(&xml, "gpu dot").iter().map(|dot| Area::around(number(*dot, "cx"), number(*dot, "cy"), 8.0, 8.0)).collect();
            for (i, one) in areas.iter().enumerate() {
                assert!(!areas[..i].iter().chain(&dots).any(|other| other.meets(one)), "{one:?}");
            }
        }
        let many = (0..900).map(|i| layer(&format!("l{i}"), 1e9, 50_000_000, 20.0)).collect();
        let full = roofline(&document(many), 360.0, 380.0, "x").unwrap();
        assert!(!full.unnumbered.is_empty() && full.unnumbered.len() < 900);
    }

    #[test]
    fn what_has_no_place_is_named() {
        let mut untimed = layer("untimed", 1e9, 100, 1.0);
        untimed.gpu_ms = None;
        let layers = vec![layer("moves", 0.0, 100, 1.0), layer("cached", 1e9, 2_000_000_000, 10.0), untimed];
        let drawing = roofline(&document(layers), 1000.0, 520.0, "x").unwrap();
        assert_eq!(drawing.left_out, ["1 moves", "3 untimed"]);
        assert!(drawing.above, "100 GFLOP/s at half a FLOP a byte is twice what memory feeds");
        let mut cpu = document(vec![layer("a", 1e9, 100, 1.0)]);
        cpu.peak = None;
        assert!(roofline(&cpu, 1000.0, 520.0, "x").is_none());
        assert!(roofline(&document(vec![layer("moves", 0.0, 100, 1.0)]), 1000.0, 520.0, "x").is_none());
    }
}
