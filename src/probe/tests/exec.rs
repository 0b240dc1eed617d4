//! Exec: programs that end well, badly or not at all. The programs are the system's own.

use std::path::PathBuf;

use super::*;

fn exec(argv: &[&str]) -> Check {
    Check::Exec(ExecCheck { argv: argv.iter().map(|&word| word.into()).collect() })
}

async fn run(argv: &[&str]) -> Result<(), Failure> {
    probe_target(exec(argv), ProbeTarget::Address(LOOPBACK)).await.result
}

#[tokio::test]
async fn a_program_passes_that_ends_with_code_0() {
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
            "which holds nothing of ours",
        ),
        (&["test", "$HOME", "=", "$HOME"], Ok(()), "no shell looks at the arguments"),
        (
            &["sh", "-c", "cat; exec >&- 2>&-; exit 4"],
            Err(Failure::ExitCode(4)),
            "nothing to read, output closed",
        ),
        (&["sleep", "60"], Err(Failure::TimedOut(TIMEOUT)), "never ends"),
        (&["yes"], Err(Failure::TimedOut(TIMEOUT)), "writes without an end"),
        (
            &["sh", "-c", "head -c 5000000 /dev/zero"],
            Ok(()),
            "5 MB, of which it waits for none to be kept",
        ),
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

/// The processes that have this word in their command line and still run.
fn running(word: &str) -> Vec<PathBuf> {
    let is_it = |path: &PathBuf| {
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(word)
    };
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    all.filter(|path| path.join("cmdline").exists() && is_it(path)).collect()
}

#[tokio::test]
async fn whatever_ends_a_probe_ends_all_that_its_program_started() {
    // Each sleeps for a time that nothing else does, so that it is known by it.
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
        // A killed process goes when the kernel comes to it.
        while !running(&secs).is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
