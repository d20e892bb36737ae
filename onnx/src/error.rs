//! What can be wrong with a file, a node or a call, with the place and the rule.

/// Result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. Files are untrusted: whatever they hold, it ends here and nowhere else.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that cannot be read.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: String,
        /// The system's words.
        message: String,
    },
    /// Bytes that are no ONNX model.
    #[error("{place}: {rule}")]
    Format {
        /// Message, field and offset, or the tensor.
        place: String,
        /// What it must be.
        rule: String,
    },
    /// Nodes that cannot become part of a graph: all of them.
    #[error("{}", listed(.0))]
    Nodes(Vec<Refusal>),
    /// An argument of the caller breaks a rule.
    #[error("{argument} is {value}: {rule}")]
    Argument {
        /// The argument.
        argument: String,
        /// Its value.
        value: String,
        /// The rule.
        rule: String,
    },
    /// What the graph does not take.
    #[error(transparent)]
    Graph(#[from] wgconv::Error),
}

impl Error {
    pub(crate) fn format(place: impl Into<String>, rule: impl Into<String>) -> Self {
        Error::Format { place: place.into(), rule: rule.into() }
    }

    pub(crate) fn argument(argument: impl Into<String>, value: impl std::fmt::Display, rule: impl Into<String>) -> Self {
        Error::Argument { argument: argument.into(), value: value.to_string(), rule: rule.into() }
    }
}

/// A node that cannot become part of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its name; where it has none, that of its first output.
    pub node: String,
    /// What it does, such as `Conv`.
    pub op: String,
    /// Why, with the field.
    pub reason: String,
    /// Inputs of the model whose numbers must be given at import ([`Given::Numbers`](crate::Given::Numbers)) to get further.
    pub needs: Vec<String>,
    /// Whether [`Model::with_room`](crate::Model::with_room) would get further.
    pub wants_room: bool,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node \"{}\" ({}): {}", self.node, self.op, self.reason)
    }
}

fn listed(refusals: &[Refusal]) -> String {
    let lines: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
    match &lines[..] {
        [one] => one.clone(),
        several => format!("{} nodes cannot be imported:\n  {}", several.len(), several.join("\n  ")),
    }
}
