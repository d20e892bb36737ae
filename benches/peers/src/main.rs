//! One engine over a list of shapes: `wgconv-peers wgconv|burn SHAPES.json SECONDS` prints a JSON line per shape. One engine that trains:
//! `wgconv-peers train wgconv|wgconv-cpu|burn|burn-cpu SECONDS` prints one line.
//!
//! Both engines go through the same loop and the same clock, the host's around one run and the wait for it; inputs lie on the device.
//! The Python peers beside this package speak the same lines (`peer.py`), and `run.py` starts all of them.

mod burn_engine;
mod shape;
mod training;
mod training_burn;
mod training_wgconv;
mod wgconv_engine;

use burn::tensor::Device;
use serde_json::{Value, json};
use shape::Shape;
use std::io::Write;
use std::time::Instant;
use training::Learner;
use wgconv::Gpu;

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

    /// The fields of a line.
    fn fields(&self) -> Value {
        let v = &self.samples_ms;
        json!({"median_ms": v[v.len() / 2], "min_ms": v[0], "max_ms": v[v.len() - 1], "runs": v.len(), "first_ms": self.first_ms})
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["train", engine, seconds] => train(engine, parsed(seconds)?),
        [engine, file, seconds] => time(engine, file, parsed(seconds)?),
        _ => Err("usage: wgconv-peers wgconv|burn SHAPES.json SECONDS, or wgconv-peers train wgconv|wgconv-cpu|burn|burn-cpu SECONDS".into()),
    }
}

fn parsed(seconds: &str) -> Result<f64, Failure> {
    Ok(seconds.parse().map_err(|_| format!("SECONDS is {seconds}: it is a number"))?)
}

fn time(engine: &str, file: &str, seconds: f64) -> Result<(), Failure> {
    let shapes = shape::read(file)?;
    let (peer, package, engine): (_, _, Box<dyn Engine>) = match engine {
        "wgconv" => ("wgconv", "wgconv", Box::new(wgconv_engine::Wgconv::open()?)),
        "burn" => ("burn-wgpu", "burn", Box::new(burn_engine::Burn::open()?)),
        other => return Err(format!("the engine is {other}: it is wgconv or burn").into()),
    };
    for shape in &shapes {
        let (version, device) = (version(package), engine.device());
        print(
            json!({"peer": peer, "version": version, "device": device, "shape": shape.name}),
            guarded(|| measure(engine.as_ref(), shape, seconds)),
        )?;
    }
    Ok(())
}

fn train(engine: &str, seconds: f64) -> Result<(), Failure> {
    let (peer, package) = match engine {
        "wgconv" | "wgconv-cpu" => (engine, "wgconv"),
        "burn" => (if cfg!(feature = "fusion") { "burn-wgpu-fusion" } else { "burn-wgpu" }, "burn"),
        "burn-cpu" => (engine, "burn"),
        other => return Err(format!("the engine is {other}: it is wgconv, wgconv-cpu, burn or burn-cpu").into()),
    };
    let mut device = String::new();
    let fields = guarded(|| {
        let mut learner: Box<dyn Learner> = match engine {
            "wgconv" => Box::new(training_wgconv::Wgconv::new(Some(Gpu::new()?))?),
            "wgconv-cpu" => Box::new(training_wgconv::Wgconv::new(None)?),
            "burn" => Box::new(training_burn::Burn::new(burn_engine::wgpu_device()?)),
            _ => Box::new(training_burn::Burn::new(Device::flex())),
        };
        device = learner.device();
        training::measure(learner.as_mut(), seconds)
    });
    print(json!({"peer": peer, "version": version(package), "device": device, "shape": training::NAME}), fields)
}

/// Prints a line with the fields that were measured, or with the reason why they were not.
fn print(mut line: Value, fields: Result<Value, Failure>) -> Result<(), Failure> {
    match (line.as_object_mut(), fields) {
        (Some(line), Ok(Value::Object(fields))) => line.extend(fields),
        (_, Err(why)) => line["error"] = why.to_string().into(),
        _ => return Err("a line is an object".into()),
    }
    println!("{line}");
    Ok(std::io::stdout().flush()?) // what follows may end the process
}

fn measure(engine: &dyn Engine, shape: &Shape, seconds: f64) -> Result<Value, Failure> {
    let mut clock = Clock { seconds, first_ms: 0.0, samples_ms: Vec::new() };
    let output = engine.run(shape, &mut clock)?;
    let mut fields = clock.fields();
    fields["count"] = output.len().into();
    fields["sum"] = output.iter().sum::<f64>().into();
    fields["abs"] = output.iter().map(|v| v.abs()).sum::<f64>().into();
    Ok(fields)
}

/// A panic inside an engine costs its shape alone.
fn guarded(run: impl FnOnce() -> Result<Value, Failure>) -> Result<Value, Failure> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
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

/// Threads of the engines on the CPU: both run on rayon.
fn threads() -> usize {
    let given = std::env::var("RAYON_NUM_THREADS").ok().and_then(|count| count.parse().ok());
    given.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1)
}
