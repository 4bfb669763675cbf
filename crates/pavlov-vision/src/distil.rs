//! `distilled` mode: a thread labels a sample of frames, a small model of the state learns from the labels
//! and pays every step of every world. The simulation never waits for a picture.
//!
//! ```text
//! worlds ─ samples (the newest are kept) ─> labeller: draw, embed, judge ─> labels ─> small net ─┐
//! worlds ─ features of every step ───────────────────────────────────────────────────────────────┴─> reward
//! ```
//! The architecture of ONI (Zheng et al. 2024). Agreement is prequential: each label is first predicted, then learned
//! from; it is the correlation and the root mean square error over the last labels. Which frames are labelled depends
//! on the clock, so that two runs of one seed differ.

use crate::eyes::difference;
use crate::judge::Judge;
use crate::{Eyes, Sight, VisionError};
use pavlov_learn::{Activation, Mlp};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Samples that wait to be labelled; older ones give way to newer ones.
const WAITING: usize = 96;
/// Samples labelled together.
const TOGETHER: usize = 16;
/// Labels the net learns from: the newest.
const KEPT: usize = 20_000;
/// Labels that agreement is measured over.
const WINDOW: usize = 512;
/// Labels before the net pays anything.
const FIRST: u64 = 64;
/// Rows of a training step, and steps after each batch of labels.
const ROWS: usize = 256;
const STEPS: usize = 12;

/// A state to be labelled.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub features: Vec<f32>,
    pub qpos: Vec<f32>,
    /// The state some steps before, where motion counts.
    pub before: Option<Vec<f32>>,
}

/// The net with the scales of what goes in and comes out.
#[derive(Debug, Clone)]
pub(crate) struct Net {
    net: Mlp,
    mean: Vec<f32>,
    scale: Vec<f32>,
    centre: f32,
    spread: f32,
}

impl Net {
    fn new(width: usize, hidden: usize, seed: u64) -> Self {
        let net = Mlp::new(width, &[hidden, hidden], 1, Activation::Tanh, (seed, 0), 0.1);
        Self { net, mean: vec![0.0; width], scale: vec![1.0; width], centre: 0.0, spread: 1.0 }
    }

    /// Features in the net's own units.
    fn scaled(&self, features: &[f32]) -> Vec<f32> {
        let width = self.mean.len();
        let scale = |(i, x): (usize, &f32)| ((x - self.mean[i % width]) * self.scale[i % width]).clamp(-5.0, 5.0);
        features.iter().enumerate().map(scale).collect()
    }

    /// Value of each row.
    pub fn predict(&mut self, features: &[f32]) -> Vec<f32> {
        let x = self.scaled(features);
        let (spread, centre) = (self.spread, self.centre);
        self.net.forward(&x).iter().map(|y| centre + spread * y).collect()
    }

    /// All numbers, for a checkpoint.
    fn numbers(&self) -> Vec<f32> {
        let mut all = vec![self.centre, self.spread];
        all.extend(&self.mean);
        all.extend(&self.scale);
        all.extend(self.net.weights());
        all
    }

    fn set_numbers(&mut self, all: &[f32]) -> bool {
        let width = self.mean.len();
        if all.len() < 2 + 2 * width || all.iter().any(|x| !x.is_finite()) {
            return false;
        }
        (self.centre, self.spread) = (all[0], all[1]);
        self.mean.copy_from_slice(&all[2..2 + width]);
        self.scale.copy_from_slice(&all[2 + width..2 + 2 * width]);
        self.net.set_weights(&all[2 + 2 * width..])
    }
}

/// How the small model stands to the labeller.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Agreement {
    /// Labels so far.
    pub labels: u64,
    /// Correlation of prediction and label over the last ones.
    pub correlation: f64,
    /// Root mean square difference over the last ones.
    pub rms: f64,
    /// Mean label of the last ones.
    pub mean: f64,
    /// Labels a second, over the whole time.
    pub per_s: f64,
}

