//! A chain of ops on planes of any size: whole where they fit, else one op after the other on bands of rows.
//!
//! A band carries the rows beyond it that its windows reach (the halo); beyond the plane they are what the padding mode says. So each
//! output row is the same sum over the same values, whichever way a plane goes.

use crate::chain::{self, Link};
use crate::{Failure, complain};
use ndarray::{Array2, Array3, Array4, ArrayD, ArrayView2, Axis, Ix4, s};
use wgconv::conv::Conv2dDescriptor;
use wgconv::{Error, Gpu, Padding, PaddingMode};

/// Bytes of all planes together that still go to the device in one submit.
const AT_ONCE: usize = 64 << 20;
/// Bytes of one plane that does.
const PLANE_AT_ONCE: usize = 256 << 20;
/// Bytes of a band on the GPU.
const GPU_BAND: usize = 32 << 20;
/// Bytes of a band on a core of a processor, so that its cache holds it, and of all bands at once.
const CPU_BAND: usize = 256 << 10;
const CPU_BANDS: usize = 64 << 20;

/// What computes: the GPU until a picture does not fit it, and the CPU engine else.
pub struct Engine {
    pub gpu: Option<Gpu>,
}

/// A picture's channel planes: read one by one, and replaced by what is computed from them.
pub trait Planes {
    /// How many there are.
    fn count(&self) -> usize;
    /// Height and width of each.
    fn extents(&self) -> [usize; 2];
    /// A plane's values.
    fn get(&self, channel: usize) -> Array2<f32>;
    /// Takes the result of a plane.
    fn put(&mut self, channel: usize, values: ArrayView2<'_, f32>);
}

impl Engine {
    /// Runs all planes of a picture through the links: small ones together, others one at a time. `progress` hears of rows of results,
    /// of every link.
    ///
    /// # Errors
    /// What a device refuses, but for its limits: what passes them goes on in smaller parts, or by the CPU engine with a word on it.
    pub fn run(&mut self, planes: &mut dyn Planes, links: &[Link], progress: &dyn Fn(usize)) -> Result<(), Failure> {
        let ([height, width], count) = (planes.extents(), planes.count());
        let rows = chain::extents([height, width], links)?[1..].iter().map(|[rows, _]| rows).sum::<usize>();
        if let Some(gpu) = self.gpu.as_ref().filter(|_| 4 * height * width * count <= AT_ONCE) {
            let mut x = Array3::zeros((count, height, width));
            x.outer_iter_mut().enumerate().for_each(|(c, mut x)| x.assign(&planes.get(c)));
            match chain::at_once(gpu, x.view(), links) {
                Ok(y) => {
                    y.outer_iter().enumerate().for_each(|(c, y)| planes.put(c, y));
                    progress(count * rows);
                    return Ok(());
                }
                Err(error) if passing(&error) => log::info!("one channel at a time: {error}"),
                Err(error) => return Err(error.into()),
            }
        }
        for c in 0..count {
            let y = self.plane(planes.get(c), links, rows, progress)?;
            planes.put(c, y.view());
        }
        Ok(())
    }

    /// Runs one plane through the links, which give so many `rows` in all.
    fn plane(&mut self, x: Array2<f32>, links: &[Link], rows: usize, progress: &dyn Fn(usize)) -> Result<Array2<f32>, Failure> {
        if let Some(gpu) = self.gpu.as_ref().filter(|_| 4 * x.len() <= PLANE_AT_ONCE) {
            match chain::at_once(gpu, x.view().insert_axis(Axis(0)), links) {
                Ok(y) => {
                    progress(rows);
                    return Ok(y.index_axis_move(Axis(0), 0));
                }
                Err(error) if passing(&error) => log::info!("in bands of rows: {error}"),
                Err(error) => return Err(error.into()),
            }
        }
        let (y, refused) = match &self.gpu {
            Some(gpu) => by_bands(x, links, Some((Bands::on_gpu(gpu), &|link, x| chain::on_gpu(gpu, link, x))), progress)?,
            None => by_bands(x, links, None, progress)?,
        };
        if refused {
            self.gpu = None;
        }
        Ok(y)
    }
}

/// A device: how large its bands are, and how it computes one.
type Device<'a> = (Bands, &'a dyn Fn(&Link, &ArrayD<f32>) -> Result<ArrayD<f32>, Error>);

/// Runs a plane through the links band by band. Where the device refuses even these, the CPU engine goes on, with a word on it; the result
/// says whether it was so.
fn by_bands(mut x: Array2<f32>, links: &[Link], mut device: Option<Device<'_>>, progress: &dyn Fn(usize)) -> Result<(Array2<f32>, bool), Error> {
    let mut refused = false;
    for link in links {
        let y = match device {
            Some((bands, compute)) => band_by_band(link, &x, bands, progress, compute),
            None => band_by_band(link, &x, Bands::ON_CPU, progress, chain::on_cpu),
        };
        x = match y {
            Err(error) if device.is_some() && passing(&error) => {
                complain(&format!("{error}. Computing on the CPU engine"));
                (device, refused) = (None, true);
                band_by_band(link, &x, Bands::ON_CPU, progress, chain::on_cpu)?
            }
            y => y?,
        };
    }
    Ok((x, refused))
}

