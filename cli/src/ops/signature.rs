//! What the format of test vectors wants of each op: the inputs that must be there and the attributes that must be written out. An entry
//! that lacks one is broken, and its refusal would prove nothing.

/// An op of the format.
pub struct Signature {
    pub op: &'static str,
    /// Inputs that no call can lack.
    pub inputs: &'static [&'static str],
    /// Whether it has a window.
    window: bool,
    /// Attributes beyond the window's.
    attributes: &'static [&'static str],
}

const WINDOW: [&str; 5] = ["kernel_shape", "strides", "dilations", "auto_pad", "pads"];

impl Signature {
    /// The first attribute that `attrs` lacks.
    pub fn missing(&self, attrs: &serde_json::Value) -> Option<&'static str> {
        WINDOW.iter().filter(|_| self.window).chain(self.attributes).find(|name| attrs.get(name).is_none()).copied()
    }
}

const fn plain(op: &'static str, inputs: &'static [&'static str], attributes: &'static [&'static str]) -> Signature {
    Signature { op, inputs, window: false, attributes }
}

const fn window(op: &'static str, inputs: &'static [&'static str], attributes: &'static [&'static str]) -> Signature {
    Signature { op, inputs, window: true, attributes }
}

const X: &[&str] = &["x"];
const AB: &[&str] = &["a", "b"];

/// Every op that this program builds.
pub const SIGNATURES: &[Signature] = &[
    window("conv", &["x", "w"], &["group", "padding_mode", "activation"]),
    window("conv_transpose", &["x", "w"], &["group", "output_padding", "output_shape", "activation"]),
    plain("add_residual", &["x", "w", "residual"], &["of", "activation"]),
    window("max_pool", X, &["ceil_mode", "storage_order"]),
    window("average_pool", X, &["ceil_mode", "count_include_pad"]),
    window("lp_pool", X, &["ceil_mode", "p"]),
    plain("global_max_pool", X, &[]),
    plain("global_average_pool", X, &[]),
    plain("global_lp_pool", X, &["p"]),
    plain("adaptive_max_pool", X, &["output_size"]),
    plain("adaptive_average_pool", X, &["output_size"]),
    plain("max_unpool", &["x", "indices"], &["kernel_shape", "strides", "pads", "output_shape"]),
    plain("matmul", AB, &[]),
    plain("gemm", AB, &["alpha", "beta", "transA", "transB"]),
    plain("linear", &["x", "w"], &["activation"]),
    plain("add", AB, &[]),
    plain("sub", AB, &[]),
    plain("mul", AB, &[]),
    plain("div", AB, &[]),
    plain("min", &["x0"], &[]),
    plain("max", &["x0"], &[]),
    plain("prelu", &["x", "slope"], &[]),
    plain("softmax", X, &["axis"]),
    plain("log_softmax", X, &["axis"]),
    plain("reduce_sum", X, &["axes", "keepdims"]),
    plain("reduce_mean", X, &["axes", "keepdims"]),
    plain("reduce_max", X, &["axes", "keepdims"]),
    plain("argmax", X, &["axis", "keepdims", "select_last_index"]),
    plain("batch_norm", X, &["epsilon", "training_mode"]),
    plain("layer_norm", X, &["axis", "epsilon"]),
    plain("group_norm", X, &["num_groups", "epsilon"]),
    plain("instance_norm", X, &["epsilon"]),
    plain("lrn", X, &["size", "alpha", "beta", "bias"]),
    plain("reshape", X, &["shape"]),
    plain("flatten", X, &["axis"]),
    plain("concat", &[], &["axis"]),
    plain("slice", X, &["starts", "ends", "axes", "steps"]),
    plain("pad", X, &["mode", "pads", "value"]),
    plain("transpose", X, &["perm"]),
    plain("depth_to_space", X, &["blocksize", "mode"]),
    plain("resize", X, &["mode", "coordinate_mode", "nearest_mode", "sizes", "scales"]),
    plain("relu", X, &[]),
    plain("relu6", X, &[]),
    plain("leaky_relu", X, &["alpha"]),
    plain("clip", X, &["min", "max"]),
    plain("sigmoid", X, &[]),
    plain("tanh", X, &[]),
    plain("silu", X, &[]),
    plain("gelu", X, &["approximate"]),
    plain("hard_swish", X, &[]),
    plain("hard_sigmoid", X, &["alpha", "beta"]),
    plain("elu", X, &["alpha"]),
    plain("selu", X, &["alpha", "gamma"]),
    plain("celu", X, &["alpha"]),
    plain("softplus", X, &[]),
    plain("softsign", X, &[]),
    plain("mish", X, &[]),
    plain("threshold", X, &["threshold", "value"]),
];

/// The op called `name`, if this program builds it.
pub fn signature(name: &str) -> Option<&'static Signature> {
    SIGNATURES.iter().find(|s| s.op == name)
}

/// Ops of the format that belong to training, which this version does not do.
pub fn belongs_to_training(op: &str, attrs: &serde_json::Value) -> bool {
    const TRAINING: [&str; 12] = [
        "cross_entropy",
        "bce_with_logits",
        "mse_loss",
        "l1_loss",
        "huber_loss",
        "optimizer_sgd",
        "optimizer_rmsprop",
        "optimizer_adam",
        "optimizer_adamw",
        "lr_schedule",
        "clip_grad_norm",
        "grad",
    ];
    TRAINING.contains(&op) || (op == "batch_norm" && attrs.get("training_mode") == Some(&serde_json::json!(1)))
}
