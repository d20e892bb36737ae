//! One engine over a list of shapes: `wgconv-peers wgconv|burn SHAPES.json SECONDS` prints a JSON line per shape.
//!
//! Both engines go through the same loop and the same clock, the host's around one run and the wait for it; inputs lie on the device.
//! The Python peers beside this package speak the same lines (`peer.py`), and `run.py` starts all of them.

mod burn_engine;
mod shape;
mod wgconv_engine;

use serde_json::json;
use shape::Shape;
use std::io::Write;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

/// One engine on one device.
trait Engine {
    /// What it runs on.
    fn device(&self) -> String;
    /// Prepares `shape`, hands the timed work to `clock`, and gives the output in logical order.
    fn run(&self, shape: &Shape, clock: &mut Clock) -> Result<Vec<f64>, Failure>;
}

/// Times closures that return when their work is done.
struct Clock {
    seconds: f64,
    first_ms: f64,
    samples_ms: Vec<f64>,
}

impl Clock {
    /// The rule of `peer.py`: the first run alone (it compiles and tunes), a warm-up of a quarter of the seconds and two runs at least, then
    /// samples for that many seconds, 5 at least and 1000 at most.
    fn time(&mut self, mut run: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
        let mut once = || {
            let start = Instant::now();
            run().map(|()| start.elapsed().as_secs_f64() * 1e3)
        };
        self.first_ms = once()?;
        let (start, mut warm) = (Instant::now(), 0);
        while warm < 2 || start.elapsed().as_secs_f64() < 0.25 * self.seconds {
            once()?;
            warm += 1;
        }
        let start = Instant::now();
        while self.samples_ms.len() < 5 || (start.elapsed().as_secs_f64() < self.seconds && self.samples_ms.len() < 1000) {
            self.samples_ms.push(once()?);
        }
        self.samples_ms.sort_by(f64::total_cmp);
        Ok(())
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [engine, file, seconds] = arguments.as_slice() else {
        return Err("usage: wgconv-peers wgconv|burn SHAPES.json SECONDS".into());
    };
    let seconds: f64 = seconds.parse().map_err(|_| format!("SECONDS is {seconds}: it is a number"))?;
    let shapes = shape::read(file)?;
    let (peer, package, engine): (_, _, Box<dyn Engine>) = match engine.as_str() {
        "wgconv" => ("wgconv", "wgconv", Box::new(wgconv_engine::Wgconv::open()?)),
        "burn" => ("burn-wgpu", "burn", Box::new(burn_engine::Burn::open()?)),
        other => return Err(format!("the engine is {other}: it is wgconv or burn").into()),
    };
    for shape in &shapes {
        let mut line = json!({"peer": peer, "version": version(package), "device": engine.device(), "shape": shape.name});
        match measure(engine.as_ref(), shape, seconds) {
            Ok((clock, output)) => {
                let v = &clock.samples_ms;
                line["median_ms"] = v[v.len() / 2].into();
                line["min_ms"] = v[0].into();
                line["max_ms"] = v[v.len() - 1].into();
                line["runs"] = v.len().into();
                line["first_ms"] = clock.first_ms.into();
                line["count"] = output.len().into();
                line["sum"] = output.iter().sum::<f64>().into();
                line["abs"] = output.iter().map(|v| v.abs()).sum::<f64>().into();
            }
            Err(why) => line["error"] = why.to_string().into(),
        }
        println!("{line}");
        std::io::stdout().flush()?; // a later shape may end the process
    }
    Ok(())
}

/// A panic inside an engine costs its shape alone.
fn measure(engine: &dyn Engine, shape: &Shape, seconds: f64) -> Result<(Clock, Vec<f64>), Failure> {
    let attempt = std::panic::AssertUnwindSafe(|| {
        let mut clock = Clock { seconds, first_ms: 0.0, samples_ms: Vec::new() };
        let output = engine.run(shape, &mut clock)?;
        Ok((clock, output))
    });
    std::panic::catch_unwind(attempt).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(text.unwrap_or("a panic without words".into()).into())
    })
}

/// The version of a package in the lock file, so that what is printed is what was built.
fn version(package: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let entry = format!("name = \"{package}\"\nversion = \"");
    lock.split_once(&entry).and_then(|(_, rest)| rest.split('"').next()).unwrap_or("unknown")
}
