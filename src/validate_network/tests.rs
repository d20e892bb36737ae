//! What the networks are said to be: exact on integers, and each about something. A session whose arena overlaps must fail (needs an adapter); the other
//! negative controls are in `tests/validate_network.rs`.

use super::op_by_op::every_value;
use super::*;
use crate::gpu::GpuDescriptor;
use crate::session::Arena;
use std::collections::HashSet;

fn case(name: &str, variant: Variant) -> Case {
    Case { network: NETWORKS.iter().find(|network| network.name == name).unwrap(), variant }
}

/// The power of two that makes whole numbers of all values.
fn units(values: &[f64]) -> f64 {
    (0..20).map(|k| f64::from(1 << k)).find(|unit| values.iter().all(|v| (v * unit).fract() == 0.0)).unwrap()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest: f64, v| largest.max(v.abs()))
}

/// No sum of integers is rounded, in whatever order it is taken: the largest products times their number stay below 2^24 units, and what is stored is
/// exact in its type.
#[test]
fn sums_of_integers_are_exact() {
    let mut exact = 0;
    for case in cases(true) {
        let built = case.build(Data::Exact, 0).unwrap();
        let graph = case.graph_of(&built.graph).unwrap();
        for &open in case.network.extents {
            let at = graph.at(open).unwrap();
            let values = every_value(&graph, open, &built.inputs(&at)).unwrap();
            let op = |node: &Resolved| if let Resolved::Op(op) = node { Some(op.clone()) } else { None };
            if at.nodes.iter().filter_map(op).any(|op| !op.is_exact()) {
                continue;
            }
            exact += 1;
            for (tensor, values) in at.types.iter().zip(&values) {
                assert!(values.iter().all(|v| tensor.element.rounded(*v) == *v), "{}: {tensor} is not exact", case.id());
            }
            for (node, resolved) in graph.nodes().iter().zip(&at.nodes) {
                let Some(op) = op(resolved) else { continue };
                if matches!(*op, Op::Image(_)) {
                    continue; // words of bytes are no sums
                }
                let operands: Vec<&[f64]> = node.inputs().iter().map(|input| values[input.index()].as_slice()).collect();
                let factors = if matches!(*op, Op::Conv(_) | Op::MatMul(_)) { 2 } else { 1 };
                let product = |of: fn(&[f64]) -> f64| operands.iter().take(factors).map(|operand| of(operand)).product::<f64>();
                let terms: f64 = operands.iter().skip(factors).map(|operand| largest(operand)).sum();
                let sum = (product(largest) * op.terms() as f64 + terms) * product(units);
                assert!(sum <= 2f64.powi(24), "{}: {} sums to {sum} units", case.id(), node.name());
            }
        }
    }
    assert_eq!(
        exact,
        16 * 2 - 1 + 1 + 13 * 2 - 1 + 1 + 12 * 2 + 1,
        "all but attention, and as they are built all but those with batch norms: two extents each but for those without an open one"
    );
}

/// Each network is changed by the passes that it is about.
#[test]
fn passes_change_what_they_are_to_change() {
    let wanted: [(&str, &[&str]); 18] = [
        ("residual", &["fuse residual", "fuse activation"]),
        ("large_stem", &["fuse residual", "fuse activation"]),
        ("batch_norm", &["fold batch norm", "fuse activation", "fuse pool"]),
        ("branches", &["push activation", "fuse activation"]),
        ("views", &["remove identities", "cancel transposes"]),
        ("skip", &["fuse activation"]),
        ("attention", &["fuse residual", "fuse activation"]),
        ("two_inputs", &[]),
        ("wide", &["fuse activation", "order"]),
        ("axes", &["fuse activation"]),
        ("channels_last", &["fuse activation"]),
        ("half", &["fold batch norm", "fuse activation", "fuse pool"]),
        ("closed", &["fuse residual", "fuse activation"]),
        ("computed", &["fuse activation"]),
        ("blurs", &["split separable", "fold batch norm", "fuse activation"]),
        ("atrous", &["trim filter", "push activation", "fuse residual"]),
        ("images", &[]),
        ("mixed", &["fuse activation"]),
    ];
    for (network, (name, wanted)) in NETWORKS.iter().zip(wanted) {
        assert_eq!(network.name, name);
        let (_, changes) = case(name, Variant::Optimized).graph().unwrap();
        let passes: HashSet<&str> = changes.iter().map(|change| change.pass.name()).collect();
        assert!(wanted.iter().all(|pass| passes.contains(pass)), "{name}: {changes:?}");
    }
}

/// Values lie in each other's memory: what the checks are about.
#[test]
fn values_share_memory() {
    for name in ["residual", "skip", "wide", "attention"] {
        for variant in [Variant::AsBuilt, Variant::Optimized] {
            let (graph, _) = case(name, variant).graph().unwrap();
            let at = graph.at(3).unwrap();
            let is_output = |value| graph.outputs().any(|(_, output)| output == value);
            let made = graph.nodes().iter().zip(&at.nodes).filter(|(_, resolved)| matches!(resolved, Resolved::Op(_)));
            let bytes: u64 = made.flat_map(|(node, _)| node.outputs()).filter(|&&value| !is_output(value)).map(|&value| at.bytes(value)).sum();
            let arena = Arena::of(&graph, 3).unwrap().total();
            assert!(arena < bytes, "{name}: {arena} of {bytes} bytes");
        }
    }
}

/// Ops write to a buffer that they read, and no bytes are lost by it.
#[test]
fn ops_read_and_write_one_buffer() {
    for variant in [Variant::AsBuilt, Variant::Optimized] {
        let (graph, _) = case("large_stem", variant).graph().unwrap();
        for open in [1, 3] {
            let arena = Arena::of(&graph, open).unwrap();
            assert!(arena.ops_in_one_buffer() > 0 && arena.total() * 10 <= arena.lower_bound() * 11, "{variant:?}: {arena:?}");
        }
    }
}

#[test]
fn ids_are_unique_and_the_full_grid_has_the_quick_one() {
    let ids = |full| cases(full).iter().map(Case::id).collect::<Vec<_>>();
    let (quick, full) = (ids(false), ids(true));
    assert_eq!((quick.len(), full.len()), (18, 49));
    assert_eq!(full.iter().collect::<HashSet<_>>().len(), 49);
    // These have no convolution, or are channels-last as they are built.
    for without in ["attention", "views", "two_inputs", "channels_last", "closed"] {
        assert!(!full.contains(&format!("network/channels_last/{without}")), "{without}");
    }
    assert!(quick.iter().all(|id| full.contains(id) && id.starts_with("network/optimized/")), "{quick:?}");
}

/// A branch that is written over what is added to it later.
#[test]
fn on_a_device_an_arena_that_overlaps_is_reported() {
    let gpu = Gpu::with_descriptor(&GpuDescriptor::default()).unwrap();
    let case = case("residual", Variant::AsBuilt);
    for open in [3, 1] {
        let make = |gpu: &Gpu, graph: &Graph| {
            let session = Session::gpu(gpu, graph)?;
            assert!(session.overlap(open, "first.branch", "stem")?, "nothing was overlapped");
            Ok(session)
        };
        let outcome = verify_with(&gpu, &case, &make).unwrap();
        let Outcome::Failed(why) = outcome else { panic!("N = {open}: {outcome:?}") };
        assert!(why.starts_with("exact: features: ") && why.contains(&format!("N = {open}")) && why.ends_with("the session is at fault"), "{why}");
    }
}
