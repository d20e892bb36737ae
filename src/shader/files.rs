//! The files under `shaders/`, embedded.

/// File name under `shaders/` and text.
pub type File = (&'static str, &'static str);

macro_rules! files {
    ($($name:literal,)+) => {
        /// Every file, by name.
        pub static FILES: &[File] = &[$(($name, include_str!(concat!("../../shaders/", $name)))),+];
    };
}

files! {
    "conv/block_line.wgsl",
    "conv/depthwise.wgsl",
    "conv/depthwise_block.wgsl",
    "conv/direct.wgsl",
    "conv/epilogue.wgsl",
    "conv/gemm.wgsl",
    "conv/implicit_gemm.wgsl",
    "conv/pack.wgsl",
    "conv/pack_filter.wgsl",
    "conv/pointwise.wgsl",
    "conv/pointwise_vec4.wgsl",
    "conv/problem.wgsl",
    "conv/right_hand_side.wgsl",
    "conv/store_block.wgsl",
    "conv/store_columns.wgsl",
    "conv/store_output.wgsl",
    "conv/sum.wgsl",
    "conv/winograd.wgsl",
    "conv/winograd_axes.wgsl",
    "conv/winograd_f2.wgsl",
    "conv/winograd_f4.wgsl",
    "conv/winograd_filter.wgsl",
    "conv/winograd_input.wgsl",
    "conv/winograd_input_pairs.wgsl",
    "conv/winograd_output.wgsl",
    "conv/winograd_output_pairs.wgsl",
    "conv/winograd_tile.wgsl",
    "elementwise/binary.wgsl",
    "elementwise/unary.wgsl",
    "gemm/block.wgsl",
    "gemm/line_range.wgsl",
    "gemm/magnitudes.wgsl",
    "gemm/magnitudes_join.wgsl",
    "gemm/coop.wgsl",
    "gemm/coop_operands.wgsl",
    "gemm/coop_range.wgsl",
    "gemm/register.wgsl",
    "gemm/slab.wgsl",
    "gemm/store_block.wgsl",
    "gemm/sum.wgsl",
    "gemm/workgroup.wgsl",
    "lib/activation.wgsl",
    "lib/axis.wgsl",
    "lib/item.wgsl",
    "lib/row_threads.wgsl",
    "lib/strided_axes.wgsl",
    "lib/strided_axis.wgsl",
    "lib/number.wgsl",
    "lib/vec4_io.wgsl",
    "lib/item_range.wgsl",
    "lib/source.wgsl",
    "matmul/direct.wgsl",
    "matmul/gemm.wgsl",
    "matmul/pack.wgsl",
    "matmul/pack_operand.wgsl",
    "matmul/pack_pairs.wgsl",
    "matmul/problem.wgsl",
    "matmul/store_columns.wgsl",
    "matmul/store_element.wgsl",
    "matmul/sum.wgsl",
    "matmul/gemv.wgsl",
    "peak/copy.wgsl",
    "peak/fma.wgsl",
    "pool/max_unpool.wgsl",
    "pool/pairs.wgsl",
    "pool/pool.wgsl",
    "pool/window.wgsl",
    "rows/argmax.wgsl",
    "rows/batch_norm.wgsl",
    "rows/batch_norm_fold.wgsl",
    "rows/lrn.wgsl",
    "rows/norm.wgsl",
    "rows/reduce.wgsl",
    "rows/reduce_params.wgsl",
    "rows/softmax.wgsl",
    "transform/axes.wgsl",
    "transform/copy.wgsl",
    "transform/gather.wgsl",
    "transform/resize_linear.wgsl",
    "transform/tile.wgsl",
}

/// The text of a file.
pub(crate) fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(own, _)| *own == name).map(|(_, text)| *text)
}
