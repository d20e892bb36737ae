//! The ops as methods: recorded on a [`crate::Recorder`], or at once on a [`crate::Gpu`].

pub(crate) mod conv;
pub(crate) mod elementwise;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod pool;
pub(crate) mod reduce;
pub(crate) mod reshape;
pub(crate) mod softmax;
pub(crate) mod transform;

/// Gives [`crate::Gpu`] the methods of [`crate::Recorder`] that are named, as eager calls: recorded, submitted, not waited for.
macro_rules! eager {
    ($(fn $name:ident $(<const $rank:ident: usize>)? ($($argument:ident: $kind:ty),* $(,)?) -> $output:ty;)*) => {
        impl $crate::gpu::Gpu {
            $(
                #[doc = concat!("[`Recorder::", stringify!($name), "`](crate::Recorder::", stringify!($name), ") at once: submits, and returns without waiting.")]
                ///
                /// # Errors
                /// As there.
                pub fn $name $(<const $rank: usize>)? (&self, $($argument: $kind),*) -> $crate::types::Result<$output> {
                    let mut recorder = self.recorder();
                    let output = recorder.$name($($argument),*)?;
                    recorder.submit()?;
                    Ok(output)
                }
            )*
        }
    };
}

pub(crate) use eager;
