//! Exec: programs that succeed, fail or hang. They are programs of the system.

use std::path::PathBuf;

use super::*;

fn exec(argv: &[&str]) -> Check {
    Check::Exec(ExecCheck { argv: argv.iter().map(|&argument| argument.into()).collect() })
}

async fn run(argv: &[&str]) -> Result<(), Failure> {
    probe_target(exec(argv), ProbeTarget::Address(LOOPBACK)).await.result
}

#[tokio::test]
async fn a_program_that_exits_with_code_0_passes() {
    for (argv, result, why) in [
        (&["true"][..], Ok(()), "found on the PATH"),
        (&["false"], Err(Failure::ExitCode(1)), "another code"),
        (&["sh", "-c", "exit 3"], Err(Failure::ExitCode(3)), "another still"),
        (&["sh", "-c", "kill -TERM $$"], Err(Failure::Signal(15)), "a signal"),
        (
            &["sh", "-c", "test $1 = 127.0.0.1", "sh", "{address}"],
            Ok(()),
            "the target as an argument",
        ),
        (
            &["sh", "-c", "test $PORTOLAN_TARGET/$PORTOLAN_MONITOR = 127.0.0.1/web"],
            Ok(()),
            "and in the environment",
        ),
        (
            &["sh", "-c", "test -z \"$CARGO_MANIFEST_DIR$HOME\""],
            Ok(()),
            "without the variables of this process",
        ),
        (&["test", "$HOME", "=", "$HOME"], Ok(()), "no shell expands the arguments"),
        (
            &["sh", "-c", "cat; exec >&- 2>&-; exit 4"],
            Err(Failure::ExitCode(4)),
            "nothing to read, output closed",
        ),
        (&["sleep", "60"], Err(Failure::TimedOut(TIMEOUT)), "never ends"),
        (&["yes"], Err(Failure::TimedOut(TIMEOUT)), "writes without an end"),
        (&["sh", "-c", "head -c 5000000 /dev/zero"], Ok(()), "5 MB of output do not block it"),
    ] {
        assert_eq!(run(argv).await, result, "{why}: {argv:?}");
    }
    for program in ["/nonexistent/check", "/etc/passwd", "/"] {
        let failure = run(&[program]).await.unwrap_err();
        assert!(
            failure.to_string().starts_with("the monitor cannot work: cannot run /"),
            "{failure}"
        );
    }
}

/// The running processes that have this argument in their command line.
fn running(argument: &str) -> Vec<PathBuf> {
    let is_it = |path: &PathBuf| {
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(argument)
    };
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    all.filter(|path| path.join("cmdline").exists() && is_it(path)).collect()
}

#[tokio::test]
async fn whatever_ends_a_probe_kills_all_processes_of_its_program() {
    // Each sleeps for a unique time, by which it is found.
    let unique = |base: u32| (base + std::process::id()).to_string();
    let (late, left, dropped) = (unique(7_000_000), unique(17_000_000), unique(27_000_000));
    let script = |secs: &str, rest: &str| format!("sleep {secs} & sleep {secs} & {rest}");
    assert_eq!(run(&["sh", "-c", &script(&late, "wait")]).await, Err(Failure::TimedOut(TIMEOUT)));
    assert_eq!(run(&["sh", "-c", &script(&left, "exit 0")]).await, Ok(()), "it leaves two behind");
    let probing = tokio::spawn({
        let script = script(&dropped, "wait");
        async move { run(&["sh", "-c", &script]).await }
    });
    while running(&dropped).len() < 3 {
        tokio::task::yield_now().await;
    }
    probing.abort();
    assert!(probing.await.unwrap_err().is_cancelled());
    for secs in [late, left, dropped] {
        // The kernel removes a killed process with a delay.
        while !running(&secs).is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
