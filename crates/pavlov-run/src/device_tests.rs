//! Runs on the GPU: they resume exactly, survive the loss of the device, and go over to the processor. Without an
//! adapter these tests say so and end.

use super::*;
use crate::config::Overrides;
use crate::testing;
use crate::train::{ResumeOptions, Trainer};
use crate::variants::Variants;
use pavlov_common::testing::{NO_ADAPTER, skipped};
use pavlov_env::Assets;
use std::path::Path;

const LEARNER: &str = "worlds = 40\nhorizon = 16\nminibatches = 2\nepochs = 2\nactor_hidden = [16]\ncritic_hidden = [16]\n\
                       total_steps = 10240\neval_episodes = 4";

fn is_there() -> bool {
    let found = !pavlov_physics::gpu::adapters().is_empty();
    if !found {
        skipped(NO_ADAPTER);
    }
    found
}

fn asked(threads: usize) -> Overrides {
    Overrides { threads: Some(threads), seed: Some(3), device: Some(Device::Gpu(0)), ..Overrides::default() }
}

fn create(assets: &Assets, dir: &Path, name: &str, threads: usize) -> Trainer {
    Trainer::create(assets, "cartpole_balance", None, &asked(threads), dir, Some(&dir.join(name))).unwrap()
}

/// The log with what depends on the clock taken out.
fn log(trainer: &Trainer) -> String {
    let text = std::fs::read_to_string(trainer.folder().metrics()).unwrap();
    text.lines().map(|line| line.split(",\"timing\":").next().unwrap().to_string() + "\n").collect()
}

fn updates(trainer: &mut Trainer, count: usize) {
    for _ in 0..count {
        trainer.update().unwrap();
    }
}

#[test]
fn names_of_devices() {
    for (text, device) in [("cpu", Device::Cpu), ("gpu", Device::Gpu(0)), ("gpu:3", Device::Gpu(3))] {
        assert_eq!(text.parse(), Ok(device));
        assert_eq!(device.to_string().parse(), Ok(device));
    }
    for text in ["", "gpu:", "gpu:x", "gpu3", "gpu:-1", "gpu:99999999999999999999", "tpu"] {
        assert!(text.parse::<Device>().unwrap_err().contains("expected cpu"), "{text}");
    }
}

#[test]
fn the_same_bits_after_a_kill_and_after_the_loss_of_the_device() {
    if !is_there() {
        return;
    }
    let (dir, assets) = testing::assets(LEARNER);
    let dir = dir.path();
    let mut whole = create(&assets, dir, "whole", 1);
    updates(&mut whole, 8);
    assert!(whole.config().to_toml().unwrap().contains("device = \"gpu:0\""));
    let learnt = whole.arm.ppo.to_bytes().unwrap();

    let mut first = create(&assets, dir, "cut", 2);
    updates(&mut first, 3);
    drop(first);
    let resume = || Trainer::resume(&dir.join("cut"), &ResumeOptions::default()).unwrap();
    let mut second = resume();
    updates(&mut second, 2);
    let Worlds::Device(worlds) = &second.arm.worlds else { panic!("not on the device") };
    worlds.env.0.gpu().destroy();
    let error = second.update().unwrap_err();
    assert!(!error.is_bad_input() && error.to_string().contains("`pavlov resume`"), "{error}");
    drop(second);
    let mut third = resume();
    assert_eq!(third.state().update, 5);
    updates(&mut third, 3);
    assert_eq!(log(&third), log(&whole));
    assert!(third.arm.ppo.to_bytes().unwrap() == learnt, "an interruption changes the result");
}

#[test]
fn a_run_goes_over_to_the_processor_with_new_episodes() {
    if !is_there() {
        return;
    }
    let (dir, assets) = testing::assets(LEARNER);
    let mut run = create(&assets, dir.path(), "run", 2);
    updates(&mut run, 2);
    let root = run.folder().root().to_path_buf();
    drop(run);
    let options = ResumeOptions { device: Some(Device::Cpu), ..ResumeOptions::default() };
    let mut run = Trainer::resume(&root, &options).unwrap();
    let warnings = run.take_warnings();
    assert!(warnings.iter().any(|w| w.contains("new episodes begin")), "{warnings:?}");
    updates(&mut run, 1);
    drop(run);
    let mut run = Trainer::resume(&root, &ResumeOptions::default()).unwrap();
    assert_eq!(run.take_warnings(), Vec::<String>::new());
    assert_eq!((run.config().device.as_str(), run.state().update), ("cpu", 3));
}

#[test]
fn what_cannot_run_there_is_refused() {
    let (_dir, assets) = testing::assets(LEARNER);
    let (task, mut reward) = testing::load(&assets);
    let config = RunConfig::resolve(&task, &mut reward, &asked(1)).unwrap();
    let pool = Arc::new(crate::train::thread_pool(1).unwrap());
    let (task, reward) = (Arc::new(task), Arc::new(reward));
    let error = Variants::new(&task, std::slice::from_ref(&reward), &config, pool).unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains("--device cpu"), "{error}");
    if !is_there() {
        return;
    }
    let config = RunConfig { device: "gpu:77".into(), ..config };
    let ppo = Ppo::new(config.learner.clone(), task.policy_obs_dim(), 0, task.act_dim(), 1).unwrap();
    let error = Worlds::new(&config, &task, &reward, &ppo).unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains("no GPU adapter 77"), "{error}");
}
