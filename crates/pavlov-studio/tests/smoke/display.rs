//! A display without a screen, and hands on it: Xvfb, keys and pointer through XTEST, pictures of the window.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConnectionExt as _, ImageFormat, InputFocus, KEY_PRESS_EVENT,
    KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT, MapState,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

/// Xvfb with a connection to it.
pub(crate) struct Display {
    server: Child,
    /// As in the environment: `:99`.
    pub name: String,
    conn: RustConnection,
    root: u32,
    size: (u16, u16),
    /// Keysym to keycode and whether shift is held.
    keys: std::collections::HashMap<u32, (u8, bool)>,
}

/// Keysyms that are no letters (X11/keysymdef.h).
pub(crate) mod sym {
    pub(crate) const RETURN: u32 = 0xff0d;
    pub(crate) const SHIFT: u32 = 0xffe1;
    pub(crate) const CONTROL: u32 = 0xffe3;
    pub(crate) const LEFT: u32 = 0xff51;
    pub(crate) const RIGHT: u32 = 0xff53;
    pub(crate) const F1: u32 = 0xffbe;
}

impl Display {
    /// Starts one of that size; none, with the reason, where Xvfb is not installed.
    pub fn start(width: u16, height: u16) -> Result<Self, String> {
        let screen = format!("{width}x{height}x24");
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", &screen, "-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("Xvfb cannot be started ({e}); on Debian: apt-get install xvfb"))?;
        let mut number = Vec::new();
        let stdout = server.stdout.as_mut().expect("piped");
        let mut byte = [0u8];
        while stdout.read_exact(&mut byte).is_ok() && byte[0] != b'\n' {
            number.push(byte[0]);
        }
        let name = format!(":{}", String::from_utf8_lossy(&number));
        let start = Instant::now();
        let (conn, screen) = loop {
            match x11rb::connect(Some(&name)) {
                Ok(found) => break found,
                Err(e) if start.elapsed() > Duration::from_secs(10) => return Err(format!("display {name}: {e}")),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let root = conn.setup().roots[screen].root;
        let (low, high) = (conn.setup().min_keycode, conn.setup().max_keycode);
        let map = conn.get_keyboard_mapping(low, high - low + 1).expect("sent").reply().expect("keyboard mapping");
        let per = usize::from(map.keysyms_per_keycode);
        let mut keys = std::collections::HashMap::new();
        for (i, syms) in map.keysyms.chunks(per).enumerate() {
            for (level, &sym) in syms.iter().take(2).enumerate() {
                keys.entry(sym).or_insert((low + i as u8, level == 1));
            }
        }
        Ok(Self { server, name, conn, root, size: (width, height), keys })
    }

    fn fake(&self, kind: u8, detail: u8, x: i16, y: i16) {
        self.conn.xtest_fake_input(kind, detail, 0, self.root, x, y, 0).expect("sent").check().expect("XTEST");
    }

    /// Gives the keyboard to the window that is there: without a window manager nobody else does.
    pub fn focus(&self) {
        let tree = self.conn.query_tree(self.root).expect("sent").reply().expect("QueryTree");
        for window in tree.children {
            let shown = self.conn.get_window_attributes(window).expect("sent").reply();
            if shown.is_ok_and(|a| a.map_state == MapState::VIEWABLE) {
                self.conn.set_input_focus(InputFocus::PARENT, window, 0u32).expect("sent").check().expect("focus");
                return;
            }
        }
        panic!("there is no window on display {}", self.name);
    }

    /// Presses a key, with control or without.
    pub fn key(&self, sym: u32, control: bool) {
        let &(code, shift) = self.keys.get(&sym).unwrap_or_else(|| panic!("no key for {sym:#x}"));
        let held: Vec<u8> =
            [(control, sym::CONTROL), (shift, sym::SHIFT)].iter().filter(|h| h.0).map(|h| self.keys[&h.1].0).collect();
        // A chord is held as a hand holds it, over some pictures: within one picture only the last state of control is
        // seen.
        let hold = || std::thread::sleep(Duration::from_millis(if control { 130 } else { 0 }));
        hold();
        held.iter().for_each(|&k| self.fake(KEY_PRESS_EVENT, k, 0, 0));
        hold();
        self.fake(KEY_PRESS_EVENT, code, 0, 0);
        hold();
        self.fake(KEY_RELEASE_EVENT, code, 0, 0);
        hold();
        held.iter().rev().for_each(|&k| self.fake(KEY_RELEASE_EVENT, k, 0, 0));
        hold();
        // The window must see every key: one that is pressed and let go within a picture is seen, but order matters.
        std::thread::sleep(Duration::from_millis(15));
    }

    /// Types a text; Latin letters have their own code as keysym.
    pub fn text(&self, text: &str) {
        for c in text.chars() {
            self.key(if c == '\n' { sym::RETURN } else { c as u32 }, false);
        }
    }

    /// Moves the pointer.
    pub fn point(&self, x: i16, y: i16) {
        self.fake(MOTION_NOTIFY_EVENT, 0, x, y);
        std::thread::sleep(Duration::from_millis(60));
    }

    /// Clicks there with the first button.
    pub fn click(&self, x: i16, y: i16) {
        self.point(x, y);
        self.fake(BUTTON_PRESS_EVENT, 1, x, y);
        std::thread::sleep(Duration::from_millis(80));
        self.fake(BUTTON_RELEASE_EVENT, 1, x, y);
        std::thread::sleep(Duration::from_millis(80));
    }

    /// Drags with the first button, and holds at the end for a while.
    pub fn drag(&self, from: (i16, i16), to: (i16, i16), hold: Duration) {
        self.point(from.0, from.1);
        self.fake(BUTTON_PRESS_EVENT, 1, from.0, from.1);
        for k in 1..=8 {
            let at = |a: i16, b: i16| a + (b - a) * k / 8;
            self.point(at(from.0, to.0), at(from.1, to.1));
            std::thread::sleep(hold / 16);
        }
        std::thread::sleep(hold / 2);
        self.fake(BUTTON_RELEASE_EVENT, 1, to.0, to.1);
        std::thread::sleep(Duration::from_millis(60));
    }

    /// What the screen shows.
    pub fn picture(&self) -> image::RgbImage {
        let (w, h) = self.size;
        let reply = self.conn.get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, w, h, !0).expect("sent").reply();
        let data = reply.expect("GetImage").data;
        image::RgbImage::from_fn(u32::from(w), u32::from(h), |x, y| {
            let i = 4 * (y as usize * usize::from(w) + x as usize);
            image::Rgb([data[i + 2], data[i + 1], data[i]])
        })
    }

    /// Keeps a picture as an artefact of the run.
    pub fn keep(&self, path: &Path) -> image::RgbImage {
        let picture = self.picture();
        std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("artefact folder");
        picture.save(path).expect("artefact");
        picture
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        // The server has nothing to lose.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
