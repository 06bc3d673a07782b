//! `scope-inject`: puts a scope into a running process, and takes it out again. Run by the agent, once per attach or
//! detach; the last line of its output is a JSON object. See report.rs for its fields and refusal.rs for its reasons.
mod assemble;
mod attach;
mod calls;
mod cancellation;
mod children;
mod enter;
mod flow;
mod follow;
mod funnels;
mod go;
mod gofunctions;
mod goshape;
mod inherit;
mod layout;
mod loading;
mod mailbox;
mod mend;
mod module;
mod pagemap;
mod place;
mod plan;
mod preflight;
mod procfs;
mod ptrace;
mod refusal;
mod remote;
mod report;
mod room;
mod scan;
mod shared;
mod survey;
mod underway;
mod world;

use procfs::Process;
use refusal::{Reason, Refusal, Result};
use remote::Memory;
use serde_json::Value;
use std::process::ExitCode;

const HELP: &str = "\
scope-inject COMMAND --pid PID [options]

  check      says what an attach would do; changes nothing
  attach     puts the scope in
  adopt      takes over a scope whose agent is gone, without touching the target
  detach     takes it out, or mends what a killed attach left
  follow     stays with a scoped process and scopes its children from their first call on: one line of JSON for
             each; `go PID` on standard input lets a child begin that waits for its reader, `release PID` lets one
             process go; ends, letting all go, with standard input or by SIGTERM
  inspect    says what is hooked now
  plan       says what would be hooked in a program file or library (--file PATH, no PID)

  --enter              join the process's namespaces and run there, from memory
  --ring-bytes N       size of one ring, a power of two from 65536 to 67108864 (4194304)
  --capture-bytes N    most data bytes that one record carries, up to 65536 (16384)
  --console            standard output and error carry data even where they are plain files
  --timing             durations too: further hooks before calls, where one fits
  --replace            attach: take out a scope whose agent is gone first
  --child-ring-bytes N follow: the size of a child's rings (1048576)
  --most N             follow: children that are scoped at a time at most (64)
  --fault-at N         end with SIGKILL after the N-th operation on the target (tests)

Exit codes: 0 done, 1 refused (the JSON says why), 2 wrong arguments.
";

struct Arguments {
    command: String,
    pid: i32,
    report_pid: i32,
    start_time: Option<u64>,
    enter: bool,
    own_proc: bool,
    file: Option<String>,
    options: attach::Options,
    child_ring_bytes: u64,
    most: usize,
    /// What an inner run is to be given.
    pass: Vec<String>,
}

