//! Writes `docs/limits.md` from the bounds in the code.

use remit_tests::limits_page;

fn main() -> std::io::Result<()> {
    std::fs::write(limits_page::path(), limits_page::page())
}
