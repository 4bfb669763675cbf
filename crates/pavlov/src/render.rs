//! `render` and `bench render`: pictures of what a run recorded, and how many a second.

use crate::Usage;
use crate::args::Render;
use crate::bench_args::Bench;
use crate::out::{Out, number};
use anyhow::Result;
use pavlov_env::{Assets, Task};
use pavlov_physics::gpu::Gpu;
use pavlov_render::{
    Camera, Film, FilmSpec, Format, Movie, Picture, RenderError, Renderer, Stage, Style, views, write_png,
};
use pavlov_run::{Clip, Device, RunConfig, RunFolder, load_inputs};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Seconds of a film unless asked for otherwise.
const LONGEST: f64 = 10.0;
/// Pictures drawn together for a film.
const TOGETHER: usize = 32;
/// Pictures a GIF takes its colours from.
const SAMPLE: usize = 8;

fn adapter(device: Device) -> Result<usize> {
    match device {
        Device::Gpu(index) => Ok(index),
        Device::Cpu => {
            let message = "pictures are drawn on an adapter of `pavlov devices`, \
                           of which one may be in software: use `--device gpu`";
            Err(Usage(message.into()).into())
        }
    }
}

/// The clip asked for, its file, and the task it is of.
fn load(assets: &Assets, runs: &Path, args: &Render) -> Result<(Clip, PathBuf, Task)> {
    if args.run.extension().is_some_and(|e| e == "jsonl") && args.run.is_file() {
        let clip = Clip::read(&args.run)?;
        let task = Task::load(assets, &clip.header.task)?;
        return Ok((clip, args.run.clone(), task));
    }
    let folder = RunFolder::open(&crate::find::find(runs, &args.run)?)?;
    let config = RunConfig::read(&folder.config())?;
    let name = args.clip.clone().unwrap_or_else(|| "final".into());
    let named = folder.clips().join(&name).with_extension("jsonl");
    let path = if name.is_file() { name.clone() } else { named };
    if !path.is_file() {
        let mut names: Vec<String> = std::fs::read_dir(folder.clips())
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|e| Some(e.file_name().to_str()?.strip_suffix(".jsonl")?.to_string()))
            .collect();
        names.sort();
        let existing = match names.is_empty() {
            true => "it has none (the clip `final` is recorded when training ends)".into(),
            false => format!("it has {}", names.join(", ")),
        };
        let (name, run) = (name.display(), folder.name());
        return Err(Usage(format!("no clip `{name}` in {run}/clips: {existing}")).into());
    }
    let (task, _) = load_inputs(&folder, &config)?;
    Ok((Clip::read(&path)?, path, task))
}

/// `pavlov render`.
pub fn render(out: Out, assets: &Assets, runs: &Path, args: &Render) -> Result<()> {
    let camera: Camera = args.camera.parse()?;
    let style = Style { surface: args.ground.parse()?, light: args.light.parse()? };
    let index = adapter(args.device)?;
    let (clip, path, task) = load(assets, runs, args)?;
    let model = task.model();
    if clip.header.nq != model.nq() {
        let (nq, name) = (model.nq(), &model.name);
        let message = format!("{}: states of {} coordinates; `{name}` has {nq}", path.display(), clip.header.nq);
        return Err(Usage(message).into());
    }
    let states = clip.frames.iter().map(|f| f.qpos.as_slice()).filter(|q| !q.is_empty());
    let film = Film::new(model, clip.header.dt, states)?;
    let mut films = Vec::new();
    for (file, format) in [(&args.gif, Format::Gif), (&args.apng, Format::Apng), (&args.mp4, Format::Mp4)] {
        films.extend(file.clone().map(|f| (f, format)));
    }
    if films.is_empty() && args.png.is_none() {
        // Beside the clip, which may be in the folder of a run.
        let gif = path.with_extension("gif");
        let root = path.ancestors().nth(2).unwrap_or(Path::new(""));
        pavlov_common::file::no_links(root, &gif).map_err(|e| Usage(format!("cannot write {}: {e}", gif.display())))?;
        films.push((gif, Format::Gif));
    }
    let start = within(&film, args.start, "--start")?;
    let end = (start + args.seconds.unwrap_or(LONGEST)).min(film.duration());
    let mut renderer = Renderer::new(index)?;
    let mut painter = Painter { renderer: &mut renderer, film: &film, style, camera, size: args.size };
    if let Some(file) = &args.png {
        let times: Vec<f64> = match args.frames {
            Some(n) => (0..n).map(|i| start + (end - start) * f64::from(i) / f64::from(n - 1)).collect(),
            None => vec![within(&film, args.time.unwrap_or(0.5 * film.duration()), "--time")?],
        };
        let pictures = painter.paint(&times)?;
        let strip = Picture::strip(&pictures).ok_or_else(|| Usage("no pictures".into()))?;
        write_png(file, &strip)?;
        let size = [strip.width, strip.height];
        painter.tell(out, file, "png", size, &times, None)?;
    }
    for (file, format) in films {
        let times = film.times(args.fps, args.speed, start, end);
        painter.film(&file, format, args.fps, &times)?;
        painter.tell(out, &file, format.name(), args.size.into(), &times, Some(args.fps))?;
    }
    Ok(())
}

