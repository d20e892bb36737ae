//! What is different about the device that a case is planned for: smaller bindings, another processor. What its kernels need, every device has.

use crate::plan::profile::DeviceProfile;

/// A difference from the device at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// A binding holds so many bytes: what is larger is computed in parts.
    Binding(u64),
    /// Wide vectors are slow where here they are not, and the other way round: the tile cores read vec4s another way.
    OtherProcessor,
    /// As for a GPU on a processor that pretends to be one, and the other way round: operands are packed by the other kernels.
    OtherKind,
}

impl Elsewhere {
    /// The profile to plan for on a device of this one.
    pub fn profile(self, profile: &DeviceProfile) -> DeviceProfile {
        match self {
            // The coarsest alignment there is: parts begin inside their bindings on every device.
            Elsewhere::Binding(bytes) => {
                DeviceProfile { max_binding_bytes: bytes, storage_alignment: profile.storage_alignment.max(256), ..*profile }
            }
            Elsewhere::OtherProcessor => DeviceProfile { wide_vectors_slow: !profile.wide_vectors_slow, ..*profile },
            Elsewhere::OtherKind => DeviceProfile { is_cpu: !profile.is_cpu, ..*profile },
        }
    }
}

impl std::fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Elsewhere::Binding(bytes) => write!(f, "_binding{bytes}"),
            Elsewhere::OtherProcessor => f.write_str("_other_processor"),
            Elsewhere::OtherKind => f.write_str("_other_kind"),
        }
    }
}
