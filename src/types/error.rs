//! The one error type. Every variant carries the values that matter, every message prints the rule with the numbers.
//!
//! A user's mistake is [`Error::Invalid`], [`Error::Layout`], [`Error::TooLarge`], [`Error::Unsupported`], [`Error::MissingFeature`] or
//! [`Error::OtherDevice`]: the device stays usable. [`Error::DeviceLost`] and [`Error::OutOfMemory`] come from the device.
//! [`Error::Internal`] is a bug of this crate.

/// Result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong, with the values that made it go wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument breaks a rule.
    #[error("{argument} is {value}: {rule}")]
    Invalid {
        /// The argument as the caller knows it, such as `stride[1]` or `x`.
        argument: String,
        /// Its value.
        value: String,
        /// The rule, with the numbers on both sides.
        rule: String,
    },
    /// A tensor is stored in a layout that the op does not take.
    #[error("{argument} is {}: {rule}", layout.name())]
    Layout {
        /// The argument as the caller knows it, such as `x`.
        argument: String,
        /// Its layout.
        layout: crate::types::Layout,
        /// The rule.
        rule: String,
    },
    /// A size passes a limit of the arithmetic or of the device.
    #[error("{argument} needs {needed} {unit}, but {limit_name} is {limit}")]
    TooLarge {
        /// What is too large, such as `x` or `filter`.
        argument: String,
        /// How much it needs.
        needed: u128,
        /// `elements` or `bytes`.
        unit: &'static str,
        /// The limit's name, such as `max_storage_buffer_binding_size`.
        limit_name: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A forced algorithm does not apply; it is never silently replaced by another one.
    #[error("algorithm {algorithm} does not apply: {reason}")]
    Unsupported {
        /// The algorithm's name.
        algorithm: String,
        /// The condition that does not hold, with its numbers.
        reason: String,
    },
    /// The device lacks a feature that the call needs.
    #[error(
        "{needed_for} needs {feature}, which this device of {adapter} was not opened with: where the adapter has it, it must be among the required features"
    )]
    MissingFeature {
        /// The feature, such as `shader-f16`.
        feature: &'static str,
        /// What needs it.
        needed_for: String,
        /// The adapter's name.
        adapter: String,
    },
    /// A tensor lives on another device than the `Gpu` it was given to.
    #[error("{argument} is a tensor of another device: every tensor of a call must be made by, or adopted into, the same Gpu")]
    OtherDevice {
        /// The argument's name.
        argument: String,
    },
    /// No adapter was found, or none that the caller asked for.
    #[error("no GPU adapter {wanted}; found: {found}. {hint}")]
    NoAdapter {
        /// What was asked for.
        wanted: String,
        /// The adapters there are.
        found: String,
        /// What to do about it on this system.
        hint: String,
    },
    /// The driver refused to make a device.
    #[error("adapter {adapter} gave no device: {message}")]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// The driver's words.
        message: String,
    },
    /// The device is gone. Make a new `Gpu`; its tensors are lost.
    #[error("the device was lost ({reason}); make a new Gpu and upload again")]
    DeviceLost {
        /// The driver's words.
        reason: String,
    },
    /// The device has no memory left for this.
    #[error("out of GPU memory: {what} of {bytes} bytes; drop tensors or use a smaller batch")]
    OutOfMemory {
        /// What was being made.
        what: String,
        /// Its size in bytes (0: the driver did not say which allocation failed).
        bytes: u64,
    },
    /// wgpu rejected something this crate made. That is a bug of this crate, never of its caller.
    #[error("internal error in {label} (please report this as a bug of wgconv): {message}")]
    Internal {
        /// Label of the kernel or resource.
        label: String,
        /// wgpu's words.
        message: String,
    },
}

impl Error {
    /// An [`Error::Invalid`]: `argument` has `value`, and `rule` says what it should be.
    pub fn invalid(argument: impl Into<String>, value: impl std::fmt::Display, rule: impl Into<String>) -> Self {
        Error::Invalid { argument: argument.into(), value: value.to_string(), rule: rule.into() }
    }

    /// An [`Error::Invalid`] of several things of one kind that are all alike: `the input "a" is missing, and so is "b": ...`.
    pub(crate) fn of_all(kind: &str, names: &[&str], state: &str, rule: impl Into<String>) -> Self {
        let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let (first, others) = quoted.split_first().map_or(("", &[][..]), |(first, others)| (first.as_str(), others));
        let others = match others {
            [] => String::new(),
            [one] => format!(", and so is {one}"),
            several => format!(", and so are {}", several.join(", ")),
        };
        Self::invalid(format!("the {kind} {first}").trim_end(), format!("{state}{others}"), rule)
    }
}
