//! Keeps a GPU at the clock that it works at while times are taken.
//!
//! A GPU that rests lowers its clock: an H100 then computes at 0.18 of its speed, and 150 ms of work go by before the clock is up again. What was timed after
//! a pause, such as a check on the host, would be slower by that ratio than what was timed before it. So the clock is brought up first, by multiply-adds in registers until
//! they take no less time than before, and held up by a millisecond of them ahead of every run that is timed. A processor has no such clock of its own.

use crate::gpu::Gpu;
use crate::gpu::pipelines::{Binding, Dispatch};
use crate::gpu::recorder::Recorder;
use crate::shader::KernelSpec;
use crate::shader::source::PEAK_FMA;
use crate::types::{ElementType, Result};
use std::sync::PoisonError;
use std::time::Duration;
use web_time::Instant;

/// Iterations of the loop of [`PEAK_FMA`].
pub(crate) const ITERATIONS: u32 = 64;

/// Seconds of a burn at the full clock, about.
const BURN: f64 = 1e-3;

/// Burns of one submit: the device waits for the host once in so many.
const AT_ONCE: u32 = 8;

/// How long a device is given that has not burnt before, to learn what its full clock is; and the longest that is waited for it.
const FIRST: Duration = Duration::from_millis(400);
const LONGEST: Duration = Duration::from_millis(1000);

/// So much longer than the shortest burn is still the full clock.
const SLACK: f64 = 1.04;

/// The work, and the shortest time that it has taken.
pub(crate) struct Burner {
    dispatch: Dispatch,
    least: Option<f64>,
}

/// Multiply-adds in registers by so many workgroups; the buffer holds what they start from.
pub(crate) fn multiply_adds(gpu: &Gpu, workgroups: u32) -> Result<Dispatch> {
    let buffer = gpu.create_buffer("wgconv peak", 256, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST)?;
    gpu.write_small("wgconv peak", &buffer, bytemuck::cast_slice(&[0.5f32, 0.25]))?;
    let spec = KernelSpec { source: &PEAK_FMA, element: ElementType::F32, consts: vec![("ITERATIONS", ITERATIONS)], overrides: vec![] };
    let kernel = gpu.kernels().get(gpu, &spec)?;
    gpu.scoped("wgconv peak", || Ok(Dispatch::new(gpu, &kernel, vec![Binding::whole(&buffer)], [workgroups, 1, 1])))
}

impl Burner {
    fn record(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        recorder.scoped("wgconv burn", |recorder| recorder.push(std::slice::from_ref(&self.dispatch)))
    }
}

impl Gpu {
    /// Submits a burn; nothing on a processor, or before the first [`Gpu::heat`].
    pub(crate) fn burn(&self) -> Result<()> {
        let burner = self.burner().lock().unwrap_or_else(PoisonError::into_inner);
        let Some(burner) = burner.as_ref() else { return Ok(()) };
        let mut recorder = self.recorder();
        burner.record(&mut recorder)?;
        recorder.submit()
    }

    /// Brings the clock up: a few milliseconds where it is up.
    ///
    /// # Errors
    /// Loss of the device.
    pub(crate) async fn heat(&self, blocks: bool) -> Result<()> {
        if self.profile().is_cpu { Ok(()) } else { self.bring_up(blocks).await }
    }

    async fn bring_up(&self, blocks: bool) -> Result<()> {
        // Taken out meanwhile: a lock is not held while something is awaited. A second one who comes now makes a burner of its own.
        let taken = self.burner().lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut burner = match taken {
            Some(burner) => burner,
            None => self.new_burner(blocks).await?,
        };
        let known = burner.least;
        let start = Instant::now();
        loop {
            let seconds = self.burn_seconds(&burner.dispatch, AT_ONCE, blocks).await?;
            let least = burner.least.map_or(seconds, |least| least.min(seconds));
            burner.least = Some(least);
            let waited = start.elapsed();
            if waited > LONGEST {
                burner.least = Some(seconds); // the device has another full clock now: it is hot, or shares its power
                break;
            }
            if seconds <= SLACK * least && (known.is_some() || waited > FIRST) {
                break;
            }
        }
        *self.burner().lock().unwrap_or_else(PoisonError::into_inner) = Some(burner);
        Ok(())
    }

    /// One whose burns take about [`BURN`]: grown until they do.
    async fn new_burner(&self, blocks: bool) -> Result<Burner> {
        let mut workgroups = 128;
        loop {
            let dispatch = multiply_adds(self, workgroups)?;
            if workgroups >= 32_768 || self.burn_seconds(&dispatch, 2, blocks).await? > BURN / 2.0 {
                return Ok(Burner { dispatch, least: None });
            }
            workgroups *= 2;
        }
    }

    /// Seconds of one burn, of so many in a submit.
    async fn burn_seconds(&self, dispatch: &Dispatch, count: u32, blocks: bool) -> Result<f64> {
        let all = vec![dispatch.clone(); count as usize];
        let mut once = |recorder: &mut Recorder<'_>| recorder.scoped("wgconv burn", |recorder| recorder.push(&all));
        let (seconds, _) = self.sampled(1, &mut once, blocks, false).await?;
        Ok(seconds.iter().sum::<f64>() / f64::from(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On whatever adapter there is: a processor's clock stays as it is, but the work is the same.
    #[test]
    fn a_burner_is_made_once_and_knows_its_shortest_burn() {
        let gpu = Gpu::new().unwrap();
        gpu.burn().unwrap(); // there is none yet
        assert_eq!(gpu.counters().pipelines, 0);
        pollster::block_on(gpu.bring_up(true)).unwrap();
        let least = || gpu.burner().lock().unwrap().as_ref().and_then(|burner| burner.least).unwrap();
        assert!(least() > 0.0);
        pollster::block_on(gpu.bring_up(false)).unwrap();
        gpu.burn().unwrap();
        gpu.wait().unwrap();
        assert!(least() > 0.0);
        assert_eq!(gpu.counters().pipelines, 1);
    }
}
