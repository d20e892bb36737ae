//! Comparison of a result with the expected values, element by element. NaN never passes by accident, and no mean hides a border.

use crate::types::ElementType;

/// Elements that differ by more than allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// How many.
    pub count: usize,
    /// Out of how many.
    pub total: usize,
    /// The first few, and the worst: flat index, got, expected, allowed difference.
    pub shown: Vec<(usize, f64, f64, f64)>,
}

/// How many mismatches are kept for the message.
const SHOWN: usize = 4;

/// Compares `got` with `want`; `allowed(i)` is the largest difference that element i may have.
///
/// A NaN equals a NaN and an infinity itself, nothing else. `None`: everything agrees.
pub fn compare(got: &[f64], want: &[f64], allowed: impl Fn(usize) -> f64) -> Option<Mismatch> {
    if got.len() != want.len() {
        return Some(Mismatch { count: got.len().abs_diff(want.len()), total: want.len(), shown: vec![] });
    }
    let mut mismatch = Mismatch { count: 0, total: want.len(), shown: vec![] };
    let mut worst: Option<(usize, f64)> = None;
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        if (g.is_nan() && w.is_nan()) || g == w {
            continue;
        }
        let limit = allowed(i);
        let difference = (g - w).abs();
        // Written so that a NaN difference is a mismatch.
        if w.is_finite() && difference <= limit {
            continue;
        }
        mismatch.count += 1;
        if mismatch.shown.len() < SHOWN {
            mismatch.shown.push((i, g, w, limit));
        }
        let excess = if difference.is_nan() { f64::INFINITY } else { difference - limit };
        if worst.is_none_or(|(_, e)| excess > e) {
            worst = Some((i, excess));
        }
    }
    if let Some((i, _)) = worst
        && mismatch.shown.iter().all(|s| s.0 != i)
    {
        mismatch.shown.push((i, got[i], want[i], allowed(i)));
    }
    (mismatch.count > 0).then_some(mismatch)
}

/// What a result counts as: an infinity as the expected value, where a number within the bound is infinite once it is stored. The largest numbers are
/// met so by whatever errs at all.
pub fn settled(got: f64, want: f64, allowed: f64, element: ElementType) -> f64 {
    let reaches = got.is_infinite() && want.is_finite() && element.rounded(want + got.signum() * allowed) == got;
    if reaches { want } else { got }
}

impl Mismatch {
    /// One line: how many, then elements with their index in `extents`.
    pub fn describe(&self, extents: &[usize]) -> String {
        let shown: Vec<String> = self
            .shown
            .iter()
            .map(|(i, got, want, allowed)| format!("{:?} is {}, expected {} within {allowed:e}", unravel(*i, extents), number(*got), number(*want)))
            .collect();
        format!("{} of {} elements differ: {}", self.count, self.total, shown.join("; "))
    }
}

/// A number as it is read best: with an exponent where it would be zeros for the most part.
fn number(v: f64) -> String {
    if v == 0.0 || !v.is_finite() || (1e-6..1e16).contains(&v.abs()) { v.to_string() } else { format!("{v:e}") }
}

/// The index of flat element `i` in a row-major array.
pub fn unravel(i: usize, extents: &[usize]) -> Vec<usize> {
    let mut rest = i;
    let mut index: Vec<usize> = extents
        .iter()
        .rev()
        .map(|e| {
            let here = rest % e;
            rest /= e;
            here
        })
        .collect();
    index.reverse();
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_infinity_never_pass_by_accident() {
        let huge = |_| 1e30;
        assert!(compare(&[f64::NAN], &[1.0], huge).is_some());
        assert!(compare(&[1.0], &[f64::NAN], huge).is_some());
        assert!(compare(&[f64::INFINITY], &[1.0], huge).is_some());
        assert!(compare(&[1.0], &[f64::INFINITY], |_| f64::INFINITY).is_some());
        assert!(compare(&[f64::NAN, f64::INFINITY], &[f64::NAN, f64::INFINITY], |_| 0.0).is_none());
        assert!(compare(&[f64::NEG_INFINITY], &[f64::INFINITY], huge).is_some());
        assert!(compare(&[1.0, 2.0], &[1.0], huge).is_some(), "lengths count");
    }

    #[test]
    fn one_wrong_corner_among_many_is_found_with_its_index() {
        let want = vec![0.5; 60];
        let mut got = want.clone();
        got[59] = 0.6;
        got[7] = 0.5001;
        let mismatch = compare(&got, &want, |_| 0.01).unwrap();
        assert_eq!(mismatch.count, 1);
        let line = mismatch.describe(&[3, 4, 5]);
        assert!(line.contains("[2, 3, 4] is 0.6"), "{line}");
    }

    #[test]
    fn an_infinity_counts_as_the_largest_numbers_within_the_bound_alone() {
        let max = f64::from(f32::MAX);
        let f32s = |got, want, allowed| settled(got, want, allowed, ElementType::F32);
        assert_eq!(f32s(f64::INFINITY, max, 1e34), max);
        assert_eq!(f32s(f64::INFINITY, max, 1e30), f64::INFINITY, "less than half a unit in the last place");
        assert_eq!(f32s(f64::NEG_INFINITY, max, 1e34), f64::NEG_INFINITY);
        assert_eq!(f32s(f64::INFINITY, 1e38, 1e34), f64::INFINITY);
        assert_eq!((f32s(1.0, max, 1e34), settled(f64::INFINITY, 65_504.0, 20.0, ElementType::F16)), (1.0, 65_504.0));
        assert!(f32s(f64::NAN, max, 1e34).is_nan());
    }
}
