//! Another engine's tensors beside the engines of this library: whose numbers leave the reference, and at which value of the network first.

use crate::text::printable;
use crate::{Failure, Outcome, picture, say};
use std::path::Path;
use wgconv::Graph;
use wgconv::graph::Weights;
use wgconv::validate_network::Compared;

/// An engine here may be so many times as far from the reference as the other one: bounds of a whole network are too wide to say anything.
const AS_FAR: f64 = 16.0;

/// The other engine computes something else where it is further off than this part of the largest number.
const SAME: f64 = 1e-3;

/// The other engine is taken to be so far off at least, as a part of the largest number: half of f32's last place.
const LEAST: f64 = 1.0 / (1u64 << 24) as f64;

/// Names of tensors that are told where no value has them.
const SHOWN: usize = 5;

/// Tensors of another engine by name.
pub struct Against {
    tensors: Weights,
    /// How many of them are values of the network.
    common: usize,
}

/// A tensor of the other engine beside the values of that name.
pub struct Row {
    name: String,
    theirs: f64,
    gpu: Option<f64>,
    cpu: Option<f64>,
    largest: f64,
    /// Another number of elements.
    misshapen: Option<String>,
}

impl Against {
    /// Reads the tensors of a file, of which one at least is a value of the graph that a node gives.
    pub fn read(path: &Path, graph: &Graph) -> Result<Self, Failure> {
        let tensors = Weights::read(path)?;
        let of_node = |name: &str| graph.nodes().iter().flat_map(|node| node.outputs()).any(|&value| names(graph, value).any(|own| own == name));
        let (common, unknown): (Vec<&str>, Vec<&str>) = tensors.names().partition(|name| of_node(name));
        let listed = unknown.iter().take(SHOWN).map(|name| printable(name)).collect::<Vec<_>>().join(", ");
        if common.is_empty() {
            return Err(Failure::Run(format!(
                "--against is {}: no value of the network has the name of a tensor in it ({listed})",
                picture::name(path)
            )));
        }
        if !unknown.is_empty() {
            log::warn!("{} tensors of {} have the name of no value that is computed: {listed}", unknown.len(), picture::name(path));
        }
        let common = common.len();
        Ok(Self { tensors, common })
    }

    /// The tensor of a value's name, if there is one.
    pub fn row(&self, graph: &Graph, compared: &Compared<'_>) -> Option<Row> {
        let value = graph.find(compared.value)?;
        let (name, theirs) = names(graph, value).find_map(|name| Some((name, self.tensors.get(name)?)))?;
        let numbers: Vec<f64> = theirs.as_f32().iter().map(|&v| f64::from(v)).collect();
        let (own, extents) = (theirs.tensor_type().extents, compared.extents);
        let misshapen = (numbers.len() != compared.reference.len())
            .then(|| format!("it is {} there, and {} here", super::shape_text(&own), super::shape_text(extents)));
        let far = |own: &[f64]| farthest(compared.reference, own);
        Some(Row {
            name: printable(name),
            theirs: if misshapen.is_some() { f64::INFINITY } else { far(&numbers) },
            gpu: compared.gpu.as_ref().map(|measured| far(&measured.along)),
            cpu: compared.cpu.as_ref().map(|measured| far(&measured.along)),
            largest: largest(compared.reference),
            misshapen,
        })
    }

    /// Prints the rows, and names the first that does not agree.
    pub fn verdict(&self, rows: &[Row]) -> Outcome {
        say!("Beside the other engine, off the reference along the network:");
        say!("{:>9} {:>9} {:>9} {:>9}  value", "theirs", "GPU", "CPU", "largest");
        let cell = |far: Option<f64>| far.map_or("-".into(), |far| format!("{far:.1e}"));
        for row in rows {
            say!("{:>9} {:>9} {:>9} {:>9}  {}", cell(Some(row.theirs)), cell(row.gpu), cell(row.cpu), cell(Some(row.largest)), row.name);
        }
        match rows.iter().find_map(Row::fault) {
            Some(why) => Err(Failure::Run(format!("the first value that does not agree with the other engine: {why}"))),
            None => {
                say!("{} of {} tensors of the other engine agree", rows.len(), self.common);
                Ok(())
            }
        }
    }
}

impl Row {
    /// Why it does not agree.
    fn fault(&self) -> Option<String> {
        if let Some(why) = &self.misshapen {
            return Some(format!("{}: {why}", self.name));
        }
        // What is no number is not within anything.
        let is_within = |far: f64, most: f64| far <= most;
        if !is_within(self.theirs, SAME * self.largest) {
            return Some(format!(
                "{}: the other engine is off the reference by {:.1e} of numbers to {:.1e}: it computes something else",
                self.name, self.theirs, self.largest
            ));
        }
        let most = AS_FAR * self.theirs.max(LEAST * self.largest);
        let own = [("GPU", self.gpu), ("CPU", self.cpu)].into_iter().find(|(_, far)| far.is_some_and(|far| !is_within(far, most)));
        own.map(|(engine, far)| {
            format!("{}: the {engine} is off by {:.1e}, the other engine by {:.1e}", self.name, far.unwrap_or(f64::INFINITY), self.theirs)
        })
    }
}

/// The names of a value: its own, and those of the graph's outputs that it is.
fn names(graph: &Graph, value: wgconv::graph::ValueId) -> impl Iterator<Item = &str> {
    let outputs = graph.outputs().filter(move |(_, own)| *own == value).map(|(name, _)| name);
    graph.values().get(value.index()).map(|own| own.name()).into_iter().chain(outputs)
}

/// The largest finite magnitude.
pub fn largest(numbers: &[f64]) -> f64 {
    numbers.iter().filter(|v| v.is_finite()).fold(0.0, |most, v| most.max(v.abs()))
}

/// The largest difference; infinite where one number is a NaN or an infinity and the other is not the same.
pub fn farthest(reference: &[f64], own: &[f64]) -> f64 {
    let off = |(a, b): (&f64, &f64)| {
        if a == b || (a.is_nan() && b.is_nan()) {
            0.0
        } else if (a - b).is_nan() {
            f64::INFINITY
        } else {
            (a - b).abs()
        }
    };
    reference.iter().zip(own).map(off).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(theirs: f64, gpu: f64) -> Row {
        Row { name: "y".into(), theirs, gpu: Some(gpu), cpu: Some(1e-7), largest: 1.0, misshapen: None }
    }

    #[test]
    fn whoever_leaves_the_reference_is_named() {
        assert_eq!(row(1e-7, 1e-6).fault(), None);
        assert_eq!(row(0.0, 1e-7).fault(), None, "half of the last place is allowed for");
        assert!(row(1e-7, 2e-6).fault().is_some_and(|why| why.starts_with("y: the GPU is off by 2.0e-6")));
        assert!(row(0.1, 1e-7).fault().is_some_and(|why| why.contains("it computes something else")));
        assert!(row(f64::NAN, 1e-7).fault().is_some() && row(1e-7, f64::NAN).fault().is_some());
        assert_eq!(farthest(&[1.0, f64::NAN, f64::INFINITY], &[1.5, f64::NAN, f64::INFINITY]), 0.5);
        assert_eq!(farthest(&[f64::INFINITY], &[1.0]), f64::INFINITY);
        assert_eq!(farthest(&[f64::NAN], &[1.0]), f64::INFINITY);
    }
}
