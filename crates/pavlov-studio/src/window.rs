//! The window: Bevy's parts that are needed, the panels in egui, and when to draw.
//!
//! Nothing is drawn while nothing changes. Worlds, training and checks wake the window through the event loop; on an
//! adapter in software no more than [`LOW_RATE`] times a second, since drawing takes the same cores.

use crate::material::{GroundMaterial, ShadowMaterial, ShapeMaterial};
use crate::picture::{Drawn, PanelCamera, Panels, make_cameras, show};
use crate::{Args, Quality, ready};
use anyhow::{Context, Result, anyhow, bail};
use bevy::asset::embedded_asset;
use bevy::camera::CameraOutputMode;
use bevy::camera::visibility::RenderLayers;
use bevy::log::{Level, LogPlugin};
use bevy::prelude::*;
use bevy::render::renderer::RenderAdapterInfo;
use bevy::window::{ExitCondition, PresentMode, PrimaryWindow, WindowCloseRequested, WindowResolution};
use bevy::winit::{EventLoopProxyWrapper, UpdateMode, WinitSettings, WinitUserEvent};
use bevy_egui::{EguiContexts, EguiGlobalSettings, EguiPlugin, EguiPrimaryContextPass, PrimaryEguiContext};
use pavlov_common::plain;
use pavlov_panels::app::{self, Studio};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Pictures a second on an adapter in software, at most.
const LOW_RATE: f64 = 20.0;
/// And on any other; the screen's own rate limits it too.
const HIGH_RATE: f64 = 120.0;

/// Wakes the event loop from other threads, no more often than pictures are drawn.
#[derive(Default)]
struct Waker {
    proxy: OnceLock<Box<dyn Fn() + Send + Sync>>,
    asked: AtomicBool,
    /// Nanoseconds between pictures.
    pause: AtomicU64,
}

impl Waker {
    fn wake(&self) {
        if !self.asked.swap(true, Ordering::AcqRel)
            && let Some(proxy) = self.proxy.get()
        {
            proxy();
        }
    }
}

#[derive(Resource, Clone)]
struct Wakes(Arc<Waker>);

/// How pictures come, for `--stats`.
#[derive(Resource)]
struct Stats {
    on: bool,
    begun: Instant,
    since: Instant,
    last: Instant,
    pictures: u32,
    slowest: Duration,
}

#[derive(Resource)]
struct Asked {
    quality: Quality,
}

