//! Colours and sizes that all panels share. Light and dark; text scales by egui's zoom factor.

use egui::{Color32, Context, Visuals};
use serde::{Deserialize, Serialize};

/// Light or dark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// Dark text on light ground.
    Light,
    /// Light text on dark ground.
    #[default]
    Dark,
}

/// Makes egui look like this, at this scale.
pub fn apply(ctx: &Context, theme: Theme, zoom: f32) {
    let wanted = match theme {
        Theme::Light => egui::Theme::Light,
        Theme::Dark => egui::Theme::Dark,
    };
    if ctx.theme() != wanted {
        ctx.set_theme(wanted);
    }
    if (ctx.zoom_factor() - zoom).abs() > 1e-3 {
        ctx.set_zoom_factor(zoom);
    }
    let visuals = match theme {
        Theme::Light => Visuals::light(),
        Theme::Dark => Visuals { panel_fill: Color32::from_gray(30), ..Visuals::dark() },
    };
    // Shadows are blurred by the renderer, which is slow on an adapter in software.
    ctx.set_visuals_of(
        wanted,
        Visuals { window_shadow: egui::Shadow::NONE, popup_shadow: egui::Shadow::NONE, ..visuals },
    );
}

/// Colour of a term or a curve, by its place: ten hues that stay apart for most kinds of colour blindness (Okabe and
/// Ito's, with four more), then again with a shade.
pub fn series(theme: Theme, index: usize) -> Color32 {
    const HUES: [[u8; 3]; 10] = [
        [86, 180, 233],
        [230, 159, 0],
        [0, 158, 115],
        [204, 121, 167],
        [213, 94, 0],
        [0, 114, 178],
        [190, 175, 40],
        [140, 110, 220],
        [120, 140, 90],
        [160, 120, 100],
    ];
    let [r, g, b] = HUES[index % HUES.len()];
    let round = (index / HUES.len()) as f32;
    let shade = match theme {
        Theme::Dark => 1.0 - 0.2 * round.min(3.0),
        Theme::Light => 0.85 - 0.15 * round.min(3.0),
    };
    Color32::from_rgb((f32::from(r) * shade) as u8, (f32::from(g) * shade) as u8, (f32::from(b) * shade) as u8)
}

/// The task's own measures, fitness and success: never the colour of a term.
pub fn fitness(theme: Theme) -> Color32 {
    match theme {
        Theme::Dark => Color32::from_rgb(245, 245, 245),
        Theme::Light => Color32::from_rgb(20, 20, 20),
    }
}

/// Errors.
pub fn error(theme: Theme) -> Color32 {
    match theme {
        Theme::Dark => Color32::from_rgb(255, 105, 97),
        Theme::Light => Color32::from_rgb(190, 20, 20),
    }
}

/// Warnings.
pub fn warning(theme: Theme) -> Color32 {
    match theme {
        Theme::Dark => Color32::from_rgb(240, 180, 60),
        Theme::Light => Color32::from_rgb(160, 100, 0),
    }
}

/// Success.
pub fn good(theme: Theme) -> Color32 {
    match theme {
        Theme::Dark => Color32::from_rgb(110, 200, 120),
        Theme::Light => Color32::from_rgb(20, 120, 40),
    }
}
