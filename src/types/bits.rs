//! Equality and hashes of structs with floating-point parameters: by their bits, so that equal means interchangeable. A NaN equals itself, and 0 is not -0.

/// `PartialEq`, `Eq` and `Hash` for a struct: all its fields, those after `bits` by [`f32::to_bits`].
macro_rules! by_bits {
    ($type:ident { $($field:ident),* $(,)? } bits { $($float:ident),* $(,)? }) => {
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                let Self { $($field,)* $($float),* } = self;
                true $(&& *$field == other.$field)* $(&& $float.to_bits() == other.$float.to_bits())*
            }
        }

        impl Eq for $type {}

        impl std::hash::Hash for $type {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                let Self { $($field,)* $($float),* } = self;
                $($field.hash(state);)*
                $($float.to_bits().hash(state);)*
            }
        }
    };
}

/// The same for an enum, by a key of bits.
macro_rules! by_key {
    ($type:ty, $key:expr) => {
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                $key(self) == $key(other)
            }
        }

        impl Eq for $type {}

        impl std::hash::Hash for $type {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                $key(self).hash(state);
            }
        }
    };
}

pub(crate) use {by_bits, by_key};
