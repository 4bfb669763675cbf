//! The reward source `vision`: what a picture of the robot says about a prompt, as a column of the reward graph.
//!
//! Directly: each world is drawn and embedded every so many steps, and the number is held or moved to over the steps
//! between. Distilled: see `distil.rs`. All blocks of a run share one renderer and one model.

use crate::distil::{Distiller, Labeller, Net, Sample};
use crate::eyes::difference;
use crate::features::Features;
use crate::judge::Judge;
use crate::options::Options;
use crate::{Eyes, Sight, VisionError, VisionModel};
use pavlov_render::Picture;
use pavlov_reward::{Reward, RewardSource, SourceSetup, SourceStep, register_source};
use pavlov_script::{Channel, Input};
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

/// Makes the source `vision` known; models named without a path are looked up in `assets/vision` below these roots. A
/// program calls it once, before it makes environments.
pub fn register_sources(roots: &[PathBuf]) {
    let roots = roots.to_vec();
    register_source("vision", move |setup| make(setup, &roots));
}

/// The folder of a model: a name below `assets/vision` of a root, or a path.
///
/// # Errors
/// When there is none; it says where was looked.
pub fn model_folder(model: &str, roots: &[PathBuf]) -> Result<PathBuf, VisionError> {
    let path = Path::new(model);
    let named = roots.iter().map(|r| r.join("assets/vision").join(path)).find(|f| f.join("vision.toml").is_file());
    if let Some(found) = named {
        return Ok(found);
    }
    if path.join("vision.toml").is_file() {
        return Ok(path.to_path_buf());
    }
    let looked: Vec<String> = roots
        .iter()
        .map(|r| r.join("assets/vision"))
        .chain([PathBuf::from(".")])
        .map(|p| p.display().to_string())
        .collect();
    Err(VisionError::Usage(format!(
        "no vision model `{model}`: expected a folder with a vision.toml, looked for in {}; `pavlov vision models` \
             lists those there are",
        looked.join(", ")
    )))
}

/// The folder of a reward's model: in the reward's folder or in the root around it, where a run keeps its copy; a name
/// below the roots; or a path, which leads nowhere else than other files of a reward do.
fn model_of(reward: &Reward, model: &str, roots: &[PathBuf]) -> Result<PathBuf, VisionError> {
    let around = reward.path().parent().map(Path::to_path_buf);
    let roots: Vec<PathBuf> = around.into_iter().chain(roots.iter().cloned()).collect();
    let own = reward.path().join(model);
    let folder = if own.join("vision.toml").is_file() { own } else { model_folder(model, &roots)? };
    let is_named = roots.iter().any(|root| folder.starts_with(root.join("assets/vision")));
    if !is_named || Path::new(model).components().any(|part| !matches!(part, Component::Normal(_))) {
        pavlov_common::fence::check(reward.path(), model, &folder).map_err(|e| VisionError::Usage(e.to_string()))?;
    }
    Ok(folder)
}

/// Renderer, model and judge of a run.
#[derive(Debug)]
struct Watch {
    eyes: Eyes,
    sight: Sight,
    judge: Judge,
}

static WATCHES: LazyLock<Mutex<HashMap<String, Weak<Mutex<Watch>>>>> = LazyLock::new(Mutex::default);
static DISTILLERS: LazyLock<Mutex<HashMap<String, Weak<Distiller>>>> = LazyLock::new(Mutex::default);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value of this key, made where there is none.
fn shared<T>(
    all: &Mutex<HashMap<String, Weak<T>>>,
    key: &str,
    make: impl FnOnce() -> Result<T, VisionError>,
) -> Result<Arc<T>, VisionError> {
    let mut all = lock(all);
    if let Some(there) = all.get(key).and_then(Weak::upgrade) {
        return Ok(there);
    }
    let fresh = Arc::new(make()?);
    all.retain(|_, w| w.strong_count() > 0);
    all.insert(key.into(), Arc::downgrade(&fresh));
    Ok(fresh)
}

fn watch(setup: &SourceSetup<'_>, options: &Options, roots: &[PathBuf], threads: usize) -> Result<Watch, VisionError> {
    let folder = model_of(setup.reward, &options.model, roots)?;
    let sight = Sight::named(&options.camera, &options.ground, &options.light)?;
    let model = if threads == 0 { VisionModel::load(&folder)? } else { VisionModel::load_on(&folder, threads)? };
    let mut eyes = Eyes::new(setup.model, model, options.adapter)?;
    let judge = Judge::new(options, &mut eyes, &sight, setup.reward)?;
    Ok(Watch { eyes, sight, judge })
}

