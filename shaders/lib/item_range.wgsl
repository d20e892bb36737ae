// How the 64 invocations of a workgroup share neighbouring items: one after the other on a GPU, where they run together and an iteration is a stretch of memory
// (TOGETHER 64). A processor runs TOGETHER of them as one vector, through the whole loop before the next vector begins: there each vector gets a part
// of its own, which it reads and writes from one end to the other.
// Prelude: TOGETHER, a power of two up to 64.

// Items begin, begin + TOGETHER, ... below end.
struct ItemRange {
    begin: u32,
    end: u32,
}

// The range of invocation `local` of `count` items from `first` on, of which those from `end` on do not exist. `count` is a multiple of 64, or
// reaches the end.
fn item_range(local: u32, first: u32, count: u32, end: u32) -> ItemRange {
    let vector = local / TOGETHER;
    let part = (count + 63u) / 64u * TOGETHER;
    let begin = first + vector * part;
    return ItemRange(begin + local - vector * TOGETHER, min(begin + part, end));
}