fn parse(args: &[String]) -> Result<Arguments> {
    let bad = |text: String| Refusal::new(Reason::InvalidArgument, text);
    let command = args.first().cloned().unwrap_or_default();
    if !["check", "attach", "adopt", "detach", "inspect", "plan", "follow"].contains(&command.as_str()) {
        return Err(bad(format!(
            "'{command}' is no command of scope-inject: use check, attach, adopt, detach, follow, inspect or plan"
        )));
    }
    let mut a = Arguments {
        pass: vec![command.clone()],
        command,
        pid: 0,
        report_pid: 0,
        start_time: None,
        enter: false,
        own_proc: false,
        file: None,
        options: attach::Options {
            ring_bytes: 4 << 20,
            capture_bytes: 16 << 10,
            console: false,
            timing: false,
            replace: false,
        },
        child_ring_bytes: 1 << 20,
        most: 64,
    };
    let mut rest = args[1..].iter();
    while let Some(flag) = rest.next() {
        let mut number = |low: u64, high: u64| -> Result<u64> {
            let text = rest.next().ok_or_else(|| bad(format!("{flag} needs a number")))?;
            let n = text.parse().map_err(|_| bad(format!("{flag} {text}: not a number")))?;
            if (low..=high).contains(&n) {
                Ok(n)
            } else {
                Err(bad(format!("{flag} {n}: must be from {low} to {high}")))
            }
        };
        match flag.as_str() {
            "--pid" => a.pid = number(1, i32::MAX as u64)?.try_into().unwrap_or(0),
            "--report-pid" => a.report_pid = number(1, i32::MAX as u64)?.try_into().unwrap_or(0),
            "--start-time" => a.start_time = Some(number(0, u64::MAX)?),
            "--ring-bytes" => {
                a.options.ring_bytes = number(65536, 64 << 20)?;
                if !a.options.ring_bytes.is_power_of_two() {
                    return Err(bad(format!("--ring-bytes {}: must be a power of two", a.options.ring_bytes)));
                }
                a.pass.extend([flag.clone(), a.options.ring_bytes.to_string()]);
            }
            "--child-ring-bytes" => {
                a.child_ring_bytes = number(65536, 64 << 20)?;
                if !a.child_ring_bytes.is_power_of_two() {
                    return Err(bad(format!("{flag} {}: must be a power of two", a.child_ring_bytes)));
                }
            }
            "--most" => a.most = number(1, 4096)?.try_into().unwrap_or(1),
            "--capture-bytes" => {
                a.options.capture_bytes = number(0, scope_abi::MAX_CAPTURE.into())?.try_into().unwrap_or(0);
                a.pass.extend([flag.clone(), a.options.capture_bytes.to_string()]);
            }
            "--fault-at" => {
                let n = number(1, i64::MAX as u64)?;
                a.pass.extend([flag.clone(), n.to_string()]);
                ptrace::fault_at(n.cast_signed());
            }
            "--console" => {
                a.options.console = true;
                a.pass.push(flag.clone());
            }
            "--timing" => {
                a.options.timing = true;
                a.pass.push(flag.clone());
            }
            "--replace" => {
                a.options.replace = true;
                a.pass.push(flag.clone());
            }
            "--file" => {
                a.file = Some(rest.next().cloned().ok_or_else(|| bad(format!("{flag} needs a path")))?);
            }
            "--enter" => a.enter = true,
            "--own-proc" => a.own_proc = true,
            other => return Err(bad(format!("'{other}' is no option of scope-inject"))),
        }
    }
    if a.command == "plan" {
        return if a.file.is_some() { Ok(a) } else { Err(bad("--file is missing".to_owned())) };
    }
    if a.pid == 0 {
        return Err(bad("--pid is missing".to_owned()));
    }
    if a.report_pid == 0 {
        a.report_pid = a.pid;
    }
    // A record must fit in half a ring.
    a.options.capture_bytes = a.options.capture_bytes.min(u32::try_from(a.options.ring_bytes / 4).unwrap_or(u32::MAX));
    Ok(a)
}

enum Outcome {
    Report(Value),
    /// The inner run has printed its own.
    Code(i32),
}

fn run(a: &Arguments) -> Result<Outcome> {
    if let Some(path) = &a.file {
        let (plan, kind) = survey::survey_file(path, a.options.timing)?;
        return Ok(Outcome::Report(report::planned(&plan, kind, path)));
    }
    let root =
        if a.own_proc { enter::private_proc().or_else(|_| enter::mounted_proc()) } else { enter::mounted_proc() };
    let root = root.map_err(|e| Refusal::internal(format!("opening /proc: {e}")))?;
    let process = Process::open(root, a.pid);
    // SAFETY: geteuid has no preconditions.
    let privileged = unsafe { libc::geteuid() } == 0;
    if a.start_time.is_some_and(|t| process.start_time().is_ok_and(|now| now != t)) {
        return Err(Refusal::new(
            Reason::ProcessExited,
            format!("process {} ended meanwhile; its number belongs to another now", a.report_pid),
        ));
    }
    if a.command == "follow" {
        preflight::check(&process, privileged)?;
        let most_captured = |ring_bytes: u64| u32::try_from(ring_bytes / 4).unwrap_or(u32::MAX);
        let children = attach::Options {
            ring_bytes: a.child_ring_bytes,
            capture_bytes: a.options.capture_bytes.min(most_captured(a.child_ring_bytes)),
            ..a.options.clone()
        };
        let following = follow::Following { own: a.options.clone(), children, most: a.most };
        let open_proc = || enter::mounted_proc().map_err(|e| Refusal::internal(format!("opening /proc: {e}")));
        return follow::follow(&open_proc, a.pid, following).map(|()| Outcome::Report(report::followed(a.pid)));
    }
    if a.enter {
        preflight::check(&process, privileged)?;
        return enter::enter(&process, &a.pass).map(Outcome::Code);
    }
    let pid = a.report_pid;
    match a.command.as_str() {
        "attach" => {
            preflight::check(&process, privileged)?;
            attach::attach(&process, &a.options).map(|done| Outcome::Report(report::attached(&done, pid)))
        }
        "adopt" => attach::adopt(&process).map(|done| Outcome::Report(report::attached(&done, pid))),
        "detach" => detach(&process, privileged).map(|done| Outcome::Report(report::detached(&done, pid))),
        _ => {
            let (_, maps) = preflight::check(&process, privileged)?;
            let (mut plan, kind) = survey::survey(&process, &maps, a.options.timing)?;
            let remains = mend::find(&process, &maps)?;
            let memory = Memory::open(&process)?;
            let live = remains.iter().find(|r| r.is_live(&process, &memory));
            // Of one that is scoped, what is changed is ours.
            if live.is_none() {
                attach::verify_text(&memory, &mut plan);
            }
            let target = survey::Target::of(&process, kind, process.threads()?.len());
            let mut report = report::surveyed(&plan, &target, pid);
            if let Some(object) = report.as_object_mut() {
                object.insert("scoped".into(), live.is_some().into());
                if let Some(live) = live {
                    object.insert("hookedNow".into(), live.sites.len().into());
                }
            }
            Ok(Outcome::Report(report))
        }
    }
}

