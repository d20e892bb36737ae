//! What the program's tests share: running it, and a folder of their own to write into.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a run of the program left behind.
pub struct Run {
    /// Exit status; none where a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error, whole: drivers may write there too.
    pub stderr: String,
}

impl Run {
    /// The lines of standard error that the program itself wrote.
    pub fn complaints(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| line.starts_with("wgconv: ")).collect()
    }

    /// Asserts an exit status and one line that says `part`, without a panic or a backtrace.
    #[track_caller]
    pub fn fails_with(&self, status: i32, part: &str) {
        assert_eq!(self.status, Some(status), "{}{}", self.stdout, self.stderr);
        let complaints = self.complaints();
        assert_eq!(complaints.len(), 1, "one line: {}", self.stderr);
        assert!(complaints[0].contains(part), "\"{}\" does not say \"{part}\"", complaints[0]);
        assert!(!self.stderr.contains("panicked") && !self.stderr.contains("backtrace"), "{}", self.stderr);
    }

    /// Asserts success and gives the standard output back.
    #[track_caller]
    pub fn succeeds(&self) -> &str {
        assert_eq!(self.status, Some(0), "{}{}", self.stdout, self.stderr);
        &self.stdout
    }
}

/// The built program with `arguments`; `RUST_BACKTRACE` is on, so that a panic would show. Its caches are not the user's.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgconv"));
    command
        .args(arguments)
        .env("RUST_BACKTRACE", "1")
        .env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("caches"))
        .current_dir(data());
    command
}

/// Runs the program in the folder of test data.
pub fn run(arguments: &[&str]) -> Run {
    finish(&mut command(arguments))
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Run { status: status.code(), stdout: String::from_utf8(stdout).unwrap(), stderr: String::from_utf8(stderr).unwrap() }
}

/// Runs the program, sends it an interrupt so long after it has printed a line with `part`, and gives what became of it.
#[cfg(unix)]
pub fn interrupted(arguments: &[&str], part: &str, wait: std::time::Duration) -> Run {
    use std::io::{BufRead, BufReader, Read};
    let mut child = command(arguments).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut stdout = String::new();
    while !stdout.lines().any(|line| line.contains(part)) {
        assert!(out.read_line(&mut stdout).unwrap() > 0, "no line with \"{part}\" in\n{stdout}");
    }
    std::thread::sleep(wait);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    out.read_to_string(&mut stdout).unwrap();
    let output = child.wait_with_output().unwrap();
    Run { status: output.status.code(), stdout, stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
}

/// Runs the program on a system where no Vulkan driver is installed.
pub fn run_without_adapter(arguments: &[&str]) -> Run {
    let nowhere = "/nonexistent/driver.json";
    finish(command(arguments).env("VK_DRIVER_FILES", nowhere).env("VK_ICD_FILENAMES", nowhere).env_remove("WGCONV_ADAPTER"))
}

/// The folder of test data.
pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// An empty folder for one test.
pub fn scratch(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Writes a file into `folder` and gives its path as text.
pub fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_string()
}
