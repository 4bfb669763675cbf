//! Pictures show what they should: robots framed and in their colours, shadows, the same bytes every time, and films
//! that decode to what was drawn. Any Vulkan, Metal or DX12 adapter serves, a software one too; without one these tests
//! are skipped.

use pavlov_common::testing::{NO_ADAPTER, skipped};
use pavlov_env::{Assets, Task};
use pavlov_render::{
    CAMERAS, Camera, Eye, FilmSpec, Format, Instance, LIGHTS, Look, Movie, Picture, Pose, RenderError, Renderer,
    SURFACES, Scene, Shape, Stage, Style, Texture, View, views, write_png,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const TASKS: [&str; 9] = [
    "cartpole_balance",
    "cartpole_swingup",
    "hopper_hop",
    "walker_walk",
    "half_cheetah_run",
    "ant_run",
    "humanoid_run",
    "go1_velocity",
    "gym/humanoid",
];
const SIDE: u32 = 224;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate lies in the repository").to_path_buf()
}

fn renderer() -> Option<Renderer> {
    match Renderer::new(0) {
        Ok(renderer) => Some(renderer),
        Err(RenderError::NoAdapter) => {
            skipped(NO_ADAPTER);
            None
        }
        Err(e) => panic!("{e}"),
    }
}

fn stage(task: &str) -> Stage {
    let task = Task::load(&Assets::find(Some(&root())), task).unwrap_or_else(|e| panic!("{e}"));
    Stage::new(task.model()).unwrap_or_else(|e| panic!("{e}"))
}

fn qpos0(task: &str) -> Vec<f32> {
    let task = Task::load(&Assets::find(Some(&root())), task).expect("task");
    task.model().qpos0.iter().map(|&x| x as f32).collect()
}

fn one(renderer: &mut Renderer, scene: &Scene, eye: Eye) -> Picture {
    renderer.render(&[View { scene, eye }], SIDE, SIDE).expect("a picture").remove(0)
}

fn brightness(p: [u8; 4]) -> u32 {
    u32::from(p[0]) + u32::from(p[1]) + u32::from(p[2])
}

#[test]
fn shapes_have_their_colours_and_shadows_are_darker_than_the_ground() {
    let Some(mut renderer) = renderer() else { return };
    let mut style = Style::default();
    style.surface.texture = Texture::Plain;
    style.light.direction = [1.0, 0.0, -1.0];
    let mut scene = Scene::new(style, 1.0);
    let at = |x, y, z| Pose { position: [x, y, z], rotation: [1.0, 0.0, 0.0, 0.0] };
    scene.ground = Some(at(0.0, 0.0, 0.0));
    let shapes = [
        Shape::Sphere { radius: 0.3 },
        Shape::Capsule { radius: 0.2, half: 0.2 },
        Shape::Cylinder { radius: 0.3, half: 0.3 },
        Shape::Box { half: [0.3; 3] },
    ];
    for (i, shape) in shapes.into_iter().enumerate() {
        scene.instances.push(Instance { shape, pose: at(-1.0, 1.5 - i as f32, 1.0), colour: [0.9, 0.1, 0.1, 1.0] });
    }
    // From straight above: 4 m of ground are 224 pixels; the shadow of what is 1 m high lies 1 m further along x.
    let extent = pavlov_render::Extent { low: [-2.0, -2.0, 0.0], high: [2.0, 2.0, 0.0] };
    let camera = Camera { fill: 1.0, fovy: 10.0, .."top".parse().expect("a camera") };
    let picture = one(&mut renderer, &scene, camera.eye(&extent, 1.0));
    let pixel = |x: f32, y: f32| picture.pixel(((x + 2.0) * 56.0) as u32, ((2.0 - y) * 56.0) as u32);
    let ground = pixel(1.5, 0.0);
    for (i, shape) in shapes.iter().enumerate() {
        let y = 1.5 - i as f32;
        let [r, g, b, _] = pixel(-1.0, y);
        assert!(u32::from(r) > 2 * u32::from(g.max(b)), "{shape:?}: {r} {g} {b}");
        let shadow = pixel(0.0, y);
        assert!(3 * brightness(shadow) < 2 * brightness(ground), "{shape:?}: {shadow:?} on {ground:?}");
    }
    // Without shadow the ground there is as everywhere.
    scene.style.light.shadow = 0.0;
    let picture = one(&mut renderer, &scene, camera.eye(&extent, 1.0));
    let there = picture.pixel(112, 28);
    assert!(brightness(there).abs_diff(brightness(ground)) < 6, "{there:?} {ground:?}");
}

