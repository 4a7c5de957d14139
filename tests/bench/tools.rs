//! What the benchmark runs: builds the C programs and the workload, and finds the tracers.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where everything is that will be run.
pub struct Tools {
    pub rtscript: PathBuf,
    /// `None` where it is not installed.
    pub bpftrace: Option<PathBuf>,
    /// The loader of the C forms and their object; an error is why they cannot be built.
    pub c_forms: Result<CForms, String>,
    pub rename: PathBuf,
    pub scripts: PathBuf,
    /// For output that is measured and then deleted.
    pub scratch: PathBuf,
    pub workload_cpu: usize,
}

pub struct CForms {
    pub loader: PathBuf,
    pub object: PathBuf,
}

/// Builds and finds all of it. What only some rows need may be missing.
pub fn prepare() -> Result<Tools, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    std::fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    Ok(Tools {
        rtscript: std::env::var_os("RTSCRIPT")
            .map_or_else(|| env!("CARGO_BIN_EXE_rtscript").into(), PathBuf::from),
        bpftrace: find_bpftrace(),
        c_forms: build_c_forms(&root.join("tests/bench/c"), &scratch),
        rename: crate::workloads::workload("rename")?,
        scripts: root.join("scripts"),
        scratch,
        workload_cpu: if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1) {
            1
        } else {
            0
        },
    })
}

impl Tools {
    /// Two lines for the head of the report.
    pub fn describe(&self) -> String {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let cpus = std::thread::available_parallelism().map_or(0, |cpus| cpus.get());
        let bpftrace = match &self.bpftrace {
            Some(path) => first_line(Command::new(path).arg("--version")).unwrap_or_else(|why| why),
            None => "not installed".into(),
        };
        let c_forms = match &self.c_forms {
            Ok(_) => first_line(Command::new("clang").arg("--version")).unwrap_or_else(|why| why),
            Err(why) => why.clone(),
        };
        let alone = if self.workload_cpu == 0 { " (tracer and workload share it: expect noise)" } else { "" };
        format!("Linux {}, {cpus} CPUs{alone}\nC: {c_forms}; bpftrace: {bpftrace}", kernel.trim())
    }

    /// Renames `events` times, at most `rate` times a second where there is one.
    pub fn rename(&self, events: u64, rate: Option<u64>) -> Result<Renames, String> {
        let mut command = Command::new(&self.rename);
        command.args([events.to_string(), "-c".into(), self.workload_cpu.to_string()]);
        if let Some(rate) = rate {
            command.args(["-r".into(), rate.to_string()]);
        }
        let child = command
            .stdout(std::process::Stdio::piped())
            .spawn()
            .map_err(|error| format!("rename: {error}"))?;
        let pid = child.id();
        let output = child.wait_with_output().map_err(|error| format!("rename: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let elapsed = text
            .split_whitespace()
            .find_map(|pair| pair.strip_prefix("elapsed_ns="))
            .and_then(|ns| ns.parse().ok())
            .ok_or_else(|| format!("rename printed {text:?}"))?;
        Ok(Renames { pid, events, elapsed: Duration::from_nanos(elapsed) })
    }
}

/// One run of the workload.
pub struct Renames {
    pub pid: u32,
    pub events: u64,
    pub elapsed: Duration,
}

impl Renames {
    pub fn ns_each(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.events as f64
    }
}

fn find_bpftrace() -> Option<PathBuf> {
    let path = std::env::var_os("BPFTRACE").map_or_else(|| "bpftrace".into(), PathBuf::from);
    first_line(Command::new(&path).arg("--version")).ok().map(|_| path)
}

/// Compiles `forms.bpf.c` and `load.c` from `sources` into `directory`.
fn build_c_forms(sources: &Path, directory: &Path) -> Result<CForms, String> {
    let forms = CForms { loader: directory.join("load"), object: directory.join("forms.bpf.o") };
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "x86",
        "aarch64" => "arm64",
        other => other,
    };
    let machine = first_line(Command::new("cc").arg("-print-multiarch")).unwrap_or_default();
    first_line(
        Command::new("clang")
            .args(["-g", "-O2", "-target", "bpf"])
            .arg(format!("-D__TARGET_ARCH_{architecture}"))
            .arg(format!("-I/usr/include/{machine}"))
            .args([OsStr::new("-c"), sources.join("forms.bpf.c").as_os_str()])
            .args([OsStr::new("-o"), forms.object.as_os_str()]),
    )?;
    first_line(
        Command::new("cc")
            .args(["-std=gnu11", "-O2"])
            .arg(sources.join("load.c"))
            .args([OsStr::new("-o"), forms.loader.as_os_str()])
            .arg("-lbpf"),
    )?;
    Ok(forms)
}

/// Runs `command`; gives the first line that it prints, or the first of its errors.
fn first_line(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    let first = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_string();
    if output.status.success() {
        Ok(first(&output.stdout))
    } else {
        Err(format!("{program}: {}", first(&output.stderr)))
    }
}
