//! What the charts of a page share: logarithmic axes, text that is fit for SVG, and how wide it is.

/// A logarithmic axis of whole decades, from a position on the drawing to another.
pub struct LogAxis {
    /// Powers of ten.
    low: i32,
    high: i32,
    start: f64,
    end: f64,
}

impl LogAxis {
    /// An axis that holds the values, with a little room below the smallest; what no logarithm has is left out.
    pub fn over(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let logs: Vec<f64> = values.filter(|v| v.is_normal() && *v > 0.0).map(f64::log10).collect();
        let (low, high) = logs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
        if logs.is_empty() {
            return Self { low: 0, high: 1, start, end };
        }
        let low = (low - 0.1).floor() as i32;
        Self { low, high: (high.ceil() as i32).max(low + 1), start, end }
    }

    /// Both ends, as values.
    pub fn range(&self) -> (f64, f64) {
        (10f64.powi(self.low), 10f64.powi(self.high))
    }

    /// Where a value lies; values beyond an end lie on it.
    pub fn at(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        self.start + (self.end - self.start) * share.clamp(0.0, 1.0)
    }

    /// The values at which lines are drawn, each with its label. Where labels have no `room` (of so many pixels a decade) only each
    /// second or third decade has one; where there are few decades 2 and 5 have one too.
    pub fn ticks(&self, room: f64) -> Vec<(f64, Option<String>)> {
        let decade = (self.end - self.start).abs() / f64::from(self.high - self.low);
        let step = (room / decade).ceil().max(1.0) as i32;
        let mut ticks = Vec::new();
        for exponent in self.low..=self.high {
            for digit in [1, 2, 5] {
                if digit > 1 && exponent == self.high {
                    break;
                }
                let labelled = if digit == 1 { (exponent - self.low) % step == 0 } else { decade > 4.0 * room };
                let value = f64::from(digit) * 10f64.powi(exponent);
                ticks.push((value, labelled.then(|| tick_label(digit, exponent))));
            }
        }
        ticks
    }
}

/// `digit` times a power of ten, in few letters.
fn tick_label(digit: i32, exponent: i32) -> String {
    match exponent {
        -3..0 => format!("{:.*}", exponent.unsigned_abs() as usize, f64::from(digit) * 10f64.powi(exponent)),
        0..3 => format!("{}", f64::from(digit) * 10f64.powi(exponent)),
        3..6 => format!("{}k", f64::from(digit) * 10f64.powi(exponent - 3)),
        6..9 => format!("{}M", f64::from(digit) * 10f64.powi(exponent - 6)),
        _ => format!("{digit}e{exponent}"),
    }
}

/// Text that is fit for HTML and SVG, on one line: markup is escaped, and what XML cannot hold shows as a replacement character.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in crate::one_line(text).chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// How wide a text will be, about: a page does not know its reader's fonts, so this is on the wide side.
pub fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| if c.is_ascii() { 0.6 } else { 1.0 }).sum::<f64>() * size
}

/// The text, cut with an ellipsis to `width`.
pub fn shorten(text: &str, width: f64, size: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_string();
    }
    let mut short = String::new();
    for c in text.chars() {
        if text_width(&short, size) + 2.0 * size > width {
            break;
        }
        short.push(c);
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_cover_the_data() {
        for (low, high) in [(0.003, 118.2), (1.0, 1.0), (2.0, 5.0), (1e-9, 3e5), (0.1, 10.0), (999.9, 1000.0)] {
            let axis = LogAxis::over([low, high, 0.0, -1.0, f64::NAN, f64::INFINITY].into_iter(), 100.0, 500.0);
            for room in [10.0, 40.0, 80.0] {
                let ticks = axis.ticks(room);
                assert!(ticks[0].0 < low && ticks[ticks.len() - 1].0 >= high, "{low} to {high}: {ticks:?}");
                assert!(ticks.windows(2).all(|pair| pair[0].0 < pair[1].0), "{ticks:?}");
                let labels: Vec<f64> = ticks.iter().filter(|(_, label)| label.is_some()).map(|(value, _)| axis.at(*value)).collect();
                assert!(labels.len() >= 2 && labels.windows(2).all(|pair| pair[1] - pair[0] >= room - 1e-9), "{labels:?} for {room}");
            }
            assert!(axis.at(low) > 100.0 && axis.at(high) > axis.at(low) - 1e-9 && axis.at(high) <= 500.0 + 1e-9);
        }
    }

    #[test]
    fn positions_are_logarithmic_and_stay_on_the_axis() {
        let axis = LogAxis::over([0.02, 99.0].into_iter(), 400.0, 0.0);
        assert_eq!(axis.range(), (0.01, 100.0));
        for (value, place) in [(0.01, 400.0), (1.0, 200.0), (100.0, 0.0), (1e9, 0.0), (0.0, 400.0)] {
            assert!((axis.at(value) - place).abs() < 1e-9, "{value} is at {}", axis.at(value));
        }
        assert_eq!(LogAxis::over(std::iter::empty(), 0.0, 1.0).range(), (1.0, 10.0));
    }

    #[test]
    fn labels_are_short() {
        for (digit, exponent, label) in
            [(1, -4, "1e-4"), (5, -3, "0.005"), (2, -1, "0.2"), (1, 0, "1"), (5, 2, "500"), (2, 4, "20k"), (1, 6, "1M"), (1, 9, "1e9")]
        {
            assert_eq!(tick_label(digit, exponent), label);
        }
    }

    #[test]
    fn text_is_escaped_and_cut() {
        assert_eq!(escape("<a href=\"x\">'&\u{7}\n b"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\\u{7} b");
        assert_eq!(shorten("short", 100.0, 10.0), "short");
        let cut = shorten("a name that is too long", 60.0, 10.0);
        assert!(cut.ends_with('…') && text_width(&cut, 10.0) <= 60.0 && cut.len() > 5, "{cut}");
    }
}