fn make(setup: &SourceSetup<'_>, roots: &[PathBuf]) -> Result<Box<dyn RewardSource>, String> {
    let options = Options::read(setup.options)?;
    let key = format!("{:?} {:?} {}", setup.options, setup.reward.path(), setup.model.name);
    let features = Features::new(setup.model, options.motion > 0.0 && options.distilled);
    if !options.distilled {
        let watch = shared(&WATCHES, &key, || Ok(Mutex::new(watch(setup, &options, roots, 0)?)));
        let watch = watch.map_err(|e| e.to_string())?;
        let n = setup.worlds;
        return Ok(Box::new(Direct {
            watch,
            nq: setup.model.nq(),
            every: options.every.max(1),
            interpolate: options.interpolate,
            motion: options.motion as f32,
            value: vec![0.0; n],
            from: vec![0.0; n],
            age: vec![0; n],
            fresh: vec![true; n],
            picture: vec![None; n],
        }));
    }
    // One labeller for training and the evaluations of it, whatever their seeds.
    let distiller = shared(&DISTILLERS, &key, || {
        let Watch { eyes, sight, judge } = watch(setup, &options, roots, 1)?;
        Distiller::start(Labeller {
            eyes,
            sight,
            judge,
            motion: options.motion as f32,
            per_s: options.labels_per_s,
            width: features.width(),
            hidden: options.hidden.clamp(4, 1024),
            seed: setup.seed,
        })
    });
    Ok(Box::new(Distilled {
        distiller: distiller.map_err(|e| e.to_string())?,
        features,
        net: None,
        version: 0,
        rows: Vec::new(),
        dice: crate::dataset::Dice::new(setup.seed, setup.first_world as u32),
        every: options.every.max(1) as usize,
        motion: options.motion > 0.0,
        past: Vec::new(),
        since: vec![0; setup.worlds],
    }))
}

/// Pictures of every world.
#[derive(Debug)]
struct Direct {
    watch: Arc<Mutex<Watch>>,
    nq: usize,
    every: u32,
    interpolate: bool,
    motion: f32,
    /// Last value, the one before it, steps since the last look.
    value: Vec<f32>,
    from: Vec<f32>,
    age: Vec<u32>,
    /// No look in this episode yet.
    fresh: Vec<bool>,
    /// The last picture, where motion counts.
    picture: Vec<Option<Picture>>,
}

impl RewardSource for Direct {
    fn inputs(&self) -> Vec<Input> {
        (0..self.nq).map(|i| Input::now(Channel::Qpos(i as u16))).collect()
    }

    fn reset(&mut self, world: usize, _: u32) {
        self.fresh[world] = true;
        self.picture[world] = None;
    }

    fn evaluate(&mut self, step: &SourceStep<'_>, out: &mut [f32]) -> Result<(), String> {
        let due: Vec<usize> = (0..step.worlds).filter(|&w| self.fresh[w] || self.age[w] + 1 >= self.every).collect();
        self.age.iter_mut().for_each(|a| *a += 1);
        if !due.is_empty() {
            let states: Vec<Vec<f32>> =
                due.iter().map(|&w| (0..self.nq).map(|i| step.column(i)[w]).collect()).collect();
            // A world that has become non-finite is reset by the environment; it gets nothing.
            let sound: Vec<usize> = (0..due.len()).filter(|&k| states[k].iter().all(|x| x.is_finite())).collect();
            let refs: Vec<&[f32]> = sound.iter().map(|&k| states[k].as_slice()).collect();
            let mut watch = lock(&self.watch);
            let Watch { eyes, sight, judge } = &mut *watch;
            let (vectors, pictures) = eyes.look(&refs, sight).map_err(|e| e.to_string())?;
            for ((k, v), picture) in sound.into_iter().zip(vectors).zip(pictures) {
                let w = due[k];
                let mut value = judge.value(&v);
                if self.motion > 0.0 {
                    // Nothing has moved yet in the first picture of an episode.
                    let moved = self.picture[w].as_ref().map_or(0.0, |last| difference(last, &picture));
                    value *= (moved / self.motion).min(1.0);
                    self.picture[w] = Some(picture);
                }
                self.from[w] = if self.fresh[w] { value } else { self.value[w] };
                (self.value[w], self.age[w], self.fresh[w]) = (value, 0, false);
            }
        }
        for (w, out) in out.iter_mut().enumerate() {
            *out = if self.interpolate {
                let t = ((self.age[w] + 1) as f32 / self.every as f32).min(1.0);
                self.from[w] + t * (self.value[w] - self.from[w])
            } else {
                self.value[w]
            };
        }
        Ok(())
    }

