//! Properties of plans on random numbers: chunks cover what they cut, and the names of tiles are read as they are written.

use crate::plan::gemm::tile::{Core, GemmShape, Tile};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::chunks;
use crate::types::ElementType;
use proptest::prelude::*;

proptest! {
    /// Every item in one chunk, in order; what a chunk binds holds its items, begins where the device allows and fits.
    #[test]
    fn chunks_cover_every_item_once_and_fit(count in 1u64..2000, item in 1u64..500, log in 2u32..10, binding in 256u64..20_000) {
        let profile = DeviceProfile { max_binding_bytes: binding, storage_alignment: 1 << log, ..DeviceProfile::MINIMAL };
        match chunks(count, &[("x", item * 4)], &profile) {
            // One item fits at any of its starts, or all of them at the first.
            Err(_) => prop_assert!(item * 4 + (1 << log) > binding && item * 4 * count > binding),
            Ok(chunks) => {
                let mut next = 0;
                for chunk in chunks {
                    prop_assert!(chunk.first == next && chunk.count > 0);
                    next += chunk.count;
                    let range = chunk.range(item, ElementType::F32, &profile);
                    prop_assert!(range.first % (1 << log) == 0 && range.bytes <= binding, "{:?}", range);
                    prop_assert_eq!(range.first + 4 * u64::from(range.base), chunk.first * item * 4);
                    prop_assert_eq!(range.bytes - 4 * u64::from(range.base), chunk.count * item * 4);
                }
                prop_assert_eq!(next, count);
            }
        }
    }

    /// A name is refused, or it is that of the tile that it gives.
    #[test]
    fn names_of_tiles_are_read_as_they_are_written(
        numbers in prop::collection::vec(prop::sample::select(vec![1u32, 2, 3, 4, 7, 8, 16, 20, 32, 64, 128]), 2..6),
        tail in "(/[1-4])?[a-z x]{0,2}",
    ) {
        let text = format!("{}{tail}", numbers.iter().map(u32::to_string).collect::<Vec<_>>().join("x"));
        let shape = GemmShape { rows: 256, columns: 4096, depth: 576, length: 64, products: 1, uneven: false, streams: false };
        let profile = DeviceProfile { max_workgroup_memory: 1 << 16, max_workgroup_invocations: 1024, ..DeviceProfile::MINIMAL };
        for core in [Core::Workgroup, Core::Register] {
            let read = |text: &str| Tile::new(core, "a tile", Some(text), &shape, &profile).ok();
            if let Some(tile) = read(&text) {
                let written = tile.to_string();
                prop_assert!(written == text || format!("{written}/1") == text, "{} was read as {}", text, written);
                prop_assert_eq!(read(&written), Some(tile));
            }
        }
        for core in [Core::Workgroup, Core::Register] {
            for candidate in Tile::candidates(core, &shape, &profile) {
                let tile = Tile::new(core, "a tile", Some(&candidate), &shape, &profile).unwrap();
                prop_assert_eq!(tile.to_string(), candidate);
            }
        }
    }
}
