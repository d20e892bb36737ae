//! Ways round the constructors of problems that must not compile: shaders run unchecked, so what they rely on may not be changed by anyone.
//!
//! Each is a documentation test that fails to compile. `tests/problems.rs` tries the ways that do compile.

/// ```compile_fail,E0451
/// fn changed(p: wgconv::conv::ConvProblem) -> wgconv::conv::ConvProblem {
///     wgconv::conv::ConvProblem { padding_mode: wgconv::PaddingMode::Circular, ..p }
/// }
/// ```
struct ConvProblem0;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::conv::ConvProblem) -> wgconv::conv::ConvProblem {
///     wgconv::conv::ConvProblem { batch: 1 << 40, ..p }
/// }
/// ```
struct ConvProblem1;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::matmul::MatMulProblem) -> wgconv::matmul::MatMulProblem {
///     wgconv::matmul::MatMulProblem { k: 1 << 40, ..p }
/// }
/// ```
struct MatMulProblem2;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::pool::PoolProblem) -> wgconv::pool::PoolProblem {
///     wgconv::pool::PoolProblem { channels: 1 << 40, ..p }
/// }
/// ```
struct PoolProblem3;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::pool::MaxUnpoolProblem) -> wgconv::pool::MaxUnpoolProblem {
///     wgconv::pool::MaxUnpoolProblem { y: vec![1; 4], ..p }
/// }
/// ```
struct MaxUnpoolProblem4;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::elementwise::BinaryProblem) -> wgconv::elementwise::BinaryProblem {
///     wgconv::elementwise::BinaryProblem { y: vec![9; 4], ..p }
/// }
/// ```
struct BinaryProblem5;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::elementwise::UnaryProblem) -> wgconv::elementwise::UnaryProblem {
///     wgconv::elementwise::UnaryProblem { extents: vec![9; 4], ..p }
/// }
/// ```
struct UnaryProblem6;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::elementwise::CastProblem) -> wgconv::elementwise::CastProblem {
///     wgconv::elementwise::CastProblem { to: wgconv::ElementType::U32, ..p }
/// }
/// ```
struct CastProblem0;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::elementwise::WhereProblem) -> wgconv::elementwise::WhereProblem {
///     wgconv::elementwise::WhereProblem { y: vec![9; 4], ..p }
/// }
/// ```
struct WhereProblem0;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::dropout::DropoutProblem) -> wgconv::dropout::DropoutProblem {
///     wgconv::dropout::DropoutProblem { probability: 1.0, ..p }
/// }
/// ```
struct DropoutProblem0;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::image::ImageProblem) -> wgconv::image::ImageProblem {
///     wgconv::image::ImageProblem { writes: true, ..p }
/// }
/// ```
struct ImageProblem0;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::softmax::SoftmaxProblem) -> wgconv::softmax::SoftmaxProblem {
///     wgconv::softmax::SoftmaxProblem { axis: 9, ..p }
/// }
/// ```
struct SoftmaxProblem7;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::norm::NormProblem) -> wgconv::norm::NormProblem {
///     wgconv::norm::NormProblem { x: vec![9; 4], ..p }
/// }
/// ```
struct NormProblem8;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::norm::BatchNormProblem) -> wgconv::norm::BatchNormProblem {
///     wgconv::norm::BatchNormProblem { x: vec![9; 4], ..p }
/// }
/// ```
struct BatchNormProblem9;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::norm::LrnProblem) -> wgconv::norm::LrnProblem {
///     wgconv::norm::LrnProblem { x: vec![9; 4], ..p }
/// }
/// ```
struct LrnProblem10;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::reduce::ReduceProblem) -> wgconv::reduce::ReduceProblem {
///     wgconv::reduce::ReduceProblem { reduced: vec![], ..p }
/// }
/// ```
struct ReduceProblem11;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::reduce::ArgmaxProblem) -> wgconv::reduce::ArgmaxProblem {
///     wgconv::reduce::ArgmaxProblem { axis: Some(9), ..p }
/// }
/// ```
struct ArgmaxProblem12;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::transform::Resize) -> wgconv::transform::Resize {
///     wgconv::transform::Resize { sizes: vec![9; 4], ..p }
/// }
/// ```
struct Resize13;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::transform::Pad) -> wgconv::transform::Pad {
///     wgconv::transform::Pad { begin: vec![9; 4], ..p }
/// }
/// ```
struct Pad14;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::transform::Slice) -> wgconv::transform::Slice {
///     wgconv::transform::Slice { ranges: vec![], ..p }
/// }
/// ```
struct Slice15;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::transform::Concat) -> wgconv::transform::Concat {
///     wgconv::transform::Concat { axis: 9, ..p }
/// }
/// ```
struct Concat16;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::transform::Transpose) -> wgconv::transform::Transpose {
///     wgconv::transform::Transpose { perm: vec![9; 4], ..p }
/// }
/// ```
struct Transpose17;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::transform::DepthToSpace) -> wgconv::transform::DepthToSpace {
///     wgconv::transform::DepthToSpace { block: 9, ..p }
/// }
/// ```
struct DepthToSpace18;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::gradient::AdjointProblem, of: wgconv::gradient::AdjointOf) -> wgconv::gradient::AdjointProblem {
///     wgconv::gradient::AdjointProblem { of, ..p }
/// }
/// ```
struct AdjointProblem19;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::gradient::FilterGradient, conv: wgconv::conv::ConvProblem) -> wgconv::gradient::FilterGradient {
///     wgconv::gradient::FilterGradient { conv, ..p }
/// }
/// ```
struct FilterGradient20;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::transform::GridSample) -> wgconv::transform::GridSample {
///     wgconv::transform::GridSample { grid: vec![9; 4], ..p }
/// }
/// ```
struct GridSample21;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::indexed::GatherProblem) -> wgconv::indexed::GatherProblem {
///     wgconv::indexed::GatherProblem { x: wgconv::TensorType::f32(&[9]), ..p }
/// }
/// ```
struct GatherProblem22;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::indexed::ScatterProblem) -> wgconv::indexed::ScatterProblem {
///     wgconv::indexed::ScatterProblem { x: wgconv::TensorType::f32(&[9]), ..p }
/// }
/// ```
struct ScatterProblem23;

/// ```compile_fail,E0451
/// fn changed(p: wgconv::reduce::TopKProblem) -> wgconv::reduce::TopKProblem {
///     wgconv::reduce::TopKProblem { k: 9, ..p }
/// }
/// ```
struct TopKProblem24;

/// ```compile_fail,E0616
/// fn changed(mut p: wgconv::conv::ConvProblem) {
///     p.padding_mode = wgconv::PaddingMode::Circular;
/// }
/// ```
struct Assigned;
