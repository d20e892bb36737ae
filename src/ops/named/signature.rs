//! What is known of an op by name: its inputs, its attributes with their defaults, and an example. Names are checked against that, and so is what the format of
//! test vectors wants written out: an entry that lacks one of those attributes is broken, and its refusal would verify nothing.

use super::BuildError;
use super::nearest::nearest;
use super::vocabulary::SIGNATURES;
use serde_json::{Map, Value};

/// An op.
#[derive(Debug)]
pub struct Signature {
    /// Its name.
    pub op: &'static str,
    /// Inputs that no call can lack.
    pub inputs: &'static [&'static str],
    /// Inputs that a call may lack.
    pub optional: &'static [&'static str],
    /// Lists of its attributes.
    pub(super) attributes: &'static [&'static [Attribute]],
    /// What follows name and op in the short form of an entry.
    pub(super) example: &'static str,
}

/// An attribute of an op.
#[derive(Debug, Clone, Copy)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// What it is where it is not given; empty where it must be given.
    pub default: &'static str,
    /// Whether test vectors write it out.
    pub(super) written: bool,
}

impl Signature {
    /// All its attributes.
    pub fn attributes(&self) -> impl Iterator<Item = &'static Attribute> {
        self.attributes.iter().copied().flatten()
    }

    /// The first attribute that `attrs` lacks of those that test vectors write out.
    pub fn missing(&self, attrs: &Value) -> Option<&'static str> {
        self.attributes().find(|attribute| attribute.written && attrs.get(attribute.name).is_none()).map(|attribute| attribute.name)
    }

    /// Whether it takes as many tensors as there are, x0, x1 and so on.
    pub fn takes_many(&self) -> bool {
        self.optional.contains(&"x1")
    }

    /// Whether one of its inputs is called so.
    pub fn has_input(&self, role: &str) -> bool {
        let numbered = self.takes_many() && role.strip_prefix('x').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        numbered || self.inputs.contains(&role) || self.optional.contains(&role)
    }

    /// Whether it has a window, whose attributes have a value for each spatial axis.
    pub fn has_window(&self) -> bool {
        self.has_attribute("kernel_shape")
    }

    /// Whether one of its attributes is called so.
    pub fn has_attribute(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.name == name)
    }

    /// The example as an entry of a `--shapes` file.
    pub fn example(&self) -> String {
        format!(r#"{{"name": "{op}", "op": "{op}", {rest}}}"#, op = self.op, rest = self.example)
    }

    /// Whether an entry of it is one kernel call, which can be timed.
    pub fn is_timed(&self) -> bool {
        !["reshape", "flatten"].contains(&self.op)
    }

    /// Refuses inputs and attributes that the op does not have, by name, with the name that was probably meant, and the lack of one that it
    /// needs.
    pub fn check<'a>(&self, attrs: &Value, roles: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let none = Map::new();
        let attrs = match attrs {
            Value::Null => &none,
            Value::Object(attrs) => attrs,
            other => return Err(format!("attrs is {other}: it is an object of attributes by name")),
        };
        for role in roles {
            if !self.has_input(role) {
                return Err(self.unknown("input", role));
            }
        }
        for (name, value) in attrs {
            if !self.has_attribute(name) {
                return Err(self.unknown("attribute", name));
            }
            if name == "activation" {
                check_activation(value)?;
            }
        }
        if let Some(lacking) = self.attributes().find(|attribute| attribute.default.is_empty() && !attrs.contains_key(attribute.name)) {
            return Err(format!("the attribute {} is missing: {}", lacking.name, lacking.takes));
        }
        Ok(())
    }

    /// Those of its attributes that test vectors leave out.
    pub fn unwritten<'a>(&self, attrs: &'a Value) -> Option<&'a String> {
        let unwritten = |name: &&String| self.attributes().any(|attribute| !attribute.written && attribute.name == **name);
        attrs.as_object().and_then(|attrs| attrs.keys().find(unwritten))
    }

    /// That the op has nothing called `name`.
    pub fn unknown(&self, what: &str, name: &str) -> String {
        let inputs: Vec<&str> = self.inputs.iter().chain(self.optional).copied().collect();
        let attributes: Vec<&str> = self.attributes().map(|attribute| attribute.name).collect();
        let known = || inputs.iter().chain(&attributes).copied();
        let meant = alias(name).into_iter().find(|alias| known().any(|name| name == *alias)).or_else(|| nearest(name, known()));
        let meant = meant.map_or(String::new(), |meant| format!(" (did you mean {meant}?)"));
        let attributes = if attributes.is_empty() { "none".to_string() } else { attributes.join(", ") };
        let many = if self.takes_many() { ", and so on" } else { "" };
        format!("{} has no {what} {name}{meant}: its inputs are {}{many}, its attributes {attributes}", self.op, inputs.join(", "))
    }
}

/// An activation within another op takes the attributes of the op of its name.
fn check_activation(value: &Value) -> Result<(), String> {
    let Value::Object(fields) = value else { return Ok(()) };
    let Some(name) = fields.get("type").and_then(Value::as_str) else { return Ok(()) };
    let signature = signature(name);
    for field in fields.keys().filter(|field| *field != "type") {
        match signature {
            Some(signature) if !signature.has_attribute(field) => return Err(format!("activation: {}", signature.unknown("attribute", field))),
            None if name == "none" => return Err(format!("activation none has no attribute {field}")),
            _ => {}
        }
    }
    Ok(())
}

/// Names that other frameworks have for the same.
fn alias(name: &str) -> Vec<&'static str> {
    match name {
        "padding" => vec!["pads", "auto_pad"],
        "stride" => vec!["strides"],
        "groups" => vec!["group"],
        "kernel" | "kernel_size" | "window" => vec!["kernel_shape", "w"],
        "input" | "data" | "X" => vec!["x", "a", "x0"],
        "filter" | "weight" | "weights" | "W" => vec!["w", "slope", "b", "scale"],
        "bias" | "B" => vec!["b", "bias", "c"],
        "eps" => vec!["epsilon"],
        "dim" => vec!["axis", "axes"],
        "axis" | "dims" => vec!["axes", "axis", "perm"],
        "keepdim" => vec!["keepdims"],
        "gamma" => vec!["scale"],
        "beta" => vec!["bias"],
        "variance" | "running_var" => vec!["var"],
        "running_mean" => vec!["mean"],
        "negative_slope" => vec!["alpha"],
        "size" | "output_size" => vec!["sizes"],
        "groups_count" | "group" => vec!["num_groups"],
        _ => vec![],
    }
}

/// The op called `name`, if there is one.
pub fn signature(name: &str) -> Option<&'static Signature> {
    SIGNATURES.iter().find(|s| s.op == name)
}

/// The op called `name`, or what to say of a name that none has.
pub fn known(name: &str) -> Result<&'static Signature, BuildError> {
    signature(name).ok_or_else(|| {
        let meant = nearest(name, SIGNATURES.iter().map(|s| s.op)).map_or(String::new(), |meant| format!(" (did you mean {meant}?)"));
        BuildError::Vocabulary(format!("op {name} is not known{meant}: wgconv ops lists them"))
    })
}
