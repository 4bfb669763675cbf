//! What a test does that cannot run where it is: it says so, or fails where every test must run.

/// The environment variable under which [`skipped`] fails: `.ci/run` sets it, so that a machine without a graphics
/// driver or a display does not pass for one on which these tests were green.
pub const MUST_RUN: &str = "PAVLOV_TESTS_MUST_RUN";

/// Says in a line that a test is skipped, and why.
///
/// # Panics
/// Where [`MUST_RUN`] is set to anything but nothing.
#[track_caller]
pub fn skipped(why: &str) {
    assert!(
        std::env::var_os(MUST_RUN).is_none_or(|value| value.is_empty()),
        "this test cannot run here: {why}. {MUST_RUN} is set, under which no test may be skipped"
    );
    println!("skipped: {why}");
}

/// Why tests of the GPU and of pictures are skipped.
pub const NO_ADAPTER: &str = "no Vulkan, Metal or DX12 adapter (on Debian: apt-get install mesa-vulkan-drivers)";

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Run by the test below in a process of its own, since an environment belongs to all threads.
    #[test]
    #[ignore = "run by `a_skipped_test_fails_where_all_must_run`"]
    fn a_test_that_is_skipped() {
        skipped("an example");
    }

    #[test]
    fn a_skipped_test_fails_where_all_must_run() {
        let passes = |value: &str| {
            let mut test = Command::new(std::env::current_exe().unwrap());
            test.args(["--ignored", "--exact", "testing::tests::a_test_that_is_skipped", "--nocapture"]);
            let out = test.env(MUST_RUN, value).output().unwrap();
            (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
        };
        let (passed, said) = passes("");
        assert!(passed && said.contains("1 passed") && said.contains("skipped: an example"), "{said}");
        let (passed, said) = passes("1");
        assert!(!passed && said.contains("cannot run here: an example"), "{said}");
    }
}
