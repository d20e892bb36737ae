// Philox 4x32-10 (Salmon and others, 2011): the four words of a counter under a key, as src/numeric/philox.rs has them.

// The high word of a product of two words, by halves: there are no 64-bit numbers.
fn mul_high(a: u32, b: u32) -> u32 {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    // Each sum stays below 2^32: (2^16 - 1)^2 + 2^16 - 1.
    let upper = a_high * b_low + ((a_low * b_low) >> 16u);
    let lower = a_low * b_high + (upper & 0xffffu);
    return a_high * b_high + (upper >> 16u) + (lower >> 16u);
}

fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var round = 0u; round < 10u; round++) {
        let first = c.x * 0xd2511f53u;
        let first_high = mul_high(c.x, 0xd2511f53u);
        let second = c.z * 0xcd9e8d57u;
        let second_high = mul_high(c.z, 0xcd9e8d57u);
        c = vec4<u32>(second_high ^ c.y ^ k.x, second, first_high ^ c.w ^ k.y, first);
        k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}