/// Opens the window and stays until it is closed.
///
/// # Errors
/// When it cannot be opened, or what was asked for is not there: says why, and what to do.
pub fn run(args: Args) -> Result<ExitCode> {
    let asked_size = args.size.as_deref().map(size).transpose()?;
    ready::check()?;
    pavlov_run::register_sources();
    pavlov_prefs::register_sources();
    let assets = pavlov_env::Assets::find(args.assets.as_deref());
    pavlov_vision::tell_libraries(|library| eprintln!("pavlov-studio: {}", plain(library)));
    pavlov_vision::register_sources(assets.roots());
    let mut troubles = Vec::new();
    if let Some(project) = &args.assets {
        troubles.extend(look_at(project)?);
    }
    let waker = Arc::new(Waker::default());
    let of_panels = waker.clone();
    let options = app::Options {
        assets,
        runs: args.runs.clone(),
        state: match &args.state {
            Some(state) => state.clone(),
            None => app::state_folder().context("there is no configuration folder: give one with --state")?,
        },
        task: args.task.clone(),
        reward: args.reward.clone(),
        worlds: args.worlds.map(usize::from),
        wake: Arc::new(move || of_panels.wake()),
        troubles,
    };
    let studio = Studio::open(options)?;
    let [width, height] = asked_size.unwrap_or_else(|| studio.window_size());
    let window = Window {
        title: "Pavlov Studio".into(),
        name: Some("pavlov-studio".into()),
        resolution: WindowResolution::new(width as u32, height as u32),
        present_mode: PresentMode::AutoVsync,
        ..default()
    };
    ready::watch_the_start();
    let mut bevy = App::new();
    bevy.add_plugins(
        DefaultPlugins
            .set(WindowPlugin {
                primary_window: Some(window),
                exit_condition: ExitCondition::OnPrimaryClosed,
                close_when_requested: false,
                ..default()
            })
            .set(LogPlugin { level: Level::WARN, ..default() }),
    )
    .add_plugins(EguiPlugin::default())
    .add_plugins((
        MaterialPlugin::<ShapeMaterial>::default(),
        MaterialPlugin::<ShadowMaterial>::default(),
        MaterialPlugin::<GroundMaterial>::default(),
    ));
    embedded_asset!(bevy, "scene.wgsl");
    let now = Instant::now();
    bevy.insert_non_send(Panels(studio))
        .insert_resource(Wakes(waker))
        .insert_resource(Asked { quality: args.quality })
        .insert_resource(Stats {
            on: args.stats,
            begun: now,
            since: now,
            last: now,
            pictures: 0,
            slowest: Duration::ZERO,
        })
        .init_resource::<Drawn>()
        .add_systems(PreStartup, choose_quality)
        .add_systems(Startup, (make_cameras, make_egui))
        .add_systems(First, pace)
        .add_systems(Update, close)
        .add_systems(EguiPrimaryContextPass, (panels, show).chain());
    match bevy.run() {
        AppExit::Success => Ok(ExitCode::SUCCESS),
        AppExit::Error(code) => {
            eprintln!("pavlov-studio: the window ended with code {code}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// A project folder that was asked for: what the person should know about it.
fn look_at(project: &Path) -> Result<Option<String>> {
    let shown = plain(&project.display().to_string());
    if let Err(e) = std::fs::read_dir(project) {
        bail!("--assets {shown}: not a folder that can be read ({e}); give the one with tasks, rewards and assets");
    }
    let is_empty = !["tasks", "rewards", "assets"].iter().any(|part| project.join(part).is_dir());
    Ok(is_empty.then(|| format!("{shown} has none of the folders tasks, rewards and assets: nothing of it is used.")))
}

fn size(text: &str) -> Result<[f32; 2]> {
    let wrong = || anyhow!("--size {text}: expected width and height, as in 1280x720");
    let (w, h) = text.split_once('x').ok_or_else(wrong)?;
    let part = |t: &str| t.parse::<u32>().ok().filter(|v| (320..=16_384).contains(v)).map(|v| v as f32);
    Ok([part(w).ok_or_else(wrong)?, part(h).ok_or_else(wrong)?])
}

/// What is drawn depends on what draws.
fn choose_quality(
    adapter: Res<RenderAdapterInfo>,
    asked: Res<Asked>,
    wakes: Res<Wakes>,
    proxy: Res<EventLoopProxyWrapper>,
    mut drawn: ResMut<Drawn>,
    mut winit: ResMut<WinitSettings>,
    mut panels: NonSendMut<Panels>,
) {
    let software = format!("{:?}", adapter.device_type) == "Cpu";
    let low = match asked.quality {
        Quality::Auto => software,
        Quality::Low => true,
        Quality::High => false,
    };
    drawn.around = if low { 12 } else { 32 };
    drawn.gloss = !low;
    panels.0.set_adapter(&adapter.name, low);
    let rate = if low { LOW_RATE } else { HIGH_RATE };
    wakes.0.pause.store((1e9 / rate) as u64, Ordering::Relaxed);
    let proxy = (**proxy).clone();
    let _ = wakes.0.proxy.set(Box::new(move || {
        // An event loop that has ended needs no waking.
        let _ = proxy.send_event(WinitUserEvent::WakeUp);
    }));
    let idle = UpdateMode::reactive_low_power(Duration::from_millis(500));
    *winit = WinitSettings { focused_mode: idle, unfocused_mode: idle };
}

/// egui's camera: over all views, and the one that writes to the window.
fn make_egui(mut commands: Commands, mut settings: ResMut<EguiGlobalSettings>, drawn: Res<Drawn>) {
    settings.auto_create_primary_context = false;
    commands.spawn((
        PrimaryEguiContext,
        PanelCamera,
        Camera2d,
        RenderLayers::none(),
        if drawn.gloss { Msaa::Sample4 } else { Msaa::Off },
        Camera {
            order: 100,
            output_mode: CameraOutputMode::Write { blend_state: None, clear_color: ClearColorConfig::None },
            clear_color: ClearColorConfig::None,
            ..default()
        },
    ));
}

/// Holds back until the next picture is due, and counts.
fn pace(wakes: Res<Wakes>, mut stats: ResMut<Stats>) {
    let pause = Duration::from_nanos(wakes.0.pause.load(Ordering::Relaxed));
    let since = stats.last.elapsed();
    if since < pause {
        std::thread::sleep(pause - since);
    }
    wakes.0.asked.store(false, Ordering::Release);
    let now = Instant::now();
    let took = now.duration_since(stats.last);
    stats.last = now;
    stats.pictures += 1;
    stats.slowest = stats.slowest.max(took);
    let over = now.duration_since(stats.since);
    if stats.on && over >= Duration::from_secs(1) {
        let rate = f64::from(stats.pictures) / over.as_secs_f64();
        println!("{rate:.1} pictures/s, slowest {:.0} ms", 1e3 * stats.slowest.as_secs_f64());
        (stats.since, stats.pictures, stats.slowest) = (now, 0, Duration::ZERO);
    }
}

fn panels(
    mut contexts: EguiContexts,
    mut panels: NonSendMut<Panels>,
    wakes: Res<Wakes>,
    stats: Res<Stats>,
    mut exit: MessageWriter<AppExit>,
    mut first: Local<bool>,
) -> bevy::prelude::Result {
    let ctx = contexts.ctx_mut()?;
    if !std::mem::replace(&mut *first, true) {
        // Checks and lists that are done on other threads ask egui for a new picture.
        let waker = wakes.0.clone();
        ctx.set_request_repaint_callback(move |asked| {
            if asked.delay < Duration::from_millis(100) {
                waker.wake();
            }
        });
    }
    let all = egui::UiBuilder::new().layer_id(egui::LayerId::background()).max_rect(ctx.viewport_rect());
    let mut ui = egui::Ui::new(ctx.clone(), "studio".into(), all);
    ready::started();
    if panels.0.frame(&mut ui) == app::Flow::Quit {
        exit.write(AppExit::Success);
    }
    for note in panels.0.take_notes() {
        if stats.on {
            println!("{:.2} s: {}", stats.begun.elapsed().as_secs_f64(), plain(&note));
        }
    }
    Ok(())
}

/// A window that is to be closed asks the panels first.
fn close(
    mut asked: MessageReader<WindowCloseRequested>,
    mut panels: NonSendMut<Panels>,
    window: Single<&Window, With<PrimaryWindow>>,
) {
    if asked.read().count() > 0 {
        panels.0.ask_to_close();
    }
    panels.0.set_window_size([window.width(), window.height()]);
}
