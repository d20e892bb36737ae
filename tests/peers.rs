//! The engine of `benches/peers` follows the library: that package has a workspace of its own, which nothing else here compiles.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../benches/peers/src/shape.rs"]
mod shape;
#[path = "../benches/peers/src/wgconv_engine.rs"]
mod wgconv_engine;

use shape::Shape;

type Failure = Box<dyn std::error::Error>;

/// As in `benches/peers/src/main.rs`.
trait Engine {
    fn device(&self) -> String;
    fn run(&self, shape: &Shape, clock: &mut Clock) -> Result<Vec<f64>, Failure>;
}

struct Clock {
    runs: usize,
}

impl Clock {
    fn time(&mut self, mut run: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
        self.runs += 1;
        run()
    }
}

#[test]
fn the_peers_engine_runs_one_shape_of_each_op() {
    let shapes = shape::read(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/shapes.json")).unwrap();
    let engine = wgconv_engine::Wgconv::open().unwrap();
    assert!(!engine.device().is_empty());
    for op in ["conv", "max_pool", "average_pool", "matmul"] {
        // The smallest, since the clock of this test is not the point.
        let of_op = shapes.iter().filter(|shape| shape.op == op);
        let shape = of_op.min_by_key(|shape| shape.inputs.x.iter().product::<usize>()).unwrap();
        let mut clock = Clock { runs: 0 };
        let y = engine.run(shape, &mut clock).unwrap();
        assert!(clock.runs == 1 && !y.is_empty() && y.iter().all(|v| v.is_finite()), "{}", shape.name);
    }
}
