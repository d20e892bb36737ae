// Axes of coordinates over which up to three operands step with strides of their own; src/types/strided_axes.rs merges the axes.
// Prelude: AXES, the number of axes. Uniform: params.axes, params.items.

//@use lib/strided_axis.wgsl

// Where the three operands stand at point `item` of the axes before `end`.
fn strided_offsets(item: u32, end: u32) -> vec3<i32> {
    var rest = item;
    var at = vec3<i32>(0);
    for (var i = 0u; i < end; i++) {
        let axis = params.axes[end - 1u - i];
        let outer = rest / axis.extent;
        at += i32(rest - outer * axis.extent) * axis.strides;
        rest = outer;
    }
    return at;
}
