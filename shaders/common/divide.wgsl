// Division of indices without dividing integers: a driver that runs invocations as the lanes of a processor's vectors divides them one lane
// after the other, and no GPU has an instruction for it.

// a / b for a and b below 2^31, b > 0. Conversions, reciprocal and products each err by a few units of 2^-24 of what they give: the first
// estimate is off by less than a / b 2^-20 + 1, so that what it leaves over is less than 2^12 b; the second is off by one at most, and the
// remainder shows which way.
fn divide(a: u32, b: u32) -> u32 {
    let divisor = i32(b);
    let inverse = 1.0 / f32(divisor);
    let first = i32(f32(i32(a)) * inverse);
    let second = first + i32(f32(i32(a) - first * divisor) * inverse);
    let rest = i32(a) - second * divisor;
    return u32(second + select(0, 1, rest >= divisor) - select(0, 1, rest < 0));
}