    fn save(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for w in 0..self.value.len() {
            bytes.extend_from_slice(&self.value[w].to_le_bytes());
            bytes.extend_from_slice(&self.from[w].to_le_bytes());
            bytes.extend_from_slice(&self.age[w].to_le_bytes());
            bytes.push(u8::from(self.fresh[w]));
            let rgba = self.picture[w].as_ref().map_or(&[][..], |p| p.rgba.as_slice());
            bytes.extend_from_slice(&(rgba.len() as u32).to_le_bytes());
            bytes.extend_from_slice(rgba);
        }
        bytes
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let [height, width] = lock(&self.watch).eyes.model().size();
        let mut from = Reader { bytes };
        for w in 0..self.value.len() {
            self.value[w] = f32::from_le_bytes(from.take()?);
            self.from[w] = f32::from_le_bytes(from.take()?);
            self.age[w] = u32::from_le_bytes(from.take()?);
            self.fresh[w] = from.take::<1>()?[0] != 0;
            let len = u32::from_le_bytes(from.take()?) as usize;
            let rgba = from.part(len)?.to_vec();
            self.picture[w] = match len {
                0 => None,
                n if n == (4 * width * height) as usize => Some(Picture { width, height, rgba }),
                n => return Err(format!("a picture of {n} bytes: expected {}", 4 * width * height)),
            };
        }
        from.end()
    }
}

/// Bytes read from the front.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn part(&mut self, n: usize) -> Result<&'a [u8], String> {
        let (part, rest) = self.bytes.split_at_checked(n).ok_or("the data end too early")?;
        self.bytes = rest;
        Ok(part)
    }
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.part(N)?.try_into().map_err(|_| "the data end too early".to_string())
    }
    fn end(self) -> Result<(), String> {
        if self.bytes.is_empty() { Ok(()) } else { Err(format!("{} bytes too many", self.bytes.len())) }
    }
}

/// The small model's number for every step of every world.
#[derive(Debug)]
struct Distilled {
    distiller: Arc<Distiller>,
    features: Features,
    net: Option<Net>,
    version: u64,
    rows: Vec<f32>,
    dice: crate::dataset::Dice,
    /// Steps between two pictures, where motion counts.
    every: usize,
    motion: bool,
    /// Coordinates of the last steps, the newest last.
    past: Vec<Vec<Vec<f32>>>,
    /// Steps since each world was reset.
    since: Vec<usize>,
}

impl Distilled {
    /// Offers one world of the block.
    fn sample(&mut self, step: &SourceStep<'_>) {
        let world = self.dice.pick(step.worlds);
        let width = self.features.width();
        let features = self.rows[world * width..(world + 1) * width].to_vec();
        let qpos = self.features.qpos(step, world);
        if features.iter().chain(&qpos).any(|x| !x.is_finite()) {
            return;
        }
        let before = if self.motion && self.since[world] > self.every && self.past.len() >= self.every {
            self.past.first().map(|p| p[world].clone()).filter(|q| q.iter().all(|x| x.is_finite()))
        } else {
            None
        };
        self.distiller.offer(Sample { features, qpos, before });
    }
}

impl RewardSource for Distilled {
    fn inputs(&self) -> Vec<Input> {
        self.features.inputs().to_vec()
    }

    fn reset(&mut self, world: usize, _: u32) {
        self.since[world] = 0;
    }

    fn evaluate(&mut self, step: &SourceStep<'_>, out: &mut [f32]) -> Result<(), String> {
        self.since.iter_mut().for_each(|s| *s += 1);
        let mut rows = std::mem::take(&mut self.rows);
        self.features.write(step, &mut rows);
        self.rows = rows;
        self.sample(step);
        if self.motion {
            self.past.push((0..step.worlds).map(|w| self.features.qpos(step, w)).collect());
            if self.past.len() > self.every {
                self.past.remove(0);
            }
        }
        if let Some((version, net)) = self.distiller.net(self.version) {
            (self.version, self.net) = (version, Some(net));
        } else if self.version == 0
            && let Some(message) = self.distiller.failed()
        {
            return Err(message);
        }
        match &mut self.net {
            Some(net) => out.copy_from_slice(&net.predict(&self.rows)),
            None => out.fill(0.0),
        }
        Ok(())
    }

    fn numbers(&self) -> Vec<(&'static str, f64)> {
        let a = self.distiller.agreement();
        vec![
            ("labels", a.labels as f64),
            ("agreement", a.correlation),
            ("rms", a.rms),
            ("label_mean", a.mean),
            ("labels_per_s", a.per_s),
        ]
    }

    fn save(&mut self) -> Vec<u8> {
        let (labels, numbers) = self.distiller.save();
        labels.to_le_bytes().into_iter().chain(numbers.iter().flat_map(|x| x.to_le_bytes())).collect()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut from = Reader { bytes };
        let labels = u64::from_le_bytes(from.take()?);
        let numbers: Vec<f32> =
            from.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        if self.distiller.restore(labels, &numbers) {
            Ok(())
        } else {
            Err(format!("{} numbers of a small model of another size", numbers.len()))
        }
    }
}
