//! ONNX's ops, one function each: from a node with its inputs to values, by the rules of the model's opset. What is known is computed on the host, the
//! rest becomes nodes of the graph. [`find`] is the list of what there is.

mod conv;
mod elementwise;
mod gather;
mod indexed;
mod logic;
mod math;
mod matmul;
mod norm;
mod pool;
mod quantize;
mod recurrent;
mod reduce;
mod resize;
mod sample;
mod shapes;
mod views;
mod weights;

use crate::import::{Context, Fault, Value};

/// What an op's importer gives: its outputs in order. Those that are left out at the end are not wanted.
pub(crate) type Made<'m> = Result<Vec<Value<'m>>, Fault>;

/// An op's importer.
pub(crate) type Build = for<'c, 'm> fn(&mut Context<'c, 'm>) -> Made<'m>;

/// The importer of an op of ONNX's own domain.
pub(crate) fn find(op: &str) -> Option<Build> {
    Some(match op {
        "Conv" => conv::conv,
        "ConvTranspose" => conv::conv_transpose,

        "MaxPool" => pool::max_pool,
        "AveragePool" => pool::average_pool,
        "LpPool" => pool::lp_pool,
        "GlobalMaxPool" => pool::global_max_pool,
        "GlobalAveragePool" => pool::global_average_pool,
        "GlobalLpPool" => pool::global_lp_pool,
        "MaxUnpool" => pool::max_unpool,

        "BatchNormalization" => norm::batch,
        "InstanceNormalization" => norm::instance,
        "GroupNormalization" => norm::group,
        "LayerNormalization" => norm::layer,
        "RMSNormalization" => norm::root_mean_square,
        "LpNormalization" => norm::lp,
        "MeanVarianceNormalization" => norm::mean_variance,
        "LRN" => norm::lrn,
        "Softmax" => norm::softmax,
        "LogSoftmax" => norm::log_softmax,

        "Gemm" => matmul::gemm,
        "MatMul" => matmul::matmul,

        "Relu" | "LeakyRelu" | "Sigmoid" | "Tanh" | "Elu" | "Selu" | "Celu" | "Softplus" | "Softsign" | "HardSigmoid" | "HardSwish" | "Mish"
        | "Gelu" | "ThresholdedRelu" => elementwise::activation,
        "Swish" => elementwise::swish,
        "Clip" => elementwise::clip,
        "Add" | "Sub" | "Mul" | "Div" => elementwise::binary,
        "Sum" | "Mean" | "Max" | "Min" => elementwise::variadic,
        "Pow" => elementwise::pow,
        "PRelu" => elementwise::prelu,
        "Shrink" => elementwise::shrink,
        "Mod" => elementwise::modulo,
        "Abs" | "Neg" | "Sign" | "Floor" | "Ceil" | "Round" | "Sqrt" | "Reciprocal" | "Exp" | "Log" | "Erf" | "Sin" | "Cos" => elementwise::unary,
        "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" => logic::compare,
        "And" | "Or" | "Xor" => logic::combine,
        "Not" => logic::not,
        "Where" => logic::choose,
        "IsNaN" => logic::is_nan,
        "IsInf" => logic::is_inf,

        "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" | "ReduceLogSum"
        | "ReduceLogSumExp" => reduce::reduce,
        "ArgMax" | "ArgMin" => reduce::arg,
        "TopK" => indexed::top_k,

        "Constant" => shapes::constant,
        "ConstantOfShape" => shapes::constant_of_shape,
        "Shape" => shapes::shape,
        "Size" => shapes::size,
        "Range" => shapes::range,
        "EyeLike" => shapes::eye_like,
        "Cast" | "CastLike" => shapes::cast,
        "Trilu" => shapes::triangle,

        "Identity" => views::identity,
        "Dropout" => views::dropout,
        "Reshape" => views::reshape,
        "Flatten" => views::flatten,
        "Squeeze" => views::squeeze,
        "Unsqueeze" => views::unsqueeze,
        "Transpose" => views::transpose,
        "Expand" => views::expand,
        "Tile" => views::tile,

        "Concat" => gather::concat,
        "Split" => gather::split,
        "Slice" => gather::slice,
        "Gather" => indexed::gather,
        "GatherElements" => indexed::gather_elements,
        "GatherND" => indexed::gather_nd,
        "Scatter" | "ScatterElements" => indexed::scatter_elements,
        "ScatterND" => indexed::scatter_nd,
        "Pad" => gather::pad,
        "CenterCropPad" => gather::center_crop_pad,
        "DepthToSpace" => gather::depth_to_space,
        "SpaceToDepth" => gather::space_to_depth,

        "LSTM" => recurrent::lstm,
        "GRU" => recurrent::gru,
        "RNN" => recurrent::rnn,

        "Resize" => resize::resize,
        "Upsample" => resize::upsample,
        "GridSample" => sample::grid_sample,

        "QuantizeLinear" => quantize::quantize,
        "DequantizeLinear" => quantize::dequantize,
        "QLinearConv" => quantize::conv,
        "QLinearMatMul" => quantize::matmul,
        "ConvInteger" => quantize::conv_integer,
        "MatMulInteger" => quantize::matmul_integer,
        _ => return None,
    })
}

/// Why an op that [`find`] does not have cannot be imported.
pub(crate) fn why_not(op: &str) -> String {
    let reason = match op {
        "Loop" | "Scan" => "it repeats a graph of its own, and a graph here has no loops",
        "RoiAlign" | "DeformConv" | "AffineGrid" => "the graph has no op that reads at positions that are computed",
        "NonZero" | "Unique" | "NonMaxSuppression" | "Compress" => "its extents follow from numbers, and those of a graph here do not",
        _ => "this op is not known",
    };
    reason.into()
}
