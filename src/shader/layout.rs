//! Uniform structs: the Rust twins of the structs in `shaders/`, with their layouts for tests/shaders.rs to compare.

/// Layout of a uniform struct: what must agree with the WGSL struct of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StructLayout {
    /// Name, in Rust and in WGSL.
    pub name: &'static str,
    /// Field names and byte offsets, in order.
    pub fields: &'static [(&'static str, usize)],
    /// Bytes.
    pub size: usize,
}

/// Declares a uniform struct and lists its fields with their offsets.
macro_rules! uniform {
    ($(#[$attribute:meta])* $name:ident { $($field:ident: $kind:ty,)* }) => {
        $(#[$attribute])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub(crate) struct $name {
            $(pub(crate) $field: $kind,)*
        }

        impl $name {
            pub(crate) const LAYOUT: $crate::shader::StructLayout = $crate::shader::StructLayout {
                name: stringify!($name),
                fields: &[$((stringify!($field), std::mem::offset_of!($name, $field))),*],
                size: std::mem::size_of::<$name>(),
            };
        }
    };
}

pub(crate) use uniform;
