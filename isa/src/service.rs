//! The process that compiles: it takes kernels one by one on standard input, compiles each, and answers on standard output. Where the driver ends it, the
//! kernel at hand is the one to blame, and another process takes the rest.

use crate::job::{Compiled, Device, Job};
use crate::vulkan::Compiler;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The first line that a process gets.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Request {
    /// The device's PCI numbers, vendor and device; the first device of all where there are none.
    pub device: Option<(u32, u32)>,
    /// Whether machine code is wanted too.
    pub listings: bool,
}

/// Takes a request and kernels from `input` and answers on `output`, a line each, until the input ends.
///
/// # Errors
/// Lines that are none of the program's, and outputs that nobody reads; what the driver refuses is an answer.
pub fn serve(input: impl BufRead, mut output: impl Write) -> Result<(), String> {
    let mut lines = input.lines();
    let mut answer = |text: Result<String, serde_json::Error>| -> Result<(), String> {
        writeln!(output, "{}", text.map_err(|e| e.to_string())?).and_then(|()| output.flush()).map_err(|e| e.to_string())
    };
    let Some(first) = lines.next() else { return Ok(()) };
    let request: Request = serde_json::from_str(&first.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    let compiler = match Compiler::open(request.device) {
        Ok(compiler) => compiler,
        Err(why) => return answer(serde_json::to_string(&Err::<Device, _>(why))),
    };
    answer(serde_json::to_string(&Ok::<_, String>(compiler.about())))?;
    for line in lines {
        let job: Job = serde_json::from_str(&line.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
        answer(serde_json::to_string(&compiler.compile(&job, request.listings)))?;
    }
    Ok(())
}

/// A process that compiles, started anew when the driver ends it.
pub struct Service {
    command: Command,
    request: Request,
    running: Option<Running>,
    about: Device,
}

struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Service {
    /// Starts `command`, which calls [`serve`] on its standard input and output.
    ///
    /// # Errors
    /// A command that does not start; why there is no device.
    pub fn start(mut command: Command, request: Request) -> Result<Self, String> {
        // Drivers write warnings to standard error that are about using a device, not about compiling.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut service = Self { command, request, running: None, about: Device::default() };
        service.about = service.run()?;
        Ok(service)
    }

    /// What it compiles with.
    pub fn about(&self) -> &Device {
        &self.about
    }

    fn run(&mut self) -> Result<Device, String> {
        let mut child = self.command.spawn().map_err(|e| format!("{}: {e}", self.command.get_program().to_string_lossy()))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let Some(output) = output else { return Err("a process without standard output".into()) };
        let mut running = Running { child, input, output: BufReader::new(output) };
        let about = running.ask(&self.request);
        let Some(about) = about else { return Err(running.end("it opened the device")) };
        self.running = Some(running);
        about
    }

    /// Compiles a kernel.
    ///
    /// # Errors
    /// What naga or the driver refuses; that the driver ended the process.
    pub fn compile(&mut self, job: &Job) -> Result<Compiled, String> {
        if self.running.is_none() {
            self.run()?;
        }
        let Some(running) = &mut self.running else { return Err("no process".into()) };
        if let Some(answer) = running.ask(job) {
            return answer;
        }
        match self.running.take() {
            Some(mut running) => Err(running.end("it compiled this kernel")),
            None => Err("no process".into()),
        }
    }
}

impl Running {
    /// Sends a line and waits for the answer; `None`: the process ended.
    fn ask<T: for<'a> Deserialize<'a>>(&mut self, question: &impl Serialize) -> Option<Result<T, String>> {
        let text = serde_json::to_string(question).ok()?;
        let input = self.input.as_mut()?;
        writeln!(input, "{text}").and_then(|()| input.flush()).ok()?;
        let mut line = String::new();
        self.output.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// Waits for the end of a process that has stopped answering, and says how it ended.
    fn end(&mut self, when: &str) -> String {
        drop(self.input.take());
        match self.child.wait() {
            Ok(status) => format!("the driver ended the process while {when} ({status})"),
            Err(e) => e.to_string(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.input.take()); // the end of its input ends it
        let _ = self.child.wait();
    }
}
