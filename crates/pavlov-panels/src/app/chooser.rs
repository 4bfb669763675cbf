//! The chooser of tasks: what there is, with a picture of each, by name or with the keyboard.
//!
//! Task files are read and pictures are drawn on a separate thread; a task can be chosen as soon as it is listed.

use crate::app::leave::Then;
use crate::app::{Studio, Wake};
use egui::{ColorImage, Key, RichText, Sense, TextureHandle, TextureOptions, Ui, vec2};
use pavlov_common::{plain, plain_lines};
use pavlov_env::{Assets, Task};
use pavlov_render::{Camera, Renderer, Stage, Style, views};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

/// Size of a picture, pixels.
const PICTURE: [u32; 2] = [224, 140];

/// One task to choose.
struct Choice {
    about: String,
    picture: Option<TextureHandle>,
}

/// What the thread sends.
enum News {
    About(String, String),
    Picture(String, ColorImage),
}

/// The chooser.
pub(super) struct Chooser {
    /// Is it shown though a task is open?
    pub open: bool,
    search: String,
    choices: BTreeMap<String, Choice>,
    /// From the thread, once the chooser was shown.
    news: Option<Receiver<News>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Chooser {
    fn drop(&mut self) {
        // Without a receiver the thread ends after the present picture; software drivers must not be left in the middle
        // of one.
        self.news = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

impl Chooser {
    pub fn new(assets: &Assets) -> Self {
        let names = assets.tasks().into_iter().map(|t| t.name);
        let choices = names.map(|name| (name, Choice { about: String::new(), picture: None })).collect();
        Self { open: false, search: String::new(), choices, news: None, thread: None }
    }

    /// Starts reading and drawing.
    fn begin(&mut self, assets: &Assets, wake: Wake) {
        let (sender, news) = channel();
        let assets = assets.clone();
        let work = move || {
            let mut tasks = Vec::new();
            for entry in assets.tasks() {
                let task = Task::load(&assets, &entry.name);
                let about = task.as_ref().map_or_else(|e| plain_lines(&e.to_string()), |t| plain(&t.file.about));
                if sender.send(News::About(entry.name, about)).is_err() {
                    return;
                }
                tasks.extend(task.ok());
            }
            wake();
            // Without an adapter there are no pictures; the names are enough.
            let Ok(mut renderer) = Renderer::new(0) else { return };
            for task in tasks {
                let Some(image) = picture(&mut renderer, &task) else { continue };
                if sender.send(News::Picture(task.name.clone(), image)).is_err() {
                    return;
                }
                wake();
            }
        };
        // Without the thread the names are still there.
        self.thread = std::thread::Builder::new().name("task pictures".into()).spawn(work).ok();
        self.news = Some(news);
    }

    fn poll(&mut self, ctx: &egui::Context) {
        while let Some(Ok(news)) = self.news.as_ref().map(Receiver::try_recv) {
            match news {
                News::About(name, about) => {
                    if let Some(choice) = self.choices.get_mut(&name) {
                        choice.about = about;
                    }
                }
                News::Picture(name, image) => {
                    let texture = ctx.load_texture(&name, image, TextureOptions::LINEAR);
                    if let Some(choice) = self.choices.get_mut(&name) {
                        choice.picture = Some(texture);
                    }
                }
            }
        }
    }
}

/// The robot in its reference pose.
fn picture(renderer: &mut Renderer, task: &Task) -> Option<ColorImage> {
    let [width, height] = PICTURE;
    let mut stage = Stage::new(task.model()).ok()?;
    let rest: Vec<f32> = task.model().qpos0.iter().map(|&q| q as f32).collect();
    let shot = stage.shot(&rest).ok()?;
    let camera = Camera::default();
    let scene = (stage.scene(&shot, &Style::default()), stage.eye(&shot, &camera, width as f32 / height as f32));
    let drawn = renderer.render(&views(&[scene]), width, height).ok()?.pop()?;
    Some(ColorImage::from_rgb([width as usize, height as usize], &drawn.rgb()))
}

impl Studio {
    pub(super) fn choose_ui(&mut self, ui: &mut Ui) {
        self.views.clear();
        if self.chooser.news.is_none() {
            self.chooser.begin(&self.options.assets, self.options.wake.clone());
        }
        self.chooser.poll(ui.ctx());
        let mut chosen = None;
        egui::CentralPanel::default().show(ui, |ui| {
            ui.heading("Choose a task");
            ui.label("A robot, what it senses, and how success is measured. The reward is what you design.");
            let label = ui.label("Search");
            let search = ui.text_edit_singleline(&mut self.chooser.search).labelled_by(label.id);
            let enter = search.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
            if ui.memory(|m| m.focused().is_none()) {
                search.request_focus();
            }
            ui.add_space(6.0);
            if self.chooser.choices.is_empty() {
                ui.label(
                    "There are no tasks here: start the studio in a folder with `tasks/`, or give one with --assets.",
                );
            }
            let wanted = self.chooser.search.to_lowercase();
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                ui.horizontal_wrapped(|ui| {
                    for (name, choice) in &self.chooser.choices {
                        if !name.to_lowercase().contains(&wanted) && !choice.about.to_lowercase().contains(&wanted) {
                            continue;
                        }
                        if card(ui, name, choice) || (enter && chosen.is_none()) {
                            chosen = Some(name.clone());
                        }
                    }
                });
            });
        });
        if self.session.is_some() && ui.input(|i| i.key_pressed(Key::Escape)) {
            self.chooser.open = false;
        }
        if let Some(name) = chosen {
            self.ask(Then::Open { task: name, reward: None });
        }
    }
}

/// A task's picture, name and line. Was it chosen?
fn card(ui: &mut Ui, name: &str, choice: &Choice) -> bool {
    let size = vec2(PICTURE[0] as f32, PICTURE[1] as f32);
    ui.allocate_ui(size + vec2(8.0, 64.0), |ui| {
        ui.vertical(|ui| {
            ui.set_width(size.x);
            let (rect, response) = ui.allocate_exact_size(size, Sense::click());
            match &choice.picture {
                Some(texture) => {
                    let whole_texture = egui::Rect::from_min_max(egui::pos2(0.0, 0.0), egui::pos2(1.0, 1.0));
                    ui.painter().image(texture.id(), rect, whole_texture, egui::Color32::WHITE);
                }
                None => {
                    ui.painter().rect_filled(rect, 4.0, ui.visuals().faint_bg_color);
                }
            }
            if response.hovered() {
                let stroke = ui.visuals().widgets.hovered.bg_stroke;
                ui.painter().rect_stroke(rect, 4.0, stroke, egui::StrokeKind::Inside);
            }
            let clicked = response.clicked() | ui.button(RichText::new(plain(name)).strong()).clicked();
            ui.add(egui::Label::new(RichText::new(&choice.about).small()).truncate());
            clicked
        })
        .inner
    })
    .inner
}