/// Pixels of the robot: those that differ from the same picture without it, under a light without shadow.
fn robot_pixels(
    renderer: &mut Renderer,
    stage: &Stage,
    qpos: &[f32],
    shot_of: &mut Stage,
    camera: &Camera,
) -> (f64, bool) {
    let mut style = Style::default();
    style.light.shadow = 0.0;
    let shot = shot_of.shot(qpos).expect("a state");
    let eye = stage.eye(&shot, camera, 1.0);
    let with = stage.scene(&shot, &style);
    let mut without = Scene { instances: Vec::new(), ..with.clone() };
    let still = Look { parts: stage.look().parts.iter().copied().filter(|p| p.body == 0).collect() };
    without.add(&still, &shot.poses, [0.0; 3], false);
    let pictures =
        renderer.render(&[View { scene: &with, eye }, View { scene: &without, eye }], SIDE, SIDE).expect("drawn");
    let (mut count, mut edge) = (0, false);
    for y in 0..SIDE {
        for x in 0..SIDE {
            if pictures[0].pixel(x, y) != pictures[1].pixel(x, y) {
                count += 1;
                edge |= x == 0 || y == 0 || x == SIDE - 1 || y == SIDE - 1;
            }
        }
    }
    (f64::from(count) / f64::from(SIDE * SIDE), edge)
}

#[test]
fn every_camera_frames_every_robot() {
    let Some(mut renderer) = renderer() else { return };
    for task in TASKS {
        let (seen, mut posed) = (stage(task), stage(task));
        let rest = qpos0(task);
        for (name, ..) in CAMERAS {
            let camera: Camera = name.parse().expect("a camera");
            let (share, edge) = robot_pixels(&mut renderer, &seen, &rest, &mut posed, &camera);
            println!("{task} {name}: {:.1}% of the picture", 100.0 * share);
            assert!((0.01..0.6).contains(&share), "{task} {name}: {share}");
            assert!(!edge, "{task} {name}: cut off");
        }
        // It goes along: after 12 m ahead and in other poses the robot is there, as large.
        let track = Camera::default();
        for qpos in posed.varied(240).iter().skip(220).step_by(7) {
            let (share, _) = robot_pixels(&mut renderer, &seen, qpos, &mut posed, &track);
            assert!((0.008..0.6).contains(&share), "{task}: {share} at {qpos:?}");
        }
    }
}

#[test]
fn a_view_is_the_same_alone_in_an_atlas_and_again() {
    let Some(mut renderer) = renderer() else { return };
    let mut stages: Vec<Stage> = ["ant_run", "go1_velocity", "humanoid_run"].map(stage).into();
    let mut scenes = Vec::new();
    for i in 0..70 {
        let stage = &mut stages[i % 3];
        let state = stage.varied(i + 1).pop().expect("a state");
        let shot = stage.shot(&state).expect("a shot");
        let style = Style {
            surface: SURFACES[i % SURFACES.len()].0.parse().expect("a ground"),
            light: LIGHTS[i % LIGHTS.len()].0.parse().expect("a light"),
        };
        let camera: Camera = CAMERAS[i % CAMERAS.len()].0.parse().expect("a camera");
        scenes.push((stage.scene(&shot, &style), stage.eye(&shot, &camera, 1.0)));
    }
    let all = renderer.render(&views(&scenes), 96, 96).expect("an atlas");
    assert_eq!(all.len(), scenes.len());
    assert!(all == renderer.render(&views(&scenes), 96, 96).expect("again"), "not the same bytes");
    let mut other = Renderer::new(0).expect("a second renderer");
    for (i, (scene, eye)) in scenes.iter().enumerate().step_by(9) {
        let alone = other.render(&[View { scene, eye: *eye }], 96, 96).expect("a picture").remove(0);
        // Corners are rounded to fractions of a pixel of the whole atlas: a few samples on edges fall to the other
        // side.
        let differ = alone.rgba.iter().zip(&all[i].rgba).filter(|(a, b)| a.abs_diff(**b) > 1).count();
        let off = difference(&alone.rgba, &all[i].rgba);
        println!("view {i}: {differ} of {} bytes differ, by {off:.5} in the mean", alone.rgba.len());
        assert!(1000 * differ < 3 * alone.rgba.len() && off < 0.05, "view {i}: {differ} bytes differ, by {off}");
    }
    assert!(all[0] != all[1] && all[1] != all[4], "all views are the same picture");
}

