//! The commands that the documentation shows do what it shows.

use std::path::Path;

/// `TRYCMD=overwrite` writes the outputs anew.
#[test]
fn documented_output_is_real() {
    // The documentation speaks of files from the top of the repository; this test is alone in its process.
    std::env::set_current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap();
    trycmd::TestCases::new()
        .register_bin("egressctl", Path::new(env!("CARGO_BIN_EXE_egressctl")))
        .case("docs/egressctl.md")
        .case("docs/migration.md")
        .case("docs/testing-policies.md");
}
