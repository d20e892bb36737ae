//! GPU time: timestamp queries where the device has them, the wall clock around submit and wait where not. Always after a
//! warm-up and at the clock that the device works at (`burn`); the samples come back raw, medians and spreads are the caller's.

use crate::gpu::Gpu;
use crate::gpu::prepared::Bound;
use crate::gpu::recorder::Recorder;
use crate::types::{Error, Result};
use web_time::Instant;

/// Which clock a [`Timing`] was taken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The device's own, at both ends of the compute pass.
    Timestamps,
    /// The host's, around submit and wait: it counts the driver's overhead too.
    Wall,
}

/// Repeated times of one piece of work.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Seconds of each repeat.
    pub seconds: Vec<f64>,
    /// The clock.
    pub clock: Clock,
}

impl Timing {
    /// The middle sample; 0 without samples.
    pub fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }
}

/// The times of one kernel call of an op.
#[derive(Debug, Clone)]
pub struct StepTiming {
    /// The kernel: its file in `shaders/`, and what its variant was assembled for.
    pub kernel: String,
    /// Workgroups per axis.
    pub workgroups: [u32; 3],
    /// Its times.
    pub timing: Timing,
}

impl Bound {
    /// Times each kernel call of a recording by itself, `repeats` times and once before, after the op has run as a whole: where its time goes. A call reads what
    /// that run left, so that repeats give the same; a call that writes what it reads, of an op in place or an optimizer's step, does so each time. Calls that
    /// follow each other without a gap in a recording take less than these times added up.
    ///
    /// ```no_run
    /// # use wgconv::{ElementType, Gpu, Layout, Result, matmul::MatMulProblem, op::Prepared};
    /// # fn main() -> Result<()> {
    /// let gpu = Gpu::new()?;
    /// let [a, b] = [[512, 256], [256, 1024]];
    /// let prepared = Prepared::new(&gpu, MatMulProblem::matmul(&a, &b, ElementType::F32)?, &[])?;
    /// let [x, w] = [gpu.zeros(&a, ElementType::F32, Layout::ChannelsFirst)?, gpu.zeros(&b, ElementType::F32, Layout::ChannelsFirst)?];
    /// for step in prepared.bind(&[&x, &w], &[&prepared.output()?])?.time_steps(20)? {
    ///     println!("{:7.1} us  {}", step.timing.median() * 1e6, step.kernel);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// More than 2048 repeats; loss of the device.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn time_steps(&self, repeats: usize) -> Result<Vec<StepTiming>> {
        let gpu = self.gpu();
        let mut recorder = gpu.recorder();
        self.record(&mut recorder)?;
        recorder.submit()?;
        let of = |dispatch| {
            let mut record = |recorder: &mut Recorder<'_>| recorder.scoped("a step", |recorder| recorder.push(std::slice::from_ref(dispatch)));
            let timing = gpu.time(repeats, &mut record)?;
            Ok(StepTiming { kernel: dispatch.kernel.label.clone(), workgroups: dispatch.workgroups, timing })
        };
        self.dispatches().iter().map(of).collect()
    }
}

impl Gpu {
    /// Times what `record` records, `repeats` times after one warm-up run, each in a submit of its own.
    ///
    /// # Errors
    /// What `record` returns; loss of the device.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn time(&self, repeats: usize, record: &mut dyn FnMut(&mut Recorder<'_>) -> Result<()>) -> Result<Timing> {
        // Nothing in it is ever pending.
        pollster::block_on(self.timed(repeats, record, true))
    }

    /// As `time`, without blocking the calling thread. By the host's clock a run then includes what it takes the caller's executor to go on.
    ///
    /// # Errors
    /// As `time`.
    pub async fn time_async(&self, repeats: usize, record: &mut (dyn FnMut(&mut Recorder<'_>) -> Result<()> + Send)) -> Result<Timing> {
        self.timed(repeats, record, false).await
    }

    async fn timed<R>(&self, repeats: usize, record: &mut R, blocks: bool) -> Result<Timing>
    where
        R: FnMut(&mut Recorder<'_>) -> Result<()> + ?Sized,
    {
        let repeats = repeats.max(1);
        let mut warm_up = self.recorder();
        record(&mut warm_up)?;
        warm_up.submit()?;
        self.settled(blocks).await?;
        self.heat(blocks).await?;
        let (seconds, clock) = self.sampled(repeats, record, blocks, true).await?;
        Ok(Timing { seconds, clock })
    }

    /// Seconds of each of so many runs, each in a submit of its own; with `hot`, a burn goes ahead of each.
    pub(crate) async fn sampled<R>(&self, repeats: usize, record: &mut R, blocks: bool, hot: bool) -> Result<(Vec<f64>, Clock)>
    where
        R: FnMut(&mut Recorder<'_>) -> Result<()> + ?Sized,
    {
        if !self.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            let mut seconds = Vec::with_capacity(repeats);
            for _ in 0..repeats {
                let mut recorder = self.recorder();
                record(&mut recorder)?;
                if hot {
                    self.burn()?;
                    self.settled(blocks).await?;
                }
                let start = Instant::now();
                recorder.submit()?;
                self.settled(blocks).await?;
                seconds.push(start.elapsed().as_secs_f64());
            }
            return Ok((seconds, Clock::Wall));
        }
        let slots = u32::try_from(repeats)
            .ok()
            .filter(|r| *r <= 2048)
            .ok_or_else(|| Error::invalid("repeats", repeats, "at most 2048 repeats are timed at once"))?;
        let queries = self.scoped("timestamps", || {
            let descriptor = wgpu::QuerySetDescriptor { label: Some("wgconv timestamps"), ty: wgpu::QueryType::Timestamp, count: 2 * slots };
            Ok(self.device().create_query_set(&descriptor))
        })?;
        for slot in 0..slots {
            let mut recorder = Recorder::timed(self, &queries, slot);
            record(&mut recorder)?;
            if hot {
                self.burn()?; // submits run one after the other: the first timestamp is written when the burn has ended
            }
            recorder.submit()?;
            self.settled(blocks).await?;
        }
        let bytes = u64::from(slots) * 16;
        let resolved = self.create_buffer("wgconv timestamps", bytes, wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC)?;
        self.scoped("timestamps", || {
            let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("wgconv timestamps") });
            encoder.resolve_query_set(&queries, 0..2 * slots, &resolved, 0);
            Ok(self.submit(encoder))
        })?;
        #[cfg(not(target_arch = "wasm32"))]
        let bytes = if blocks {
            crate::gpu::tensor::read_buffer(self, &resolved, 0, bytes)?
        } else {
            crate::gpu::tensor::read_buffer_async(self, &resolved, 0, bytes).await?
        };
        #[cfg(target_arch = "wasm32")]
        let bytes = crate::gpu::tensor::read_buffer_async(self, &resolved, 0, bytes).await?;
        let ticks: &[u64] = &bytes.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect::<Vec<_>>();
        let period = f64::from(self.queue().get_timestamp_period()) * 1e-9;
        let seconds = ticks.as_chunks::<2>().0.iter().map(|[start, end]| end.saturating_sub(*start) as f64 * period).collect();
        Ok((seconds, Clock::Timestamps))
    }

    /// Waits for what was submitted.
    async fn settled(&self, _blocks: bool) -> Result<()> {
        #[cfg(not(target_arch = "wasm32"))]
        if _blocks {
            return self.wait();
        }
        self.wait_async().await
    }
}
