//! How a driver is made to compile for a chip that the machine does not have: by the environment of the process that asks it.

use crate::chips::{Chip, Driver};
use crate::job::Device;
use crate::service::{Request, Service};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where drivers are, beside the system's own.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// A program that starts another one on its own Mesa: `THROUGH PROGRAM ARGUMENTS..`. It gets the name of the driver's file, such as `radeon_icd`,
    /// as `WGCONV_ICD`.
    pub through: Option<PathBuf>,
    /// The folder of Mesa's drm-shim libraries, and of drivers (`freedreno_icd.json`) that come before the system's.
    pub shims: Option<PathBuf>,
}

/// Folders where the Vulkan loader looks for drivers on Linux.
const ICDS: [&str; 4] = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/etc/vulkan/icd.d"];

/// Starts a process that compiles for `chip`: `program`, whose arguments let it call [`crate::service::serve`].
///
/// # Errors
/// Why the chip cannot be compiled for here.
pub fn start(chip: &Chip, program: &Path, arguments: &[&str], places: &Places) -> Result<Service, String> {
    let command = || {
        let mut command = match &places.through {
            Some(through) => {
                let mut command = Command::new(through);
                command.arg(program);
                command
            }
            None => Command::new(program),
        };
        // A layer of Mesa's chooses among devices, and its cache would answer for the compiler.
        command.args(arguments).env("NODEVICE_SELECT", "1").env("MESA_SHADER_CACHE_DISABLE", "true");
        command
    };
    let icd = |name: &str| -> Result<PathBuf, String> {
        let files = [format!("{name}.{}.json", std::env::consts::ARCH), format!("{name}.json")];
        let folders = places.shims.as_deref().into_iter().chain(ICDS.iter().map(Path::new));
        let mut paths = folders.flat_map(|folder| files.iter().map(|file| folder.join(file)));
        paths.find(|path| path.is_file()).ok_or_else(|| format!("no {} in {}", files.join(" and no "), ICDS.join(", ")))
    };
    // The driver among those that the system has, or those that the program which starts this one has.
    let choose = |command: &mut Command, name: &str| -> Result<(), String> {
        match places.through {
            Some(_) => command.env("WGCONV_ICD", name),
            None => command.env("VK_DRIVER_FILES", icd(name)?).env_remove("VK_ICD_FILENAMES"),
        };
        Ok(())
    };
    let request = Request { device: None, listings: true };
    match chip.driver {
        Driver::Radv(families) => {
            let mut why = String::new();
            for family in families {
                let mut command = command();
                command.env("RADV_FORCE_FAMILY", family);
                choose(&mut command, "radeon_icd")?;
                match Service::start(command, request) {
                    Ok(service) if service.about().name.starts_with("Null hardware") => return Ok(service),
                    Ok(service) => why = format!("RADV opens {}: it has no null device", service.about().name),
                    Err(error) => why = format!("RADV knows no {}: {error}", families.join(" and no ")),
                }
            }
            Err(why)
        }
        Driver::Shim { library, chip: (variable, value), icd: name, vendor } => {
            let Some(folder) = &places.shims else { return Err("it takes a drm-shim library of Mesa's (--shims)".into()) };
            let library = folder.join(library);
            if !library.is_file() {
                return Err(format!("no {}", library.display()));
            }
            let mut command = command();
            command.env("LD_PRELOAD", &library).env(variable, value);
            choose(&mut command, name)?;
            let service = Service::start(command, request)?;
            let Device { name, vendor: own, .. } = service.about();
            if *own == vendor { Ok(service) } else { Err(format!("the loader opens {name}")) }
        }
    }
}
