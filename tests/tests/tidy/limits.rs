//! The page of limits agrees with the code.

use remit_tests::limits_page;

#[test]
fn the_page_of_limits_is_made_from_the_code() {
    let page = std::fs::read_to_string(limits_page::path()).unwrap();
    assert!(
        page == limits_page::page(),
        "docs/limits.md is not what the code says: write it anew with `cargo run -p remit-tests --bin limits`"
    );
}
