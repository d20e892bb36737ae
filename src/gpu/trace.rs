//! Spans round what takes time on the host, for the `tracing` crate: `wgconv.prepare`, `.compile`, `.record`, `.submit` and `.download`, each with a field `what`, at
//! the level debug and the target `wgconv`. Without the feature `tracing` nothing is left of them.

/// An entered span, until it is dropped. It is of one thread: no `await` may lie within.
#[cfg(feature = "tracing")]
pub(crate) type Span = tracing::span::EnteredSpan;

/// Nothing.
#[cfg(not(feature = "tracing"))]
pub(crate) struct Span;

/// What is timed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    /// A plan gets its pipelines and buffers.
    Prepare,
    /// A pipeline is made.
    Compile,
    /// Kernel calls go into an encoder.
    Record,
    /// An encoder goes to the queue.
    Submit,
    /// Bytes come back, with the wait for them where the call blocks.
    Download,
}

/// Enters the span of `stage`; `what` is a plan, a kernel or nothing.
#[cfg(feature = "tracing")]
pub(crate) fn span(stage: Stage, what: &str) -> Span {
    match stage {
        Stage::Prepare => tracing::debug_span!(target: "wgconv", "wgconv.prepare", what),
        Stage::Compile => tracing::debug_span!(target: "wgconv", "wgconv.compile", what),
        Stage::Record => tracing::debug_span!(target: "wgconv", "wgconv.record", what),
        Stage::Submit => tracing::debug_span!(target: "wgconv", "wgconv.submit", what),
        Stage::Download => tracing::debug_span!(target: "wgconv", "wgconv.download", what),
    }
    .entered()
}

/// Without the feature, nothing.
#[cfg(not(feature = "tracing"))]
pub(crate) fn span(_: Stage, _: &str) -> Span {
    Span
}

#[cfg(all(test, feature = "tracing"))]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    /// Names of spans in the order in which they were made.
    #[derive(Clone, Default)]
    struct Names(Arc<Mutex<Vec<&'static str>>>);

    impl Subscriber for Names {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, span: &Attributes<'_>) -> Id {
            let mut names = self.0.lock().unwrap();
            names.push(span.metadata().name());
            Id::from_u64(names.len() as u64)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn every_stage_of_an_op_on_a_device_has_its_span() {
        let names = Names::default();
        tracing::subscriber::with_default(names.clone(), || {
            let gpu = crate::gpu::Gpu::new().unwrap();
            let x = gpu.upload(&ndarray::array![1.0f32, -2.0, 3.0]).unwrap();
            let y = gpu.run(|r| r.activation(&x, crate::types::Activation::Relu)).unwrap();
            assert_eq!(y.download::<f32, ndarray::Ix1>().unwrap(), ndarray::array![1.0, 0.0, 3.0]);
        });
        let names = names.0.lock().unwrap();
        for stage in ["prepare", "compile", "record", "submit", "download"] {
            assert!(names.iter().any(|name| *name == format!("wgconv.{stage}")), "{stage}: {names:?}");
        }
    }
}