/// Errors that a smaller part of the picture, or the CPU engine, does not have.
fn passing(error: &Error) -> bool {
    matches!(error, Error::TooLarge { .. } | Error::OutOfMemory { .. } | Error::Unsupported { .. })
}

/// How large bands are.
#[derive(Clone, Copy)]
struct Bands {
    /// Bytes of one at most, with what comes of it; a row and its halo are never cut.
    bytes: usize,
    /// Bytes of those that go together.
    together: usize,
    /// Times the halo that a band has in rows at least, so that little is read twice.
    halos: usize,
}

impl Bands {
    const ON_CPU: Bands = Bands { bytes: CPU_BAND, together: CPU_BANDS, halos: 2 };

    fn on_gpu(gpu: &Gpu) -> Bands {
        let most = usize::try_from(gpu.profile().max_binding_bytes).unwrap_or(usize::MAX).min(GPU_BAND);
        Bands { bytes: most, together: most, halos: 0 }
    }
}

/// How a link's windows lie along the rows.
struct Rows {
    taps: usize,
    stride: usize,
    /// Rows beyond the first that the first window reads.
    before: usize,
    mode: PaddingMode,
    /// The link on a band that has its halo: no padding above or below.
    inner: Link,
}

impl Rows {
    fn of(link: &Link, [height, width]: [usize; 2], [_, out_width]: [usize; 2]) -> Self {
        match link {
            Link::Filter(descriptor, weights) => {
                let (taps, columns) = weights.dim();
                let [stride, step] = descriptor.stride;
                let (before, left) = match descriptor.padding {
                    Padding::Valid => (0, 0),
                    Padding::Explicit { begin, .. } => (begin[0], begin[1]),
                    _ => (same_pad(height, taps, stride), same_pad(width, columns, step)),
                };
                let right = ((out_width - 1) * step + columns).saturating_sub(width + left);
                let padding = Padding::Explicit { begin: [0, left], end: [0, right] };
                let inner = Link::Filter(Conv2dDescriptor { padding, ..*descriptor }, weights.clone());
                Rows { taps, stride, before, mode: descriptor.padding_mode, inner }
            }
            Link::Pool(kind, size) => Rows { taps: *size, stride: *size, before: 0, mode: PaddingMode::Zeros, inner: Link::Pool(*kind, *size) },
            Link::Activation(a) => Rows { taps: 1, stride: 1, before: 0, mode: PaddingMode::Zeros, inner: Link::Activation(*a) },
        }
    }

    /// The row of the plane that is read `i` rows after its first; none for a row of zeros.
    fn source(&self, i: isize, height: usize) -> Option<usize> {
        let last = height as isize - 1;
        let row = match self.mode {
            PaddingMode::Zeros if i < 0 || i > last => return None,
            PaddingMode::Zeros => i,
            PaddingMode::Reflect => last - (last - i.abs()).abs(),
            PaddingMode::Replicate => i.clamp(0, last),
            PaddingMode::Circular => i.rem_euclid(last + 1),
        };
        usize::try_from(row).ok()
    }
}

/// The pad before the first element of [`Padding::Same`]: half of what keeps the extent, the odd one goes to the end.
fn same_pad(input: usize, taps: usize, stride: usize) -> usize {
    ((input.div_ceil(stride) - 1) * stride + taps).saturating_sub(input) / 2
}

