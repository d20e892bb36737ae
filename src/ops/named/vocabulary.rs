//! The vocabulary: every op that can be built by name.

use super::signature::{Attribute, Signature};

/// An attribute that test vectors write out.
const fn attribute(name: &'static str, takes: &'static str, default: &'static str) -> Attribute {
    Attribute { name, takes, default, written: true }
}

/// One that they leave out.
const fn unwritten(name: &'static str, takes: &'static str, default: &'static str) -> Attribute {
    Attribute { name, takes, default, written: false }
}

const fn op(
    op: &'static str,
    inputs: &'static [&'static str],
    optional: &'static [&'static str],
    attributes: &'static [&'static [Attribute]],
    example: &'static str,
) -> Signature {
    Signature { op, inputs, optional, attributes, example }
}

const LIST: &str = "a number for each spatial axis";
const FLAG: &str = "0 or 1";
const NUMBER: &str = "a number";
const ACTIVATION: Attribute = attribute("activation", "the name of an activation, or {\"type\": name} with its attributes", "\"none\"");
const STEPS: &[Attribute] = &[
    attribute("strides", LIST, "ones"),
    attribute("dilations", LIST, "ones"),
    attribute("auto_pad", "NOTSET, VALID, SAME_UPPER or SAME_LOWER", "\"NOTSET\""),
    attribute("pads", "all begins, then all ends", "zeros"),
];
const FILTER: &[Attribute] = &[attribute("kernel_shape", LIST, "w's")];
const WINDOW: &[Attribute] = &[attribute("kernel_shape", LIST, "")];
const CONV: &[Attribute] =
    &[attribute("group", NUMBER, "1"), attribute("padding_mode", "zeros, reflect, replicate or circular", "\"zeros\""), ACTIVATION];
const GRADIENT: &[Attribute] = &[attribute("group", NUMBER, "1")];
const POOL: &[Attribute] = &[
    attribute("strides", LIST, "kernel_shape"),
    attribute("dilations", LIST, "ones"),
    attribute("auto_pad", "NOTSET, VALID, SAME_UPPER or SAME_LOWER", "\"NOTSET\""),
    attribute("pads", "all begins, then all ends", "zeros"),
    attribute("ceil_mode", FLAG, "0"),
];
const TRANSPOSED: &[Attribute] =
    &[attribute("group", NUMBER, "1"), attribute("output_padding", LIST, "zeros"), attribute("output_shape", LIST, "null"), ACTIVATION];
const RESIDUAL: &[Attribute] = &[
    attribute("of", "conv or linear; what follows activation is conv's alone", ""),
    ACTIVATION,
    unwritten("kernel_shape", LIST, "w's"),
    unwritten("strides", LIST, "ones"),
    unwritten("dilations", LIST, "ones"),
    unwritten("auto_pad", "NOTSET, VALID, SAME_UPPER or SAME_LOWER", "\"NOTSET\""),
    unwritten("pads", "all begins, then all ends", "zeros"),
    unwritten("group", NUMBER, "1"),
    unwritten("padding_mode", "zeros, reflect, replicate or circular", "\"zeros\""),
];
const UNPOOL: &[Attribute] = &[
    attribute("kernel_shape", LIST, ""),
    attribute("strides", LIST, ""),
    attribute("pads", "all begins, then all ends", "zeros"),
    attribute("output_shape", "the spatial extents, or null", "null"),
];
const GEMM: &[Attribute] =
    &[attribute("alpha", NUMBER, "1.0"), attribute("beta", NUMBER, "1.0"), attribute("transA", FLAG, "0"), attribute("transB", FLAG, "0")];
