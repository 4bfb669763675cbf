//! Makes the data set of the embedded model: `dataset OUT COUNT SEED [SIZE]`.
//!
//! ```text
//! OUT/images.rgb      [count][size][size][3] bytes, rows from the top
//! OUT/captions.jsonl  a line each: caption, robot, posture, what the caption fits, camera, ground, light, up, height
//! ```

use pavlov_env::Assets;
use pavlov_render::{Camera, LIGHTS, Renderer, SURFACES, Stage, Style, views};
use pavlov_vision::dataset::{Dice, Robot, Sampler, caption, name_of};
use serde_json::json;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

const TOGETHER: usize = 128;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [out, count, seed, rest @ ..] = args.as_slice() else {
        return Err("usage: dataset OUT COUNT SEED [SIZE]".into());
    };
    let (out, count, seed) = (PathBuf::from(out), count.parse::<u32>()?, seed.parse::<u64>()?);
    let size: u32 = rest.first().map_or(Ok(64), |s| s.parse())?;
    std::fs::create_dir_all(&out)?;
    let assets = Assets::find(None);
    let robots = assets.roots().iter().map(|r| r.join("assets/robots")).find(|f| f.join("humanoid.xml").is_file());
    let robots = robots.ok_or("no assets/robots/humanoid.xml is found")?;
    let mut worlds = Vec::new();
    for robot in Robot::ALL {
        let model = Arc::new(pavlov_model::load_mjcf(&robots.join(robot.file()))?);
        worlds.push((robot, Sampler::new(robot, &model)?, Stage::new(&model)?));
    }
    // The humanoid has most postures, and gets most pictures.
    let turns = [0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6];
    let mut renderer = Renderer::new(0)?;
    let mut images = BufWriter::new(std::fs::File::create(out.join("images.rgb"))?);
    let mut lines = BufWriter::new(std::fs::File::create(out.join("captions.jsonl"))?);
    let mut index = 0;
    while index < count {
        let mut scenes = Vec::new();
        for _ in 0..TOGETHER.min((count - index) as usize) {
            let mut dice = Dice::new(seed, index);
            let (robot, sampler, stage) = &mut worlds[turns[index as usize % turns.len()]];
            let named = dice.chance(0.75);
            let wanted = named.then(|| dice.one(robot.postures()));
            let moving = dice.chance(0.35);
            let state = sampler.draw(wanted, moving, &mut dice);
            let (text, fits) = caption(*robot, &state, &mut dice);
            let (surface, light) = (dice.one(SURFACES), dice.one(LIGHTS));
            let style = Style { surface: surface.0.parse()?, light: light.1 };
            let azimuth = dice.between(0.0, 360.0);
            let elevation = if dice.chance(0.85) { dice.between(-32.0, -3.0) } else { dice.between(-60.0, -32.0) };
            let zoom = dice.between(0.75, 1.05);
            let camera: Camera = format!("{azimuth:.2},{elevation:.2},{zoom:.3}").parse()?;
            let shot = stage.shot(&state.qpos)?;
            scenes.push((stage.scene(&shot, &style), stage.eye(&shot, &camera, 1.0)));
            let line = json!({
                "caption": text, "robot": format!("{robot:?}"), "posture": name_of(state.posture), "fits": fits,
                "camera": camera.name, "ground": surface.0, "light": light.0, "up": state.up, "height": state.height,
                "wanted": name_of(wanted),
            });
            writeln!(lines, "{line}")?;
            index += 1;
        }
        for picture in renderer.render(&views(&scenes), size, size)? {
            images.write_all(&picture.rgb())?;
        }
        if index % 5120 < TOGETHER as u32 {
            eprintln!("{index} of {count}");
        }
    }
    images.flush()?;
    lines.flush()?;
    Ok(())
}
