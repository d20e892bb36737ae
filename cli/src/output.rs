//! Files that commands write: whole or not at all.
//!
//! A file is written under another name in the folder where it will lie, and then takes its place. A full disk or an encoder that fails
//! leaves what was there before as it was. [`check`] tries all of that before the work begins whose result the file will hold.

use crate::text::printable;
use crate::{Failure, Outcome};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Refuses a path that [`write`] could not write: its folder does not exist or takes no new file, it is a folder itself, it is
/// write-protected.
///
/// # Errors
/// [`Failure::Run`] with the path and the system's reason.
pub fn check(path: &Path) -> Outcome {
    let tried = match Target::of(path)? {
        Target::Stream(path) => OpenOptions::new().write(true).open(path).map(|_| ()),
        Target::File(path) => Beside::new(&path).map(|_| ()), // removed again at once
    };
    tried.map_err(|error| failure(path, &error))
}

/// Writes `bytes` to `path`. A regular file is replaced in one step and keeps its permissions, and a link to one stays a link; what is no
/// regular file, such as a device or a pipe, is written to.
///
/// # Errors
/// [`Failure::Run`] with the path and the system's reason; the file that was there is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Outcome {
    let written = match Target::of(path)? {
        Target::Stream(path) => OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(bytes)),
        Target::File(path) => replace(&path, bytes),
    };
    written.map_err(|error| failure(path, &error))
}

/// Writes `bytes` to standard output. A reader that has gone away is no failure.
///
/// # Errors
/// [`Failure::Run`] where standard output takes no more, such as a file on a full disk.
pub fn write_stdout(bytes: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Run(format!("standard output: {error}"))),
        _ => Ok(()),
    }
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::Run(format!("{}: {error}", printable(&path.to_string_lossy())))
}

/// What a path names, links followed.
enum Target {
    /// A regular file, or nothing yet.
    File(PathBuf),
    /// A device, a pipe, a socket: there is nothing to replace.
    Stream(PathBuf),
}

impl Target {
    fn of(path: &Path) -> Result<Self, Failure> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(failure(path, &ErrorKind::IsADirectory.into())),
            Ok(found) if found.is_file() => Ok(Target::File(fs::canonicalize(path).map_err(|error| failure(path, &error))?)),
            Ok(_) => Ok(Target::Stream(path.to_path_buf())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Target::File(path.to_path_buf())),
            Err(error) => Err(failure(path, &error)),
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = Beside::new(path)?;
    beside.file.write_all(bytes)?;
    // Some file systems tell only here that the disk is full.
    beside.file.sync_all()?;
    beside.take_the_place_of(path)
}

/// A file beside the one that it will replace; removed where it does not come to that.
struct Beside {
    path: PathBuf,
    file: File,
    placed: bool,
}

impl Beside {
    /// An empty file in the folder of `path`, with the permissions of the file there.
    fn new(path: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let old = match OpenOptions::new().write(true).open(path) {
            Ok(file) => Some(file.metadata()?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error), // write-protected: a rename would go past that
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (path, file) = loop {
            let name = format!(".wgconv-{}-{}.new", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
            let path = folder.join(name);
            match File::create_new(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue, // of a process that was killed
                made => break (path, made?),
            }
        };
        let beside = Beside { path, file, placed: false };
        if let Some(old) = old {
            #[cfg(unix)]
            {
                use std::os::unix::fs::{MetadataExt, fchown};
                // Only the superuser can hand a file on; everyone else owned it already.
                let _ = fchown(&beside.file, Some(old.uid()), Some(old.gid()));
            }
            beside.file.set_permissions(old.permissions())?;
        }
        Ok(beside)
    }

    fn take_the_place_of(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty folder under the system's one for temporary files.
    fn scratch(test: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("wgconv-output-{}-{test}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn says(outcome: Outcome) -> String {
        match outcome {
            Err(Failure::Run(why)) => why,
            _ => panic!("it must fail"),
        }
    }

    #[test]
    fn a_file_is_replaced_and_nothing_stays_beside_it() {
        let folder = scratch("replaced");
        let path = folder.join("a.txt");
        assert!(check(&path).is_ok());
        assert!(files(&folder).is_empty(), "a check leaves nothing");
        assert!(write(&path, b"first, and longer").is_ok() && write(&path, b"second").is_ok());
        assert_eq!((fs::read(&path).unwrap(), files(&folder)), (b"second".to_vec(), vec!["a.txt".to_string()]));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_refused_by_name() {
        let folder = scratch("refused");
        for outcome in [check, |path: &Path| write(path, b"")] {
            assert!(says(outcome(&folder)).contains("directory"));
            assert!(says(outcome(&folder.join("nowhere/a.txt"))).contains("nowhere/a.txt: No such file"));
            fs::write(folder.join("file"), "").unwrap();
            assert!(says(outcome(&folder.join("file/a.txt"))).contains("file/a.txt: "));
            assert!(says(outcome(&folder.join("nowhere\u{1b}[31m/a"))).contains("nowhere\\u{1b}[31m/a: "));
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = scratch("kept");
        let (path, link) = (folder.join("a.txt"), folder.join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("a.txt", &link).unwrap();
        assert!(write(&link, b"new").is_ok());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(write(Path::new("/dev/null"), b"gone").is_ok(), "a device is written to");
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_a_failure() {
        assert!(check(Path::new("/dev/full")).is_ok());
        assert!(says(write(Path::new("/dev/full"), b"x")).starts_with("/dev/full: "));
    }
}