const REDUCE: &[Attribute] = &[attribute("axes", "a list of axes, negative ones from the end; none for all", "[]"), attribute("keepdims", FLAG, "0")];
const AXIS: &[Attribute] = &[attribute("axis", "an axis, negative ones from the end", "-1")];
const P: &[Attribute] = &[attribute("p", "the norm's power", "2.0")];
const OUTPUT_SIZE: &[Attribute] = &[attribute("output_size", LIST, "")];
const EPSILON: &[Attribute] = &[attribute("epsilon", NUMBER, "1e-5")];
const ALPHA: &[Attribute] = &[attribute("alpha", NUMBER, "1.0")];
const BLOCKS: &[Attribute] = &[attribute("blocksize", NUMBER, ""), attribute("mode", "DCR or CRD", "\"DCR\"")];
const ONE_IMAGE: &str = r#""input": [1, 16, 28, 28]"#;
const TWO: &str = r#""a": [2, 16, 28, 28], "b": [16, 1, 1]"#;
const GATHER: &[Attribute] = &[attribute("axis", "an axis, negative ones from the end", "0")];
const REDUCTION: &[Attribute] = &[attribute("reduction", "none, add, mul, max or min", "\"none\"")];
const FORMAT: Attribute = attribute("format", "rgba8, rgb8 or gray8: the bytes of a pixel, four a word", "");
const AFFINE: &[Attribute] =
    &[attribute("scale", "1, 3 or 4 numbers: a tensor has (byte / 255 - mean) scale", "[1.0]"), attribute("mean", "1, 3 or 4 numbers", "[0.0]")];
const INDEXED: &[&str] = &["x", "indices"];
const UPDATED: &[&str] = &["x", "indices", "updates"];
const X: &[&str] = &["x"];
const AB: &[&str] = &["a", "b"];
const SCALED: &[&str] = &["scale", "bias"];

