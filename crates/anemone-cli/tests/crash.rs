//! `kill -9` at random moments: the checkpoint always loads, and the run ends as if it had never been killed.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

mod common;

use common::{TINY_CIFAR, TINY_STORIES, anemone, join, succeed};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// Kills of a training process, beside those while it starts.
const KILLS: usize = 9;
/// Steps of the run: more than all killed processes make together.
const STEPS: &str = "160";

/// Numbers that look random but are the same each time.
struct Dice(u64);

impl Dice {
    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

/// Starts a process, waits for `steps` steps and some microseconds, and kills it. Tells whether it was killed.
fn start_and_kill(dir: &Path, args: &[&str], steps: u64, microseconds: u64) -> bool {
    let mut child = anemone(dir, &join(args, &["--json"])).stdout(Stdio::piped()).spawn().unwrap();
    // Kept until the kill: a process whose output is closed leaves by itself.
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let seen =
        events.by_ref().filter(|event| event.contains("\"event\":\"step\"")).take(steps as usize).count();
    sleep(Duration::from_micros(microseconds));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    seen as u64 == steps && status.code().is_none()
}

fn survives(name: &str, args: &[&str], save_every: &str, seed: u64) {
    let dir = TempDir::new().unwrap();
    let args = join(args, &["--steps", STEPS, "--save-every", save_every, "--eval-every", "50"]);
    succeed(dir.path(), &join(&args, &["--quiet", "--out", "whole"]));
    let begin = join(&args, &["--out", "killed"]);
    let config = dir.path().join("killed/config.json");
    let mut dice = Dice(seed);
    // While it starts: nothing is there yet, or all of it is. A little later each time, so that on a fast machine too the
    // first process to leave anything has the run still before it.
    let mut patience = 0;
    while !config.exists() {
        patience += 10_000;
        start_and_kill(dir.path(), &begin, 0, patience + dice.below(10_000));
    }
    let resume = ["train", "--resume", "killed"];
    let mut kills = 0;
    for _ in 0..KILLS {
        kills += usize::from(start_and_kill(dir.path(), &resume, 1 + dice.below(5), dice.below(9_000)));
        succeed(dir.path(), &["eval", "killed"]);
    }
    assert!(kills >= 8, "{name}: only {kills} kills came while it trained");
    succeed(dir.path(), &join(&resume, &["--quiet"]));
    let states = |run: &str| fs::read(dir.path().join(run).join("states.safetensors")).unwrap();
    assert!(states("whole") == states("killed"), "{name}: the weights differ");
    let left: Vec<_> =
        fs::read_dir(dir.path().join("killed")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|file| !file.to_string_lossy().starts_with(".tmp")), "{name}: {left:?}");
    let log = fs::read_to_string(dir.path().join("killed/log.jsonl")).unwrap();
    let steps: Vec<u64> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line.get("train").is_some())
        .map(|line| line["iteration"].as_u64().unwrap())
        .collect();
    assert!(steps.iter().copied().eq(1..=STEPS.parse().unwrap()), "{name}: {steps:?}");
}

#[test]
fn stories_survive_kills() {
    survives("stories", &join(TINY_STORIES, &["--accumulate", "2"]), "1", 11);
}

#[test]
fn stories_in_half_precision_survive_kills() {
    survives("stories fp16", &join(TINY_STORIES, &["--dtype", "fp16"]), "3", 12);
}

#[test]
fn cifar_survives_kills() {
    survives("cifar", &join(TINY_CIFAR, &["--momentum", "0.9"]), "2", 13);
}