/// Computes a link on a plane, some bands of rows at a time.
fn band_by_band(
    link: &Link,
    x: &Array2<f32>,
    bands: Bands,
    progress: &dyn Fn(usize),
    compute: impl Fn(&Link, &ArrayD<f32>) -> Result<ArrayD<f32>, Error>,
) -> Result<Array2<f32>, Error> {
    let (height, width) = x.dim();
    let extents = chain::extents([height, width], std::slice::from_ref(link))?[1];
    let [out_height, out_width] = extents;
    let rows = Rows::of(link, [height, width], extents);
    // Output rows of a band, such that they and the rows that they read are as many bytes as a band may have.
    let row_bytes = 4 * (rows.stride * width + out_width);
    let halo_bytes = 4 * width * rows.taps.saturating_sub(rows.stride);
    let least = (bands.halos * rows.taps).div_ceil(rows.stride).max(1);
    let each = (bands.bytes.saturating_sub(halo_bytes) / row_bytes).max(least).min(out_height);
    let several = (bands.together / (each * row_bytes + halo_bytes)).max(1);
    let mut y = Array2::zeros((out_height, out_width));
    let mut first = 0;
    while first < out_height {
        let left = out_height - first;
        let (count, each) = if left >= each { (several.min(left / each), each) } else { (1, left) };
        let reads = (each - 1) * rows.stride + rows.taps;
        let mut input = Array4::zeros((count, 1, reads, width));
        for (band, mut input) in input.outer_iter_mut().enumerate() {
            let start = ((first + band * each) * rows.stride) as isize - rows.before as isize;
            for (i, mut row) in input.index_axis_mut(Axis(0), 0).outer_iter_mut().enumerate() {
                if let Some(source) = rows.source(start + i as isize, height) {
                    row.assign(&x.row(source));
                }
            }
        }
        let output = compute(&rows.inner, &input.into_dyn())?;
        let output = output.into_dimensionality::<Ix4>().map_err(|e| Error::Internal { label: "bands".into(), message: e.to_string() })?;
        for (band, output) in output.outer_iter().enumerate() {
            let from = first + band * each;
            y.slice_mut(s![from..from + each, ..]).assign(&output.index_axis(Axis(0), 0));
        }
        first += count * each;
        progress(count * each);
    }
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{Border, filters, then};
    use crate::kernels;

    fn noise(height: usize, width: usize) -> Array2<f32> {
        Array2::from_shape_fn((height, width), |(y, x)| ((y * 7919 + x * 104_729) % 251) as f32)
    }

    fn whole(link: &Link, x: &Array2<f32>) -> Array2<f32> {
        let y = chain::on_cpu(link, &x.clone().insert_axis(Axis(0)).insert_axis(Axis(0)).into_dyn()).unwrap();
        y.into_dimensionality::<Ix4>().unwrap().index_axis_move(Axis(0), 0).index_axis_move(Axis(0), 0)
    }

    /// Every way of dividing a plane gives the very values of the undivided one.
    #[test]
    fn bands_give_what_the_whole_plane_gives() {
        let x = noise(41, 23);
        let uneven = Array2::from_shape_fn((4, 6), |(r, s)| (r * 6 + s) as f32 - 9.0);
        for padding in ["valid", "same", "reflect", "replicate", "circular"] {
            let border = Border::parse(padding).ok().unwrap();
            for stride in [1, 2, 3] {
                let mut links = filters(kernels::passes("gaussian:1.5").ok().unwrap(), stride, border);
                links.extend(filters(vec![uneven.clone()], stride, border));
                links.extend(filters(kernels::passes("box:4").ok().unwrap(), stride, border));
                links.extend(then("maxpool:3", border, kernels::passes).ok().unwrap());
                links.extend(then("abs", border, kernels::passes).ok().unwrap());
                for (number, link) in links.iter().enumerate() {
                    let want = whole(link, &x);
                    for (bytes, together) in [(1, 1), (700, 4000), (2000, 2000), (4000, 1 << 20), (1 << 20, 1 << 20)] {
                        for halos in [0, 1] {
                            let rows = std::cell::Cell::new(0);
                            let bands = Bands { bytes, together, halos };
                            let y = band_by_band(link, &x, bands, &|more| rows.set(rows.get() + more), chain::on_cpu).unwrap();
                            assert!(y == want, "{padding}, stride {stride}, link {number}, bands of {bytes} bytes");
                            assert_eq!(rows.get(), want.nrows());
                        }
                    }
                }
            }
        }
    }

    /// On the GPU too; whole numbers, so the sums are exact.
    #[test]
    fn bands_on_the_gpu_are_exact() {
        let gpu = Gpu::new().expect("the tests need an adapter; scripts/test.sh installs a software one");
        let x = noise(33, 17);
        for padding in ["valid", "same", "reflect", "replicate", "circular"] {
            let link = filters(kernels::passes("sobel-y").ok().unwrap(), 2, Border::parse(padding).ok().unwrap()).remove(0);
            let y = band_by_band(&link, &x, Bands { bytes: 900, together: 900, halos: 0 }, &|_| (), |link, x| chain::on_gpu(&gpu, link, x)).unwrap();
            assert!(y == whole(&link, &x), "{padding}");
        }
    }

    /// What no band of the device can do, the CPU engine does; other errors end the work.
    #[test]
    fn the_cpu_engine_goes_on_where_the_device_refuses() {
        let x = noise(30, 20);
        let links = filters(kernels::passes("gaussian:2").ok().unwrap(), 1, Border::parse("reflect").ok().unwrap());
        let bands = Bands { bytes: 4000, together: 4000, halos: 0 };
        let run = |error: Option<Error>| {
            let calls = std::cell::Cell::new(0);
            let compute = |link: &Link, x: &ArrayD<f32>| {
                calls.set(calls.get() + 1);
                // The second pass of the kernel is refused.
                if let (Some(error), true) = (&error, x.shape()[2] > 1) { Err(error.clone()) } else { chain::on_cpu(link, x) }
            };
            by_bands(x.clone(), &links, Some((bands, &compute)), &|_| ()).map(|(y, refused)| (y, refused, calls.get()))
        };
        let (want, refused, _) = run(None).unwrap();
        assert!(!refused);
        let limit = Error::TooLarge { argument: "x".into(), needed: 2, unit: "bytes", limit_name: "a limit", limit: 1 };
        let (y, refused, calls) = run(Some(limit)).unwrap();
        assert!(y == want && refused && calls >= 1);
        assert!(matches!(run(Some(Error::DeviceLost { reason: "gone".into() })), Err(Error::DeviceLost { .. })));
    }
}