/// Every op that can be built by name.
pub const SIGNATURES: &[Signature] = &[
    op(
        "conv",
        &["x", "w"],
        &["b"],
        &[FILTER, STEPS, CONV],
        r#""input": [1, 3, 32, 32], "filter": [8, 3, 3, 3], "pads": [1, 1, 1, 1], "activation": "relu""#,
    ),
    op(
        "conv_transpose",
        &["x", "w"],
        &["b"],
        &[FILTER, STEPS, TRANSPOSED],
        r#""input": [1, 16, 14, 14], "filter": [16, 8, 2, 2], "strides": [2, 2]"#,
    ),
    op(
        "conv_backward_filter",
        &["x", "dy"],
        &[],
        &[WINDOW, STEPS, GRADIENT],
        r#""x": [8, 16, 14, 14], "dy": [8, 32, 12, 12], "kernel_shape": [3, 3]"#,
    ),
    op(
        "add_residual",
        &["x", "w", "residual"],
        &["b"],
        &[RESIDUAL],
        r#""of": "conv", "input": [1, 8, 14, 14], "filter": [8, 8, 1, 1], "residual": [1, 8, 14, 14], "activation": "relu""#,
    ),
    op(
        "max_pool",
        X,
        &[],
        &[WINDOW, POOL, &[attribute("storage_order", FLAG, "0")]],
        r#""input": [1, 16, 28, 28], "kernel_shape": [2, 2], "strides": [2, 2]"#,
    ),
    op(
        "average_pool",
        X,
        &[],
        &[WINDOW, POOL, &[attribute("count_include_pad", FLAG, "0")]],
        r#""input": [1, 16, 28, 28], "kernel_shape": [3, 3], "pads": [1, 1, 1, 1]"#,
    ),
    op("lp_pool", X, &[], &[WINDOW, POOL, P], r#""input": [1, 16, 28, 28], "kernel_shape": [2, 2], "p": 3"#),
    op("global_max_pool", X, &[], &[], ONE_IMAGE),
    op("global_average_pool", X, &[], &[], ONE_IMAGE),
    op("global_lp_pool", X, &[], &[P], ONE_IMAGE),
    op("adaptive_max_pool", X, &[], &[OUTPUT_SIZE], r#""input": [1, 16, 28, 28], "output_size": [7, 7]"#),
    op("adaptive_average_pool", X, &[], &[OUTPUT_SIZE], r#""input": [1, 16, 28, 28], "output_size": [7, 7]"#),
    op("adaptive_lp_pool", X, &[], &[OUTPUT_SIZE, P], r#""input": [1, 16, 28, 28], "output_size": [7, 7]"#),
    op(
        "max_unpool",
        &["x", "indices"],
        &[],
        &[UNPOOL],
        r#""input": [1, 16, 14, 14], "indices": [1, 16, 14, 14], "kernel_shape": [2, 2], "strides": [2, 2]"#,
    ),
    op("matmul", AB, &[], &[], r#""a": [2, 64, 48], "b": [48, 32]"#),
    op("gemm", AB, &["c"], &[GEMM], r#""a": [64, 48], "b": [48, 48], "c": [48], "transB": 1"#),
    op("linear", &["x", "w"], &["b"], &[&[ACTIVATION]], r#""input": [4, 128], "filter": [10, 128], "b": [10], "activation": "relu""#),
    op("add", AB, &[], &[], TWO),
    op("sub", AB, &[], &[], TWO),
    op("mul", AB, &[], &[], TWO),
    op("div", AB, &[], &[], TWO),
    op("power", AB, &[], &[], TWO),
    op("equal", AB, &[], &[], TWO),
    op("not_equal", AB, &[], &[], TWO),
    op("less", AB, &[], &[], TWO),
    op("less_or_equal", AB, &[], &[], TWO),
    op("greater", AB, &[], &[], TWO),
    op("greater_or_equal", AB, &[], &[], TWO),
    op("where", &["condition", "a", "b"], &[], &[], r#""condition": [28, 28], "a": [1, 16, 28, 28], "b": [16, 1, 1]"#),
    op("min", &["x0"], &["x1"], &[], r#""x0": [4, 100], "x1": [100]"#),
    op("max", &["x0"], &["x1"], &[], r#""x0": [4, 100], "x1": [100]"#),
    op("prelu", &["x", "slope"], &[], &[], r#""input": [1, 16, 28, 28], "slope": [16, 1, 1]"#),
    op("cast", X, &[], &[&[attribute("to", "f32 or f16", "")]], r#""input": [1, 64, 56, 56], "to": "f16""#),
    op(
        "dropout",
        &["x", "key"],
        &[],
        &[&[
            attribute("p", "the probability that an element becomes 0, from 0 to below 1", "0.5"),
            attribute("stream", "a number; dropouts of one have the same mask", "0"),
        ]],
        r#""input": [8, 1000], "key": [4], "p": 0.1"#,
    ),
    op("softmax", X, &[], &[AXIS], r#""input": [8, 1000]"#),
    op("log_softmax", X, &[], &[AXIS], r#""input": [8, 1000]"#),
    op("reduce_sum", X, &[], &[REDUCE], r#""input": [8, 1000], "axes": [1]"#),
    op("reduce_mean", X, &[], &[REDUCE], r#""input": [1, 16, 28, 28], "axes": [2, 3], "keepdims": 1"#),
    op("reduce_max", X, &[], &[REDUCE], r#""input": [8, 1000], "axes": [-1]"#),
    op("reduce_min", X, &[], &[REDUCE], r#""input": [8, 1000], "axes": [-1]"#),
    op("reduce_prod", X, &[], &[REDUCE], r#""input": [8, 1000], "axes": [-1]"#),
    op(
        "argmax",
        X,
        &[],
        &[&[
            attribute("axis", "an axis, negative ones from the end; null for the flat tensor", "null"),
            attribute("keepdims", FLAG, "0"),
            attribute("select_last_index", FLAG, "0"),
        ]],
        r#""input": [8, 1000], "axis": 1"#,
    ),
    op(
        "batch_norm",
        &["x", "mean", "var"],
        SCALED,
        &[
            EPSILON,
            &[
                attribute("training_mode", "0: as a trained network", "0"),
                unwritten("momentum", "of training, without effect here", "0.9"),
                unwritten("running_var", "of training, without effect here", "\"biased\""),
            ],
        ],
        r#""input": [1, 16, 28, 28], "scale": [16], "bias": [16], "mean": [16], "var": [16]"#,
    ),
    op("layer_norm", X, SCALED, &[AXIS, EPSILON], r#""input": [4, 196, 128], "scale": [128], "bias": [128]"#),
    op("group_norm", X, SCALED, &[&[attribute("num_groups", NUMBER, "")], EPSILON], r#""input": [1, 16, 28, 28], "num_groups": 4"#),
    op("instance_norm", X, SCALED, &[EPSILON], ONE_IMAGE),
    op(
        "lrn",
        X,
        &[],
        &[&[
            attribute("size", "channels of a window", ""),
            attribute("alpha", NUMBER, "1e-4"),
            attribute("beta", NUMBER, "0.75"),
            attribute("bias", NUMBER, "1.0"),
        ]],
        r#""input": [1, 16, 28, 28], "size": 5"#,
    ),
    op("reshape", X, &[], &[&[attribute("shape", "extents; 0 keeps one, -1 takes the rest", "")]], r#""input": [4, 6], "shape": [3, -1]"#),
    op("flatten", X, &[], &[&[attribute("axis", "the first axis of the second half", "1")]], r#""input": [4, 6, 5]"#),
    op(
        "concat",
        &["x0"],
        &["x1"],
        &[&[attribute("axis", "an axis, negative ones from the end", "")]],
        r#""x0": [1, 8, 14, 14], "x1": [1, 4, 14, 14], "axis": 1"#,
    ),
    op(
        "slice",
        X,
        &[],
        &[&[
            attribute("starts", "a list, negative ones from the end", ""),
            attribute("ends", "a list, negative ones from the end", ""),
            attribute("axes", "a list of axes", "the first ones"),
            attribute("steps", "a list; negative ones go backwards", "ones"),
        ]],
        r#""input": [4, 16, 28], "starts": [1, 2], "ends": [3, 14], "axes": [1, 2]"#,
    ),
    op(
        "pad",
        X,
        &[],
        &[&[
            attribute("mode", "constant, reflect, replicate or circular", "\"constant\""),
            attribute("pads", "begins of all axes, then ends of all axes", ""),
            attribute("value", NUMBER, "0.0"),
        ]],
        r#""input": [1, 16, 28, 28], "pads": [0, 0, 1, 1, 0, 0, 1, 1], "mode": "reflect""#,
    ),
    op(
        "transpose",
        X,
        &[],
        &[&[attribute("perm", "for each axis of y, the axis of x", "the axes reversed")]],
        r#""input": [4, 16, 28], "perm": [0, 2, 1]"#,
    ),
    op("depth_to_space", X, &[], &[BLOCKS], r#""input": [1, 16, 14, 14], "blocksize": 2"#),
    op("space_to_depth", X, &[], &[BLOCKS], r#""input": [1, 16, 14, 14], "blocksize": 2"#),
    op(
        "resize",
        X,
        &[],
        &[&[
            attribute("mode", "nearest or linear", "\"nearest\""),
            attribute("coordinate_mode", "half_pixel, asymmetric or align_corners", "\"half_pixel\""),
            attribute("nearest_mode", "the rounding of nearest, or null", "null"),
            attribute("sizes", "the spatial extents of the result", ""),
            attribute("scales", "a number for each spatial axis, or null for sizes over extents", "null"),
        ]],
        r#""input": [1, 16, 14, 14], "sizes": [28, 28], "mode": "linear""#,
    ),
    op("gather", INDEXED, &[], &[GATHER], r#""input": [1000, 64], "indices": [8, 16]"#),
    op("gather_elements", INDEXED, &[], &[GATHER], r#""input": [1000, 64], "indices": [20, 64]"#),
    op(
        "gather_nd",
        INDEXED,
        &[],
        &[&[attribute("batch_dims", "so many axes in front are walked together", "0")]],
        r#""input": [8, 16, 64], "indices": [40, 2]"#,
    ),
    op("scatter", UPDATED, &[], &[GATHER, REDUCTION], r#""input": [1000, 64], "indices": [128], "updates": [128, 64], "reduction": "add""#),
    op("scatter_elements", UPDATED, &[], &[GATHER, REDUCTION], r#""input": [1000, 64], "indices": [20, 64], "updates": [20, 64]"#),
    op(
        "scatter_nd",
        UPDATED,
        &[],
        &[&[attribute("batch_dims", "so many axes in front are walked together", "0")], REDUCTION],
        r#""input": [8, 16, 64], "indices": [40, 2], "updates": [40, 64]"#,
    ),
    op(
        "top_k",
        X,
        &[],
        &[&[attribute("k", "how many", "")], AXIS, &[attribute("largest", "1: the largest first, 0: the smallest", "1")]],
        r#""input": [8, 1000], "k": 5"#,
    ),
    op(
        "grid_sample",
        &["x", "grid"],
        &[],
        &[&[
            attribute("mode", "nearest, linear or cubic", "\"linear\""),
            attribute("padding_mode", "zeros, border or reflection", "\"zeros\""),
            attribute("align_corners", FLAG, "0"),
        ]],
        r#""input": [1, 16, 14, 14], "grid": [1, 28, 28, 2], "padding_mode": "border""#,
    ),
    op(
        "image_from_bytes",
        &["image"],
        &[],
        &[
            &[
                FORMAT,
                attribute("size", "images, height, width", ""),
                attribute("channels", "of the tensor: 1, 3 or 4, and no more than the image has", "3, or 1 of gray8"),
            ],
            AFFINE,
        ],
        r#""image": [37632], "format": "rgb8", "size": [1, 224, 224], "scale": [255]"#,
    ),
    op("image_to_bytes", X, &[], &[&[FORMAT], AFFINE], r#""input": [1, 3, 224, 224], "format": "rgba8""#),
    op("abs", X, &[], &[], ONE_IMAGE),
    op("neg", X, &[], &[], ONE_IMAGE),
    op("sign", X, &[], &[], ONE_IMAGE),
    op("floor", X, &[], &[], ONE_IMAGE),
    op("ceil", X, &[], &[], ONE_IMAGE),
    op("round", X, &[], &[], ONE_IMAGE),
    op("sqrt", X, &[], &[], ONE_IMAGE),
    op("reciprocal", X, &[], &[], ONE_IMAGE),
    op("exp", X, &[], &[], ONE_IMAGE),
    op("log", X, &[], &[], ONE_IMAGE),
    op("erf", X, &[], &[], ONE_IMAGE),
    op("sin", X, &[], &[], ONE_IMAGE),
    op("cos", X, &[], &[], ONE_IMAGE),
    op("relu", X, &[], &[], ONE_IMAGE),
    op("relu6", X, &[], &[], ONE_IMAGE),
    op("leaky_relu", X, &[], &[&[attribute("alpha", NUMBER, "0.01")]], ONE_IMAGE),
    op(
        "clip",
        X,
        &[],
        &[&[attribute("min", "a number, or null for none", "null"), attribute("max", "a number, or null for none", "null")]],
        r#""input": [1, 16, 28, 28], "min": 0, "max": 6"#,
    ),
    op("sigmoid", X, &[], &[], ONE_IMAGE),
    op("tanh", X, &[], &[], ONE_IMAGE),
    op("silu", X, &[], &[], ONE_IMAGE),
    op("gelu", X, &[], &[&[attribute("approximate", "none or tanh", "\"none\"")]], ONE_IMAGE),
    op("hard_swish", X, &[], &[], ONE_IMAGE),
    op("hard_sigmoid", X, &[], &[&[attribute("alpha", NUMBER, "0.2"), attribute("beta", NUMBER, "0.5")]], ONE_IMAGE),
    op("elu", X, &[], &[ALPHA], ONE_IMAGE),
    op("selu", X, &[], &[&[attribute("alpha", NUMBER, "1.6732632"), attribute("gamma", NUMBER, "1.050701")]], ONE_IMAGE),
    op("celu", X, &[], &[ALPHA], ONE_IMAGE),
    op("softplus", X, &[], &[], ONE_IMAGE),
    op("softsign", X, &[], &[], ONE_IMAGE),
    op("mish", X, &[], &[], ONE_IMAGE),
    op(
        "threshold",
        X,
        &[],
        &[&[attribute("threshold", NUMBER, ""), attribute("value", NUMBER, "")]],
        r#""input": [1, 16, 28, 28], "threshold": 0.5, "value": 0"#,
    ),
];
