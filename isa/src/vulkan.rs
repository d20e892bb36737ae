//! A small Vulkan program: it opens a device, makes compute pipelines on it and asks the driver what became of them
//! (VK_KHR_pipeline_executable_properties). Nothing is ever dispatched, so a device that only compiles will do.
//!
//! Features are those that wgpu-hal turns on for this library's devices, as far as the driver has them: bounds checks by the hardware change the
//! machine code.

use crate::job::{Compiled, Device, Job, Statistic, Value};
use crate::spirv;
use ash::vk;
use std::ffi::CStr;

/// A device that compiles.
pub struct Compiler {
    // The loader's library stays open as long as its functions are called.
    _entry: ash::Entry,
    instance: ash::Instance,
    device: ash::Device,
    executables: ash::khr::pipeline_executable_properties::Device,
    about: Device,
}

/// Names of extensions, as a driver lists them.
struct Extensions(Vec<vk::ExtensionProperties>);

impl Extensions {
    fn has(&self, name: &CStr) -> bool {
        self.0.iter().any(|e| e.extension_name_as_c_str() == Ok(name))
    }
}

fn text(characters: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = characters.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Compiler {
    /// Opens the first device of these PCI numbers (vendor, device), or the first of all.
    ///
    /// # Errors
    /// No loader, no such device, or one whose driver does not tell what becomes of pipelines.
    pub fn open(wanted: Option<(u32, u32)>) -> Result<Self, String> {
        // SAFETY: the system's Vulkan loader runs its initialisers as any program that uses it has it; the handle is kept beside what was loaded.
        let entry = unsafe { ash::Entry::load() }.map_err(|e| format!("no Vulkan loader: {e}"))?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let create = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: the structs live until the call returns; the instance is destroyed in `drop`, or below where no device comes of it.
        let instance = unsafe { entry.create_instance(&create, None) }.map_err(|e| format!("no Vulkan instance: {e}"))?;
        match open_device(&entry, &instance, wanted) {
            Ok((device, about)) => {
                let executables = ash::khr::pipeline_executable_properties::Device::new(&instance, &device);
                Ok(Self { _entry: entry, instance, device, executables, about })
            }
            Err(why) => {
                // SAFETY: nothing was made of the instance.
                unsafe { instance.destroy_instance(None) };
                Err(why)
            }
        }
    }

    /// What was opened.
    pub fn about(&self) -> &Device {
        &self.about
    }

    /// Compiles a kernel; `listing`: with the machine code, where the driver gives it as text.
    ///
    /// # Errors
    /// What naga or the driver refuses.
    pub fn compile(&self, job: &Job, listing: bool) -> Result<Compiled, String> {
        if job.matrices && self.about.matrices.is_empty() {
            return Err("this driver has no cooperative matrices".into());
        }
        let words = spirv::translate(&job.wgsl, &job.overrides, spirv::newest((self.about.vulkan[0], self.about.vulkan[1])))?;
        let bindings: Vec<_> = job
            .bindings
            .iter()
            .map(|binding| {
                let kind = if binding.uniform { vk::DescriptorType::UNIFORM_BUFFER } else { vk::DescriptorType::STORAGE_BUFFER };
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding.number)
                    .descriptor_type(kind)
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let failed = |what: &'static str| move |e: vk::Result| format!("{what}: {e}");
        // SAFETY: every struct lives until the call that reads it returns, the SPIR-V is what naga has validated, and what was made is destroyed below
        // whatever the later calls answer. Nobody else uses the device meanwhile: the compiler is not shared between threads.
        unsafe {
            let set = self
                .device
                .create_descriptor_set_layout(&vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings), None)
                .map_err(failed("vkCreateDescriptorSetLayout"))?;
            let sets = [set];
            let layout = self.device.create_pipeline_layout(&vk::PipelineLayoutCreateInfo::default().set_layouts(&sets), None);
            let module = self.device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(&words), None);
            let compiled = match (layout, module) {
                (Ok(layout), Ok(module)) => self.pipeline(layout, module, listing),
                (Err(e), _) => Err(format!("vkCreatePipelineLayout: {e}")),
                (_, Err(e)) => Err(format!("vkCreateShaderModule: {e}")),
            };
            self.device.destroy_shader_module(module.unwrap_or_default(), None);
            self.device.destroy_pipeline_layout(layout.unwrap_or_default(), None);
            self.device.destroy_descriptor_set_layout(set, None);
            compiled
        }
    }

    /// # Safety
    /// Layout and module are of this device.
    unsafe fn pipeline(&self, layout: vk::PipelineLayout, module: vk::ShaderModule, listing: bool) -> Result<Compiled, String> {
        let mut flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR;
        if listing {
            flags |= vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
        }
        // As wgpu-hal has it for devices with subgroups.
        let varying = match self.about.subgroup_size_control {
            true => vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE,
            false => vk::PipelineShaderStageCreateFlags::empty(),
        };
        let stage = vk::PipelineShaderStageCreateInfo::default().flags(varying).stage(vk::ShaderStageFlags::COMPUTE).module(module).name(c"main");
        let create = [vk::ComputePipelineCreateInfo::default().flags(flags).layout(layout).stage(stage)];
        let start = std::time::Instant::now();
        // SAFETY: the caller's; structs live until the calls return, and the pipeline is destroyed when it has been asked.
        unsafe {
            let made = self.device.create_compute_pipelines(vk::PipelineCache::null(), &create, None);
            let pipeline = made.map_err(|(_, e)| format!("vkCreateComputePipelines: {e}"))?[0];
            let seconds = start.elapsed().as_secs_f64();
            let answer = self.ask(pipeline, listing).map_err(|e| format!("VK_KHR_pipeline_executable_properties: {e}"));
            self.device.destroy_pipeline(pipeline, None);
            answer.map(|mut compiled| {
                compiled.seconds = seconds;
                compiled
            })
        }
    }

    /// # Safety
    /// The pipeline is of this device, made with the flags that its answers need.
    unsafe fn ask(&self, pipeline: vk::Pipeline, listing: bool) -> Result<Compiled, vk::Result> {
        // SAFETY: the caller's.
        let parts = unsafe { self.executables.get_pipeline_executable_properties(&vk::PipelineInfoKHR::default().pipeline(pipeline)) }?;
        let mut compiled = Compiled::default();
        for (index, part) in (0..).zip(&parts) {
            if index == 0 {
                compiled.subgroup = part.subgroup_size;
            }
            let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(index);
            // SAFETY: the caller's; the index is one of those that the driver listed.
            let statistics = unsafe { self.executables.get_pipeline_executable_statistics(&info) }?;
            compiled.statistics.extend(statistics.iter().map(statistic));
            if listing {
                // SAFETY: as above; the pipeline keeps its internal representations.
                compiled.listings.extend(unsafe { self.listings(&info) }?);
            }
        }
        Ok(compiled)
    }

    /// The representations that are text, by name.
    ///
    /// # Safety
    /// As for `ask`.
    unsafe fn listings(&self, info: &vk::PipelineExecutableInfoKHR<'_>) -> Result<Vec<(String, String)>, vk::Result> {
        // SAFETY: the caller's; without data pointers the driver tells sizes.
        let mut found = unsafe { self.executables.get_pipeline_executable_internal_representations(info) }?;
        let mut texts: Vec<Vec<u8>> = found.iter().map(|one| vec![0; one.data_size]).collect();
        for (one, text) in found.iter_mut().zip(&mut texts) {
            one.p_data = text.as_mut_ptr().cast();
        }
        let mut count = found.len() as u32; // as many as the driver counted in 32 bits
        let get = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        // SAFETY: each struct points at as many bytes as it says, which live until the call returns.
        unsafe { get(self.executables.device(), info, &mut count, found.as_mut_ptr()) }.result()?;
        let shown = found.iter().zip(&texts).filter(|(one, _)| one.is_text != 0);
        Ok(shown.map(|(one, bytes)| (text(&one.name), String::from_utf8_lossy(bytes).trim_end_matches('\0').to_string())).collect())
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        // SAFETY: everything that was made of the device is destroyed by the call that made it.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

fn statistic(one: &vk::PipelineExecutableStatisticKHR<'_>) -> Statistic {
    // SAFETY: the driver has written the member that the format names.
    let value = unsafe {
        match one.format {
            vk::PipelineExecutableStatisticFormatKHR::BOOL32 => Value::Whole(u64::from(one.value.b32)),
            vk::PipelineExecutableStatisticFormatKHR::INT64 => Value::Signed(one.value.i64),
            vk::PipelineExecutableStatisticFormatKHR::FLOAT64 => Value::Real(one.value.f64),
            _ => Value::Whole(one.value.u64),
        }
    };
    Statistic { name: text(&one.name), value, says: text(&one.description) }
}

/// Structs of features that are first asked and then turned on.
#[derive(Default)]
struct Features {
    executables: vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR<'static>,
    storage16: vk::PhysicalDevice16BitStorageFeatures<'static>,
    float16: vk::PhysicalDeviceShaderFloat16Int8Features<'static>,
    memory_model: vk::PhysicalDeviceVulkanMemoryModelFeatures<'static>,
    subgroups: vk::PhysicalDeviceSubgroupSizeControlFeatures<'static>,
    robustness2: vk::PhysicalDeviceRobustness2FeaturesEXT<'static>,
    matrix: vk::PhysicalDeviceCooperativeMatrixFeaturesKHR<'static>,
}

impl Features {
    /// Those of extensions and versions that the device has, chained.
    fn chain(&mut self, extensions: &Extensions, vulkan: [u32; 2]) -> vk::PhysicalDeviceFeatures2<'_> {
        let is_there = |name: &CStr, core: [u32; 2]| vulkan >= core || extensions.has(name);
        // They may have been chained before.
        self.executables.p_next = std::ptr::null_mut();
        self.storage16.p_next = std::ptr::null_mut();
        self.float16.p_next = std::ptr::null_mut();
        self.memory_model.p_next = std::ptr::null_mut();
        self.subgroups.p_next = std::ptr::null_mut();
        self.robustness2.p_next = std::ptr::null_mut();
        self.matrix.p_next = std::ptr::null_mut();
        let mut chain = vk::PhysicalDeviceFeatures2::default().push_next(&mut self.executables).push_next(&mut self.storage16);
        if is_there(ash::khr::shader_float16_int8::NAME, [1, 2]) {
            chain = chain.push_next(&mut self.float16);
        }
        if is_there(ash::khr::vulkan_memory_model::NAME, [1, 2]) {
            chain = chain.push_next(&mut self.memory_model);
        }
        if is_there(ash::ext::subgroup_size_control::NAME, [1, 3]) {
            chain = chain.push_next(&mut self.subgroups);
        }
        if extensions.has(ash::ext::robustness2::NAME) {
            chain = chain.push_next(&mut self.robustness2);
        }
        if extensions.has(ash::khr::cooperative_matrix::NAME) {
            chain = chain.push_next(&mut self.matrix);
        }
        chain
    }
}

fn open_device(entry: &ash::Entry, instance: &ash::Instance, wanted: Option<(u32, u32)>) -> Result<(ash::Device, Device), String> {
    // SAFETY: the instance is alive.
    let all = unsafe { instance.enumerate_physical_devices() }.map_err(|e| format!("no Vulkan device: {e}"))?;
    let mut others = vec![];
    for physical in all {
        // SAFETY: a device of this instance.
        let properties = unsafe { instance.get_physical_device_properties(physical) };
        let name = text(&properties.device_name);
        if wanted.is_some_and(|numbers| numbers != (properties.vendor_id, properties.device_id)) {
            others.push(name);
            continue;
        }
        return open_physical(entry, instance, physical, &properties);
    }
    Err(if others.is_empty() { "the Vulkan loader finds no device".into() } else { format!("Vulkan has {} alone", others.join(", ")) })
}

fn open_physical(
    entry: &ash::Entry,
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
    properties: &vk::PhysicalDeviceProperties,
) -> Result<(ash::Device, Device), String> {
    let name = text(&properties.device_name);
    let version = properties.api_version;
    let vulkan = [vk::api_version_major(version), vk::api_version_minor(version)];
    if vulkan < [1, 1] {
        return Err(format!("{name} has Vulkan {}.{}; it takes 1.1", vulkan[0], vulkan[1]));
    }
    // SAFETY: a device of this instance.
    let extensions = Extensions(unsafe { instance.enumerate_device_extension_properties(physical) }.map_err(|e| format!("{name}: {e}"))?);
    if !extensions.has(ash::khr::pipeline_executable_properties::NAME) {
        return Err(format!("the driver of {name} does not tell what becomes of pipelines: it has no VK_KHR_pipeline_executable_properties"));
    }
    let has_matrix = extensions.has(ash::khr::cooperative_matrix::NAME);
    let wanted = [
        (ash::khr::pipeline_executable_properties::NAME, true),
        (ash::khr::shader_float16_int8::NAME, vulkan < [1, 2]),
        (ash::khr::vulkan_memory_model::NAME, vulkan < [1, 2]),
        (ash::ext::subgroup_size_control::NAME, vulkan < [1, 3]),
        (ash::ext::robustness2::NAME, true),
        (ash::khr::cooperative_matrix::NAME, true),
    ];
    let enabled: Vec<&CStr> = wanted.iter().filter(|(name, asked)| *asked && extensions.has(name)).map(|(name, _)| *name).collect();
    let mut features = Features::default();
    let mut own = features.chain(&extensions, vulkan);
    // SAFETY: a device of this instance with Vulkan 1.1; every struct of the chain is of an extension or a version that it has.
    unsafe { instance.get_physical_device_features2(physical, &mut own) };
    let core = own.features;
    // wgpu-hal leaves these off.
    features.robustness2.null_descriptor = 0;
    features.matrix.cooperative_matrix_robust_buffer_access = 0;
    let mut turned_on = features.chain(&extensions, vulkan);
    turned_on.features = vk::PhysicalDeviceFeatures {
        robust_buffer_access: core.robust_buffer_access,
        shader_int64: core.shader_int64,
        shader_int16: core.shader_int16,
        ..Default::default()
    };
    let priorities = [1.0];
    let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&priorities)];
    let names: Vec<_> = enabled.iter().map(|name| name.as_ptr()).collect();
    let create = vk::DeviceCreateInfo::default().queue_create_infos(&queues).enabled_extension_names(&names).push_next(&mut turned_on);
    // SAFETY: features and extensions are the driver's own; all structs live until the call returns.
    let device = unsafe { instance.create_device(physical, &create, None) }.map_err(|e| format!("{name}: {e}"))?;

    if features.executables.pipeline_executable_info == 0 {
        // SAFETY: nothing was made of it.
        unsafe { device.destroy_device(None) };
        return Err(format!("the driver of {name} does not tell what becomes of pipelines: pipelineExecutableInfo is off"));
    }
    let matrices = if has_matrix && features.matrix.cooperative_matrix != 0 { matrix_shapes(entry, instance, physical) } else { vec![] };
    let mut driver = vk::PhysicalDeviceDriverProperties::default();
    let mut subgroup = vk::PhysicalDeviceSubgroupProperties::default();
    let mut more = vk::PhysicalDeviceProperties2::default().push_next(&mut subgroup);
    if vulkan >= [1, 2] {
        more = more.push_next(&mut driver);
    }
    // SAFETY: as for the features.
    unsafe { instance.get_physical_device_properties2(physical, &mut more) };
    let about = Device {
        name,
        driver: format!("{} {}", text(&driver.driver_name), text(&driver.driver_info)).trim().to_string(),
        vulkan,
        vendor: properties.vendor_id,
        device: properties.device_id,
        subgroup: subgroup.subgroup_size,
        subgroup_size_control: features.subgroups.subgroup_size_control != 0,
        matrices,
    };
    Ok((device, about))
}

/// The shapes of cooperative matrices, as `wgconv info` writes them.
fn matrix_shapes(entry: &ash::Entry, instance: &ash::Instance, physical: vk::PhysicalDevice) -> Vec<String> {
    let functions = ash::khr::cooperative_matrix::Instance::new(entry, instance);
    // SAFETY: a device of this instance that has the extension.
    let all = unsafe { functions.get_physical_device_cooperative_matrix_properties(physical) }.unwrap_or_default();
    let kind = |kind: vk::ComponentTypeKHR| format!("{kind:?}").replace("FLOAT", "F");
    let of_subgroups = all.iter().filter(|p| p.scope == vk::ScopeKHR::SUBGROUP);
    of_subgroups.map(|p| format!("{}x{}x{} {} -> {}", p.m_size, p.n_size, p.k_size, kind(p.a_type), kind(p.result_type))).collect()
}