/// Twelve pictures of a hopper.
fn pictures(renderer: &mut Renderer, width: u32, height: u32) -> Vec<Picture> {
    let mut stage = stage("hopper_hop");
    let aspect = width as f32 / height as f32;
    let scenes: Vec<_> = stage
        .varied(12)
        .iter()
        .map(|qpos| {
            let shot = stage.shot(qpos).expect("a shot");
            (stage.scene(&shot, &Style::default()), stage.eye(&shot, &Camera::default(), aspect))
        })
        .collect();
    renderer.render(&views(&scenes), width, height).expect("pictures")
}

/// Mean difference of two pictures' channels.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| f64::from(x.abs_diff(*y))).sum::<f64>() / a.len() as f64
}

#[test]
fn files_decode_to_what_was_drawn() {
    let Some(mut renderer) = renderer() else { return };
    let (width, height, fps) = (160, 120, 30.0);
    let pictures = pictures(&mut renderer, width, height);
    let dir = tempfile::tempdir().expect("a folder");
    let write = |format: Format| {
        let path = dir.path().join(format.name());
        let spec = FilmSpec { format, width, height, fps, count: pictures.len() };
        let mut movie = Movie::create(&path, spec, &pictures).expect("begun");
        pictures.iter().for_each(|p| movie.push(p).expect("pushed"));
        assert!(movie.push(&pictures[0]).is_err(), "one too many");
        movie.finish().expect("finished");
        path
    };
    let open = |path: &Path| std::io::BufReader::new(std::fs::File::open(path).expect("a file"));

    let path = dir.path().join("one.png");
    write_png(&path, &pictures[3]).expect("written");
    let mut reader = png::Decoder::new(open(&path)).read_info().expect("a PNG");
    let mut rgb = vec![0; reader.output_buffer_size().expect("a size")];
    reader.next_frame(&mut rgb).expect("a picture");
    assert!(rgb == pictures[3].rgb());

    let mut reader = png::Decoder::new(open(&write(Format::Apng))).read_info().expect("an APNG");
    let control = reader.info().animation_control().copied().expect("animated");
    assert_eq!((control.num_frames as usize, reader.info().size()), (pictures.len(), (width, height)));
    let mut seconds = 0.0;
    for picture in &pictures {
        reader.next_frame(&mut rgb[..]).expect("a picture");
        let frame = reader.info().frame_control().copied().expect("a frame");
        seconds += f64::from(frame.delay_num) / f64::from(frame.delay_den);
        assert!(rgb == picture.rgb());
    }
    assert!((seconds - pictures.len() as f64 / fps).abs() < 1e-6, "{seconds}");

    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(open(&write(Format::Gif))).expect("a GIF");
    assert_eq!((u32::from(decoder.width()), u32::from(decoder.height())), (width, height));
    let (mut shown, mut count, mut delays) = (vec![0u8; (4 * width * height) as usize], 0, 0);
    while let Some(frame) = decoder.read_next_frame().expect("a frame") {
        for (i, pixel) in frame.buffer.as_chunks::<4>().0.iter().enumerate().filter(|(_, p)| p[3] > 0) {
            let (x, y) = (i % usize::from(frame.width), i / usize::from(frame.width));
            let at = 4 * ((y + usize::from(frame.top)) * width as usize + x + usize::from(frame.left));
            shown[at..at + 4].copy_from_slice(pixel);
        }
        let off = difference(&shown, &pictures[count].rgba);
        assert!(off < 3.0, "picture {count}: colours {off} off");
        delays += u32::from(frame.delay);
        count += 1;
    }
    assert_eq!((count, delays), (pictures.len(), 40), "12 pictures at 30 a second last 0.4 s");
    mp4(&write(Format::Mp4), &pictures, fps);
}

