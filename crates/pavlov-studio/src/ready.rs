//! Can a window be opened here? Asked before Bevy starts, which panics where there is no display, no graphics driver
//! or a part of either that does not work. What goes wrong after all, before the first picture, is said in a sentence,
//! too.

use anyhow::{Result, bail};
use pavlov_common::plain;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code when the studio cannot start: something about the machine or the arguments is to be changed.
pub const CANNOT_START: u8 = 2;

/// Crates that open windows and drive graphics, as they stand in the paths of their sources.
const OF_WINDOWS: [&str; 7] = ["bevy_", "winit-", "wgpu", "naga", "ash-", "x11", "accesskit"];

/// Was a picture drawn?
static STARTED: AtomicBool = AtomicBool::new(false);

/// Checks display and graphics driver.
///
/// # Errors
/// Says what is missing, and what to do.
pub fn check() -> Result<()> {
    #[cfg(all(unix, not(target_os = "macos")))]
    display()?;
    if pavlov_physics::gpu::adapters().is_empty() {
        bail!(
            "there is no graphics driver that the studio can use: no Vulkan, Metal or DX12 adapter was found.\n\
             Install one: on Debian `apt-get install mesa-vulkan-drivers` has those of most cards, and one in \
             software. VK_ICD_FILENAMES or VK_DRIVER_FILES, where they are set, must name a driver's file. \
             `pavlov devices` lists what is found."
        );
    }
    Ok(())
}

/// An X server that answers.
#[cfg(all(unix, not(target_os = "macos")))]
fn display() -> Result<()> {
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let Some(name) = given("DISPLAY") else {
        let note = match given("WAYLAND_DISPLAY") {
            Some(_) => " (WAYLAND_DISPLAY is, but this program speaks X11: turn Xwayland on)",
            None => "",
        };
        bail!(
            "there is no display: DISPLAY is not set{note}.\n\
             Start the studio from a desktop, over `ssh -X`, or without a screen: \
             `xvfb-run -s \"-screen 0 1280x720x24\" pavlov-studio`. The command line, `pavlov`, needs none."
        );
    };
    let name = name.to_string_lossy().into_owned();
    if let Err(e) = x11rb::connect(Some(&name)) {
        bail!(
            "the display {} (DISPLAY) does not answer: {}.\n\
             Is the X server running, and may you use it (`xauth list`)?",
            plain(&name),
            plain(&e.to_string())
        );
    }
    Ok(())
}

/// From now on a panic of what opens windows ends the program with a sentence, until the first picture.
pub fn watch_the_start() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| match trouble(info) {
        Some(words) if !STARTED.load(Ordering::Acquire) => {
            eprintln!("pavlov-studio: {words}");
            std::process::exit(i32::from(CANNOT_START));
        }
        _ => usual(info),
    }));
}

/// The first picture is there: a panic from now on is a fault of ours, and shown as such.
pub fn started() {
    STARTED.store(true, Ordering::Release);
}

/// What a panic of a window or of graphics says; none for one of our own code.
fn trouble(info: &PanicHookInfo<'_>) -> Option<String> {
    let file = info.location()?.file();
    let is_theirs = OF_WINDOWS.iter().any(|name| file.contains(name)) && !file.contains("pavlov");
    let message = info.payload_as_str().unwrap_or("no reason was given");
    is_theirs.then(|| {
        format!(
            "the window cannot be opened: {}\nDisplay or graphics driver refuse what the studio needs. \
             `pavlov devices` lists the drivers; WGPU_ADAPTER_NAME, with a part of its name, chooses one.",
            plain(message)
        )
    })
}
