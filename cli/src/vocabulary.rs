//! `wgconv ops`: the ops that `bench --shapes` and test vectors name, with inputs, attributes, defaults and an example of each.

use crate::{Failure, Outcome, say};
use wgconv::op::named::{SIGNATURES, Signature, known};

#[derive(clap::Args)]
#[command(
    after_help = "Inputs are shapes; those in brackets may be left out, and so may attributes with a default. An example is an entry of a --shapes file in its short form, where x may be called input and w filter. The long form is {\"name\": .., \"op\": .., \"inputs\": {role: shape}, \"attrs\": {..}}."
)]
pub struct Args {
    /// Only this op
    op: Option<String>,
    /// Prints the examples alone, as a --shapes file
    #[arg(long)]
    examples: bool,
}

pub fn run(args: &Args) -> Outcome {
    let chosen: Vec<&Signature> = match &args.op {
        Some(op) => vec![known(op).map_err(|e| Failure::Usage(e.to_string()))?],
        None => SIGNATURES.iter().collect(),
    };
    if args.examples {
        let entries: Vec<String> =
            chosen.iter().filter(|signature| signature.is_timed()).map(|signature| format!("  {}", signature.example())).collect();
        say!("[\n{}\n]", entries.join(",\n"));
        return Ok(());
    }
    for (number, signature) in chosen.into_iter().enumerate() {
        if number > 0 {
            say!("");
        }
        print(signature);
    }
    Ok(())
}

fn print(signature: &Signature) {
    let optional = signature.optional.iter().map(|role| format!("[{role}]"));
    let mut inputs: Vec<String> = signature.inputs.iter().map(|role| role.to_string()).chain(optional).collect();
    if signature.takes_many() {
        inputs.push("[x2]".into());
        inputs.push("and so on".into());
    }
    say!("{}", signature.op);
    say!("  inputs   {}", inputs.join(", "));
    let width = signature.attributes().map(|attribute| attribute.name.len()).max().unwrap_or(0);
    for attribute in signature.attributes() {
        let default = if attribute.default.is_empty() { "must be given".to_string() } else { format!("default {}", attribute.default) };
        say!("  attr     {:width$}  {}; {default}", attribute.name, attribute.takes);
    }
    let note = if signature.is_timed() { "" } else { "  (copies nothing, so there is nothing to time)" };
    say!("  example  {}{note}", signature.example());
}