#[cfg(feature = "mp4")]
fn mp4(path: &Path, pictures: &[Picture], fps: f64) {
    use openh264::formats::YUVSource;
    let file = std::fs::File::open(path).expect("a file");
    let bytes = file.metadata().expect("its size").len();
    let mut reader = mp4::Mp4Reader::read_header(std::io::BufReader::new(file), bytes).expect("an MP4");
    let track = reader.tracks().get(&1).expect("a track");
    assert_eq!((u32::from(track.width()), u32::from(track.height())), (pictures[0].width, pictures[0].height));
    assert_eq!(track.sample_count() as usize, pictures.len());
    let seconds = track.duration().as_secs_f64();
    assert!((seconds - pictures.len() as f64 / fps).abs() < 2e-3, "{seconds}");
    let code = |unit: &[u8]| [&[0, 0, 0, 1], unit].concat();
    let head = [
        code(track.sequence_parameter_set().expect("parameters")),
        code(track.picture_parameter_set().expect("parameters")),
    ]
    .concat();
    let mut decoder = openh264::decoder::Decoder::new().expect("a decoder");
    decoder.decode(&head).expect("parameters");
    for (i, picture) in pictures.iter().enumerate() {
        let sample = reader.read_sample(1, i as u32 + 1).expect("a sample").expect("a sample");
        let (mut stream, mut at) = (Vec::new(), 0);
        while at < sample.bytes.len() {
            let length = u32::from_be_bytes(sample.bytes[at..at + 4].try_into().expect("four")) as usize;
            stream.extend(code(&sample.bytes[at + 4..at + 4 + length]));
            at += 4 + length;
        }
        let yuv = decoder.decode(&stream).expect("decoded").expect("a picture");
        let mut rgb = vec![0; yuv.rgb8_len()];
        yuv.write_rgb8(&mut rgb);
        let off = difference(&rgb, &picture.rgb());
        assert!(off < 12.0, "picture {i}: {off} off");
    }
}

#[cfg(not(feature = "mp4"))]
fn mp4(_: &Path, _: &[Picture], _: f64) {}

#[test]
fn what_cannot_be_drawn_or_written_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let gif = |width, fps| FilmSpec { format: Format::Gif, width, height: 60, fps, count: 2 };
    let message = |e: RenderError| e.to_string();
    let nowhere = dir.path().join("no/such/folder.gif");
    let unwritable = message(Movie::create(&nowhere, gif(80, 25.0), &[]).unwrap_err());
    assert!(unwritable.contains("folder.gif"), "{unwritable}");
    let fast = message(Movie::create(&dir.path().join("a.gif"), gif(80, 60.0), &[]).unwrap_err());
    assert!(fast.contains("0.1 to 50"), "{fast}");
    if cfg!(feature = "mp4") {
        let odd = FilmSpec { format: Format::Mp4, ..gif(81, 25.0) };
        let odd = message(Movie::create(&dir.path().join("a.mp4"), odd, &[]).unwrap_err());
        assert!(odd.contains("even"), "{odd}");
    }
    let mut stage = stage("hopper_hop");
    let short = message(stage.shot(&[0.0; 3]).unwrap_err());
    assert!(short.contains("`hopper` has 6"), "{short}");
    let model = Arc::new(
        pavlov_model::parse_mjcf(
            "<mujoco><worldbody><body><freejoint/><geom size=\"0.1\"/></body></worldbody></mujoco>",
            "ball.xml",
        )
        .expect("a model"),
    );
    let bad: &[f32] = &[0.0, 0.0, f32::NAN, 1.0, 0.0, 0.0, 0.0];
    let bad = message(pavlov_render::Film::new(&model, 0.1, [bad]).unwrap_err());
    assert!(bad.contains("state 0 has NaN as coordinate 2"), "{bad}");
    let Some(mut renderer) = renderer() else { return };
    let shot = stage.shot(&qpos0("hopper_hop")).expect("a shot");
    let scene = stage.scene(&shot, &Style::default());
    let eye = stage.eye(&shot, &Camera::default(), 1.0);
    let huge = message(renderer.render(&[View { scene: &scene, eye }], 100_000, 10).unwrap_err());
    assert!(huge.contains("100000x10"), "{huge}");
}