fn within(film: &Film, time: f64, option: &str) -> Result<f64> {
    if (0.0..=film.duration()).contains(&time) {
        return Ok(time);
    }
    Err(Usage(format!("{option} {time}: the clip lasts from 0 to {:.2} s", film.duration())).into())
}

struct Painter<'a> {
    renderer: &'a mut Renderer,
    film: &'a Film,
    style: Style,
    camera: Camera,
    size: (u32, u32),
}

impl Painter<'_> {
    fn paint(&mut self, times: &[f64]) -> Result<Vec<Picture>, RenderError> {
        let aspect = self.size.0 as f32 / self.size.1 as f32;
        let scenes: Vec<_> = times.iter().map(|&t| self.film.scene(t, &self.style, &self.camera, aspect)).collect();
        self.renderer.render(&views(&scenes), self.size.0, self.size.1)
    }

    fn film(&mut self, file: &Path, format: Format, fps: f64, times: &[f64]) -> Result<(), RenderError> {
        let every = times.len().div_ceil(SAMPLE).max(1);
        let sample = match format {
            Format::Gif => self.paint(&times.iter().copied().step_by(every).collect::<Vec<_>>())?,
            _ => Vec::new(),
        };
        let spec = FilmSpec { format, width: self.size.0, height: self.size.1, fps, count: times.len() };
        let mut movie = Movie::create(file, spec, &sample)?;
        for part in times.chunks(TOGETHER) {
            for picture in self.paint(part)? {
                movie.push(&picture)?;
            }
        }
        movie.finish()
    }

    fn tell(
        &self,
        out: Out,
        file: &Path,
        format: &str,
        [width, height]: [u32; 2],
        times: &[f64],
        fps: Option<f64>,
    ) -> Result<()> {
        let bytes = std::fs::metadata(file).map_or(0, |m| m.len());
        let seconds = fps.map(|fps| times.len() as f64 / fps);
        if out.json {
            return out.object(&json!({
                "file": file, "format": format, "width": width, "height": height, "frames": times.len(), "fps": fps,
                "seconds": seconds, "from_s": times.first(), "to_s": times.last(), "camera": self.camera.name,
                "bytes": bytes, "adapter": self.renderer.adapter(),
            }));
        }
        let length = match (seconds, times) {
            (Some(s), _) => format!("{} pictures, {s:.2} s", times.len()),
            (None, [time]) => format!("at {time:.2} s"),
            (None, _) => format!("{} pictures", times.len()),
        };
        out.line(&format!("{}: {width}x{height}, {length}, {} kB", file.display(), bytes.div_ceil(1024)))
    }
}

/// `pavlov bench render`.
pub fn bench(out: Out, args: &Bench, task: &Task) -> Result<()> {
    let index = if args.engine.device == Device::Cpu { 0 } else { adapter(args.engine.device)? };
    let gpu = Gpu::open(index).map_err(RenderError::from)?;
    let driver = gpu.info().driver.clone();
    let mut renderer = Renderer::on(gpu, args.samples)?;
    let mut stage = Stage::new(task.model())?;
    let states = stage.varied(256);
    let (camera, style) = (Camera::default(), Style::default());
    let batch = args.batch as usize;
    let r =
        pavlov_render::bench(&mut renderer, &mut stage, &states, (&camera, &style), args.size, (batch, args.seconds))?;
    let (width, height) = args.size;
    if out.json {
        return out.object(&json!({
            "bench": "render", "task": task.name, "robot": task.model().name, "images_per_s": r.images_per_s,
            "width": width,
            "height": height, "samples": args.samples, "batch": r.batch, "images": r.images, "seconds": r.seconds,
            "scene_share": r.scene_share, "camera": camera.name, "adapter": renderer.adapter(), "driver": driver,
            "version": env!("CARGO_PKG_VERSION"),
        }));
    }
    out.text(&format!(
        "{}: {} pictures/s of {width}x{height} ({} samples a pixel, {} drawn together, robot, ground and shadow)\n\
         {}, {driver}; {} pictures in {:.1} s, {:.0}% of it before drawing\n",
        task.name,
        number(r.images_per_s),
        args.samples,
        r.batch,
        renderer.adapter(),
        r.images,
        r.seconds,
        100.0 * r.scene_share
    ))
}