/// What labeller and worlds share.
#[derive(Debug)]
struct Shared {
    waiting: Mutex<VecDeque<Sample>>,
    net: RwLock<Arc<Net>>,
    version: AtomicU64,
    labels: AtomicU64,
    agreement: Mutex<Agreement>,
    stop: AtomicBool,
    failed: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The labeller and its net; one for all blocks of a run.
#[derive(Debug)]
pub(crate) struct Distiller {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the labeller is made with.
pub(crate) struct Labeller {
    pub eyes: Eyes,
    pub sight: Sight,
    pub judge: Judge,
    pub motion: f32,
    pub per_s: f64,
    pub width: usize,
    pub hidden: usize,
    pub seed: u64,
}

impl Distiller {
    /// Starts the labeller.
    pub fn start(labeller: Labeller) -> Result<Self, VisionError> {
        let net = Net::new(labeller.width, labeller.hidden, labeller.seed);
        let shared = Arc::new(Shared {
            waiting: Mutex::new(VecDeque::with_capacity(WAITING)),
            net: RwLock::new(Arc::new(net)),
            version: AtomicU64::new(0),
            labels: AtomicU64::new(0),
            agreement: Mutex::default(),
            stop: AtomicBool::new(false),
            failed: Mutex::default(),
        });
        let theirs = shared.clone();
        let work = move || {
            if let Err(e) = label(&theirs, labeller) {
                *lock(&theirs.failed) = Some(e.to_string());
            }
        };
        let thread = std::thread::Builder::new().name("vision labeller".into()).spawn(work);
        let thread =
            thread.map_err(|e| VisionError::Runtime(format!("the labeller's thread cannot be started: {e}")))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Hands over a sample to be labelled; where there is no room, the oldest one that waits is dropped.
    pub fn offer(&self, sample: Sample) {
        let mut waiting = lock(&self.shared.waiting);
        if waiting.len() >= WAITING {
            waiting.pop_front();
        }
        waiting.push_back(sample);
    }

    /// The net as it is now, unless it is the one of this version already; none before there are labels.
    pub fn net(&self, version: u64) -> Option<(u64, Net)> {
        let now = self.shared.version.load(Ordering::Acquire);
        if now == version {
            return None;
        }
        let net = self.shared.net.read().unwrap_or_else(PoisonError::into_inner).clone();
        Some((now, (*net).clone()))
    }

    /// How it stands.
    pub fn agreement(&self) -> Agreement {
        *lock(&self.shared.agreement)
    }

    /// Why the labeller has stopped, if it has.
    pub fn failed(&self) -> Option<String> {
        lock(&self.shared.failed).clone()
    }

    /// The net's numbers and the count of labels.
    pub fn save(&self) -> (u64, Vec<f32>) {
        let net = self.shared.net.read().unwrap_or_else(PoisonError::into_inner).clone();
        (self.shared.labels.load(Ordering::Acquire), net.numbers())
    }

    /// Takes over numbers of [`Self::save`]; false when they are of another net.
    pub fn restore(&self, labels: u64, numbers: &[f32]) -> bool {
        let mut slot = self.shared.net.write().unwrap_or_else(PoisonError::into_inner);
        let mut net = (**slot).clone();
        if !net.set_numbers(numbers) {
            return false;
        }
        *slot = Arc::new(net);
        // Another block of the same run may have brought newer ones.
        self.shared.labels.fetch_max(labels, Ordering::AcqRel);
        self.shared.version.fetch_add(u64::from(labels >= FIRST), Ordering::AcqRel);
        true
    }
}

impl Drop for Distiller {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = lock(&self.thread).take() {
            // A labeller that failed has said why.
            let _ = thread.join();
        }
    }
}

/// The labeller's loop.
fn label(shared: &Shared, mut labeller: Labeller) -> Result<(), VisionError> {
    let mut kept: VecDeque<(Vec<f32>, f32)> = VecDeque::new();
    let mut recent: VecDeque<(f32, f32)> = VecDeque::new();
    let mut dice = crate::dataset::Dice::new(labeller.seed ^ 0x0D15_7111, 0);
    let (start, mut done) = (Instant::now(), 0u64);
    while !shared.stop.load(Ordering::Acquire) {
        let samples: Vec<Sample> = {
            let mut waiting = lock(&shared.waiting);
            let n = waiting.len().min(TOGETHER);
            let from = waiting.len() - n;
            waiting.drain(from..).collect()
        };
        // The first labels come as fast as they can, the others at their rate.
        let early = labeller.per_s > 0.0 && done as f64 > 400.0 + labeller.per_s * start.elapsed().as_secs_f64();
        if samples.is_empty() || early {
            std::thread::sleep(Duration::from_millis(4));
            if !early {
                continue;
            }
            let mut waiting = lock(&shared.waiting);
            samples.into_iter().for_each(|s| waiting.push_back(s));
            continue;
        }
        let values = values(&mut labeller, &samples)?;
        let mut net = (**shared.net.read().unwrap_or_else(PoisonError::into_inner)).clone();
        let rows: Vec<f32> = samples.iter().flat_map(|s| s.features.iter().copied()).collect();
        let predicted = net.predict(&rows);
        for ((sample, &value), predicted) in samples.into_iter().zip(&values).zip(predicted) {
            if shared.labels.load(Ordering::Acquire) >= FIRST {
                recent.push_back((predicted, value));
            }
            kept.push_back((sample.features, value));
        }
        while recent.len() > WINDOW {
            recent.pop_front();
        }
        while kept.len() > KEPT {
            kept.pop_front();
        }
        done += values.len() as u64;
        let labels = shared.labels.fetch_add(values.len() as u64, Ordering::AcqRel) + values.len() as u64;
        fit(&mut net, &kept, &mut dice);
        *shared.net.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(net);
        if labels >= FIRST {
            shared.version.fetch_add(1, Ordering::AcqRel);
        }
        *lock(&shared.agreement) = agreement(&recent, labels, done as f64 / start.elapsed().as_secs_f64().max(1e-9));
    }
    Ok(())
}

/// Labels of samples.
fn values(labeller: &mut Labeller, samples: &[Sample]) -> Result<Vec<f32>, VisionError> {
    let states: Vec<&[f32]> = samples.iter().map(|s| s.qpos.as_slice()).collect();
    let (vectors, pictures) = labeller.eyes.look(&states, &labeller.sight)?;
    let mut values: Vec<f32> = vectors.iter().map(|v| labeller.judge.value(v)).collect();
    if labeller.motion > 0.0 {
        let before: Vec<&[f32]> = samples.iter().map(|s| s.before.as_deref().unwrap_or(&s.qpos)).collect();
        let before = labeller.eyes.draw(&before, &labeller.sight)?;
        for ((value, a), b) in values.iter_mut().zip(&pictures).zip(&before) {
            *value *= (difference(a, b) / labeller.motion).min(1.0);
        }
    }
    Ok(values)
}

/// A few steps down the squared error on the labels kept; scales are of these labels.
fn fit(net: &mut Net, kept: &VecDeque<(Vec<f32>, f32)>, dice: &mut crate::dataset::Dice) {
    let n = kept.len() as f32;
    // Scales are set while labels are few, and stay then: what a weight means must not move.
    if kept.len() <= 1024 {
        for k in 0..net.mean.len() {
            let mean = kept.iter().map(|(f, _)| f[k]).sum::<f32>() / n;
            let var = kept.iter().map(|(f, _)| (f[k] - mean).powi(2)).sum::<f32>() / n;
            (net.mean[k], net.scale[k]) = (mean, 1.0 / var.sqrt().max(0.02));
        }
        net.centre = kept.iter().map(|k| k.1).sum::<f32>() / n;
        net.spread = (kept.iter().map(|k| (k.1 - net.centre).powi(2)).sum::<f32>() / n).sqrt().max(0.02);
    }
    for _ in 0..STEPS {
        let rows = ROWS.min(kept.len());
        let (mut x, mut y) = (Vec::with_capacity(rows * net.mean.len()), Vec::with_capacity(rows));
        for row in 0..rows {
            // Half of the rows are among the newest labels.
            let newest = kept.len().min(2048);
            let i = if row % 2 == 0 { kept.len() - 1 - dice.pick(newest) } else { dice.pick(kept.len()) };
            x.extend_from_slice(&kept[i].0);
            y.push((kept[i].1 - net.centre) / net.spread);
        }
        let x = net.scaled(&x);
        let dy: Vec<f32> = net.net.forward(&x).iter().zip(&y).map(|(a, b)| (a - b).clamp(-3.0, 3.0)).collect();
        net.net.backward(&x, &dy);
        net.net.step(2e-3, 1.0 / rows as f64, 1e-4);
    }
}

fn agreement(pairs: &VecDeque<(f32, f32)>, labels: u64, per_s: f64) -> Agreement {
    let n = pairs.len().max(1) as f64;
    let mean = |f: fn(&(f32, f32)) -> f32| pairs.iter().map(|p| f64::from(f(p))).sum::<f64>() / n;
    let (mp, ml) = (mean(|p| p.0), mean(|p| p.1));
    let (mut pp, mut ll, mut pl, mut square) = (0.0, 0.0, 0.0, 0.0);
    for &(p, l) in pairs {
        let (p, l) = (f64::from(p), f64::from(l));
        pp += (p - mp) * (p - mp);
        ll += (l - ml) * (l - ml);
        pl += (p - mp) * (l - ml);
        square += (p - l) * (p - l);
    }
    let correlation = if pp * ll > 0.0 { pl / (pp * ll).sqrt() } else { 0.0 };
    Agreement { labels, correlation, rms: (square / n).sqrt(), mean: ml, per_s }
}
