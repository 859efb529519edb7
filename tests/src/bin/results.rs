//! Writes the section "Results" of `docs/tools.md` from the schemas of the tools.

use remit_tests::results_page;

fn main() -> std::io::Result<()> {
    std::fs::write(results_page::path(), results_page::page())
}
