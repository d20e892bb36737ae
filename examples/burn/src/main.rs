//! wgconv as the convolution backend of burn: on burn's own wgpu device, queue and buffers, without a copy, forward and backward.
//!
//! `wgconv-burn [SECONDS]` checks it against burn and against a reference, then times both by turns, SECONDS a line (1 by default, 0 for no times).

mod bridge;
mod check;
mod clock;
mod conv;
mod network;

use bridge::Failure;
use burn::tensor::wgpu::{MemoryConfiguration, WgpuSetup};
use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use network::{BATCH, By, IMAGE, Learner, Network};
use std::time::Duration;

fn main() -> Result<(), Failure> {
    let seconds = match std::env::args().nth(1) {
        Some(given) => given.parse().ok().filter(|s: &f64| (0.0..1e6).contains(s)).ok_or_else(|| format!("SECONDS is {given}: it is a number"))?,
        None => 1.0,
    };
    // 1. burn's device as burn makes it, and its handles.
    let (device, setup) = open()?;
    let gpu = bridge::engine(&setup)?;
    println!("burn {} and wgconv on {}", version("burn"), gpu.report());
    // 2. The same wgpu device with burn's other memory: a buffer of its own for each tensor. Only burn's allocator differs.
    let options = Device::wgpu_options().memory_config(MemoryConfiguration::ExclusivePages);
    let exclusive = options.setup(setup.clone()).init()?;
    for (name, device) in [("many tensors a buffer, burn's default", &device), ("a buffer for each tensor", &exclusive)] {
        println!("\nburn's memory: {name}");
        bridge::attach(device, &gpu)?;
        checks(device)?;
        if seconds > 0.0 {
            times(device, Duration::from_secs_f64(seconds))?;
        }
    }
    Ok(())
}

/// burn's best device, or where there is none a software driver, which burn counts as a processor.
fn open() -> Result<(Device, WgpuSetup), Failure> {
    let of = |kind: DeviceKind| Device::wgpu_options().device_kind(kind).init_with_setup();
    Ok(of(DeviceKind::DefaultDevice).or_else(|_| of(DeviceKind::Cpu))?)
}

fn checks(device: &Device) -> Result<(), Failure> {
    println!("  the largest error, as a share of what f32 sums may be wrong by:");
    let [before, shared_before] = bridge::runs();
    for case in check::cases() {
        println!("    {}", case.check(device)?);
    }
    check::check_views(device)?;
    println!("  a transposed tensor and slices give the bits that tensors of their own give");
    let (network, x) = sample(device);
    let [burn, wgconv] = check::check_training(&network, &x, &device.clone().autodiff())?;
    let last = check::STEPS;
    println!("  loss by burn {:.6} -> {:.6}, by wgconv {:.6} -> {:.6} in {last} steps", burn[0], burn[last], wgconv[0], wgconv[last]);
    let [after, shared_after] = bridge::runs();
    println!("  {} ops by wgconv, {} of them wrote into a buffer that they read", after - before, shared_after - shared_before);
    Ok(())
}

fn sample(device: &Device) -> (Network, Vec<f32>) {
    device.seed(1);
    (Network::new(&device.clone().autodiff()), check::values(BATCH * IMAGE.iter().product::<usize>(), 5))
}

fn times(device: &Device, budget: Duration) -> Result<(), Failure> {
    println!("  ms, median (quartiles) by turns; ratio: burn / wgconv, pair by pair");
    let (network, images) = sample(device);
    let learning = device.clone().autodiff();
    let layers = [("first layer", &network.first, [3, 32]), ("second layer", &network.second, [16, 16]), ("third layer", &network.third, [32, 8])];
    for (name, layer, [channels, side]) in layers {
        let extents = [BATCH, channels, side, side];
        let x = Tensor::<4>::from_data(TensorData::new(check::values(extents.iter().product(), 6), extents), &learning);
        let mut forward = By::BOTH.map(|by| {
            let x = x.clone();
            move || by.layer(layer, x.clone()).map(drop)
        });
        let [burn, wgconv] = &mut forward;
        print(&format!("{name}, forward"), clock::time(device, budget, [burn, wgconv])?);
        let x = x.require_grad();
        let mut both = By::BOTH.map(|by| {
            let x = x.clone();
            move || by.layer(layer, x.clone()).map(|y| drop(y.sum().backward()))
        });
        let [burn, wgconv] = &mut both;
        print(&format!("{name}, and its gradients"), clock::time(device, budget, [burn, wgconv])?);
    }
    let [mut burn, mut wgconv] = By::BOTH.map(|by| Learner::new(by, &network, &images, &learning));
    print("training step", clock::time(device, budget, [&mut || burn.step(), &mut || wgconv.step()])?);
    Ok(())
}

fn print(name: &str, clock::Pair { times: [burn, wgconv], ratio, count }: clock::Pair) {
    println!("    {name:<28} burn {burn}, wgconv {wgconv}, ratio {ratio}, {count} pairs");
}

/// The version of a package in the lock file, so that what is printed is what was built.
fn version(package: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let entry = format!("name = \"{package}\"\nversion = \"");
    lock.split_once(&entry).and_then(|(_, rest)| rest.split('"').next()).unwrap_or("unknown")
}