fn detach(process: &Process, privileged: bool) -> Result<mend::Mended> {
    let (status, maps) = preflight::check(process, privileged)?;
    let memory = Memory::open(process)?;
    let remains = mend::find(process, &maps)?;
    if remains.is_empty() {
        return Err(Refusal::new(Reason::NotScoped, format!("process {} is not scoped", process.pid)));
    }
    let (plan, _) = survey::survey(process, &maps, false)?;
    let mut done = mend::Mended { unmapped: true, ..mend::Mended::default() };
    for left in &remains {
        let one = left.remove(process, &memory, plan.gadgets(), &plan, status.seccomp != 0)?;
        done = done.and(&one);
    }
    Ok(done)
}

/// A process that ends while it is looked at fails in many ways, which all mean the one thing.
fn ended_meanwhile(refusal: Refusal, a: &Arguments) -> Refusal {
    let told = matches!(
        refusal.reason,
        Reason::NoSuchProcess | Reason::Zombie | Reason::ProcessExited | Reason::KernelThread | Reason::NotRoot
    );
    let gone = || {
        let root = if a.own_proc { enter::private_proc() } else { enter::mounted_proc() };
        root.is_ok_and(|root| {
            let process = Process::open(root, a.pid);
            // Its memory goes before it becomes a zombie.
            process.status().map_or(true, |s| matches!(s.state, 'Z' | 'X'))
                || match process.maps() {
                    Ok(maps) => maps.is_empty(),
                    Err(error) => matches!(error.reason, Reason::ProcessExited),
                }
        })
    };
    if told || !gone() {
        return refusal;
    }
    Refusal::new(Reason::ProcessExited, format!("process {} ended meanwhile; nothing is left to scope", a.report_pid))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|a| a == "--help" || a == "-h") || args.is_empty() {
        print!("{HELP}");
        return if args.is_empty() { ExitCode::from(2) } else { ExitCode::SUCCESS };
    }
    // While the target stands still, nothing may keep us from going on. Best effort: CAP_SYS_NICE may be missing.
    // SAFETY: a plain system call.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
    let (report, code) = match parse(&args) {
        Err(refusal) => (report::refused(&refusal, 0), 2),
        Ok(a) => match run(&a) {
            Ok(Outcome::Code(code)) => return ExitCode::from(u8::try_from(code).unwrap_or(1)),
            Ok(Outcome::Report(report)) => (report, 0),
            Err(refusal) => (report::refused(&ended_meanwhile(refusal, &a), a.report_pid), 1),
        },
    };
    println!("{report}");
    ExitCode::from(code)
}
